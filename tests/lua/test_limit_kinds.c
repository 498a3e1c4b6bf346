// SPDX-License-Identifier: MIT
/* What the random traffic of test_limits_model does not reach: sliding windows at their edges, in broken
 * values and under a clock that steps back; tiers; shadows; limits that count each request, beside every thing
 * that a record can say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/ratelimit_fields.h"
#include "tests/support/gate_clock.h"

static const uint64_t T = 1800000000000000, SECOND = 1000000;

static unsigned remaining(const struct gate *g, unsigned limit)
{
    return (unsigned)ratelimit_remaining(g->plan.limits[limit].pace, g->outcome.level[limit]);
}

static void only_limits(struct gate *g)
{
    g->plan.has_record = false;
}

static long long bytes_of(struct gate *g, unsigned limit)
{
    return redis_server_int(&g->redis, "STRLEN %s", gate_limit_key(g, limit));
}

static bool exists(struct gate *g, unsigned limit)
{
    return redis_server_int(&g->redis, "EXISTS %s", gate_limit_key(g, limit)) > 0;
}

/* R8: six in any minute: the times are far apart, so it is the exact log. */
static void window_is_exact_when_sparse(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 6, 60, 1);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(gate_claim_at(g, T + i * 5 * SECOND), 'G');
        assert_int_equal(remaining(g, 0), 5 - i);
        assert_true(g->outcome.back[0] == 600000000);
    }
    assert_int_equal(gate_claim_at(g, T + 30 * SECOND), 'L');
    assert_true(g->outcome.wait_us[0] == 30e6 && g->outcome.back[0] == 55e7);
    assert_int_equal(gate_claim_at(g, T + 60 * SECOND - 1), 'L');
    assert_int_equal(gate_claim_at(g, T + 60 * SECOND), 'G');
    assert_int_equal(gate_claim_at(g, T + 60 * SECOND), 'L');
    assert_int_equal(gate_claim_at(g, T + 65 * SECOND), 'G');
}

/* R8: never 2N across an edge, wherever it would lie. */
static void window_has_no_edge(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 10, 10, 1);
    for (uint64_t offset = 0; offset < 10; offset++) {
        redis_server_do(&g->redis, "FLUSHALL");
        unsigned granted = 0;
        for (unsigned i = 0; i < 40; i++) /* the last and the first half second of two whole windows */
            granted += gate_claim_at(g, T + offset * SECOND + 9500000 + i * 25000) == 'G';
        assert_int_equal(granted, 10);
    }
}

/* However many come, at most 61 entries; and all of the quota is used in each window. */
static void window_stays_small(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 1000, 60, 1);
    unsigned granted = 0;
    for (uint64_t us = 0; us < 180 * SECOND; us += 50000) { /* 1200 a minute */
        granted += gate_claim_at(g, T + us) == 'G';
        assert_true(bytes_of(g, 0) <= 12 + 61 * 12);
    }
    assert_in_range(granted, 2900, 3000);
    long long ttl = redis_server_int(&g->redis, "PTTL %s", gate_limit_key(g, 0));
    assert_in_range(ttl, 110000, 120000);
}

/* R12: a smaller number: what is used stays used. A cost of 0 looks, whatever is used. */
static void window_shrinks(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 6, 60, 1);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(gate_claim_at(g, T + i * 2 * SECOND), 'G');
    g->policy.limits[0].pace.capacity = g->policy.limits[0].pace.quota = 2;
    assert_int_equal(gate_claim_at(g, T + 12 * SECOND), 'L');
    assert_true(g->outcome.wait_us[0] == (8 + 60 - 12) * 1e6); /* five of the six must leave */
    g->plan.limits[0].cost = 0;
    assert_int_equal(gate_claim_at(g, T + 12 * SECOND), 'G');
    assert_int_equal(remaining(g, 0), 0);
    redis_server_do(&g->redis, "FLUSHALL");
    assert_int_equal(gate_claim_at(g, T), 'G');
    assert_false(exists(g, 0));
}

