// SPDX-License-Identifier: MIT
/* domain/text and domain/problem: bounds of each put, escaping, and bodies that stay well-formed when full.
 */
#include "tests/unit/heart.h"
#include "domain/problem.h"

#include <jansson.h>

static void test_text_bounds(void **state)
{
    for (size_t cap = 4; cap <= 6; cap++) {
        char *memory = test_malloc(cap);
        struct text t;
        text_init(&t, memory, cap);
        text_put(&t, "abcd", 4); /* and a NUL */
        assert_int_equal(t.full, cap < 5);
        assert_string_equal(t.at, cap < 5 ? "" : "abcd");
        test_free(memory);
    }
    char one[1];
    struct text t;
    text_init(&t, one, 1);
    text_str(&t, "");
    assert_false(t.full);
    text_put(&t, "a", 1);
    assert_true(t.full);
    text_cut(&t, 0);
    assert_false(t.full);
    (void)state;
}

static void test_text_decimal(void **state)
{
    static const struct {
        int64_t v;
        const char *is;
    } cases[] = {
        {0,         "0"                   },
        {9,         "9"                   },
        {10,        "10"                  },
        {-1,        "-1"                  },
        {INT64_MAX, "9223372036854775807" },
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char memory[24];
        struct text t;
        text_init(&t, memory, sizeof memory);
        text_dec(&t, cases[i].v);
        assert_string_equal(memory, cases[i].is);
    }
    (void)state;
}

static void test_table(void **state)
{
    static const struct {
        enum problem problem;
        unsigned status;
        const char *word;
    } cases[] = {
        {PROBLEM_NONE,              0,   ""                  },
        {PROBLEM_KEY_MISSING,       400, "key-missing"       },
        {PROBLEM_KEY_INVALID,       400, "key-invalid"       },
        {PROBLEM_KEY_CONFLICT,      400, "key-conflict"      },
        {PROBLEM_PRINCIPAL_MISSING, 400, "principal-missing" },
        {PROBLEM_BODY_TOO_LARGE,    413, "body-too-large"    },
        {PROBLEM_IN_PROGRESS,       409, "in-progress"       },
        {PROBLEM_MISMATCH,          422, "mismatch"          },
        {PROBLEM_NOT_STORED,        409, "outcome-not-stored"},
        {PROBLEM_OUTCOME_UNKNOWN,   409, "outcome-unknown"   },
        {PROBLEM_LIMITED,           429, "rate-limited"      },
        {PROBLEM_UNAVAILABLE,       503, "unavailable"       },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(problem_status(cases[i].problem), cases[i].status);
        assert_string_equal(problem_word(cases[i].problem), cases[i].word);
        assert_int_equal(problem_title(cases[i].problem)[0] == '\0', i == 0);
    }
    (void)state;
}

static void test_body(void **state)
{
    char memory[PROBLEM_BODY];
    struct text t;
    problem_begin(&t, memory, "https://example.com/p#", PROBLEM_IN_PROGRESS, NULL);
    problem_end(&t);
    assert_string_equal(memory,
                        "{\"type\":\"https://example.com/p#in-progress\",\"title\":\"A request with this "
                        "key is in progress\",\"status\":409}");
    assert_int_equal(t.len, strlen(memory));
    (void)state;
}

static void test_escapes(void **state)
{
    char memory[PROBLEM_BODY];
    struct text t;
    problem_begin(&t, memory, "", PROBLEM_IN_PROGRESS, "a\"b\\c");
    problem_string(&t, "x", S("\x00\x1f \x7e\x7f\xe4/\xff"));
    problem_end(&t);
    assert_non_null(strstr(memory, "\"detail\":\"a\\\"b\\\\c\""));
    assert_non_null(strstr(memory, "\"x\":\"\\u0000\\u001f ~\\u007f\\u00e4/\\u00ff\""));
    for (size_t i = 0; i < t.len; i++)
        assert_in_range((unsigned char)memory[i], 0x20, 0x7e);
    (void)state;
}

static const char *item(const void *arg, unsigned i)
{
    return ((const char *const *)arg)[i];
}

static void test_lists(void **state)
{
    static const char *const some[] = {NULL, "a", NULL, "b\""}, *const none[] = {NULL, NULL};
    char memory[PROBLEM_BODY];
    struct text t;
    problem_begin(&t, memory, "", PROBLEM_LIMITED, NULL);
    problem_list(&t, "some", item, some, 4);
    problem_list(&t, "none", item, none, 2);
    problem_end(&t);
    assert_non_null(strstr(memory, "\"some\":[\"a\",\"b\\\"\"],\"none\":[]}"));
    (void)state;
}

/* A member of every length around the bound: it is there whole or not at all, and the next one still fits. */
static void test_full(void **state)
{
    static char filler[PROBLEM_BODY + 10];
    unsigned whole = 0;
    size_t longest = 0;
    memset(filler, 'f', sizeof filler);
    for (size_t n = 0; n < sizeof filler; n++) {
        char memory[PROBLEM_BODY];
        struct text t;
        problem_begin(&t, memory, "https://example.com/p#", PROBLEM_NOT_STORED, "detail");
        problem_string(&t, "location", (struct spop_slice){filler, n});
        problem_integer(&t, "n", 7);
        problem_end(&t);
        assert_false(t.full);
        assert_true(t.len < PROBLEM_BODY);
        assert_int_equal(memory[t.len], '\0');
        json_t *json = json_loadb(memory, t.len, 0, NULL);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "status")), 409);
        const char *location = json_string_value(json_object_get(json, "location"));
        if (location) {
            assert_int_equal(strlen(location), n);
            assert_int_equal(whole, n);
            whole++;
        }
        longest = t.len > longest ? t.len : longest;
        json_decref(json);
    }
    assert_in_range(whole, 700, PROBLEM_BODY);
    assert_int_equal(longest, PROBLEM_BODY - 1);
    (void)state;
}

/* The longest base that a configuration may have, all of it to be escaped. */
static void test_longest_base(void **state)
{
    char base[256], memory[PROBLEM_BODY];
    struct text t;
    memset(base, '\x01', 255);
    base[255] = '\0';
    problem_begin(&t, memory, base, PROBLEM_UNAVAILABLE, "detail");
    problem_end(&t);
    json_t *json = json_loadb(memory, t.len, 0, NULL);
    assert_non_null(json);
    assert_null(json_object_get(json, "type"));
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 503);
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "detail");
    json_decref(json);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_bounds), cmocka_unit_test(test_text_decimal), cmocka_unit_test(test_table),
        cmocka_unit_test(test_body),        cmocka_unit_test(test_escapes),      cmocka_unit_test(test_lists),
        cmocka_unit_test(test_full),        cmocka_unit_test(test_longest_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
