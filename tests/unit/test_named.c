// SPDX-License-Identifier: MIT
/* domain/named: who says what a client said means the record that the client's request means. */
#include "tests/unit/heart.h"
#include "domain/named.h"
#include "domain/plan.h"

static struct policy policies[4];
static const struct config config = {.npolicies = 4, .policies = policies};

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        policies[i] = policy_payments();
    strcpy(policies[1].name, "nobody");
    strcpy(policies[1].idempotency.principal, "none");
    strcpy(policies[2].name, "address");
    strcpy(policies[2].idempotency.principal, "ip");
    policies[2].idempotency.scope = KEY_SCOPE_PATH;
    strcpy(policies[3].name, "limits");
    policies[3].idempotency.enabled = false;
    return 0;
}

/* What a request of a client leads to. */
static struct plan planned(const char *policy, const char *key)
{
    struct request_facts f = {
        .policy = slice_of(policy),
        .rid = S("1"),
        .process = S("1.2"),
        .method = S("POST"),
        .host = S("Shop.Example"),
        .path = S("/a"),
        .key = slice_of(key),
        .keys = 1,
        .sha = {"01234567890123456789012345678901", 32                              },
        .content_length = 0,
        .src = {.type = SPOP_IPV4,                  .bytes = {"\xc0\x00\x02\x07", 4}},
        .nextra = 1,
    };
    struct plan out;
    f.extra[0] = (struct spop_arg){
        S("user"), {.type = SPOP_STR, .bytes = S("alice")}
    };
    plan_request(&config, &f, 15000, &out);
    assert_true(out.has_record);
    return out;
}

static void assert_means(const struct naming *n, const char *key)
{
    struct named out;
    const char *why;
    struct plan p = planned(n->policy, key);
    if (!named_find(&config, n, &out, &why))
        fail_msg("%s", why);
    assert_true(out.has_id);
    assert_memory_equal(&out.id, &p.id, sizeof p.id);
    if (out.has_who)
        assert_memory_equal(out.who, p.who, sizeof p.who);
    assert_string_equal(out.policy->name, n->policy);
}

static void the_same_record(void **state)
{
    (void)state;
    assert_means(&(struct naming){.policy = "payments", .principal = "alice", .key = "k1"}, "k1");
    assert_means(&(struct naming){.policy = "payments", .principal = "alice", .key = "\"k1\""}, "k1");
    assert_means(&(struct naming){.policy = "payments", .principal = "alice", .key = "k1"}, "\"k1\"");
    assert_means(&(struct naming){.policy = "nobody", .key = "k1"}, "k1");
    assert_means(
        &(struct naming){
            .policy = "address",
            .principal = "192.0.2.7",
            .key = "k1",
            .host = "shop.example",
            .path = "/a",
            .address = {.type = SPOP_IPV4, .bytes = {"\xc0\x00\x02\x07", 4}}
    },
        "k1");
}

static void assert_refused(const struct naming *n, const char *says)
{
    struct named out;
    const char *why = "";
    assert_false(named_find(&config, n, &out, &why));
    if (!strstr(why, says))
        fail_msg("'%s' does not say '%s'", why, says);
}

static void what_is_missing(void **state)
{
    (void)state;
    assert_refused(&(struct naming){.policy = "other", .key = "k"}, "no such policy");
    assert_refused(&(struct naming){.policy = "limits", .key = "k"}, "no such policy");
    assert_refused(&(struct naming){.key = "k"}, "without its policy");
    assert_refused(&(struct naming){.principal = "k"}, "without its policy");
    assert_refused(&(struct naming){.policy = "payments", .key = "k"}, "say which");
    assert_refused(&(struct naming){.policy = "payments", .principal = "", .key = "k"},
                   "principal is missing");
    assert_refused(&(struct naming){.policy = "nobody", .principal = "alice", .key = "k"}, "nobody");
    assert_refused(&(struct naming){.policy = "nobody", .key = ""}, "no client");
    assert_refused(&(struct naming){.policy = "nobody", .key = "a\nb"}, "no client");
    assert_refused(&(struct naming){.policy = "address", .principal = "alice", .key = "k"}, "an address");
    struct naming n = {
        .policy = "address",
        .principal = "192.0.2.7",
        .key = "k",
        .address = {.type = SPOP_IPV4, .bytes = {"\xc0\x00\x02\x07", 4}}
    };
    assert_refused(&n, "a host");
    n.host = "shop.example";
    assert_refused(&n, "a path");
}

static void a_policy_or_a_principal(void **state)
{
    struct named out;
    const char *why;
    (void)state;
    assert_true(named_find(&config, &(struct naming){0}, &out, &why));
    assert_null(out.policy);
    assert_true(named_find(&config, &(struct naming){.policy = "payments"}, &out, &why));
    assert_ptr_equal(out.policy, &policies[0]);
    assert_false(out.has_who || out.has_id);
    assert_true(
        named_find(&config, &(struct naming){.policy = "payments", .principal = "alice"}, &out, &why));
    assert_true(out.has_who && !out.has_id);
    assert_memory_equal(out.who, planned("payments", "k").who, sizeof out.who);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_record), cmocka_unit_test(what_is_missing),
                                       cmocka_unit_test(a_policy_or_a_principal)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
