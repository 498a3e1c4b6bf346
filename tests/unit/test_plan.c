// SPDX-License-Identifier: MIT
/* domain/plan and domain/fingerprint: which requests pass, are refused or claim, in that order of reasons. */
#include "tests/unit/heart.h"
#include "domain/fingerprint.h"
#include "domain/plan.h"

enum { LIMIT = 15360 }; /* HAProxy's default: bufsize 16384 less maxrewrite 1024 */

static const char sha[33] = "\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab"
                            "\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab";

static struct request_facts facts_payment(void)
{
    struct request_facts f = {
        .policy = S("payments"),
        .rid = S("9f0c"),
        .process = S("77.1700000000000000.gw"),
        .method = S("POST"),
        .host = S("Shop.Example"),
        .path = S("/payments"),
        .query = S("a=1"),
        .type = S("application/json"),
        .key = S("\"k1\""),
        .keys = 1,
        .sha = {sha,               32                              },
        .body_len = 1000,
        .content_length = 1000,
        .head_len = 300,
        .src = {.type = SPOP_IPV4, .bytes = {"\xc0\x00\x02\x07", 4}},
        .nextra = 1,
    };
    f.extra[0] = (struct spop_arg){
        S("user"), {.type = SPOP_STR, .bytes = S("alice")}
    };
    return f;
}

static void plan_with(struct policy *p, const struct request_facts *f, struct plan *out)
{
    struct config c = {.npolicies = 1, .policies = p};
    memset(out, 0xee, sizeof *out);
    plan_request(&c, f, LIMIT, out);
}

static void assert_denied(struct policy *p, const struct request_facts *f, enum problem problem)
{
    struct plan out;
    plan_with(p, f, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    assert_int_equal(out.problem, problem);
    if (problem == PROBLEM_UNAVAILABLE)
        assert_non_null(out.detail);
}

static void assert_claims(struct policy *p, const struct request_facts *f, bool record)
{
    struct plan out;
    plan_with(p, f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_int_equal(out.has_record, record);
}

static void test_claim(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_int_equal(out.problem, PROBLEM_NONE);
    assert_ptr_equal(out.policy, &p);
    assert_true(out.has_record);
    assert_string_equal(out.key, "k1");
    assert_int_equal(out.key_len, 2);
    assert_string_equal(out.process, "77.1700000000000000.gw");
    assert_int_equal(out.nlimits, 0);
    assert_hex(out.id.digest, 16, "212bf047db51429f3cf09c7330b33933");
    assert_hex(out.id.tag, 2, "2105");
    assert_hex(out.fingerprint, 16, "5a2cb5f144d9021bacec04430de1d008");
    assert_hex(out.rid, 8, "f248e153ad6ce31d");
    (void)state;
}

static void test_policy_unknown(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    f.policy = S("payment");
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    plan_with(&p, &f, &out);
    assert_null(out.policy);
    (void)state;
}

static void test_not_protected(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    f.method = S("GET");
    f.key = (struct spop_slice){0};
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_PASS);
    assert_ptr_equal(out.policy, &p);
    f = facts_payment();
    f.method = S("GET");
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_PASS);
    assert_int_equal(out.key_len, 0);
    strcpy(p.idempotency.methods, "any");
    assert_claims(&p, &f, true);
    p.idempotency.enabled = false;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_PASS);
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "ip", NULL);
    assert_claims(&p, &f, false);
    (void)state;
}

static void test_key(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    f.key = S("\"");
    assert_denied(&p, &f, PROBLEM_KEY_INVALID);
    plan_with(&p, &f, &out);
    assert_string_equal(out.key, "");
    f.keys = 2;
    assert_denied(&p, &f, PROBLEM_KEY_CONFLICT);
    f.keys = 1;
    f.key = S("k1");
    f.key2 = S("k2");
    assert_denied(&p, &f, PROBLEM_KEY_CONFLICT);
    plan_with(&p, &f, &out);
    assert_string_equal(out.key, "");
    f.key2 = (struct spop_slice){0};
    f.key = (struct spop_slice){0};
    f.keys = 0;
    assert_denied(&p, &f, PROBLEM_KEY_MISSING);
    p.idempotency.required = false;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_PASS);
    assert_false(out.has_record);
    f.key = S("");
    f.keys = 1;
    assert_denied(&p, &f, PROBLEM_KEY_INVALID); /* not required, but sent: must be right */
    f.key = (struct spop_slice){0};
    f.keys = 0;
    f.rid = f.process = f.sha = (struct spop_slice){0};
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "user", NULL);
    assert_claims(&p, &f, false);
    (void)state;
}

static void test_order_of_reasons(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    f.body_len = 999;
    assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    f.process = (struct spop_slice){0};
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    f.nextra = 0;
    assert_denied(&p, &f, PROBLEM_PRINCIPAL_MISSING);
    f.key = S("\"");
    assert_denied(&p, &f, PROBLEM_KEY_INVALID);
    (void)state;
}

