// SPDX-License-Identifier: MIT
/* domain/cachestatus: the field of RFC 9211, and that no text gets out of its string. */
#include "tests/unit/headers_bin.h"
#include "domain/cachestatus.h"

static void assert_field(struct cachestatus s, const char *want)
{
    char memory[CACHESTATUS_TEXT];
    struct text t;
    text_init(&t, memory, sizeof memory);
    cachestatus_write(&t, &s);
    assert_string_equal(memory, want);
    assert_false(t.full);
}

static void test_9211_2_1_hit(void **state)
{
    (void)state;
    assert_field((struct cachestatus){.how = CACHESTATUS_HIT}, "once; hit");
    assert_field((struct cachestatus){.how = CACHESTATUS_HIT, .has_ttl = true, .ttl_s = 30},
                 "once; hit; ttl=30");
}

static void test_9211_2_2_forwarded(void **state)
{
    (void)state;
    static const char *const want[] = {
        [CACHESTATUS_HIT] = "once; hit",
        [CACHESTATUS_BYPASS] = "once; fwd=bypass",
        [CACHESTATUS_METHOD] = "once; fwd=method",
        [CACHESTATUS_URI_MISS] = "once; fwd=uri-miss",
        [CACHESTATUS_VARY_MISS] = "once; fwd=vary-miss",
        [CACHESTATUS_MISS] = "once; fwd=miss",
        [CACHESTATUS_REQUEST] = "once; fwd=request",
        [CACHESTATUS_STALE] = "once; fwd=stale",
    };
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
        assert_field((struct cachestatus){.how = i}, want[i]);
}

static void test_9211_2_4_ttl(void **state)
{
    (void)state;
    assert_field((struct cachestatus){.has_ttl = true, .ttl_s = 0}, "once; hit; ttl=0");
    assert_field((struct cachestatus){.has_ttl = true, .ttl_s = -3}, "once; hit; ttl=-3");
    assert_field((struct cachestatus){.has_ttl = true, .ttl_s = INT64_MAX}, "once; hit; ttl=999999999999999");
    assert_field((struct cachestatus){.has_ttl = true, .ttl_s = INT64_MIN},
                 "once; hit; ttl=-999999999999999");
}

static void test_9211_2_3_to_2_6_all_parameters(void **state)
{
    (void)state;
    assert_field((struct cachestatus){.how = CACHESTATUS_MISS, .stored = true}, "once; fwd=miss; stored");
    assert_field((struct cachestatus){.how = CACHESTATUS_STALE,
                                      .fwd_status = 503,
                                      .stored = true,
                                      .collapsed = true,
                                      .has_ttl = true,
                                      .ttl_s = 1,
                                      .detail = S("x")},
                 "once; fwd=stale; fwd-status=503; stored; collapsed; ttl=1; detail=\"x\"");
}

static void test_8941_3_3_3_detail_stays_a_string(void **state)
{
    (void)state;
    assert_field((struct cachestatus){.detail = S("a\"; b=\\")}, "once; hit; detail=\"a\\\"; b=\\\\\"");
    assert_field((struct cachestatus){.detail = S("a\r\nX: 1\t\x7f\x80\xff\0 ~")},
                 "once; hit; detail=\"a??X: 1????? ~\"");
}

/* In every room from nothing to enough: whole parameters, or none. */
static void test_what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    static const char *const left[] = {"",
                                       "once",
                                       "once; hit",
                                       "once; hit; stored",
                                       "once; hit; stored; ttl=1234",
                                       "once; ttl=1234",
                                       "once; hit; ttl=1234",
                                       "once; hit; stored; ttl=1234; detail=\"\\\"\""};
    struct cachestatus s = {.stored = true, .has_ttl = true, .ttl_s = 1234, .detail = S("\"")};
    for (size_t cap = 1; cap <= 41; cap++) {
        char *memory = malloc(cap);
        struct text t;
        assert_non_null(memory);
        text_init(&t, memory, cap);
        cachestatus_write(&t, &s);
        bool known = false;
        for (size_t i = 0; i < sizeof left / sizeof *left; i++)
            known |= strcmp(memory, left[i]) == 0;
        assert_true(known);
        assert_int_equal(strlen(memory), t.len);
        if (cap == 41)
            assert_string_equal(memory, left[7]);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9211_2_1_hit),
        cmocka_unit_test(test_9211_2_2_forwarded),
        cmocka_unit_test(test_9211_2_4_ttl),
        cmocka_unit_test(test_9211_2_3_to_2_6_all_parameters),
        cmocka_unit_test(test_8941_3_3_3_detail_stays_a_string),
        cmocka_unit_test(test_what_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
