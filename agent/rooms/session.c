// SPDX-License-Identifier: MIT
#include "rooms/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/log.h"
#include "adapters/stream.h"
#include "rooms/grants.h"
#include "spop/frame.h"
#include "spop/hello.h"

/* X(symbol, word): why a session ended; the log's word. Those of SPOP's own status codes stand in
 * spop/status.h. */
enum close_reason {
    CLOSE_EOF,
    CLOSE_ERROR,
    CLOSE_CHECKED,
    CLOSE_DISCONNECT,
    CLOSE_STATUS,
    CLOSE_WEDGED,
    CLOSE_STOP
};
static const char *const close_words[] = {"eof",      "error",  "checked", "disconnect",
                                          "protocol", "wedged", "stop"};

enum { WEDGE_STRIKES = 3, OUT_MAX = 1 << 20 };
static const ev_tstamp wedge_every = 0.2;

enum session_state { SESSION_HELLO, SESSION_OPEN, SESSION_ENDING };

struct session {
    struct sessions *room;
    struct session *next, *prev;
    struct session *next_dirty;
    bool dirty;
    enum session_state state;
    struct stream stream;
    struct txn_owner owner;
    struct grants grants;
    ev_tstamp last_frame;
    struct {
        ev_tstamp checked;
        uint64_t written;
        long unread;
        unsigned strikes;
    } wedge; /* what was seen when it was last looked at */
};

struct listener {
    struct sessions *room;
    ev_io io;
};

struct sessions {
    struct gate *gate;
    struct session *first;
    struct session *dirty; /* have something to write at the end of this turn */
    unsigned count;
    bool draining;
    ev_prepare flush;
    ev_timer sweep;
    unsigned nlisteners;
    struct listener listeners[CONFIG_LISTEN_MAX];
};

static void session_close(struct session *s, enum close_reason reason, enum spop_status status)
{
    struct sessions *room = s->room;
    struct metrics *m = room->gate->metrics;
    static struct log_gate gate;
    if (reason == CLOSE_STATUS)
        metrics_add(m, METRIC_SPOP_ERRORS);
    if (reason == CLOSE_WEDGED)
        metrics_add(m, METRIC_SPOP_WEDGED);
    enum log_level level = reason == CLOSE_STATUS || reason == CLOSE_WEDGED ? LOG_WARNING : LOG_DEBUG;
    if (log_wants(level) && log_gate_open(&gate, 20, ev_now(room->gate->loop)))
        LOG(level, "spop-closed", log_text("reason", close_words[reason]),
            log_text("status", reason == CLOSE_STATUS ? spop_status_word(status) : "-"),
            log_int("waiting", s->owner.waiting), log_int("left_out", gate.left_out));
    grants_clear(&s->grants, &s->stream, room->gate);
    txn_abandon(&s->owner);
    if (s->dirty) {
        struct session **at = &room->dirty;
        while (*at != s)
            at = &(*at)->next_dirty;
        *at = s->next_dirty;
    }
    if (s->prev)
        s->prev->next = s->next;
    else
        room->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    room->count--;
    metrics_set(m, METRIC_SPOP_CONNECTIONS, room->count);
    stream_clear(&s->stream);
    free(s);
}

static void mark_dirty(struct session *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = s->room->dirty;
    s->room->dirty = s;
}

static void put(struct session *s, const uint8_t *frame, size_t len)
{
    stream_put(&s->stream, frame, len);
    mark_dirty(s);
}

static void on_answer(struct txn_owner *owner, const uint8_t *frame, size_t len, const struct grant *grant)
{
    struct session *s = (struct session *)((char *)owner - offsetof(struct session, owner));
    if (grant && !grants_add(&s->grants, &s->stream, grant, len)) {
        gate_take_back(s->room->gate, grant);
        return;
    }
    metrics_add(s->room->gate->metrics, METRIC_SPOP_ACKS);
    put(s, frame, len);
}

/* Writes what this turn has put; false if the session is gone. */
static bool session_flush(struct session *s)
{
    grants_drop_late(&s->grants, &s->stream, s->room->gate);
    if (s->stream.out.failed) {
        session_close(s, CLOSE_STATUS, SPOP_RESOURCE);
        return false;
    }
    if (stream_flush(&s->stream) < 0) {
        session_close(s, CLOSE_ERROR, SPOP_IO);
        return false;
    }
    grants_forget_delivered(&s->grants, &s->stream);
    if (s->state == SESSION_ENDING && s->stream.out.len == 0) {
        session_close(s, CLOSE_CHECKED, SPOP_OK);
        return false;
    }
    return true;
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)loop;
    (void)revents;
    struct sessions *room = w->data;
    while (room->dirty) {
        struct session *s = room->dirty;
        room->dirty = s->next_dirty;
        s->dirty = false;
        session_flush(s);
    }
}

