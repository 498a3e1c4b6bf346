// SPDX-License-Identifier: MIT
/* What HAProxy reports for the cache: the answer of a fill (once-fill), and an unsafe method that has succeeded (once-unsafe).
 *
 *   token ──► policy, values ──► storable? ──► entry ──┐
 *                                  └─ no: a mark ──────┴─► filled.lua ──► those who wait are told ──► ACK
 *   URL, Location, Content-Location ──► one URL for each policy with a cache ──► purge.lua ──► ACK
 *
 * The ACK waits for Redis, at most cache.deadline: whoever has the answer finds it, or finds it gone. */
#include "rooms/txn_inner.h"

#include "adapters/log.h"
#include "domain/cacheentry.h"
#include "domain/conditional.h"
#include "domain/evidence.h"
#include "domain/fingerprint.h"
#include "domain/record.h"
#include "domain/verdict.h"

enum { NOT_MODIFIED = 304, SERVER_ERRORS = 500 };

static struct buf command; /* reused: one command is built at a time */
static struct buf entry;   /* reused: the entry of one message */
enum { UNSAFE_NAMED = 2, UNSAFE_URLS };
static struct buf paths[UNSAFE_NAMED]; /* reused: of what one message names */

/* Beside what record_pack_done() never stores: Age is part of the entry's; the others belong to one connection (RFC 9111, 3.1). */
static const char *const never_cached[] = {"age", "set-cookie", "set-cookie2", "proxy-authentication-info",
                                           "proxy-authorization"};

static void count(struct txn *t, enum store_reason why)
{
    struct cache_counts *all = t->gate->metrics->caches;
    if (all)
        cache_count_of(all, t->filled)->store[why]++;
}

static void answer(struct txn *t, bool confirmed)
{
    verdict_response(txn_ack(t), confirmed, confirmed);
    txn_end(t, NULL);
}

static void on_filled(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    t->cache_call = NULL;
    bool said = reply->status == REDIS_BYTES && reply->bytes.len == 1;
    if (reply->status != REDIS_LOST)
        cache_heard(t->gate->cache, reply->status != REDIS_LATE);
    if (!said || reply->bytes.ptr[0] == 'F') {
        metrics_add(t->gate->metrics, METRIC_CACHE_FILL_FAILED);
        t->stored = t->stored == STORE_YES ? STORE_FAILED : t->stored;
    }
    count(t, t->stored);
    answer(t, said);
}

static void on_purged(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    t->cache_call = NULL;
    bool said = reply->status == REDIS_BYTES;
    if (!said)
        metrics_add(t->gate->metrics, METRIC_CACHE_PURGE_FAILED);
    answer(t, said);
}

/* Sends `command`, whatever the breaker says: a purge and the end of a fill are worth a try. front: bytes of a command before the one
 * whose reply counts. */
static bool ask(struct txn *t, size_t front, redis_reply_fn *fn)
{
    struct redis *redis = cache_redis(t->gate->cache);
    double within = t->config->cache.deadline_ms / 1000.0;
    if (command.failed || !redis_room(redis, REDIS_OUTCOMES) ||
        (front > 0 && !redis_submit(redis, command.data, front, 0, NULL, NULL)))
        return false;
    t->cache_call = redis_submit(redis, command.data + front, command.len - front, within, fn, t);
    return t->cache_call != NULL;
}

static void rules_of(const struct cache_policy *c, struct freshness_rules *out)
{
    *out = (struct freshness_rules){
        .ttl_s = c->ttl_s,
        .stale_while_revalidate_s = c->stale_while_revalidate_s,
        .stale_if_error_s = c->stale_if_error_s,
        .per_principal = c->per == CACHE_PER_PRINCIPAL,
        .store = c->stored,
        .vary = c->varies,
    };
}

/* Once for each policy: who reads it can mend the list, or the application. */
static void warn_vary(struct txn *t, const struct policy *p, struct spop_slice headers)
{
    struct cache_counts *all = t->gate->metrics->caches;
    if (all && cache_count_of(all, p)->store[STORE_VARY] > 0)
        return;
    LOG(LOG_WARNING, "cache-vary", log_text("policy", p->name),
        log_bytes("vary", headers_find(headers, "vary")),
        log_text("why", "an answer varies on a header that cache.vary does not have: it is not stored"),
        log_text("correlation", t->correlation));
}

