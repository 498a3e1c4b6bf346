// SPDX-License-Identifier: MIT
/* What flows over SPOP sessions, with a real Redis behind them: many messages at once, in any pieces,
 * answered in any order; peers that stop reading, say nothing, or come when there are no descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rooms/monotonic.h"
#include "rooms/session_inner.h"
#include "spop/hello.h"
#include "tests/support/room_fixture.h"

enum { MANY = 1000 };

static struct room w;
static struct peer p;
static struct peer_frame f;

static int setup(void **state)
{
    (void)state;
    room_start(&w, "spop = { max_frame = \"16k\"; };\n");
    room_dial(&w, &p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    room_stop(&w);
    return 0;
}

/* A message that needs no Redis: it is made, not sent. */
static void pass(struct peer *on, uint64_t stream)
{
    peer_notify(on, stream, "once-request");
    peer_str(on, "policy", "payments");
    peer_str(on, "method", "GET");
    peer_end(on);
}

static void claim_of(uint64_t stream)
{
    char key[24];
    snprintf(key, sizeof key, "key-%u", (unsigned)stream);
    room_request_of(&p, stream, "once-request", "held", key, key, 10);
}

/* Sends what was made in pieces of 1, 2, 3, 5, 8 .. bytes, and again; the loop turns after each. */
static void send_in_odd_pieces(void)
{
    static const size_t sizes[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 4181};
    struct buf all = p.out;
    size_t at = 0;
    for (unsigned i = 0; at < all.len; i++) {
        size_t n = sizes[i % (sizeof sizes / sizeof *sizes)];
        if (n > all.len - at)
            n = all.len - at;
        p.out = (struct buf){0};
        buf_put(&p.out, all.data + at, n);
        peer_send(&p);
        buf_free(&p.out);
        ev_run(w.redis.loop, EVRUN_NOWAIT);
        at += n;
    }
    p.out = all;
    buf_reset(&p.out);
}

static void thousand_in_odd_pieces(void **state)
{
    bool seen[MANY] = {false};
    (void)state;
    w.redis.config->redis.deadline_ms = 2000;
    for (unsigned i = 0; i < MANY; i++)
        claim_of(i);
    send_in_odd_pieces();
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(peer_take(&p, &f));
        assert_int_equal(f.head.type, SPOP_ACK);
        assert_true(f.head.stream_id < MANY && !seen[f.head.stream_id]);
        assert_true(ack_says(&f, "verdict", "go"));
        seen[f.head.stream_id] = true;
    }
    peer_turn(&p, 0.01);
    assert_false(peer_has_frame(&p));
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), MANY);
    assert_int_equal(w.gate.live, 0);
}

/* The second needs no Redis: it does not wait for the first. */
static void answers_out_of_order(void **state)
{
    (void)state;
    room_freeze(&w);
    claim_of(1);
    pass(&p, 2);
    peer_send(&p);
    peer_ack(&p, 2, &f);
    room_thaw(&w);
    peer_ack(&p, 1, &f);
    assert_true(ack_says(&f, "verdict", "go"));
}

static void one_write_for_each_turn(void **state)
{
    const struct stream *s = &w.sessions->first->stream;
    (void)state;
    assert_int_equal(s->writes, 1); /* HELLO */
    for (unsigned i = 0; i < 100; i++)
        pass(&p, i);
    peer_send(&p);
    for (unsigned i = 0; i < 100; i++)
        peer_ack(&p, i, &f);
    assert_int_equal(s->writes, 2);
    for (unsigned i = 0; i < 50; i++)
        claim_of(i);
    peer_send(&p);
    for (unsigned i = 0; i < 50; i++)
        assert_true(peer_take(&p, &f));
    assert_true(s->writes <= 4); /* Redis may answer in two pieces */
}

/* NOTIFYs keep coming, nothing is read: that connection ends, another goes on. */
static void wedged_peer(void **state)
{
    struct peer other;
    double from = monotonic_now();
    (void)state;
    room_dial(&w, &other);
    for (unsigned i = 0; room_counted(&w, METRIC_SPOP_WEDGED) == 0; i++) {
        assert_true(monotonic_now() - from < 3);
        pass(&p, i);
        peer_send(&p);
        pass(&other, i);
        peer_send(&other);
        peer_ack(&other, i, &f);
        peer_turn(&p, 0.02);
    }
    assert_true(monotonic_now() - from > 0.6);
    peer_ended(&p);
    pass(&other, MANY);
    peer_send(&other);
    peer_ack(&other, MANY, &f);
    peer_close(&other);
}

