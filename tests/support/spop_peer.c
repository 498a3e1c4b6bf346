// SPDX-License-Identifier: MIT
/* NOTIFYs go through the agent's own writer, argument by argument; ACKs are read by hand, action by action:
 *
 *   open frame (memory) ──end──► out ──send──► socket ──receive──► in ──find, open──► struct peer_frame
 */
#include "tests/support/spop_peer.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "tests/support/loop.h"

static const double patience = 5;

void peer_open(struct peer *p, struct ev_loop *loop, const char *address)
{
    char err[256];
    *p = (struct peer){.loop = loop};
    p->fd = listener_connect(address, err, sizeof err);
    assert_true(p->fd >= 0);
}

void peer_close(struct peer *p)
{
    close(p->fd);
    buf_free(&p->in);
    buf_free(&p->out);
}

static void receive(struct peer *p)
{
    if (p->taken == p->in.len)
        p->taken = p->in.len = 0;
    while (!p->eof && buf_reserve(&p->in, 65536)) {
        ssize_t n = recv(p->fd, p->in.data + p->in.len, p->in.cap - p->in.len, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            p->eof = true;
        else
            p->in.len += (size_t)n;
    }
}

static void wait_for(struct peer *p, short events)
{
    struct pollfd fd = {.fd = p->fd, .events = events};
    ev_run(p->loop, EVRUN_NOWAIT);
    poll(&fd, 1, 1);
}

void peer_turn(struct peer *p, double seconds)
{
    loop_run(p->loop, seconds);
}

static long find(const struct peer *p)
{
    return spop_frame_find(p->in.data + p->taken, p->in.len - p->taken,
                           sizeof((struct peer_frame *)0)->bytes - SPOP_PREFIX);
}

bool peer_has_frame(struct peer *p)
{
    receive(p);
    return find(p) != 0;
}

bool peer_take(struct peer *p, struct peer_frame *f)
{
    long n = 0;
    for (ev_tstamp until = ev_time() + patience; n == 0 && ev_time() < until;) {
        receive(p);
        n = find(p);
        if (n == 0 && p->eof)
            return false;
        if (n == 0)
            wait_for(p, POLLIN);
    }
    assert_true(n > 0);
    f->len = (size_t)n;
    memcpy(f->bytes, p->in.data + p->taken, f->len);
    p->taken += f->len;
    assert_int_equal(spop_frame_open(f->bytes, f->len, &f->head), SPOP_OK);
    return true;
}

void peer_ack(struct peer *p, uint64_t stream, struct peer_frame *f)
{
    assert_true(peer_take(p, f));
    assert_int_equal(f->head.type, SPOP_ACK);
    assert_int_equal(f->head.stream_id, stream);
}

void peer_ended(struct peer *p)
{
    for (ev_tstamp until = ev_time() + patience; !p->eof && ev_time() < until; wait_for(p, POLLIN))
        receive(p);
    assert_true(p->eof);
}

static void begin(struct peer *p, unsigned type, uint64_t stream, uint64_t frame)
{
    spop_writer_init(&p->w, p->memory, sizeof p->memory);
    spop_frame_begin(&p->w, type, stream, frame);
}

static void end(struct peer *p)
{
    size_t len = spop_frame_end(&p->w);
    assert_true(len > 0);
    buf_put(&p->out, p->memory, len);
}

void peer_notify(struct peer *p, uint64_t stream, const char *message)
{
    begin(p, SPOP_NOTIFY, stream, 1);
    spop_put_string(&p->w, message, strlen(message));
    p->count_at = p->w.len;
    p->memory[p->w.len++] = 0;
}

static void name(struct peer *p, const char *text)
{
    spop_put_string(&p->w, text, strlen(text));
    p->memory[p->count_at]++;
}

void peer_str(struct peer *p, const char *arg, const char *value)
{
    name(p, arg);
    spop_put_typed_str(&p->w, value, strlen(value));
}

void peer_bin(struct peer *p, const char *arg, const void *bytes, size_t len)
{
    name(p, arg);
    p->memory[p->w.len++] = SPOP_BIN;
    spop_put_string(&p->w, bytes, len);
}

void peer_int(struct peer *p, const char *arg, int64_t value)
{
    name(p, arg);
    p->memory[p->w.len++] = SPOP_INT64;
    spop_put_varint(&p->w, (uint64_t)value);
}

void peer_bool(struct peer *p, const char *arg, bool value)
{
    name(p, arg);
    p->memory[p->w.len++] = (uint8_t)(SPOP_BOOL | (value ? 0x10 : 0));
}

void peer_end(struct peer *p)
{
    end(p);
}

void peer_send(struct peer *p)
{
    size_t at = 0;
    for (ev_tstamp until = ev_time() + patience; at < p->out.len && ev_time() < until;) {
        ssize_t n = send(p->fd, p->out.data + at, p->out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            at += (size_t)n;
        else
            wait_for(p, POLLOUT);
    }
    assert_int_equal(at, p->out.len);
    buf_reset(&p->out);
}

uint32_t peer_hello(struct peer *p, uint32_t max_frame, bool check)
{
    static struct peer_frame f;
    uint32_t agreed = 0;
    begin(p, SPOP_HAPROXY_HELLO, 0, 0);
    spop_put_string(&p->w, "supported-versions", 18);
    spop_put_typed_str(&p->w, "2.0", 3);
    spop_put_string(&p->w, "max-frame-size", 14);
    spop_put_typed_uint(&p->w, max_frame);
    spop_put_string(&p->w, "capabilities", 12);
    spop_put_typed_str(&p->w, check ? "" : "pipelining,async", check ? 0 : 16);
    if (check) {
        spop_put_string(&p->w, "healthcheck", 11);
        p->memory[p->w.len++] = SPOP_BOOL | 0x10;
    }
    end(p);
    peer_send(p);
    assert_true(peer_take(p, &f));
    assert_int_equal(f.head.type, SPOP_AGENT_HELLO);
    struct spop_cursor c = f.head.payload;
    struct spop_slice key;
    struct spop_value v;
    while (c.at < c.end && spop_get_string(&c, &key) == 0 && spop_get_value(&c, &v) == 0)
        if (key.len == 14 && memcmp(key.ptr, "max-frame-size", 14) == 0)
            agreed = (uint32_t)v.integer;
    return agreed;
}

bool ack_value(const struct peer_frame *f, const char *var, struct spop_value *v)
{
    struct spop_cursor c = f->head.payload;
    struct spop_slice n;
    while (c.end - c.at > 3) {
        c.at += 3; /* set-var, three arguments, scope */
        if (spop_get_string(&c, &n) < 0 || spop_get_value(&c, v) < 0)
            return false;
        if (n.len == strlen(var) && memcmp(n.ptr, var, n.len) == 0)
            return true;
    }
    return false;
}

bool ack_says(const struct peer_frame *f, const char *var, const char *text)
{
    struct spop_value v;
    return ack_value(f, var, &v) && v.bytes.len == strlen(text) &&
           memcmp(v.bytes.ptr, text, v.bytes.len) == 0;
}

bool ack_is_true(const struct peer_frame *f, const char *var)
{
    struct spop_value v;
    return ack_value(f, var, &v) && v.type == SPOP_BOOL && v.integer == 1;
}

int64_t ack_integer(const struct peer_frame *f, const char *var)
{
    struct spop_value v;
    return ack_value(f, var, &v) ? v.integer : -1;
}

bool ack_is_empty(const struct peer_frame *f)
{
    return f->head.payload.at == f->head.payload.end;
}
