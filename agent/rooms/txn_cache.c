// SPDX-License-Identifier: MIT
/* A request whose answer may be cached (once-cache): its limits and its lookup leave in one write and are joined here.
 *
 *   facts ──► usable? ──► limits ─┬─ refuse ──► 429, 503                              (txn_claim)
 *                └──────► lookup ─┴─► fresh ─────────────────────────► replay
 *                                     stale, another one fetches ────► replay
 *                                     only-if-cached, nothing ───────► 504
 *                                     nothing, nobody fetches ───────► pass, with the token of a fill
 *                                     nothing, another one does ─────► wait; asked again: parked (txn_cache_wait)
 *                                     not usable, Redis did not say ─► pass
 *
 * A failure of the cache is a miss. */
#include "rooms/txn_inner.h"

#include "domain/cachefill.h"
#include "domain/digest.h"
#include "domain/verdict.h"
#include "rooms/monotonic.h"

static struct cache_count *counts_of(struct txn *t)
{
    struct cache_counts *all = t->gate->metrics->caches;
    return all && t->cache->policy ? cache_count_of(all, t->cache->policy) : NULL;
}

static void count(struct txn *t, enum cache_result r)
{
    struct cache_count *c = counts_of(t);
    if (c)
        c->result[r]++;
}

/* What a request must not have to be answered from the cache; one walk finds all of it. */
static bool read_headers(struct txn_cache *x, struct spop_slice headers)
{
    static const char *const none_of[] = {"range", "upgrade", "transfer-encoding"};
    struct spop_cursor c = headers_walk(headers);
    struct spop_slice name, value;
    int more;
    bool usable = true;
    x->authorization = false;
    while ((more = headers_next(&c, &name, &value)) > 0) {
        for (size_t i = 0; i < sizeof none_of / sizeof *none_of; i++)
            usable = usable && !headers_same(name, none_of[i]);
        x->authorization = x->authorization || headers_same(name, "authorization");
    }
    return more == 0 && usable;
}

/* False: whose it is cannot be told. */
static bool read_scope(struct txn_cache *x, const struct request_facts *f)
{
    const struct cache_policy *c = &x->policy->cache;
    char scratch[24];
    struct spop_slice who = {0};
    if (c->per == CACHE_PER_PUBLIC) {
        cachekey_scope(x->policy->hash, NULL, who, x->scope);
        return true;
    }
    who = facts_text(f, c->principal, scratch);
    cachekey_scope(x->policy->hash, c->principal, who, x->scope);
    return who.len > 0;
}

/* For the policy's prefixes, which come with Redis' answer: the frame has gone by then. */
static void keep_where(struct txn_cache *x, const struct request_facts *f)
{
    buf_reset(&x->where);
    buf_put(&x->where, f->scheme.ptr, f->scheme.len);
    buf_put(&x->where, f->host.ptr, f->host.len);
    buf_put(&x->where, f->path.ptr, f->path.len);
    x->scheme_len = f->scheme.len;
    x->host_len = f->host.len;
}

static void read_url(struct txn_cache *x, const struct request_facts *f)
{
    const struct cachekey_url url = {f->scheme, f->host, f->path, f->query};
    cachefill_url(x->policy, &url, x->url);
    keep_where(x, f);
}

/* Its length need not be told: HTTP/2 has none in the head. */
static bool has_body(const struct request_facts *f)
{
    return f->content_length > 0 || f->body_len > 0 || f->body_follows;
}

/* False: not a request that the cache may answer; x->how says why. */
static bool read_request(struct txn *t, const struct request_facts *f)
{
    struct txn_cache *x = t->cache;
    bool get = slice_is(f->method, "GET");
    x->how = CACHESTATUS_METHOD;
    if (!get && !slice_is(f->method, "HEAD"))
        return false;
    x->how = CACHESTATUS_BYPASS;
    if (f->host.len == 0 || !slice_starts(f->path, "/") || has_body(f) || !f->headers.ptr ||
        !read_headers(x, f->headers) || cachecontrol_read(f->headers, &x->directives) < 0 ||
        !read_scope(x, f))
        return false;
    x->may_fill = get && freshness_may_fill(&x->directives);
    x->plain = !x->directives.pragma && x->directives.said == 0;
    read_url(x, f);
    vary_values(f->headers, &x->policy->cache.varies, x->values);
    return !x->where.failed;
}

