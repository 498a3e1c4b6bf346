// SPDX-License-Identifier: MIT
/* Claims whose answer comes late, never, or to nobody: the key must be free again, and a `go` must not leave
 * after its deadline (PROTOCOL, Evidence and Timing).
 *
 *   peer ──► sessions ──► redis adapter ──► relay ──► redis-server
 *                                            └── holds replies back, or cuts the connection, when told to
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "rooms/monotonic.h"
#include "tests/support/redis_relay.h"

enum { DEADLINE_MS = ROOM_DEADLINE_MS, PASSES = 6000 };

static struct room w;
static struct peer p;
static struct peer_frame f;

static int setup(void **state)
{
    (void)state;
    room_start(&w, "");
    relay_start(&w);
    room_dial(&w, &p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    relay_stop();
    room_stop(&w);
    return 0;
}

static void expect_unavailable(uint64_t stream)
{
    peer_ack(&p, stream, &f);
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), 503);
}

/* Redis hangs with the claim unread: it is answered at the deadline, and does nothing when Redis wakes up. */
static void hung_redis(void **state)
{
    (void)state;
    room_freeze(&w);
    double from = monotonic_now();
    room_request(&p, 1, "payments", "k", "rid-1");
    expect_unavailable(1);
    double took = monotonic_now() - from;
    assert_true(took >= DEADLINE_MS / 1000.0 && took < DEADLINE_MS / 1000.0 + 0.3);
    room_thaw(&w);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_state(&w), '-');
    room_request(&p, 2, "payments", "k", "rid-2");
    peer_ack(&p, 2, &f);
    assert_true(ack_says(&f, "verdict", "go"));
}

/* Granted, and the reply does not come: the rid is released, not before the deadline has passed. */
static void late_grant_is_released_by_rid(void **state)
{
    (void)state;
    relay_hold(true);
    double deadline = monotonic_now() + DEADLINE_MS / 1000.0;
    room_request(&p, 1, "payments", "k", "rid-1");
    room_until_state(&w, RECORD_RUNNING);
    expect_unavailable(1);
    room_until_state(&w, RECORD_FREE);
    assert_true(monotonic_now() >= deadline);
    struct record r;
    assert_true(room_record(&w, &r));
    assert_int_equal(r.why, 'n');
    relay_hold(false);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 0);
}

/* The connection to Redis goes with the reply: refused at once; the rid is released over the next connection,
 * when the claim can no longer be granted. */
static void lost_grant_is_released_by_rid(void **state)
{
    (void)state;
    relay_hold(true);
    double deadline = monotonic_now() + DEADLINE_MS / 1000.0;
    room_request(&p, 1, "payments", "k", "rid-1");
    room_until_state(&w, RECORD_RUNNING);
    relay_cut();
    expect_unavailable(1);
    assert_true(monotonic_now() < deadline);
    redis_fixture_until_ready(&w.redis, 3);
    assert_int_equal(room_counted(&w, METRIC_COMPLETIONS), 1);
    while (monotonic_now() < deadline - 0.02) {
        assert_int_equal(room_state(&w), RECORD_RUNNING);
        room_turn(&w, 0.005);
    }
    room_until_state(&w, RECORD_FREE);
    assert_true(monotonic_now() >= deadline);
}

/* The agent itself was away: the reply is there, but it is too late to say it. */
static void paused_agent_takes_back(void **state)
{
    (void)state;
    snprintf(w.redis.config->redis.address, sizeof w.redis.config->redis.address, "unix@%s",
             w.redis.server.socket);
    redis_reconfigure(w.redis.redis, &w.redis.config->redis);
    redis_fixture_until_ready(&w.redis, 3);
    room_freeze(&w);
    room_request(&p, 1, "payments", "k", "rid-1");
    room_turn(&w, 0.02);
    room_thaw(&w);
    while (room_state(&w) != RECORD_RUNNING)
        usleep(1000); /* the loop does not turn */
    usleep(DEADLINE_MS * 1000 + 20000);
    expect_unavailable(1);
    room_until_state(&w, RECORD_FREE);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_LATE), 1);
}