static void test_owner(void **state)
{
    char process[PLAN_PROCESS_MAX + 1];
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    f.rid = (struct spop_slice){0};
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    f = facts_payment();
    f.lost = f.rid;
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    f = facts_payment();
    f.process = (struct spop_slice){0};
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    p.idempotency.inflight = INFLIGHT_LEASE;
    assert_claims(&p, &f, true);
    memset(process, 'p', sizeof process);
    for (size_t n = PLAN_PROCESS_MAX - 1; n <= PLAN_PROCESS_MAX + 1; n++) {
        f.process = (struct spop_slice){process, n};
        if (n > PLAN_PROCESS_MAX) {
            assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
            continue;
        }
        plan_with(&p, &f, &out);
        assert_int_equal(strlen(out.process), n);
    }
    (void)state;
}

static void test_body_with_length(void **state)
{
    static const struct {
        int64_t body, length;
        bool whole;
    } cases[] = {
        {999,   1000,  false},
        {1000,  1000,  true },
        {1001,  1000,  false},
        {0,     0,     true },
        {15200, 15200, true }, /* the length is proof, however full the buffer */
    };
    struct policy p = policy_payments();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts f = facts_payment();
        f.body_len = cases[i].body;
        f.content_length = cases[i].length;
        if (cases[i].whole)
            assert_claims(&p, &f, true);
        else
            assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    }
    (void)state;
}

/* line + body + 2 * head + 512 <= 15360; the line is host, path and query: 12 + 9 + 3 */
static void test_body_without_length(void **state)
{
    static const struct {
        int64_t body, head;
        bool whole;
    } cases[] = {
        {14223,     300,       true },
        {14224,     300,       true },
        {14225,     300,       false},
        {0,         7412,      true },
        {0,         7413,      false},
        {0,         0,         true },
        {14824,     0,         true },
        {14825,     0,         false},
        {INT64_MAX, INT64_MAX, false},
    };
    struct policy p = policy_payments();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts f = facts_payment();
        f.body_len = cases[i].body;
        f.head_len = cases[i].head;
        f.content_length = -1;
        if (cases[i].whole)
            assert_claims(&p, &f, true);
        else
            assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    }
    assert_true(body_fits(0, 0, 512));
    assert_false(body_fits(0, 0, 511));
    assert_false(body_fits(-1, 0, LIMIT));
    assert_false(body_fits(0, -1, LIMIT));
    (void)state;
}

/* HAProxy 2.6 held 9201 bytes of a chunked body behind a path of 6001: a part, however much room there seems.
 */
static void test_body_behind_long_line(void **state)
{
    static char path[20000];
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    memset(path, 'u', sizeof path);
    f.content_length = -1;
    f.head_len = 39;
    f.host = S("a");
    f.query = (struct spop_slice){0};
    f.path = (struct spop_slice){path, 6001};
    f.body_len = 9201;
    assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    f.body_len = 15360 - 512 - 2 * 39 - 6002;
    assert_claims(&p, &f, true);
    f.query = S("q");
    assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    f.query = (struct spop_slice){0};
    f.host = S("ab");
    assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    f.path.len = sizeof path;
    f.body_len = 0;
    assert_denied(&p, &f, PROBLEM_BODY_TOO_LARGE);
    (void)state;
}

static void test_body_facts_missing(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    f.sha = (struct spop_slice){0};
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    f = facts_payment();
    f.body_len = -1;
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    f = facts_payment();
    f.head_len = -1;
    assert_claims(&p, &f, true);
    f.content_length = -1;
    assert_denied(&p, &f, PROBLEM_UNAVAILABLE);
    (void)state;
}

static void fingerprint_of(enum fingerprint kind, const struct request_facts *f, uint8_t out[16])
{
    struct idempotency i = {.fingerprint = kind};
    const char *detail;
    assert_int_equal(fingerprint_make(&i, f, LIMIT, out, &detail), PROBLEM_NONE);
}

