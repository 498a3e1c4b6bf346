// SPDX-License-Identifier: MIT
/* Replicas' acknowledgement in the whole of the rooms: a primary with a real replica that is there, stopped,
 * and there again. What is granted has been seen on the replica; what is not acknowledged is taken back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/room_fixture.h"

static struct room w;
static struct redis_server replica;
static struct peer p;
static struct peer_frame f;

/* The primary listens on loopback for its replica only; the system chooses the port. */
static void follow(void)
{
    for (unsigned port = 20000 + (unsigned)getpid() % 20000;; port++) {
        redisReply *r = redisCommand(w.redis.server.c, "CONFIG SET port %u", port);
        bool good = r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
        if (!good)
            continue;
        redis_server_do(&replica, "REPLICAOF 127.0.0.1 %u", port);
        break;
    }
    /* The first success may be the snapshot's; what is written after it needs the stream. */
    for (unsigned i = 0, good = 0; i < 500; i++) {
        redis_server_do(&w.redis.server, "SET once:follow x EX 100");
        good += redis_server_int(&w.redis.server, "WAIT 1 100") == 1;
        if (good == 2)
            return;
        usleep(10000);
    }
    fail_msg("the replica does not follow");
}

static void want(unsigned replicas, unsigned timeout_ms)
{
    w.redis.config->redis.ack_replicas = replicas;
    w.redis.config->redis.ack_timeout_ms = timeout_ms;
    acks_reconfigure(w.gate.acks, w.redis.config);
}

static int setup(void **state)
{
    (void)state;
    room_start(&w, "");
    redis_server_do(&w.redis.server, "CONFIG SET repl-diskless-sync-delay 0");
    redis_server_start(&replica);
    follow();
    room_turn(&w, 0.3); /* it took long: served again, and the breaker closed */
    want(1, 80);
    room_dial(&w, &p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill(replica.pid, SIGCONT);
    peer_close(&p);
    redis_server_stop(&replica);
    room_stop(&w);
    return 0;
}

static void send_request(uint64_t stream, const char *policy, unsigned key)
{
    char text[32], rid[32];
    snprintf(text, sizeof text, "k%u", key);
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    room_request(&p, stream, policy, text, rid);
}

static void ask(uint64_t stream, const char *policy, unsigned key)
{
    send_request(stream, policy, key);
    peer_ack(&p, stream, &f);
}

static long long replica_records(void)
{
    redisReply *r = redisCommand(replica.c, "KEYS once:*:r:*");
    long long n = (long long)r->elements;
    freeReplyObject(r);
    return n;
}

static void granted_is_replicated(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 20; i++) {
        ask(i, "payments", i);
        assert_true(ack_says(&f, "verdict", "go"));
        assert_int_equal(replica_records(), i);
    }
    assert_int_equal(room_counted(&w, METRIC_ACKS), 20);
}

/* Many in one turn: a few WAITs for all of them. */
static void one_wait_for_many(void **state)
{
    (void)state;
    enum { N = 100 };
    for (unsigned i = 1; i <= N; i++)
        send_request(i, "payments", i);
    for (unsigned i = 1; i <= N; i++) {
        peer_ack(&p, i, &f);
        assert_true(ack_says(&f, "verdict", "go"));
    }
    assert_int_equal(replica_records(), N);
    assert_in_range(room_counted(&w, METRIC_ACKS), 1, N / 4);
}

/* The level of a limit comes through, and what needs no replica does not wait. */
static void limits_and_refusals(void **state)
{
    (void)state;
    ask(1, "both", 1);
    assert_true(ack_says(&f, "verdict", "go"));
    struct spop_value v;
    assert_true(ack_value(&f, "ratelimit", &v));
    assert_int_equal(room_counted(&w, METRIC_ACKS), 1);
    ask(2, "both", 1);
    assert_true(ack_says(&f, "reason", "busy"));
    ask(3, "quotes", 1);
    assert_true(ack_says(&f, "verdict", "pass"));
    assert_int_equal(room_counted(&w, METRIC_ACKS), 1);
}

