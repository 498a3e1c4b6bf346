// SPDX-License-Identifier: MIT
/* domain/vary: which headers a response varies on, and when two requests have the same values. */
#include "tests/unit/headers_bin.h"
#include "domain/vary.h"

#include <stdio.h>

/* Names with a blank behind each; or the result. */
static void assert_names(const char *lines, enum vary_result want, const char *names)
{
    char is[VARY_MAX * (VARY_NAME_MAX + 2)] = "";
    struct vary_names v;
    struct spop_slice h = headers_new(lines);
    assert_int_equal(vary_read(h, &v), want);
    for (unsigned i = 0; want == VARY_READ && i < v.n; i++) {
        strcat(is, v.name[i]);
        strcat(is, " ");
    }
    assert_string_equal(is, names);
    headers_free(h);
}

static void test_9110_12_5_5_names(void **state)
{
    (void)state;
    assert_names("x: y\n", VARY_READ, "");
    assert_names("Vary:\n", VARY_READ, "");
    assert_names("Vary: Accept\n", VARY_READ, "accept ");
    assert_names("Vary: b , A,,b,B\nvary: c\nvaryx: d\n", VARY_READ, "a b c ");
    assert_names("Vary: !#$%&'+-.^_`|~0\n", VARY_READ, "!#$%&'+-.^_`|~0 ");
}

static void test_9110_12_5_5_any(void **state)
{
    (void)state;
    assert_names("Vary: *\n", VARY_ANY, "");
    assert_names("Vary: a\nVary: b, *\n", VARY_ANY, "");
    assert_names("Vary: a b, *\n", VARY_ANY, "");
    assert_names("Vary: *, a b\n", VARY_ANY, "");
    assert_names("Vary: 1,2,3,4,5,6,7,8,9,*\n", VARY_ANY, "");
    assert_names("Vary: *a\n", VARY_READ, "*a ");
}

static void test_9110_5_1_what_is_no_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"a b",      "a:",    "a\"", "\"a\"", "a=b",
                                      "\xc3\xa4", "a;q=1", "a@",  "a/b",   "(a)"};
    char line[40];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "Vary: %s\n", bad[i]);
        assert_names(line, VARY_BAD, "");
    }
    struct vary_names v;
    assert_int_equal(vary_read(S("\4Vary"), &v), VARY_BAD);
}

static void test_bounds_of_the_list(void **state)
{
    (void)state;
    char line[100];
    assert_names("Vary: 7,6,5,4,3,2,1\n", VARY_READ, "1 2 3 4 5 6 7 ");
    assert_names("Vary: 8,7,6,5,4,3,2,1,8,1\n", VARY_READ, "1 2 3 4 5 6 7 8 ");
    assert_names("Vary: 1,2,3,4,5,6,7,8,9\n", VARY_LARGE, "");
    for (int n = VARY_NAME_MAX - 1; n <= VARY_NAME_MAX + 1; n++) {
        struct vary_names v = {0};
        memset(line, 'x', sizeof line);
        assert_int_equal(vary_add(&v, (struct spop_slice){line, (size_t)n}),
                         n <= VARY_NAME_MAX ? VARY_READ : VARY_LARGE);
        assert_int_equal(v.n, n <= VARY_NAME_MAX);
        assert_int_equal(strlen(v.name[0]), n <= VARY_NAME_MAX ? n : 0);
    }
}

static struct vary_names names(const char *list)
{
    struct vary_names v = {0};
    struct spop_slice rest = slice_of(list), name;
    while (headers_list(&rest, &name))
        assert_int_equal(vary_add(&v, name), VARY_READ);
    return v;
}

static void test_lists_compared(void **state)
{
    (void)state;
    struct vary_names none = {0}, ab = names("b,A"), abc = names("c,b,a"), ac = names("a,c");
    assert_true(vary_within(&none, &ab));
    assert_true(vary_within(&ab, &abc));
    assert_false(vary_within(&abc, &ab));
    assert_true(vary_same(&ab, &ab));
    assert_false(vary_same(&ab, &ac));
    assert_false(vary_same(&ab, &abc));
    assert_false(vary_same(&none, &ab));
    assert_int_equal(vary_find(&abc, "a"), 0);
    assert_int_equal(vary_find(&abc, "c"), 2);
    assert_int_equal(vary_find(&abc, "d"), -1);
    assert_int_equal(vary_find(&none, "a"), -1);
}

static bool same_value(const char *a, const char *b)
{
    uint8_t x[VARY_VALUE], y[VARY_VALUE];
    struct spop_slice h = headers_new(a), k = headers_new(b);
    vary_value(h, "accept", x);
    vary_value(k, "accept", y);
    headers_free(h);
    headers_free(k);
    return memcmp(x, y, VARY_VALUE) == 0;
}

static void test_9111_4_1_white_space_and_lines(void **state)
{
    (void)state;
    assert_true(same_value("Accept: a\n", "ACCEPT:  \ta \t\n"));
    assert_true(same_value("Accept: a\nx: y\naccept: b\n", "Accept: a, b\n"));
    assert_true(same_value("Accept: a\n", "x: y\nAccept: a\nacceptx: b\n"));
}

static void test_9111_4_1_values_that_differ(void **state)
{
    (void)state;
    assert_false(same_value("Accept: a\n", "Accept: b\n"));
    assert_false(same_value("Accept: a\n", "Accept: A\n"));
    assert_false(same_value("Accept: a b\n", "Accept: ab\n"));
    assert_false(same_value("Accept: a\nAccept: b\n", "Accept: b\nAccept: a\n"));
    assert_false(same_value("Accept: a\nAccept: b\n", "Accept: ab\n"));
    assert_false(same_value("Accept: a\n", "Accept: a\nAccept:\n"));
}

static void test_9111_4_1_missing_is_not_empty(void **state)
{
    (void)state;
    assert_false(same_value("x: y\n", "Accept:\n"));
    assert_true(same_value("x: y\n", "z: y\n"));
    assert_true(same_value("Accept:\n", "Accept:  \n"));
}

static void test_values_in_the_order_of_the_names(void **state)
{
    (void)state;
    struct vary_names v = names("b, a");
    uint8_t all[VARY_MAX][VARY_VALUE] = {0}, one[VARY_VALUE];
    struct spop_slice h = headers_new("A: 1\nB: 1\n");
    vary_values(h, &v, all);
    vary_value(h, "a", one);
    assert_memory_equal(all[0], one, VARY_VALUE);
    vary_value(h, "b", one);
    assert_memory_equal(all[1], one, VARY_VALUE);
    assert_memory_not_equal(all[0], all[1], VARY_VALUE); /* the name counts */
    headers_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9110_12_5_5_names),
        cmocka_unit_test(test_9110_12_5_5_any),
        cmocka_unit_test(test_9110_5_1_what_is_no_name),
        cmocka_unit_test(test_bounds_of_the_list),
        cmocka_unit_test(test_lists_compared),
        cmocka_unit_test(test_9111_4_1_white_space_and_lines),
        cmocka_unit_test(test_9111_4_1_values_that_differ),
        cmocka_unit_test(test_9111_4_1_missing_is_not_empty),
        cmocka_unit_test(test_values_in_the_order_of_the_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
