// SPDX-License-Identifier: MIT
/* Serving stored answers: from memory, else from Redis, else not at all.
 *
 *   request ──REPLAY_HEALTH──► 200, or 503 when nothing should be asked here any more
 *      │    ──bad id──► 400
 *      │ kept, same fence ──► answer
 *      ▼
 *   GET record ──LATE, LOST, nil, not DONE, other fence, not to be read──► 503
 *      └── same fence ──► kept, answer
 *   answer ──sealed, and not to be opened──► 503
 *   a cached one in place of a failure ──MGET of its purges──► purged, or Redis does not say: 503
 *
 *   buckets[digest] ──► kept ◄──► kept        (a chain for each bucket)
 *   order: oldest ◄──────► kept ◄──► newest   (memory and time take from the oldest)
 *
 * A finished record does not change until it expires, so what is kept is exact; the fence tells whether it is
 * the one that HAProxy means. */
#include "rooms/replay.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "domain/script.h"
#include "rooms/monotonic.h"
#include "rooms/replay_cache.h"

enum {
    REPLAY_IDLE_S = 60,
    QUESTIONS_MOST = 2,    /* about the purges of one answer */
    REPLAY_BUCKETS = 8192, /* digests are evenly spread; a full memory of small answers has short chains */
};

/* Seconds: how old what Redis has said may be when it is said again without it. */
static const double RECENT = 1;

struct kept {
    TAILQ_ENTRY(kept) order;
    LIST_ENTRY(kept) chain;
    struct record_id id;
    double since; /* monotonic_now(): when Redis was asked for it, the last time */
    size_t len;
    uint8_t bytes[];
};
_Static_assert(sizeof(struct kept) <= REPLAY_OVERHEAD, "what is counted must cover what is used");

/* What is asked for: a record's answer, or a cached one. */
struct wanted {
    struct record_id id;
    uint64_t fence; /* of the record */
    bool cached;
    struct cacheid cache; /* of the cached one */
};

struct fetch {
    LIST_ENTRY(fetch) link;
    struct replay *replay;
    struct httpd_request *request;
    struct redis_call *call;
    struct wanted wanted;
    double asked;      /* monotonic_now() */
    uint64_t asked_us; /* of the entry whose purges are asked for */
    unsigned questions;
};

struct replay {
    struct ev_loop *loop;
    struct httpd *httpd;
    struct redis *redis;
    struct sealer *sealer;
    struct cache *cache;
    struct metrics *metrics;
    struct replay_health health;
    size_t memory, used;
    ev_tstamp keep, deadline; /* seconds */
    config_text problem_base;
    ev_timer expiry;
    struct buf command;
    LIST_HEAD(, fetch) fetches;
    TAILQ_HEAD(order, kept) order;
    LIST_HEAD(bucket, kept) buckets[REPLAY_BUCKETS];
};

static struct bucket *bucket_of(struct replay *r, const struct record_id *id)
{
    return &r->buckets[(id->digest[0] | (unsigned)id->digest[1] << 8) % REPLAY_BUCKETS];
}

static struct kept *kept_find(struct replay *r, const struct record_id *id)
{
    struct kept *k;
    LIST_FOREACH(k, bucket_of(r, id), chain)
    if (memcmp(&k->id, id, sizeof *id) == 0)
        return k;
    return NULL;
}

static void set_used(struct replay *r, size_t used)
{
    r->used = used;
    metrics_set(r->metrics, METRIC_REPLAY_BYTES, used);
}

static void kept_drop(struct replay *r, struct kept *k)
{
    TAILQ_REMOVE(&r->order, k, order);
    LIST_REMOVE(k, chain);
    set_used(r, r->used - REPLAY_OVERHEAD - k->len);
    free(k);
}

/* Drops the oldest until `cost` more bytes fit. */
static void make_room(struct replay *r, size_t cost)
{
    while (r->used > r->memory - cost) {
        kept_drop(r, TAILQ_FIRST(&r->order));
        metrics_add(r->metrics, METRIC_REPLAY_EVICTED);
    }
}

static void start_expiry(struct replay *r)
{
    struct kept *oldest = TAILQ_FIRST(&r->order);
    if (!oldest || ev_is_active(&r->expiry))
        return;
    ev_tstamp left = oldest->since + r->keep - monotonic_now();
    ev_timer_set(&r->expiry, left > 0 ? left : 0, 0);
    ev_timer_start(r->loop, &r->expiry);
}

