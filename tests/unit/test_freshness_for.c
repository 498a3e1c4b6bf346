// SPDX-License-Identifier: MIT
/* domain/freshness: what a request may be given (RFC 9111, 5.2.1; RFC 5861). */
#include "tests/unit/headers_bin.h"
#include "domain/freshness.h"

enum { SECOND = 1000000 };

/* Fresh for 10 s, then 5 s stale while another one fetches, 20 s on errors. */
static const struct freshness plain = {.lifetime_s = 10,
                                       .stale_while_revalidate_s = 5,
                                       .stale_if_error_s = 20,
                                       .received_us = 1000 * (uint64_t)SECOND};
static const struct freshness strict = {
    .lifetime_s = 10, .received_us = 1000 * (uint64_t)SECOND, .never_stale = true};

static struct cachecontrol request(const char *lines)
{
    struct cachecontrol cc;
    struct spop_slice h = headers_new(lines);
    assert_int_equal(cachecontrol_read(h, &cc), 0);
    headers_free(h);
    return cc;
}

static void assert_for(const struct freshness *f, const char *lines, int64_t age_us,
                       enum freshness_verdict want)
{
    struct cachecontrol cc = request(lines);
    enum freshness_verdict is = freshness_for(f, &cc, 1000 * (uint64_t)SECOND + (uint64_t)age_us);
    if (is != want)
        fail_msg("%s at %lld us: %d, not %d", lines, (long long)age_us, is, want);
}

static void assert_error(const struct freshness *f, const char *lines, int64_t age_us, bool want)
{
    struct cachecontrol cc = request(lines);
    if (freshness_on_error(f, &cc, 1000 * (uint64_t)SECOND + (uint64_t)age_us) != want)
        fail_msg("%s at %lld us: not %d", lines, (long long)age_us, want);
}

static void test_9111_4_2_fresh_while_lifetime_is_more_than_age(void **state)
{
    (void)state;
    assert_for(&plain, "x: y\n", 0, FRESHNESS_FRESH);
    assert_for(&plain, "x: y\n", 10 * SECOND - 1, FRESHNESS_FRESH);
    assert_for(&plain, "x: y\n", 10 * SECOND, FRESHNESS_REVALIDATE);
    assert_for(&strict, "x: y\n", 10 * SECOND - 1, FRESHNESS_FRESH);
    assert_for(&strict, "x: y\n", 10 * SECOND, FRESHNESS_FETCH);
    assert_for(NULL, "x: y\n", 0, FRESHNESS_FETCH);
}

