// SPDX-License-Identifier: MIT
/* rooms/inflight when Redis does not answer or is away: what was not confirmed is said again, and another
 * agent may take over. The fake decides to the word when that is; a real redis-server that is stopped would
 * also lose its link after a while, which is redis_link's test. */
#include "tests/unit/fake_redis.h"

#include "tests/unit/inflight_world.h"

static uint64_t fences;

static struct token make_token(bool hold)
{
    struct token t = {.flags = hold ? TOKEN_HOLD : 0, .fence = ++fences, .policy = policy_hash("pay")};
    memcpy(t.rid, &t.fence, sizeof t.fence);
    t.ttl = token_ttl_code(config->policies[0].idempotency.lock_s);
    return t;
}

static int setup(void **state)
{
    (void)state;
    world_open();
    fake_reset(loop);
    world_run();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    without_agent();
    world_close();
    return 0;
}

/* Half a heartbeat of a lock of 2 s is 333 ms. */
static void test_heartbeat(void **state)
{
    (void)state;
    reconfigure(short_lock);
    struct token t = request(false), u = request(false);
    loop_run(loop, 1.6);
    unsigned n = fake_count(SCRIPT_EXTEND, &t);
    assert_in_range(n, 4, 5);
    assert_in_range(fake_count(SCRIPT_EXTEND, &u), n - 1, n);
    fake.mute = true; /* what was not confirmed is said again soon */
    loop_run(loop, 1.2);
    fake.mute = false;
    n = fake_count(SCRIPT_EXTEND, &t);
    loop_run(loop, 0.2);
    assert_true(fake_count(SCRIPT_EXTEND, &t) > n);
}

static void test_not_confirmed_is_said_again(void **state)
{
    (void)state;
    struct token t = request(false);
    fake.down = true;
    backend_ends(0, ANSWER("201", ""));
    loop_run(loop, 5 * POLL);
    assert_int_equal(fake.n, 0);
    fake.down = false;
    fake.mute = true;
    inflight_redis_ready(agent, redis);
    loop_until(loop, fake_count(SCRIPT_RESOLVE, &t) >= 2, 4 * POLL);
    fake.mute = false;
    loop_run(loop, 2 * POLL);
    unsigned n = fake_count(SCRIPT_RESOLVE, &t);
    loop_run(loop, 3 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), n);
    assert_int_equal(metrics.value[METRIC_RESOLVED_TOMB], 1);
}

/* Not heard by Redis, the elected one touches the file no more. */
static void test_gives_way(void **state)
{
    (void)state;
    loop_run(loop, 2 * POLL);
    assert_int_equal(metrics.value[METRIC_POLLER], 1);
    fake.down = true;
    loop_until(loop, metrics.value[METRIC_POLLER] == 0, 2 * POLL);
    fake.down = false;
    loop_until(loop, metrics.value[METRIC_POLLER] == 1, 3 * POLL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_confirmed_is_said_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gives_way, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
