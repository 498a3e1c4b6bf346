// SPDX-License-Identifier: MIT
/* A peer that sends and does not read, on a real socket, with the clock in the test's hand: one message every
 * 50 ms, each answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rooms/wedge.h"

static struct ev_loop *loop;
static struct stream s;
static struct wedge wedge;
static int peer;
static double now;

static void on_event(struct stream *stream, enum stream_event event)
{
    (void)stream;
    (void)event;
}

static int setup(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    loop = ev_loop_new(0);
    stream_init(&s, loop, fds[0], 100, on_event);
    peer = fds[1];
    wedge = (struct wedge){0};
    now = 1000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stream_clear(&s);
    close(peer);
    ev_loop_destroy(loop);
    return 0;
}

/* A message comes after so many seconds and is answered with len bytes; true: it is wedged. */
static bool message(double after, size_t len)
{
    static const char bytes[16384];
    now += after;
    bool seen = wedge_seen(&wedge, &s, now);
    stream_put(&s, bytes, len);
    stream_flush(&s);
    return seen;
}

static void peer_reads(size_t most)
{
    char bytes[65536];
    while (most > 0) {
        ssize_t n = read(peer, bytes, most < sizeof bytes ? most : sizeof bytes);
        if (n <= 0)
            return;
        most -= (size_t)n;
    }
}

static double until_seen(double every, size_t len, double longest)
{
    double from = now;
    while (now - from < longest)
        if (message(every, len))
            return now - from;
    return -1;
}

static void peer_that_never_reads(void **state)
{
    (void)state;
    double took = until_seen(0.05, 60, 10);
    assert_true(took > 0.6 && took < 1.2);
}

/* Rare messages: each look is seconds after the last one. */
static void rare_messages(void **state)
{
    (void)state;
    double took = until_seen(1.5, 60, 30);
    assert_true(took > 0 && took <= 7.5);
}

/* Its buffer is full and so is the socket: nothing can be written any more. */
static void full_socket(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++)
        message(0, 16384);
    assert_true(s.out.len > 0 && s.out.len < 1 << 20);
    double took = until_seen(0.05, 0, 10);
    assert_true(took > 0);
}

static void peer_that_reads_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        assert_false(message(0.05, 60));
        peer_reads(SIZE_MAX);
    }
}

/* It is behind, and further behind with each look, but it reads. */
static void slow_reader(void **state)
{
    static const size_t sizes[] = {60, 200, 1500, 9000};
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (unsigned i = 0; i < 20; i++) {
            if (message(0.05, sizes[k]))
                fail_msg("size %zu, message %u", sizes[k], i);
            peer_reads(sizes[k] - sizes[k] / 4);
        }
        peer_reads(SIZE_MAX);
    }
}

/* Small answers in great numbers: what lies unread weighs more than all that was written, for the kernel
 * counts a buffer for each. */
static void slow_reader_of_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10 * 40; i++) {
        assert_false(message(0.005, 60));
        if (i % 40 == 39)
            peer_reads(36 * 60);
    }
}

/* Three looks in a row; a read between them begins anew. */
static void a_read_begins_anew(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3; i++)
            assert_false(message(0.2, 60));
        peer_reads(SIZE_MAX);
    }
}

/* Nothing can be told of its reading, but our own memory fills. */
static void memory_is_bounded(void **state)
{
    static const char bytes[1 << 20];
    (void)state;
    stream_put(&s, bytes, sizeof bytes - 1);
    assert_false(wedge_seen(&wedge, &s, now));
    stream_put(&s, bytes, 1);
    assert_true(wedge_seen(&wedge, &s, now));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(peer_that_never_reads), T(rare_messages),       T(full_socket),        T(peer_that_reads_all),
        T(slow_reader),           T(slow_reader_of_many), T(a_read_begins_anew), T(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
