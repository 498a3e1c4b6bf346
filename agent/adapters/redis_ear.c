// SPDX-License-Identifier: MIT
/* One write asks for everything ([AUTH] PSUBSCRIBE); the replies come in order, messages only behind them. In
 * RESP2 a subscribed connection may still be asked PING, and answers an array: so a peer that is gone without
 * a word is noticed. */
#include "adapters/redis_ear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "adapters/resolve.h"
#include "adapters/stream.h"
#include "domain/resp.h"

#define PAUSE    0.1
#define PATIENCE 2.0
#define PING     1.0
#define CHANNELS "once:w:"

enum { INPUT_MAX = 16384 };

struct redis_ear {
    struct stream stream; /* first: the stream's callback finds us by it */
    struct ev_loop *loop;
    const struct redis *redis;
    const struct redis_ear_events *events;
    void *arg;
    struct metrics *metrics;
    enum { EAR_OFF, EAR_PAUSE, EAR_NAMING, EAR_ASKED, EAR_OPEN } state;
    bool wanted;
    bool auth;      /* AUTH's reply is expected first */
    bool pinged;    /* PING's reply has not come yet */
    ev_timer timer; /* pause; naming, asked: the deadline; open: the next PING */
    struct resolve *lookup;
    char said[200]; /* the last failure that was logged: the same is not logged again */
};

static void set_timer(struct redis_ear *e, double after, double repeat)
{
    ev_timer_stop(e->loop, &e->timer);
    ev_timer_set(&e->timer, after, repeat);
    ev_timer_start(e->loop, &e->timer);
}

static void close_link(struct redis_ear *e)
{
    bool was_open = e->state == EAR_OPEN;
    if (e->state == EAR_ASKED || e->state == EAR_OPEN)
        stream_clear(&e->stream);
    resolve_free(e->lookup);
    e->lookup = NULL;
    ev_timer_stop(e->loop, &e->timer);
    e->state = EAR_OFF;
    metrics_set(e->metrics, METRIC_EAR_OPEN, 0);
    if (was_open)
        e->events->closed(e->arg);
}

/* The link of the claims has a say: while that is down, ready() will call us. */
static void failed(struct redis_ear *e, const char *why)
{
    if (redis_ready(e->redis) && strncmp(e->said, why, sizeof e->said - 1) != 0) {
        LOG(LOG_WARNING, "wakeups-down", log_text("why", why),
            log_text("way_out", "waiting requests ask Redis once a second meanwhile"));
        snprintf(e->said, sizeof e->said, "%s", why);
    }
    close_link(e);
    e->state = EAR_PAUSE;
    set_timer(e, PAUSE, 0.);
}

static void put(struct redis_ear *e, const char *const *words, unsigned n)
{
    resp_command(&e->stream.out, words, n);
}

/* False: the connection is gone. */
static bool flush(struct redis_ear *e)
{
    const char *why = NULL;
    if (e->stream.out.failed)
        why = "out of memory";
    else if (stream_flush(&e->stream) < 0)
        why = strerror(e->stream.error);
    if (why)
        failed(e, why);
    return !why;
}

static void ask(struct redis_ear *e, struct redis_site site)
{
    e->auth = *site.password != '\0';
    if (e->auth && *site.username)
        put(e, (const char *const[]){"AUTH", site.username, site.password}, 3);
    else if (e->auth)
        put(e, (const char *const[]){"AUTH", site.password}, 2);
    put(e, (const char *const[]){"PSUBSCRIBE", CHANNELS "*"}, 2);
    e->state = EAR_ASKED;
    set_timer(e, PATIENCE, 0.);
    flush(e);
}

static void opened(struct redis_ear *e)
{
    e->state = EAR_OPEN;
    e->pinged = false;
    e->said[0] = '\0';
    metrics_set(e->metrics, METRIC_EAR_OPEN, 1);
    set_timer(e, PING, PING);
    e->events->opened(e->arg);
}

/* An error may repeat what it was given: after AUTH only its first words are shown. */
static void refused(struct redis_ear *e, const struct resp *r)
{
    char why[200];
    struct spop_slice text = r->kind == RESP_ERROR ? r->item[0] : slice_of("an unexpected reply");
    size_t len = 0;
    while (len < text.len && len < 150 && !(e->auth && strchr("`'\"", text.ptr[len])))
        len++;
    snprintf(why, sizeof why, "%s: %.*s", e->auth ? "AUTH" : "PSUBSCRIBE", (int)len, text.ptr);
    failed(e, why);
}

