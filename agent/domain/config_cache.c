// SPDX-License-Identifier: MIT
/* What the cache's options mean together, and what follows from them:
 *
 *   vary, store, query ──► names, set, rule         life = the longest ttl and stale window, at least half a day
 *   no cache.redis ──► the Redis of the records     keep = twice that: what purges are remembered for
 *
 * An entry never outlives `life`, whatever its answer says (RFC 9111, section 4.2: a cache may forget at any time). So one that was
 * asked for before a purge and stored behind it is gone before the purge is; and a Redis that evicts what ends first (volatile-ttl)
 * forgets entries before their purges. */
#include "domain/config_inner.h"

#include <string.h>

#include "domain/policy.h"

/* ms; entries of other agents' configurations, and of one before a reload, are covered by this much. */
static const uint64_t life_least_ms = 43200000;
/* Bytes of a frame beside the body: an answer's headers and the message's other arguments. */
enum { FRAME_BESIDE = 2048, MAXREWRITE = 1024 };

static void compile_vary(struct check *k, struct cache_policy *cache)
{
    cache->varies.n = 0;
    for (unsigned i = 0; i < cache->vary.n; i++) {
        const char *name = cache->vary.item[i];
        if (strchr(name, '*') || vary_add(&cache->varies, slice_of(name)) != VARY_READ) {
            text_str(check_begin(k, "cache.vary"), name);
            text_str(&k->text,
                     ": at most eight names of headers are possible, of at most 63 characters, without `*`");
            check_report(k);
            return;
        }
    }
}

static void compile_query(struct cache_policy *cache)
{
    const char *word = cache->query.n == 1 ? cache->query.item[0] : "";
    cache->query_mode = strcmp(word, "sorted") == 0   ? CACHE_QUERY_SORTED
                        : strcmp(word, "ignore") == 0 ? CACHE_QUERY_IGNORE
                                                      : CACHE_QUERY_ONLY;
}

static void check_store(struct check *k, struct cache_policy *cache)
{
    struct spop_slice bad;
    static const unsigned never[] = {206, 304};
    status_set_parse(cache->store, &cache->stored, &bad);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (status_in(&cache->stored, never[i])) {
            text_dec(check_begin(k, "cache.store"), never[i]);
            text_str(&k->text, " is not an answer of its own, and never stored: leave it out");
            check_report(k);
        }
}

/* Bytes of HAProxy's buffer, and so of a frame, that its largest answer needs. */
static uint64_t frame_of(const struct config *c, const struct cache_policy *cache)
{
    uint32_t rewrite = c->spop.maxrewrite ? c->spop.maxrewrite : MAXREWRITE;
    return (uint64_t)cache->max_size + FRAME_BESIDE + rewrite;
}

static void check_size(struct check *k, const struct cache_policy *cache)
{
    uint64_t need = frame_of(k->config, cache);
    if (need <= k->config->spop.max_frame)
        return;
    text_dec(check_begin(k, "cache.max_size"), cache->max_size);
    text_str(&k->text, " bytes do not fit: spop.max_frame, and HAProxy's tune.bufsize, must be at least ");
    text_dec(&k->text, (int64_t)need);
    check_report(k);
}

void check_cache_policy(struct check *k, struct policy *p)
{
    struct cache_policy *cache = &p->cache;
    bool personal = cache->per == CACHE_PER_PRINCIPAL;
    compile_vary(k, cache);
    compile_query(cache);
    for (char *c = cache->tags; *c; c++)
        *c = text_lower(*c);
    check_store(k, cache);
    check_size(k, cache);
    if (p->idempotency.enabled)
        check_say(
            k, "cache",
            "a policy has a cache or idempotency: the one is for what is read, the other for what is done");
    if (policy_has_slots(p))
        check_say(k, "cache",
                  "a limit with \"concurrent\" is not possible beside it: what is served from the cache is "
                  "never in flight");
    if (personal != (*cache->principal != '\0'))
        check_say(k, "cache.principal",
                  personal ? "is wanted with per = \"principal\": the message argument that says who it is"
                           : "means nothing without per = \"principal\"");
    if (cache->fill_ms <= k->config->cache.deadline_ms)
        check_say(k, "cache.fill", "must be longer than cache.deadline");
    if (!*k->config->replay.listen)
        check_say(k, "cache",
                  "cached answers are served by the replay listener: replay.listen must not be empty");
}

static uint64_t kept_ms(const struct cache_policy *cache)
{
    uint32_t stale = cache->stale_if_error_s > cache->stale_while_revalidate_s
                         ? cache->stale_if_error_s
                         : cache->stale_while_revalidate_s;
    return ((uint64_t)cache->ttl_s + stale) * 1000;
}

/* The same server by its name, whatever the database: memory is one for all of them. */
static bool is_same(const struct redis_settings *a, const struct redis_settings *b)
{
    if (a->sentinels.n != b->sentinels.n)
        return false;
    for (unsigned i = 0; i < a->sentinels.n; i++)
        if (strcmp(a->sentinels.item[i], b->sentinels.item[i]) != 0)
            return false;
    return strcmp(a->sentinels.n > 0 ? a->sentinel_name : a->address,
                  b->sentinels.n > 0 ? b->sentinel_name : b->address) == 0;
}

void check_cache(struct check *k)
{
    struct config *c = k->config;
    bool own = *c->cache.redis.address || c->cache.redis.sentinels.n > 0;
    c->cache.life_ms = life_least_ms;
    c->cache.used = false;
    c->cache.frame = 0;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct cache_policy *cache = &c->policies[i].cache;
        c->cache.used = c->cache.used || cache->enabled;
        if (cache->enabled && kept_ms(cache) > c->cache.life_ms)
            c->cache.life_ms = kept_ms(cache);
        if (cache->enabled && frame_of(c, cache) > c->cache.frame)
            c->cache.frame = frame_of(c, cache);
    }
    c->cache.apart = c->cache.used && own;
    c->cache.keep_ms = 2 * c->cache.life_ms;
    if (c->cache.used && !own && c->redis.mode == REDIS_MODE_CLUSTER)
        check_say(k, "cache.redis.address",
                  "is wanted with redis.mode = \"cluster\": an entry, its tags and its policy lie in "
                  "different slots, so "
                  "cached answers need a Redis of their own");
    c->redis.holds =
        REDIS_HOLDS_RECORDS | (c->cache.used && !own ? REDIS_HOLDS_ANSWERS : 0) |
        (c->cache.used && (!own || is_same(&c->redis, &c->cache.redis)) ? REDIS_BESIDE_ANSWERS : 0);
    c->cache.redis.holds = REDIS_HOLDS_ANSWERS;
}
