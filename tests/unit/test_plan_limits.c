// SPDX-License-Identifier: MIT
/* domain/plan: what a limit costs and at which pace, shadows, and requests that are only counted. */
#include "tests/unit/heart.h"
#include "domain/plan.h"

static struct request_facts facts_quote(void)
{
    struct request_facts f = {
        .policy = S("payments"),
        .method = S("GET"),
        .src = {.type = SPOP_IPV4, .bytes = {"\xc0\x00\x02\x07", 4}},
    };
    return f;
}

static void carry(struct request_facts *f, const char *name, struct spop_value v)
{
    f->extra[f->nextra++] = (struct spop_arg){
        .name = {name, strlen(name)},
          .value = v
    };
}

static struct spop_value text(const char *s)
{
    return (struct spop_value){
        .type = SPOP_STR, .bytes = {s, strlen(s)}
    };
}

static struct spop_value integer(int64_t v)
{
    return (struct spop_value){.type = SPOP_INT64, .integer = v};
}

static void plan_with(struct policy *p, const struct request_facts *f, struct plan *out)
{
    struct config c = {.npolicies = 1, .policies = p};
    memset(out, 0xee, sizeof *out);
    plan_request(&c, f, 15360, out);
}

static void charge_with(struct policy *p, const struct request_facts *f, struct plan *out)
{
    struct config c = {.npolicies = 1, .policies = p};
    memset(out, 0xee, sizeof *out);
    plan_charge(&c, f, out);
}

/* R10: whole numbers, of any integer type or as decimal text; missing is 1. */
static void test_cost(void **state)
{
    static const struct {
        const char *text; /* NULL: the number */
        int64_t number;
        bool taken;
        uint32_t cost;
    } cases[] = {
        {"5",                                0,          true,  5},
        {"007",                              0,          true,  7},
        {"0",                                0,          true,  0},
        {"6",                                0,          true,  6},
        {"7",                                0,          true,  7},
        {"2147483647",                       0,          true,  7},
        {"99999999999999999999999999999999", 0,          true,  7},
        {NULL,                               3,          true,  3},
        {NULL,                               0,          true,  0},
        {NULL,                               4294967295, true,  7},
        {NULL,                               4294967296, true,  7},
        {NULL,                               -1,         false, 0},
        {"-1",                               0,          false, 0},
        {"+1",                               0,          false, 0},
        {"1.5",                              0,          false, 0},
        {"1 ",                               0,          false, 0},
        {"",                                 0,          false, 0},
        {"ten",                              0,          false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy p = policy_payments();
        struct request_facts f = facts_quote();
        struct plan out;
        p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
        strcpy(p.limits[0].cost, "cost");
        carry(&f, "cost", cases[i].text ? text(cases[i].text) : integer(cases[i].number));
        plan_with(&p, &f, &out);
        assert_int_equal(out.kind, cases[i].taken ? PLAN_CLAIM : PLAN_DENY);
        if (cases[i].taken) {
            assert_int_equal(out.limits[0].cost, cases[i].cost);
            assert_int_equal(plan_never_passes(&out.limits[0]), cases[i].cost > 6);
            continue;
        }
        assert_int_equal(out.problem, PROBLEM_UNAVAILABLE);
        assert_string_equal(out.lacks, "cost");
        p.limits[0].shadow = true; /* R11: it only looks then */
        plan_with(&p, &f, &out);
        assert_int_equal(out.kind, PLAN_CLAIM);
        assert_int_equal(out.limits[0].cost, 0);
        assert_string_equal(out.lacks, "cost");
    }
    (void)state;
}

/* R10: whatever it costs, at whatever pace: what is over a limit never passes, and all that Redis reckons with it is exact. */
static void test_cost_is_exact(void **state)
{
    static const uint32_t quotas[] = {1, 3, 10, 70001, 1000000}, windows[] = {1, 7, 60, 86400, 2592000};
    static const double exact_us = 9007199254740992.0 / 10;
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas * sizeof windows / sizeof *windows; i++) {
        struct policy p = policy_payments();
        struct plan out;
        p.limits[p.nlimits++] = limit_of("a", quotas[i / 5], windows[i % 5], "ip", NULL);
        strcpy(p.limits[0].cost, "cost");
        const uint32_t burst = p.limits[0].pace.burst;
        const int64_t costs[] = {0,       1,          burst - 1,  burst,           burst + 1,
                                 1043000, 2147483647, 2147483648, INT64_C(1) << 40};
        for (size_t n = 0; n < sizeof costs / sizeof *costs; n++) {
            struct request_facts f = facts_quote();
            carry(&f, "cost", integer(costs[n]));
            plan_with(&p, &f, &out);
            const struct plan_limit *l = &out.limits[0];
            assert_int_equal(plan_never_passes(l), costs[n] > burst);
            assert_int_equal(l->cost, costs[n] > burst ? burst + 1 : costs[n]);
            assert_true(l->limit->most + l->cost * l->pace->increment < exact_us);
        }
    }
    (void)state;
}

