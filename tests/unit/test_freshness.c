// SPDX-License-Identifier: MIT
/* domain/freshness: storing and ages, each requirement by its section. What a request may be given: test_freshness_for.c. */
#include "tests/unit/headers_bin.h"
#include "domain/freshness.h"

#include <stdio.h>

/* The answer came 20 ms after it was asked for; its Date is that second. */
#define RECEIVED_S UINT64_C(1795219200)
static const uint64_t received_us = RECEIVED_S * 1000000 + 500000, delay_us = 20000;
#define DATE    "Date: Sat, 21 Nov 2026 00:00:00 GMT\n"
#define DATE_10 "Date: Fri, 20 Nov 2026 23:59:50 GMT\n"
#define IN_60   "Expires: Sat, 21 Nov 2026 00:01:00 GMT\n"
#define FUTURE  "Date: Sat, 21 Nov 2026 01:00:00 GMT\n"

static struct freshness_rules rules(void)
{
    struct freshness_rules r = {.ttl_s = 30};
    struct spop_slice bad;
    assert_int_equal(status_set_parse("200, 203, 204, 302, 404, 500", &r.store, &bad), 0);
    assert_int_equal(vary_add(&r.vary, S("Accept")), VARY_READ);
    assert_int_equal(vary_add(&r.vary, S("accept-encoding")), VARY_READ);
    return r;
}

struct asked {
    unsigned status; /* 0: 200 */
    bool authorization;
    const char *method; /* NULL: GET */
};

static enum store_reason store_by(const struct freshness_rules *r, struct asked q, const char *lines,
                                  struct freshness *f)
{
    struct vary_names vary;
    struct spop_slice h = headers_new(lines);
    struct freshness_answer a = {slice_of(q.method ? q.method : "GET"),
                                 q.authorization,
                                 q.status ? q.status : 200,
                                 h,
                                 received_us - delay_us,
                                 received_us};
    enum store_reason why = freshness_store(r, &a, f, &vary);
    headers_free(h);
    return why;
}

static void assert_why(struct asked q, const char *lines, enum store_reason want)
{
    struct freshness_rules r = rules();
    struct freshness f;
    enum store_reason is = store_by(&r, q, lines, &f);
    if (is != want)
        fail_msg("%s: %s, not %s", lines, store_word(is), store_word(want));
}

static struct freshness stored(const char *lines)
{
    struct freshness_rules r = rules();
    struct freshness f;
    enum store_reason why = store_by(&r, (struct asked){0}, lines, &f);
    if (why != STORE_YES)
        fail_msg("%s: %s", lines, store_word(why));
    return f;
}

static void assert_lifetime(const char *lines, uint32_t seconds)
{
    assert_int_equal(stored(lines).lifetime_s, seconds);
}

static void test_9111_3_method(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE, STORE_YES);
    assert_why((struct asked){.method = "HEAD"}, DATE, STORE_METHOD);
    assert_why((struct asked){.method = "POST"}, DATE, STORE_METHOD);
    assert_why((struct asked){.method = "get"}, DATE, STORE_METHOD);
}

static void test_9111_3_status(void **state)
{
    (void)state;
    assert_why((struct asked){.status = 404}, DATE, STORE_YES);
    assert_why((struct asked){.status = 403}, DATE "Cache-Control: max-age=5\n", STORE_STATUS);
    assert_why((struct asked){.status = 410}, DATE, STORE_STATUS);
    assert_why((struct asked){.status = 500}, DATE "Cache-Control: max-age=5\n", STORE_YES);
    assert_why((struct asked){.status = 302}, DATE "Cache-Control: max-age=5\n", STORE_YES);
}

static void test_9111_3_3_partial(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct freshness f;
    memset(&r.store, 0xff, sizeof r.store);
    assert_int_equal(store_by(&r, (struct asked){.status = 206}, DATE, &f), STORE_PARTIAL);
    assert_int_equal(store_by(&r, (struct asked){0}, DATE "Content-Range: bytes 0-1/2\n", &f), STORE_PARTIAL);
    assert_int_equal(store_by(&r, (struct asked){.status = 304}, DATE "Cache-Control: max-age=5\n", &f),
                     STORE_STATUS);
    assert_int_equal(store_by(&r, (struct asked){.status = 199}, DATE "Cache-Control: max-age=5\n", &f),
                     STORE_STATUS);
}

