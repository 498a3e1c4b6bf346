// SPDX-License-Identifier: MIT
/* The router of a Redis Cluster: behind a `struct redis` that has no connection of its own, one for each primary.
 *
 *   redis_submit(router) ──slot of its keys──► link of that primary ──► reply
 *                                                ▲   ├─ MOVED ────► another link, and the map is asked for
 *        CLUSTER NODES ──► map ──► who has it ───┘   ├─ ASK ──────► another link, this once
 *        (slots_watch)                               └─ TRYAGAIN ─► the same again, a little later
 *
 * A call that is sent elsewhere stays the same call, with the deadline that it had: none of these nodes has carried it
 * out. Only these files and domain/slotmap know of slots; nobody outside of redis*.c includes this.
 *
 * Whose slot it is: the map's word counts where its epoch is newer or who had it cannot be reached, a MOVED at once. */
#ifndef SLOTS_H
#define SLOTS_H

#include "adapters/redis.h"

struct slots;

/* What CLUSTER NODES says is asked for at once, and for ever. NULL: out of memory. */
struct slots *slots_new(struct ev_loop *loop, struct redis *router, const struct redis_settings *settings,
                        struct metrics *metrics);
/* All calls complete with LOST first. */
void slots_free(struct slots *s); /* NULL is allowed */
void slots_reconfigure(struct slots *s, const struct redis_settings *settings);

/* redis_submit() of the router. */
struct redis_call *slots_submit(struct slots *s, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg);
/* An error came for a call: is it the cluster's, and does the call go on elsewhere? Then it is not `at`'s any more. */
bool slots_redirect(struct slots *s, struct redis *at, struct redis_call *call, struct spop_slice error);
/* A link could not be made, or is no primary: the map is asked for. */
void slots_doubt(struct slots *s);

/* NULL: nobody has it. */
struct redis *slots_home(const struct slots *s, const uint8_t tag[2]);
unsigned slots_links(const struct slots *s, struct redis *out[REDIS_LINKS]);
bool slots_any_ready(const struct slots *s);
/* Every slot's primary is served. */
bool slots_whole(const struct slots *s);
/* Nothing has made the map doubtful since it was read. */
bool slots_settled(const struct slots *s);
/* One of the links that are ready, or any; NULL: there is none. */
const struct redis *slots_some(const struct slots *s);
uint64_t slots_marks(const struct slots *s, unsigned number);
void slots_mark_tag(const struct slots *s, unsigned mark, uint8_t tag[2]);
/* A TAG whose slot that link has; false: none. */
bool slots_own_tag(struct slots *s, unsigned number, uint8_t tag[2]);

#endif
