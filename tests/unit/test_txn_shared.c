// SPDX-License-Identifier: MIT
/* One claim for all that ask for the same key at once, from the NOTIFY to the ACK on a real Redis: what each of them is told,
 * and how often Redis is asked. (test_txn_shared_own: for whom it does
 * not hold. test_txn_shared_same: that nobody is told anything else than without it.)
 *
 *   peer ──► sessions ──► one claim ──► redis-server, which a test stops and wakes, or
 *                          └── others wait behind it      relay ──► redis-server, which holds replies back */
#include "rooms/monotonic.h"
#include "tests/unit/shared_world.h"

/* Requests from..from+n-1 of that key; Redis sleeps until all have been read. */
static void ask_at_once(const char *policy, const char *key, unsigned from, unsigned n, int64_t length)
{
    uint64_t waiting = room_counted(&w, METRIC_SHARED_WAITING);
    room_freeze(&w);
    for (unsigned i = 0; i < n; i++)
        request(&p, from + i, policy, key, length);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, waiting + n - 1);
    room_thaw(&w);
}

static void one_claim_for_all(void **state)
{
    (void)state;
    ask_at_once("payments", "k", 1, 50, 10);
    struct token t = granted(&p, 1); /* the one that runs is told first */
    for (unsigned i = 2; i <= 50; i++) {
        peer_ack(&p, i, &f);
        assert_true(is_busy());
        assert_int_equal(ack_integer(&f, "retry_after"), 1);
    }
    assert_int_equal(asked(), 1);
    assert_int_equal(shared(), 49);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 1);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_BUSY), 49);
    assert_int_equal(room_counted(&w, METRIC_SHARED_WAITING), 0);
    it_fails(&t);
    assert_int_equal(room_state(&w), RECORD_FREE);
}

/* Also one that is longer than what the claim brings: it is fetched once. */
static void one_answer_for_all(void **state)
{
    (void)state;
    for (unsigned large = 0; large < 2; large++) {
        uint64_t first = 100 * large;
        redis_server_do(&w.redis.server, "FLUSHALL");
        request(&p, first + 1, "payments", large ? "large" : "small", 10);
        peer_send(&p);
        struct token t = granted(&p, first + 1);
        complete(&t, large ? 6000 : 10);
        uint64_t before = asked();
        ask_at_once("payments", large ? "large" : "small", (unsigned)first + 2, 20, 10);
        for (unsigned i = 0; i < 20; i++) {
            assert_true(peer_take(&p, &f));
            assert_true(is_replay());
        }
        assert_int_equal(asked() - before, 1 + large);
        assert_int_equal(shared(), 19 * (1 + large));
    }
    assert_int_equal(room_counted(&w, METRIC_CLAIM_REPLAY), 40);
}

/* Two claims on their way, one for each payload; what is no grant holds for those who were there: they ask once more. */
static void each_payload_asks(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 8; i++)
        request(&p, i, "payments", "k", i % 2 ? 10 : 11);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 6);
    room_thaw(&w);
    unsigned go = 0, busy = 0, mismatch = 0;
    for (unsigned i = 1; i <= 8; i++) {
        assert_true(peer_take(&p, &f));
        go += is_go();
        busy += is_busy();
        mismatch += is_refused(422, "mismatch");
    }
    assert_true(go == 1 && busy == 3 && mismatch == 4);
    assert_int_equal(asked(), 3);
}

/* An answer that Redis has stored behind the claim that is on its way, and whose client repeats its request at once: it
 * is a replay, no 409. */
static void newer_than_the_claim(void **state)
{
    (void)state;
    request(&p, 1, "payments", "k", 10);
    peer_send(&p);
    struct token t = granted(&p, 1);
    relay_hold(true);
    request(&p, 2, "payments", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.1); /* Redis has said `busy` */
    complete(&t, 10);
    request(&p, 3, "payments", "k", 10);
    request(&p, 4, "payments", "k", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 2);
    relay_hold(false);
    peer_ack(&p, 2, &f);
    assert_true(is_busy());
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_replay());
    }
    assert_int_equal(asked(), 3);
}

static void costs(uint64_t stream, int64_t cost)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    room_begin(&p, stream, "once-request", "costly", "k", rid, 10);
    peer_int(&p, "cost", cost);
    peer_end(&p);
}

