// SPDX-License-Identifier: MIT
/* Limits in the claim: token buckets by GCRA. "6 per minute": increment 10 s, capacity 60 s,
 * in ticks of 100 ns.
 *
 *   used   0     1     2     3     4     5     6 = capacity
 *          |-----|-----|-----|-----|-----|-----|
 *        passes up to here; refills by one every 10 s */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/ratelimit_fields.h"
#include "tests/support/gate_fixture.h"

static const uint64_t EPOCH_US = 1672531200000000; /* 2023-01-01 UTC */
static const double TICKS_PER_US = 10;
enum { CELL = 12 }; /* name 4, TAT 8 */

static double ticks(uint64_t us)
{
    return (double)(us - EPOCH_US) * TICKS_PER_US;
}

static void plant_tats(struct gate *g, unsigned limit, const double *tats, unsigned n)
{
    buf_reset(&g->out);
    for (unsigned i = 0; i < n; i++) {
        buf_le(&g->out, g->plan.limits[limit + i].limit->hash, 4);
        buf_f64(&g->out, tats[i]);
    }
    redis_server_do(&g->redis, "SET %s %b PX 600000", gate_limit_key(g, limit), g->out.data, g->out.len);
}

static double tat_of(struct gate *g, unsigned limit, unsigned cell)
{
    double tat = -1;
    redisReply *r = redisCommand(g->redis.c, "GET %s", gate_limit_key(g, limit));
    if (r->type == REDIS_REPLY_STRING && (size_t)r->len >= CELL * ((size_t)cell + 1))
        memcpy(&tat, r->str + CELL * cell + 4, sizeof tat);
    freeReplyObject(r);
    return tat;
}

/* Requests that are left, as a client is told. */
static unsigned remaining(const struct gate *g, unsigned limit)
{
    return (unsigned)ratelimit_remaining(g->plan.limits[limit].pace, g->outcome.level[limit]);
}

static void only_limits(struct gate *g)
{
    g->plan.has_record = false;
}

/* ACCEPTANCE R1. */
static void six_per_minute(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    for (unsigned left = 6; left-- > 0;) {
        assert_int_equal(gate_claim(g), 'G');
        assert_true(g->outcome.has_levels);
        assert_int_equal(g->outcome.fence, 0);
        assert_int_equal(remaining(g, 0), left);
    }
    double tat = tat_of(g, 0, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gate_claim(g), 'L');
        double due = tat + 1e8 - 6e8; /* the tick at which one request fits again */
        double wait_ticks = due - ticks(g->outcome.now_us);
        assert_true(g->outcome.wait_us[0] * 10 >= wait_ticks && g->outcome.wait_us[0] * 10 < wait_ticks + 10);
        assert_int_equal(remaining(g, 0), 0);
    }
    assert_true(tat_of(g, 0, 0) == tat); /* R6: a refusal pushes nothing further */
    long long ttl = redis_server_int(&g->redis, "PTTL %s", gate_limit_key(g, 0));
    assert_in_range(ttl, 60000, 120001);
}

/* R2: asked without a pause, it is refused until just before the moment that the first refusal named. */
static void wait_is_exact(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 10, 1, 1); /* increment 100 ms */
    while (gate_claim(g) == 'G')
        ;
    assert_int_equal(g->outcome.kind, 'L');
    double due = (double)g->outcome.now_us + g->outcome.wait_us[0];
    unsigned refused = 0;
    while (gate_claim(g) == 'L') {
        assert_true((double)g->outcome.now_us < due);
        refused++;
    }
    assert_true((double)g->outcome.now_us >= due);
    assert_true((double)g->outcome.now_us < due + 20000);
    assert_true(refused > 0);
}

/* The formula beside the script, step by step over what the script saw as its time (R8). */
static void agrees_with_the_formula(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 2000, 1, 1);
    g->policy.limits[0].pace.capacity = 7 * g->policy.limits[0].pace.increment;
    double tat = 0, increment = g->policy.limits[0].pace.increment,
           capacity = g->policy.limits[0].pace.capacity;
    unsigned granted = 0, refused = 0;
    for (unsigned i = 0; i < 3000; i++) {
        char kind = gate_claim(g);
        double now = ticks(g->outcome.now_us), from = tat > now ? tat : now;
        bool passes = from + increment - now <= capacity;
        assert_int_equal(kind, passes ? 'G' : 'L');
        tat = passes ? from + increment : tat;
        granted += passes;
        refused += !passes;
    }
    assert_true(granted > 0 && refused > 0);
}