static void test_set_cookie_is_never_stored(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Cache-Control: public, max-age=60\nset-cookie: a=1\n",
               STORE_SET_COOKIE);
    assert_why((struct asked){0}, DATE "Cache-Control: public, max-age=60\nSet-Cookie:\n", STORE_SET_COOKIE);
}

static void test_9111_5_2_2_5_no_store(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Cache-Control: no-store\n", STORE_NO_STORE);
    assert_why((struct asked){0}, DATE "Cache-Control: public, max-age=60\ncache-control: no-store\n",
               STORE_NO_STORE);
}

static void test_9111_5_2_2_7_private(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct freshness f;
    assert_why((struct asked){0}, DATE "Cache-Control: private, max-age=60\n", STORE_PRIVATE);
    assert_why((struct asked){0}, DATE "Cache-Control: private=\"x-foo\", s-maxage=60\n", STORE_PRIVATE);
    assert_why((struct asked){0}, DATE "Cache-Control: public, private\n", STORE_PRIVATE);
    r.per_principal = true;
    assert_int_equal(store_by(&r, (struct asked){0}, DATE "Cache-Control: private\n", &f), STORE_PRIVATE);
}

static void test_9111_5_2_2_4_no_cache(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Cache-Control: no-cache, max-age=60\n", STORE_NO_CACHE);
    assert_why((struct asked){0}, DATE "Cache-Control: no-cache=\"x\"\n", STORE_NO_CACHE);
}

static void test_9111_5_4_pragma_of_a_response_says_nothing(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Pragma: no-cache\n", STORE_YES);
}

static void test_9111_5_2_2_3_must_understand(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Cache-Control: must-understand, no-store, max-age=5\n", STORE_YES);
    assert_why((struct asked){.status = 302}, DATE "Cache-Control: must-understand, no-store, max-age=5\n",
               STORE_YES);
    assert_why((struct asked){.status = 500}, DATE "Cache-Control: must-understand, max-age=5\n",
               STORE_MUST_UNDERSTAND);
    assert_why((struct asked){0}, DATE "Cache-Control: must-understand, no-store, private\n", STORE_PRIVATE);
}

static void test_9111_3_5_authorization(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct freshness f;
    const struct asked with = {.authorization = true};
    assert_why(with, DATE, STORE_AUTHORIZATION);
    assert_why(with, DATE "Cache-Control: max-age=60\n", STORE_AUTHORIZATION);
    assert_why(with, DATE "Cache-Control: max-age=60, proxy-revalidate\n", STORE_AUTHORIZATION);
    assert_why(with, DATE "Cache-Control: public\n", STORE_YES);
    assert_why(with, DATE "Cache-Control: s-maxage=60\n", STORE_YES);
    assert_why(with, DATE "Cache-Control: max-age=60, must-revalidate\n", STORE_YES);
    assert_why(with, DATE "Cache-Control: public, private\n", STORE_PRIVATE);
    r.per_principal = true;
    assert_int_equal(store_by(&r, with, DATE, &f), STORE_YES);
}

static void test_9111_4_1_vary(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Vary: Accept\nvary: ACCEPT-encoding\n", STORE_YES);
    assert_why((struct asked){0}, DATE "Vary: accept, cookie\n", STORE_VARY);
    assert_why((struct asked){0}, DATE "Vary: a b\n", STORE_VARY);
    assert_why((struct asked){0}, DATE "Vary: *\n", STORE_VARY_ANY);
    assert_why((struct asked){0}, DATE "Vary: cookie, *\n", STORE_VARY_ANY);
}

static void test_vary_of_the_answer_is_given_out(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct spop_slice h = headers_new(DATE "Vary: Accept\n");
    struct freshness_answer a = {S("GET"), false, 200, h, received_us, received_us};
    struct freshness f;
    struct vary_names vary;
    assert_int_equal(freshness_store(&r, &a, &f, &vary), STORE_YES);
    assert_int_equal(vary.n, 1);
    assert_string_equal(vary.name[0], "accept");
    headers_free(h);
}

