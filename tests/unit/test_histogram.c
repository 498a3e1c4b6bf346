// SPDX-License-Identifier: MIT
/* support/histogram: small values exactly, all others to 1 %, ranks from 1, the largest value never exceeded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/support/histogram.h"

static struct histogram h;

static void test_nothing_says_zero(void **state)
{
    (void)state;
    histogram_clear(&h);
    assert_int_equal(histogram_at(&h, 0.5), 0);
    assert_true(histogram_mean(&h) == 0);
}

static void test_ranks(void **state)
{
    (void)state;
    histogram_clear(&h);
    for (uint64_t v = 1; v <= 100; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_at(&h, 0), 1);
    assert_int_equal(histogram_at(&h, 0.5), 50);
    assert_int_equal(histogram_at(&h, 0.501), 51);
    assert_int_equal(histogram_at(&h, 0.99), 99);
    assert_int_equal(histogram_at(&h, 1), 100);
    assert_true(histogram_mean(&h) == 50.5);
}

/* Every value alone, with a larger one beside it: what is said of it is at most 1 % too much, never too little. */
static void test_error_is_bounded(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < (uint64_t)1 << 39; v = v + v / 3 + 1) {
        histogram_clear(&h);
        histogram_add(&h, v);
        histogram_add(&h, ((uint64_t)1 << 40) - 1);
        uint64_t said = histogram_at(&h, 0.5);
        assert_true(said >= v);
        assert_true(said - v <= v / 100);
    }
}

static void test_octaves_meet(void **state)
{
    (void)state;
    static const uint64_t ends[] = {127, 128, 129, 255, 256, 258, 511, 512, 65535, 65536};
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        histogram_clear(&h);
        histogram_add(&h, ends[i]);
        histogram_add(&h, (uint64_t)1 << 30);
        assert_true(histogram_at(&h, 0.5) > before);
        before = histogram_at(&h, 0.5);
    }
}

static void test_too_large_counts_as_itself_at_the_end(void **state)
{
    (void)state;
    histogram_clear(&h);
    histogram_add(&h, 5);
    histogram_add(&h, (uint64_t)1 << 50);
    assert_int_equal(histogram_at(&h, 0.5), 5);
    assert_int_equal(histogram_at(&h, 1), (uint64_t)1 << 50);
    assert_int_equal(h.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_says_zero),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_error_is_bounded),
        cmocka_unit_test(test_octaves_meet),
        cmocka_unit_test(test_too_large_counts_as_itself_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
