// SPDX-License-Identifier: MIT
/* rooms/heartbeat: what runs is extended, whatever happens between a listing's question and its answer. */
#include "tests/unit/fake_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/policy.h"
#include "domain/slotmap.h"
#include "rooms/heartbeat.h"
#include "tests/support/loop.h"

static struct ev_loop *loop;
static struct metrics metrics;
static struct policy policy;
static struct config config;
static struct teller *teller;
static struct heartbeat *heartbeat;

static int setup(void **state)
{
    (void)state;
    loop = ev_loop_new(0);
    fake_reset(loop);
    memset(&config, 0, sizeof config);
    policy = (struct policy){
        .name = "pay",
        .hash = policy_hash("pay"),
        .idempotency = {.enabled = true, .lock_s = 6, .record_s = 60}
    };
    config.policies = &policy;
    config.npolicies = 1;
    teller = teller_new(loop, NULL);
    heartbeat = heartbeat_new(teller, &metrics);
    heartbeat_configure(heartbeat, &config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_run(loop, 0.05);
    teller_free(teller);
    heartbeat_free(heartbeat);
    ev_loop_destroy(loop);
    return 0;
}

static struct token token_of(unsigned lock_s)
{
    return (struct token){
        .fence = lock_s, .policy = policy_hash("pay"), .ttl = token_ttl_code(lock_s), .rid = {1}};
}

/* HAProxy lists it as running, with that gpt0. */
static void walk(struct token t, unsigned gpt0)
{
    char text[TOKEN_TEXT + 1], answer[300];
    struct listing l;
    token_write(&t, text);
    int n = snprintf(answer, sizeof answer,
                     "# table: once_inflight, type: string, size:1000, used:1\n"
                     "0x7f23e8042698: key=%s use=1 exp=0 gpt0=%u conn_cur=1\n",
                     text, gpt0);
    assert_int_equal(listing_open((struct spop_slice){answer, (size_t)n}, "once_inflight", 10, &l),
                     LISTING_OK);
    assert_int_equal(heartbeat_running(heartbeat, &l), 1);
}

/* A notice brings a poll that needs no listing of what runs, while the one that was asked for is on its way. */
static void poll_between(void **state)
{
    (void)state;
    struct token t = token_of(6);
    assert_true(heartbeat_begin(heartbeat, 100));
    assert_false(heartbeat_begin(heartbeat, 100.01));
    walk(t, 0);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 1);
}

/* The worker was still busy with a listing when the next one was wanted: that one counts for both. */
static void busy_worker(void **state)
{
    (void)state;
    struct token t = token_of(6), shorter = token_of(3);
    assert_true(heartbeat_begin(heartbeat, 100));
    assert_true(heartbeat_begin(heartbeat, 101)); /* once a second for locks that are not ours */
    heartbeat_again(heartbeat);
    assert_true(heartbeat_begin(heartbeat, 101.01));
    walk(t, 0);
    walk(shorter, 0);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 1);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &shorter), 1);
}

/* Half a heartbeat: a sixth of the lock. */
static void rhythm(void **state)
{
    (void)state;
    struct token t = token_of(6);
    for (double now = 100; now < 112.9; now += 0.25)
        if (heartbeat_begin(heartbeat, now))
            walk(t, 0);
    assert_in_range(fake_count(SCRIPT_EXTEND, &t), 11, 13);
}

static void settled(void **state)
{
    (void)state;
    struct token t = token_of(6), answered = token_of(7);
    assert_true(heartbeat_begin(heartbeat, 100));
    walk(t, LISTING_SETTLED);
    walk(answered, 201);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 0);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &answered), 1);
}