static void test_malformed_headers_are_not_stored(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct freshness_answer a = {S("GET"), false, 200, S("\3Age"), received_us, received_us};
    struct freshness f;
    struct vary_names vary;
    assert_int_equal(freshness_store(&r, &a, &f, &vary), STORE_MALFORMED);
}

static void test_9111_4_2_1_lifetime_in_order(void **state)
{
    (void)state;
    assert_lifetime(DATE "Cache-Control: max-age=10, s-maxage=20\n" IN_60, 20);
    assert_lifetime(DATE "Cache-Control: max-age=10\n" IN_60, 10);
    assert_lifetime(DATE IN_60, 60);
    assert_lifetime(DATE, 30);
    assert_lifetime(DATE "Cache-Control: public\n", 30);
    assert_lifetime("x: y\n", 30);
}

static void test_9111_4_2_1_expires_less_date(void **state)
{
    (void)state;
    assert_lifetime(DATE_10 IN_60, 70);
    assert_lifetime("Expires: Sat, 21 Nov 2026 00:01:00 GMT\n", 60);
    assert_lifetime("Date: rubbish\nExpires: Sat, 21 Nov 2026 00:01:00 GMT\n", 60);
    assert_lifetime(DATE "Expires: Sat, 21 Nov 2026 00:00:01 GMT\n", 1);
    assert_why((struct asked){0}, DATE "Expires: Sat, 21 Nov 2026 00:00:00 GMT\n", STORE_STALE);
    assert_why((struct asked){0}, DATE "Expires: Fri, 20 Nov 2026 23:59:59 GMT\n", STORE_STALE);
    assert_lifetime(DATE "Expires: Fri, 31 Dec 9999 23:59:59 GMT\n", 1u << 31);
}

static void test_9111_5_3_expires_that_is_no_date(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Expires: 0\n", STORE_STALE);
    assert_why((struct asked){0}, DATE "Expires: -1\n", STORE_STALE);
    assert_why((struct asked){0}, DATE "Expires:\n", STORE_STALE);
    assert_lifetime(DATE "Expires: 0\nCache-Control: max-age=5\n", 5);
    assert_lifetime(DATE IN_60 IN_60, 60);
    assert_why((struct asked){0}, DATE IN_60 "Expires: Sat, 21 Nov 2026 00:02:00 GMT\n", STORE_STALE);
    assert_why((struct asked){0}, DATE IN_60 IN_60 "Expires: Sat, 21 Nov 2026 00:02:00 GMT\n", STORE_STALE);
}

static void test_9111_4_2_1_rubbish_is_stale(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Cache-Control: max-age=x\n", STORE_STALE);
    assert_why((struct asked){0}, DATE "Cache-Control: s-maxage=x, max-age=60\n", STORE_STALE);
    assert_why((struct asked){0}, DATE "Cache-Control: max-age=0\n", STORE_STALE);
}

static void test_9111_4_2_2_heuristic_only_where_allowed(void **state)
{
    (void)state;
    assert_why((struct asked){.status = 302}, DATE, STORE_NO_LIFETIME);
    assert_why((struct asked){.status = 500}, DATE, STORE_NO_LIFETIME);
    assert_why((struct asked){.status = 302}, DATE "Cache-Control: public\n", STORE_YES);
    assert_why((struct asked){.status = 302}, DATE IN_60, STORE_YES);
    assert_why((struct asked){.status = 204}, DATE, STORE_YES);
}

static void assert_age_us(const char *lines, uint64_t want)
{
    struct freshness f = stored(lines);
    assert_int_equal(f.initial_age_us, want);
    assert_int_equal(f.received_us, received_us);
}

static void test_9111_4_2_3_apparent_age(void **state)
{
    (void)state;
    assert_age_us(DATE, delay_us);
    assert_age_us(DATE_10, 10 * 1000000);
    assert_age_us(FUTURE, delay_us);
    assert_age_us("x: y\n", delay_us);
}

static void test_9111_4_2_3_age_value(void **state)
{
    (void)state;
    assert_age_us(DATE "Age: 5\n", 5000000 + delay_us);
    assert_age_us(DATE_10 "Age: 5\n", 10000000);
    assert_age_us(DATE_10 "Age: 10\n", 10000000 + delay_us);
    assert_age_us(DATE_10 "Age: 9\n", 10000000);
}

