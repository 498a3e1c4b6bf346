// SPDX-License-Identifier: MIT
/* The guard in the whole of the rooms, on a real Redis that hangs, wakes, forgets and refuses: what a request
 * is told, how fast, and what an operator's `go` does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/room_fixture.h"

static struct room w;
static struct peer p;
static struct peer_frame f;

static int setup(void **state)
{
    (void)state;
    room_start(&w, "");
    room_dial(&w, &p);
    return 0;
}

/* on_data_loss = "refuse", and a guard that has seen no mark yet. */
static int setup_refuse(void **state)
{
    (void)state;
    room_start(&w, "");
    w.redis.config->redis.on_data_loss = ON_DATA_LOSS_REFUSE;
    guard_free(w.gate.guard);
    room_turn(&w, 0.1);
    redis_server_do(&w.redis.server, "DEL once:mark");
    w.gate.guard = guard_new(w.gate.loop, w.gate.redis, w.redis.config, w.gate.metrics);
    room_until(&w, METRIC_DATA_LOST, 1);
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

/* Seconds that it took. */
static double ask(uint64_t stream, const char *policy, const char *key)
{
    char rid[32];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    double from = ev_time();
    room_request(&p, stream, policy, key, rid);
    peer_ack(&p, stream, &f);
    return ev_time() - from;
}

static void expect_deny(const char *reason)
{
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), 503);
    assert_true(ack_says(&f, "reason", reason));
}

static void expect_go(void)
{
    assert_true(ack_says(&f, "verdict", "go"));
}

/* Each of the first five waits for its deadline; from then on nobody waits. It wakes: closed by our own
 * question, and the next one runs. */
static void hangs_and_wakes(void **state)
{
    (void)state;
    room_freeze(&w);
    for (unsigned i = 1; i <= 5; i++)
        room_request(&p, i, "payments", "k", "rid");
    for (unsigned i = 1; i <= 5; i++)
        peer_ack(&p, i, &f);
    assert_int_equal(room_counted(&w, METRIC_BREAKER_OPEN), 1);
    assert_int_equal(room_counted(&w, METRIC_BREAKER_OPENED), 1);
    for (unsigned i = 6; i < 10; i++) {
        assert_true(ask(i, "payments", "k") < 0.05);
        expect_deny("unavailable");
    }
    assert_int_equal(room_counted(&w, METRIC_BREAKER_REFUSED), 4);
    room_thaw(&w);
    room_until(&w, METRIC_BREAKER_OPEN, 0);
    ask(20, "payments", "other");
    expect_go();
}

/* Nobody asks: our own question is enough to notice. */
static void hangs_unasked(void **state)
{
    (void)state;
    room_freeze(&w);
    room_until(&w, METRIC_BREAKER_OPEN, 1);
    assert_true(ask(1, "payments", "k") < 0.05);
    expect_deny("unavailable");
    room_thaw(&w);
    room_until(&w, METRIC_BREAKER_OPEN, 0);
}

/* An error is an answer: nothing opens. */
static void errors_are_answers(void **state)
{
    (void)state;
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 1");
    for (unsigned i = 1; i < 10; i++) {
        ask(i, "payments", "k");
        expect_deny("unavailable");
    }
    room_turn(&w, 0.6);
    assert_int_equal(room_counted(&w, METRIC_BREAKER_OPENED), 0);
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 0");
}

/* An open breaker holds back claims and nothing else: a word that is on its way is confirmed after all. */
static void words_go_on(void **state)
{
    (void)state;
    ask(1, "payments", "k");
    expect_go();
    struct word word = {.script = SCRIPT_RELEASE_RID, .ttl_s = ROOM_RECORD_S};
    struct record r;
    assert_true(room_record(&w, &r));
    memcpy(word.token.rid, r.rid, sizeof r.rid);
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:r:*");
    unsigned tag[2], byte;
    sscanf(keys->element[0]->str, "once:{%2x%2x}", &tag[0], &tag[1]);
    for (unsigned i = 0; i < 16; i++) {
        sscanf(keys->element[0]->str + 14 + 2 * i, "%2x", &byte);
        word.token.id.digest[i] = (uint8_t)byte;
    }
    word.token.id.tag[0] = (uint8_t)tag[0];
    word.token.id.tag[1] = (uint8_t)tag[1];
    freeReplyObject(keys);
    for (unsigned i = 0; i < 5; i++)
        guard_heard(w.gate.guard, w.gate.redis, false);
    assert_false(guard_admits(w.gate.guard, w.gate.redis));
    assert_non_null(completion_put(w.gate.completion, &word, 0, NULL, NULL));
    room_until_state(&w, 'F');
}

