// SPDX-License-Identifier: MIT
/* One connection: frames in, ACKs out.
 *
 *   bytes ──► take_frames ──► take_hello, take_notify ──► txn ──► on_answer ──► out ──► session_flush
 *                        └──► disconnect(status)                  go: grants ──► cut out when it is late
 *
 * Nothing closes a session while a transaction's callback may be on the stack: an answer only puts bytes, and
 * what is wrong with them is found at the end of the turn. */
#include "rooms/session_inner.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "spop/frame.h"
#include "spop/hello.h"

enum { OWN_FRAME = 256 }; /* HELLO and DISCONNECT fit */

static const char *const close_words[] = {
#define X(symbol, word) word,
    CLOSE_TABLE(X)
#undef X
};

static void log_close(const struct session *s, enum close_reason reason, enum spop_status status)
{
    static struct log_gate gate;
    enum log_level level = reason == CLOSE_STATUS || reason == CLOSE_WEDGED ? LOG_WARNING : LOG_DEBUG;
    char peer[LISTENER_PEER_TEXT];
    if (!log_wants(level) || !log_gate_open(&gate, 20, ev_now(s->stream.loop)))
        return;
    listener_peer(s->stream.fd, peer);
    LOG(level, "spop-closed", log_text("peer", peer), log_text("reason", close_words[reason]),
        log_text("status", reason == CLOSE_STATUS ? spop_status_word(status) : "-"),
        log_int("waiting", s->owner.waiting), log_int("left_out", gate.left_out));
}

void session_close(struct session *s, enum close_reason reason, enum spop_status status)
{
    struct gate *g = s->room->gate;
    log_close(s, reason, status);
    if (reason == CLOSE_STATUS)
        g->metrics->spop_errors[status]++;
    if (reason == CLOSE_WEDGED)
        metrics_add(g->metrics, METRIC_SPOP_WEDGED);
    grants_clear(&s->grants, &s->stream, g);
    txn_abandon(&s->owner);
    sessions_remove(s->room, s);
    stream_clear(&s->stream);
    free(s);
}

static void put(struct session *s, const uint8_t *frame, size_t len)
{
    stream_put(&s->stream, frame, len);
    sessions_mark(s->room, s);
}

/* Without memory for the ACK it does not exist: HAProxy waits in vain and refuses. */
static void on_answer(struct txn_owner *owner, const uint8_t *frame, size_t len, const struct grant *grant)
{
    struct session *s = (struct session *)((char *)owner - offsetof(struct session, owner));
    struct gate *g = s->room->gate;
    bool room =
        buf_reserve(&s->stream.out, len) && (!grant || grants_add(&s->grants, &s->stream, grant, len));
    if (!room && grant)
        gate_take_back(g, grant);
    if (room)
        metrics_add(g->metrics, METRIC_SPOP_ACKS);
    put(s, frame, room ? len : 0);
}

static bool write_out(struct session *s)
{
    grants_drop_late(&s->grants, &s->stream, s->room->gate);
    if (stream_flush(&s->stream) < 0)
        return false;
    grants_forget_delivered(&s->grants, &s->stream);
    return true;
}

void session_flush(struct session *s)
{
    if (!write_out(s))
        session_close(s, CLOSE_ERROR, SPOP_IO);
    else if (s->stream.out.failed)
        session_close(s, CLOSE_STATUS, SPOP_RESOURCE);
    else if (s->state == SESSION_ENDING && s->stream.out.len == 0)
        session_close(s, CLOSE_CHECKED, SPOP_OK);
}

void session_disconnect(struct session *s, enum close_reason reason, enum spop_status status)
{
    uint8_t frame[OWN_FRAME];
    struct spop_writer w;
    spop_writer_init(&w, frame, sizeof frame);
    spop_disconnect_write(&w, status);
    put(s, frame, w.len);
    write_out(s);
    session_close(s, reason, status);
}

void session_sweep(struct session *s, ev_tstamp now)
{
    uint32_t idle_ms = s->room->gate->config->spop.idle_ms;
    /* A peer that does not read: no write comes that would find them late. */
    grants_drop_late(&s->grants, &s->stream, s->room->gate);
    if (idle_ms && s->owner.waiting == 0 && now - s->last_frame > idle_ms / 1000.0)
        session_disconnect(s, CLOSE_IDLE, SPOP_TIMEOUT);
}

/* Each of these returns false if the session is gone. */
static bool stop(struct session *s, enum close_reason reason, enum spop_status status)
{
    session_disconnect(s, reason, status);
    return false;
}

