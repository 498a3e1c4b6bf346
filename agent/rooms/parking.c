// SPDX-License-Identifier: MIT
/* A hash of lots by the record's digest: a message names the digest, and wakes each lot that has it.
 *
 * A lot's next question always comes from its timer, never from within a call: a thousand askers that are
 * refused one after another are a thousand turns of the loop, not a stack of them. */
#include "rooms/parking.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "adapters/redis_ear.h"
#include "rooms/monotonic.h"

#define DEAF_EVERY 1.0    /* seconds, while no message can come */
#define SPREAD     0.0002 /* seconds between two lots that ask because we are subscribed anew */

enum { BUCKETS = 4096 };

struct lot {
    LIST_ENTRY(lot) chain;
    struct parking *parking;
    struct record_id id;
    uint8_t print[16];
    struct parked *first, *last;
    struct parked *asker; /* NULL: nobody asks now */
    bool again;           /* a message has come since it asked */
    ev_timer timer;       /* the next question */
};

LIST_HEAD(bucket, lot);

struct parking {
    struct ev_loop *loop;
    struct redis_ear *ear;
    struct metrics *metrics;
    unsigned count, most;
    bool draining;
    bool doubtful; /* a cluster: what is published at one node may not reach the others */
    struct bucket buckets[BUCKETS];
};

static const enum metric end_metrics[] = {
#define X(symbol) METRIC_PARKED_##symbol,
    PARKED_END_TABLE(X)
#undef X
};

static struct bucket *bucket_of(struct parking *k, const uint8_t *digest)
{
    return &k->buckets[(digest[0] | (unsigned)digest[1] << 8) % BUCKETS];
}

static void count_ended(struct parking *k, enum parked_end end)
{
    metrics_add(k->metrics, end_metrics[end]);
    metrics_set(k->metrics, METRIC_PARKED, --k->count);
}

static void wind(struct lot *l, double seconds)
{
    ev_timer_stop(l->parking->loop, &l->timer);
    ev_timer_set(&l->timer, seconds, 0.);
    ev_timer_start(l->parking->loop, &l->timer);
}

/* Something may have changed: it asks within so many seconds. */
static void wake(struct lot *l, double seconds)
{
    if (l->asker)
        l->again = true;
    else if (ev_timer_remaining(l->parking->loop, &l->timer) > seconds)
        wind(l, seconds);
}

static void lot_free(struct lot *l)
{
    ev_timer_stop(l->parking->loop, &l->timer);
    LIST_REMOVE(l, chain);
    free(l);
}

static void on_turn(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct lot *l = t->data;
    (void)loop;
    (void)revents;
    l->asker = l->first;
    l->again = false;
    l->asker->events->ask(l->asker);
}

static struct lot *lot_find(struct parking *k, const struct record_id *id, const uint8_t print[16])
{
    struct lot *l;
    LIST_FOREACH(l, bucket_of(k, id->digest), chain)
    if (memcmp(&l->id, id, sizeof *id) == 0 && memcmp(l->print, print, sizeof l->print) == 0)
        return l;
    return NULL;
}

static struct lot *lot_new(struct parking *k, const struct record_id *id, const uint8_t print[16])
{
    struct lot *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->parking = k;
    l->id = *id;
    memcpy(l->print, print, sizeof l->print);
    ev_timer_init(&l->timer, on_turn, 0., 0.);
    l->timer.data = l;
    LIST_INSERT_HEAD(bucket_of(k, id->digest), l, chain);
    wind(l, 0.);
    return l;
}

/* Out of the list. */
static void take_out(struct parked *p)
{
    struct lot *l = p->lot;
    *(p->prev ? &p->prev->next : &l->first) = p->next;
    *(p->next ? &p->next->prev : &l->last) = p->prev;
    ev_timer_stop(l->parking->loop, &p->expiry);
    p->lot = NULL;
}

void parking_leave(struct parked *p, enum parked_end end)
{
    struct lot *l = p->lot;
    bool asked = l->asker == p;
    take_out(p);
    count_ended(l->parking, end);
    if (asked)
        l->asker = NULL;
    if (!l->first)
        lot_free(l);
    else if (asked)
        wind(l, 0.);
}

static void end(struct parked *p, enum parked_end why)
{
    parking_leave(p, why);
    p->events->over(p, why);
}

