// SPDX-License-Identifier: MIT
/* What Redis has for a request of the cache, and the right to fetch what it has not.
 *
 *   recall ──► entry by the names that are remembered ──► MGET ─┬─ other names of Vary, or other tags: remembered, once more
 *                                                               └─ purged? fresh? for this request? ──► seen
 *   lease ──► the same, and taken or not ─┬─ mine ──► token of a fill; given back where it has been filled meanwhile
 *                                         └─ another one's ──► as if the lookup had found it
 *
 * An entry counts only if it was asked for behind every purge that concerns it: all times are Redis' own. */
#include "rooms/txn_inner.h"

#include <sodium.h>

#include "domain/cacheentry.h"
#include "rooms/monotonic.h"

enum { LOOKS_MAX = 3, LEASE_ENDED = 1 + CACHEFILL_LEASE };

static struct buf command; /* reused: one command is built at a time */

void txn_cache_recall(struct txn *t)
{
    struct txn_cache *x = t->cache;
    struct cache_resource r = cache_recall(t->gate->cache, x->url);
    x->mask = r.mask;
    buf_reset(&x->tags);
    buf_put(&x->tags, r.tags, (size_t)r.ntags * CACHETAGS_DIGEST);
    x->ntags = x->tags.failed ? 0 : r.ntags; /* an entry with other tags than were asked for is none */
    cachefill_entry(x->url, x->scope, &x->policy->cache.varies, x->mask,
                    (const uint8_t(*)[VARY_VALUE])x->values, &x->entry);
}

static const uint8_t (*tags_of(const struct txn_cache *x))[CACHETAGS_DIGEST]
{
    return (const uint8_t(*)[CACHETAGS_DIGEST])x->tags.data;
}

static struct cachelook look_of(const struct txn_cache *x)
{
    struct cachelook l = {.entry = x->entry, .policy = x->policy->hash, .ntags = x->ntags};
    memcpy(l.url, x->url, sizeof l.url);
    l.tags = tags_of(x);
    return l;
}

/* Sends `command`; false: it cannot be sent. */
static bool ask(struct txn *t, redis_reply_fn *fn)
{
    struct txn_cache *x = t->cache;
    struct gate *g = t->gate;
    if (command.failed || !g->replay || !cache_may_ask(g->cache))
        return false;
    x->asked = monotonic_now();
    t->cache_call = redis_submit(cache_redis(g->cache), command.data, command.len,
                                 t->config->cache.deadline_ms / 1000.0, fn, t);
    if (t->cache_call)
        metrics_add(g->metrics, METRIC_CACHE_LOOKUPS);
    return t->cache_call != NULL;
}

static struct cachekey_url where(const struct txn_cache *x)
{
    const char *at = (const char *)x->where.data;
    size_t before = x->scheme_len + x->host_len;
    return (struct cachekey_url){
        .scheme = {at,                 x->scheme_len        },
        .host = {at + x->scheme_len, x->host_len          },
        .path = {at + before,        x->where.len - before},
    };
}

/* The last purge that concerns this request's URL, or one of the tags that were asked for. */
static uint64_t purged_us(const struct txn_cache *x, const struct redis_reply *reply, unsigned at)
{
    struct spop_slice policy = redis_item(reply, at + CACHELOOK_POLICY);
    uint64_t last = cachestate_url_us(redis_item(reply, at + CACHELOOK_URL));
    if (policy.len > 0) {
        struct cachekey_url url = where(x);
        uint64_t us = cachestate_policy_us(policy, &url);
        last = us > last ? us : last;
    }
    for (unsigned i = 0; i < x->ntags; i++) {
        uint64_t us = cachestate_purged_us(redis_item(reply, at + CACHELOOK_TAGS + i));
        last = us > last ? us : last;
    }
    return last;
}

static enum cache_fill fill_of(struct txn_cache *x, struct spop_slice value)
{
    if (!value.ptr)
        return FILL_FREE;
    if (value.len == 1)
        return value.ptr[0] == 'n' ? FILL_NOT_STORABLE : FILL_FAILED;
    if (value.len == LEASE_ENDED)
        return memcmp(value.ptr + 1, x->busy, sizeof x->busy) == 0 ? FILL_NOT_STORABLE : FILL_FREE;
    if (value.len == sizeof x->busy)
        memcpy(x->busy, value.ptr, sizeof x->busy);
    return FILL_BUSY;
}

