// SPDX-License-Identifier: MIT
/* noop-agent ADDRESS [RUNTIME]: an SPOE agent that decides nothing, the floor under every other one.
 *
 *   without RUNTIME   each message gets an empty ACK
 *   with RUNTIME      a request is granted under a token of its own and with all the variables that spoa-once sets, a response is
 *                     settled, and HAProxy's table is polled at that runtime socket as spoa-once polls it: what HAProxy has to do
 *                     for a gated request is done, and nothing else
 *
 *   bytes ──► frames ──► HELLO, or one ACK for each NOTIFY ──► one write at the end of the turn */
#include <ev.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/listener.h"
#include "adapters/runtime_api.h"
#include "adapters/stream.h"
#include "spop/frame.h"
#include "spop/hello.h"
#include "spop/notify.h"
#include "spop/writer.h"

enum {
    OUT_BYTES = 4096,
    IN_BYTES = 1024 * 1024,
    ANSWER_MAX = 64 * 1024 * 1024,
    TOKEN_TEXT = 59,
    EXECUTION_TEXT = 32
};
static const double poll_every = 0.25;

struct agent {
    struct ev_loop *loop;
    struct link *dirty;
    struct runtime_api *runtime; /* NULL: nothing is polled */
    const char *path;
    bool grants;
    unsigned polls;
    uint64_t tokens;
};

struct link {
    struct agent *agent;
    struct stream stream;
    struct link *next_dirty;
    bool dirty, ending;
};

static const char *const polled[] = {
    "show info",
    "show table once_inflight data.conn_cur eq 0 data.gpt0 lt 1000",
    "show table once_unsettled data.conn_cur eq 0",
    "show table once_inflight data.conn_cur gt 0",
};
/* What runs is asked for this much more rarely: half a heartbeat of a lock of 30 s. */
enum { POLLED = sizeof polled / sizeof *polled, RUNNING = POLLED - 1, RUNNING_EVERY = 20 };

static void close_link(struct link *l)
{
    struct link **at = &l->agent->dirty;
    while (*at && *at != l)
        at = &(*at)->next_dirty;
    if (*at)
        *at = l->next_dirty;
    stream_clear(&l->stream);
    free(l);
}

static void put(struct link *l, const struct spop_writer *w)
{
    stream_put(&l->stream, w->buf, w->len);
    if (l->dirty)
        return;
    l->dirty = true;
    l->next_dirty = l->agent->dirty;
    l->agent->dirty = l;
}

static void set_text(struct spop_writer *w, const char *name, const char *text, size_t len)
{
    spop_set_str(w, SPOP_TXN, name, text, len);
}

/* A token is unique, as long as spoa-once's, and no other text: HAProxy's table does the work that it would. */
static void grant(struct agent *a, struct spop_writer *w)
{
    char token[TOKEN_TEXT + 1], execution[EXECUTION_TEXT + 1];
    unsigned long long n = ++a->tokens;
    snprintf(token, sizeof token, "noop-%015llu-%038llx", n, n * 0x9e3779b97f4a7c15ULL);
    snprintf(execution, sizeof execution, "%032llx", n);
    set_text(w, "verdict", "go", 2);
    set_text(w, "reason", "go", 2);
    set_text(w, "token", token, TOKEN_TEXT);
    set_text(w, "execution", execution, EXECUTION_TEXT);
    spop_set_int(w, SPOP_TXN, "fence", 1790000000000000 + (int64_t)n);
    set_text(w, "key", execution, EXECUTION_TEXT);
    set_text(w, "ratelimit", "\"noop\";r=999999;t=1", 20);
    set_text(w, "ratelimit_policy", "\"noop\";q=1000000;w=1", 21);
}

static void settle(struct spop_writer *w)
{
    spop_set_bool(w, SPOP_TXN, "settled", true);
    spop_set_bool(w, SPOP_TXN, "recorded", true);
}