/* Said once for each size. */
static void look_at_frame(struct session *s)
{
    uint64_t wanted = s->room->gate->config->cache.frame, offered = s->owner.max_frame + SPOP_PREFIX;
    if (wanted <= offered || s->room->told_frame == s->owner.max_frame)
        return;
    s->room->told_frame = s->owner.max_frame;
    LOG(LOG_WARNING, "cache-max-size", log_int("bufsize", (long long)offered),
        log_int("wanted", (long long)wanted),
        log_text("why",
                 "HAProxy's tune.bufsize is smaller than cache.max_size wants: what does not fit passes, "
                 "and is not stored"));
}

static bool take_hello(struct session *s, const struct spop_frame *f)
{
    struct spop_hello h;
    enum spop_status status = f->type == SPOP_HAPROXY_HELLO ? spop_hello_read(f->payload, &h) : SPOP_INVALID;
    if (status != SPOP_OK)
        return stop(s, CLOSE_STATUS, status);
    if (h.healthcheck) {
        metrics_add(s->room->gate->metrics, METRIC_SPOP_CHECKS);
        if (s->room->draining)
            return stop(s, CLOSE_STOP, SPOP_OK);
    }
    if (h.max_frame < s->owner.max_frame)
        s->owner.max_frame = h.max_frame;
    uint8_t frame[OWN_FRAME];
    struct spop_writer w;
    spop_writer_init(&w, frame, sizeof frame);
    spop_hello_write(&w, s->owner.max_frame, h.pipelining && !h.healthcheck);
    put(s, frame, w.len);
    s->state = h.healthcheck ? SESSION_ENDING : SESSION_OPEN;
    look_at_frame(s);
    return true;
}

static bool take_notify(struct session *s, const struct spop_frame *f)
{
    if (wedge_seen(&s->wedge, &s->stream, s->last_frame)) {
        session_close(s, CLOSE_WEDGED, SPOP_OK);
        return false;
    }
    enum spop_status status = txn_begin(s->room->gate, &s->owner, f->stream_id, f->frame_id, f->payload);
    return status == SPOP_OK || stop(s, CLOSE_STATUS, status);
}

/* HAProxy goes; an idle connection ends so on 2.6 and 3.0, and a broken one with HAProxy's reason. */
static bool take_disconnect(struct session *s, const struct spop_frame *f)
{
    unsigned status;
    struct spop_slice text;
    static struct log_gate gate;
    enum spop_status read = spop_disconnect_read(f->payload, &status, &text);
    bool ordinary = read == SPOP_OK && (status == SPOP_OK || status == SPOP_TIMEOUT);
    if (!ordinary && log_gate_open(&gate, 10, s->last_frame))
        LOG(LOG_WARNING, "spop-disconnected", log_text("status", spop_status_word(status)),
            log_bytes("text", text), log_int("left_out", gate.left_out));
    return stop(s, CLOSE_DISCONNECT, SPOP_OK);
}

static bool take_frame(struct session *s, const struct spop_frame *f)
{
    metrics_add(s->room->gate->metrics, METRIC_SPOP_FRAMES);
    s->last_frame = ev_now(s->stream.loop);
    if (f->type == SPOP_HAPROXY_DISCONNECT)
        return take_disconnect(s, f);
    if (s->state == SESSION_HELLO)
        return take_hello(s, f);
    if (s->state == SESSION_OPEN && f->type == SPOP_NOTIFY)
        return take_notify(s, f);
    return stop(s, CLOSE_STATUS, SPOP_INVALID);
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
        enum spop_status status = n < 0 ? (enum spop_status) - n : SPOP_OK;
        if (n < 0 || (status = spop_frame_open(in->data + at, (size_t)n, &f)) != SPOP_OK) {
            session_disconnect(s, CLOSE_STATUS, status);
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
    switch (event) {
    case STREAM_DATA: take_frames(s); return;
    case STREAM_WRITABLE: sessions_mark(s->room, s); return;
    case STREAM_GONE: session_close(s, stream->error ? CLOSE_ERROR : CLOSE_EOF, SPOP_OK);
    }
}

/* Frames are bounded by what is configured now, also when they are negotiated after a reload. */
struct session *session_new(struct sessions *room, int fd)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return NULL;
    }
    struct ev_loop *loop = room->gate->loop;
    s->room = room;
    s->owner.answer = on_answer;
    s->owner.max_frame = room->gate->config->spop.max_frame;
    s->last_frame = ev_now(loop);
    stream_init(&s->stream, loop, fd, s->owner.max_frame + SPOP_PREFIX, on_stream);
    sessions_add(room, s);
    return s;
}
