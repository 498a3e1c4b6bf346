// SPDX-License-Identifier: MIT
/* One NOTIFY, exactly one ACK.
 *
 *   request  ──► facts ──► plan ─┬─ pass, deny ─────────────────────────────────────────► ACK
 *                                └─ (process known?) ──► claim ──► outcome ──► verdict ──► ACK
 *   response ──► facts ──► evidence ──► word ──► completion ──► confirmed, or time is up ──► ACK
 *   refused  ──► facts ──► plan ──► release by rid, later                                ──► ACK at once
 *
 * A transaction outlives its connection until Redis has answered its claim: a grant that nobody can be told
 * of is taken back. */
#ifndef TXN_H
#define TXN_H

#include "rooms/gate.h"
#include "spop/cursor.h"
#include "spop/status.h"

struct txn;
struct txn_owner;

/* An ACK is ready: len bytes, a whole frame. grant NULL: nothing to take back. May be called from within
 * txn_begin(). */
typedef void txn_answer_fn(struct txn_owner *owner, const uint8_t *frame, size_t len,
                           const struct grant *grant);

/* The connection's side; embedded in the session. */
struct txn_owner {
    txn_answer_fn *answer;
    uint32_t max_frame; /* bytes, as negotiated with this HAProxy (its tune.bufsize less 4) */
    struct txn *first;  /* transactions that wait */
    unsigned waiting;   /* how many */
};

/* Takes a NOTIFY's payload. SPOP_OK: it is answered, or will be. Else the connection must end with this
 * status: INVALID (the payload is malformed) or RESOURCE. Where spop.max_pending of this owner wait already,
 * nothing more waits: a claim is refused, a response is answered before Redis has confirmed it. */
enum spop_status txn_begin(struct gate *g, struct txn_owner *owner, uint64_t stream_id, uint64_t frame_id,
                           struct spop_cursor payload);
/* The connection has gone: nobody is to be told. */
void txn_abandon(struct txn_owner *owner);
/* Frees the memory that ended transactions left for the next ones. */
void txn_free_spare(struct gate *g);

#endif