/* While it is open: a message, or PING's answer. */
static void heard(struct redis_ear *e, const struct resp *r)
{
    if (r->kind == RESP_ARRAY && r->n == 4 && slice_is(r->item[0], "pmessage") &&
        slice_starts(r->item[2], CHANNELS)) {
        struct spop_slice name = r->item[2];
        slice_skip(&name, sizeof CHANNELS - 1);
        metrics_add(e->metrics, METRIC_WAKEUPS);
        e->events->heard(e->arg, name);
    } else {
        e->pinged = false;
    }
}

/* False: the connection is gone. */
static bool take(struct redis_ear *e, const struct resp *r)
{
    if (e->state == EAR_OPEN) {
        heard(e, r);
    } else if (e->auth && r->kind == RESP_STATUS) {
        e->auth = false;
    } else if (!e->auth && r->kind == RESP_ARRAY && r->n == 3 && slice_is(r->item[0], "psubscribe")) {
        opened(e);
    } else {
        refused(e, r);
        return false;
    }
    return true;
}

static void on_data(struct redis_ear *e)
{
    struct resp reply;
    size_t at = 0;
    long n;
    for (;;) {
        struct buf *in = &e->stream.in;
        n = resp_read((struct spop_slice){(const char *)in->data + at, in->len - at}, &reply);
        if (n <= 0)
            break;
        at += (size_t)n;
        if (!take(e, &reply))
            return;
    }
    if (n < 0 || e->stream.in.len - at >= INPUT_MAX)
        failed(e, "what it says is no reply of a Redis");
    else
        stream_take(&e->stream, at);
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct redis_ear *e = (struct redis_ear *)s;
    if (event == STREAM_DATA)
        on_data(e);
    else if (event == STREAM_GONE)
        failed(e, s->error ? strerror(s->error) : "closed by Redis");
    else
        flush(e);
}

static void open_stream(struct redis_ear *e, const char *address)
{
    char err[300];
    int fd = listener_connect(address, err, sizeof err);
    if (fd < 0) {
        failed(e, err);
        return;
    }
    stream_init(&e->stream, e->loop, fd, INPUT_MAX, on_stream);
    ask(e, redis_site(e->redis));
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct redis_ear *e = arg;
    e->lookup = NULL;
    if (address)
        open_stream(e, address);
    else
        failed(e, why);
}

static void begin(struct redis_ear *e)
{
    const char *address = redis_site(e->redis).address;
    e->state = EAR_OFF;
    if (!redis_ready(e->redis))
        return;
    if (!resolve_wanted(address)) {
        open_stream(e, address);
        return;
    }
    e->state = EAR_NAMING;
    set_timer(e, PATIENCE, 0.);
    e->lookup = resolve_new(e->loop, address, on_resolved, e);
    if (!e->lookup)
        failed(e, "out of memory");
}

static void ping(struct redis_ear *e)
{
    if (e->pinged) {
        failed(e, "no answer for 1 s");
        return;
    }
    e->pinged = true;
    put(e, (const char *const[]){"PING"}, 1);
    flush(e);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct redis_ear *e = t->data;
    (void)loop;
    (void)revents;
    switch (e->state) {
    case EAR_OFF: return;
    case EAR_PAUSE: begin(e); return;
    case EAR_NAMING: failed(e, "its name was not found within 2 s"); return;
    case EAR_ASKED: failed(e, "no answer for 2 s"); return;
    case EAR_OPEN: ping(e); return;
    }
}

struct redis_ear *redis_ear_new(struct ev_loop *loop, const struct redis *redis,
                                const struct redis_ear_events *events, void *arg, struct metrics *metrics)
{
    struct redis_ear *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct redis_ear){.loop = loop, .redis = redis, .events = events, .arg = arg, .metrics = metrics};
    ev_timer_init(&e->timer, on_timer, 0., 0.);
    e->timer.data = e;
    ev_set_priority(&e->timer, EV_MINPRI); /* what has come is read before it is missed */
    return e;
}

void redis_ear_free(struct redis_ear *e)
{
    if (!e)
        return;
    close_link(e);
    free(e);
}

void redis_ear_want(struct redis_ear *e)
{
    e->wanted = true;
    if (e->state == EAR_OFF)
        begin(e);
}

void redis_ear_follow(struct redis_ear *e)
{
    if (redis_is_cluster(e->redis) && e->state == EAR_OPEN)
        return; /* any node hears what is published at any other */
    close_link(e);
    if (e->wanted)
        begin(e);
}

bool redis_ear_is_open(const struct redis_ear *e)
{
    return e->state == EAR_OPEN;
}
