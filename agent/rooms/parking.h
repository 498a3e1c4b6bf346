// SPDX-License-Identifier: MIT
/* Those who wait until something in Redis changes, for any room that asks Redis and was told: not yet.
 *
 *   parking ──► lot ──► parked, parked, ..     one lot for each record and payload: what one of them is told
 *                                              holds for all, but a grant, which is the asker's alone
 *
 *   added ──► ask ─┬─ parking_stay ──► waits ──message, time, subscribed anew──► ask
 *                  ├─ parking_share ─► all of the lot have it and are gone
 *                  └─ parking_leave ─► it goes, for the next one `ask`
 *
 * Each lot has one asker at a time, the one that waits longest. No wake-up is lost: a lot asks at once when it
 * is made, with the word that makes Redis tell (the claim's `tell me`); a message that comes while it asks
 * makes it ask again; whenever the listening connection is open anew all ask, spread over time; while it is
 * not, each lot asks once a second; and when a lease ends that nobody may renew, because that tells nobody.
 *
 * Nothing here is about claims: the cache's misses may wait in it as well. */
#ifndef PARKING_H
#define PARKING_H

#include "adapters/redis.h"
#include "domain/token.h"

struct parking;
struct parked;
struct lot;

/* X(symbol): how waiting ended; METRIC_PARKED_symbol counts it. */
#define PARKED_END_TABLE(X)                                                                                  \
    X(OUTCOME) /* what was waited for */                                                                     \
    X(GO)      /* it is the one that runs now */                                                             \
    X(REFUSED) /* its own question was refused */                                                            \
    X(EXPIRED)                                                                                               \
    X(DRAINED) /* the agent stops */                                                                         \
    X(LEFT)    /* nobody is to be told any more */

enum parked_end {
#define X(symbol) PARKED_##symbol,
    PARKED_END_TABLE(X)
#undef X
};

struct parked_events {
    /* Its turn: ask Redis, and answer once by parking_stay(), parking_leave() or parking_share(); at once, or
     * later. */
    void (*ask)(struct parked *p);
    /* Another one of its lot was told `what`: it holds for this one too, which has left. */
    void (*shared)(struct parked *p, const void *what);
    /* It has left: EXPIRED or DRAINED. */
    void (*over)(struct parked *p, enum parked_end why);
};

/* Embedded in whoever waits; lot NULL: it does not. */
struct parked {
    struct lot *lot;
    struct parked *next, *prev;
    const struct parked_events *events;
    double until; /* monotonic_now() */
    ev_timer expiry;
};

/* NULL: out of memory. */
struct parking *parking_new(struct ev_loop *loop, const struct redis *redis, const struct config *c,
                            struct metrics *metrics);
/* Nobody waits any more. */
void parking_free(struct parking *k);
void parking_reconfigure(struct parking *k, const struct config *c);
/* Redis is ready again, and may be another server. */
void parking_redis_ready(struct parking *k);
/* All leave with DRAINED, those that ask as soon as they are answered; nobody may come any more. */
void parking_drain(struct parking *k);

/* Waits until then for a change of this record; print: the payload that all of a lot have in common. False:
 * not possible (full: counted). ask() is called from the loop. */
bool parking_add(struct parking *k, struct parked *p, const struct parked_events *events,
                 const struct record_id *id, const uint8_t print[16], double until);
bool parked_asks(const struct parked *p);

/* The asker was told nothing new: it goes on waiting, and asks again after so many seconds at the latest. It
 * may be over() before this returns. */
void parking_stay(struct parked *p, double seconds);
/* Leaves, asking or not. */
void parking_leave(struct parked *p, enum parked_end end);
/* The asker was told what holds for its whole lot: each other one gets it, then the asker leaves too. */
void parking_share(struct parked *p, const void *what);

#endif