/* R5: all are checked before anything is charged. */
static void all_or_nothing(void **state)
{
    struct gate *g = *state;
    struct record r;
    gate_limit(g, 6, 60, 1);
    gate_limit(g, 100, 60, 1);
    gate_limit(g, 1, 60, 2);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(remaining(g, 0), 5);
    assert_int_equal(remaining(g, 1), 99);
    assert_int_equal(remaining(g, 2), 0);
    double before[3] = {tat_of(g, 0, 0), tat_of(g, 0, 1), tat_of(g, 2, 0)};
    g->plan.id.digest[0]++;
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] == 0 && g->outcome.wait_us[1] == 0 && g->outcome.wait_us[2] > 0);
    assert_int_equal(remaining(g, 0), 5);
    assert_false(gate_look(g, &r)); /* R7: no lock */
    assert_true(tat_of(g, 0, 0) == before[0] && tat_of(g, 0, 1) == before[1] && tat_of(g, 2, 0) == before[2]);
}

/* The same with the refusing limit first. */
static void first_limit_refuses(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 1, 60, 2);
    gate_limit(g, 6, 60, 1);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] > 0 && g->outcome.wait_us[1] == 0);
    assert_int_equal(remaining(g, 1), 5);
}

/* What was left unused an hour ago is no credit: the burst is all there is. */
static void idle_time_is_no_credit(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    double old = ticks(gate_now_us(g)) - 3600e7;
    plant_tats(g, 0, &old, 1);
    for (unsigned left = 6; left-- > 0;) {
        assert_int_equal(gate_claim(g), 'G');
        assert_int_equal(remaining(g, 0), left);
    }
    assert_int_equal(gate_claim(g), 'L');
}

/* R7: whatever the record refuses or replays is not charged, and looks at no limit. */
static void refusals_of_the_record_charge_nothing(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 1, 60, 1);
    assert_int_equal(gate_claim(g), 'G');
    double tat = tat_of(g, 0, 0);
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
    g->plan.fingerprint[0]++;
    assert_int_equal(gate_claim(g), 'M');
    g->plan.fingerprint[0]--;
    assert_int_equal(gate_claim_as(g, 'r'), 'Y');
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    char done[80] = "\1D";
    w.pending = (struct spop_slice){done, sizeof done};
    assert_int_equal(gate_say(g, &w), 'S');
    assert_int_equal(gate_claim(g), 'D');
    assert_true(tat_of(g, 0, 0) == tat);
}

/* A key whose lease has lapsed is not taken over by a claim that a limit refuses. */
static void limited_takes_no_lapsed_lock(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    redis_server_do(&g->redis, "SETRANGE %s 20 %b", gate_record_key(g), "\1\0\0\0\0\0\0\0", (size_t)8);
    gate_limit(g, 1, 60, 1);
    double full = ticks(gate_now_us(g)) + 6e8;
    plant_tats(g, 0, &full, 1);
    uint64_t fence = g->outcome.fence;
    assert_int_equal(gate_claim_as(g, 'q'), 'L');
    struct record r;
    assert_true(gate_look(g, &r));
    assert_int_equal(r.fence, fence);
}

/* R10: cost 0 only looks; more than the burst never passes. */
static void costs(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    g->policy.limits[0].pace.increment = 6e8;
    assert_int_equal(gate_claim(g), 'G'); /* exactly the burst */
    double tat = tat_of(g, 0, 0);
    g->policy.limits[0].pace.increment = 0;
    assert_int_equal(gate_claim(g), 'G');
    assert_true(tat_of(g, 0, 0) == tat);
    redis_server_do(&g->redis, "FLUSHALL");
    g->policy.limits[0].pace.increment = 6e8 + 1;
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] == 1);
}

/* R15: a TAT from a clock that has stepped back is a full bucket, and that is written: the wait is bounded.
 */
static void clock_step_back_is_bounded(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 100, 1, 1); /* 10 ms each, capacity 1 s */
    double ahead = ticks(gate_now_us(g)) + 3600e7;
    plant_tats(g, 0, &ahead, 1);
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] == 10000);
    assert_true(tat_of(g, 0, 0) == ticks(g->outcome.now_us) + 1e7);
    usleep(20000);
    assert_int_equal(gate_claim(g), 'G');
}

