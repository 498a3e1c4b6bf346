// SPDX-License-Identifier: MIT
/* The breaker, second by second: how many failures open it, one probe in each pause, what closes it. */
#include "domain/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct breaker b;

static int begin(void **state)
{
    (void)state;
    breaker_set(&b, 3, 2.0, false);
    return 0;
}

static void open_it(double now)
{
    for (unsigned i = 0; i < b.failures; i++)
        breaker_bad(&b, now);
}

/* One fewer, exactly, one more. */
static void opens_after_failures(void **state)
{
    (void)state;
    assert_false(breaker_bad(&b, 1));
    assert_false(breaker_bad(&b, 1));
    assert_true(breaker_admits(&b, 1));
    assert_true(breaker_bad(&b, 1));
    assert_false(breaker_admits(&b, 1));
    assert_false(breaker_bad(&b, 1)); /* is open already */
    assert_false(breaker_admits(&b, 1));
}

static void success_begins_anew(void **state)
{
    (void)state;
    breaker_bad(&b, 1);
    breaker_bad(&b, 1);
    assert_false(breaker_good(&b));
    breaker_bad(&b, 1);
    breaker_bad(&b, 1);
    assert_true(breaker_admits(&b, 1));
    assert_true(breaker_bad(&b, 1));
}

static void one_probe_in_each_pause(void **state)
{
    (void)state;
    open_it(10);
    assert_false(breaker_admits(&b, 11.9));
    assert_true(breaker_admits(&b, 12));
    assert_false(breaker_admits(&b, 12));
    assert_false(breaker_admits(&b, 13.9));
    assert_false(breaker_bad(&b, 14)); /* the probe failed: nothing new */
    assert_true(breaker_admits(&b, 14));
}

static void probe_closes_it(void **state)
{
    (void)state;
    open_it(10);
    assert_true(breaker_admits(&b, 12));
    assert_true(breaker_good(&b));
    assert_true(breaker_admits(&b, 12));
    assert_true(breaker_admits(&b, 12));
    assert_false(breaker_good(&b));
    assert_false(breaker_bad(&b, 13)); /* counted anew */
    assert_false(breaker_bad(&b, 13));
    assert_true(breaker_bad(&b, 13));
}

static void bounds(void **state)
{
    (void)state;
    breaker_set(&b, 0, 1.0, false); /* as 1 */
    assert_true(breaker_bad(&b, 1));
    breaker_set(&b, 5, 9.0, true); /* new bounds, the same state */
    assert_true(b.open);
    assert_false(breaker_admits(&b, 9.9));
    assert_true(breaker_admits(&b, 10));
    breaker_set(&b, 5, 9.0, false);
    assert_true(breaker_admits(&b, 10));
}

#define CASE(test) cmocka_unit_test_setup(test, begin)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(opens_after_failures),
        CASE(success_begins_anew),
        CASE(one_probe_in_each_pause),
        CASE(probe_closes_it),
        CASE(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
