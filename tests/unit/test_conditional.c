// SPDX-License-Identifier: MIT
/* domain/conditional: 304 or the whole answer. */
#include "tests/unit/headers_bin.h"
#include "domain/conditional.h"

enum { NOW = 1800000000, EXAMPLE = 784111777 };

static bool unmodified(const struct validators *v, const char *lines)
{
    struct spop_slice h = headers_new(lines);
    bool is = conditional_not_modified(v, h, NOW);
    headers_free(h);
    return is;
}

/* Does this If-None-Match match this ETag? */
static bool matches(const char *etag, const char *lines)
{
    struct validators v = {200, slice_of(etag), EXAMPLE};
    return unmodified(&v, lines);
}

static void test_9110_8_8_3_2_weak_comparison(void **state)
{
    (void)state;
    assert_true(matches("\"1\"", "If-None-Match: \"1\"\n"));
    assert_true(matches("W/\"1\"", "If-None-Match: W/\"1\"\n"));
    assert_true(matches("W/\"1\"", "If-None-Match: \"1\"\n"));
    assert_true(matches("\"1\"", "If-None-Match: W/\"1\"\n"));
    assert_false(matches("W/\"1\"", "If-None-Match: W/\"2\"\n"));
    assert_false(matches("\"1\"", "If-None-Match: \"11\"\n"));
    assert_false(matches("\"a\"", "If-None-Match: \"A\"\n"));
    assert_false(matches("\"1\"", "If-None-Match: w/\"1\"\n"));
    assert_true(matches("\"\"", "If-None-Match: \"\"\n"));
}

static void test_9110_13_1_2_lists(void **state)
{
    (void)state;
    assert_true(matches("\"b\"", "If-None-Match: \"a\", W/\"b\" ,\"c\"\n"));
    assert_true(matches("\"b\"", "If-None-Match: \"a\"\nif-none-match: \"b\"\n"));
    assert_true(matches("\"b\"", "If-None-Match: ,, \"a\" ,,\t\"b\",\n"));
    assert_true(matches("\"a,b\"", "If-None-Match: \"x\", \"a,b\"\n"));
    assert_true(matches("\"a\\\"", "If-None-Match: \"a\\\", \"c\"\n"));
    assert_false(matches("\"b\"", "If-None-Match: \"a,b\"\n"));
    assert_false(matches("\"b\"", "If-None-Match: \"a\" \"b\"\n"));
    assert_false(matches("\"b\"", "If-None-Match: a, \"b\"\n"));
    assert_false(matches("\"b\"", "If-None-Match: b\n"));
    assert_false(matches("\"b\"", "If-None-Match: \"b\n"));
    assert_false(matches("\"b\"", "If-None-Match:\n"));
    assert_false(matches("\"a b\"", "If-None-Match: \"a b\"\n"));
}

static void test_9110_13_1_2_any(void **state)
{
    (void)state;
    assert_true(matches("\"a\"", "If-None-Match: *\n"));
    assert_true(matches("", "If-None-Match: *\n"));
    assert_false(matches("\"a\"", "If-None-Match: \"*\"\n"));
    assert_true(matches("\"*\"", "If-None-Match: \"*\"\n"));
    assert_false(matches("\"a\"", "If-None-Match: **\n"));
}

static void test_9110_8_8_3_an_etag_that_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1", "\"", "W/", "W/1", "\"1\"x", "\"1", "\"1\", \"1\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(matches(bad[i], "If-None-Match: \"1\", \"\", 1\n"));
    assert_true(matches(" \"1\"\t", "If-None-Match: \"1\"\n"));
}

