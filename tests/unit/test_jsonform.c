// SPDX-License-Identifier: MIT
/* domain/jsonform: which texts say the same, which do not, and which are no JSON at all. */
#include "tests/unit/heart.h"
#include "domain/jsonform.h"

#include <stdio.h>
#include <stdlib.h>

static const struct text_list nothing;

/* The form as text, "-" where there is none; to be freed. */
static char *form_of(const char *text, size_t len, const struct text_list *ignore)
{
    struct buf out;
    buf_init(&out);
    buf_str(&out, "<");
    if (!json_form((struct spop_slice){text, len}, ignore, &out)) {
        assert_int_equal(out.len, 1);
        buf_reset(&out);
        buf_u8(&out, '-');
    }
    buf_u8(&out, 0);
    assert_false(out.failed);
    return (char *)out.data;
}

static bool same(const char *a, const char *b, const struct text_list *ignore)
{
    char *x = form_of(a, strlen(a), ignore), *y = form_of(b, strlen(b), ignore);
    bool is = *x == '<' && strcmp(x, y) == 0;
    free(x);
    free(y);
    return is;
}

static void what_says_the_same(void **state)
{
    static const char *const pairs[][2] = {
        {"{\"a\":1,\"b\":2}",                              "{\"b\":2,\"a\":1}"                             },
        {" {\n\"a\" :\t1 , \"b\":\r[ 1 , 2 ] } ",          "{\"b\":[1,2],\"a\":1}"                         },
        {"{\"x\":{\"b\":null,\"a\":[{\"d\":1,\"c\":2}]}}", "{\"x\":{\"a\":[{\"c\":2,\"d\":1}],\"b\":null}}"},
        {"\"\\u0061\\/\\u00e9\\ud83d\\ude00\"",            "\"a/\xc3\xa9\xf0\x9f\x98\x80\""                },
        {"{\"\\u0061\":1}",                                "{\"a\":1}"                                     },
        {"12345678901234567890123",                        " 12345678901234567890123 "                     },
        {"1e999999",                                       "1e999999\n"                                    },
        {"[-0.5,true]",                                    "[ -0.5 , true ]"                               },
        {"[]",                                             "[ ]"                                           },
        {"\"\"",                                           " \"\""                                         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!same(pairs[i][0], pairs[i][1], &nothing))
            fail_msg("%s  and  %s", pairs[i][0], pairs[i][1]);
}

/* Each differs from each other one. */
static void what_does_not(void **state)
{
    static const char *const texts[] = {
        "1",
        "1.0",
        "1.00",
        "1e0",
        "1E0",
        "1e+0",
        "10e-1",
        "-1",
        "\"1\"",
        "\"n1\"",
        "\"s1\"",
        "[1]",
        "[\"1\"]",
        "0",
        "-0",
        "0.0",
        "0.1",
        "0.10000000000000000555",
        "0.10000000000000000556",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "2e400",
        "1e-400",
        "2e-400",
        "null",
        "true",
        "false",
        "\"null\"",
        "\"\"",
        "\" \"",
        "{}",
        "[]",
        "[[]]",
        "[{}]",
        "[1,2]",
        "[2,1]",
        "[1,2,2]",
        "[12]",
        "[\"1,2\"]",
        "{\"a\":null}",
        "{\"a\":1}",
        "{\"a\":\"1\"}",
        "{\"a\":1.0}",
        "{\"b\":1}",
        "{\"a\":1,\"b\":null}",
        "{\"a\":{\"b\":1}}",
        "{\"a.b\":1}",
        "{\"a\":[1]}",
        "\"a\"",
        "\"A\"",
        "\"\xc3\xa9\"",
        "\"e\xcc\x81\"",
        "\"a\\\"\"",
        "\"a\\\\\"",
        "{\"a\":\"b\\\",\\\"c\"}",
        "{\"a\":\"b\",\"c\":\"\"}",
        "{\"sa\":1}",
        "{\"na\":1}",
        "{\"1\":1}",
    };
    enum { N = sizeof texts / sizeof *texts };
    (void)state;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < i; j++)
            if (same(texts[i], texts[j], &nothing))
                fail_msg("%s  and  %s", texts[i], texts[j]);
    for (size_t i = 0; i < N; i++)
        assert_true(same(texts[i], texts[i], &nothing));
}