/* Each field counts in raw and headers (but the body, which headers cannot see); none sees host and path. */
static void test_fingerprint_fields(void **state)
{
    struct request_facts base = facts_payment(), f[7];
    uint8_t raw[16], headers[16], none[16], is[16];
    for (size_t i = 0; i < 7; i++)
        f[i] = base;
    f[0].method = S("PATCH");
    f[1].host = S("shop.example:80");
    f[2].path = S("/payments/1");
    f[3].query = S("");
    f[4].type = S("text/plain");
    f[5].sha = (struct spop_slice){"01234567890123456789012345678901", 32};
    f[6].content_length = f[6].body_len = 1001;
    fingerprint_of(FINGERPRINT_RAW, &base, raw);
    fingerprint_of(FINGERPRINT_HEADERS, &base, headers);
    fingerprint_of(FINGERPRINT_NONE, &base, none);
    assert_hex(raw, 16, "5a2cb5f144d9021bacec04430de1d008");
    assert_hex(headers, 16, "4022b49686e69fcf795f87e2f483f918");
    assert_hex(none, 16, "e442ffcd71a6acdc4b3ac59ad72741dd");
    for (size_t i = 0; i < 7; i++) {
        fingerprint_of(FINGERPRINT_RAW, &f[i], is);
        assert_int_equal(memcmp(is, raw, 16) == 0, i == 6);
        fingerprint_of(FINGERPRINT_HEADERS, &f[i], is);
        assert_int_equal(memcmp(is, headers, 16) == 0, i == 5);
        fingerprint_of(FINGERPRINT_NONE, &f[i], is);
        assert_int_equal(memcmp(is, none, 16) == 0, i != 1 && i != 2);
    }
    (void)state;
}

static void test_fingerprint_texts(void **state)
{
    struct request_facts a = facts_payment(), b = facts_payment();
    uint8_t x[16], y[16];
    char host[256];
    b.host = S("sHOP.eXAMPLE");
    fingerprint_of(FINGERPRINT_RAW, &a, x);
    fingerprint_of(FINGERPRINT_RAW, &b, y);
    assert_memory_equal(x, y, 16);
    a.path = S("/a");
    a.query = S("b");
    b = a;
    b.path = S("/ab");
    b.query = S("");
    fingerprint_of(FINGERPRINT_RAW, &a, x);
    fingerprint_of(FINGERPRINT_RAW, &b, y);
    assert_memory_not_equal(x, y, 16);
    memset(host, 'h', sizeof host);
    for (size_t n = 254; n <= 256; n++) {
        a.host = (struct spop_slice){host, n};
        fingerprint_of(FINGERPRINT_RAW, &a, x);
        host[n - 1] = 'i';
        fingerprint_of(FINGERPRINT_RAW, &a, y);
        host[n - 1] = 'h';
        assert_memory_not_equal(x, y, 16);
    }
    /* Without a body that was seen: raw refuses, headers and none do not. */
    a.body_len = -1;
    a.sha = (struct spop_slice){0};
    a.content_length = -1;
    fingerprint_of(FINGERPRINT_HEADERS, &a, x);
    fingerprint_of(FINGERPRINT_NONE, &a, y);
    (void)state;
}

static void json_of(const struct idempotency *i, const char *body, uint8_t out[16])
{
    struct request_facts f = facts_payment();
    const char *detail;
    f.body = slice_of(body);
    f.body_len = f.content_length = (int64_t)f.body.len;
    f.sha = (struct spop_slice){0};
    assert_int_equal(fingerprint_make(i, &f, LIMIT, out, &detail), PROBLEM_NONE);
}

static bool json_same(const struct idempotency *i, const char *a, const char *b)
{
    uint8_t x[16], y[16];
    json_of(i, a, x);
    json_of(i, b, y);
    return memcmp(x, y, 16) == 0;
}

static void test_fingerprint_json(void **state)
{
    static struct idempotency json = {.fingerprint = FINGERPRINT_JSON};
    struct request_facts f = facts_payment();
    const char *detail;
    uint8_t x[16], y[16];
    assert_true(json_same(&json, "{\"a\":1,\"b\":2}", "{\"b\": 2, \"a\": 1}"));
    assert_false(json_same(&json, "{\"a\":1}", "{\"a\":2}"));
    assert_false(json_same(&json, "{\"a\":1}", "{\"a\":1,\"b\":null}"));
    assert_false(json_same(&json, "{\"a\":1,\"t\":1}", "{\"a\":1,\"t\":2}"));
    /* What is no JSON is its bytes; no such text is another's form. */
    assert_true(json_same(&json, "", ""));
    assert_true(json_same(&json, "a=1", "a=1"));
    assert_false(json_same(&json, "a=1", "a=1 "));
    assert_false(json_same(&json, "{\"a\":1,\"a\":1}", "{\"a\":1, \"a\":1}"));
    assert_false(json_same(&json, "[\"n1\"]", "[1]"));
    strcpy(json.ignore.item[json.ignore.n++], "t");
    assert_true(json_same(&json, "{\"a\":1,\"t\":1}", "{\"t\":2,\"a\":1}"));
    assert_false(json_same(&json, "{\"a\":1,\"t\":1}", "{\"t\":1,\"a\":2}"));
    /* The other fields count as with raw. */
    f.body = S("{}");
    f.body_len = f.content_length = 2;
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_NONE);
    f.query = S("a=2");
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, y, &detail), PROBLEM_NONE);
    assert_memory_not_equal(x, y, 16);
    /* The body must have come, all of it. */
    f.body_len = 3;
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_UNAVAILABLE);
    assert_non_null(strstr(detail, "body"));
    f.body_len = 2;
    f.content_length = 3;
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_BODY_TOO_LARGE);
    f.content_length = -1;
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_NONE);
    f.body = (struct spop_slice){0};
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_UNAVAILABLE);
    f.body_len = 0; /* an empty body may arrive as none at all */
    assert_int_equal(fingerprint_make(&json, &f, LIMIT, x, &detail), PROBLEM_NONE);
    (void)state;
}