static void test_9111_5_1_age_of_a_list_and_rubbish(void **state)
{
    (void)state;
    assert_age_us(DATE "Age: 5, 9\n", 5000000 + delay_us);
    assert_age_us(DATE "Age: 5\nAge: 9\n", 5000000 + delay_us);
    assert_age_us(DATE "Age: x, 9\n", delay_us);
    assert_age_us(DATE "Age: -1\n", delay_us);
    assert_age_us(DATE "Age: 1.5\n", delay_us);
    assert_age_us(DATE "Age:\n", delay_us);
    assert_why((struct asked){0}, DATE "Age: 99999999999999999999\nCache-Control: max-age=2147483647\n",
               STORE_STALE);
}

static void test_9111_4_2_3_response_delay(void **state)
{
    (void)state;
    static const struct {
        uint64_t asked, want;
    } cases[] = {
        {0,       3000000}, /* three seconds before */
        {3000000, 0      }, /* at once */
        {3000001, 0      }, /* the clock went back meanwhile */
    };
    for (size_t i = 0; i < 3; i++) {
        struct freshness_rules r = rules();
        struct spop_slice h = headers_new(DATE);
        struct freshness_answer a = {S("GET"),   false, 200, h, received_us - 3000000 + cases[i].asked,
                                     received_us};
        struct freshness f;
        struct vary_names vary;
        assert_int_equal(freshness_store(&r, &a, &f, &vary), STORE_YES);
        assert_int_equal(f.initial_age_us, cases[i].want);
        headers_free(h);
    }
}

static void test_9111_4_2_3_resident_time(void **state)
{
    (void)state;
    struct freshness f = stored(DATE "Age: 5\n");
    assert_int_equal(freshness_age_us(&f, received_us), 5020000);
    assert_int_equal(freshness_age_us(&f, received_us + 1), 5020001);
    assert_int_equal(freshness_age_us(&f, received_us - 1), 5020000);
    assert_int_equal(freshness_age_s(&f, received_us + 979999), 5);
    assert_int_equal(freshness_age_s(&f, received_us + 980000), 6);
    assert_int_equal(freshness_age_s(&f, UINT64_MAX / 2), 1u << 31);
    assert_int_equal(freshness_ttl_s(&f, received_us + 980000), 24);
    assert_int_equal(freshness_ttl_s(&f, received_us + 40 * 1000000), -15);
}

static void test_9111_4_2_stored_until_it_is_of_no_use(void **state)
{
    (void)state;
    struct freshness f = stored(DATE "Cache-Control: max-age=10\n");
    const uint64_t end = received_us + 10 * 1000000 - delay_us;
    assert_int_equal(freshness_keep_ms(&f, received_us), 9980);
    assert_int_equal(freshness_keep_ms(&f, end - 1001), 2);
    assert_int_equal(freshness_keep_ms(&f, end - 1), 1);
    assert_int_equal(freshness_keep_ms(&f, end), 0);
    assert_int_equal(freshness_keep_ms(&f, end + 1), 0);
    f = stored(DATE "Cache-Control: max-age=10, stale-while-revalidate=3, stale-if-error=7\n");
    assert_int_equal(freshness_keep_ms(&f, received_us), 16980);
    f = stored(DATE "Cache-Control: max-age=10, stale-while-revalidate=7, stale-if-error=3\n");
    assert_int_equal(freshness_keep_ms(&f, received_us), 16980);
}

static void test_9111_4_2_too_old_when_it_came(void **state)
{
    (void)state;
    assert_why((struct asked){0}, DATE "Age: 9\nCache-Control: max-age=10\n", STORE_YES);
    assert_why((struct asked){0}, DATE "Age: 10\nCache-Control: max-age=10\n", STORE_STALE);
    assert_why((struct asked){0}, DATE_10 "Cache-Control: max-age=10\n", STORE_STALE);
    assert_why((struct asked){0}, DATE_10 "Cache-Control: max-age=11\n", STORE_YES);
    assert_why((struct asked){0}, DATE "Cache-Control: max-age=0, stale-while-revalidate=5\n", STORE_YES);
    assert_why((struct asked){0}, DATE "Cache-Control: max-age=0, stale-if-error=5\n", STORE_YES);
}

