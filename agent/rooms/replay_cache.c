// SPDX-License-Identifier: MIT
/* entry ──► the client's conditions ─┬─ its copy is good ──► 304, and the headers that may have changed
 *                                    └─ else ─────────────► status, headers, body (HEAD: the server leaves that out)
 *
 * What a 304 carries: RFC 9110, section 15.4.5. */
#include "rooms/replay_cache.h"

#include "domain/cacheentry.h"
#include "domain/cachestatus.h"
#include "domain/conditional.h"
#include "domain/httpdate.h"
#include "domain/record.h"
#include "spop/writer.h"

static struct buf conditions; /* reused: the request's conditional headers, as HAProxy writes headers */

static const char *const conditional_names[] = {"If-None-Match", "If-Modified-Since"};
static const char *const not_modified_names[] = {
    "cache-control", "content-location", "date", "etag", "expires", "vary", "cache-status"};

static void put_short(struct buf *out, struct spop_slice s)
{
    uint8_t memory[16];
    struct spop_writer w;
    spop_writer_init(&w, memory, sizeof memory);
    spop_put_varint(&w, s.len);
    buf_put(out, memory, w.len);
    buf_put(out, s.ptr, s.len);
}

static void put_condition(void *arg, struct spop_slice name, struct spop_slice value)
{
    (void)arg;
    for (size_t i = 0; i < sizeof conditional_names / sizeof *conditional_names; i++) {
        if (headers_same(name, i ? "if-modified-since" : "if-none-match")) {
            put_short(&conditions, name);
            put_short(&conditions, value);
        }
    }
}

static bool not_modified(struct httpd_request *q, const struct cacheentry *e, int64_t now_s)
{
    const struct validators v = {e->status, e->etag, e->modified_s};
    if (!httpd_header(q, conditional_names[0]) && !httpd_header(q, conditional_names[1]))
        return false;
    buf_reset(&conditions);
    httpd_each_header(q, put_condition, NULL);
    buf_put(&conditions, "\0\0", 2);
    return !conditions.failed &&
           conditional_not_modified(&v, (struct spop_slice){(const char *)conditions.data, conditions.len},
                                    now_s);
}

static bool goes_with_304(struct spop_slice name)
{
    for (size_t i = 0; i < sizeof not_modified_names / sizeof *not_modified_names; i++)
        if (headers_same(name, not_modified_names[i]))
            return true;
    return false;
}

static bool add_stored(struct httpd_request *q, const struct stored *stored, bool unchanged)
{
    struct spop_slice at = stored->headers, name, value;
    int more;
    while ((more = stored_header(&at, &name, &value)) > 0)
        if ((!unchanged || goes_with_304(name)) && !httpd_add(q, name, value))
            return false;
    return more == 0;
}

static void add_age(struct httpd_request *q, const struct cacheentry *e, uint64_t now_us)
{
    char memory[24], date[HTTPDATE_TEXT];
    struct text t;
    text_init(&t, memory, sizeof memory);
    text_dec(&t, freshness_age_s(&e->freshness, now_us));
    httpd_add_text(q, "Age", memory);
    if (e->freshness.dated)
        return;
    httpdate_write((int64_t)(e->freshness.received_us / 1000000), date);
    httpd_add_text(q, "Date", date);
}

static void add_status(struct httpd_request *q, const struct cacheentry *e, char mark, uint64_t now_us)
{
    static const char stale_if_error[] = "stale-if-error";
    char memory[CACHESTATUS_TEXT];
    struct text t;
    struct cachestatus s = {
        .how = CACHESTATUS_HIT, .has_ttl = true, .ttl_s = freshness_ttl_s(&e->freshness, now_us)};
    if (mark == CACHEID_COLLAPSED) {
        s.how = CACHESTATUS_MISS;
        s.collapsed = true;
    } else if (mark == CACHEID_ERROR) {
        s.how = CACHESTATUS_STALE;
        s.detail = slice_of(stale_if_error);
    }
    text_init(&t, memory, sizeof memory);
    cachestatus_write(&t, &s);
    httpd_add_text(q, "Cache-Status", memory);
}

/* The backend may have taken long to fail: what was stale enough when it was asked may be too stale now (RFC 5861, section 4). */
static bool is_too_stale(const struct cacheentry *e, char mark, uint64_t now_us)
{
    static const struct cachecontrol plain;
    return mark == CACHEID_ERROR && !freshness_on_error(&e->freshness, &plain, now_us);
}

bool replay_cache_question(struct spop_slice bytes, const struct cacheid *id, struct cachelook *l,
                           uint64_t *asked_us)
{
    static uint8_t tags[CACHETAGS_MAX][CACHETAGS_DIGEST];
    struct cacheentry e;
    if (cacheentry_read(bytes, &e) < 0)
        return false;
    memcpy(tags, e.tags, (size_t)e.ntags * CACHETAGS_DIGEST);
    *l = (struct cachelook){.entry = id->entry, .policy = e.policy, .ntags = e.ntags};
    l->tags = (const uint8_t(*)[CACHETAGS_DIGEST])tags;
    memcpy(l->url, e.url, sizeof l->url);
    *asked_us = e.asked_us;
    return true;
}

enum answered replay_cache_counts(const struct cache *cache, const struct redis_reply *reply,
                                  uint64_t asked_us)
{
    struct cacheentry e;
    uint64_t last = cachestate_url_us(redis_item(reply, CACHELOOK_URL));
    uint64_t policy = cachestate_policy_us(redis_item(reply, CACHELOOK_POLICY), NULL);
    if (reply->status != REDIS_ITEMS || cacheentry_read(redis_item(reply, CACHELOOK_ENTRY), &e) < 0)
        return NOT_MEANT;
    if (e.asked_us != asked_us || reply->nitems != CACHELOOK_TAGS + e.ntags)
        return ANOTHER;
    last = policy > last ? policy : last;
    for (unsigned i = 0; i < e.ntags; i++) {
        uint64_t us = cachestate_purged_us(redis_item(reply, CACHELOOK_TAGS + i));
        last = us > last ? us : last;
    }
    return cacheentry_counts(&e, last, cache_now_us(cache)) ? ANSWERED : NOT_MEANT;
}

enum answered replay_cache_answer(struct cache *cache, struct sealer *sealer, struct metrics *metrics,
                                  struct httpd_request *q, struct spop_slice bytes, const struct cacheid *id)
{
    struct cacheentry e;
    struct stored stored;
    uint64_t now_us = cache_now_us(cache);
    if (cacheentry_read(bytes, &e) < 0 || e.asked_us < id->asked_us || is_too_stale(&e, id->mark, now_us))
        return NOT_MEANT;
    const struct seal_place at = {SEAL_ANSWER, &id->entry, e.asked_us};
    if (!sealer_open(sealer, &e.payload, &at))
        return NOT_OPENED;
    if (stored_open(e.payload, &stored) < 0 || stored.status < 200)
        return NOT_MEANT;
    bool unchanged = not_modified(q, &e, (int64_t)(now_us / 1000000));
    httpd_begin(q, unchanged ? 304 : stored.status, stored.body.ptr, stored.body.len);
    if (!add_stored(q, &stored, unchanged))
        return NOT_MEANT;
    add_age(q, &e, now_us);
    add_status(q, &e, id->mark, now_us);
    httpd_send(q);
    if (metrics->caches)
        cache_counts_served(metrics->caches, e.policy, unchanged ? 0 : stored.body.len);
    return ANSWERED;
}