/* R10: more than the quota never passes; the whole of it does. */
static void window_costs(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 6, 60, 1);
    g->plan.limits[0].cost = 7;
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_true(g->outcome.wait_us[0] > 0);
    g->plan.limits[0].cost = 6;
    assert_int_equal(gate_claim_at(g, T), 'G');
    assert_int_equal(remaining(g, 0), 0);
    g->plan.limits[0].cost = 1;
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_true(g->outcome.wait_us[0] == 60e6);
}

/* R15: entries ahead of the clock count as now, and that is written even by a refusal: nobody waits for more
 * than the window. Those behind it leave when they would have. */
static void window_clock_steps_back(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 4, 10, 1);
    for (uint64_t s = 0; s < 8; s += 2)
        assert_int_equal(gate_claim_at(g, T + s * SECOND), 'G');
    assert_int_equal(gate_claim_at(g, T + 3 * SECOND), 'L'); /* those of 4 s and 6 s are ahead */
    assert_true(g->outcome.wait_us[0] == 7e6 && g->outcome.back[0] == 1e8);
    assert_int_equal(gate_claim_at(g, T + 4 * SECOND), 'L');
    assert_true(g->outcome.back[0] == 9e7);
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
    assert_int_equal(gate_claim_at(g, T - 3600 * SECOND), 'L'); /* an hour */
    assert_true(g->outcome.wait_us[0] == 10e6);
    assert_int_equal(gate_claim_at(g, T - 3595 * SECOND), 'L');
    assert_true(g->outcome.wait_us[0] == 5e6);
    assert_int_equal(gate_claim_at(g, T - 3590 * SECOND), 'G');
}

/* A value of another shape is a full window, once. */
static void window_broken_values(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_window(g, 3, 10, 1);
    static const struct {
        const char *bytes;
        size_t len;
    } values[] = {
        {"",                                                         0 },
        {"0123456789ab",                                             12},
        {"0123456789ab0123456789abc",                                25},
        {"\0\0\0\0\0\0\xf8\x7f\1\0\0\0\0\0\0\0\0\0\xf8\x7f\1\0\0\0", 24}, /* NaN */
        {"\0\0\0\0\0\0\xf0\x7f\1\0\0\0\0\0\0\0\0\0\xf0\x7f\1\0\0\0", 24}, /* infinity */
        {"\0\0\0\0\0\0\0\x40\1\0\0\0\0\0\0\0\0\0\xf0\x3f\1\0\0\0",   24}, /* begins behind its end */
        {"\0\0\0\0\0\0\xf0\xbf\1\0\0\0\0\0\0\0\0\0\xf0\xbf\1\0\0\0", 24}, /* -1 */
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        redis_server_do(&g->redis, "SET %s %b PX 600000", gate_limit_key(g, 0), values[i].bytes,
                        values[i].len);
        assert_int_equal(gate_claim_at(g, T), 'L');
        assert_true(g->outcome.wait_us[0] == 10e6 && g->outcome.level[0] == 3);
        assert_int_equal(gate_claim_at(g, T + 10 * SECOND - 1), 'L');
        assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
    }
    redis_server_do(&g->redis, "DEL %s", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "LPUSH %s a", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "EXPIRE %s 100", gate_limit_key(g, 0));
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
}

/* Tiers share one bucket. What a large tier has used is not forgotten because a request of a small one looked
 * at it: the small one waits for it, at most as long as the largest bucket takes to refill. */
static void tiers_share_a_bucket(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    struct pace small = {.quota = 60, .window_s = 60, .burst = 2, .increment = 1e7, .capacity = 2e7};
    struct plan_limit *l = &g->plan.limits[0];
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(gate_claim_at(g, T), 'G');
    l->pace = &small;
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_true(g->outcome.wait_us[0] == 49e6); /* 50 s are used, its request fits into 1 s of 2 s */
    l->cost = 0;
    assert_int_equal(gate_claim_at(g, T), 'G');
    l->cost = 1;
    l->pace = &g->policy.limits[0].pace;
    assert_int_equal(gate_claim_at(g, T), 'G');
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_true(g->outcome.wait_us[0] == 10e6);
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
}