static bool has_tag(const struct txn_cache *x, const uint8_t *tag)
{
    for (unsigned i = 0; i < x->ntags; i++)
        if (memcmp(tags_of(x)[i], tag, CACHETAGS_DIGEST) == 0)
            return true;
    return false;
}

static bool has_tags(const struct txn_cache *x, const struct cacheentry *e)
{
    for (unsigned i = 0; i < e->ntags; i++)
        if (!has_tag(x, e->tags + (size_t)i * CACHETAGS_DIGEST))
            return false;
    return true;
}

static void remember(struct txn *t, unsigned mask, const uint8_t *tags, unsigned ntags)
{
    cache_remember(t->gate->cache, t->cache->url, mask, tags, ntags);
    txn_cache_recall(t);
}

/* What the URL's state says that its answers vary on. True: other names than were asked for. */
static bool learn_names(struct txn *t, struct spop_slice state)
{
    struct txn_cache *x = t->cache;
    struct vary_names names;
    if (!cachestate_names(state, &names))
        return false;
    int mask = cachefill_mask(&x->policy->cache.varies, &names);
    if (names.n > 0)
        x->how = CACHESTATUS_VARY_MISS;
    if (mask < 0 || (unsigned)mask == x->mask)
        return false;
    remember(t, (unsigned)mask, NULL, 0);
    return true;
}

/* Is it the answer to this request? -1: no; 0: that is not known yet, and more is remembered now; 1: yes. */
static int is_meant(struct txn *t, const struct cacheentry *e)
{
    struct txn_cache *x = t->cache;
    int mask = cachefill_mask(&x->policy->cache.varies, &e->names);
    if (mask < 0 || e->policy != x->policy->hash || memcmp(e->url, x->url, sizeof e->url) != 0)
        return -1;
    if ((unsigned)mask == x->mask && has_tags(x, e))
        return 1;
    remember(t, (unsigned)mask, e->tags, e->ntags);
    return 0;
}

static enum cache_seen judge(struct txn_cache *x, const struct freshness *f, uint64_t now_us)
{
    x->on_error = f && freshness_on_error(f, &x->directives, now_us);
    if (f)
        x->how = freshness_ttl_s(f, now_us) > 0 ? CACHESTATUS_REQUEST : CACHESTATUS_STALE;
    switch (freshness_for(f, &x->directives, now_us)) {
    case FRESHNESS_FRESH: return SEEN_FRESH;
    case FRESHNESS_STALE: return SEEN_TAKEN;
    case FRESHNESS_REVALIDATE: return SEEN_STALE;
    case FRESHNESS_504: return SEEN_504;
    case FRESHNESS_FETCH: break;
    }
    return SEEN_NONE;
}

/* Then whoever serves it finds it in this agent's memory. */
static bool is_of_use(const struct txn_cache *x)
{
    return x->seen == SEEN_FRESH || x->seen == SEEN_TAKEN || x->seen == SEEN_STALE || x->on_error;
}

/* What is sealed is opened once to see that it can be; those very bytes are known then. */
static bool opens(struct txn *t, const struct cacheentry *e, struct spop_slice bytes)
{
    struct gate *g = t->gate;
    struct spop_slice payload = e->payload;
    const struct seal_place at = {SEAL_ANSWER, &t->cache->entry, e->asked_us};
    return !seal_is(payload) || replay_has(g->replay, &t->cache->entry, bytes) ||
           sealer_open(g->sealer, &payload, &at);
}

/* The items of a reply from `at` on. False: other names or tags count, and Redis is to be asked again. */
static bool see(struct txn *t, const struct redis_reply *reply, unsigned at)
{
    struct txn_cache *x = t->cache;
    struct spop_slice bytes = redis_item(reply, at + CACHELOOK_ENTRY);
    struct cacheentry e;
    uint64_t now_us = cache_now_us(t->gate->cache);
    x->on_error = false;
    x->how = CACHESTATUS_URI_MISS;
    x->fill = fill_of(x, redis_item(reply, at + CACHELOOK_FILL));
    bool there = bytes.ptr && cacheentry_read(bytes, &e) == 0;
    if (bytes.ptr && !there)
        metrics_add(t->gate->metrics, METRIC_CACHE_CORRUPT);
    int meant = there ? is_meant(t, &e) : -1;
    if (meant == 0 || (meant < 0 && learn_names(t, redis_item(reply, at + CACHELOOK_URL))))
        return false;
    if (meant < 0 || !cacheentry_counts(&e, purged_us(x, reply, at), now_us)) {
        x->seen = judge(x, NULL, now_us);
        return true;
    }
    x->found_us = e.asked_us;
    x->seen = judge(x, &e.freshness, now_us);
    if (!is_of_use(x))
        return true;
    if (opens(t, &e, bytes)) {
        replay_keep(t->gate->replay, &x->entry, bytes.ptr, bytes.len, x->asked);
    } else {
        metrics_add(t->gate->metrics, METRIC_CACHE_CORRUPT);
        x->how = CACHESTATUS_URI_MISS;
        x->seen = judge(x, NULL, now_us);
    }
    return true;
}

