// SPDX-License-Identifier: MIT
/* The datagram socket on which HAProxy's log lines arrive as hints (docs/wire.md, Notices). */
#ifndef NOTICES_H
#define NOTICES_H

#include <ev.h>
#include "rooms/inflight.h"

struct notices;

/* fd: from listener_datagram(), owned from now on. */
struct notices *notices_new(struct ev_loop *loop, int fd, struct inflight *inflight, struct metrics *metrics);
void notices_free(struct notices *n);

#endif