/* The answer of one that asks decides, if it does not come too late for that. */
static void on_expiry(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct parked *p = t->data;
    (void)loop;
    (void)revents;
    if (!parked_asks(p))
        end(p, PARKED_EXPIRED);
}

bool parking_add(struct parking *k, struct parked *p, const struct parked_events *events,
                 const struct record_id *id, const uint8_t print[16], double until)
{
    double left = until - monotonic_now();
    if (k->draining || left <= 0)
        return false;
    if (k->count >= k->most) {
        metrics_add(k->metrics, METRIC_PARKED_FULL);
        return false;
    }
    struct lot *l = lot_find(k, id, print);
    if (!l && !(l = lot_new(k, id, print)))
        return false;
    *p = (struct parked){.lot = l, .prev = l->last, .events = events, .until = until};
    *(l->last ? &l->last->next : &l->first) = p;
    l->last = p;
    ev_timer_init(&p->expiry, on_expiry, left, 0.);
    p->expiry.data = p;
    ev_timer_start(k->loop, &p->expiry);
    metrics_set(k->metrics, METRIC_PARKED, ++k->count);
    redis_ear_want(k->ear);
    return true;
}

bool parked_asks(const struct parked *p)
{
    return p->lot && p->lot->asker == p;
}

void parking_stay(struct parked *p, double seconds)
{
    struct lot *l = p->lot;
    struct parking *k = l->parking;
    double longest = redis_ear_is_open(k->ear) && !k->doubtful ? seconds : DEAF_EVERY;
    l->asker = NULL;
    wind(l, l->again ? 0. : seconds < longest ? seconds : longest);
    if (k->draining)
        end(p, PARKED_DRAINED);
    else if (monotonic_now() >= p->until)
        end(p, PARKED_EXPIRED);
}

void parking_share(struct parked *p, const void *what)
{
    for (struct parked *i = p->lot->first, *next; i; i = next) {
        next = i->next;
        if (i == p)
            continue;
        parking_leave(i, PARKED_OUTCOME);
        i->events->shared(i, what);
    }
    parking_leave(p, PARKED_OUTCOME);
}

static bool hex_read(struct spop_slice text, uint8_t out[16])
{
    static const char digits[] = "0123456789abcdef";
    if (text.len != 32)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = strchr(digits, text.ptr[i]);
        if (!at || !*at)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
    }
    return true;
}

static void on_heard(void *arg, struct spop_slice name)
{
    struct parking *k = arg;
    uint8_t digest[16] = {0};
    struct lot *l;
    if (!hex_read(name, digest))
        return;
    LIST_FOREACH(l, bucket_of(k, digest), chain)
    if (memcmp(l->id.digest, digest, sizeof digest) == 0)
        wake(l, 0.);
}

static void wake_all(struct parking *k, double seconds)
{
    struct lot *l;
    for (unsigned i = 0; i < BUCKETS; i++)
        LIST_FOREACH(l, &k->buckets[i], chain)
    wake(l, seconds += SPREAD);
}

/* What was published until now may have been missed. */
static void on_opened(void *arg)
{
    wake_all(arg, 0.);
}

static void on_closed(void *arg)
{
    wake_all(arg, DEAF_EVERY);
}

void parking_redis_ready(struct parking *k)
{
    redis_ear_follow(k->ear);
}

void parking_drain(struct parking *k)
{
    struct lot *l, *next;
    k->draining = true;
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (l = LIST_FIRST(&k->buckets[i]); l; l = next) {
            next = LIST_NEXT(l, chain);
            for (struct parked *p = l->first, *then; p; p = then) {
                then = p->next;
                if (!parked_asks(p))
                    end(p, PARKED_DRAINED);
            }
        }
    }
}

void parking_reconfigure(struct parking *k, const struct config *c)
{
    k->most = c->wait.max_parked;
}

struct parking *parking_new(struct ev_loop *loop, const struct redis *redis, const struct config *c,
                            struct metrics *metrics)
{
    static const struct redis_ear_events events = {on_opened, on_closed, on_heard};
    struct parking *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->loop = loop;
    k->metrics = metrics;
    parking_reconfigure(k, c);
    k->doubtful = redis_is_cluster(redis);
    k->ear = redis_ear_new(loop, redis, &events, k, metrics);
    if (k->ear)
        return k;
    free(k);
    return NULL;
}

void parking_free(struct parking *k)
{
    if (!k)
        return;
    redis_ear_free(k->ear);
    free(k);
}
