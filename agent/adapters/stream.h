// SPDX-License-Identifier: MIT
/* A non-blocking byte stream on the loop: bytes in, bytes out, one callback.
 *
 *   socket ──► in ──► STREAM_DATA (the owner takes what it understands)
 *   socket ◄── out ◄── stream_put(); leaves with stream_flush(); STREAM_WRITABLE says when to call it again
 *
 * The stream never closes itself: the owner does, after STREAM_GONE or whenever it wants. */
#ifndef STREAM_H
#define STREAM_H

#include <ev.h>
#include "domain/buf.h"

enum stream_event {
    STREAM_DATA,     /* in has grown */
    STREAM_WRITABLE, /* the socket had refused some of out and takes it again: flush */
    STREAM_GONE,     /* end of file, or an error (errno-style in `error`, 0 at end of file) */
};

struct stream;
typedef void stream_fn(struct stream *s, enum stream_event event);

struct stream {
    struct ev_loop *loop;
    ev_io readable, writable;
    struct buf in, out;
    size_t max_in;            /* reading stops while this much waits in `in` */
    uint64_t written, writes; /* bytes that left, and in how many writes */
    int fd, error;
    stream_fn *fn;
};

/* fd is owned from now on. */
void stream_init(struct stream *s, struct ev_loop *loop, int fd, size_t max_in, stream_fn *fn);
/* Closes the socket and frees the buffers. */
void stream_clear(struct stream *s);

/* Drops the first n bytes of `in`. */
void stream_take(struct stream *s, size_t n);
/* Queues bytes; nothing is written before stream_flush(). */
void stream_put(struct stream *s, const void *bytes, size_t len);
/* Writes what the socket takes; returns the bytes that left, -1 if the connection is broken. */
long stream_flush(struct stream *s);
/* No more reading: the owner is about to close. */
void stream_deaf(struct stream *s);
/* Bytes that left us and that the peer has not read (unix sockets on Linux); -1: cannot be told. */
long stream_unread(const struct stream *s);

#endif