/* Says why in one AGENT-DISCONNECT and closes; what the socket does not take at once is lost. */
static void disconnect(struct session *s, enum close_reason reason, enum spop_status status)
{
    uint8_t frame[256];
    struct spop_writer w;
    spop_writer_init(&w, frame, sizeof frame);
    spop_disconnect_write(&w, status);
    put(s, frame, w.len);
    grants_drop_late(&s->grants, &s->stream, s->room->gate);
    if (stream_flush(&s->stream) >= 0)
        grants_forget_delivered(&s->grants, &s->stream);
    session_close(s, reason, status);
}

/* Each of these returns false if the session is gone. */
static bool take_hello(struct session *s, const struct spop_frame *f)
{
    struct sessions *room = s->room;
    struct spop_hello h;
    enum spop_status status = f->type == SPOP_HAPROXY_HELLO ? spop_hello_read(f->payload, &h) : SPOP_INVALID;
    if (status != SPOP_OK) {
        disconnect(s, CLOSE_STATUS, status);
        return false;
    }
    if (h.healthcheck) {
        metrics_add(room->gate->metrics, METRIC_SPOP_CHECKS);
        if (room->draining) {
            disconnect(s, CLOSE_STOP, SPOP_OK);
            return false;
        }
    }
    uint32_t limit = room->gate->config->spop.max_frame;
    s->owner.max_frame = h.max_frame < limit ? h.max_frame : limit;
    uint8_t frame[256];
    struct spop_writer w;
    spop_writer_init(&w, frame, sizeof frame);
    spop_hello_write(&w, s->owner.max_frame, h.pipelining && !h.healthcheck);
    put(s, frame, w.len);
    s->state = h.healthcheck ? SESSION_ENDING : SESSION_OPEN;
    return true;
}

/* HAProxy 3.1 and later stops reading a connection for good once a full buffer of ACKs waits (facts, finding
 * 5). Over a unix socket it shows: NOTIFYs keep coming, and all that was written since the last look still
 * lies there. */
static bool wedged(struct session *s)
{
    ev_tstamp now = ev_now(s->room->gate->loop);
    if (s->stream.out.len >= OUT_MAX)
        return true;
    if (now - s->wedge.checked < wedge_every)
        return false;
    long unread = stream_unread(&s->stream);
    long since = (long)(s->stream.written - s->wedge.written);
    bool stuck = unread > 0 && unread >= s->wedge.unread + since && now - s->wedge.checked < 2 * wedge_every;
    s->wedge.strikes = stuck ? s->wedge.strikes + 1 : 0;
    s->wedge.unread = unread;
    s->wedge.written = s->stream.written;
    s->wedge.checked = now;
    return s->wedge.strikes >= WEDGE_STRIKES;
}

/* Too many wait already: an empty ACK, which HAProxy refuses by its own rule. */
static void refuse_notify(struct session *s, const struct spop_frame *f)
{
    uint8_t frame[64];
    struct spop_writer w;
    spop_writer_init(&w, frame, sizeof frame);
    spop_ack_begin(&w, f->stream_id, f->frame_id);
    spop_frame_end(&w);
    metrics_add(s->room->gate->metrics, METRIC_SPOP_FULL);
    put(s, frame, w.len);
}

static bool take_notify(struct session *s, const struct spop_frame *f)
{
    if (wedged(s)) {
        session_close(s, CLOSE_WEDGED, SPOP_OK);
        return false;
    }
    if (s->owner.waiting >= s->room->gate->config->spop.max_pending) {
        refuse_notify(s, f);
    } else if (txn_begin(s->room->gate, &s->owner, f->stream_id, f->frame_id, f->payload) < 0) {
        disconnect(s, CLOSE_STATUS, SPOP_INVALID);
        return false;
    }
    return true;
}

/* HAProxy goes; an idle connection ends so on 2.6 and 3.0, and a broken one with HAProxy's reason. */
static void take_disconnect(struct session *s, const struct spop_frame *f)
{
    unsigned status;
    struct spop_slice text;
    static struct log_gate gate;
    enum spop_status read = spop_disconnect_read(f->payload, &status, &text);
    bool ordinary = read == SPOP_OK && (status == SPOP_OK || status == SPOP_TIMEOUT);
    if (!ordinary && log_gate_open(&gate, 10, s->last_frame))
        LOG(LOG_WARNING, "spop-disconnected", log_text("status", spop_status_word(status)),
            log_bytes("text", text), log_int("left_out", gate.left_out));
    disconnect(s, CLOSE_DISCONNECT, SPOP_OK);
}

static bool take_frame(struct session *s, const struct spop_frame *f)
{
    metrics_add(s->room->gate->metrics, METRIC_SPOP_FRAMES);
    s->last_frame = ev_now(s->room->gate->loop);
    if (f->type == SPOP_HAPROXY_DISCONNECT) {
        take_disconnect(s, f);
        return false;
    }
    if (s->state == SESSION_HELLO)
        return take_hello(s, f);
    if (s->state == SESSION_OPEN && f->type == SPOP_NOTIFY)
        return take_notify(s, f);
    disconnect(s, CLOSE_STATUS, SPOP_INVALID);
    return false;
}

