// SPDX-License-Identifier: MIT
/* Each readable turn takes some datagrams; a line is read (domain/notice) and handed on:
 *
 *   an execution ──► inflight: look at HAProxy's table     a fetch ──► cache: its lease ends, those who wait are told */
#include "rooms/notices.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/log.h"
#include "rooms/monotonic.h"

/* What a line says to us stands at its beginning; what is longer is cut. A burst must not starve the loop. */
enum { LINE_BYTES = 1024, LINES_AT_ONCE = 256 };

struct notices {
    struct gate *gate;
    ev_io io;
    struct log_gate strange_gate;
};

static void hand_on(struct gate *g, const struct notice *notice)
{
    if (!notice->fetch)
        inflight_notice(g->inflight, notice);
    else if (cache_fetch_over(g->cache, g->config, &notice->fetched, notice_fetch_mark(notice)))
        metrics_add(g->metrics, METRIC_CACHE_FETCHES_NOTICED);
}

static void take_line(struct notices *n, const char *line, size_t len)
{
    struct notice notice;
    struct gate *g = n->gate;
    int found = notice_read(line, len, &notice);
    if (found == 0) {
        metrics_add(g->metrics, METRIC_NOTICES);
        hand_on(g, &notice);
    } else if (found < 0) {
        metrics_add(g->metrics, METRIC_NOTICES_BAD);
        if (log_gate_open(&n->strange_gate, 1, monotonic_now()))
            LOG(LOG_DEBUG, "notice-not-ours", log_bytes("line", (struct spop_slice){line, len}),
                log_int("left_out", n->strange_gate.left_out));
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct notices *n = io->data;
    char line[LINE_BYTES];
    for (unsigned i = 0; i < LINES_AT_ONCE; i++) {
        ssize_t len = recv(io->fd, line, sizeof line, MSG_DONTWAIT);
        if (len < 0)
            return;
        take_line(n, line, (size_t)len);
    }
}

struct notices *notices_new(struct gate *gate, int fd)
{
    struct notices *n = calloc(1, sizeof *n);
    if (!n) {
        close(fd);
        return NULL;
    }
    n->gate = gate;
    ev_io_init(&n->io, on_readable, fd, EV_READ);
    n->io.data = n;
    ev_io_start(gate->loop, &n->io);
    return n;
}

void notices_free(struct notices *n)
{
    if (!n)
        return;
    ev_io_stop(n->gate->loop, &n->io);
    close(n->io.fd);
    free(n);
}
