// SPDX-License-Identifier: MIT
/* Duplicates that wait, between a HAProxy played by hand and a real Redis: the original's outcome for all of
 * them by one claim, one of them in its place, and everything that ends the waiting otherwise. */
#include "rooms/monotonic.h"
#include "tests/support/loop.h"
#include "tests/unit/another_agent.h"

static int setup(void **state)
{
    (void)state;
    return setup_room();
}

/* timeout: the argument, in ms; 0: it is not sent. */
static void ask(struct peer *peer, uint64_t stream, const char *rid, int64_t length, int64_t timeout)
{
    room_begin(peer, stream, "once-request", "waits", "k", rid, length);
    if (timeout)
        peer_int(peer, "timeout", timeout);
    peer_end(peer);
    peer_send(peer);
}

static void waits(struct peer *peer, uint64_t stream, const char *rid)
{
    uint64_t before = room_counted(&w, METRIC_PARKED);
    ask(peer, stream, rid, 10, 5000);
    room_until(&w, METRIC_PARKED, before + 1);
}

static void until_listening(void)
{
    room_until(&w, METRIC_EAR_OPEN, 1);
    room_turn(&w, 0.05);
}

/* Also an answer that is longer than what the claim brings. */
static void all_get_the_answer_by_one_claim(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 2; round++) {
        redis_server_do(&w.redis.server, "FLUSHALL");
        ask(&p, 10 * round + 1, "rid-1", 10, 5000);
        struct token t = granted(&p, 10 * round + 1);
        waits(&p, 10 * round + 2, "rid-2");
        waits(&p, 10 * round + 3, "rid-3");
        waits(&q, 10 * round + 4, "rid-4");
        until_listening();
        uint64_t claims = room_counted(&w, METRIC_PARKED_CLAIMS);
        assert_false(peer_has_frame(&p));
        complete(&t, round ? 6000 : 10);
        for (uint64_t i = 2; i < 4; i++) {
            assert_true(peer_take(&p, &f));
            assert_true(is_replay());
        }
        peer_ack(&q, 10 * round + 4, &f);
        assert_true(is_replay());
        assert_int_equal(room_counted(&w, METRIC_PARKED_CLAIMS), claims + 1);
        assert_int_equal(room_counted(&w, METRIC_PARKED_OUTCOME), 3 * (round + 1));
        assert_int_equal(room_counted(&w, METRIC_CLAIM_REPLAY), 3 * (round + 1));
    }
}

/* A tombstone and an unknown outcome are shared as well. */
static void a_tombstone_is_an_outcome(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&p, 2, "rid-2");
    waits(&q, 3, "rid-3");
    until_listening();
    say(&(struct word){
        .script = SCRIPT_RESOLVE, .token = t, .status = 201, .letter = 'T', .ttl_s = ROOM_RECORD_S});
    peer_ack(&p, 2, &f);
    assert_true(is_refused(409, "tombstone"));
    peer_ack(&q, 3, &f);
    assert_true(is_refused(409, "tombstone"));
}

/* The original fails: the first that waits runs, is charged, and is what the others wait for. */
static void one_runs_in_its_place(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&p, 2, "rid-2");
    waits(&q, 3, "rid-3");
    until_listening();
    it_fails(&t);
    t = granted(&p, 2);
    room_turn(&w, 0.1);
    assert_false(peer_has_frame(&q));
    assert_int_equal(room_counted(&w, METRIC_PARKED), 1);
    complete(&t, 10);
    peer_ack(&q, 3, &f);
    assert_true(is_replay());
    assert_int_equal(room_counted(&w, METRIC_PARKED_GO), 1);
}

/* Two in an hour have run: the one that would run now is refused, and so is the next, by limits of their own. */
static void limits_are_the_askers_own(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&p, 2, "rid-2");
    waits(&p, 3, "rid-3");
    waits(&q, 4, "rid-4");
    until_listening();
    it_fails(&t);
    t = granted(&p, 2);
    room_turn(&w, 0.05);
    it_fails(&t);
    peer_ack(&p, 3, &f);
    assert_true(is_refused(429, "limited"));
    peer_ack(&q, 4, &f);
    assert_true(is_refused(429, "limited"));
    assert_int_equal(room_counted(&w, METRIC_PARKED_REFUSED), 2);
    assert_int_equal(room_state(&w), RECORD_FREE);
}

