// SPDX-License-Identifier: MIT
/* domain/usage: windows and buckets told apart, and read at their edges. (What the scripts write: tests/lua/test_operator.c.) */
#include "tests/unit/heart.h"
#include "domain/le.h"
#include "domain/usage.h"

enum { SECOND = 10000000, SLACK_MS = 60000 };
static const uint64_t EPOCH_US = 1672531200000000,
                      NOW_US = 1672531200000000 + 1000000000; /* 1000 s after it */
static const double NOW = 1000.0 * SECOND;

static uint8_t value[USAGE_BYTES + 12];
static size_t len;

static void put(double ticks)
{
    uint64_t bits;
    memcpy(&bits, &ticks, sizeof bits);
    le_put(value + len, bits, 8);
    len += 8;
}

static void put_part(double ticks, uint32_t count)
{
    put(ticks);
    le_put(value + len, count, 4);
    len += 4;
}

static void put_cell(double tat)
{
    le_put(value + len, 0xc0ffee00 + len, 4);
    len += 4;
    put(tat);
}

static int setup(void **state)
{
    (void)state;
    len = 0;
    return 0;
}

static size_t cells(unsigned *loans)
{
    return usage_cells((struct spop_slice){(const char *)value, len}, loans);
}

/* Loans stand behind the cells; a count that is larger than the value is none. */
static void cells_and_loans(void **state)
{
    unsigned loans;
    (void)state;
    assert_int_equal(cells(&loans), 0);
    put_cell(NOW);
    put_cell(NOW);
    assert_int_equal(cells(&loans), 2 * USAGE_CELL);
    assert_int_equal(loans, 0);
    len += 2 * USAGE_LOAN;
    for (unsigned n = 0; n <= 3; n++) {
        value[len++] = (uint8_t)n;
        assert_int_equal(cells(&loans), n == 3 || n == 0 ? len : len - 1 - n * (size_t)USAGE_LOAN);
        assert_int_equal(loans, n == 3 ? 0 : n);
        len--;
    }
}

/* Of a window whose newest request was so many seconds ago. */
static bool window(unsigned width_s, unsigned ago_s, struct usage_window *w)
{
    return usage_window((struct spop_slice){(const char *)value, len}, NOW_US,
                        (width_s - ago_s) * 1000 + SLACK_MS, w);
}

static void who_still_counts(void **state)
{
    struct usage_window w;
    (void)state;
    put_part(NOW - 20.0 * SECOND, 10);
    put_part(NOW - 60.0 * SECOND, 1); /* has just left */
    put_part(NOW - 60.0 * SECOND + 1, 2);
    put_part(NOW - 5.0 * SECOND, 7);
    assert_true(window(60, 5, &w));
    assert_int_equal(w.width_s, 60);
    assert_int_equal(w.requests, 9);
}

static void largest(void **state)
{
    struct usage_window w;
    (void)state;
    put_part(NOW - SECOND, 61);
    for (unsigned i = 0; i < 61; i++)
        put_part(NOW - SECOND * (61.0 - i), 1);
    assert_true(window(3600, 1, &w));
    assert_int_equal(w.requests, 61);
    put_part(NOW, 0);
    assert_false(window(3600, 0, &w)); /* one entry more than there can be */
}

static void no_windows(void **state)
{
    static const struct {
        double first, last, newest;
        uint32_t used;
    } values[] = {
        {1,   2,    3,         3}, /* the counts are 1 and 1 */
        {4,   2,    3,         2}, /* begun after its newest request */
        {1,   3,    2,         2}, /* not in order */
        {1.5, 2,    3,         2},
        {1,   -2.0, 3,         2},
        {1,   2,    1e300,     2},
        {1,   2,    0.0 / 0.0, 2},
    };
    struct usage_window w;
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        len = 0;
        put_part(values[i].first, values[i].used);
        put_part(values[i].last, 1);
        put_part(values[i].newest, 1);
        assert_false(window(60, 1, &w));
    }
    len = 0;
    put_part(1, 2);
    put_part(2, 1);
    put_part(3, 1);
    assert_true(window(60, 1, &w));
    for (size_t whole = len; len-- > 0;)
        assert_int_equal(window(60, 1, &w), len == whole);
    /* Buckets of one subject, also as many as have a window's length. */
    for (unsigned n = 1; n <= 9; n++) {
        len = 0;
        for (unsigned i = 0; i < n; i++)
            put_cell(NOW + SECOND * 36.0 * (i + 1));
        assert_false(window(60, 1, &w));
    }
}

/* A clock that stepped leaves a TTL that is no width: at least a second, and nothing overflows. */
static void odd_ttls(void **state)
{
    static const uint64_t ttls[] = {0, 1, SLACK_MS - 1, SLACK_MS, UINT32_MAX, UINT64_MAX};
    struct usage_window w;
    (void)state;
    put_part(NOW, 1);
    put_part(NOW, 1);
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++)
        for (uint64_t now = 0; now <= 2 * NOW_US; now += NOW_US) {
            assert_true(usage_window((struct spop_slice){(const char *)value, len}, now, ttls[i], &w));
            assert_true(w.width_s >= 1 && w.requests <= 1);
        }
}

static void buckets(void **state)
{
    double s;
    (void)state;
    put_cell(NOW + 90.0 * SECOND);
    put_cell(NOW - SECOND);
    put_cell(NOW + 0.5);
    put_cell(-1);
    put_cell(9007199254740992.0);
    assert_true(usage_bucket((const char *)value, NOW_US, &s));
    assert_true(s > 89.999 && s < 90.001);
    assert_true(usage_bucket((const char *)value + USAGE_CELL, NOW_US, &s));
    assert_true(s <= 0);
    for (unsigned i = 2; i < 5; i++)
        assert_false(usage_bucket((const char *)value + i * USAGE_CELL, NOW_US, &s));
    assert_true(usage_bucket((const char *)value, EPOCH_US - 5, &s));
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {T(who_still_counts), T(largest), T(no_windows),
                                       T(odd_ttls),         T(buckets), T(cells_and_loans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
