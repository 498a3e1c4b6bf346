// SPDX-License-Identifier: MIT
/* domain/cachecontrol, each requirement by its section. */
#include "tests/unit/headers_bin.h"
#include "domain/cachecontrol.h"

#include <stdio.h>

static struct cachecontrol read_lines(const char *lines)
{
    struct cachecontrol cc;
    struct spop_slice h = headers_new(lines);
    assert_int_equal(cachecontrol_read(h, &cc), 0);
    headers_free(h);
    return cc;
}

static const uint32_t most = UINT32_C(1) << 31;

static void assert_seconds(const char *lines, enum cc_directive d, uint32_t seconds)
{
    struct cachecontrol cc = read_lines(lines);
    assert_true(cc_said(&cc, d));
    assert_int_equal(cc.seconds[d], seconds);
}

static void test_9111_5_2_every_directive(void **state)
{
    (void)state;
#define X(symbol, directive, kind, rubbish)                                                                  \
    {                                                                                                        \
        struct cachecontrol cc = read_lines("Cache-Control: " directive "\n");                               \
        assert_true(cc.there);                                                                               \
        assert_int_equal(cc.said, 1u << CC_##symbol);                                                        \
    }
    CACHECONTROL_TABLE(X)
#undef X
}

static void test_9111_5_2_case_lines_and_unknown_ones(void **state)
{
    (void)state;
    struct cachecontrol cc = read_lines("Cache-Control: foo, NO-Store , bar=1\nx: y\nCACHE-control: "
                                        "Max-Age=5,no-storex, no-stor,x-private=1\n");
    assert_int_equal(cc.said, 1u << CC_NO_STORE | 1u << CC_MAX_AGE);
    assert_int_equal(cc.seconds[CC_MAX_AGE], 5);
    cc = read_lines("Cache-Control:\n");
    assert_true(cc.there);
    assert_int_equal(cc.said, 0);
    cc = read_lines("x-cache-control: no-store\n");
    assert_false(cc.there);
    assert_int_equal(cc.said, 0);
}

static void test_9111_5_2_quoted_strings(void **state)
{
    (void)state;
    assert_seconds("Cache-Control: max-age=\"60\"\n", CC_MAX_AGE, 60);
    struct cachecontrol cc =
        read_lines("Cache-Control: foo=\"no-store, max-age=9\", private=\"set-cookie, x\", no-cache=\"a\"\n");
    assert_int_equal(cc.said, 1u << CC_PRIVATE | 1u << CC_NO_CACHE);
    cc = read_lines("Cache-Control: foo=\"a\nCache-Control: b\", no-store\n");
    assert_true(cc_said(&cc, CC_NO_STORE));
    cc = read_lines("Cache-Control: foo=\"a, no-store\n");
    assert_true(cc_said(&cc, CC_NO_STORE));
}

static void test_9111_1_2_2_overflow(void **state)
{
    (void)state;
    assert_seconds("Cache-Control: max-age=2147483647\n", CC_MAX_AGE, most - 1);
    assert_seconds("Cache-Control: max-age=2147483648\n", CC_MAX_AGE, most);
    assert_seconds("Cache-Control: max-age=2147483649\n", CC_MAX_AGE, most);
    assert_seconds("Cache-Control: s-maxage=99999999999999999999\n", CC_S_MAXAGE, most);
}

static void test_9111_4_2_1_rubbish_permits_least(void **state)
{
    (void)state;
    static const char *const rubbish[] = {"=",   "=-1", "=1.5", "=1s", "=\"\"",   "=\"1", "='1'",
                                          "= 1", " =1", "=1 1", "=+1", "=\" 1\"", "==1"};
    static const struct {
        const char *name;
        enum cc_directive d;
        uint32_t seconds;
    } all[] = {
        {"max-age",                CC_MAX_AGE,                0   },
        {"s-maxage",               CC_S_MAXAGE,               0   },
        {"min-fresh",              CC_MIN_FRESH,              most},
        {"stale-if-error",         CC_STALE_IF_ERROR,         0   },
        {"stale-while-revalidate", CC_STALE_WHILE_REVALIDATE, 0   },
    };
    char line[80];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t k = 0; k < sizeof rubbish / sizeof *rubbish; k++) {
            snprintf(line, sizeof line, "Cache-Control: %s%s\n", all[i].name, rubbish[k]);
            assert_seconds(line, all[i].d, all[i].seconds);
        }
}

static void test_9111_4_2_1_duplicates(void **state)
{
    (void)state;
    assert_seconds("Cache-Control: max-age=5, max-age=5\n", CC_MAX_AGE, 5);
    assert_seconds("Cache-Control: max-age=5, max-age=6\n", CC_MAX_AGE, 0);
    assert_seconds("Cache-Control: max-age=6\nCache-Control: max-age=5\n", CC_MAX_AGE, 0);
    assert_seconds("Cache-Control: max-age=5, max-age=6, max-age=6\n", CC_MAX_AGE, 0);
    assert_seconds("Cache-Control: max-age=5, max-age=x\n", CC_MAX_AGE, 0);
    assert_seconds("Cache-Control: min-fresh=5, min-fresh=6\n", CC_MIN_FRESH, most);
}

static void test_9111_5_2_1_2_max_stale(void **state)
{
    (void)state;
    assert_seconds("Cache-Control: max-stale\n", CC_MAX_STALE, most);
    assert_seconds("Cache-Control: max-stale=5\n", CC_MAX_STALE, 5);
    assert_seconds("Cache-Control: max-stale=\n", CC_MAX_STALE, 0);
    assert_seconds("Cache-Control: max-stale=x\n", CC_MAX_STALE, 0);
    assert_seconds("Cache-Control: max-stale, max-stale=5\n", CC_MAX_STALE, 0);
}

static void test_9111_5_4_pragma(void **state)
{
    (void)state;
    assert_true(read_lines("Pragma: no-cache\n").pragma);
    assert_true(read_lines("pragma: x, No-Cache\n").pragma);
    assert_false(read_lines("Pragma: no-cachex\n").pragma);
    assert_false(read_lines("Pragma: x=\"no-cache\"\n").pragma);
    assert_false(read_lines("Pragma: no-cache\nCache-Control: max-age=5\n").pragma);
    assert_false(read_lines("Cache-Control:\nPragma: no-cache\n").pragma);
    assert_int_equal(read_lines("Pragma: no-cache\n").said, 0);
}

static void test_malformed_headers_say_nothing(void **state)
{
    (void)state;
    struct spop_slice h = headers_new("Cache-Control: max-age=5\n");
    for (size_t len = 0; len < h.len; len++) {
        struct cachecontrol cc;
        struct spop_slice cut = exact_copy(h.ptr, len);
        assert_int_equal(cachecontrol_read(cut, &cc), -1);
        assert_int_equal(cc.said, 0);
        assert_false(cc.there);
        headers_free(cut);
    }
    headers_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9111_5_2_every_directive),
        cmocka_unit_test(test_9111_5_2_case_lines_and_unknown_ones),
        cmocka_unit_test(test_9111_5_2_quoted_strings),
        cmocka_unit_test(test_9111_1_2_2_overflow),
        cmocka_unit_test(test_9111_4_2_1_rubbish_permits_least),
        cmocka_unit_test(test_9111_4_2_1_duplicates),
        cmocka_unit_test(test_9111_5_2_1_2_max_stale),
        cmocka_unit_test(test_9111_5_4_pragma),
        cmocka_unit_test(test_malformed_headers_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