/* Counted by the batch, and due again at once where Redis has not confirmed, or was not even there. */
static void unconfirmed(void **state)
{
    (void)state;
    struct token t = token_of(6);
    memset(&metrics, 0, sizeof metrics);
    assert_true(heartbeat_begin(heartbeat, 100));
    walk(t, 0);
    loop_run(loop, 0.05);
    assert_int_equal(metrics.value[METRIC_HEARTBEATS], 1);
    fake.mute = true;
    assert_true(heartbeat_begin(heartbeat, 101));
    walk(t, 0);
    loop_run(loop, 0.05);
    fake.down = true;
    assert_true(heartbeat_begin(heartbeat, 101.01));
    walk(t, 0);
    assert_int_equal(metrics.value[METRIC_HEARTBEATS_FAILED], 2);
    fake.down = fake.mute = false;
    assert_true(heartbeat_begin(heartbeat, 101.02));
    walk(t, 0);
    loop_run(loop, 0.05);
    assert_int_equal(metrics.value[METRIC_HEARTBEATS], 2);
    assert_int_equal(metrics.value[METRIC_EXTENDED], 2);
    assert_false(heartbeat_begin(heartbeat, 101.03));
}

enum { MANY = 3 * SCRIPT_EXTEND_MAX };

/* HAProxy lists that many; each has a TAG of its own. */
static void walk_many(unsigned n)
{
    static char answer[MANY * 200];
    struct listing l;
    size_t len = (size_t)sprintf(answer, "# table: once_inflight, type: string, size:1000, used:%u\n", n);
    for (unsigned i = 0; i < n; i++) {
        char text[TOKEN_TEXT + 1];
        struct token t = token_of(6);
        t.id.tag[0] = (uint8_t)(i * 101 >> 8); /* some share a slot */
        t.id.tag[1] = (uint8_t)(i * 101);
        t.fence = i + 1;
        token_write(&t, text);
        len += (size_t)sprintf(answer + len, "0x7f23e8042698: key=%s use=1 exp=0 gpt0=0 conn_cur=1\n", text);
    }
    assert_int_equal(listing_open((struct spop_slice){answer, len}, "once_inflight", n, &l), LISTING_OK);
    assert_int_equal(heartbeat_running(heartbeat, &l), n);
}

static unsigned extended_of(unsigned n)
{
    unsigned extended = 0;
    for (unsigned i = 0; i < n; i++) {
        struct token t = {.fence = i + 1};
        extended += fake_count(SCRIPT_EXTEND, &t) > 0;
    }
    return extended;
}

/* Redis' queue holds less than all: each round goes on where the one before was refused. */
static void full_queue(void **state)
{
    (void)state;
    fake.narrow = true;
    for (unsigned round = 1; round <= 3; round++) {
        fake.room = 1;
        assert_true(heartbeat_begin(heartbeat, 100 + round * 0.01));
        walk_many(MANY);
        assert_int_equal(extended_of(MANY), round * SCRIPT_EXTEND_MAX);
        loop_run(loop, 0.01);
    }
}

/* TAGs of one slot go in one command; after a failure each token goes alone, for its slot may be open. */
static void together(void **state)
{
    (void)state;
    unsigned slots = 0;
    bool seen[SLOTS] = {false};
    for (unsigned i = 0; i < MANY; i++) {
        unsigned slot = slot_of_tag((uint8_t[]){(uint8_t)(i * 101 >> 8), (uint8_t)(i * 101)});
        slots += !seen[slot];
        seen[slot] = true;
    }
    assert_true(slots < MANY);
    memset(&metrics, 0, sizeof metrics);
    fake.cluster = fake.mute = true;
    assert_true(heartbeat_begin(heartbeat, 100));
    walk_many(MANY);
    loop_run(loop, 0.05);
    assert_int_equal(metrics.value[METRIC_HEARTBEATS_FAILED], slots);
    fake.mute = false;
    assert_true(heartbeat_begin(heartbeat, 100.01));
    walk_many(MANY);
    loop_run(loop, 0.05);
    assert_int_equal(metrics.value[METRIC_HEARTBEATS], MANY);
}

static void shortest(void **state)
{
    (void)state;
    assert_true(heartbeat_shortest(heartbeat) == 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(poll_between, setup, teardown),
        cmocka_unit_test_setup_teardown(busy_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(rhythm, setup, teardown),
        cmocka_unit_test_setup_teardown(settled, setup, teardown),
        cmocka_unit_test_setup_teardown(unconfirmed, setup, teardown),
        cmocka_unit_test_setup_teardown(full_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(together, setup, teardown),
        cmocka_unit_test_setup_teardown(shortest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
