// SPDX-License-Identifier: MIT
/* The room of all connections.
 *
 *   loop's turn:  accept, frames, replies .. ──► put, mark ──► .. ──► on_turn_end: one write for each marked
 *   each second:  idle ones are ended, late grants are taken back, a door that was shut is opened again */
#include "rooms/session_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/log.h"

static const ev_tstamp sweep_every = 1;

static void show_count(const struct sessions *room)
{
    metrics_set(room->gate->metrics, METRIC_SPOP_CONNECTIONS, room->count);
}

void sessions_add(struct sessions *room, struct session *s)
{
    s->next = room->first;
    if (s->next)
        s->next->prev = s;
    room->first = s;
    room->count++;
    show_count(room);
}

static void unmark(struct sessions *room, struct session *s)
{
    if (!s->dirty)
        return;
    struct session **at = &room->dirty;
    while (*at != s)
        at = &(*at)->next_dirty;
    *at = s->next_dirty;
    s->dirty = false;
}

void sessions_remove(struct sessions *room, struct session *s)
{
    unmark(room, s);
    if (s->prev)
        s->prev->next = s->next;
    else
        room->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    room->count--;
    show_count(room);
}

void sessions_mark(struct sessions *room, struct session *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = room->dirty;
    room->dirty = s;
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)loop;
    (void)revents;
    struct sessions *room = w->data;
    struct session *s;
    while ((s = room->dirty)) {
        room->dirty = s->next_dirty;
        s->dirty = false;
        session_flush(s);
    }
}

static void open_doors(struct sessions *room)
{
    for (unsigned i = 0; i < room->ndoors; i++)
        ev_io_start(room->gate->loop, &room->doors[i].io);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct sessions *room = w->data;
    struct session *next;
    for (struct session *s = room->first; s; s = next) {
        next = s->next;
        session_sweep(s, ev_now(loop));
    }
    open_doors(room);
}

/* No descriptors, no memory: the door is shut until the next sweep, or the loop would spin on it. */
static void accept_failed(struct ev_loop *loop, ev_io *w, int error)
{
    static struct log_gate gate;
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
        return;
    ev_io_stop(loop, w);
    if (log_gate_open(&gate, 1, ev_now(loop)))
        LOG(LOG_ERROR, "spop-accept", log_text("error", strerror(error)), log_int("left_out", gate.left_out));
}

static void turn_away(struct sessions *room, int fd)
{
    static struct log_gate gate;
    metrics_add(room->gate->metrics, METRIC_SPOP_REJECTED);
    if (log_gate_open(&gate, 1, ev_now(room->gate->loop)))
        LOG(LOG_WARNING, "spop-full", log_int("max_connections", room->count),
            log_int("left_out", gate.left_out));
    close(fd);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    struct door *door = w->data;
    struct sessions *room = door->room;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        accept_failed(loop, w, errno);
    else if (room->count >= room->gate->config->spop.max_connections)
        turn_away(room, fd);
    else if (session_new(room, fd))
        metrics_add(room->gate->metrics, METRIC_SPOP_ACCEPTED);
}

struct sessions *sessions_new(struct gate *gate, const int *listen_fds, unsigned n)
{
    struct sessions *room = calloc(1, sizeof *room);
    if (!room)
        return NULL;
    room->gate = gate;
    room->ndoors = n;
    for (unsigned i = 0; i < n; i++) {
        struct door *door = &room->doors[i];
        door->room = room;
        ev_io_init(&door->io, on_accept, listen_fds[i], EV_READ);
        door->io.data = door;
    }
    open_doors(room);
    ev_prepare_init(&room->turn_end, on_turn_end);
    room->turn_end.data = room;
    ev_prepare_start(gate->loop, &room->turn_end);
    ev_timer_init(&room->sweep, on_sweep, sweep_every, sweep_every);
    room->sweep.data = room;
    ev_timer_start(gate->loop, &room->sweep);
    return room;
}

void sessions_drain(struct sessions *room)
{
    room->draining = true;
}

bool sessions_idle(const struct sessions *room)
{
    for (const struct session *s = room->first; s; s = s->next)
        if (s->owner.waiting > 0 || s->stream.out.len > 0)
            return false;
    return true;
}

void sessions_free(struct sessions *room)
{
    if (!room)
        return;
    for (unsigned i = 0; i < room->ndoors; i++) {
        ev_io_stop(room->gate->loop, &room->doors[i].io);
        close(room->doors[i].io.fd);
    }
    while (room->first)
        session_close(room->first, CLOSE_STOP, SPOP_OK);
    ev_prepare_stop(room->gate->loop, &room->turn_end);
    ev_timer_stop(room->gate->loop, &room->sweep);
    free(room);
}
