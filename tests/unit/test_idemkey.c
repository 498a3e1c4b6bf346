// SPDX-License-Identifier: MIT
/* domain/idemkey: what is one key, what is none (ACCEPTANCE I15 to I17, M2.1). */
#include "tests/unit/heart.h"
#include "domain/idemkey.h"

#include <stdlib.h>

/* In memory that ends with the field: reading past it ends the test. */
static int parse(const char *field, size_t n, char out[IDEMKEY_MAX + 1], size_t *len)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, field, n);
    int r = idemkey_parse((struct spop_slice){copy, n}, out, len);
    free(copy);
    return r;
}

static void test_texts(void **state)
{
    static const struct {
        const char *field, *key; /* NULL: refused */
    } cases[] = {
        {"abc",              "abc"      },
        {"\"abc\"",          "abc"      },
        {" \t abc\t ",       "abc"      },
        {" \"abc\" ",        "abc"      },
        {"\" abc\"",         " abc"     },
        {"a b",              "a b"      },
        {"a\\b",             "a\\b"     },
        {"\"a\\\\b\"",       "a\\b"     },
        {"\"a\\\"b\"",       "a\"b"     },
        {"a,b;c=1",          "a,b;c=1"  },
        {"h\xc3\xb6",        "h\xc3\xb6"},
        {"",                 NULL       },
        {" ",                NULL       },
        {"\t\t",             NULL       },
        {"\"\"",             NULL       },
        {"\"  \"",           NULL       },
        {"\"",               NULL       },
        {"\"abc",            NULL       },
        {"abc\"",            NULL       },
        {"a\"b",             NULL       },
        {"\"a\"b\"",         NULL       },
        {"\"abc\";a=1",      NULL       },
        {"\"abc\", \"def\"", NULL       },
        {"\"a\\nb\"",        NULL       },
        {"\"abc\\\"",        NULL       },
        {"\"abc\\",          NULL       },
        {"\"h\xc3\xb6\"",    NULL       },
        {"a\x01z",           NULL       },
        {"a\x1fz",           NULL       },
        {"a\tz",             NULL       },
        {"\"a\tz\"",         NULL       },
        {"a\x7fz",           NULL       },
        {"\"a\x7fz\"",       NULL       },
        {"a\r\nb",           NULL       },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[IDEMKEY_MAX + 1];
        size_t len = 0;
        int r = parse(cases[i].field, strlen(cases[i].field), out, &len);
        assert_int_equal(r, cases[i].key ? 0 : -1);
        if (!cases[i].key)
            continue;
        assert_string_equal(out, cases[i].key);
        assert_int_equal(len, strlen(cases[i].key));
    }
    (void)state;
}

static void test_nul(void **state)
{
    char out[IDEMKEY_MAX + 1];
    size_t len;
    assert_int_equal(parse("a\0b", sizeof "a\0b" - 1, out, &len), -1);
    assert_int_equal(parse("\"a\0b\"", sizeof "\"a\0b\"" - 1, out, &len), -1);
    (void)state;
}

/* Bare, quoted, and quoted with every character escaped: the key's own length counts. */
static void test_lengths(void **state)
{
    char bare[300], quoted[300], escaped[600], out[IDEMKEY_MAX + 1];
    for (size_t n = 254; n <= 256; n++) {
        int wanted = n <= 255 ? 0 : -1;
        size_t len;
        memset(bare, 'k', n);
        memset(quoted, 'k', n + 2);
        quoted[0] = quoted[n + 1] = '"';
        memset(escaped, '\\', 2 * n + 2);
        escaped[0] = escaped[2 * n + 1] = '"';
        assert_int_equal(parse(bare, n, out, &len), wanted);
        if (wanted == 0)
            assert_int_equal(len, n);
        assert_int_equal(parse(quoted, n + 2, out, &len), wanted);
        if (wanted == 0)
            assert_int_equal(len, n);
        assert_int_equal(parse(escaped, 2 * n + 2, out, &len), wanted);
        if (wanted == 0)
            assert_int_equal(strlen(out), n);
    }
    (void)state;
}

static void test_headers(void **state)
{
    static const struct {
        const char *key, *key2; /* NULL: not sent */
        int64_t keys, keys2;
        enum problem problem;
        const char *is;
    } cases[] = {
        {NULL,  NULL,      0, 0, PROBLEM_KEY_MISSING,  NULL },
        {"abc", NULL,      1, 0, PROBLEM_NONE,         "abc"},
        {"abc", NULL,      0, 0, PROBLEM_NONE,         "abc"},
        {NULL,  "abc",     0, 1, PROBLEM_NONE,         "abc"},
        {"abc", "\"abc\"", 1, 1, PROBLEM_NONE,         "abc"},
        {"abc", "abd",     1, 1, PROBLEM_KEY_CONFLICT, NULL },
        {"abc", "abcd",    1, 1, PROBLEM_KEY_CONFLICT, NULL },
        {"abc", NULL,      2, 0, PROBLEM_KEY_CONFLICT, NULL },
        {NULL,  "abc",     0, 2, PROBLEM_KEY_CONFLICT, NULL },
        {"abc", "abc",     1, 2, PROBLEM_KEY_CONFLICT, NULL },
        {"",    NULL,      1, 0, PROBLEM_KEY_INVALID,  NULL },
        {NULL,  NULL,      1, 0, PROBLEM_KEY_INVALID,  NULL },
        {NULL,  NULL,      0, 1, PROBLEM_KEY_INVALID,  NULL },
        {"",    "abc",     1, 1, PROBLEM_KEY_INVALID,  NULL },
        {"abc", "",        1, 1, PROBLEM_KEY_INVALID,  NULL },
        {"abc", "\"",      1, 1, PROBLEM_KEY_INVALID,  NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts f = {.keys = cases[i].keys, .keys2 = cases[i].keys2};
        char out[IDEMKEY_MAX + 1];
        size_t len;
        if (cases[i].key)
            f.key = slice_of(cases[i].key);
        if (cases[i].key2)
            f.key2 = slice_of(cases[i].key2);
        assert_int_equal(idemkey_read(&f, out, &len), cases[i].problem);
        if (cases[i].is)
            assert_string_equal(out, cases[i].is);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
