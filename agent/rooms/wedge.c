// SPDX-License-Identifier: MIT
/* Looks at most five times a second, with one ioctl; three looks in a row must say the same. */
#include "rooms/wedge.h"

enum {
    STRIKES = 3,
    OUT_MAX = 1 << 20, /* a peer that leaves so much in our own memory is not reading either (TCP) */
    WRITE_COST = 256,  /* of one write beyond its bytes; Linux counts 576 and more */
};
static const ev_tstamp look_every = 0.2;

static bool nothing_read(const struct wedge *w, const struct stream *s, long unread)
{
    uint64_t since = s->written - w->written + (s->writes - w->writes) * WRITE_COST;
    return w->unread > 0 && unread >= w->unread + (long)since;
}

bool wedge_seen(struct wedge *w, const struct stream *s, ev_tstamp now)
{
    if (s->out.len >= OUT_MAX)
        return true;
    if (now - w->looked < look_every)
        return false;
    long unread = stream_unread(s);
    unsigned strikes = nothing_read(w, s, unread) ? w->strikes + 1 : 0;
    *w = (struct wedge){now, unread, s->written, s->writes, strikes};
    return strikes >= STRIKES;
}