/* R15 with tiers: a TAT from a clock that stepped back is lowered to the largest bucket. */
static void tiers_and_the_clock(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    struct pace small = {.quota = 60, .window_s = 60, .burst = 2, .increment = 1e7, .capacity = 2e7};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(gate_claim_at(g, T), 'G');
    g->plan.limits[0].pace = &small;
    assert_int_equal(gate_claim_at(g, T - 3600 * SECOND), 'L');
    assert_true(g->outcome.wait_us[0] == 59e6);
    assert_int_equal(gate_claim_at(g, T - 3541 * SECOND), 'G');
}

/* R11: a shadow counts as it would, and beyond its capacity it is not charged (R6). */
static void shadow_never_refuses(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 2, 20, 1);
    gate_limit(g, 5, 50, 1);
    g->policy.limits[0].shadow = true;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(gate_claim_at(g, T), 'G');
        assert_true(g->outcome.wait_us[0] == (i < 2 ? 0 : 10e6));
        assert_int_equal(remaining(g, 0), i < 2 ? 1 - i : 0);
        assert_int_equal(remaining(g, 1), 4 - i);
    }
    assert_int_equal(gate_claim_at(g, T), 'L');
    assert_true(g->outcome.wait_us[0] == 10e6 && g->outcome.wait_us[1] == 10e6);
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
    assert_true(g->outcome.wait_us[0] == 0);
}

/* One limit of each kind that counts each request, and one that does not, of the bucket's subject. */
static void count_each(struct gate *g)
{
    gate_limit(g, 100, 3600, 1);
    gate_limit(g, 100, 3600, 1);
    gate_window(g, 100, 3600, 2);
    g->policy.limits[0].charge = g->policy.limits[2].charge = CHARGE_ALL;
    g->plan.counts_all = true;
}

/* Claims, and sees what each limit has been charged since the last look. */
static void assert_charged(struct gate *g, char rid, char kind, unsigned each, unsigned forwarded)
{
    static unsigned before[3];
    unsigned now[3];
    if (rid == 0)
        before[0] = before[1] = before[2] = 100;
    else
        assert_int_equal(gate_claim_as(g, (uint8_t)rid), kind);
    /* Looked at by a request of its own that costs nothing. */
    struct plan p = g->plan;
    struct outcome o = g->outcome;
    only_limits(g);
    g->plan.count_only = false;
    for (unsigned i = 0; i < 3; i++)
        g->plan.limits[i].cost = 0;
    assert_int_equal(gate_claim(g), 'G');
    for (unsigned i = 0; i < 3; i++) {
        now[i] = remaining(g, i);
        assert_int_equal(before[i] - now[i], i == 1 ? forwarded : each);
        before[i] = now[i];
    }
    g->plan = p;
    g->outcome = o;
}

/* R19: whatever the record says, but for `yours` (charged already) and for what cannot be read. */
static void each_request_counts(void **state)
{
    struct gate *g = *state;
    count_each(g);
    assert_charged(g, 0, 0, 0, 0);
    assert_charged(g, 'r', 'G', 1, 1);
    assert_charged(g, 'r', 'Y', 0, 0);
    assert_charged(g, 'q', 'B', 1, 0);
    assert_true(g->outcome.has_levels);
    g->plan.fingerprint[0]++;
    assert_charged(g, 'q', 'M', 1, 0);
    g->plan.fingerprint[0]--;
    memset(g->plan.rid, 'r', sizeof g->plan.rid);
    assert_int_equal(gate_claim(g), 'Y');
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    char done[80] = "\1D";
    w.pending = (struct spop_slice){done, sizeof done};
    assert_int_equal(gate_say(g, &w), 'S');
    assert_charged(g, 'q', 'D', 1, 0);
    assert_true(g->outcome.has_levels && remaining(g, 0) == 96);
    struct record r = {.state = 'H', .flags = RECORD_HOLD, .fence = 5, .ttl_s = 100, .lock_ms = 1000};
    memset(r.fingerprint, 'f', sizeof r.fingerprint);
    gate_plant(g, &r, 100000);
    assert_charged(g, 'q', 'U', 1, 0);
    r.state = 'T';
    gate_plant(g, &r, 100000);
    assert_charged(g, 'q', 'T', 1, 0);
    gate_plant_raw(g, "\7bad", 4, 100000);
    assert_charged(g, 'q', 'X', 0, 0);
}