static bool take_notify(struct link *l, struct spop_frame *f)
{
    uint8_t memory[OUT_BYTES];
    struct spop_writer w;
    struct spop_message m;
    struct spop_arg arg;
    int more;
    spop_writer_init(&w, memory, sizeof memory);
    spop_ack_begin(&w, f->stream_id, f->frame_id);
    if (spop_next_message(&f->payload, &m) != 1)
        return false;
    while ((more = spop_next_arg(&f->payload, &m, &arg)) > 0)
        ;
    if (l->agent->grants && slice_is(m.name, "once-request"))
        grant(l->agent, &w);
    else if (l->agent->grants)
        settle(&w);
    spop_frame_end(&w);
    put(l, &w);
    return more == 0;
}

static bool take_hello(struct link *l, const struct spop_frame *f)
{
    uint8_t memory[OUT_BYTES];
    struct spop_writer w;
    struct spop_hello h;
    if (spop_hello_read(f->payload, &h) != SPOP_OK)
        return false;
    spop_writer_init(&w, memory, sizeof memory);
    spop_hello_write(&w, h.max_frame, h.pipelining && !h.healthcheck);
    l->ending = h.healthcheck;
    put(l, &w);
    return true;
}

static void take_frames(struct link *l)
{
    struct buf *in = &l->stream.in;
    size_t at = 0;
    for (;;) {
        long n = spop_frame_find(in->data + at, in->len - at, IN_BYTES - SPOP_PREFIX);
        struct spop_frame f;
        if (n == 0)
            break;
        bool good = n > 0 && spop_frame_open(in->data + at, (size_t)n, &f) == SPOP_OK &&
                    ((f.type == SPOP_NOTIFY && take_notify(l, &f)) ||
                     (f.type == SPOP_HAPROXY_HELLO && take_hello(l, &f)));
        if (!good) {
            close_link(l);
            return;
        }
        at += (size_t)n;
    }
    stream_take(&l->stream, at);
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct link *l = (struct link *)((char *)s - offsetof(struct link, stream));
    if (event == STREAM_GONE)
        close_link(l);
    else if (event == STREAM_DATA)
        take_frames(l);
    else
        stream_flush(s);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct link *l = fd >= 0 ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        if (fd >= 0)
            close(fd);
        return;
    }
    l->agent = w->data;
    stream_init(&l->stream, loop, fd, IN_BYTES, on_stream);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)loop;
    (void)revents;
    struct agent *a = w->data;
    struct link *l;
    while ((l = a->dirty)) {
        a->dirty = l->next_dirty;
        l->dirty = false;
        if (stream_flush(&l->stream) < 0 || l->ending)
            close_link(l);
    }
}

static void on_lost(void *arg, const char *reason)
{
    struct agent *a = arg;
    (void)reason;
    runtime_api_free(a->runtime);
    a->runtime = NULL;
}

/* HAProxy starts behind us and stops before us. */
static void on_poll(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)revents;
    struct agent *a = t->data;
    char err[256];
    if (!a->runtime)
        a->runtime = runtime_api_new(loop, a->path, ANSWER_MAX, 5., on_lost, a, err, sizeof err);
    for (unsigned i = 0; a->runtime && i < POLLED; i++)
        if (i != RUNNING || a->polls % RUNNING_EVERY == 0)
            runtime_api_ask(a->runtime, polled[i], NULL, NULL);
    a->polls++;
}

int main(int argc, char **argv)
{
    struct agent a = {
        .loop = ev_default_loop(EVFLAG_AUTO), .path = argv[argc > 2 ? 2 : 0], .grants = argc > 2};
    char err[256];
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: noop-agent ADDRESS [RUNTIME]\n");
        return 2;
    }
    int fd = listener_stream(argv[1], 0666, err, sizeof err);
    if (fd < 0) {
        fprintf(stderr, "noop-agent: %s\n", err);
        return 1;
    }
    ev_io door;
    ev_io_init(&door, on_accept, fd, EV_READ);
    door.data = &a;
    ev_io_start(a.loop, &door);
    ev_prepare turn_end;
    ev_prepare_init(&turn_end, on_turn_end);
    turn_end.data = &a;
    ev_prepare_start(a.loop, &turn_end);
    ev_timer poll;
    ev_timer_init(&poll, on_poll, poll_every, poll_every);
    poll.data = &a;
    if (a.grants)
        ev_timer_start(a.loop, &poll);
    ev_run(a.loop, 0);
    return 0;
}