/* Freed, and taken by another payload before the waiting one came: its own fingerprint is compared. */
static void another_payload_takes_the_key(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&q, 2, "rid-2");
    until_listening();
    redis_server_do(&w.redis.server, "ACL SETUSER default -psubscribe"); /* so that it is late */
    redis_server_do(&w.redis.server, "CLIENT KILL TYPE pubsub");
    room_until(&w, METRIC_EAR_OPEN, 0);
    it_fails(&t);
    ask(&p, 3, "rid-3", 11, 5000);
    granted(&p, 3);
    redis_server_do(&w.redis.server, "ACL SETUSER default +psubscribe");
    peer_ack(&q, 2, &f);
    assert_true(is_refused(422, "mismatch"));
}

static void past_the_wait(void **state)
{
    (void)state;
    double from = monotonic_now();
    ask(&p, 1, "rid-1", 10, 5000);
    granted(&p, 1);
    waits(&p, 2, "rid-2");
    peer_ack(&p, 2, &f);
    assert_true(is_refused(409, "busy"));
    double took = monotonic_now() - from;
    assert_true(took >= 1 && took < 1.5);
    assert_int_equal(room_counted(&w, METRIC_PARKED_EXPIRED), 1);
}

/* HAProxy's patience bounds it: what is left of it after redis.deadline (200 ms) and 100 ms. */
static void no_longer_than_haproxy_waits(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    granted(&p, 1);
    ask(&p, 2, "rid-2", 10, 0); /* not known */
    peer_ack(&p, 2, &f);
    assert_true(is_refused(409, "busy"));
    ask(&p, 3, "rid-3", 10, 300);
    peer_ack(&p, 3, &f);
    assert_true(is_refused(409, "busy"));
    assert_int_equal(room_counted(&w, METRIC_PARKED_EXPIRED), 0);
    double from = monotonic_now();
    ask(&p, 4, "rid-4", 10, 700);
    peer_ack(&p, 4, &f);
    double took = monotonic_now() - from;
    assert_true(is_refused(409, "busy"));
    assert_true(took >= 0.35 && took < 0.7);
}

/* Its connection ends: nobody is asked for it any more, and it never runs. */
static void its_connection_ends(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&q, 2, "rid-2");
    until_listening();
    peer_close(&q);
    room_until(&w, METRIC_PARKED, 0);
    assert_int_equal(room_counted(&w, METRIC_PARKED_LEFT), 1);
    it_fails(&t);
    room_turn(&w, 0.1);
    assert_int_equal(room_state(&w), RECORD_FREE);
    room_dial(&w, &q);
}

/* It ends while the claim that grants is on its way: the grant is taken back. */
static void its_connection_ends_while_it_asks(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&q, 2, "rid-2");
    until_listening();
    uint64_t claims = room_counted(&w, METRIC_PARKED_CLAIMS);
    it_fails(&t);
    while (room_counted(&w, METRIC_PARKED_CLAIMS) == claims)
        ev_run(w.redis.loop, EVRUN_ONCE);
    peer_close(&q);
    room_until(&w, METRIC_PARKED, 0);
    room_until(&w, METRIC_COMPLETIONS, 0);
    room_until_state(&w, RECORD_FREE);
    room_dial(&w, &q);
}

/* Redis hangs over the claim of one that waits. That another one ran is known: it must not pass unprotected,
 * although the policy says fail_open. Who waits beside it waits on. */
static void redis_hangs(void **state)
{
    (void)state;
    ask(&p, 1, "rid-1", 10, 5000);
    struct token t = granted(&p, 1);
    waits(&p, 2, "rid-2");
    waits(&q, 3, "rid-3");
    until_listening();
    complete(&t, 10);
    room_freeze(&w);
    peer_ack(&p, 2, &f);
    if (!is_replay()) /* the message had come before Redis was stopped */
        assert_true(is_refused(503, "unavailable"));
    room_thaw(&w);
    peer_ack(&q, 3, &f);
    assert_true(is_replay());
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_get_the_answer_by_one_claim),
        T(a_tombstone_is_an_outcome),
        T(one_runs_in_its_place),
        T(limits_are_the_askers_own),
        T(another_payload_takes_the_key),
        T(past_the_wait),
        T(no_longer_than_haproxy_waits),
        T(its_connection_ends),
        T(its_connection_ends_while_it_asks),
        T(redis_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
