// SPDX-License-Identifier: MIT
/* May Redis be asked for a decision now? One question of our own is on its way every 250 ms, and answers two
 * others: does Redis reply in time (the breaker), and has it forgotten (the mark).
 *
 *   timer, ready ──► mark ──reply──┬─ in time?   ──► breaker ──► guard_admits()
 *   claims in time, or late ───────┘─ as large?  ──► mark ─────► guard_trusts()
 *
 * All of this is each primary's own: one of a cluster that is gone, hangs or has forgotten stops no request of another's.
 * link: redis_home() of what is asked for.
 *
 * The mark is up to a quarter of a second old when a claim is sent: so under "refuse" the claim compares it too.
 * Only claims ask the guard: an open breaker does not hold back extends, nor any other word (PROTOCOL). */
#ifndef GUARD_H
#define GUARD_H

#include "adapters/redis.h"
#include "domain/mark.h"

struct guard;

/* NULL: out of memory. */
struct guard *guard_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                        struct metrics *metrics);
/* Before or after redis_free(). */
void guard_free(struct guard *g);
void guard_reconfigure(struct guard *g, const struct config *c);
/* Redis is ready again: asked first of all that this connection carries, and nothing is known until then. */
void guard_ready(struct guard *g, struct redis *link);

/* False: Redis did not answer in time lately, a request need not wait to learn that. */
bool guard_admits(const struct guard *g, const struct redis *link);
bool guard_admits_all(const struct guard *g);
/* Grows with each connection and each loss of data: what was learned from Redis before may hold no more. */
uint64_t guard_epoch(const struct guard *g);
/* How often data was found to be lost; what Redis had given us before is not there any more. */
uint64_t guard_losses(const struct guard *g);
/* The mark that Redis must still have when it grants; NULL: it need not (on_data_loss = "continue"; a
 * cluster, where the mark lies in another slot than the claim's keys). */
const struct mark *guard_mark(const struct guard *g);
/* A claim found that it has not: a loss, told and counted now and not at the next question. */
void guard_lost(struct guard *g);
/* A claim's reply came (an error is one too), or did not come in time. */
void guard_heard(struct guard *g, const struct redis *link, bool in_time);

enum guard_trust {
    GUARD_TRUSTED,
    GUARD_UNKNOWN, /* under on_data_loss = "refuse": not yet asked on this connection, or not answered */
    GUARD_LOST,    /* under "refuse": records are gone, and no operator has said go */
};
enum guard_trust guard_trusts(const struct guard *g, const struct redis *link);
/* The worst of all primaries'. */
enum guard_trust guard_trusts_all(const struct guard *g);
/* Marks that wait for an operator's word, and all others of the same primaries: bit i is mark i. */
uint64_t guard_lost_marks(const struct guard *g);

#endif