static void test_5861_windows_of_answer_and_policy(void **state)
{
    (void)state;
    struct freshness_rules r = rules();
    struct freshness f;
    r.stale_while_revalidate_s = 7;
    r.stale_if_error_s = 8;
    assert_int_equal(store_by(&r, (struct asked){0}, DATE, &f), STORE_YES);
    assert_int_equal(f.stale_while_revalidate_s, 7);
    assert_int_equal(f.stale_if_error_s, 8);
    const char *said = DATE "Cache-Control: max-age=5, stale-while-revalidate=0, stale-if-error=90\n";
    assert_int_equal(store_by(&r, (struct asked){0}, said, &f), STORE_YES);
    assert_int_equal(f.stale_while_revalidate_s, 0);
    assert_int_equal(f.stale_if_error_s, 90);
    assert_false(f.never_stale);
}

static void test_9111_4_2_4_no_window_where_stale_is_forbidden(void **state)
{
    (void)state;
    static const char *const forbid[] = {"must-revalidate", "proxy-revalidate", "s-maxage=5"};
    char line[160];
    struct freshness_rules r = rules();
    r.stale_while_revalidate_s = r.stale_if_error_s = 9;
    for (size_t i = 0; i < 3; i++) {
        struct freshness f;
        snprintf(line, sizeof line,
                 DATE "Cache-Control: max-age=5, stale-while-revalidate=7, stale-if-error=7, %s\n",
                 forbid[i]);
        assert_int_equal(store_by(&r, (struct asked){0}, line, &f), STORE_YES);
        assert_true(f.never_stale);
        assert_int_equal(f.stale_while_revalidate_s, 0);
        assert_int_equal(f.stale_if_error_s, 0);
    }
}

static void test_9110_6_6_1_is_there_a_date(void **state)
{
    (void)state;
    assert_true(stored(DATE).dated);
    assert_false(stored("x: y\n").dated);
    assert_false(stored("Date: yesterday\n").dated);
}

/* They are labels of metrics. */
static void test_every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (unsigned a = 0; a < STORE_REASONS; a++) {
        const char *word = store_word(a);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(store_word(b), word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9111_3_method),
        cmocka_unit_test(test_9111_3_status),
        cmocka_unit_test(test_9111_3_3_partial),
        cmocka_unit_test(test_set_cookie_is_never_stored),
        cmocka_unit_test(test_9111_5_2_2_5_no_store),
        cmocka_unit_test(test_9111_5_2_2_7_private),
        cmocka_unit_test(test_9111_5_2_2_4_no_cache),
        cmocka_unit_test(test_9111_5_4_pragma_of_a_response_says_nothing),
        cmocka_unit_test(test_9111_5_2_2_3_must_understand),
        cmocka_unit_test(test_9111_3_5_authorization),
        cmocka_unit_test(test_9111_4_1_vary),
        cmocka_unit_test(test_vary_of_the_answer_is_given_out),
        cmocka_unit_test(test_malformed_headers_are_not_stored),
        cmocka_unit_test(test_9111_4_2_1_lifetime_in_order),
        cmocka_unit_test(test_9111_4_2_1_expires_less_date),
        cmocka_unit_test(test_9111_5_3_expires_that_is_no_date),
        cmocka_unit_test(test_9111_4_2_1_rubbish_is_stale),
        cmocka_unit_test(test_9111_4_2_2_heuristic_only_where_allowed),
        cmocka_unit_test(test_9111_4_2_3_apparent_age),
        cmocka_unit_test(test_9111_4_2_3_age_value),
        cmocka_unit_test(test_9111_5_1_age_of_a_list_and_rubbish),
        cmocka_unit_test(test_9111_4_2_3_response_delay),
        cmocka_unit_test(test_9111_4_2_3_resident_time),
        cmocka_unit_test(test_9111_4_2_stored_until_it_is_of_no_use),
        cmocka_unit_test(test_9111_4_2_too_old_when_it_came),
        cmocka_unit_test(test_5861_windows_of_answer_and_policy),
        cmocka_unit_test(test_9111_4_2_4_no_window_where_stale_is_forbidden),
        cmocka_unit_test(test_9110_6_6_1_is_there_a_date),
        cmocka_unit_test(test_every_reason_has_a_word_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
