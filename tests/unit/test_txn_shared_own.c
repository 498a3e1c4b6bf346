// SPDX-License-Identifier: MIT
/* One claim for all that ask for the same key at once: for whom its reply does not hold, and what becomes of them on a real
 * Redis. (test_txn_shared: for whom it does.) */
#include <unistd.h>

#include "rooms/monotonic.h"
#include "tests/unit/shared_world.h"

/* The same rid is the same claim. */
static void same_rid(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 3; i++)
        room_request_of(&p, i, "once-request", "payments", "k", i == 2 ? "rid-other" : "rid-same", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 1);
    room_thaw(&w);
    struct token first = granted(&p, 1);
    peer_ack(&p, 2, &f);
    assert_true(is_busy());
    struct token second = granted(&p, 3);
    assert_true(ack_says(&f, "reason", "yours"));
    assert_int_equal(first.fence, second.fence);
}

/* What runs is its own, though another one that asks is told `busy`. */
static void owner_behind_another(void **state)
{
    (void)state;
    room_request_of(&p, 1, "once-request", "payments", "k", "rid-owner", 10);
    peer_send(&p);
    struct token t = granted(&p, 1);
    room_freeze(&w);
    request(&p, 2, "payments", "k", 10);
    request(&p, 3, "payments", "k", 10);
    room_request_of(&p, 4, "once-request", "payments", "k", "rid-owner", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 2);
    room_thaw(&w);
    for (unsigned i = 2; i <= 3; i++) {
        peer_ack(&p, i, &f);
        assert_true(is_busy());
    }
    assert_int_equal(granted(&p, 4).fence, t.fence);
}

/* The connection was lost with the first message, whose claim is on its way: asked again over another one, that claim is
 * disowned, and the key is free behind it. */
static void asked_again(void)
{
    relay_hold(true);
    request(&p, 1, "payments", "k", 10);
    peer_send(&p);
    room_until_state(&w, RECORD_RUNNING);
    room_again(&q, 2, "once-request", "k", "rid-2", "rid-1");
    room_turn(&w, 0.1);
    relay_hold(false);
    granted(&p, 1);
    granted(&q, 2);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
    assert_int_equal(asked(), 2);
    assert_int_equal(shared(), 0);
}

static void asked_again_behind_it(void **state)
{
    (void)state;
    asked_again();
}

/* The same where claims are not shared. */
static void asked_again_beside_it(void **state)
{
    (void)state;
    share_nothing();
    asked_again();
}

/* The agent was away, and the grant is too late for the one that asked: it is no reason to refuse who came later. */
static void grant_that_is_not_said(void **state)
{
    (void)state;
    w.redis.config->redis.deadline_ms = ROOM_DEADLINE_MS;
    room_freeze(&w);
    request(&p, 1, "payments", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.02);
    w.redis.config->redis.deadline_ms = LONG_MS;
    request(&q, 2, "payments", "k", 10);
    peer_send(&q);
    room_until(&w, METRIC_SHARED_WAITING, 1);
    room_thaw(&w);
    while (room_state(&w) != RECORD_RUNNING)
        usleep(1000); /* the loop does not turn */
    usleep(ROOM_DEADLINE_MS * 1000 + 20000);
    peer_ack(&p, 1, &f);
    assert_true(is_refused(503, "unavailable"));
    granted(&q, 2);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_LATE), 1);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

static void sits(struct peer *peer, uint64_t stream, const char *key, const char *seat)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    peer_notify(peer, stream, "once-request");
    peer_str(peer, "policy", "seats");
    peer_str(peer, "rid", rid);
    peer_str(peer, "process", "4711.1700000000000000.host");
    peer_str(peer, "method", "POST");
    peer_str(peer, "path", "/payments");
    peer_str(peer, "key", key);
    peer_int(peer, "keys", 1);
    peer_int(peer, "content_length", 10);
    peer_str(peer, "seat", seat);
    peer_end(peer);
    peer_send(peer);
}

