// SPDX-License-Identifier: MIT
/* The second HTTP listener (loopback): /metrics, /health/liveness, /health/readiness, /version. GET and HEAD;
 * anything else is refused with 405, an unknown path with 404. 64 connections at one time, further ones wait;
 * a silent one is closed after 30 s. */
#ifndef EXPORTER_H
#define EXPORTER_H

#include "adapters/httpd.h"
#include "domain/metrics.h"

struct exporter;

/* ready: asked at each readiness request; fills `why` when it says no (text that stays until the loop turns).
 * before: called before metrics are written, so that gauges can be set; may be NULL. listen_fd is owned from
 * now on. */
struct exporter_sources {
    bool (*ready)(void *arg, const char **why);
    void (*before)(void *arg);
    void *arg;
};
struct exporter *exporter_new(struct ev_loop *loop, int listen_fd, const struct metrics *metrics,
                              const struct exporter_sources *sources);
void exporter_free(struct exporter *e);

#endif
