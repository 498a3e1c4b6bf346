// SPDX-License-Identifier: MIT
/* The datagram socket on which HAProxy's log lines arrive as hints (docs/wire.md, Notices). */
#ifndef NOTICES_H
#define NOTICES_H

#include "rooms/gate.h"

struct notices;

/* gate: borrowed; its inflight, cache, config and metrics are used. fd: from listener_datagram(), owned from now on. */
struct notices *notices_new(struct gate *gate, int fd);
void notices_free(struct notices *n);

#endif