static void what_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[1",
        "[1,]",
        "{\"a\":}",
        "{\"a\"}",
        "{a:1}",
        "{1:2}",
        "{1 :2}",
        "{\"a\":1,}",
        "[1 2]",
        "1 2",
        "1,2",
        "01",
        "-",
        "-a",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "--1",
        "1-2",
        "1true",
        "true1",
        "tru",
        "nul",
        "NaN",
        "Infinity",
        "-Infinity",
        "'a'",
        "\"a",
        "\"a\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\xef\xbb\xbf{}",
        "{} {}",
        "[]]",
        "// c\n1",
        "1/**/",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"b\":{\"a\":1,\"a\":2}}]",
        "\"\\u0000\"",
        "{\"\\u0000\":1}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *form = form_of(texts[i], strlen(texts[i]), &nothing);
        if (strcmp(form, "-") != 0)
            fail_msg("%s  has the form %s", texts[i], form);
        free(form);
    }
    char *form = form_of("1\0", 2, &nothing);
    assert_string_equal(form, "-");
    free(form);
}

static struct text_list list_of(const char *a, const char *b)
{
    struct text_list l = {.n = b ? 2 : 1};
    strcpy(l.item[0], a);
    if (b)
        strcpy(l.item[1], b);
    return l;
}

static void fields_that_do_not_count(void **state)
{
    static struct text_list time, deep, both;
    time = list_of("timestamp", NULL);
    deep = list_of("meta.sent_at", NULL);
    both = list_of("meta.sent_at", "timestamp");
    (void)state;
    assert_true(same("{\"a\":1,\"timestamp\":1}", "{\"timestamp\":{\"x\":2},\"a\":1}", &time));
    assert_true(same("{\"a\":1,\"timestamp\":1}", "{\"a\":1}", &time));
    assert_true(same("{\"\\u0074imestamp\":1}", "{}", &time));
    assert_false(same("{\"a\":1,\"timestamp\":1}", "{\"a\":2,\"timestamp\":1}", &time));
    assert_false(same("{\"timestamp\":1}", "{\"timestamp\":2}", &nothing));
    assert_false(same("{\"meta\":{\"timestamp\":1}}", "{\"meta\":{\"timestamp\":2}}", &time));
    assert_false(same("[{\"timestamp\":1}]", "[{\"timestamp\":2}]", &time));
    assert_false(same("\"timestamp\"", "\"other\"", &time));
    assert_true(same("{\"meta\":{\"sent_at\":1,\"b\":1}}", "{\"meta\":{\"b\":1}}", &deep));
    assert_false(same("{\"meta\":{\"sent_at\":1}}", "{}", &deep)); /* meta itself counts */
    assert_false(same("{\"sent_at\":1}", "{}", &deep));
    assert_false(same("{\"meta\":[{\"sent_at\":1}]}", "{\"meta\":[{\"sent_at\":2}]}", &deep));
    assert_false(same("{\"meta.sent_at\":1}", "{\"meta.sent_at\":2}", &deep));
    assert_true(same("{\"meta\":1}", "{\"meta\": 1}", &deep));
    assert_true(same("{\"timestamp\":1,\"meta\":{\"sent_at\":1}}", "{\"meta\":{}}", &both));
}

/* Hostile texts cost no more than others of their length. */
static void deep_and_long(void **state)
{
    enum { SIZE = 1 << 16, DEEPEST = 2048 };
    static char text[SIZE + 64];
    (void)state;
    for (size_t depth = DEEPEST - 1; depth <= DEEPEST + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        char *form = form_of(text, 2 * depth, &nothing);
        assert_int_equal(*form == '<', depth <= DEEPEST);
        free(form);
    }
    static const char *const pieces[] = {"[",     "{\"a\":",     "\"",  "\\",  "1",  "-",
                                         "\"a\"", "\"\\u0061\"", "[],", "{},", "1,", "1 ",
                                         "1e1,",  "\"\",",       ",",   " "};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t len = strlen(pieces[i]), n = 0;
        text[n++] = '[';
        while (n + len < SIZE) {
            memcpy(text + n, pieces[i], len);
            n += len;
        }
        memcpy(text + n, "0]", 2);
        free(form_of(text, n + 2, &nothing));
    }
    /* Many names with one long beginning: sorting compares them all. */
    size_t n = 0;
    for (unsigned i = 0; n + 64 < SIZE; i++)
        n += (size_t)snprintf(text + n, 64, "%s\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%u\":%u", i ? "," : "{",
                              i * 7919 % 4096, i);
    memcpy(text + n, "}", 2);
    char *form = form_of(text, n + 1, &nothing);
    assert_int_equal(*form, '<');
    free(form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_says_the_same), cmocka_unit_test(what_does_not),
        cmocka_unit_test(what_is_none),       cmocka_unit_test(fields_that_do_not_count),
        cmocka_unit_test(deep_and_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
