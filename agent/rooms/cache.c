// SPDX-License-Identifier: MIT
/* The connection is its own or borrowed; the memory of URLs is a hash with the order of use:
 *
 *   buckets[digest] ──► resource ──► resource        order: least used ◄──────► used last
 *
 * An own connection counts into numbers of its own: those of the records' Redis must not move by it. */
#include "rooms/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "adapters/log.h"
#include "domain/breaker.h"
#include "domain/policy.h"
#include "rooms/monotonic.h"

enum { BUCKETS_LEAST = 1024 };

static struct buf command; /* reused: one command is built at a time */

struct resource {
    TAILQ_ENTRY(resource) order;
    LIST_ENTRY(resource) chain;
    uint8_t url[CACHEKEY_DIGEST];
    uint8_t mask, ntags;
    uint8_t tags[]; /* ntags of CACHETAGS_DIGEST */
};

LIST_HEAD(bucket, resource);

struct cache {
    struct ev_loop *loop;
    struct metrics *metrics;
    struct redis *shared_redis;
    struct parking *shared_parking;
    struct redis *redis; /* its own; NULL: the shared one is used */
    struct parking *parking;
    struct metrics own; /* of that connection */
    struct breaker breaker;
    unsigned n, most;
    size_t nbuckets; /* a power of two */
    struct bucket *buckets;
    TAILQ_HEAD(, resource) order;
};

static struct bucket *bucket_of(const struct cache *k, const uint8_t url[CACHEKEY_DIGEST])
{
    size_t at;
    memcpy(&at, url, sizeof at);
    return &k->buckets[at & (k->nbuckets - 1)];
}

static struct resource *find(const struct cache *k, const uint8_t url[CACHEKEY_DIGEST])
{
    struct resource *r;
    LIST_FOREACH(r, bucket_of(k, url), chain)
    if (memcmp(r->url, url, CACHEKEY_DIGEST) == 0)
        return r;
    return NULL;
}

static void forget(struct cache *k, struct resource *r)
{
    TAILQ_REMOVE(&k->order, r, order);
    LIST_REMOVE(r, chain);
    free(r);
    k->n--;
}

static void forget_all(struct cache *k)
{
    while (!TAILQ_EMPTY(&k->order))
        forget(k, TAILQ_FIRST(&k->order));
    free(k->buckets);
    k->buckets = NULL;
}

/* Masks are bits of a configuration's lists: another one begins anew. */
static bool begin_memory(struct cache *k, unsigned most)
{
    forget_all(k);
    k->most = most;
    for (k->nbuckets = BUCKETS_LEAST; k->nbuckets < most; k->nbuckets *= 2)
        ;
    k->buckets = calloc(k->nbuckets, sizeof *k->buckets);
    return k->buckets != NULL;
}

struct cache_resource cache_recall(struct cache *k, const uint8_t url[CACHEKEY_DIGEST])
{
    struct resource *r = find(k, url);
    if (!r)
        return (struct cache_resource){0};
    TAILQ_REMOVE(&k->order, r, order);
    TAILQ_INSERT_TAIL(&k->order, r, order);
    return (struct cache_resource){r->mask, r->ntags, r->tags};
}

static bool has_tag(const uint8_t *tags, unsigned n, const uint8_t *tag)
{
    for (unsigned i = 0; i < n; i++)
        if (memcmp(tags + (size_t)i * CACHETAGS_DIGEST, tag, CACHETAGS_DIGEST) == 0)
            return true;
    return false;
}

/* Into all; how many there are then. Too many: only the new ones. */
static unsigned join_tags(uint8_t all[CACHETAGS_MAX * CACHETAGS_DIGEST], const struct resource *old,
                          const uint8_t *tags, unsigned ntags)
{
    unsigned n = ntags;
    if (ntags > 0)
        memcpy(all, tags, (size_t)ntags * CACHETAGS_DIGEST);
    for (unsigned i = 0; old && i < old->ntags; i++) {
        const uint8_t *tag = old->tags + (size_t)i * CACHETAGS_DIGEST;
        if (has_tag(tags, ntags, tag))
            continue;
        if (n == CACHETAGS_MAX)
            return ntags;
        memcpy(all + (size_t)n++ * CACHETAGS_DIGEST, tag, CACHETAGS_DIGEST);
    }
    return n;
}

void cache_remember(struct cache *k, const uint8_t url[CACHEKEY_DIGEST], unsigned mask, const uint8_t *tags,
                    unsigned ntags)
{
    uint8_t all[CACHETAGS_MAX * CACHETAGS_DIGEST], name[CACHEKEY_DIGEST];
    struct resource *old = find(k, url), *r;
    unsigned n = join_tags(all, old, tags, ntags);
    memcpy(name, url, sizeof name);
    if (old)
        forget(k, old);
    if ((mask == 0 && n == 0) || !(r = malloc(sizeof *r + (size_t)n * CACHETAGS_DIGEST)))
        return;
    if (k->n >= k->most) {
        forget(k, TAILQ_FIRST(&k->order));
        metrics_add(k->metrics, METRIC_CACHE_FORGOTTEN);
    }
    memcpy(r->url, name, sizeof r->url);
    r->mask = (uint8_t)mask;
    r->ntags = (uint8_t)n;
    memcpy(r->tags, all, (size_t)n * CACHETAGS_DIGEST);
    LIST_INSERT_HEAD(bucket_of(k, name), r, chain);
    TAILQ_INSERT_TAIL(&k->order, r, order);
    k->n++;
}