/* HAProxy has closed the connection before the reply came: nobody can be told. */
static void closed_before_the_ack(void **state)
{
    (void)state;
    relay_hold(true);
    room_request(&p, 1, "payments", "k", "rid-1");
    room_until_state(&w, RECORD_RUNNING);
    peer_close(&p);
    room_until(&w, METRIC_SPOP_CONNECTIONS, 0);
    assert_int_equal(w.gate.live, 1);
    relay_hold(false);
    room_until_state(&w, RECORD_FREE);
    assert_int_equal(w.gate.live, 0);
    room_dial(&w, &p);
}

/* Not served by Redis for over a second: a claim now could take over what other agents had no chance to
 * extend. Limits need no such care, so they go out (and are late). */
static void no_claim_without_contact(void **state)
{
    (void)state;
    room_freeze(&w);
    room_turn(&w, 1.2);
    double from = monotonic_now();
    room_request(&p, 1, "payments", "k", "rid-1");
    expect_unavailable(1);
    assert_true(monotonic_now() - from < DEADLINE_MS / 1000.0);
    room_request(&p, 2, "quotes", "", "rid");
    expect_unavailable(2);
    assert_true(monotonic_now() - from >= DEADLINE_MS / 1000.0);
    room_thaw(&w);
    room_turn(&w, 0.6);
    room_request(&p, 3, "payments", "k", "rid-2");
    peer_ack(&p, 3, &f);
    assert_true(ack_says(&f, "verdict", "go"));
}

/* So many answers wait that the peer's socket is full. */
static void fill_socket(void)
{
    for (unsigned i = 0; i < PASSES; i++) {
        peer_notify(&p, i, "once-request");
        peer_str(&p, "policy", "payments");
        peer_str(&p, "method", "GET");
        peer_end(&p);
    }
    peer_send(&p);
    room_until(&w, METRIC_REQUEST_PASSED, PASSES);
}

static void request_behind_a_full_socket(void)
{
    fill_socket();
    room_request(&p, PASSES, "payments", "k", "rid-1");
    room_until_state(&w, RECORD_RUNNING);
    room_until(&w, METRIC_CLAIM_GO, 1);
}

/* A peer that does not read: the `go` is cut out of what waits and taken back; the other ACKs stay whole. */
static void unread_ack_is_taken_back(void **state)
{
    (void)state;
    request_behind_a_full_socket();
    room_until_state(&w, RECORD_FREE);
    w.redis.config->redis.deadline_ms = 2000;
    room_request(&p, PASSES + 1, "payments", "other", "rid-2");
    room_until(&w, METRIC_CLAIM_GO, 2);
    for (unsigned i = 0; i < PASSES; i++) {
        peer_ack(&p, i, &f);
        assert_true(ack_says(&f, "verdict", "pass"));
    }
    peer_ack(&p, PASSES + 1, &f);
    assert_true(ack_says(&f, "verdict", "go"));
    assert_int_equal(room_counted(&w, METRIC_SPOP_WEDGED), 0);
}

static void unread_ack_of_a_closed_connection(void **state)
{
    (void)state;
    request_behind_a_full_socket();
    peer_close(&p);
    room_until_state(&w, RECORD_FREE);
    room_dial(&w, &p);
}

/* In time after all: it was read within the deadline. */
static void slowly_read_ack_is_delivered(void **state)
{
    (void)state;
    w.redis.config->redis.deadline_ms = 2000;
    request_behind_a_full_socket();
    for (unsigned i = 0; i <= PASSES; i++)
        peer_ack(&p, i, &f);
    assert_true(ack_says(&f, "verdict", "go"));
    room_turn(&w, 1.1);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

/* The agent ends while a claim is on its way: nothing is used after it is gone. */
static void stop_with_claims_on_their_way(void **state)
{
    (void)state;
    relay_hold(true);
    for (unsigned i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        room_request(&p, i, "payments", key, key);
    }
    room_until(&w, METRIC_REQUEST_CLAIMED, 50);
    assert_int_equal(w.gate.live, 50);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(hung_redis),
        T(late_grant_is_released_by_rid),
        T(lost_grant_is_released_by_rid),
        T(paused_agent_takes_back),
        T(closed_before_the_ack),
        T(no_claim_without_contact),
        T(unread_ack_is_taken_back),
        T(unread_ack_of_a_closed_connection),
        T(slowly_read_ack_is_delivered),
        T(stop_with_claims_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
