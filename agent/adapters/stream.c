// SPDX-License-Identifier: MIT
/* One recv(2) of at most 16 KiB for each time the socket is readable, straight into `in`; one send(2) for
 * each flush, and the writable watcher runs only while something is left in `out`.
 *
 *   readable ── room? ── recv ──► DATA        reading stops while `in` is full, and begins again with take()
 *                          └────► GONE        the end or an error: told once, then deaf
 */
#include "adapters/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_CHUNK = 16384 };

static void gone(struct stream *s, int error)
{
    s->error = error;
    stream_deaf(s);
    s->fn(s, STREAM_GONE);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct stream *s = w->data;
    size_t room = s->max_in - s->in.len;
    if (room > READ_CHUNK)
        room = READ_CHUNK;
    if (!buf_reserve(&s->in, room)) {
        gone(s, ENOMEM);
        return;
    }
    ssize_t n = recv(s->fd, s->in.data + s->in.len, room, 0);
    if (n > 0) {
        s->in.len += (size_t)n;
        if (s->in.len >= s->max_in)
            ev_io_stop(s->loop, &s->readable);
        s->fn(s, STREAM_DATA);
    } else if (n == 0) {
        gone(s, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        gone(s, errno);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct stream *s = w->data;
    s->fn(s, STREAM_WRITABLE);
}

void stream_init(struct stream *s, struct ev_loop *loop, int fd, size_t max_in, stream_fn *fn)
{
    *s = (struct stream){.loop = loop, .fd = fd, .max_in = max_in, .fn = fn};
    ev_io_init(&s->readable, on_readable, fd, EV_READ);
    ev_io_init(&s->writable, on_writable, fd, EV_WRITE);
    s->readable.data = s->writable.data = s;
    ev_io_start(loop, &s->readable);
}

void stream_clear(struct stream *s)
{
    stream_deaf(s);
    ev_io_stop(s->loop, &s->writable);
    close(s->fd);
    buf_free(&s->in);
    buf_free(&s->out);
}

void stream_take(struct stream *s, size_t n)
{
    buf_shift(&s->in, n);
    if (s->in.len < s->max_in && !s->error)
        ev_io_start(s->loop, &s->readable);
}

void stream_put(struct stream *s, const void *bytes, size_t len)
{
    buf_put(&s->out, bytes, len);
}

long stream_flush(struct stream *s)
{
    if (s->out.len == 0) { /* also what the owner has cut out of it */
        ev_io_stop(s->loop, &s->writable);
        return 0;
    }
    ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        s->error = errno;
        return -1;
    }
    if (n > 0) {
        buf_shift(&s->out, (size_t)n);
        s->written += (uint64_t)n;
        s->writes++;
    }
    if (s->out.len > 0)
        ev_io_start(s->loop, &s->writable);
    else
        ev_io_stop(s->loop, &s->writable);
    return n > 0 ? n : 0;
}

void stream_deaf(struct stream *s)
{
    ev_io_stop(s->loop, &s->readable);
}

long stream_unread(const struct stream *s)
{
    int queued;
    return ioctl(s->fd, SIOCOUTQ, &queued) == 0 ? queued : -1;
}