static void on_expiry(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct replay *r = w->data;
    struct kept *k;
    double now = monotonic_now();
    (void)loop;
    (void)revents;
    while ((k = TAILQ_FIRST(&r->order)) && now - k->since >= r->keep)
        kept_drop(r, k);
    start_expiry(r);
}

static bool kept_same(const struct kept *k, const void *bytes, size_t len)
{
    return k->len == len && memcmp(k->bytes, bytes, len) == 0;
}

/* The same answer again, as in a storm of retries: nothing is copied, it only becomes the newest. */
static bool kept_renew(struct replay *r, const struct record_id *id, const void *record, size_t len,
                       double asked)
{
    struct kept *k = kept_find(r, id);
    if (!k)
        return false;
    if (!kept_same(k, record, len)) {
        kept_drop(r, k);
        return false;
    }
    TAILQ_REMOVE(&r->order, k, order);
    TAILQ_INSERT_TAIL(&r->order, k, order);
    if (k->since < asked)
        k->since = asked;
    return true;
}

void replay_keep(struct replay *r, const struct record_id *id, const void *record, size_t len, double asked)
{
    if (kept_renew(r, id, record, len, asked))
        return;
    if (r->memory < REPLAY_OVERHEAD || len > r->memory - REPLAY_OVERHEAD) {
        metrics_add(r->metrics, METRIC_REPLAY_EVICTED);
        return;
    }
    make_room(r, REPLAY_OVERHEAD + len);
    struct kept *k = malloc(sizeof *k + len);
    if (!k)
        return;
    *k = (struct kept){.id = *id, .since = asked, .len = len};
    memcpy(k->bytes, record, len);
    TAILQ_INSERT_TAIL(&r->order, k, order);
    LIST_INSERT_HEAD(bucket_of(r, id), k, chain);
    set_used(r, r->used + REPLAY_OVERHEAD + len);
    start_expiry(r);
}

bool replay_has(struct replay *r, const struct record_id *id, struct spop_slice bytes)
{
    const struct kept *k = kept_find(r, id);
    return k && kept_same(k, bytes.ptr, bytes.len);
}

void replay_forget(struct replay *r, const struct record_id *id)
{
    struct kept *k = kept_find(r, id);
    if (k)
        kept_drop(r, k);
}

struct spop_slice replay_recent(struct replay *r, const struct record_id *id, const uint8_t fingerprint[16])
{
    struct record record;
    const struct kept *k = kept_find(r, id);
    if (!k || monotonic_now() - k->since > RECENT || record_open(k->bytes, k->len, &record) < 0 ||
        record.state != RECORD_DONE || memcmp(record.fingerprint, fingerprint, 16) != 0)
        return (struct spop_slice){0};
    return (struct spop_slice){(const char *)k->bytes, k->len};
}

