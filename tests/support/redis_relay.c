// SPDX-License-Identifier: MIT
/* Two streams, each written to as the other one is read. */
#include "tests/support/redis_relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "adapters/stream.h"

static struct relay {
    struct room *room;
    ev_io door;
    bool connected, hold;
    struct stream up, down; /* to Redis; to the agent */
    char address[128];
} relay;

static void disconnect(void)
{
    if (!relay.connected)
        return;
    relay.connected = false;
    stream_clear(&relay.up);
    stream_clear(&relay.down);
}

static void move(struct stream *from, struct stream *to)
{
    stream_put(to, from->in.data, from->in.len);
    stream_take(from, from->in.len);
    stream_flush(to);
}

static void on_relay(struct stream *s, enum stream_event event)
{
    if (event == STREAM_GONE)
        disconnect();
    else if (event == STREAM_WRITABLE)
        stream_flush(s);
    else if (s == &relay.down)
        move(&relay.down, &relay.up);
    else if (!relay.hold)
        move(&relay.up, &relay.down);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    char err[256], address[128];
    (void)revents;
    disconnect();
    snprintf(address, sizeof address, "unix@%s", relay.room->redis.server.socket);
    stream_init(&relay.down, loop, accept(io->fd, NULL, NULL), 1 << 20, on_relay);
    stream_init(&relay.up, loop, listener_connect(address, err, sizeof err), 1 << 20, on_relay);
    relay.connected = true;
}

void relay_start(struct room *w)
{
    char err[256];
    relay = (struct relay){.room = w};
    snprintf(relay.address, sizeof relay.address, "unix@%s/relay", w->redis.server.dir);
    int fd = listener_stream(relay.address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    ev_io_init(&relay.door, on_accept, fd, EV_READ);
    ev_io_start(w->redis.loop, &relay.door);
    strcpy(w->redis.config->redis.address, relay.address);
    redis_reconfigure(w->redis.redis, &w->redis.config->redis);
    redis_fixture_until_ready(&w->redis, 2);
}

void relay_stop(void)
{
    disconnect();
    ev_io_stop(relay.room->redis.loop, &relay.door);
    close(relay.door.fd);
    listener_remove(relay.address);
}

void relay_hold(bool hold)
{
    relay.hold = hold;
    if (!hold && relay.connected)
        move(&relay.up, &relay.down);
}

void relay_cut(void)
{
    disconnect();
    relay.hold = false;
}
