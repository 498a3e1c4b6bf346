// SPDX-License-Identifier: MIT
/* The `go`s among the bytes of a stream: which leave, which are cut out, which count as delivered.
 *
 * The stream is one end of a socket pair with a small buffer, so that a write can be cut where the test wants
 * it. What is taken back is counted by the real completion room: Redis is away, so its words stay there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rooms/grants.h"
#include "rooms/monotonic.h"

static struct {
    struct ev_loop *loop;
    struct config *config;
    struct metrics metrics;
    struct gate gate;
    struct stream stream;
    struct grants grants;
    int peer;
} w;

static void on_stream(struct stream *s, enum stream_event event)
{
    (void)s;
    (void)event;
}

static int setup(void **state)
{
    static const struct redis_events events;
    int fds[2], small = 4608;
    (void)state;
    memset(&w, 0, sizeof w);
    w.loop = ev_loop_new(0);
    w.config = config_new();
    strcpy(w.config->redis.address, "unix@/nonexistent/redis");
    w.gate = (struct gate){.loop = w.loop, .config = w.config, .metrics = &w.metrics};
    w.gate.redis = redis_new(w.loop, &w.config->redis, &events, NULL, &w.metrics);
    w.gate.completion = completion_new(w.loop, w.gate.redis, w.config, &w.metrics);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    stream_init(&w.stream, w.loop, fds[0], 100, on_stream);
    w.peer = fds[1];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    grants_clear(&w.grants, &w.stream, &w.gate);
    stream_clear(&w.stream);
    close(w.peer);
    redis_free(w.gate.redis);
    completion_free(w.gate.completion);
    config_drop(w.config);
    ev_loop_destroy(w.loop);
    return 0;
}

static uint64_t taken_back(void)
{
    return w.metrics.value[METRIC_COMPLETIONS];
}

/* An ACK of len bytes, all of them `letter`. */
static void ack(char letter, size_t len)
{
    char bytes[20000];
    memset(bytes, letter, len);
    stream_put(&w.stream, bytes, len);
}

static void go(char letter, size_t len, double seconds_left)
{
    struct grant grant = {.deadline = monotonic_now() + seconds_left, .ttl_s = 100};
    grant.token.id.digest[0] = (uint8_t)letter;
    assert_true(grants_add(&w.grants, &w.stream, &grant, len));
    ack(letter, len);
}

static void flush(void)
{
    grants_drop_late(&w.grants, &w.stream, &w.gate);
    assert_true(stream_flush(&w.stream) >= 0);
    grants_forget_delivered(&w.grants, &w.stream);
}

/* All that the peer can read now. */
static void expect(const char *text)
{
    char got[64];
    ssize_t n = read(w.peer, got, sizeof got);
    assert_int_equal(n < 0 ? 0 : n, strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static void in_time(void **state)
{
    (void)state;
    ack('a', 2);
    go('G', 3, 10);
    ack('b', 2);
    flush();
    expect("aaGGGbb");
    assert_int_equal(w.grants.n, 0);
    grants_clear(&w.grants, &w.stream, &w.gate);
    assert_int_equal(taken_back(), 0);
}

/* Late ones at the beginning, beside each other, in the middle and at the end: what stays is whole. */
static void late_ones_are_cut_out(void **state)
{
    (void)state;
    go('1', 3, -1);
    go('2', 1, 0);
    ack('a', 2);
    go('3', 2, 10);
    go('4', 5, -1);
    ack('b', 1);
    go('5', 2, 10);
    go('6', 4, -1);
    flush();
    expect("aa33b55");
    assert_int_equal(taken_back(), 4);
    assert_int_equal(w.grants.n, 0);
}

static void only_late_ones(void **state)
{
    (void)state;
    go('1', 3, -1);
    go('2', 4, -1);
    flush();
    expect("");
    assert_int_equal(w.stream.out.len, 0);
    ack('a', 1);
    flush();
    expect("a");
    assert_int_equal(taken_back(), 2);
}

/* Fills the socket: what is put from now on stays in `out`, behind `left` bytes that did not leave. */
static size_t fill(void)
{
    ack('f', 20000);
    flush();
    assert_true(w.stream.out.len > 0 && w.stream.out.len < 20000);
    return w.stream.out.len;
}

static void drain(void)
{
    char got[65536];
    while (read(w.peer, got, sizeof got) > 0)
        flush();
}

/* It could leave until its deadline, and did not. */
static void late_behind_a_full_socket(void **state)
{
    (void)state;
    size_t left = fill();
    go('G', 10, 0.02);
    ack('b', 7);
    flush();
    assert_int_equal(taken_back(), 0);
    usleep(25000);
    flush();
    assert_int_equal(taken_back(), 1);
    assert_int_equal(w.stream.out.len, left + 7);
    assert_int_equal(w.stream.out.data[left], 'b');
}

/* Nothing else waits: the stream must not ask for a socket that it has nothing for. */
static void late_and_alone(void **state)
{
    char bytes[1000] = {0};
    (void)state;
    while (write(w.stream.fd, bytes, sizeof bytes) > 0)
        ;
    go('G', 10, 0.02);
    flush();
    assert_true(ev_is_active(&w.stream.writable));
    usleep(25000);
    flush();
    assert_int_equal(taken_back(), 1);
    assert_int_equal(w.stream.out.len, 0);
    assert_false(ev_is_active(&w.stream.writable));
}

static void partly_written_is_delivered(void **state)
{
    (void)state;
    go('G', 20000, 0.02);
    flush();
    assert_true(w.stream.out.len > 0 && w.stream.out.len < 20000);
    assert_int_equal(w.grants.n, 0);
    usleep(25000);
    flush();
    assert_int_equal(taken_back(), 0);
    grants_clear(&w.grants, &w.stream, &w.gate);
    assert_int_equal(taken_back(), 0);
}

/* The boundary: nothing of it is in the socket, or one byte is. */
static void one_byte_is_delivered(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        unsigned bytes = round % 2;
        go('G', 10, 10);
        w.stream.written += bytes;
        w.stream.out.len -= bytes;
        if (round < 2) {
            grants_forget_delivered(&w.grants, &w.stream);
            assert_int_equal(w.grants.n, 1 - bytes);
        }
        grants_clear(&w.grants, &w.stream, &w.gate);
        assert_int_equal(taken_back(), 1 + round / 2);
        w.stream.written += w.stream.out.len;
        w.stream.out.len = 0;
    }
}

static void session_ends(void **state)
{
    (void)state;
    fill();
    go('1', 3, 10);
    go('2', 3, 10);
    grants_clear(&w.grants, &w.stream, &w.gate);
    assert_int_equal(taken_back(), 2);
    assert_null(w.grants.list);
}

/* More than the list holds at first, every third of them late, the socket full at odd places. */
static void many(void **state)
{
    enum { N = 1000 };
    (void)state;
    fill();
    for (unsigned i = 0; i < N; i++)
        go('G', 1 + i % 50, i % 3 == 0 ? -1 : 10);
    assert_int_equal(w.grants.n, N);
    drain();
    assert_int_equal(w.stream.out.len, 0);
    assert_int_equal(w.grants.n, 0);
    assert_int_equal(taken_back(), (N + 2) / 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(in_time),
        T(late_ones_are_cut_out),
        T(only_late_ones),
        T(late_behind_a_full_socket),
        T(late_and_alone),
        T(partly_written_is_delivered),
        T(one_byte_is_delivered),
        T(session_ends),
        T(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