/* "continue": said and counted, once for each loss, and nobody is refused. */
static void forgets_and_goes_on(void **state)
{
    (void)state;
    room_turn(&w, 0.1);
    for (unsigned loss = 1; loss < 3; loss++) {
        redis_server_do(&w.redis.server, "FLUSHALL");
        room_until(&w, METRIC_DATA_LOSS, loss);
        ask(loss, "payments", "k");
        expect_go();
        room_turn(&w, 0.6);
        assert_int_equal(room_counted(&w, METRIC_DATA_LOSS), loss);
    }
    assert_int_equal(room_counted(&w, METRIC_DATA_LOST), 0);
}

/* An old backup: a mark that is smaller. */
static void old_backup(void **state)
{
    (void)state;
    room_turn(&w, 0.1);
    redisReply *old = redisCommand(w.redis.server.c, "GET once:mark");
    room_turn(&w, 0.6);
    assert_int_equal(room_counted(&w, METRIC_DATA_LOSS), 0);
    redis_server_do(&w.redis.server, "SET once:mark %b EX 100", old->str, (size_t)old->len);
    freeReplyObject(old);
    room_until(&w, METRIC_DATA_LOSS, 1);
}

/* Redis comes back empty under "refuse": no claim before the mark was looked at, and none after that until
 * `go`; what has no key is not refused. A second loss after that is one more. */
static void refuses_until_go(void **state)
{
    (void)state;
    w.redis.config->redis.on_data_loss = ON_DATA_LOSS_REFUSE;
    guard_reconfigure(w.gate.guard, w.redis.config);
    for (unsigned loss = 1; loss < 3; loss++) {
        redis_fixture_kill(&w.redis);
        redis_fixture_revive(&w.redis);
        redis_fixture_until_ready(&w.redis, loss + 1);
        ask(10 * loss, "payments", "k"); /* its reply comes behind the mark's, or it is not sent at all */
        assert_true(ack_says(&f, "verdict", "deny"));
        room_until(&w, METRIC_DATA_LOST, 1);
        assert_int_equal(room_state(&w), '-');
        ask(10 * loss + 1, "payments", "k");
        expect_deny("data-lost");
        ask(10 * loss + 2, "quotes", "");
        assert_true(ack_says(&f, "verdict", "pass"));
        room_turn(&w, 0.6);
        assert_int_equal(room_counted(&w, METRIC_DATA_LOSS), loss);
        redis_server_do(&w.redis.server, "SET once:mark go");
        room_until(&w, METRIC_DATA_LOST, 0);
        assert_int_equal(redis_server_immortals(&w.redis.server), 0);
        ask(10 * loss + 3, "payments", "k");
        expect_go();
        redis_server_do(&w.redis.server, "FLUSHDB"); /* for room_state() */
        room_until(&w, METRIC_DATA_LOST, 1);
        redis_server_do(&w.redis.server, "SET once:mark go");
        room_until(&w, METRIC_DATA_LOST, 0);
        w.redis.metrics.value[METRIC_DATA_LOSS] = loss;
    }
}