#define NAME "\1\0\0\x80" /* of the fixture's first limit of a subject */

/* Broken values count as a full bucket: nobody gets more, nobody waits for more than it takes to refill. */
static void broken_values(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 100, 1, 1);
    static const struct {
        const char *bytes;
        size_t len;
    } values[] = {
        {"",                          0 },
        {"12345678",                  8 },
        {"1234567890123",             13},
        {NAME "\0\0\0\0\0\0\xf8\x7f", 12}, /* NaN */
        {NAME "\0\0\0\0\0\0\xf0\x7f", 12}, /* infinity */
        {NAME "\0\0\0\0\0\0\xf0\xff", 12}, /* minus infinity */
        {NAME "\0\0\0\0\0\0\xf0\xbf", 12}, /* -1 */
        {NAME "\0\0\0\0\0\0\xe0\x3f", 12}, /* 0.5 */
        {NAME "abcdefgh",             12},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        redis_server_do(&g->redis, "SET %s %b PX 600000", gate_limit_key(g, 0), values[i].bytes,
                        values[i].len);
        assert_int_equal(gate_claim(g), 'L');
        assert_true(g->outcome.wait_us[0] == 10000);
        assert_true(g->outcome.level[0] == 1e7);
        usleep(11000);
        assert_int_equal(gate_claim(g), 'G');
    }
    redis_server_do(&g->redis, "DEL %s", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "LPUSH %s a", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "EXPIRE %s 100", gate_limit_key(g, 0));
    assert_int_equal(gate_claim(g), 'L');
    usleep(11000);
    assert_int_equal(gate_claim(g), 'G');
}

/* R12: a policy that gained a limit: the old ones keep what they have used, the new one begins unused. */
static void shorter_group(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    assert_int_equal(gate_claim(g), 'G');
    gate_limit(g, 10, 60, 1);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(remaining(g, 0), 4);
    assert_int_equal(remaining(g, 1), 9);
}

/* The limits of a policy at one time: which of three, in which order. */
static void have(struct gate *g, const struct plan_limit all[3], const char *which)
{
    for (g->plan.nlimits = 0; which[g->plan.nlimits]; g->plan.nlimits++)
        g->plan.limits[g->plan.nlimits] = all[which[g->plan.nlimits] - 'a'];
}

static void expect_left(struct gate *g, unsigned a, unsigned b)
{
    assert_int_equal(remaining(g, 0), a);
    assert_int_equal(remaining(g, 1), b);
}

/* R12: what is used follows the limit's name, wherever the limit stands; what an agent does not have is kept for who has. */
static void consumption_follows_the_name(void **state)
{
    struct gate *g = *state;
    struct plan_limit all[3];
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    gate_limit(g, 10, 3600, 1);
    gate_limit(g, 3, 86400, 1);
    memcpy(all, g->plan.limits, sizeof all);
    have(g, all, "a");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gate_claim(g), 'G'); /* a 3 */
    have(g, all, "ba");
    assert_int_equal(gate_claim(g), 'G'); /* a 4, b 1 */
    expect_left(g, 9, 2);
    have(g, all, "ab");
    assert_int_equal(gate_claim(g), 'G'); /* a 5, b 2 */
    expect_left(g, 1, 8);
    have(g, all, "cb");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gate_claim(g), 'G'); /* b 5, c 3 */
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] > 0 && g->outcome.wait_us[1] == 0);
    expect_left(g, 0, 5);
    assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_limit_key(g, 0)), 86400000, 86460000);
    have(g, all, "ba");
    assert_int_equal(gate_claim(g), 'G'); /* a 6, b 6 */
    expect_left(g, 4, 0);
    /* c is of another agent now, and its day is longer than theirs. */
    assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_limit_key(g, 0)), 86400000 - 5000, 86460001);
    assert_int_equal(gate_claim(g), 'L');
    have(g, all, "c");
    assert_int_equal(gate_claim(g), 'L');
}