static void test_cost_missing(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_quote();
    struct plan out;
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    strcpy(p.limits[0].cost, "cost");
    plan_with(&p, &f, &out);
    assert_int_equal(out.limits[0].cost, 1);
    carry(&f, "cost", (struct spop_value){.type = SPOP_NULL});
    plan_with(&p, &f, &out);
    assert_int_equal(out.limits[0].cost, 1);
    assert_null(out.lacks);
    (void)state;
}

/* R4: the tier that the request names, by its whole name; else the limit's own pace. One subject for all. */
static void test_tiers(void **state)
{
    static const struct {
        const char *tier;
        uint32_t quota;
    } cases[] = {
        {"gold",   1000},
        {"silver", 100 },
        {"GOLD",   6   },
        {"gol",    6   },
        {"golds",  6   },
        {"",       6   },
        {NULL,     6   },
    };
    struct policy p = policy_payments();
    struct record_id first;
    struct plan out;
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    struct limit *l = &p.limits[0];
    strcpy(l->tier, "plan");
    strcpy(l->tiers[l->ntiers++].name, "gold");
    strcpy(l->tiers[l->ntiers++].name, "silver");
    l->tiers[0].pace.burst = l->tiers[1].pace.burst = 100;
    l->tiers[0].pace.quota = 1000;
    l->tiers[1].pace.quota = 100;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts f = facts_quote();
        if (cases[i].tier)
            carry(&f, "plan", text(cases[i].tier));
        plan_with(&p, &f, &out);
        assert_int_equal(out.limits[0].pace->quota, cases[i].quota);
        if (i == 0)
            first = out.limits[0].subject;
        assert_memory_equal(&first, &out.limits[0].subject, sizeof first);
    }
    (void)state;
}

/* R11, R13: a shadow never stands in the way, not even when its argument is missing or Redis is. */
static void test_shadow(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_quote();
    struct plan out;
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    p.limits[p.nlimits++] = limit_of("b", 6, 60, "nobody", NULL);
    p.limits[1].shadow = true;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_int_equal(out.nlimits, 1);
    assert_string_equal(out.lacks, "nobody");
    carry(&f, "nobody", text("n"));
    plan_with(&p, &f, &out);
    assert_int_equal(out.nlimits, 2);
    assert_false(plan_fails_open(&out));
    p.limits[0].fail_open = true;
    assert_true(plan_fails_open(&out));
    (void)state;
}

/* R19: what the agent refuses for what it says is counted where a limit counts all, without a record. */
static void test_refused_and_counted(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_quote();
    struct plan out;
    f.method = S("POST"); /* protected, and without a key */
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    plan_with(&p, &f, &out);
    assert_int_equal(out.problem, PROBLEM_KEY_MISSING);
    assert_false(out.count_only);
    p.limits[p.nlimits++] = limit_of("b", 6, 60, "ip", NULL);
    p.limits[1].charge = CHARGE_ALL;
    p.counts_all = true;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    assert_int_equal(out.problem, PROBLEM_KEY_MISSING);
    assert_true(out.count_only && out.counts_all && !out.has_record);
    assert_int_equal(out.nlimits, 2); /* both are one group */
    f.key = S("k");
    f.keys = 1; /* the principal is missing: behind the key */
    plan_with(&p, &f, &out);
    assert_int_equal(out.problem, PROBLEM_PRINCIPAL_MISSING);
    assert_true(out.count_only && !out.has_record);
    carry(&f, "user", text("alice")); /* rid is missing: the site's mistake, not the client's */
    plan_with(&p, &f, &out);
    assert_int_equal(out.problem, PROBLEM_UNAVAILABLE);
    assert_false(out.count_only);
    f = facts_quote(); /* not protected: an ordinary claim */
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_true(out.counts_all && !out.count_only);
    (void)state;
}

static void test_charge(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_quote();
    struct plan out;
    f.method = S("POST");
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    charge_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_PASS); /* nothing counts it */
    p.limits[0].charge = CHARGE_ALL;
    charge_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_true(out.count_only && !out.has_record);
    strcpy(p.limits[0].terms[0], "nobody");
    charge_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    f.policy = S("other");
    charge_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    assert_non_null(out.detail);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_cost_missing),
        cmocka_unit_test(test_cost_is_exact),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_charge),
        cmocka_unit_test(test_refused_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
