// SPDX-License-Identifier: MIT
/* [AUTH] when it has connected, then CLUSTER NODES each time: one text, which domain/slotmap reads. */
#include "adapters/slots_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/listener.h"
#include "adapters/resolve.h"
#include "adapters/stream.h"
#include "domain/resp.h"

#define PATIENCE 1.0

enum { INPUT_MAX = 256 * 1024, HEAD_MAX = 16 };

struct slots_watch {
    struct stream stream; /* first: the stream's callback finds us by it */
    struct ev_loop *loop;
    const struct redis_settings *redis;
    const struct slots_watch_events *events;
    void *arg;
    config_text address;
    enum { WATCH_DOWN, WATCH_PAUSE, WATCH_NAMING, WATCH_ASKED, WATCH_OPEN } state;
    bool auth;      /* AUTH's reply is expected first */
    ev_timer timer; /* pause; naming, asked: the deadline; open: the next question */
    struct resolve *lookup;
};

static void set_timer(struct slots_watch *w, double after)
{
    ev_timer_stop(w->loop, &w->timer);
    ev_timer_set(&w->timer, after, 0.);
    ev_timer_start(w->loop, &w->timer);
}

static void close_link(struct slots_watch *w)
{
    if (w->state == WATCH_ASKED || w->state == WATCH_OPEN)
        stream_clear(&w->stream);
    resolve_free(w->lookup);
    w->lookup = NULL;
    ev_timer_stop(w->loop, &w->timer);
    w->state = WATCH_DOWN;
}

static void failed(struct slots_watch *w, const char *why)
{
    char text[300];
    config_text address;
    snprintf(text, sizeof text, "%s", why); /* it may lie in the stream */
    memcpy(address, w->address, sizeof address);
    close_link(w);
    w->events->failed(w->arg, address, text);
}

static void send_out(struct slots_watch *w)
{
    if (w->stream.out.failed)
        failed(w, "out of memory");
    else if (stream_flush(&w->stream) < 0)
        failed(w, strerror(w->stream.error));
}

static void ask(struct slots_watch *w, bool fresh)
{
    const struct redis_settings *s = w->redis;
    w->auth = fresh && *s->password;
    if (w->auth && *s->username)
        resp_command(&w->stream.out, (const char *const[]){"AUTH", s->username, s->password}, 3);
    else if (w->auth)
        resp_command(&w->stream.out, (const char *const[]){"AUTH", s->password}, 2);
    resp_command(&w->stream.out, (const char *const[]){"CLUSTER", "NODES"}, 2);
    w->state = WATCH_ASKED;
    set_timer(w, PATIENCE);
    send_out(w);
}

/* An error may repeat what it was given: after AUTH only its first words are shown. */
static void refused(struct slots_watch *w, const struct resp *r)
{
    char why[200];
    struct spop_slice text = r->kind == RESP_ERROR ? r->item[0] : slice_of("an unexpected reply");
    size_t len = 0;
    while (len < text.len && len < 150 && !(w->auth && strchr("`'\"", text.ptr[len])))
        len++;
    snprintf(why, sizeof why, "%s: %.*s", w->auth ? "AUTH" : "CLUSTER NODES", (int)len, text.ptr);
    failed(w, why);
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
    struct spop_slice in = {(const char *)w->stream.in.data, w->stream.in.len}, nodes;
    struct resp reply;
    bool text = !w->auth && in.len > 0 && *in.ptr == '$';
    long n = text ? read_nodes(in, &nodes) : resp_read(in, &reply);
    if (n == 0 && in.len < INPUT_MAX)
        return false;
    if (n <= 0 || w->state != WATCH_ASKED) {
        failed(w, "what it says is no reply to what it was asked");
        return false;
    }
    if (w->auth ? reply.kind != RESP_STATUS : !text) {
        refused(w, &reply);
        return false;
    }
    if (w->auth) {
        w->auth = false;
        stream_take(&w->stream, (size_t)n);
        return true;
    }
    w->state = WATCH_OPEN;
    ev_timer_stop(w->loop, &w->timer);
    w->events->heard(w->arg, nodes, w->address);
    if (w->state == WATCH_OPEN)
        stream_take(&w->stream, (size_t)n);
    return false;
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct slots_watch *w = (struct slots_watch *)s;
    if (event == STREAM_DATA)
        while (take_reply(w)) {
        }
    else if (event == STREAM_GONE)
        failed(w, s->error ? strerror(s->error) : "closed by the node");
    else
        send_out(w);
}

static void open_stream(struct slots_watch *w, const char *address)
{
    char err[300];
    int fd = listener_connect(address, err, sizeof err);
    if (fd < 0) {
        failed(w, err);
        return;
    }
    stream_init(&w->stream, w->loop, fd, INPUT_MAX, on_stream);
    ask(w, true);
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct slots_watch *w = arg;
    w->lookup = NULL;
    if (address)
        open_stream(w, address);
    else
        failed(w, why);
}

static void begin(struct slots_watch *w)
{
    if (!resolve_wanted(w->address)) {
        open_stream(w, w->address);
        return;
    }
    w->state = WATCH_NAMING;
    set_timer(w, PATIENCE);
    w->lookup = resolve_new(w->loop, w->address, on_resolved, w);
    if (!w->lookup)
        failed(w, "out of memory");
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct slots_watch *w = t->data;
    (void)loop;
    (void)revents;
    switch (w->state) {
    case WATCH_DOWN: return;
    case WATCH_PAUSE: begin(w); return;
    case WATCH_NAMING: failed(w, "its name was not found within 1 s"); return;
    case WATCH_ASKED: failed(w, "no answer for 1 s"); return;
    case WATCH_OPEN: ask(w, false); return;
    }
}

struct slots_watch *slots_watch_new(struct ev_loop *loop, const struct redis_settings *redis,
                                    const struct slots_watch_events *events, void *arg)
{
    struct slots_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct slots_watch){.loop = loop, .redis = redis, .events = events, .arg = arg};
    ev_timer_init(&w->timer, on_timer, 0., 0.);
    w->timer.data = w;
    ev_set_priority(&w->timer, EV_MINPRI); /* what has come is read before it is missed */
    return w;
}

void slots_watch_free(struct slots_watch *w)
{
    if (!w)
        return;
    close_link(w);
    free(w);
}

void slots_watch_to(struct slots_watch *w, const char *address, double after)
{
    close_link(w);
    snprintf(w->address, sizeof w->address, "%s", address);
    w->state = WATCH_PAUSE;
    set_timer(w, after);
}

void slots_watch_ask(struct slots_watch *w, double after)
{
    if (w->state != WATCH_OPEN ||
        (ev_is_active(&w->timer) && ev_timer_remaining(w->loop, &w->timer) <= after))
        return;
    set_timer(w, after);
}