static void test_9110_13_1_3_modified_since(void **state)
{
    (void)state;
    struct validators v = {
        200, {NULL, 0},
         EXAMPLE
    };
    assert_false(unmodified(&v, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\n"));
    assert_true(unmodified(&v, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\n"));
    assert_true(unmodified(&v, "if-modified-since: Sun, 06 Nov 1994 08:49:38 GMT\n"));
    assert_true(unmodified(&v, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\n"));
    assert_false(unmodified(&v, "x: y\n"));
}

static void test_9110_13_1_3_what_is_no_date_does_not_count(void **state)
{
    (void)state;
    struct validators v = {
        200, {NULL, 0},
         EXAMPLE
    };
    assert_false(unmodified(&v, "If-Modified-Since: tomorrow\n"));
    assert_false(unmodified(&v, "If-Modified-Since:\n"));
    assert_false(unmodified(&v, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\nIf-Modified-Since: Sun, "
                                "06 Nov 1994 08:49:37 GMT\n"));
}

static void test_9110_13_2_2_order(void **state)
{
    (void)state;
    const char *since = "If-None-Match: \"2\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\n";
    assert_false(matches("\"1\"", since));
    assert_true(matches("\"2\"", since));
    assert_true(matches("\"2\"", "If-Modified-Since: Sat, 05 Nov 1994 08:49:38 GMT\nIf-None-Match: \"2\"\n"));
    assert_false(
        matches("\"1\"", "If-None-Match: rubbish\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\n"));
}

static void test_9110_13_2_1_only_where_the_answer_is_a_success(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        bool counts;
    } cases[] = {
        {199, false},
        {200, true },
        {204, true },
        {299, true },
        {300, false},
        {301, false},
        {404, false},
        {500, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct validators v = {cases[i].status, S("\"1\""), EXAMPLE};
        assert_int_equal(unmodified(&v, "If-None-Match: \"1\"\n"), cases[i].counts);
        assert_int_equal(unmodified(&v, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\n"),
                         cases[i].counts);
    }
}

static void test_9110_13_1_1_if_match_is_the_origins(void **state)
{
    (void)state;
    assert_false(matches("\"1\"", "If-Match: \"2\"\nIf-Unmodified-Since: Sat, 05 Nov 1994 08:49:38 GMT\n"));
    assert_true(matches("\"1\"", "If-Match: \"2\"\nIf-None-Match: \"1\"\n"));
}

static void test_9111_4_3_2_which_date(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int64_t want;
    } cases[] = {
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Mon, 07 Nov 1994 08:49:37 GMT\n", EXAMPLE        },
        {"Date: Mon, 07 Nov 1994 08:49:37 GMT\n",                                               EXAMPLE + 86400},
        {"Last-Modified: x\nDate: Mon, 07 Nov 1994 08:49:37 GMT\n",                             EXAMPLE + 86400},
        {"Date: x\n",                                                                           NOW            },
        {"x: y\n",                                                                              NOW            },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct validators v;
        struct spop_slice h = headers_new(cases[i].lines);
        conditional_validators(200, h, NOW, &v);
        assert_int_equal(v.modified_s, cases[i].want);
        assert_int_equal(v.status, 200);
        assert_int_equal(v.etag.len, 0);
        headers_free(h);
    }
    struct spop_slice h = headers_new("etag: \"1\"\n");
    struct validators v;
    conditional_validators(404, h, NOW, &v);
    assert_text(v.etag, "\"1\"");
    assert_int_equal(v.status, 404);
    headers_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9110_8_8_3_2_weak_comparison),
        cmocka_unit_test(test_9110_13_1_2_lists),
        cmocka_unit_test(test_9110_13_1_2_any),
        cmocka_unit_test(test_9110_8_8_3_an_etag_that_is_none),
        cmocka_unit_test(test_9110_13_1_3_modified_since),
        cmocka_unit_test(test_9110_13_1_3_what_is_no_date_does_not_count),
        cmocka_unit_test(test_9110_13_2_2_order),
        cmocka_unit_test(test_9110_13_2_1_only_where_the_answer_is_a_success),
        cmocka_unit_test(test_9110_13_1_1_if_match_is_the_origins),
        cmocka_unit_test(test_9111_4_3_2_which_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
