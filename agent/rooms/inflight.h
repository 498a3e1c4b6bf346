// SPDX-License-Identifier: MIT
/* HAProxy's tables: what runs is extended, what has ended unsettled is resolved (PROTOCOL: The tables,
 * Evidence, Timing).
 *
 *   inflight ─┬─ site ───── worker, worker, ..   one runtime socket; one connection to each HAProxy process
 *             │     └────── election             who polls it
 *             ├─ heartbeat ─┐
 *             ├─ endings ───┴─ teller            the words that follow, straight to Redis
 *             ├─ fetched                         fetches for the cache that nobody else tells of
 *             ├─ waits                           requests of a process that nobody polls yet
 *             └─ lookups                         requests whose key is busy
 */
#ifndef INFLIGHT_H
#define INFLIGHT_H

#include "domain/cachefill.h"
#include "domain/evidence.h"
#include "rooms/completion.h"
#include "rooms/view.h"

struct inflight;

/* NULL: out of memory. */
struct inflight *inflight_new(struct ev_loop *loop, struct redis *redis, struct completion *completion,
                              struct config *config, struct metrics *metrics);
/* Gives up the lock files. Those that still wait are told false. */
void inflight_free(struct inflight *i);
/* See completion_set_acks(). */
void inflight_set_acks(struct inflight *i, struct acks *acks);
/* fn is called where HAProxy's table proves that a fetch for the cache has ended of which no agent has heard: mark as of
 * cache_fetch_over(). True: it is told, and need not be listed again. */
typedef bool inflight_fetched_fn(void *arg, const struct cachefetch *f, char mark);
void inflight_set_fetched(struct inflight *i, inflight_fetched_fn *fn, void *arg);
void inflight_reconfigure(struct inflight *i, struct config *config);

/* Is this process polled, by us or by the elected agent (its lock file is fresh and names it)? */
bool inflight_knows(const struct inflight *i, const char *process);
/* Connects to the site's sockets to look for a process that is not known yet; fn is called exactly once,
 * never before this returns, within 400 ms: whether it is known now. Waiters of one process share the
 * attempt. NULL, and fn is not called: out of memory. */
typedef void inflight_known_fn(void *arg, bool known);
struct inflight_wait *inflight_find(struct inflight *i, const char *process, inflight_known_fn *fn,
                                    void *arg);
/* The caller goes away: fn will not be called. */
void inflight_forget(struct inflight_wait *w);

/* A key is busy: has that execution ended? HAProxy's table is asked if that process can be asked by us; fn is
 * called exactly once, never before this returns, within some 100 ms. ended: the word that follows is on its
 * way to Redis, ahead of whatever is sent from now on. False, and fn is not called: it cannot be asked, or
 * inflight.lookups of this second are used up. */
typedef void inflight_looked_fn(void *arg, bool ended);
bool inflight_look(struct inflight *i, const struct token *t, struct spop_slice process,
                   inflight_looked_fn *fn, void *arg);

/* A notice came: the next poll is now. */
void inflight_notice(struct inflight *i, const struct notice *n);
/* Has all that runs in our HAProxys been extended since this Redis, or this primary of a cluster, came back? Until then, a second at the most,
 * nothing may be claimed (PROTOCOL, Timing rules: flush, list, extend, then claim). */
bool inflight_caught_up(const struct inflight *i, const struct redis *link);
/* Calls fn for each entry of the last listings whose process is still there; returns how many entries there
 * were no room for. */
typedef void inflight_seen_fn(void *arg, const struct view_entry *e);
unsigned inflight_seen(const struct inflight *i, inflight_seen_fn *fn, void *arg);
/* Redis, or a primary of a cluster, is ready again: list and extend at once. */
void inflight_redis_ready(struct inflight *i, const struct redis *link);

#endif
