// SPDX-License-Identifier: MIT
/* domain/httpdate: the dates of RFC 9110, 5.6.7, held against timegm() and gmtime_r(). */
#include "tests/unit/headers_bin.h"
#include "domain/httpdate.h"

#include <time.h>

enum { NOW = 1800000000, EXAMPLE = 784111777 };

static bool parse(const char *text, int64_t now_s, int64_t *epoch_s)
{
    struct spop_slice copy = exact_copy(text, strlen(text));
    bool is = httpdate_read(copy, now_s, epoch_s);
    headers_free(copy);
    return is;
}

static void assert_date(const char *text, int64_t want)
{
    int64_t epoch_s = 1;
    assert_true(parse(text, NOW, &epoch_s));
    assert_int_equal(epoch_s, want);
}

static void assert_none(const char *text)
{
    int64_t epoch_s = 77;
    if (parse(text, NOW, &epoch_s))
        fail_msg("%s is no date", text);
    assert_int_equal(epoch_s, 77);
}

static void test_9110_5_6_7_three_forms(void **state)
{
    (void)state;
    assert_date("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE);
    assert_date("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE);
    assert_date("Sun Nov  6 08:49:37 1994", EXAMPLE);
    assert_date("Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400);
    assert_date(" Sun, 06 Nov 1994 08:49:37 GMT\t", EXAMPLE);
}

static void test_9111_4_2_any_case_only_gmt(void **state)
{
    (void)state;
    assert_date("sUN, 06 nOV 1994 08:49:37 gmt", EXAMPLE);
    assert_date("SUNDAY, 06-NOV-94 08:49:37 GMT", EXAMPLE);
    assert_none("Sun, 06 Nov 1994 08:49:37 UTC");
    assert_none("Sun, 06 Nov 1994 08:49:37 EST");
    assert_none("Sun, 06 Nov 1994 08:49:37 +0000");
    assert_none("Sun, 06 Nov 1994 08:49:37");
    assert_none("Sun Nov  6 08:49:37 1994 GMT");
}

static void test_9110_5_6_7_no_dates(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "0",
        "-1",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun, 06 Nov 1994  08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Tue, 29 Feb 2023 00:00:00 GMT",
        "Mon, 29 Feb 1900 00:00:00 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_none(none[i]);
    const char *whole = "Sun, 06 Nov 1994 08:49:37 GMT";
    char cut[32];
    for (size_t n = 0; n < strlen(whole); n++) {
        memcpy(cut, whole, n);
        cut[n] = '\0';
        assert_none(cut);
    }
}

static void test_9110_5_6_7_bounds(void **state)
{
    (void)state;
    assert_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    assert_date("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    assert_date("Tue, 29 Feb 2000 23:59:59 GMT", 951868799);
    assert_date("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    assert_date("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799);
    assert_date("Sat, 01 Jan 0000 00:00:00 GMT", -62167219200);
    assert_date("Sat, 31 Dec 2016 23:59:59 GMT", 1483228799);
    assert_date("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799);
    assert_date("Sun, 01 Jan 2017 00:00:00 GMT", 1483228800);
}

static void test_9110_5_6_7_year_of_two_digits(void **state)
{
    (void)state;
    static const struct {
        const char *now, *date, *same;
    } cases[] = {
        {"Sat, 21 Nov 2026 00:00:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"Sat, 21 Nov 2026 00:00:00 GMT", "Sunday, 06-Nov-75 08:49:37 GMT", "Sun, 06 Nov 2075 08:49:37 GMT"},
        {"Sat, 21 Nov 2026 00:00:00 GMT", "Sunday, 06-Nov-76 08:49:37 GMT", "Sun, 06 Nov 2076 08:49:37 GMT"},
        {"Sat, 21 Nov 2026 00:00:00 GMT", "Sunday, 06-Nov-77 08:49:37 GMT", "Sun, 06 Nov 1977 08:49:37 GMT"},
        {"Sat, 21 Nov 1999 00:00:00 GMT", "Sunday, 06-Nov-00 08:49:37 GMT", "Sun, 06 Nov 2000 08:49:37 GMT"},
        {"Sat, 21 Nov 2060 00:00:00 GMT", "Sunday, 06-Nov-10 08:49:37 GMT", "Sun, 06 Nov 2110 08:49:37 GMT"},
        {"Sat, 21 Nov 2060 00:00:00 GMT", "Sunday, 06-Nov-11 08:49:37 GMT", "Sun, 06 Nov 2011 08:49:37 GMT"},
        {"Fri, 31 Dec 9999 00:00:00 GMT", "Sunday, 06-Nov-01 08:49:37 GMT", "Sun, 06 Nov 9901 08:49:37 GMT"},
        {"Sat, 21 Nov 1950 00:00:00 GMT", "Sunday, 06-Nov-01 08:49:37 GMT", "Sun, 06 Nov 1901 08:49:37 GMT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t now, is, want;
        assert_true(parse(cases[i].now, 0, &now));
        assert_true(parse(cases[i].date, now, &is));
        assert_true(parse(cases[i].same, now, &want));
        assert_int_equal(is, want);
    }
}

/* Three seconds of every fifth day of 600 years, and the first and last ones. */
static void test_9110_5_6_7_as_the_library_says(void **state)
{
    (void)state;
    for (int64_t s = -9000000000; s < 9000000000; s += 5 * 86400 + 3607) {
        char ours[HTTPDATE_TEXT], theirs[64];
        time_t t = s;
        struct tm tm;
        int64_t again;
        httpdate_write(s, ours);
        gmtime_r(&t, &tm);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(ours, theirs);
        assert_true(parse(ours, NOW, &again));
        assert_int_equal(again, s);
        strftime(theirs, sizeof theirs, "%a %b %e %H:%M:%S %Y", &tm);
        assert_true(parse(theirs, NOW, &again));
        assert_int_equal(again, s);
    }
}

static void test_write_is_held_within_four_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        {0,            "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1,           "Wed, 31 Dec 1969 23:59:59 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX,    "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-62167219200, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {-62167219201, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {INT64_MIN,    "Sat, 01 Jan 0000 00:00:00 GMT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[HTTPDATE_TEXT];
        httpdate_write(cases[i].s, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9110_5_6_7_three_forms),
        cmocka_unit_test(test_9111_4_2_any_case_only_gmt),
        cmocka_unit_test(test_9110_5_6_7_no_dates),
        cmocka_unit_test(test_9110_5_6_7_bounds),
        cmocka_unit_test(test_9110_5_6_7_year_of_two_digits),
        cmocka_unit_test(test_9110_5_6_7_as_the_library_says),
        cmocka_unit_test(test_write_is_held_within_four_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
