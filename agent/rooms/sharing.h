// SPDX-License-Identifier: MIT
/* Who asks Redis for a key waits for the one that asks for it already: at most one question of this agent is on its way
 * for each key and payload (DESIGN, decision 9; ACCEPTANCE R20).
 *
 *   join ─┬─ nobody asks: it asks ────────► take: those behind it, the oldest first ──► told, or join again
 *         └─ somebody does: behind it, until then, or leave
 *
 * What an answer means for those behind it is their owner's business (rooms/txn_shared.c). Bounded by
 * shield.max_shared: more ask for themselves. */
#ifndef SHARING_H
#define SHARING_H

#include "domain/metrics.h"
#include "domain/plan.h"

struct sharing;

/* Embedded in whoever asks; zeroed: it does neither. */
struct share {
    const struct plan *plan;
    struct share *asker;         /* itself: it asks; NULL: it neither asks nor waits */
    struct share *next, **prev;  /* those behind the same asker; of askers: of the same bucket */
    struct share *first, **last; /* of an asker: those behind it */
};

/* NULL: out of memory. */
struct sharing *sharing_new(const struct config *c, struct metrics *metrics);
/* Nobody asks any more. */
void sharing_free(struct sharing *k);
void sharing_reconfigure(struct sharing *k, const struct config *c);

/* p is borrowed until it neither asks nor waits. True: it waits behind another one, which has not p's rid. False: it is to
 * ask now. */
bool sharing_join(struct sharing *k, struct share *s, const struct plan *p);
static inline bool share_waits(const struct share *s)
{
    return s->asker && s->asker != s;
}
/* It asks no more, and those behind it wait no more: a list for share_pop(); NULL: there are none. Or it waits no more; it may
 * do neither. */
struct share *sharing_leave(struct sharing *k, struct share *s);
/* Takes the oldest out of a list; NULL: it is empty. */
struct share *share_pop(struct share **list);

#endif
