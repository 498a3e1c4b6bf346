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
    OUTCOME_DATA_LOST = 'W',
};

struct outcome {
    enum outcome_kind kind;
    uint64_t now_us;                    /* Redis' time */
    uint64_t fence;                     /* GO, YOURS, BUSY, TOMB */
    uint8_t rid[8];                     /* BUSY: of the claim that holds the key */
    uint64_t until_us;                  /* BUSY: earliest moment at which it may change hands */
    uint64_t ttl_ms;                    /* REPLAY, TOMB, UNKNOWN */
    unsigned status;                    /* TOMB, UNKNOWN (0: none seen) */
    struct spop_slice process;          /* BUSY */
    struct spop_slice location;         /* TOMB: as it is stored (rooms/sealer) */
    struct spop_slice record;           /* REPLAY: its first bytes */
    size_t record_len;                  /* REPLAY: how long it is in Redis */
    bool has_levels;                    /* GO, LIMITED; where a limit counts all, others too */
    double level[CONFIG_LIMITS_MAX];    /* used: ticks, of a sliding window requests */
    double wait_us[CONFIG_LIMITS_MAX];  /* until it would pass; 0: it passes, or it is not what refuses */
    double back[CONFIG_LIMITS_MAX];     /* ticks until the whole quota is back */
    uint32_t in_use[CONFIG_LIMITS_MAX]; /* of each slot: requests in flight; GO: this one too */
};

/* LIMITED: is that slot's limit one of the reasons? When it will not be is not known. */
bool outcome_full(const struct plan *p, const struct outcome *o, unsigned slot);

/* What the gate says at the same moment to another claim of that key and payload, behind this grant: busy. Its slices point into
 * the plan. */
void outcome_behind(const struct plan *p, const struct outcome *go, struct outcome *busy);

/* Opens a reply to the claim of that plan. 0, or -1 if it is not one. Slices point into the reply. */
int outcome_read(const char *reply, size_t len, const struct plan *p, struct outcome *o);

#endif
