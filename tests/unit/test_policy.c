// SPDX-License-Identifier: MIT
/* Names, sets of statuses, and what each status means for a key. */
#include "domain/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_hash_is_for_ever(void **state)
{
    (void)state;
    /* In tokens of every agent and version: these numbers must never change. */
    assert_int_equal(policy_hash("payments"), 0x56f3c9a4);
    assert_int_equal(policy_hash("policy-150965"), 0x91a20a32);
    assert_int_not_equal(policy_hash("payments"), policy_hash("payment"));
    assert_int_not_equal(policy_hash(""), policy_hash("a"));
}

static void test_find(void **state)
{
    struct policy p[2] = {
        {.name = "pay",      .hash = 1},
        {.name = "payments", .hash = 2}
    };
    struct config c = {.npolicies = 2, .policies = p};
    (void)state;
    assert_ptr_equal(policy_find(&c, slice_of("pay")), &p[0]);
    assert_ptr_equal(policy_find(&c, slice_of("payments")), &p[1]);
    assert_ptr_equal(policy_find(&c, (struct spop_slice){"payments!", 8}), &p[1]);
    assert_null(policy_find(&c, slice_of("payment")));
    assert_null(policy_find(&c, slice_of("Pay")));
    assert_null(policy_find(&c, slice_of("")));
    assert_null(policy_find(&c, (struct spop_slice){NULL, 0}));
    assert_ptr_equal(policy_by_hash(&c, 2), &p[1]);
    assert_null(policy_by_hash(&c, 3));
    c.npolicies = 0;
    assert_null(policy_find(&c, slice_of("pay")));
    assert_null(policy_by_hash(&c, 1));
}

static bool in_default(unsigned status)
{
    return status >= 200 && status <= 499 && status != 401 && status != 403 && status != 408 &&
           status != 409 && status != 425 && status != 429;
}

static void test_presets(void **state)
{
    struct status_set d, stripe;
    struct spop_slice bad;
    (void)state;
    assert_int_equal(status_set_parse("default", &d, &bad), 0);
    assert_int_equal(status_set_parse("stripe", &stripe, &bad), 0);
    for (unsigned s = 0; s < 1200; s++) {
        assert_int_equal(status_in(&d, s), in_default(s));
        assert_int_equal(status_in(&stripe, s), in_default(s) || s == 500);
    }
}

static unsigned count(const struct status_set *set)
{
    unsigned n = 0;
    for (unsigned s = 0; s < 1200; s++)
        n += status_in(set, s);
    return n;
}

static void test_lists(void **state)
{
    struct status_set s;
    struct spop_slice bad;
    (void)state;
    assert_int_equal(status_set_parse("2xx, 404 ,599", &s, &bad), 0);
    assert_int_equal(count(&s), 102);
    assert_true(status_in(&s, 200) && status_in(&s, 299) && status_in(&s, 404) && status_in(&s, 599));
    assert_false(status_in(&s, 300) || status_in(&s, 199) || status_in(&s, 403));
    assert_int_equal(status_set_parse("409, default", &s, &bad), 0);
    assert_true(status_in(&s, 409) && !status_in(&s, 429));
    assert_int_equal(status_set_parse("", &s, &bad), 0);
    assert_int_equal(count(&s), 0);
    assert_int_equal(status_set_parse("5xx", &s, &bad), 0);
    assert_int_equal(count(&s), 100);
}

static void test_bad_words(void **state)
{
    static const struct {
        const char *text, *bad;
    } tries[] = {
        {"2xx, 9xx", "9xx"    },
        {"2xx,,3xx", ""       },
        {"199",      "199"    },
        {"101",      "101"    },
        {"600",      "600"    },
        {"20",       "20"     },
        {"2000",     "2000"   },
        {"2x1",      "2x1"    },
        {"20x",      "20x"    },
        {"2XX",      "2XX"    },
        {"Default",  "Default"},
        {"200 201",  "200 201"},
        {",",        ""       },
        {"-200",     "-200"   },
    };
    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct status_set s;
        struct spop_slice bad = {0};
        assert_int_equal(status_set_parse(tries[i].text, &s, &bad), -1);
        assert_int_equal(bad.len, strlen(tries[i].bad));
        assert_memory_equal(bad.ptr, tries[i].bad, bad.len);
    }
}