/* Items, in time. */
static bool heard(struct txn *t, const struct redis_reply *reply, unsigned at)
{
    t->cache_call = NULL;
    if (reply->status != REDIS_LOST)
        cache_heard(t->gate->cache, reply->status != REDIS_LATE);
    return reply->status == REDIS_ITEMS && reply->nitems == at + CACHELOOK_TAGS + t->cache->ntags;
}

static void seen(struct txn *t)
{
    t->cache->looked = true;
    if (t->cache->admitted)
        txn_cache_proceed(t);
}

static bool look_again(struct txn *t);

static void on_look(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    struct txn_cache *x = t->cache;
    x->seen = SEEN_ERROR;
    if (heard(t, reply, 0) && !see(t, reply, 0) && look_again(t))
        return;
    seen(t);
}

/* Memory that flutters between two lists of names must not keep a request for ever: then it is a miss. */
static bool look_again(struct txn *t)
{
    struct txn_cache *x = t->cache;
    struct cachelook l = look_of(x);
    if (++x->looks > LOOKS_MAX) {
        x->seen = SEEN_NONE;
        x->fill = FILL_FREE;
        return false;
    }
    buf_reset(&command);
    cachescript_lookup(&command, &l);
    return ask(t, on_look);
}

void txn_cache_look(struct txn *t)
{
    struct txn_cache *x = t->cache;
    x->looks = 0;
    x->looked = false;
    x->seen = SEEN_ERROR;
    if (!x->usable || t->full || !look_again(t))
        seen(t);
}

void txn_cache_give_back(struct txn *t)
{
    struct txn_cache *x = t->cache;
    struct cachefilled f = {.fill = x->entry, .entry = x->entry, .keep_ms = t->config->cache.keep_ms};
    struct redis *redis = cache_redis(t->gate->cache);
    memcpy(f.lease, x->lease, sizeof f.lease);
    buf_reset(&command);
    cachescript_filled(&command, &f, x->url);
    if (!command.failed)
        redis_submit(redis, command.data, command.len, 0, NULL, NULL);
}

static void on_lease(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    struct txn_cache *x = t->cache;
    struct record_id fill = x->entry;
    unsigned base = x->mask;
    bool mine = false;
    uint64_t now_us = 0;
    x->seen = SEEN_ERROR;
    bool well = heard(t, reply, 1) && cachescript_leased(redis_item(reply, 0), &mine, &now_us);
    if (!well) { /* it may be ours without our knowing */
        if (reply->status == REDIS_LATE)
            txn_cache_give_back(t);
        seen(t);
        return;
    }
    bool known = see(t, reply, 1);
    if (mine && known && (x->seen == SEEN_FRESH || x->seen == SEEN_TAKEN)) {
        txn_cache_give_back(t);
        x->again = true;
        seen(t);
    } else if (mine) {
        x->entry = fill;
        x->mask = base;
        txn_cache_fetch(t, now_us);
    } else if (known || !look_again(t)) {
        x->fill =
            x->fill == FILL_FREE ? FILL_NOT_STORABLE : x->fill; /* Redis did not take the lease: it is full */
        seen(t);
    }
}

void txn_cache_lease(struct txn *t)
{
    struct txn_cache *x = t->cache;
    struct cachelook l = look_of(x);
    randombytes_buf(x->lease, sizeof x->lease);
    buf_reset(&command);
    cachescript_lease(&command, &l, x->lease, x->policy->cache.fill_ms);
    if (ask(t, on_lease))
        return;
    x->seen = SEEN_ERROR;
    txn_cache_proceed(t);
}
