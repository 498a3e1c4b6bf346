// SPDX-License-Identifier: MIT
/* The datagram socket on which a gateway's access log arrives to be counted (domain/traffic). */
#ifndef TRAFFIC_LOG_H
#define TRAFFIC_LOG_H

#include <ev.h>
#include "domain/metrics.h"

struct traffic_log;

/* fd: from listener_datagram(), owned from now on. The metrics show what it counts until it is freed. */
struct traffic_log *traffic_log_new(struct ev_loop *loop, int fd, struct metrics *metrics);
void traffic_log_free(struct traffic_log *t);

#endif