/* Whenever it is emptied, the very next request is refused: none is granted until the mark is asked for again. */
static void refuses_at_once(void **state)
{
    (void)state;
    w.redis.config->redis.on_data_loss = ON_DATA_LOSS_REFUSE;
    guard_reconfigure(w.gate.guard, w.redis.config);
    for (unsigned loss = 1; loss < 12; loss++) {
        room_turn(&w, 0.023 * loss); /* every part of the quarter of a second between two questions */
        ask(10 * loss, "payments", "k");
        expect_go();
        redis_server_do(&w.redis.server, "FLUSHALL");
        ask(10 * loss + 1, "payments", "k");
        expect_deny("data-lost");
        assert_int_equal(room_counted(&w, METRIC_DATA_LOSS), loss);
        assert_int_equal(room_counted(&w, METRIC_DATA_LOST), 1);
        ask(10 * loss + 2, "payments", "k");
        expect_deny("data-lost");
        assert_int_equal(redis_server_int(&w.redis.server, "DBSIZE"), 0);
        redis_server_do(&w.redis.server, "SET once:mark go");
        room_until(&w, METRIC_DATA_LOST, 0);
    }
    assert_int_equal(room_counted(&w, METRIC_DATA_REFUSED), 2 * 11);
}

/* Each says for itself, and all must agree; the outcome of Redis' own refusals is no reason. */
static void fails_open(void **state)
{
    (void)state;
    struct policy *both = &w.redis.config->policies[2], *quotes = &w.redis.config->policies[3];
    assert_string_equal(both->name, "both");
    assert_string_equal(quotes->name, "quotes");
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 1");
    quotes->limits[0].fail_open = true;
    ask(1, "quotes", "");
    assert_true(ack_says(&f, "verdict", "pass"));
    assert_true(ack_says(&f, "reason", "fail-open"));
    struct spop_value v;
    assert_false(ack_value(&f, "ratelimit", &v));
    assert_true(ack_value(&f, "unprotected", &v));
    static const struct {
        bool key, limit, open;
    } cases[] = {
        {false, false, false},
        {true,  false, false},
        {false, true,  false},
        {true,  true,  true },
    };
    for (unsigned i = 0; i < 4; i++) {
        both->idempotency.fail_open = cases[i].key;
        both->limits[0].fail_open = cases[i].limit;
        ask(10 + i, "both", "k");
        assert_true(ack_says(&f, "verdict", cases[i].open ? "pass" : "deny"));
        assert_false(ack_value(&f, "token", &v));
    }
    assert_int_equal(room_counted(&w, METRIC_FAILED_OPEN_LIMIT), 1);
    assert_int_equal(room_counted(&w, METRIC_FAILED_OPEN_KEY), 1);
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 0");
    ask(20, "both", "k");
    expect_go();
    ask(21, "both", "k"); /* Redis has decided: nothing passes */
    assert_true(ack_says(&f, "reason", "busy"));
}

/* Late: it passes, and if it was granted all the same, the key is given back. Lost data is no reason. */
static void fails_open_late(void **state)
{
    (void)state;
    w.redis.config->policies[0].idempotency.fail_open = true;
    room_freeze(&w);
    assert_true(ask(1, "payments", "k") < 0.5);
    assert_true(ack_says(&f, "reason", "fail-open"));
    room_thaw(&w);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_true(room_state(&w) == '-' || room_state(&w) == 'F');
    w.redis.config->redis.on_data_loss = ON_DATA_LOSS_REFUSE;
    guard_reconfigure(w.gate.guard, w.redis.config);
    redis_server_do(&w.redis.server, "FLUSHALL");
    room_until(&w, METRIC_DATA_LOST, 1);
    ask(2, "payments", "k");
    expect_deny("data-lost");
}

/* A database without a mark, and an agent that has never seen one: nobody can know. */
static void refuses_without_a_mark(void **state)
{
    (void)state;
    ask(1, "payments", "k");
    expect_deny("data-lost");
    redis_server_do(&w.redis.server, "SET once:mark go");
    room_until(&w, METRIC_DATA_LOST, 0);
    ask(2, "payments", "k");
    expect_go();
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(hangs_and_wakes),
        CASE(hangs_unasked),
        CASE(errors_are_answers),
        CASE(words_go_on),
        CASE(forgets_and_goes_on),
        CASE(old_backup),
        CASE(refuses_until_go),
        CASE(refuses_at_once),
        CASE(fails_open),
        CASE(fails_open_late),
        cmocka_unit_test_setup_teardown(refuses_without_a_mark, setup_refuse, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