/* What the answer says, held against the policy. e's slices and tags point into f and tags. */
static enum store_reason judge(const struct policy *p, const struct cachefill *fill,
                               const struct response_facts *f, size_t buffer, uint64_t now_us,
                               struct cacheentry *e, struct cachetags *tags)
{
    const struct cache_policy *c = &p->cache;
    struct freshness_rules rules;
    struct validators v;
    rules_of(c, &rules);
    const struct freshness_answer a = {.method = f->method.len ? f->method : slice_of("GET"),
                                       .authorization = fill->fetch.authorization,
                                       .status = (unsigned)f->status,
                                       .headers = f->headers,
                                       .asked_us = fill->asked_us,
                                       .received_us = now_us};
    enum store_reason why = freshness_store(&rules, &a, &e->freshness, &e->names);
    tags->n = 0;
    if (why != STORE_YES)
        return why;
    if (f->body_len > (int64_t)c->max_size || f->content_length > (int64_t)c->max_size)
        return STORE_TOO_LARGE;
    if (!evidence_is_whole(f) && !evidence_chunks_are_whole(f))
        return f->content_length >= 0 && !body_fits(f->content_length, (int64_t)f->headers.len, buffer)
                   ? STORE_TOO_LARGE
                   : STORE_INCOMPLETE;
    if (*c->tags && !cachetags_read(f->headers, c->tags, p->hash, tags))
        return STORE_TAGS;
    conditional_validators(a.status, f->headers, (int64_t)(now_us / 1000000), &v);
    e->status = a.status;
    e->policy = p->hash;
    memcpy(e->url, fill->url, sizeof e->url);
    e->asked_us = fill->asked_us;
    e->etag = v.etag;
    e->modified_s = v.modified_s;
    e->ntags = tags->n;
    e->tags = &tags->digest[0][0];
    return STORE_YES;
}

/* The whole value; false: the headers cannot be packed. */
static bool pack(struct txn *t, const struct cacheentry *e, const struct record_id *id,
                 const struct response_facts *f)
{
    struct response r = {.status = (unsigned)f->status, .headers = f->headers, .body = f->body};
    const struct seal_place at = {SEAL_ANSWER, id, e->asked_us};
    buf_reset(&entry);
    if (!cacheentry_write(&entry, e))
        return false;
    size_t head = entry.len;
    if (stored_pack(&entry, &r, never_cached, sizeof never_cached / sizeof *never_cached) < 0)
        return false;
    sealer_close(t->gate->sealer, &entry, head, &at);
    return !entry.failed;
}

/* Because of who has asked, and how: the same answer to another request may be storable (RFC 9111, sections 3 and 3.5). */
static bool is_of_request(enum store_reason why)
{
    return why == STORE_AUTHORIZATION || why == STORE_STATUS || why == STORE_PARTIAL || why == STORE_METHOD;
}

/* What those are told who come next: that it failed, that they need not wait, or nothing; x: only those who wait for this one. */
static char mark_of(enum store_reason why, const struct response_facts *f)
{
    bool cut = why == STORE_INCOMPLETE && f->content_length >= 0;
    if (why == STORE_YES || f->status == NOT_MODIFIED)
        return 0;
    if (f->status >= SERVER_ERRORS || cut)
        return 'e';
    return is_of_request(why) ? 'x' : 'n';
}

static void refuse(struct txn *t, const struct response_facts *f)
{
    static struct log_gate gate;
    metrics_add(t->gate->metrics, METRIC_SPOP_BAD_MESSAGES);
    if (log_gate_open(&gate, 10, t->began))
        LOG(LOG_WARNING, "fill-refused",
            log_text("why", "no token that we understand, or one of a policy that has changed"),
            log_int("status", f->status), log_text("correlation", t->correlation),
            log_int("left_out", gate.left_out));
    answer(t, false);
}

