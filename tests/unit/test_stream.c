// SPDX-License-Identifier: MIT
/* The byte stream over a socket pair: pieces, bounds, full sockets, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/stream.h"

enum { MAX_IN = 1000 };

static struct ev_loop *loop;
static struct stream s;
static int peer;
static unsigned events[3];
static bool clear_on_event;

static void on_event(struct stream *stream, enum stream_event event)
{
    assert_ptr_equal(stream, &s);
    events[event]++;
    if (clear_on_event)
        stream_clear(stream);
}

static int setup(void **state)
{
    int fds[2];
    (void)state;
    memset(events, 0, sizeof events);
    clear_on_event = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    loop = ev_loop_new(0);
    stream_init(&s, loop, fds[0], MAX_IN, on_event);
    peer = fds[1];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!clear_on_event)
        stream_clear(&s);
    close(peer);
    ev_loop_destroy(loop);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        ev_run(loop, EVRUN_NOWAIT);
}

static void comes_in_pieces(void **state)
{
    (void)state;
    assert_int_equal(write(peer, "ab", 2), 2);
    turn();
    assert_int_equal(write(peer, "c", 1), 1);
    turn();
    assert_int_equal(events[STREAM_DATA], 2);
    assert_int_equal(s.in.len, 3);
    assert_memory_equal(s.in.data, "abc", 3);
    stream_take(&s, 2);
    assert_int_equal(s.in.len, 1);
    assert_memory_equal(s.in.data, "c", 1);
}

/* What lies unread is bounded; reading goes on once something was taken. */
static void in_is_bounded(void **state)
{
    char bytes[3 * MAX_IN];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(write(peer, bytes, MAX_IN - 1), MAX_IN - 1);
    turn();
    assert_int_equal(s.in.len, MAX_IN - 1);
    assert_int_equal(write(peer, bytes, sizeof bytes), sizeof bytes);
    turn();
    assert_int_equal(s.in.len, MAX_IN);
    unsigned seen = events[STREAM_DATA];
    turn();
    assert_int_equal(events[STREAM_DATA], seen);
    assert_int_equal(events[STREAM_GONE], 0);
    stream_take(&s, 1);
    turn();
    assert_int_equal(s.in.len, MAX_IN);
    stream_take(&s, MAX_IN);
    turn();
    assert_int_equal(s.in.len, MAX_IN);
}

static void nothing_is_written_before_flush(void **state)
{
    char got[8];
    (void)state;
    stream_put(&s, "ab", 2);
    stream_put(&s, "cd", 2);
    turn();
    assert_int_equal(read(peer, got, sizeof got), -1);
    assert_int_equal(stream_flush(&s), 4);
    assert_int_equal(read(peer, got, sizeof got), 4);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(s.written, 4);
    assert_int_equal(s.writes, 1);
    assert_int_equal(stream_flush(&s), 0);
    assert_int_equal(s.writes, 1);
}

/* Until the peer has read some, nobody is told that it can be written again; then the rest leaves whole. */
static void full_socket(void **state)
{
    enum { LEN = 600000 };
    static uint8_t out[LEN], in[LEN];
    size_t got = 0;
    (void)state;
    for (size_t i = 0; i < LEN; i++)
        out[i] = (uint8_t)(i * 7 + i / 256);
    stream_put(&s, out, LEN);
    long left = stream_flush(&s);
    assert_true(left > 0 && left < LEN);
    assert_int_equal(s.out.len, LEN - (size_t)left);
    turn();
    assert_int_equal(events[STREAM_WRITABLE], 0);
    assert_int_equal(stream_flush(&s), 0);
    while (got < LEN) {
        ssize_t n = read(peer, in + got, LEN - got);
        if (n > 0)
            got += (size_t)n;
        turn();
        if (events[STREAM_WRITABLE] > 0)
            assert_true(stream_flush(&s) >= 0);
    }
    assert_memory_equal(in, out, LEN);
    assert_int_equal(s.out.len, 0);
    assert_int_equal(s.written, LEN);
    unsigned told = events[STREAM_WRITABLE];
    turn();
    assert_int_equal(events[STREAM_WRITABLE], told);
}

/* What came before the end is seen first. */
static void end_of_file(void **state)
{
    (void)state;
    assert_int_equal(write(peer, "last", 4), 4);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(events[STREAM_DATA], 1);
    assert_int_equal(events[STREAM_GONE], 1);
    assert_int_equal(s.error, 0);
    turn();
    assert_int_equal(events[STREAM_GONE], 1);
}

static void broken_pipe(void **state)
{
    (void)state;
    close(peer);
    stream_put(&s, "x", 1);
    assert_int_equal(stream_flush(&s), -1);
    assert_int_equal(s.error, EPIPE);
    peer = dup(0);
}

static void reset_by_peer(void **state)
{
    (void)state;
    stream_put(&s, "x", 1);
    assert_int_equal(stream_flush(&s), 1);
    close(peer); /* with bytes that it has not read */
    turn();
    assert_int_equal(events[STREAM_GONE], 1);
    assert_int_equal(s.error, ECONNRESET);
    peer = dup(0);
}

/* The owner may end it inside its own callback, whatever the event. */
static void cleared_inside_the_callback(void **state)
{
    (void)state;
    clear_on_event = true;
    assert_int_equal(write(peer, "x", 1), 1);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(events[STREAM_DATA], 1);
    assert_int_equal(events[STREAM_GONE], 0);
}

static void deaf_stream_hears_nothing(void **state)
{
    (void)state;
    stream_deaf(&s);
    assert_int_equal(write(peer, "x", 1), 1);
    turn();
    assert_int_equal(events[STREAM_DATA], 0);
}

/* The kernel counts the buffers too: more than the bytes, and nothing once the peer has read. */
static void unread_bytes(void **state)
{
    char got[8];
    (void)state;
    assert_int_equal(stream_unread(&s), 0);
    stream_put(&s, "four", 4);
    stream_flush(&s);
    long one = stream_unread(&s);
    assert_true(one >= 4 + 256);
    stream_put(&s, "more", 4);
    stream_flush(&s);
    assert_true(stream_unread(&s) >= one + 4 + 256);
    assert_int_equal(read(peer, got, sizeof got), 8);
    assert_int_equal(stream_unread(&s), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(comes_in_pieces),
        T(in_is_bounded),
        T(nothing_is_written_before_flush),
        T(full_socket),
        T(end_of_file),
        T(broken_pipe),
        T(reset_by_peer),
        T(cleared_inside_the_callback),
        T(deaf_stream_hears_nothing),
        T(unread_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