static void expect_disconnect(struct peer *on, unsigned wanted)
{
    unsigned status;
    struct spop_slice text;
    assert_true(peer_take(on, &f));
    assert_int_equal(f.head.type, SPOP_AGENT_DISCONNECT);
    assert_int_equal(spop_disconnect_read(f.head.payload, &status, &text), SPOP_OK);
    assert_int_equal(status, wanted);
    assert_false(peer_take(on, &f));
}

/* One that has never said anything, and one that has; but not one that waits for an answer. */
static void idle_ones_are_ended(void **state)
{
    struct peer silent;
    (void)state;
    peer_open(&silent, w.redis.loop, w.address);
    w.redis.config->spop.idle_ms = 500;
    w.redis.config->redis.deadline_ms = 2500;
    room_freeze(&w);
    claim_of(1);
    peer_send(&p);
    double from = monotonic_now();
    expect_disconnect(&silent, SPOP_TIMEOUT);
    assert_true(monotonic_now() - from > 0.45);
    peer_close(&silent);
    assert_int_equal(w.gate.live, 1);
    room_thaw(&w);
    peer_ack(&p, 1, &f);
    assert_true(ack_says(&f, "verdict", "go"));
    expect_disconnect(&p, SPOP_TIMEOUT);
    assert_int_equal(w.redis.metrics.spop_errors[SPOP_TIMEOUT], 0);
}

/* The bound of a connection's memory is the one it was accepted with, whatever a reload says meanwhile. */
static void frame_size_across_a_reload(void **state)
{
    struct peer old;
    (void)state;
    peer_open(&old, w.redis.loop, w.address);
    room_until(&w, METRIC_SPOP_CONNECTIONS, 2);
    w.redis.config->spop.max_frame = 65536;
    assert_int_equal(peer_hello(&old, 65532, false), 16384);
    peer_notify(&old, 1, "once-request");
    peer_str(&old, "policy", "payments");
    peer_str(&old, "method", "GET");
    static char filler[16384];
    size_t head = old.w.len + 7 + 4; /* name and lengths of what follows */
    memset(filler, 'x', sizeof filler);
    peer_bin(&old, "filler", filler, 16384 + SPOP_PREFIX - head);
    assert_int_equal(old.w.len, 16384 + SPOP_PREFIX);
    peer_end(&old);
    peer_send(&old);
    peer_ack(&old, 1, &f);
    assert_true(ack_says(&f, "verdict", "pass"));
    peer_close(&old);
    peer_open(&old, w.redis.loop, w.address);
    assert_int_equal(peer_hello(&old, 65532, false), 65532);
    peer_close(&old);
}

/* No descriptor for the next one: it is taken later, and the loop does not spin meanwhile. */
static void out_of_descriptors(void **state)
{
    struct peer late;
    struct rlimit was, now;
    (void)state;
    peer_open(&late, w.redis.loop, w.address);
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    now = was;
    now.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    ev_run(w.redis.loop, EVRUN_NOWAIT);
    ev_run(w.redis.loop, EVRUN_NOWAIT);
    bool shut = !ev_is_active(&w.sessions->doors[0].io);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_true(shut);
    assert_int_equal(room_counted(&w, METRIC_SPOP_ACCEPTED), 1);
    assert_int_equal(peer_hello(&late, 16380, false), 16380);
    peer_close(&late);
}

/* Idle means: nobody waits and every ACK has left. */
static void drain_waits_for_answers(void **state)
{
    (void)state;
    assert_true(sessions_idle(w.sessions));
    room_freeze(&w);
    claim_of(1);
    peer_send(&p);
    room_until(&w, METRIC_REQUEST_CLAIMED, 1);
    sessions_drain(w.sessions);
    assert_false(sessions_idle(w.sessions));
    room_thaw(&w);
    peer_ack(&p, 1, &f);
    assert_true(sessions_idle(w.sessions));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(thousand_in_odd_pieces),  T(answers_out_of_order),
        T(one_write_for_each_turn), T(wedged_peer),
        T(idle_ones_are_ended),     T(frame_size_across_a_reload),
        T(out_of_descriptors),      T(drain_waits_for_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
