// SPDX-License-Identifier: MIT
/* Plays HAProxy on one SPOP connection: NOTIFYs written by hand, frames read one after another. It shares the
 * test's loop with the agent: each wait turns the loop.
 *
 *   peer_open ──► peer_hello ──► peer_notify, peer_str .., peer_end ──► peer_send ──► peer_take ──► peer_close
 *
 * What does not come within five seconds ends the test with an assertion. */
#ifndef SPOP_PEER_H
#define SPOP_PEER_H

#include <ev.h>
#include "domain/buf.h"
#include "spop/frame.h"
#include "spop/writer.h"

struct peer {
    struct ev_loop *loop;
    int fd;
    bool eof;
    struct buf in; /* received; `taken` bytes of it have been looked at */
    size_t taken;
    struct buf out; /* frames that were made, not yet sent */
    uint8_t memory[65536];
    struct spop_writer w; /* the open frame */
    size_t count_at;      /* where its number of arguments stands */
};

/* A frame that was taken; it lies in memory until the next one. */
struct peer_frame {
    struct spop_frame head;
    size_t len;
    uint8_t bytes[70000];
};

/* address as in a configuration: unix@/path. */
void peer_open(struct peer *p, struct ev_loop *loop, const char *address);
void peer_close(struct peer *p);
/* HELLO and its answer; returns the frame size that was agreed. */
uint32_t peer_hello(struct peer *p, uint32_t max_frame, bool check);

/* One NOTIFY with one message; it is added to `out`. */
void peer_notify(struct peer *p, uint64_t stream, const char *message);
void peer_str(struct peer *p, const char *name, const char *value);
void peer_bin(struct peer *p, const char *name, const void *bytes, size_t len);
void peer_int(struct peer *p, const char *name, int64_t value);
void peer_bool(struct peer *p, const char *name, bool value);
void peer_end(struct peer *p);
/* Sends what was made; the loop turns where the socket does not take it. */
void peer_send(struct peer *p);

/* Turns the loop for so many seconds. */
void peer_turn(struct peer *p, double seconds);
/* The next frame; false: the connection has ended. */
bool peer_take(struct peer *p, struct peer_frame *f);
/* The next frame is an ACK of this stream. */
void peer_ack(struct peer *p, uint64_t stream, struct peer_frame *f);
/* Has anything come? Does not wait. */
bool peer_has_frame(struct peer *p);
/* Waits for the end of the connection. */
void peer_ended(struct peer *p);

/* Variables of an ACK. */
bool ack_value(const struct peer_frame *f, const char *name, struct spop_value *v);
bool ack_says(const struct peer_frame *f, const char *name, const char *text);
bool ack_is_true(const struct peer_frame *f, const char *name);
int64_t ack_integer(const struct peer_frame *f, const char *name); /* -1: it is not there */
bool ack_is_empty(const struct peer_frame *f);

#endif