/* All whole frames that have come. */
static void take_frames(struct session *s)
{
    size_t at = 0;
    for (;;) {
        struct buf *in = &s->stream.in;
        long n = spop_frame_find(in->data + at, in->len - at, s->owner.max_frame);
        if (n == 0)
            break;
        struct spop_frame f;
        enum spop_status status =
            n < 0 ? (enum spop_status) - n : spop_frame_open(in->data + at, (size_t)n, &f);
        if (status != SPOP_OK) {
            disconnect(s, CLOSE_STATUS, status);
            return;
        }
        at += (size_t)n;
        if (!take_frame(s, &f))
            return;
    }
    stream_take(&s->stream, at);
}

static void on_stream(struct stream *stream, enum stream_event event)
{
    struct session *s = (struct session *)((char *)stream - offsetof(struct session, stream));
    if (event == STREAM_DATA)
        take_frames(s);
    else if (event == STREAM_GONE)
        session_close(s, stream->error ? CLOSE_ERROR : CLOSE_EOF, SPOP_OK);
    else
        session_flush(s);
}

static void session_new(struct sessions *room, int fd)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return;
    }
    const struct config *c = room->gate->config;
    s->room = room;
    s->owner.answer = on_answer;
    s->owner.max_frame = c->spop.max_frame;
    s->last_frame = ev_now(room->gate->loop);
    stream_init(&s->stream, room->gate->loop, fd, c->spop.max_frame + SPOP_PREFIX, on_stream);
    s->next = room->first;
    if (s->next)
        s->next->prev = s;
    room->first = s;
    metrics_add(room->gate->metrics, METRIC_SPOP_ACCEPTED);
    metrics_set(room->gate->metrics, METRIC_SPOP_CONNECTIONS, ++room->count);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    struct listener *l = w->data;
    struct sessions *room = l->room;
    static struct log_gate gate;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && log_gate_open(&gate, 1, ev_now(loop)))
            LOG(LOG_ERROR, "spop-accept", log_text("error", strerror(errno)));
        return;
    }
    if (room->count < room->gate->config->spop.max_connections) {
        session_new(room, fd);
        return;
    }
    metrics_add(room->gate->metrics, METRIC_SPOP_REJECTED);
    if (log_gate_open(&gate, 1, ev_now(loop)))
        LOG(LOG_WARNING, "spop-full", log_int("max_connections", room->count),
            log_int("left_out", gate.left_out));
    close(fd);
}

/* Connections that have said nothing for spop.idle. One that waits for ACKs is not idle. */
static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct sessions *room = w->data;
    uint32_t idle_ms = room->gate->config->spop.idle_ms;
    struct session *next;
    for (struct session *s = room->first; s && idle_ms; s = next) {
        next = s->next;
        if (s->owner.waiting == 0 && ev_now(loop) - s->last_frame > idle_ms / 1000.0)
            disconnect(s, CLOSE_DISCONNECT, SPOP_TIMEOUT);
    }
}

struct sessions *sessions_new(struct gate *gate, const int *listen_fds, unsigned n)
{
    struct sessions *room = calloc(1, sizeof *room);
    if (!room)
        return NULL;
    room->gate = gate;
    room->nlisteners = n;
    for (unsigned i = 0; i < n; i++) {
        struct listener *l = &room->listeners[i];
        l->room = room;
        ev_io_init(&l->io, on_accept, listen_fds[i], EV_READ);
        l->io.data = l;
        ev_io_start(gate->loop, &l->io);
    }
    ev_prepare_init(&room->flush, on_turn_end);
    room->flush.data = room;
    ev_prepare_start(gate->loop, &room->flush);
    ev_timer_init(&room->sweep, on_sweep, 1, 1);
    room->sweep.data = room;
    ev_timer_start(gate->loop, &room->sweep);
    return room;
}

void sessions_drain(struct sessions *room)
{
    room->draining = true;
}

bool sessions_idle(const struct sessions *room)
{
    for (const struct session *s = room->first; s; s = s->next)
        if (s->owner.waiting > 0 || s->stream.out.len > 0)
            return false;
    return true;
}

void sessions_free(struct sessions *room)
{
    if (!room)
        return;
    for (unsigned i = 0; i < room->nlisteners; i++) {
        ev_io_stop(room->gate->loop, &room->listeners[i].io);
        close(room->listeners[i].io.fd);
    }
    while (room->first)
        session_close(room->first, CLOSE_STOP, SPOP_OK);
    ev_prepare_stop(room->gate->loop, &room->flush);
    ev_timer_stop(room->gate->loop, &room->sweep);
    free(room);
}