/* The replica hangs: within the deadline 503, the key is free, the next ones are refused without waiting, and
 * it is noticed within a second that it is there again. */
static void replica_hangs(void **state)
{
    (void)state;
    ask(1, "payments", 1);
    assert_true(ack_says(&f, "verdict", "go"));
    kill(replica.pid, SIGSTOP);
    double from = ev_time();
    ask(2, "payments", 2);
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), 503);
    assert_true(ev_time() - from > 0.07 && ev_time() - from < 0.2);
    assert_int_equal(room_counted(&w, METRIC_ACKS_REFUSED), 1);
    room_turn(&w, 0.15); /* Redis' own WAIT is over */
    for (unsigned i = 3; i < 8; i++) {
        ask(i, "payments", i);
        assert_true(ack_says(&f, "verdict", "deny"));
    }
    ask(9, "payments", 1); /* needs no replica */
    assert_true(ack_says(&f, "reason", "busy"));
    assert_int_equal(room_counted(&w, METRIC_ACKS_REFUSED), 6);
    assert_int_equal(room_counted(&w, METRIC_ACKS_FAILED), 1); /* nobody else has waited */
    kill(replica.pid, SIGCONT);
    room_turn(&w, 1.1);
    for (unsigned i = 12; i < 18; i++) { /* all that were refused are free */
        ask(i, "payments", i - 10);
        assert_true(ack_says(&f, "verdict", "go"));
        assert_true(ack_says(&f, "reason", "go"));
    }
}

/* The same request again, after its grant was not acknowledged on another connection: what it found is
 * waited for as well. */
static void yours_waits_too(void **state)
{
    (void)state;
    want(0, 80);
    ask(1, "payments", 1);
    assert_true(ack_says(&f, "verdict", "go"));
    want(1, 80);
    kill(replica.pid, SIGSTOP);
    redis_server_do(&w.redis.server, "SET once:x y EX 100"); /* another connection's write */
    ask(1, "payments", 1);
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), 503);
}

static enum completion_result result;
static unsigned told;

static void tell(void *arg, enum completion_result r)
{
    (void)arg;
    result = r;
    told++;
}

/* An outcome is not confirmed while its replica is silent, is said again, and is confirmed then; a release
 * needs none. */
static void outcomes_wait(void **state)
{
    (void)state;
    struct word done = {.script = SCRIPT_UNSTORABLE, .letter = 'F', .status = 500, .ttl_s = 600};
    struct word release = {.script = SCRIPT_RELEASE, .letter = 'n', .ttl_s = 600};
    done.token.ttl = release.token.ttl = token_ttl_code(30);
    done.token.id.digest[0] = 1;
    release.token.id.digest[0] = 2;
    told = 0;
    kill(replica.pid, SIGSTOP);
    completion_put(w.gate.completion, &release, 0, tell, NULL);
    room_turn(&w, 0.05);
    assert_int_equal(told, 1);
    completion_put(w.gate.completion, &done, 0, tell, NULL);
    room_turn(&w, 0.5);
    assert_int_equal(told, 1);
    assert_int_equal(room_counted(&w, METRIC_COMPLETIONS), 1);
    assert_true(room_counted(&w, METRIC_COMPLETION_RETRIES) >= 1);
    kill(replica.pid, SIGCONT);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(told, 2);
    assert_true(completion_confirmed(result));
}

/* The primary dies while a grant is waited for: refused, and nobody is told twice. */
static void primary_dies(void **state)
{
    (void)state;
    kill(replica.pid, SIGSTOP);
    want(1, 150);
    send_request(1, "payments", 1);
    room_turn(&w, 0.03);
    redis_fixture_kill(&w.redis);
    peer_ack(&p, 1, &f);
    assert_true(ack_says(&f, "verdict", "deny"));
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(granted_is_replicated), CASE(one_wait_for_many), CASE(limits_and_refusals), CASE(replica_hangs),
        CASE(yours_waits_too),       CASE(outcomes_wait),     CASE(primary_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
