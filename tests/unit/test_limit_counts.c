// SPDX-License-Identifier: MIT
/* Counters by limit: names become rows, a reload keeps them, and there is a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/limit_counts.h"

static struct limit_counts lc;
static struct policy policies[CONFIG_POLICIES_MAX];

/* npolicies with nlimits each; names begin with these. */
static struct config config_of(unsigned npolicies, unsigned nlimits, const char *policy, const char *limit)
{
    struct config c = {.npolicies = npolicies, .policies = policies};
    memset(policies, 0, sizeof policies);
    for (unsigned i = 0; i < npolicies; i++) {
        snprintf(policies[i].name, sizeof policies[i].name, "%s%u", policy, i);
        policies[i].nlimits = nlimits;
        for (unsigned k = 0; k < nlimits; k++)
            snprintf(policies[i].limits[k].name, sizeof policies[i].limits[k].name, "%s%u", limit, k);
    }
    limit_counts_attach(&lc, &c);
    return c;
}

static int setup(void **state)
{
    (void)state;
    memset(&lc, 0, sizeof lc);
    return 0;
}

static void assert_written(const char *want, bool there)
{
    struct buf out = {0};
    limit_counts_write(&lc, &out);
    buf_u8(&out, 0);
    const char *found = strstr((const char *)out.data, want);
    if ((found != NULL) != there)
        fail_msg("%s in\n%s", want, (const char *)out.data);
    buf_free(&out);
}

static void test_rows(void **state)
{
    (void)state;
    assert_written("spoa_once", false);
    config_of(1, 2, "p", "l");
    limit_counts_add(&lc, &policies[0].limits[1], LIMIT_REFUSED);
    limit_counts_add(&lc, &policies[0].limits[1], LIMIT_REFUSED);
    limit_counts_add(&lc, &policies[0].limits[0], LIMIT_ALLOWED);
#define ROW "spoa_once_limit_decisions_total{policy=\"p0\",limit="
    assert_written("# TYPE spoa_once_limit_decisions_total counter\n" ROW
                   "\"l0\",outcome=\"allowed\"} 1\n" ROW "\"l0\",outcome=\"refused\"} 0\n" ROW
                   "\"l0\",outcome=\"shadow_refused\"} 0\n" ROW "\"l0\",outcome=\"uncounted\"} 0\n" ROW
                   "\"l1\",outcome=\"allowed\"} 0\n" ROW "\"l1\",outcome=\"refused\"} 2\n",
                   true);
}

/* What is counted stays, whoever holds the old configuration still; other names get other rows. */
static void test_reload(void **state)
{
    (void)state;
    config_of(2, 1, "p", "l");
    limit_counts_add(&lc, &policies[1].limits[0], LIMIT_ALLOWED);
    config_of(2, 2, "p", "l");
    limit_counts_add(&lc, &policies[1].limits[0], LIMIT_ALLOWED);
    assert_written("{policy=\"p1\",limit=\"l0\",outcome=\"allowed\"} 2\n", true);
    config_of(1, 1, "q", "l");
    assert_written("{policy=\"q0\",limit=\"l0\",outcome=\"allowed\"} 0\n", true);
    assert_written("{policy=\"p1\",limit=\"l0\",outcome=\"allowed\"} 2\n", true);
    assert_int_equal(lc.n, 5);
}

static void test_bound(void **state)
{
    (void)state;
    config_of(CONFIG_POLICIES_MAX, CONFIG_LIMITS_MAX, "p", "a");
    assert_int_equal(lc.n, CONFIG_POLICIES_MAX * CONFIG_LIMITS_MAX);
    assert_written("limit=\"\"", false);
    config_of(CONFIG_POLICIES_MAX, CONFIG_LIMITS_MAX, "p", "b");
    assert_int_equal(lc.n, LIMIT_COUNTS_MAX);
    config_of(1, 1, "p", "c");
    limit_counts_add(&lc, &policies[0].limits[0], LIMIT_UNCOUNTED);
    assert_int_equal(lc.n, LIMIT_COUNTS_MAX);
    assert_written("{policy=\"\",limit=\"\",outcome=\"uncounted\"} 1\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows, setup),
        cmocka_unit_test_setup(test_reload, setup),
        cmocka_unit_test_setup(test_bound, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