static void test_methods(void **state)
{
    struct idempotency i = {.methods = "POST, PATCH"};
    (void)state;
    assert_true(policy_protects(&i, slice_of("POST")));
    assert_true(policy_protects(&i, slice_of("PATCH")));
    assert_false(policy_protects(&i, slice_of("GET")));
    assert_false(policy_protects(&i, slice_of("POS")));
    assert_false(policy_protects(&i, slice_of("POSTS")));
    assert_false(policy_protects(&i, slice_of("post")));
    assert_false(policy_protects(&i, slice_of("POST, PATCH")));
    assert_false(policy_protects(&i, slice_of("")));
    strcpy(i.methods, "any");
    assert_true(policy_protects(&i, slice_of("GET")));
    assert_true(policy_protects(&i, slice_of("")));
    strcpy(i.methods, "");
    assert_false(policy_protects(&i, slice_of("")));
}

static void classes(const char *store, const char *definite, enum on_unknown on_unknown, unsigned status,
                    enum status_class want)
{
    struct idempotency i = {.on_unknown = on_unknown};
    struct spop_slice bad;
    assert_int_equal(status_set_parse(store, &i.stored, &bad), 0);
    assert_int_equal(status_set_parse(definite, &i.known, &bad), 0);
    assert_int_equal(policy_class(&i, status), want);
}

static void test_classes(void **state)
{
    static const unsigned gateway[] = {500, 502, 503, 504, 507, 520, 524, 599};
    (void)state;
    for (size_t i = 0; i < sizeof gateway / sizeof *gateway; i++) {
        assert_true(status_may_be_unknown(gateway[i]));
        classes("default", "", ON_UNKNOWN_RELEASE, gateway[i], STATUS_RETRYABLE);
        classes("default", "", ON_UNKNOWN_HOLD, gateway[i], STATUS_UNKNOWN);
        classes("default", "5xx", ON_UNKNOWN_HOLD, gateway[i], STATUS_RETRYABLE);
        classes("5xx", "", ON_UNKNOWN_HOLD, gateway[i], STATUS_STORABLE);
    }
    classes("default", "502", ON_UNKNOWN_HOLD, 503, STATUS_UNKNOWN);
    classes("default", "502", ON_UNKNOWN_HOLD, 502, STATUS_RETRYABLE);
    classes("stripe", "", ON_UNKNOWN_RELEASE, 500, STATUS_STORABLE);
    classes("stripe", "", ON_UNKNOWN_HOLD, 502, STATUS_UNKNOWN);
    classes("default", "", ON_UNKNOWN_HOLD, 501, STATUS_RETRYABLE);
    classes("default", "", ON_UNKNOWN_HOLD, 505, STATUS_RETRYABLE);
    classes("default", "", ON_UNKNOWN_HOLD, 429, STATUS_RETRYABLE);
    classes("default", "", ON_UNKNOWN_HOLD, 201, STATUS_STORABLE);
    classes("default", "", ON_UNKNOWN_RELEASE, 404, STATUS_STORABLE);
    classes("default", "", ON_UNKNOWN_HOLD, 101, STATUS_RETRYABLE);
    classes("default", "", ON_UNKNOWN_HOLD, 999, STATUS_RETRYABLE);
    assert_false(status_may_be_unknown(501));
    assert_false(status_may_be_unknown(505));
    assert_false(status_may_be_unknown(600));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_is_for_ever), cmocka_unit_test(test_find),
        cmocka_unit_test(test_presets),          cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bad_words),        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