/* Its slot is taken: that holds for whom it is taken as well. */
static void slots_of_their_own(void **state)
{
    (void)state;
    sits(&p, 1, "first", "a");
    granted(&p, 1);
    room_freeze(&w);
    sits(&p, 2, "k", "a");
    sits(&p, 3, "k", "a");
    sits(&p, 4, "k", "a");
    sits(&p, 5, "k", "b");
    room_until(&w, METRIC_SHARED_WAITING, 3);
    room_thaw(&w);
    for (unsigned i = 2; i <= 4; i++) {
        peer_ack(&p, i, &f);
        assert_true(is_refused(429, "limited"));
    }
    granted(&p, 5);
    assert_int_equal(shared(), 1);
    assert_int_equal(asked(), 4);
}

static void patient_for(unsigned wait_ms)
{
    struct config *c = w.redis.config;
    for (unsigned i = 0; i < c->npolicies; i++)
        if (strcmp(c->policies[i].name, "patient") == 0)
            c->policies[i].idempotency.wait_ms = wait_ms;
}

/* One waits, and the original fails; it is to ask behind the claim of another one, in a Redis that sleeps and has read
 * `first` before that claim, if there is one. */
static void falls_behind(const char *first)
{
    patient_for(2500);
    wait_for(1, true);
    struct token t = granted(&p, 1);
    wait_for(2, true);
    room_until(&w, METRIC_PARKED, 1);
    room_until(&w, METRIC_EAR_OPEN, 1);
    room_turn(&w, 0.05);
    it_fails(&t);
    usleep(20000); /* the loop does not turn: it hears of that behind the next request */
    room_freeze(&w);
    if (first)
        assert_int_equal(redisAppendCommand(w.redis.server.c, first), REDIS_OK);
    for (int done = !first; !done;)
        assert_int_equal(redisBufferWrite(w.redis.server.c, &done), REDIS_OK);
    wait_for(3, false);
    room_until(&w, METRIC_SHARED_WAITING, 1);
}

/* The claim goes with the connection: who waited behind it has asked nothing itself, waits on, and runs when Redis is
 * back. */
static void waits_out_a_lost_connection(void **state)
{
    void *killed;
    (void)state;
    falls_behind("CLIENT KILL TYPE normal SKIPME yes");
    room_thaw(&w);
    assert_int_equal(redisGetReply(w.redis.server.c, &killed), REDIS_OK);
    freeReplyObject(killed);
    peer_ack(&p, 3, &f);
    assert_true(is_refused(503, "unavailable"));
    assert_int_equal(room_counted(&w, METRIC_PARKED), 1);
    granted(&p, 2);
    assert_int_equal(room_counted(&w, METRIC_PARKED_GO), 1);
    assert_int_equal(room_counted(&w, METRIC_REDIS_CONNECTS), 2);
}

/* The claim is not answered in time, and Redis is asked nothing more for a while. */
static void waits_out_an_open_breaker(void **state)
{
    (void)state;
    w.redis.config->redis.deadline_ms = ROOM_DEADLINE_MS;
    w.redis.config->breaker.failures = 1;
    guard_reconfigure(w.gate.guard, w.redis.config);
    falls_behind(NULL);
    peer_ack(&p, 3, &f);
    assert_true(is_refused(503, "unavailable"));
    room_until(&w, METRIC_BREAKER_OPEN, 1);
    room_turn(&w, 0.05);
    assert_int_equal(room_counted(&w, METRIC_PARKED), 1);
    room_thaw(&w);
    granted(&p, 2);
    assert_int_equal(room_counted(&w, METRIC_PARKED_GO), 1);
}

int main(void)
{
#define T(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_RELAY(name) cmocka_unit_test_setup_teardown(name, setup_relay, teardown_relay)
    const struct CMUnitTest tests[] = {
        T(same_rid),
        T(owner_behind_another),
        T_RELAY(asked_again_behind_it),
        T_RELAY(asked_again_beside_it),
        T(grant_that_is_not_said),
        T(slots_of_their_own),
        T(waits_out_a_lost_connection),
        T(waits_out_an_open_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
