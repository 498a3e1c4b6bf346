// SPDX-License-Identifier: MIT
/* One write asks for everything ([AUTH] PSUBSCRIBE); the replies come in order, messages only behind them. In
 * RESP2 a subscribed connection may still be asked PING, and answers an array: so a peer that is gone without
 * a word is noticed. */
#include "adapters/redis_ear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "adapters/resp_link.h"

#define PAUSE    0.1
#define PATIENCE 2.0
#define PING     1.0
#define CHANNELS "once:w:"

enum { INPUT_MAX = 16384 };

struct redis_ear {
    struct resp_link link; /* first: its callbacks find us by it */
    const struct redis *redis;
    const struct redis_ear_events *events;
    void *arg;
    struct metrics *metrics;
    bool wanted;
    bool open;      /* subscribed */
    bool auth;      /* AUTH's reply is expected first */
    bool pinged;    /* PING's reply has not come yet */
    char said[200]; /* the last failure that was logged: the same is not logged again */
};

static const char *where(struct resp_link *l)
{
    struct redis_ear *e = (struct redis_ear *)l;
    return redis_ready(e->redis) ? redis_site(e->redis).address : NULL;
}

/* The link is down, or is about to be. */
static void deaf(struct redis_ear *e)
{
    bool was_open = e->open;
    e->open = false;
    metrics_set(e->metrics, METRIC_EAR_OPEN, 0);
    if (was_open)
        e->events->closed(e->arg);
}

/* The link of the claims has a say: while that is down, ready() will call us. */
static void failed(struct resp_link *l, const char *why)
{
    struct redis_ear *e = (struct redis_ear *)l;
    if (redis_ready(e->redis) && strncmp(e->said, why, sizeof e->said - 1) != 0) {
        LOG(LOG_WARNING, "wakeups-down", log_text("why", why),
            log_text("way_out", "waiting requests ask Redis once a second meanwhile"));
        snprintf(e->said, sizeof e->said, "%s", why);
    }
    deaf(e);
    resp_link_to(l, PAUSE);
}

static void put(struct redis_ear *e, const char *const *words, unsigned n)
{
    resp_command(&e->link.stream.out, words, n);
}

static void subscribe(struct redis_ear *e)
{
    struct redis_site site = redis_site(e->redis);
    e->auth = resp_link_auth(&e->link, site.username, site.password);
    put(e, (const char *const[]){"PSUBSCRIBE", CHANNELS "*"}, 2);
    resp_link_asked(&e->link);
}

static void ping(struct redis_ear *e)
{
    if (e->pinged) {
        resp_link_fail(&e->link, "no answer for 1 s");
        return;
    }
    e->pinged = true;
    put(e, (const char *const[]){"PING"}, 1);
    resp_link_again(&e->link, PING);
    resp_link_flush(&e->link);
}

static void ask(struct resp_link *l, bool fresh)
{
    struct redis_ear *e = (struct redis_ear *)l;
    if (fresh)
        subscribe(e);
    else
        ping(e);
}

static void opened(struct redis_ear *e)
{
    resp_link_answered(&e->link);
    resp_link_again(&e->link, PING);
    e->open = true;
    e->pinged = false;
    e->said[0] = '\0';
    metrics_set(e->metrics, METRIC_EAR_OPEN, 1);
    e->events->opened(e->arg);
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
    if (e->open) {
        heard(e, r);
    } else if (e->auth && r->kind == RESP_STATUS) {
        e->auth = false;
    } else if (!e->auth && r->kind == RESP_ARRAY && r->n == 3 && slice_is(r->item[0], "psubscribe")) {
        opened(e);
    } else {
        resp_link_refused(&e->link, e->auth ? "AUTH" : "PSUBSCRIBE", r);
        return false;
    }
    return true;
}

static void on_data(struct resp_link *l)
{
    struct redis_ear *e = (struct redis_ear *)l;
    struct resp reply;
    size_t at = 0;
    long n;
    for (;;) {
        struct buf *in = &l->stream.in;
        n = resp_read((struct spop_slice){(const char *)in->data + at, in->len - at}, &reply);
        if (n <= 0)
            break;
        at += (size_t)n;
        if (!take(e, &reply))
            return;
    }
    if (n < 0 || l->stream.in.len - at >= INPUT_MAX)
        resp_link_fail(l, "what it says is no reply of a Redis");
    else
        stream_take(&l->stream, at);
}

static const struct resp_link_kind kind = {
    .peer = "Redis",
    .patience = PATIENCE,
    .max_in = INPUT_MAX,
    .where = where,
    .ask = ask,
    .data = on_data,
    .failed = failed,
};

struct redis_ear *redis_ear_new(struct ev_loop *loop, const struct redis *redis,
                                const struct redis_ear_events *events, void *arg, struct metrics *metrics)
{
    struct redis_ear *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct redis_ear){.redis = redis, .events = events, .arg = arg, .metrics = metrics};
    resp_link_init(&e->link, loop, &kind);
    return e;
}

static void leave(struct redis_ear *e)
{
    resp_link_close(&e->link);
    deaf(e);
}

void redis_ear_free(struct redis_ear *e)
{
    if (!e)
        return;
    leave(e);
    free(e);
}

void redis_ear_want(struct redis_ear *e)
{
    e->wanted = true;
    if (e->link.state == RESP_LINK_DOWN)
        resp_link_begin(&e->link);
}

void redis_ear_follow(struct redis_ear *e)
{
    if (redis_is_cluster(e->redis) && e->open)
        return; /* any node hears what is published at any other */
    leave(e);
    if (e->wanted)
        resp_link_begin(&e->link);
}

bool redis_ear_is_open(const struct redis_ear *e)
{
    return e->open;
}