static void test_9111_5_2_1_1_max_age(void **state)
{
    (void)state;
    assert_for(&plain, "Cache-Control: max-age=3\n", 3 * SECOND - 1, FRESHNESS_FRESH);
    assert_for(&plain, "Cache-Control: max-age=3\n", 3 * SECOND, FRESHNESS_FRESH);
    assert_for(&plain, "Cache-Control: max-age=3\n", 3 * SECOND + 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: max-age=0\n", 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: max-age=x\n", 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: max-age=60\n", 10 * SECOND, FRESHNESS_FETCH); /* wants no stale one */
    assert_for(&plain, "Cache-Control: max-age=60, max-stale=1\n", 10 * SECOND, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: max-age=10, max-stale=3\n", 10 * SECOND + 1, FRESHNESS_FETCH);
}

static void test_9111_5_2_1_2_max_stale(void **state)
{
    (void)state;
    assert_for(&plain, "Cache-Control: max-stale=3\n", 13 * SECOND - 1, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: max-stale=3\n", 13 * SECOND, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: max-stale=3\n", 13 * SECOND + 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: max-stale=60\n", 20 * SECOND, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: max-stale\n", 1000 * (int64_t)SECOND, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: max-stale=x\n", 11 * SECOND, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: max-stale=3\n", 9 * SECOND, FRESHNESS_FRESH);
}

static void test_9111_4_2_4_max_stale_does_not_move_must_revalidate(void **state)
{
    (void)state;
    assert_for(&strict, "Cache-Control: max-stale\n", 10 * SECOND, FRESHNESS_FETCH);
    assert_for(&strict, "Cache-Control: max-stale, only-if-cached\n", 10 * SECOND, FRESHNESS_504);
}

static void test_9111_5_2_1_3_min_fresh(void **state)
{
    (void)state;
    assert_for(&plain, "Cache-Control: min-fresh=3\n", 7 * SECOND - 1, FRESHNESS_FRESH);
    assert_for(&plain, "Cache-Control: min-fresh=3\n", 7 * SECOND, FRESHNESS_FRESH);
    assert_for(&plain, "Cache-Control: min-fresh=3\n", 7 * SECOND + 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: min-fresh=11\n", 0, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: min-fresh=x\n", 0, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: min-fresh=0\n", 11 * SECOND, FRESHNESS_FETCH);
}

static void test_9111_5_2_1_4_no_cache(void **state)
{
    (void)state;
    assert_for(&plain, "Cache-Control: no-cache\n", 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: no-cache, max-stale\n", 1, FRESHNESS_FETCH);
}

static void test_9111_5_4_pragma(void **state)
{
    (void)state;
    assert_for(&plain, "Pragma: no-cache\n", 1, FRESHNESS_FETCH);
    assert_for(&plain, "Pragma: no-cache\nCache-Control: max-age=60\n", 1, FRESHNESS_FRESH);
}

static void test_9111_5_2_1_5_no_store(void **state)
{
    (void)state;
    struct cachecontrol cc = request("Cache-Control: no-store\n"),
                        other = request("Cache-Control: no-cache\n");
    assert_for(&plain, "Cache-Control: no-store\n", 1, FRESHNESS_FETCH);
    assert_false(freshness_may_fill(&cc));
    assert_true(freshness_may_fill(&other));
}

static void test_9111_5_2_1_7_only_if_cached(void **state)
{
    (void)state;
    assert_for(&plain, "Cache-Control: only-if-cached\n", 1, FRESHNESS_FRESH);
    assert_for(NULL, "Cache-Control: only-if-cached\n", 1, FRESHNESS_504);
    assert_for(&strict, "Cache-Control: only-if-cached\n", 10 * SECOND, FRESHNESS_504);
    assert_for(&plain, "Cache-Control: only-if-cached\n", 10 * SECOND, FRESHNESS_STALE);
    assert_for(&plain, "Cache-Control: only-if-cached\n", 15 * SECOND, FRESHNESS_504);
    assert_for(&plain, "Cache-Control: only-if-cached, max-age=0\n", 1, FRESHNESS_504);
    assert_for(&plain, "Cache-Control: only-if-cached, no-cache\n", 1, FRESHNESS_504);
}

static void test_5861_3_stale_while_revalidate(void **state)
{
    (void)state;
    assert_for(&plain, "x: y\n", 15 * SECOND - 1, FRESHNESS_REVALIDATE);
    assert_for(&plain, "x: y\n", 15 * SECOND, FRESHNESS_FETCH);
    assert_for(&plain, "x: y\n", 15 * SECOND + 1, FRESHNESS_FETCH);
    assert_for(&plain, "Cache-Control: no-cache\n", 11 * SECOND, FRESHNESS_FETCH);
}

static void test_5861_4_stale_if_error(void **state)
{
    (void)state;
    assert_error(&plain, "x: y\n", 9 * SECOND, true);
    assert_error(&plain, "x: y\n", 10 * SECOND, true);
    assert_error(&plain, "x: y\n", 30 * SECOND - 1, true);
    assert_error(&plain, "x: y\n", 30 * SECOND, false);
    assert_error(&strict, "x: y\n", 10 * SECOND - 1, true);
    assert_error(&strict, "x: y\n", 10 * SECOND, false);
}

static void test_5861_4_stale_if_error_of_a_request(void **state)
{
    (void)state;
    assert_error(&plain, "Cache-Control: stale-if-error=3\n", 13 * SECOND - 1, true);
    assert_error(&plain, "Cache-Control: stale-if-error=3\n", 13 * SECOND, false);
    assert_error(&plain, "Cache-Control: stale-if-error=90\n", 30 * SECOND, false);
    assert_error(&strict, "Cache-Control: stale-if-error=90\n", 11 * SECOND, false);
}

static void test_stale_if_error_against_what_a_request_wants(void **state)
{
    (void)state;
    assert_error(&plain, "Cache-Control: no-cache\n", 11 * SECOND, false);
    assert_error(&plain, "Pragma: no-cache\n", 11 * SECOND, false);
    assert_error(&plain, "Cache-Control: no-store\n", 9 * SECOND, false);
    assert_error(&plain, "Cache-Control: max-age=60\n", 11 * SECOND, false);
    assert_error(&plain, "Cache-Control: max-age=5\n", 6 * SECOND, false);
    assert_error(&plain, "Cache-Control: max-stale=1\n", 11 * SECOND, true);
    assert_error(&plain, "Cache-Control: max-stale=1\n", 11 * SECOND + 1, false);
    assert_error(&plain, "Cache-Control: min-fresh=1\n", 11 * SECOND, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9111_4_2_fresh_while_lifetime_is_more_than_age),
        cmocka_unit_test(test_9111_5_2_1_1_max_age),
        cmocka_unit_test(test_9111_5_2_1_2_max_stale),
        cmocka_unit_test(test_9111_4_2_4_max_stale_does_not_move_must_revalidate),
        cmocka_unit_test(test_9111_5_2_1_3_min_fresh),
        cmocka_unit_test(test_9111_5_2_1_4_no_cache),
        cmocka_unit_test(test_9111_5_4_pragma),
        cmocka_unit_test(test_9111_5_2_1_5_no_store),
        cmocka_unit_test(test_9111_5_2_1_7_only_if_cached),
        cmocka_unit_test(test_5861_3_stale_while_revalidate),
        cmocka_unit_test(test_5861_4_stale_if_error),
        cmocka_unit_test(test_5861_4_stale_if_error_of_a_request),
        cmocka_unit_test(test_stale_if_error_against_what_a_request_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
