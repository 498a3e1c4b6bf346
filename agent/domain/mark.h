// SPDX-License-Identifier: MIT
/* The mark: one key in Redis that only grows, by which an agent notices that Redis has forgotten
 * (docs/wire.md, The mark). Pure: the reply of redis-lua/mark.lua, opened.
 *
 *   what an agent has seen: (epoch, number)      what Redis has now
 *
 *   the same epoch, a number as large            KEPT
 *   a later epoch                                PASSED  lost, and somebody has said go meanwhile
 *   missing, an earlier epoch or number          LOST    "continue": a new epoch was begun
 *                                                WAITS   "refuse": untouched, until an operator sets `go`
 *   missing, and the agent has seen none         FIRST   "continue": begun; "refuse": WAITS
 *   something else                               FOREIGN untouched
 */
#ifndef MARK_H
#define MARK_H

#include "spop/cursor.h"

enum mark_state { MARK_KEPT, MARK_FIRST, MARK_PASSED, MARK_LOST, MARK_WAITS, MARK_FOREIGN };

struct mark {
    uint64_t epoch; /* Redis' time in µs when it began; 0: none seen yet */
    uint64_t number;
};

/* Opens the reply to a question that carried *seen, and brings *seen up to date. -1: it is no such reply,
 * nothing was changed. */
int mark_read(struct spop_slice reply, struct mark *seen, enum mark_state *state);

#endif