/* Over a limit: that holds for whom it would refuse as well, and was there. Who costs less asks, and may pass. */
static void limits_of_their_own(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 6; i++)
        costs(i, i < 6 ? 4 : 1);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 5);
    room_thaw(&w);
    for (unsigned i = 1; i <= 5; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_refused(429, "limited"));
    }
    granted(&p, 6);
    assert_int_equal(asked(), 3);
    assert_int_equal(shared(), 3);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_LIMITED), 5);
}

/* A limit that counts all counts each of them: four in an hour. */
static void counted_one_by_one(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 6; i++)
        request(&p, i, "waits", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.1);
    room_thaw(&w);
    unsigned go = 0, busy = 0, limited = 0;
    for (unsigned i = 1; i <= 6; i++) {
        assert_true(peer_take(&p, &f));
        go += is_go();
        busy += is_busy();
        limited += is_refused(429, "limited");
    }
    assert_true(go == 1 && busy == 3 && limited == 2);
    assert_int_equal(asked(), 6);
    assert_int_equal(shared(), 0);
}

/* An error of Redis' own: two questions are enough for all. */
static void one_error_for_all(void **state)
{
    (void)state;
    redis_server_do(&w.redis.server, "CONFIG SET maxmemory 1");
    ask_at_once("payments", "k", 1, 20, 10);
    for (unsigned i = 1; i <= 20; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_refused(503, "unavailable"));
    }
    assert_int_equal(asked(), 2);
    redis_server_do(&w.redis.server, "CONFIG SET maxmemory 0");
    request(&p, 21, "payments", "k", 10);
    peer_send(&p);
    granted(&p, 21);
}

/* Redis does not answer: each of them is refused at its deadline, and nothing is left of their claims. */
static void hung_redis(void **state)
{
    (void)state;
    w.redis.config->redis.deadline_ms = ROOM_DEADLINE_MS;
    room_freeze(&w);
    double from = monotonic_now();
    for (unsigned i = 1; i <= 20; i++)
        request(&p, i, "payments", "k", 10);
    peer_send(&p);
    for (unsigned i = 1; i <= 20; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_refused(503, "unavailable"));
    }
    assert_true(monotonic_now() - from < ROOM_DEADLINE_MS / 1000.0 + 0.5);
    room_thaw(&w);
    room_until(&w, METRIC_COMPLETIONS, 0);
    request(&p, 21, "payments", "k", 10);
    peer_send(&p);
    granted(&p, 21);
}

/* The connection to Redis goes with the reply. */
static void lost_connection(void **state)
{
    (void)state;
    relay_hold(true);
    for (unsigned i = 1; i <= 20; i++)
        request(&p, i, "payments", "k", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 19);
    room_until_state(&w, RECORD_RUNNING);
    relay_cut();
    for (unsigned i = 1; i <= 20; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_refused(503, "unavailable"));
    }
    assert_int_equal(room_counted(&w, METRIC_SHARED_WAITING), 0);
    room_until_state(&w, RECORD_FREE);
}

/* Nobody is to be told of the grant: it is taken back, and one of the others runs in its place; no 409 without a holder. */
static void asker_is_gone(void **state)
{
    (void)state;
    room_freeze(&w);
    request(&q, 1, "payments", "k", 10);
    peer_send(&q);
    room_turn(&w, 0.05);
    for (unsigned i = 2; i <= 5; i++)
        request(&p, i, "payments", "k", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_WAITING, 4);
    peer_close(&q);
    room_turn(&w, 0.05);
    room_thaw(&w);
    granted(&p, 2);
    for (unsigned i = 3; i <= 5; i++) {
        peer_ack(&p, i, &f);
        assert_true(is_busy());
    }
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
    room_dial(&w, &q);
}

static void waiting_one_is_gone(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 6; i++) {
        request(i % 2 ? &p : &q, i, "payments", "k", 10);
        peer_send(i % 2 ? &p : &q);
        room_turn(&w, 0.01);
    }
    room_until(&w, METRIC_SHARED_WAITING, 5);
    peer_close(&q);
    room_until(&w, METRIC_SHARED_WAITING, 2);
    room_thaw(&w);
    granted(&p, 1);
    for (unsigned i = 3; i <= 5; i += 2) {
        peer_ack(&p, i, &f);
        assert_true(is_busy());
    }
    assert_int_equal(shared(), 2);
    room_dial(&w, &q);
}

