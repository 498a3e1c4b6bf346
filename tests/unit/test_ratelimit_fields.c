// SPDX-License-Identifier: MIT
/* domain/ratelimit_fields: what remains after each request, the tightest limit, waits to the microsecond. */
#include "tests/unit/heart.h"
#include "domain/ratelimit_fields.h"

#include <math.h>

static void assert_fields(const struct plan *p, const struct outcome *o, const char *limit,
                          const char *policy)
{
    char memory[RATELIMIT_FIELD];
    struct text t;
    struct outcome bucket = *o; /* full again when its level has drained */
    memcpy(bucket.back, o->level, sizeof bucket.back);
    text_init(&t, memory, sizeof memory);
    ratelimit_write(&t, p, &bucket);
    assert_string_equal(memory, limit);
    text_cut(&t, 0);
    ratelimit_policy_write(&t, p);
    assert_string_equal(memory, policy);
    assert_false(t.full);
}

/* R1: six a minute, remaining 5 to 0, the seventh is refused and has none. */
static void test_six_a_minute(void **state)
{
    static const char *const fields[] = {"\"q\";r=5;t=10", "\"q\";r=4;t=20", "\"q\";r=3;t=30",
                                         "\"q\";r=2;t=40", "\"q\";r=1;t=50", "\"q\";r=0;t=60"};
    struct limit l = limit_of("q", 6, 60, "ip", NULL);
    struct plan p = {.nlimits = 1, .limits = {{.limit = &l, .pace = &l.pace, .cost = 1}}};
    for (unsigned i = 0; i < 6; i++) {
        struct outcome o = {.level = {(i + 1) * 100000000.0}};
        assert_fields(&p, &o, fields[i], "\"q\";q=6;w=60");
    }
    struct outcome o = {.level = {600000000.0}, .wait_us = {10000000.0}};
    assert_fields(&p, &o, "\"q\";r=0;t=60", "\"q\";q=6;w=60");
    (void)state;
}

static void test_remaining(void **state)
{
    struct limit l = limit_of("q", 6, 60, "ip", NULL); /* increment 1e8 ticks, capacity 6e8 */
    static const struct {
        double level;
        uint64_t left;
    } cases[] = {
        {0,         6},
        {1,         5},
        {99999999,  5},
        {100000000, 5},
        {100000001, 4},
        {500000000, 1},
        {500000001, 0},
        {600000000, 0},
        {900000000, 0}, /* a reload made the bucket smaller */
        {NAN,       0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ratelimit_remaining(&l.pace, cases[i].level), cases[i].left);
    struct limit seven = limit_of("seven", 7, 60, "ip", NULL); /* an increment that was rounded up */
    assert_int_equal(ratelimit_remaining(&seven.pace, 0), 7);
    assert_int_equal(ratelimit_remaining(&seven.pace, seven.pace.increment), 6);
    assert_int_equal(ratelimit_remaining(&seven.pace, seven.pace.capacity - seven.pace.increment), 1);
    (void)state;
}

/* Seconds are rounded up, whole ones stay. */
static void test_reset(void **state)
{
    struct limit l = limit_of("q", 6, 60, "ip", NULL);
    struct plan p = {.nlimits = 1, .limits = {{.limit = &l, .pace = &l.pace, .cost = 1}}};
    assert_fields(&p, &(struct outcome){.level = {0}}, "\"q\";r=6;t=0", "\"q\";q=6;w=60");
    assert_fields(&p, &(struct outcome){.level = {1}}, "\"q\";r=5;t=1", "\"q\";q=6;w=60");
    assert_fields(&p, &(struct outcome){.level = {10000000}}, "\"q\";r=5;t=1", "\"q\";q=6;w=60");
    assert_fields(&p, &(struct outcome){.level = {10000001}}, "\"q\";r=5;t=2", "\"q\";q=6;w=60");
    (void)state;
}

static void test_tightest(void **state)
{
    static const struct {
        double level[3], wait[3];
        const char *limit;
    } cases[] = {
        {{100000000, 0, 0},            {0, 0, 0},     "\"a\";r=5;t=10"},
        {{0, 12000000, 0},             {0, 0, 0},     "\"a\";r=6;t=0" },
        {{0, 576000000, 0},            {0, 0, 0},     "\"b\";r=4;t=58"},
        {{100000000, 570000000, 0},    {0, 0, 0},     "\"b\";r=5;t=57"}, /* the same left: the longer t */
        {{600000000, 600000000, 0},    {2e6, 3e6, 0}, "\"b\";r=0;t=60"},
        {{600000000, 600000000, 0},    {3e6, 2e6, 0}, "\"a\";r=0;t=60"},
        {{590000000, 300000000, 9000}, {0, 0, 1},     "\"c\";r=8;t=1" }, /* what waits comes first */
    };
    struct limit a = limit_of("a", 6, 60, "ip", NULL), b = limit_of("b", 100, 60, "user", NULL),
                 c = limit_of("c", 9, 1, "global", NULL);
    struct plan p = {
        .nlimits = 3,
        .limits = {{.limit = &a, .pace = &a.pace, .cost = 1},
                   {.limit = &b, .pace = &b.pace, .cost = 1},
                   {.limit = &c, .pace = &c.pace, .cost = 1}}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = {0};
        memcpy(o.level, cases[i].level, sizeof cases[i].level);
        memcpy(o.wait_us, cases[i].wait, sizeof cases[i].wait);
        assert_fields(&p, &o, cases[i].limit, "\"a\";q=6;w=60, \"b\";q=100;w=60, \"c\";q=9;w=1");
    }
    (void)state;
}

static void test_wait(void **state)
{
    static const struct {
        double a, b;
        uint64_t ms;
    } cases[] = {
        {0,        0,       0               },
        {1,        0,       1               },
        {999,      0,       1               },
        {1000,     0,       1               },
        {1001,     0,       2               },
        {0,        2500000, 2500            },
        {3000000,  2500000, 3000            },
        {INFINITY, 0,       1000000000000000},
        {NAN,      5000,    5               },
    };
    struct limit l = limit_of("a", 6, 60, "ip", NULL);
    struct plan p = {
        .nlimits = 2,
        .limits = {{.limit = &l, .pace = &l.pace, .cost = 1}, {.limit = &l, .pace = &l.pace, .cost = 1}}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = {
            .wait_us = {cases[i].a, cases[i].b}
        };
        assert_int_equal(ratelimit_wait_ms(&p, &o), cases[i].ms);
    }
    (void)state;
}

/* As many limits, as long names and as large numbers as a configuration may have. */
static void test_longest(void **state)
{
    struct limit l = {
        .pace = {.quota = UINT32_MAX, .window_s = UINT32_MAX, .increment = 1, .capacity = 4e9}
    };
    struct plan p = {.nlimits = CONFIG_LIMITS_MAX};
    char memory[RATELIMIT_FIELD];
    struct text t;
    memset(l.name, 'n', CONFIG_NAME_MAX);
    for (unsigned i = 0; i < CONFIG_LIMITS_MAX; i++)
        p.limits[i] = (struct plan_limit){.limit = &l, .pace = &l.pace, .cost = 1};
    text_init(&t, memory, sizeof memory);
    ratelimit_policy_write(&t, &p);
    assert_false(t.full);
    assert_int_equal(t.len, 8 * (65 + 13 + 13) + 7 * 2);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_six_a_minute), cmocka_unit_test(test_remaining), cmocka_unit_test(test_reset),
        cmocka_unit_test(test_tightest),     cmocka_unit_test(test_wait),      cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