static void on_ready(void *arg, struct redis *link)
{
    struct cache *k = arg;
    (void)link;
    if (k->parking)
        parking_redis_ready(k->parking);
}

/* Those who wait in its room leave it: who asks is told LOST. */
static void close_own(struct cache *k)
{
    if (k->parking)
        parking_drain(k->parking);
    if (k->redis)
        redis_free(k->redis);
    parking_free(k->parking);
    k->redis = NULL;
    k->parking = NULL;
}

static bool open_own(struct cache *k, const struct config *c)
{
    static const struct redis_events events = {.ready = on_ready};
    k->redis = redis_new(k->loop, &c->cache.redis, &events, k, &k->own);
    if (k->redis && (k->parking = parking_new(k->loop, k->redis, c, &k->own)))
        return true;
    close_own(k);
    return false;
}

bool cache_reconfigure(struct cache *k, const struct config *c)
{
    bool well = true;
    breaker_set(&k->breaker, c->breaker.failures, c->breaker.probe_ms / 1000.0, true);
    if (!c->cache.apart) {
        close_own(k);
    } else if (!k->redis) {
        well = open_own(k, c);
    } else {
        redis_reconfigure(k->redis, &c->cache.redis);
        parking_reconfigure(k->parking, c);
    }
    return begin_memory(k, c->cache.max_resources) && well;
}

struct cache *cache_new(struct ev_loop *loop, struct redis *redis, struct parking *parking,
                        const struct config *c, struct metrics *metrics)
{
    struct cache *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->loop = loop;
    k->metrics = metrics;
    k->shared_redis = redis;
    k->shared_parking = parking;
    TAILQ_INIT(&k->order);
    breaker_set(&k->breaker, c->breaker.failures, c->breaker.probe_ms / 1000.0, false);
    if (cache_reconfigure(k, c))
        return k;
    cache_free(k);
    return NULL;
}

void cache_free(struct cache *k)
{
    if (!k)
        return;
    close_own(k);
    forget_all(k);
    free(k);
}

void cache_drain(struct cache *k)
{
    if (k->parking)
        parking_drain(k->parking);
}

struct redis *cache_redis(const struct cache *k)
{
    return k->redis ? k->redis : k->shared_redis;
}

struct parking *cache_parking(const struct cache *k)
{
    return k->parking ? k->parking : k->shared_parking;
}

uint64_t cache_now_us(const struct cache *k)
{
    return redis_clock_us(cache_redis(k));
}

bool cache_may_ask(struct cache *k)
{
    const struct redis *r = cache_redis(k);
    return k->buckets && redis_ready(r) && redis_clock_us(r) != 0 && redis_room(r, REDIS_CLAIMS) &&
           breaker_admits(&k->breaker, monotonic_now());
}

void cache_heard(struct cache *k, bool in_time)
{
    if (in_time && breaker_good(&k->breaker))
        LOG(LOG_NOTICE, "cache-breaker-closed", log_text("why", "the cache's Redis answers in time again"));
    else if (!in_time && breaker_bad(&k->breaker, monotonic_now()))
        LOG(LOG_WARNING, "cache-breaker-open",
            log_text("why", "the cache's Redis does not answer within cache.deadline: requests go to the "
                            "backend at once"));
}

bool cache_fetch_over(struct cache *k, const struct config *c, const struct cachefetch *f, char mark)
{
    const uint8_t url[CACHEKEY_DIGEST] = {f->entry.tag[0],
                                          f->entry.tag[1]}; /* of which nothing is read or written */
    const struct policy *p = policy_by_hash(c, f->policy);
    if (!p || !p->cache.enabled || !redis_room(cache_redis(k), REDIS_OUTCOMES))
        return false;
    struct cachefilled w = {.fill = f->entry,
                            .entry = f->entry,
                            .mark = mark,
                            .mark_ms = p->cache.not_storable_ms,
                            .keep_ms = c->cache.keep_ms};
    memcpy(w.lease, f->lease, sizeof w.lease);
    buf_reset(&command);
    cachescript_filled(&command, &w, url);
    return !command.failed && redis_submit(cache_redis(k), command.data, command.len, 0, NULL, NULL);
}

void cache_show(struct cache *k)
{
    metrics_set(k->metrics, METRIC_CACHE_RESOURCES, k->n);
    metrics_set(k->metrics, METRIC_CACHE_REDIS_UP, redis_ready(cache_redis(k)));
    metrics_set(k->metrics, METRIC_CACHE_BREAKER_OPEN, k->breaker.open);
    metrics_set(k->metrics, METRIC_CACHE_PARKED, k->parking ? k->own.value[METRIC_PARKED] : 0);
}