/* One bucket alone takes a shorter way: another's cell is not its own, a shadow and what is only counted go the longer one. */
static void one_alone(void **state)
{
    struct gate *g = *state;
    struct plan_limit all[3];
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    gate_limit(g, 2, 60, 1);
    memcpy(all, g->plan.limits, sizeof all);
    have(g, all, "a");
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(gate_claim(g), 'G');
    have(g, all, "b");
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(remaining(g, 0), 1);
    have(g, all, "ab");
    assert_int_equal(gate_claim(g), 'G'); /* a 3, b 2 */
    expect_left(g, 3, 0);
    redis_server_do(&g->redis, "FLUSHALL");
    have(g, all, "a");
    g->plan.count_only = true;
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(remaining(g, 0), 6);
    assert_true(tat_of(g, 0, 0) < 0);
    g->plan.count_only = false;
    g->policy.limits[0].shadow = true;
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(remaining(g, 0), 5);
}

/* What others have left in a group is bounded: so many cells, none that is over, none of a time that no limit has. */
static void others_are_bounded(void **state)
{
    struct gate *g = *state;
    only_limits(g);
    gate_limit(g, 6, 60, 1);
    double now = ticks(gate_now_us(g));
    const double tats[] = {now + 1e7, 0,         now - 1,   now + 4e13, 1e300,     0.0 / 0.0,
                           now + 9e8, now + 8e8, now + 8e8, now + 8e8,  now + 8e8, now + 8e8,
                           now + 8e8, now + 8e8, now + 9e9, now + 9e9};
    buf_reset(&g->out);
    for (unsigned i = 0; i < sizeof tats / sizeof *tats; i++) {
        buf_le(&g->out, g->policy.limits[0].hash + i, 4);
        buf_f64(&g->out, tats[i]);
    }
    redis_server_do(&g->redis, "SET %s %b PX 600000", gate_limit_key(g, 0), g->out.data, g->out.len);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_limit_key(g, 0)), 9 * CELL);
    assert_true(tat_of(g, 0, 0) == now + 1e7 + 1e8);
    assert_true(tat_of(g, 0, 1) == now + 9e8 && tat_of(g, 0, 2) == now + 8e8);
    assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_limit_key(g, 0)), 90000 + 55000,
                    90000 + 60001);
}

/* R10: what the agent says of a cost that never passes (domain/plan clips it), at the borders of paces. */
static void never_passes(void **state)
{
    static const struct {
        unsigned n, seconds;
    } paces[] = {
        {1,       2592000},
        {10,      86400  },
        {10,      60     },
        {1000000, 1      },
        {1000000, 2592000},
        {3,       7      },
        {1,       1      }
    };
    struct gate *g = *state;
    only_limits(g);
    for (size_t i = 0; i < sizeof paces / sizeof *paces; i++) {
        for (unsigned used = 0; used < 2; used++) {
            g->policy.nlimits = g->plan.nlimits = 0;
            redis_server_do(&g->redis, "FLUSHALL");
            gate_limit(g, paces[i].n, paces[i].seconds, 1);
            g->plan.limits[0].cost = paces[i].n;
            for (unsigned k = 0; k < used; k++)
                assert_int_equal(gate_claim(g), 'G');
            g->plan.limits[0].cost = paces[i].n + 1;
            assert_true(plan_never_passes(&g->plan.limits[0]));
            assert_int_equal(gate_claim(g), 'L');
            g->policy.limits[0].shadow = true;
            assert_int_equal(gate_claim(g), 'G');
            assert_true(g->outcome.wait_us[0] > 0);
        }
    }
}

/* R9, within one Redis: exactly the budget passes, whoever asks. */
static void exactly_the_budget(void **state)
{
    struct gate *g = *state;
    unsigned granted = 0;
    only_limits(g);
    gate_limit(g, 100, 3600, 1);
    for (unsigned i = 0; i < 400; i++)
        granted += gate_claim(g) == 'G';
    assert_int_equal(granted, 100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, gate_begin, gate_end)
    const struct CMUnitTest tests[] = {
        T(six_per_minute),
        T(wait_is_exact),
        T(agrees_with_the_formula),
        T(all_or_nothing),
        T(first_limit_refuses),
        T(idle_time_is_no_credit),
        T(refusals_of_the_record_charge_nothing),
        T(limited_takes_no_lapsed_lock),
        T(costs),
        T(clock_step_back_is_bounded),
        T(broken_values),
        T(shorter_group),
        T(consumption_follows_the_name),
        T(one_alone),
        T(others_are_bounded),
        T(never_passes),
        T(exactly_the_budget),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
