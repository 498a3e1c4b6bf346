// SPDX-License-Identifier: MIT
/* Each readable turn takes some datagrams. What a line says to us stands at its beginning; what is longer is cut. */
#include "rooms/traffic_log.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, LINES_AT_ONCE = 256 };

struct traffic_log {
    struct ev_loop *loop;
    ev_io io;
    struct metrics *metrics;
};

static void take_line(struct metrics *m, const char *line, size_t len)
{
    struct traffic_line l;
    if (traffic_read(line, len, &l) < 0) {
        metrics_add(m, METRIC_TRAFFIC_BAD);
        return;
    }
    metrics_add(m, METRIC_TRAFFIC_LINES);
    if (!traffic_count(m->traffic, &l))
        metrics_add(m, METRIC_TRAFFIC_FULL);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct traffic_log *t = io->data;
    char line[LINE_BYTES];
    for (unsigned i = 0; i < LINES_AT_ONCE; i++) {
        ssize_t len = recv(io->fd, line, sizeof line, MSG_DONTWAIT);
        if (len < 0)
            return;
        take_line(t->metrics, line, (size_t)len);
    }
}

struct traffic_log *traffic_log_new(struct ev_loop *loop, int fd, struct metrics *metrics)
{
    struct traffic_log *t = calloc(1, sizeof *t);
    metrics->traffic = traffic_new();
    if (!t || !metrics->traffic) {
        traffic_free(metrics->traffic);
        metrics->traffic = NULL;
        free(t);
        close(fd);
        return NULL;
    }
    *t = (struct traffic_log){.loop = loop, .metrics = metrics};
    ev_io_init(&t->io, on_readable, fd, EV_READ);
    t->io.data = t;
    ev_io_start(loop, &t->io);
    return t;
}

void traffic_log_free(struct traffic_log *t)
{
    if (!t)
        return;
    ev_io_stop(t->loop, &t->io);
    close(t->io.fd);
    traffic_free(t->metrics->traffic);
    t->metrics->traffic = NULL;
    free(t);
}