/* Not forwarded at all: refused by the agent (400), or by HAProxy. */
static void counted_only(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    count_each(g);
    g->plan.count_only = true;
    assert_charged(g, 0, 0, 0, 0);
    assert_charged(g, 'r', 'G', 1, 0);
    assert_charged(g, 'r', 'G', 1, 0);
    redis_server_do(&g->redis, "FLUSHALL");
    g->policy.limits[0].charge = CHARGE_FORWARDED;
    assert_int_equal(gate_claim(g), 'G');
    assert_false(exists(g, 0)); /* nothing of that subject counts it: nothing is written */
    assert_true(exists(g, 2));
}

/* Over a limit that counts each request nobody is answered from the record, and nothing is charged; a limit
 * that does not stands behind the record. */
static void each_stands_before_the_record(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 3, 3600, 1);
    gate_limit(g, 1, 3600, 2);
    g->policy.limits[0].charge = CHARGE_ALL;
    g->plan.counts_all = true;
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(gate_claim_as(g, 'q'), 'B'); /* the other limit is used up: it does not say so here */
    assert_int_equal(remaining(g, 0), 1);
    assert_true(g->outcome.wait_us[1] == 0);
    g->plan.id.digest[0]++;
    assert_int_equal(gate_claim_as(g, 'q'),
                     'L'); /* it refuses a new key, and the first is not charged (R6) */
    assert_true(g->outcome.wait_us[0] == 0 && g->outcome.wait_us[1] > 0);
    assert_int_equal(remaining(g, 0), 1);
    g->plan.id.digest[0]--;
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
    assert_int_equal(gate_claim_as(g, 'q'), 'L');
    assert_true(g->outcome.wait_us[0] > 0 && g->outcome.wait_us[1] == 0);
    double level = g->outcome.level[0];
    assert_int_equal(gate_claim_as(g, 'q'), 'L');
    assert_true(g->outcome.level[0] <= level);
    assert_int_equal(gate_claim_as(g, 'r'), 'Y'); /* its own grant, whose reply was lost, is not refused */
}

/* A Redis that takes no writes goes on replaying, uncounted. */
static void each_without_memory(void **state)
{
    struct gate *g = *state;
    count_each(g);
    assert_int_equal(gate_claim(g), 'G');
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    char done[80] = "\1D";
    w.pending = (struct spop_slice){done, sizeof done};
    assert_int_equal(gate_say(g, &w), 'S');
    redis_server_do(&g->redis, "CONFIG SET maxmemory 1");
    assert_int_equal(gate_claim_as(g, 'q'), 'D');
    g->plan.id.digest[0]++;
    assert_int_equal(gate_claim_as(g, 'q'), 'E');
    redis_server_do(&g->redis, "CONFIG SET maxmemory 0");
}

static int start(void **state)
{
    gate_start(state);
    gate_clock_start(*state);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, gate_begin, gate_end)
    const struct CMUnitTest tests[] = {
        T(window_is_exact_when_sparse),
        T(window_has_no_edge),
        T(window_stays_small),
        T(window_shrinks),
        T(window_costs),
        T(window_clock_steps_back),
        T(window_broken_values),
        T(tiers_share_a_bucket),
        T(tiers_and_the_clock),
        T(shadow_never_refuses),
        T(each_request_counts),
        T(counted_only),
        T(each_stands_before_the_record),
        T(each_without_memory),
    };
    return cmocka_run_group_tests(tests, start, gate_stop);
}
