// SPDX-License-Identifier: MIT
/* Recognises a connection that its peer has stopped reading while it goes on sending.
 *
 * HAProxy 3.1 and later never reads an SPOP connection again once a full buffer of ACKs waits in it: NOTIFYs
 * keep coming, every one of them times out. Over a unix socket on Linux it shows, because what lies unread
 * there counts against the writer (SIOCOUTQ): its bytes, and the buffer around each write.
 *
 *   look      unread   written since     nothing was read, if
 *   0.0 s        768   -                 unread now >= unread then + bytes and buffers written since,
 *   0.2 s      1,536   1 write           three times in a row
 */
#ifndef WEDGE_H
#define WEDGE_H

#include "adapters/stream.h"

struct wedge {
    ev_tstamp looked;
    long unread;
    uint64_t written, writes; /* of the stream, when it was last looked at */
    unsigned strikes;
};

/* To be asked for each message of the peer, at any rate; now: ev_now(). True: close it. Begins zeroed. */
bool wedge_seen(struct wedge *w, const struct stream *s, ev_tstamp now);

#endif