static bool is_replaced(struct spop_slice name)
{
    static const char *const names[] = {"cache-control", "idempotent-replayed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == name.len && strncasecmp(names[i], name.ptr, name.len) == 0)
            return true;
    return false;
}

/* False: it is no stored response; nothing was sent. */
static bool send_stored(struct httpd_request *q, struct spop_slice payload)
{
    struct stored stored;
    if (stored_open(payload, &stored) < 0 || stored.status < 200 || stored.status > 599)
        return false;
    struct spop_slice at = stored.headers, name, value;
    int more;
    httpd_begin(q, stored.status, stored.body.ptr, stored.body.len);
    while ((more = stored_header(&at, &name, &value)) > 0)
        if (!is_replaced(name) && !httpd_add(q, name, value))
            return false;
    if (more < 0)
        return false;
    httpd_add_text(q, "Idempotent-Replayed", "true");
    httpd_add_text(q, "Cache-Control", "no-store");
    httpd_send(q);
    return true;
}

/* Unless ANSWERED, nothing was sent: these bytes are not the finished record that is meant, or it is sealed and
 * cannot be opened. */
static enum answered answer(struct replay *r, struct httpd_request *q, struct spop_slice bytes,
                            const struct wanted *w)
{
    const uint64_t fence = w->fence;
    const struct seal_place at = {SEAL_ANSWER, &w->id, fence};
    struct record record;
    if (w->cached)
        return replay_cache_answer(r->cache, r->sealer, r->metrics, q, bytes, &w->cache);
    if (record_open(bytes.ptr, bytes.len, &record) < 0 || record.state != RECORD_DONE ||
        record.fence != fence)
        return NOT_MEANT;
    if (!sealer_open(r->sealer, &record.payload, &at))
        return NOT_OPENED;
    return send_stored(q, record.payload) ? ANSWERED : NOT_MEANT;
}

static void refuse(struct httpd_request *q, unsigned status, bool again, json_t *problem)
{
    char *text = problem ? json_dumps(problem, JSON_COMPACT) : NULL;
    httpd_begin(q, status, text, text ? strlen(text) : 0);
    httpd_add_text(q, "Content-Type", "application/problem+json");
    httpd_add_text(q, "Cache-Control", "no-store");
    if (again)
        httpd_add_text(q, "Retry-After", "1");
    httpd_send(q);
    free(text);
    json_decref(problem);
}

static void refuse_id(struct httpd_request *q)
{
    refuse(q, 400, false,
           json_pack("{s:s,s:s,s:i,s:s}", "type", "about:blank", "title", "Bad request", "status", 400,
                     "detail", "The header Once-Replay names no stored answer"));
}

/* A missing answer may be there the next time; a seal that does not open waits for an operator. */
static void refuse_answer(struct replay *r, struct httpd_request *q, enum answered why)
{
    const char *detail = why == NOT_OPENED ? "The stored answer cannot be opened; an operator must look"
                                           : "The stored answer cannot be fetched now";
    metrics_add(r->metrics, METRIC_REPLAY_GONE);
    refuse(q, 503, why != NOT_OPENED,
           json_pack("{s:s+,s:s,s:i,s:s}", "type", r->problem_base, problem_word(PROBLEM_UNAVAILABLE),
                     "title", problem_title(PROBLEM_UNAVAILABLE), "status", 503, "detail", detail));
}

static void fetch_free(struct fetch *f)
{
    LIST_REMOVE(f, link);
    free(f);
}

/* Serves what Redis has said, done ANSWERED; else refuses. */
static void fetch_end(struct fetch *f, struct spop_slice bytes, enum answered done)
{
    struct replay *r = f->replay;
    if (done == ANSWERED)
        done = answer(r, f->request, bytes, &f->wanted);
    if (done == ANSWERED) {
        metrics_add(r->metrics, METRIC_REPLAY_FETCHED);
        replay_keep(r, &f->wanted.id, bytes.ptr, bytes.len, f->asked);
    } else {
        refuse_answer(r, f->request, done);
    }
    fetch_free(f);
}

/* Sends r->command. */
static bool fetch_ask(struct fetch *f, redis_reply_fn *fn)
{
    struct replay *r = f->replay;
    struct redis *redis = f->wanted.cached ? cache_redis(r->cache) : r->redis;
    f->asked = monotonic_now();
    f->call =
        r->command.failed ? NULL : redis_submit(redis, r->command.data, r->command.len, r->deadline, fn, f);
    return f->call != NULL;
}

static bool is_for_error(const struct wanted *w)
{
    return w->cached && w->cache.mark == CACHEID_ERROR;
}

static bool ask_purges(struct fetch *f, struct spop_slice bytes);

static void on_purges(void *arg, const struct redis_reply *reply)
{
    struct fetch *f = arg;
    struct spop_slice bytes = redis_item(reply, CACHELOOK_ENTRY);
    enum answered done = replay_cache_counts(f->replay->cache, reply, f->asked_us);
    if (done != ANOTHER || !ask_purges(f, bytes))
        fetch_end(f, bytes, done);
}

/* An entry that changes at each question is none. */
static bool ask_purges(struct fetch *f, struct spop_slice bytes)
{
    struct cachelook l;
    if (++f->questions > QUESTIONS_MOST || !replay_cache_question(bytes, &f->wanted.cache, &l, &f->asked_us))
        return false;
    buf_reset(&f->replay->command);
    cachescript_lookup(&f->replay->command, &l);
    return fetch_ask(f, on_purges);
}

static void on_record(void *arg, const struct redis_reply *reply)
{
    struct fetch *f = arg;
    bool there = reply->status == REDIS_BYTES;
    if (!there || !is_for_error(&f->wanted) || !ask_purges(f, reply->bytes))
        fetch_end(f, reply->bytes, there && !is_for_error(&f->wanted) ? ANSWERED : NOT_MEANT);
}

/* kept: what this agent has of it; ptr NULL: nothing, it is asked for. */
static bool fetch_start(struct replay *r, struct httpd_request *q, const struct wanted *w,
                        struct spop_slice kept)
{
    struct fetch *f = malloc(sizeof *f);
    if (!f)
        return false;
    *f = (struct fetch){.replay = r, .request = q, .wanted = *w};
    LIST_INSERT_HEAD(&r->fetches, f, link);
    if (kept.ptr && ask_purges(f, kept))
        return true;
    buf_reset(&r->command);
    if (w->cached)
        cachescript_get(&r->command, &w->id);
    else
        script_get(&r->command, &w->id);
    if (fetch_ask(f, on_record))
        return true;
    fetch_free(f);
    return false;
}

/* False: the text names no answer. */
static bool wanted_read(const struct replay *r, const char *text, struct wanted *w)
{
    size_t len = strlen(text);
    *w = (struct wanted){.cached = len == CACHEID_TEXT};
    if (!w->cached)
        return replay_id_read(text, len, &w->id, &w->fence) == 0;
    if (!r->cache || cacheid_read(text, len, &w->cache) < 0)
        return false;
    w->id = w->cache.entry;
    return true;
}

static void answer_health(const struct replay *r, struct httpd_request *q)
{
    httpd_begin(q, r->health.well(r->health.arg) ? 200 : 503, NULL, 0);
    httpd_send(q);
}

static void on_request(void *arg, struct httpd_request *q, const char *method, const char *path)
{
    struct replay *r = arg;
    struct wanted wanted;
    const char *text = httpd_header(q, "Once-Replay");
    (void)method;
    if (!text && strcmp(path, REPLAY_HEALTH) == 0) {
        answer_health(r, q);
        return;
    }
    if (!text || !wanted_read(r, text, &wanted)) {
        refuse_id(q);
        return;
    }
    struct kept *k = kept_find(r, &wanted.id);
    struct spop_slice kept = {0};
    enum answered done = NOT_MEANT;
    if (k && is_for_error(&wanted))
        kept = (struct spop_slice){(const char *)k->bytes, k->len};
    else if (k)
        done = answer(r, q, (struct spop_slice){(const char *)k->bytes, k->len}, &wanted);
    if (done == NOT_OPENED) /* its key has gone: the next one is to find that out before it is served */
        kept_drop(r, k);
    if (done == ANSWERED)
        metrics_add(r->metrics, METRIC_REPLAY_SERVED);
    else if (done == NOT_OPENED || !fetch_start(r, q, &wanted, kept))
        refuse_answer(r, q, done);
}

void replay_set_cache(struct replay *r, struct cache *cache)
{
    r->cache = cache;
}

void replay_reconfigure(struct replay *r, const struct config *c)
{
    r->memory = c->replay.memory;
    r->keep = c->replay.keep_ms / 1000.0;
    r->deadline = c->redis.deadline_ms / 1000.0;
    memcpy(r->problem_base, c->problems.base, sizeof r->problem_base);
    make_room(r, 0);
    ev_timer_stop(r->loop, &r->expiry);
    start_expiry(r);
}

struct replay *replay_new(struct ev_loop *loop, int listen_fd, struct redis *redis, struct sealer *sealer,
                          const struct config *c, struct metrics *metrics, const struct replay_health *health)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->redis = redis;
    r->sealer = sealer;
    r->metrics = metrics;
    r->health = *health;
    TAILQ_INIT(&r->order);
    LIST_INIT(&r->fetches);
    buf_init(&r->command);
    ev_timer_init(&r->expiry, on_expiry, 0, 0);
    r->expiry.data = r;
    replay_reconfigure(r, c);
    const struct httpd_bounds bounds = {c->replay.max_connections, REPLAY_IDLE_S, c->replay.max_head};
    r->httpd = httpd_new(loop, listen_fd, &bounds, on_request, r);
    if (!r->httpd) {
        free(r);
        return NULL;
    }
    return r;
}

void replay_free(struct replay *r)
{
    struct fetch *f;
    while ((f = LIST_FIRST(&r->fetches))) {
        redis_detach(f->call);
        fetch_free(f);
    }
    httpd_free(r->httpd);
    ev_timer_stop(r->loop, &r->expiry);
    while (!TAILQ_EMPTY(&r->order))
        kept_drop(r, TAILQ_FIRST(&r->order));
    buf_free(&r->command);
    free(r);
}