/* A refused request names its record, whatever its body and the limits are. */
static void test_refused(void **state)
{
    struct policy p = policy_payments();
    struct config c = {.npolicies = 1, .policies = &p};
    struct request_facts f = facts_payment();
    struct plan asked, refused;
    p.idempotency.fingerprint = FINGERPRINT_JSON;
    f.body = S("{}");
    f.body_len = f.content_length = 2;
    plan_request(&c, &f, LIMIT, &asked);
    assert_int_equal(asked.kind, PLAN_CLAIM);
    f.body = f.sha = (struct spop_slice){0};
    p.limits[p.nlimits++] = limit_of("a", 6, 60, "missing", NULL);
    assert_true(plan_refused(&c, &f, &refused));
    assert_memory_equal(&refused.id, &asked.id, sizeof asked.id);
    assert_memory_equal(refused.rid, asked.rid, sizeof asked.rid);
    assert_ptr_equal(refused.policy, &p);
    f.method = S("GET");
    assert_false(plan_refused(&c, &f, &refused));
    f.method = S("POST");
    f.rid = (struct spop_slice){0};
    assert_false(plan_refused(&c, &f, &refused));
    f.policy = S("other");
    assert_false(plan_refused(&c, &f, &refused));
    (void)state;
}

/* Limits of one subject follow each other, else the policy's order stays. */
static void test_limits(void **state)
{
    static const char *const order[] = {"a", "c", "f", "b", "e", "d", "g"};
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    p.limits[0] = limit_of("a", 6, 60, "ip", NULL);
    p.limits[1] = limit_of("b", 6, 60, "user", NULL);
    p.limits[2] = limit_of("c", 7, 60, "ip", NULL);
    p.limits[3] = limit_of("d", 6, 60, "global", NULL);
    p.limits[4] = limit_of("e", 7, 60, "user", NULL);
    p.limits[5] = limit_of("f", 8, 60, "ip", NULL);
    p.limits[6] = limit_of("g", 8, 60, "global", NULL);
    p.nlimits = 7;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_int_equal(out.nlimits, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(out.limits[i].limit->name, order[i]);
    assert_memory_equal(&out.limits[0].subject, &out.limits[2].subject, sizeof(struct record_id));
    assert_memory_equal(out.id.tag, out.limits[3].subject.tag, 2); /* the user's limits lie by its records */
    (void)state;
}

/* The message carries no `tier`: no request may count in a bucket that nobody meant. */
static void test_limit_lacks(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    p.limits[0] = limit_of("a", 6, 60, "ip", NULL);
    p.limits[1] = limit_of("b", 6, 60, "ip", "tier");
    p.nlimits = 2;
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    assert_int_equal(out.problem, PROBLEM_UNAVAILABLE);
    assert_string_equal(out.lacks, "tier");
    f.extra[f.nextra++] = (struct spop_arg){
        .name = {"tier", 4},
          .value = {.type = SPOP_NULL     }
    };
    plan_with(&p, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_null(out.lacks);
    (void)state;
}

static void test_limits_full(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_payment();
    struct plan out;
    for (p.nlimits = 0; p.nlimits < CONFIG_LIMITS_MAX; p.nlimits++)
        p.limits[p.nlimits] = limit_of("a", 6, 60, p.nlimits % 2 ? "ip" : "user", NULL);
    plan_with(&p, &f, &out);
    assert_int_equal(out.nlimits, CONFIG_LIMITS_MAX);
    for (unsigned i = 0; i < CONFIG_LIMITS_MAX; i++)
        assert_string_equal(out.limits[i].limit->terms[0], i < CONFIG_LIMITS_MAX / 2 ? "user" : "ip");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_policy_unknown),
        cmocka_unit_test(test_not_protected),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_order_of_reasons),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_body_with_length),
        cmocka_unit_test(test_body_without_length),
        cmocka_unit_test(test_body_behind_long_line),
        cmocka_unit_test(test_body_facts_missing),
        cmocka_unit_test(test_fingerprint_fields),
        cmocka_unit_test(test_fingerprint_texts),
        cmocka_unit_test(test_fingerprint_json),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limit_lacks),
        cmocka_unit_test(test_limits_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
