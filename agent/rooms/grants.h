// SPDX-License-Identifier: MIT
/* The `go`s among the bytes that a session has still to write.
 *
 *   bytes ever queued:   0 ............ written ..................... queued
 *                        in the socket |  out: ack  GO  ack  ack  GO |
 *                                              from, len       from, len
 *
 * A `go` must not leave after its deadline, and one that did not leave is taken back; one byte of it in the
 * socket counts as delivered (PROTOCOL, Evidence and Timing). */
#ifndef GRANTS_H
#define GRANTS_H

#include "adapters/stream.h"
#include "rooms/gate.h"

struct waiting_grant {
    struct grant grant;
    uint64_t from; /* its ACK's first byte, counted over all bytes ever queued on the stream */
    size_t len;
};

struct grants {
    struct waiting_grant *list; /* in the order of `from` */
    unsigned n, cap;
};

/* The ACK of len bytes that is put into the stream next carries this grant. false: no memory, not taken. */
bool grants_add(struct grants *g, const struct stream *s, const struct grant *grant, size_t len);
/* Just before a write: cuts the ACKs of grants past their deadline out of the stream and takes those grants
 * back. */
void grants_drop_late(struct grants *g, struct stream *s, struct gate *gate);
/* Just after a write: those that left are forgotten. */
void grants_forget_delivered(struct grants *g, const struct stream *s);
/* The session ends: what did not leave is taken back; frees the list. */
void grants_clear(struct grants *g, const struct stream *s, struct gate *gate);

#endif
