// SPDX-License-Identifier: MIT
/* Misses that wait for the one request that fetches their answer (rooms/parking; ACCEPTANCE C9).
 *
 *   parked ──fill ended, or a quarter of a second is over──► lookup ─┬─ fresh, not storable, failed ──► all of its lot
 *      ▲                                                             ├─ nobody fetches: it does; the others wait on
 *      └──────────────── another one fetches, Redis did not say ─────┘
 *      past twice cache.fill, the agent stops ──► pass, or what is stale
 *
 * A lot holds requests for one entry with the same values of all names that the policy sends, and the same wishes: what holds for
 * one of them holds for all, even if the entry turns out to be named otherwise. A lease that lapses tells nobody, so each lot looks. */
#include "rooms/txn_inner.h"

#include <stddef.h>

#include "domain/digest.h"
#include "rooms/monotonic.h"

/* Seconds. */
#define LOOK_EVERY 0.25
/* What HAProxy needs to send a message and to read its ACK, and the loop to come round. */
#define MARGIN 0.1

static struct txn *txn_of(struct parked *p)
{
    return (struct txn *)((char *)p - offsetof(struct txn, parked));
}

void txn_cache_wait_until(struct txn *t, double age, double timeout)
{
    const struct txn_cache *x = t->cache;
    double now = monotonic_now(), budget = t->config->cache.deadline_ms / 1000.0;
    t->wait_until = 0;
    if (!x->again || !x->usable || timeout <= 0)
        return;
    /* Twice a lease: one that fetches may die, and its successor is waited for too. */
    double wait = 2 * x->policy->cache.fill_ms / 1000.0,
           longest = timeout - (age > 0 ? age : 0) - budget - MARGIN;
    t->wait_until = now + (wait < longest ? wait : longest);
}

/* It may remember more by now than when it came. */
static void on_ask(struct parked *p)
{
    struct txn *t = txn_of(p);
    metrics_add(t->gate->metrics, METRIC_PARKED_CLAIMS);
    txn_cache_recall(t);
    txn_cache_look(t);
}

static void on_shared(struct parked *p, const void *what)
{
    txn_cache_say(txn_of(p), what);
}

static void on_over(struct parked *p, enum parked_end why)
{
    struct txn *t = txn_of(p);
    struct cache_said said = {.verdict = SAID_PASS, .result = CACHE_MISS};
    (void)why;
    if (t->cache->on_error)
        said = txn_cache_served(t, CACHEID_ERROR, CACHE_STALE);
    txn_cache_say(t, &said);
}

static void print_of(const struct txn_cache *x, uint8_t out[16])
{
    struct digest d;
    digest_begin(&d, 16, "cache-wait");
    digest_field(&d, x->values, (size_t)x->policy->cache.varies.n * VARY_VALUE);
    digest_field(&d, &x->policy, sizeof x->policy); /* another configuration may decide otherwise */
    digest_end(&d, out);
}

static void stay(struct txn *t)
{
    if (t->owner)
        parking_stay(&t->parked, LOOK_EVERY);
    else
        txn_end_empty(t);
}

bool txn_cache_wait(struct txn *t)
{
    static const struct parked_events events = {on_ask, on_shared, on_over};
    struct txn_cache *x = t->cache;
    uint8_t print[16];
    x->lease_over = monotonic_now() + x->policy->cache.fill_ms / 1000.0;
    bool elsewhere = t->parked.lot && memcmp(&x->awaited, &x->entry, sizeof x->entry) != 0;
    if (t->parked.lot && !elsewhere) {
        stay(t);
        return true;
    }
    if (elsewhere)
        parking_leave(&t->parked, PARKED_REFUSED);
    if (!t->owner || t->wait_until <= 0)
        return false;
    x->awaited = x->entry;
    print_of(x, print);
    return parking_add(cache_parking(t->gate->cache), &t->parked, &events, &x->entry, print, t->wait_until);
}

bool txn_cache_wait_on(struct txn *t)
{
    if (!t->parked.lot || monotonic_now() >= t->cache->lease_over)
        return false;
    stay(t);
    return true;
}

void txn_cache_share(struct txn *t, const struct cache_said *said)
{
    if (t->parked.lot)
        parking_share(&t->parked, said);
}