/* Writes what Redis is told; bytes of its first command, if there are two. */
static size_t store(struct txn *t, const struct cachefill *fill, const struct response_facts *f)
{
    const struct policy *p = t->filled;
    const struct vary_names *names = &p->cache.varies;
    uint64_t now_us = cache_now_us(t->gate->cache);
    struct cacheentry e = {0};
    struct cachetags tags;
    t->stored = judge(p, fill, f, txn_buffer(t), now_us, &e, &tags);
    struct cachefilled w = {
        .mark_ms = p->cache.not_storable_ms, .asked_us = fill->asked_us, .keep_ms = t->config->cache.keep_ms};
    const uint8_t(*values)[VARY_VALUE] = (const uint8_t(*)[VARY_VALUE])fill->values;
    w.fill = w.entry = fill->fetch.entry;
    if (t->stored == STORE_YES) {
        cachefill_entry(fill->url, fill->scope, names, (unsigned)cachefill_mask(names, &e.names), values,
                        &w.entry);
        if (!pack(t, &e, &w.entry, f))
            t->stored = STORE_MALFORMED;
    }
    if (t->stored == STORE_VARY)
        warn_vary(t, p, f->headers);
    w.mark = mark_of(t->stored, f);
    memcpy(w.lease, fill->fetch.lease, sizeof w.lease);
    if (t->stored == STORE_YES) {
        uint64_t keep_ms = freshness_keep_ms(&e.freshness, now_us), life_ms = t->config->cache.life_ms;
        w.value = (struct spop_slice){(const char *)entry.data, entry.len};
        w.value_ms = keep_ms < life_ms ? keep_ms : life_ms;
        w.names = &e.names;
    }
    buf_reset(&command);
    return cachescript_filled(&command, &w, fill->url);
}

void txn_fill(struct txn *t, const struct response_facts *f)
{
    struct cachefill fill;
    t->filled = NULL;
    if (cachefill_read(f->token, &fill) < 0 || !(t->filled = cachefill_policy(t->config, &fill))) {
        refuse(t, f);
        return;
    }
    if (ask(t, store(t, &fill, f), on_filled))
        return;
    metrics_add(t->gate->metrics, METRIC_CACHE_FILL_FAILED);
    count(t, t->stored == STORE_YES ? STORE_FAILED : t->stored);
    answer(t, false);
}

/* The URL itself, and what the answer names on the same origin (RFC 9111, section 4.4). */
static unsigned urls_of(const struct request_facts *f, struct cachekey_url out[UNSAFE_URLS])
{
    const struct spop_slice named[UNSAFE_NAMED] = {f->location, f->content_location};
    unsigned n = 1;
    out[0] = (struct cachekey_url){f->scheme, f->host, f->path, f->query};
    for (size_t i = 0; i < UNSAFE_NAMED; i++)
        if (named[i].len > 0 && cachekey_resolve(named[i], &out[0], &paths[i], &out[n]) &&
            cachekey_same_origin(&out[0], &out[n]))
            n++;
    return n;
}

static unsigned digests_of(const struct config *c, const struct cachekey_url *urls, unsigned n,
                           uint8_t out[UNSAFE_URLS * CONFIG_POLICIES_MAX][CACHEKEY_DIGEST])
{
    unsigned total = 0;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct policy *p = &c->policies[i];
        for (unsigned u = 0; p->cache.enabled && u < n; u++)
            cachefill_url(p, &urls[u], out[total++]);
    }
    return total;
}

void txn_unsafe(struct txn *t, const struct request_facts *f)
{
    uint8_t digests[UNSAFE_URLS * CONFIG_POLICIES_MAX][CACHEKEY_DIGEST];
    struct cachekey_url urls[UNSAFE_URLS];
    bool succeeded = f->status >= 200 && f->status < 400;
    unsigned n = succeeded ? digests_of(t->config, urls, urls_of(f, urls), digests) : 0;
    if (n == 0) {
        txn_end_empty(t);
        return;
    }
    metrics_add(t->gate->metrics, METRIC_CACHE_PURGED);
    buf_reset(&command);
    cachescript_purge_urls(&command, (const uint8_t(*)[CACHEKEY_DIGEST])digests, n);
    if (ask(t, 0, on_purged))
        return;
    metrics_add(t->gate->metrics, METRIC_CACHE_PURGE_FAILED);
    answer(t, false);
}
