// SPDX-License-Identifier: MIT
/* domain/headers: the walk, and the lists of RFC 9110. */
#include "tests/unit/headers_bin.h"
#include "domain/headers.h"

#include <time.h>

static void test_walk_refuses_what_is_cut(void **state)
{
    (void)state;
    struct spop_slice h = headers_new("Age: 5\nx:\n");
    for (size_t len = 0; len <= h.len; len++) {
        struct spop_slice cut = exact_copy(h.ptr, len);
        assert_int_equal(headers_whole(cut), len == h.len);
        headers_free(cut);
    }
    assert_false(headers_whole((struct spop_slice){NULL, 0}));
    assert_false(headers_whole(S("\0\0\0")));
    assert_false(headers_whole(S("\0\1x\0\0")));
    assert_text(headers_find(h, "age"), "5");
    assert_non_null(headers_find(h, "x").ptr);
    assert_null(headers_find(h, "ag").ptr);
    headers_free(h);
}

static void test_9110_5_3_every_line_of_a_name(void **state)
{
    (void)state;
    struct spop_slice h = headers_new("A: 1\nb: x\na:  \t2 \t\nab: 3\n"), value;
    struct spop_cursor c = headers_walk(h);
    assert_true(headers_each(&c, "a", &value));
    assert_text(value, "1");
    assert_true(headers_each(&c, "a", &value));
    assert_text(value, "2");
    assert_false(headers_each(&c, "a", &value));
    headers_free(h);
}

/* Elements with | between them. */
static void assert_list(const char *list, const char *elements)
{
    char is[256] = "";
    struct spop_slice copy = exact_copy(list, strlen(list)), rest = copy, element;
    while (headers_list(&rest, &element)) {
        strcat(is, "|");
        strncat(is, element.ptr, element.len);
    }
    assert_string_equal(is, elements);
    headers_free(copy);
}

static void test_9110_5_6_1_lists(void **state)
{
    (void)state;
    assert_list("", "");
    assert_list(" , ,\t,", "");
    assert_list("a", "|a");
    assert_list("a,b", "|a|b");
    assert_list(" a ,\t b c ,,d", "|a|b c|d");
    assert_list("a=\"b,c\",d", "|a=\"b,c\"|d");
    assert_list("\"\\\",\",d", "|\"\\\",\"|d");
    assert_list("\"\\\\\",d", "|\"\\\\\"|d");
}

/* A quote that is not closed hides nothing. */
static void test_9110_5_6_4_open_quotes_hide_nothing(void **state)
{
    (void)state;
    assert_list("a=\"b,c", "|a=\"b|c");
    assert_list("a\",b", "|a\"|b");
    assert_list("\"a\\\",b", "|\"a\\\"|b");
    assert_list("\"a,b\",\"c,d", "|\"a,b\"|\"c|d");
    assert_list("a\\,b", "|a\\|b");
    assert_list("a,\"", "|a|\"");
    assert_list("a,\\", "|a|\\");
}

/* Some 60,000 escaped quotes, none closed: a search from each to the end would take seconds. */
static void test_open_quotes_take_no_time(void **state)
{
    (void)state;
    enum { PAIRS = 60000 };
    char *text = malloc(1 + 3 * PAIRS);
    assert_non_null(text);
    text[0] = '"';
    for (size_t i = 0; i < PAIRS; i++)
        memcpy(text + 1 + 3 * i, "\\\",", 3);
    struct spop_slice rest = {text, 1 + 3 * PAIRS}, element;
    clock_t begin = clock();
    size_t n = 0;
    while (headers_list(&rest, &element))
        n++;
    assert_int_equal(n, PAIRS);
    assert_true(clock() - begin < CLOCKS_PER_SEC);
    free(text);
}

static void test_9111_1_2_2_delta_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
        uint32_t seconds;
    } cases[] = {
        {"0",                          true,  0         },
        {"60",                         true,  60        },
        {"0060",                       true,  60        },
        {"2147483647",                 true,  2147483647},
        {"2147483648",                 true,  1u << 31  },
        {"2147483649",                 true,  1u << 31  },
        {"4294967296",                 true,  1u << 31  },
        {"18446744073709551616",       true,  1u << 31  },
        {"99999999999999999999999999", true,  1u << 31  },
        {"",                           false, 0         },
        {"-1",                         false, 0         },
        {"+1",                         false, 0         },
        {"1.5",                        false, 0         },
        {" 1",                         false, 0         },
        {"1 ",                         false, 0         },
        {"1s",                         false, 0         },
        {"0x10",                       false, 0         },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t seconds = 77;
        assert_int_equal(headers_delta(slice_of(cases[i].text), &seconds), cases[i].is);
        assert_int_equal(seconds, cases[i].is ? cases[i].seconds : 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_refuses_what_is_cut),
        cmocka_unit_test(test_9110_5_3_every_line_of_a_name),
        cmocka_unit_test(test_9110_5_6_1_lists),
        cmocka_unit_test(test_9110_5_6_4_open_quotes_hide_nothing),
        cmocka_unit_test(test_open_quotes_take_no_time),
        cmocka_unit_test(test_9111_1_2_2_delta_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