static void begin(struct txn *t, const struct request_facts *f)
{
    struct txn_cache *x = t->cache;
    const struct policy *p = t->plan.policy;
    x->again = f->wait;
    x->admitted = x->unprotected = x->has_outcome = x->looked = x->on_error = false;
    x->policy = p && p->cache.enabled ? p : NULL;
    x->seen = SEEN_ERROR;
    x->looks = 0;
    memset(x->busy, 0, sizeof x->busy);
    x->how = CACHESTATUS_BYPASS;
    if (!x->policy)
        txn_warn(t, "cache-unknown", "HAProxy asks for a cached answer by a policy that has no cache");
    x->usable = x->policy && read_request(t, f);
    if (x->usable)
        txn_cache_recall(t);
}

void txn_cache(struct txn *t, const struct request_facts *f)
{
    plan_cache(t->config, f, f->wait, &t->plan);
    if (t->plan.kind == PLAN_DENY) {
        txn_warn(t, "request-refused", t->plan.detail ? t->plan.detail : "the message is incomplete");
        metrics_add(t->gate->metrics, METRIC_REQUEST_DENIED);
        txn_deny(t, t->plan.problem, t->plan.detail, 0);
        return;
    }
    if (!txn_wants_cache(t)) {
        txn_end_empty(t);
        return;
    }
    begin(t, f);
    txn_cache_wait_until(t, f->sent ? ev_time() - (double)f->sent / 1e6 : 0, (double)f->timeout / 1000);
    if (t->plan.kind == PLAN_CLAIM) {
        txn_start_claim(t, f);
        return;
    }
    txn_cache_look(t);
    txn_cache_admitted(t, NULL, false);
}

void txn_cache_admitted(struct txn *t, const struct outcome *o, bool unprotected)
{
    struct txn_cache *x = t->cache;
    x->admitted = true;
    x->unprotected = unprotected;
    x->has_outcome = o != NULL;
    if (o)
        t->seen = *o;
    if (x->looked)
        txn_cache_proceed(t);
}

static void end(struct txn *t, struct verdict_cached *v)
{
    struct txn_cache *x = t->cache;
    v->unprotected = x->unprotected;
    verdict_cache(txn_ack(t), &t->plan, x->has_outcome ? &t->seen : NULL, v);
    txn_end(t, NULL);
}

static const char *id_text(char out[CACHEID_TEXT + 1], const struct cache_said *said)
{
    const struct cacheid id = {said->mark, said->entry, said->found_us};
    cacheid_write(&id, out);
    return out;
}

struct cache_said txn_cache_served(const struct txn *t, char mark, enum cache_result result)
{
    return (struct cache_said){SAID_REPLAY, result, mark, t->cache->entry, t->cache->found_us};
}

/* It is forwarded; fill NULL: nobody else has its answer. */
static void pass(struct txn *t, enum cache_result result, const char *fill)
{
    struct txn_cache *x = t->cache;
    char status[CACHESTATUS_TEXT], stale[CACHEID_TEXT + 1];
    struct text text;
    struct cache_said failed = txn_cache_served(t, CACHEID_ERROR, CACHE_STALE);
    text_init(&text, status, sizeof status);
    cachestatus_write(&text, &(struct cachestatus){.how = x->how});
    struct verdict_cached v = {.verdict = "pass", .reason = cache_result_word(result), .fill = fill};
    v.cache_status = status;
    if (x->on_error)
        v.stale = id_text(stale, &failed);
    count(t, result);
    end(t, &v);
}

void txn_cache_say(struct txn *t, const struct cache_said *said)
{
    char id[CACHEID_TEXT + 1];
    if (said->verdict == SAID_PASS) {
        pass(t, said->result, NULL);
        return;
    }
    struct verdict_cached v = {.verdict = "replay", .reason = cache_result_word(said->result)};
    v.replay = id_text(id, said);
    count(t, said->result);
    end(t, &v);
}

/* The same holds for those who wait with it. */
static void say(struct txn *t, const struct cache_said *said)
{
    txn_cache_share(t, said);
    txn_cache_say(t, said);
}

