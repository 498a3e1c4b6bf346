// SPDX-License-Identifier: MIT
/* Redis' clock as the adapter knows it, and since when it has been served (PROTOCOL, claim): steps, silence,
 * and an agent that was away itself. */
#include "adapters/redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture f;

static int begin(void **state)
{
    (void)state;
    redis_fixture_begin(&f);
    return 0;
}

static int end(void **state)
{
    (void)state;
    redis_fixture_stop(&f);
    return 0;
}

static uint64_t redis_time(void)
{
    redisReply *r = redisCommand(f.server.c, "TIME");
    uint64_t us = strtoull(r->element[0]->str, NULL, 10) * 1000000 + strtoull(r->element[1]->str, NULL, 10);
    freeReplyObject(r);
    return us;
}

static void assert_near(uint64_t a, uint64_t b, uint64_t by)
{
    assert_true((a > b ? a - b : b - a) <= by);
}

/* It is Redis' clock, never ahead of it; a step is followed either way, and contact begins anew. */
static void clock_of_redis(void **state)
{
    (void)state;
    redis_fixture_run(&f, 0.3);
    uint64_t ours = redis_clock_us(f.redis), theirs = redis_time();
    assert_true(ours <= theirs);
    assert_near(ours, theirs, 500000);
    uint64_t contact = redis_contact_us(f.redis);
    assert_true(contact > 0 && contact <= ours);
    redis_saw_clock(f.redis, theirs - 3600000000);
    assert_near(redis_clock_us(f.redis), theirs - 3600000000, 100000);
    assert_int_equal(redis_contact_us(f.redis), theirs - 3600000000);
    redis_fixture_run(&f, 0.6); /* TIME tells the truth again: an hour forward */
    assert_near(redis_clock_us(f.redis), redis_time(), 500000);
    assert_true(redis_contact_us(f.redis) > contact);
    redis_saw_clock(f.redis, 0); /* no time in that reply */
    assert_true(redis_clock_us(f.redis) != 0);
}

/* Small differences are the trip, not a step. */
static void clock_jitter(void **state)
{
    (void)state;
    uint64_t contact = redis_contact_us(f.redis), now = redis_clock_us(f.redis);
    redis_saw_clock(f.redis, now - 900000);
    redis_saw_clock(f.redis, redis_clock_us(f.redis) + 900000);
    assert_int_equal(redis_contact_us(f.redis), contact);
}

/* Contact lasts through half a second of silence, not through more than one. */
static void contact(void **state)
{
    (void)state;
    uint64_t first = redis_contact_us(f.redis);
    assert_true(first > 0);
    kill(f.server.pid, SIGSTOP);
    redis_fixture_run(&f, 0.5);
    kill(f.server.pid, SIGCONT);
    redis_fixture_run(&f, 0.3);
    assert_int_equal(redis_contact_us(f.redis), first);
    kill(f.server.pid, SIGSTOP);
    redis_fixture_run(&f, 1.4);
    assert_int_equal(redis_contact_us(f.redis), 0);
    kill(f.server.pid, SIGCONT);
    uint64_t woken = redis_time();
    redis_fixture_run(&f, 0.6);
    assert_int_equal(f.lost, 0);
    assert_true(redis_contact_us(f.redis) >= woken);
}

/* The agent itself is away, and a reply has lain in the socket all the time: it is no proof of contact. */
static void contact_after_own_pause(void **state)
{
    (void)state;
    kill(f.server.pid, SIGSTOP);
    redis_fixture_run(&f, 0.4); /* TIME is on its way */
    kill(f.server.pid, SIGCONT);
    usleep(1300000);
    uint64_t back = redis_time();
    assert_int_equal(redis_contact_us(f.redis), 0);
    redis_fixture_run(&f, 0.05);
    uint64_t now = redis_contact_us(f.redis);
    assert_true(now == 0 || now >= back);
    redis_fixture_run(&f, 0.6);
    assert_true(redis_contact_us(f.redis) >= back);
}

static void see(void *arg, const struct redis_reply *reply)
{
    *(enum redis_status *)arg = reply->status;
}

static enum redis_status write_one(void)
{
    static const char set[] = "*5\r\n$3\r\nSET\r\n$6\r\nonce:x\r\n$1\r\ny\r\n$2\r\nPX\r\n$4\r\n9000\r\n";
    enum redis_status status = REDIS_LOST;
    assert_non_null(redis_submit(f.redis, set, sizeof set - 1, 0, see, &status));
    redis_fixture_run(&f, 0.1);
    return status;
}

/* It answers TIME and writes for nobody: a claim that it grants again takes nothing over for as long as after a gap. */
static void refused_writes(void **state)
{
    (void)state;
    redis_fixture_run(&f, 0.6);
    redisReply *r = redisCommand(f.server.c, "CONFIG SET min-replicas-to-write 1");
    freeReplyObject(r);
    assert_int_equal(write_one(), REDIS_ERROR);
    for (unsigned i = 0; i < 3; i++) {
        assert_near(redis_contact_us(f.redis), redis_clock_us(f.redis), 1000);
        redis_fixture_run(&f, 0.3); /* TIME is answered */
    }
    uint64_t back = redis_clock_us(f.redis);
    r = redisCommand(f.server.c, "CONFIG SET min-replicas-to-write 0");
    freeReplyObject(r);
    assert_int_equal(write_one(), REDIS_BYTES);
    uint64_t begun = redis_contact_us(f.redis);
    assert_true(begun >= back);
    redis_fixture_run(&f, 0.6);
    assert_int_equal(redis_contact_us(f.redis), begun);
    assert_int_equal(f.lost, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clock_of_redis),          CASE(clock_jitter),   CASE(contact),
        CASE(contact_after_own_pause), CASE(refused_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