/* The original fails, and one that does not wait takes the key just before the waiting one asks: that is told of the
 * new one's answer all the same, and in time. */
static void waiting_one_is_woken(void **state)
{
    (void)state;
    wait_for(1, true);
    struct token t = granted(&p, 1);
    wait_for(2, true);
    room_until(&w, METRIC_PARKED, 1);
    room_until(&w, METRIC_EAR_OPEN, 1);
    room_turn(&w, 0.05);
    it_fails(&t);
    wait_for(3, false);
    t = granted(&p, 3);
    room_turn(&w, 0.05);
    double from = monotonic_now();
    complete(&t, 10);
    peer_ack(&p, 2, &f);
    assert_true(is_replay());
    assert_true(monotonic_now() - from < 0.5);
}

/* All that wait are woken at once, and new ones come. */
static void waiting_ones_and_new_ones(void **state)
{
    (void)state;
    wait_for(1, true);
    struct token t = granted(&p, 1);
    for (unsigned i = 2; i <= 10; i++)
        wait_for(i, true);
    room_until(&w, METRIC_PARKED, 9);
    room_until(&w, METRIC_EAR_OPEN, 1);
    room_turn(&w, 0.05);
    uint64_t before = asked();
    complete(&t, 10);
    for (unsigned i = 11; i <= 20; i++)
        wait_for(i, true);
    for (unsigned i = 2; i <= 20; i++) {
        assert_true(peer_take(&p, &f));
        assert_true(is_replay());
    }
    assert_true(asked() - before <= 3);
}

static void bounded(void **state)
{
    (void)state;
    w.redis.config->shield.max_shared = 3;
    sharing_reconfigure(w.gate.sharing, w.redis.config);
    room_freeze(&w);
    for (unsigned i = 1; i <= 10; i++)
        request(&p, i, "payments", "k", 10);
    peer_send(&p);
    room_until(&w, METRIC_SHARED_FULL, 6);
    assert_int_equal(room_counted(&w, METRIC_SHARED_WAITING), 3);
    room_thaw(&w);
    unsigned go = 0, busy = 0;
    for (unsigned i = 1; i <= 10; i++) {
        assert_true(peer_take(&p, &f));
        go += is_go();
        busy += is_busy();
    }
    assert_true(go == 1 && busy == 9);
    assert_int_equal(asked(), 7);
}

static void off(void **state)
{
    (void)state;
    share_nothing();
    room_freeze(&w);
    for (unsigned i = 1; i <= 5; i++)
        request(&p, i, "payments", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.1);
    room_thaw(&w);
    granted(&p, 1);
    for (unsigned i = 2; i <= 5; i++)
        peer_ack(&p, i, &f);
    assert_int_equal(asked(), 5);
    assert_int_equal(shared() + room_counted(&w, METRIC_SHARED_FULL), 0);
}

/* Another configuration may decide otherwise. */
static void not_across_a_reload(void **state)
{
    (void)state;
    struct config *other = room_config(&w, ""), *old = w.gate.config;
    room_freeze(&w);
    request(&p, 1, "payments", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.05);
    w.gate.config = other;
    request(&p, 2, "payments", "k", 10);
    peer_send(&p);
    room_turn(&w, 0.05);
    assert_int_equal(room_counted(&w, METRIC_SHARED_WAITING), 0);
    room_thaw(&w);
    granted(&p, 1);
    peer_ack(&p, 2, &f);
    assert_true(is_busy());
    assert_int_equal(asked(), 2);
    w.gate.config = old;
    config_drop(other);
}

int main(void)
{
#define T(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_RELAY(name) cmocka_unit_test_setup_teardown(name, setup_relay, teardown_relay)
    const struct CMUnitTest tests[] = {
        T(one_claim_for_all),
        T(one_answer_for_all),
        T(each_payload_asks),
        T_RELAY(newer_than_the_claim),
        T(limits_of_their_own),
        T(counted_one_by_one),
        T(one_error_for_all),
        T(hung_redis),
        T_RELAY(lost_connection),
        T(asker_is_gone),
        T(waiting_one_is_gone),
        T(waiting_one_is_woken),
        T(waiting_ones_and_new_ones),
        T(bounded),
        T(off),
        T(not_across_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