static void say_pass(struct txn *t, enum cache_result result)
{
    say(t, &(struct cache_said){.verdict = SAID_PASS, .result = result});
}

static void serve(struct txn *t, char mark, enum cache_result result)
{
    struct cache_said said = txn_cache_served(t, mark, result);
    say(t, &said);
}

static void serve_fresh(struct txn *t)
{
    if (t->cache->again)
        serve(t, CACHEID_COLLAPSED, CACHE_COLLAPSED);
    else
        serve(t, CACHEID_HIT, CACHE_HIT);
}

void txn_cache_fetch(struct txn *t, uint64_t asked_us)
{
    struct txn_cache *x = t->cache;
    const struct vary_names *names = &x->policy->cache.varies;
    struct cachefill f = {
        .fetch = {x->authorization, x->policy->hash, x->entry, {0}},
        .names = cachefill_names(names),
        .asked_us = asked_us,
        .n = names->n
    };
    char token[CACHEFILL_TEXT_MAX + 1];
    txn_stop_waiting(t, PARKED_GO);
    if (!t->owner) {
        txn_cache_give_back(t);
        txn_end_empty(t);
        return;
    }
    memcpy(f.url, x->url, sizeof f.url);
    memcpy(f.scope, x->scope, sizeof f.scope);
    memcpy(f.fetch.lease, x->lease, sizeof f.fetch.lease);
    memcpy(f.values, x->values, sizeof f.values);
    cachefill_write(&f, token);
    metrics_add(t->gate->metrics, METRIC_CACHE_LEASES);
    pass(t, CACHE_MISS, token);
}

/* HAProxy asks again, and then it is parked; where HAProxy does not, it is forwarded. */
static void say_wait(struct txn *t)
{
    char status[CACHESTATUS_TEXT];
    struct text text;
    text_init(&text, status, sizeof status);
    cachestatus_write(&text, &(struct cachestatus){.how = t->cache->how});
    end(t, &(struct verdict_cached){.verdict = "wait", .reason = "wait", .cache_status = status});
}

/* Nothing that it may have, and it may be fetched. */
static void miss(struct txn *t)
{
    struct txn_cache *x = t->cache;
    if (!x->may_fill) {
        say_pass(t, CACHE_BYPASS);
        return;
    }
    switch (x->fill) {
    case FILL_FREE: txn_cache_lease(t); return;
    case FILL_NOT_STORABLE: say_pass(t, CACHE_BYPASS); return;
    case FILL_FAILED:
        if (x->on_error)
            serve(t, CACHEID_ERROR, CACHE_STALE);
        else
            say_pass(t, CACHE_MISS);
        return;
    case FILL_BUSY: break;
    }
    if (!x->again && x->plain && x->policy->cache.fill_ms > 0)
        say_wait(t);
    else if (!x->plain || !txn_cache_wait(t))
        say_pass(t, CACHE_MISS);
}

/* only-if-cached: it must not be forwarded (RFC 9111, section 5.2.1.7). */
static void say_504(struct txn *t, enum cache_result result)
{
    count(t, result);
    txn_deny(t, PROBLEM_NOT_CACHED, NULL, 0);
}

/* Redis did not say, or it was not asked. Those who wait go on: they would all reach the backend at once. */
static void unseen(struct txn *t)
{
    const struct txn_cache *x = t->cache;
    if (txn_cache_wait_on(t))
        return;
    if (!x->usable)
        say_pass(t, CACHE_BYPASS);
    else if (cc_said(&x->directives, CC_ONLY_IF_CACHED))
        say_504(t, CACHE_ERROR);
    else
        say_pass(t, CACHE_ERROR);
}

void txn_cache_proceed(struct txn *t)
{
    struct txn_cache *x = t->cache;
    switch (x->seen) {
    case SEEN_ERROR: unseen(t); return;
    case SEEN_FRESH: serve_fresh(t); return;
    case SEEN_TAKEN: serve(t, CACHEID_STALE, CACHE_STALE); return;
    case SEEN_504: say_504(t, CACHE_MISS); return;
    case SEEN_STALE:
        if (x->fill == FILL_FREE && x->may_fill)
            txn_cache_lease(t);
        else
            serve(t, CACHEID_STALE, CACHE_STALE);
        return;
    case SEEN_NONE: miss(t);
    }
}
