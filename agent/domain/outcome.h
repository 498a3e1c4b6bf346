// SPDX-License-Identifier: MIT
/* What the gate said: the claim's reply, opened (docs/wire.md, claim). Pure. */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "domain/plan.h"

enum outcome_kind {
    OUTCOME_GO = 'G',
    OUTCOME_YOURS = 'Y',
    OUTCOME_REPLAY = 'D',
    OUTCOME_MISMATCH = 'M',
    OUTCOME_BUSY = 'B',
    OUTCOME_TOMB = 'T',
    OUTCOME_UNKNOWN = 'U',
    OUTCOME_LIMITED = 'L',
    OUTCOME_LATE = 'P',
    OUTCOME_FOREIGN = 'X',
};

struct outcome {
    enum outcome_kind kind;
    uint64_t now_us;                   /* Redis' time */
    uint64_t fence;                    /* GO, YOURS, BUSY, TOMB */
    uint8_t rid[8];                    /* BUSY: of the claim that holds the key */
    uint64_t until_us;                 /* BUSY: earliest moment at which it may change hands */
    uint64_t ttl_ms;                   /* REPLAY, TOMB, UNKNOWN */
    unsigned status;                   /* TOMB, UNKNOWN (0: none seen) */
    struct spop_slice process;         /* BUSY */
    struct spop_slice location;        /* TOMB: as it is stored (rooms/sealer) */
    struct spop_slice record;          /* REPLAY: its first bytes */
    size_t record_len;                 /* REPLAY: how long it is in Redis */
    bool has_levels;                   /* GO (with limits), LIMITED */
    double level[CONFIG_LIMITS_MAX];   /* ticks used */
    double wait_us[CONFIG_LIMITS_MAX]; /* LIMITED; else 0 */
};

/* Opens a reply to the claim of that plan. 0, or -1 if it is not one. Slices point into the reply. */
int outcome_read(const char *reply, size_t len, const struct plan *p, struct outcome *o);

#endif
