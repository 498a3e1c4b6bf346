// SPDX-License-Identifier: MIT
/* [AUTH] when it has connected, then CLUSTER NODES each time: one text, which domain/slotmap reads. */
#include "adapters/slots_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/resp_link.h"

#define PATIENCE 1.0

enum { INPUT_MAX = 256 * 1024, HEAD_MAX = 16 };

struct slots_watch {
    struct resp_link link; /* first: its callbacks find us by it */
    const struct redis_settings *redis;
    const struct slots_watch_events *events;
    void *arg;
    config_text address;
    bool auth; /* AUTH's reply is expected first */
};

static const char *where(struct resp_link *l)
{
    return ((struct slots_watch *)l)->address;
}

/* The watch may be sent elsewhere inside. */
static void failed(struct resp_link *l, const char *why)
{
    struct slots_watch *w = (struct slots_watch *)l;
    config_text address;
    memcpy(address, w->address, sizeof address);
    w->events->failed(w->arg, address, why);
}

static void ask(struct resp_link *l, bool fresh)
{
    struct slots_watch *w = (struct slots_watch *)l;
    w->auth = fresh && resp_link_auth(l, w->redis->username, w->redis->password);
    resp_command(&l->stream.out, (const char *const[]){"CLUSTER", "NODES"}, 2);
    resp_link_asked(l);
}

/* Bytes of `$len` and its text, which lies in *out; 0: not yet; -1: it is something else, or too long. */
static long read_nodes(struct spop_slice in, struct spop_slice *out)
{
    size_t len = 0, at = 1;
    if (in.len == 0)
        return 0;
    while (at < in.len && at < HEAD_MAX && in.ptr[at] >= '0' && in.ptr[at] <= '9')
        len = len * 10 + (size_t)(in.ptr[at++] - '0');
    if (*in.ptr != '$' || len >= INPUT_MAX || (at < in.len && in.ptr[at] != '\r'))
        return -1;
    if (in.len < at + len + 4)
        return 0;
    *out = (struct spop_slice){in.ptr + at + 2, len};
    return (long)(at + len + 4);
}

/* True: there may be more to read. */
static bool take_reply(struct slots_watch *w)
{
    struct stream *stream = &w->link.stream;
    struct spop_slice in = {(const char *)stream->in.data, stream->in.len}, nodes;
    struct resp reply;
    bool text = !w->auth && in.len > 0 && *in.ptr == '$';
    long n = text ? read_nodes(in, &nodes) : resp_read(in, &reply);
    if (n == 0 && in.len < INPUT_MAX)
        return false;
    if (n <= 0 || w->link.state != RESP_LINK_ASKED) {
        resp_link_fail(&w->link, "what it says is no reply to what it was asked");
        return false;
    }
    if (w->auth ? reply.kind != RESP_STATUS : !text) {
        resp_link_refused(&w->link, w->auth ? "AUTH" : "CLUSTER NODES", &reply);
        return false;
    }
    if (w->auth) {
        w->auth = false;
        stream_take(stream, (size_t)n);
        return true;
    }
    resp_link_answered(&w->link);
    w->events->heard(w->arg, nodes, w->address);
    if (w->link.state == RESP_LINK_OPEN)
        stream_take(stream, (size_t)n);
    return false;
}

static void on_data(struct resp_link *l)
{
    while (take_reply((struct slots_watch *)l)) {
    }
}

static const struct resp_link_kind kind = {
    .peer = "the node",
    .patience = PATIENCE,
    .max_in = INPUT_MAX,
    .where = where,
    .ask = ask,
    .data = on_data,
    .failed = failed,
};

struct slots_watch *slots_watch_new(struct ev_loop *loop, const struct redis_settings *redis,
                                    const struct slots_watch_events *events, void *arg)
{
    struct slots_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct slots_watch){.redis = redis, .events = events, .arg = arg};
    resp_link_init(&w->link, loop, &kind);
    return w;
}

void slots_watch_free(struct slots_watch *w)
{
    if (!w)
        return;
    resp_link_close(&w->link);
    free(w);
}

void slots_watch_to(struct slots_watch *w, const char *address, double after)
{
    snprintf(w->address, sizeof w->address, "%s", address);
    resp_link_to(&w->link, after);
}

void slots_watch_ask(struct slots_watch *w, double after)
{
    const ev_timer *timer = &w->link.timer;
    if (w->link.state != RESP_LINK_OPEN ||
        (ev_is_active(timer) && ev_timer_remaining(w->link.loop, &w->link.timer) <= after))
        return;
    resp_link_again(&w->link, after);
}
