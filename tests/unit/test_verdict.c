// SPDX-License-Identifier: MIT
/* domain/verdict: for each outcome exactly the variables of docs/wire.md, read back from the ACK; bodies by a
 * JSON reader. */
#include "tests/unit/heart.h"
#include "domain/digest.h"
#include "domain/record.h"
#include "domain/script.h"
#include "domain/verdict.h"
#include "spop/frame.h"

#include <jansson.h>

#define BASE "https://example.com/problems.md#"

/* An ACK that is read variable by variable; what is left at the end was not expected. */
struct ack {
    uint8_t bytes[4096];
    struct spop_writer w;
    unsigned n;
    struct spop_arg set[16];
};

static void ack_open(struct ack *a)
{
    spop_writer_init(&a->w, a->bytes, sizeof a->bytes);
    spop_ack_begin(&a->w, 1, 1);
}

static void ack_close(struct ack *a)
{
    size_t len = spop_frame_end(&a->w);
    struct spop_frame f;
    assert_true(len > 0);
    assert_int_equal(spop_frame_open(a->bytes, len, &f), SPOP_OK);
    struct spop_cursor c = f.payload;
    for (a->n = 0; c.at < c.end; a->n++) {
        assert_in_range(a->n, 0, 15);
        assert_true(c.end - c.at > 3);
        assert_memory_equal(c.at, ((uint8_t[]){1, 3, SPOP_TXN}), 3); /* set-var, three arguments, scope */
        c.at += 3;
        assert_int_equal(spop_get_string(&c, &a->set[a->n].name), 0);
        assert_int_equal(spop_get_value(&c, &a->set[a->n].value), 0);
    }
}

/* Takes a variable out. */
static struct spop_value take(struct ack *a, const char *name)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->set[i].name.len != strlen(name) || memcmp(a->set[i].name.ptr, name, strlen(name)) != 0)
            continue;
        struct spop_value v = a->set[i].value;
        a->set[i] = a->set[--a->n];
        return v;
    }
    fail_msg("variable %s is not set", name);
    return (struct spop_value){0};
}

static void takes_text(struct ack *a, const char *name, const char *text)
{
    struct spop_value v = take(a, name);
    assert_int_equal(v.type, SPOP_STR);
    assert_text(v.bytes, text);
}

static void takes_int(struct ack *a, const char *name, int64_t n)
{
    assert_int_equal(take(a, name).integer, n);
}

static json_t *takes_problem(struct ack *a, unsigned status, const char *word)
{
    struct spop_value v = take(a, "problem");
    json_t *json = json_loadb(v.bytes.ptr, v.bytes.len, 0, NULL);
    char type[128] = BASE;
    assert_non_null(json);
    strcat(type, word);
    assert_string_equal(json_string_value(json_object_get(json, "type")), type);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), status);
    assert_true(json_string_length(json_object_get(json, "title")) > 0);
    takes_text(a, "verdict", "deny");
    takes_int(a, "status", status);
    return json;
}

static void nothing_left(struct ack *a)
{
    assert_int_equal(a->n, 0);
}

static struct policy policy;

static struct plan plan_k1(void)
{
    struct plan p = {.kind = PLAN_CLAIM, .policy = &policy, .has_record = true, .key = "k1", .key_len = 2};
    policy = policy_payments();
    memset(&p.id, 7, sizeof p.id);
    return p;
}

static void decide(struct ack *a, const struct plan *p, const struct outcome *o)
{
    ack_open(a);
    verdict_outcome(&a->w, BASE, p, o);
    ack_close(a);
}

static void test_pass(void **state)
{
    struct plan p = plan_k1();
    struct ack a;
    ack_open(&a);
    verdict_pass(&a.w, &p);
    ack_close(&a);
    takes_text(&a, "verdict", "pass");
    takes_text(&a, "reason", "unprotected");
    nothing_left(&a);
    policy.idempotency.enabled = false;
    ack_open(&a);
    verdict_pass(&a.w, &p);
    ack_close(&a);
    takes_text(&a, "verdict", "pass");
    takes_text(&a, "reason", "pass");
    nothing_left(&a);
    (void)state;
}

static void test_deny(void **state)
{
    struct ack a;
    ack_open(&a);
    verdict_deny(&a.w, BASE, PROBLEM_UNAVAILABLE, "Redis is away.", 1);
    ack_close(&a);
    json_t *json = takes_problem(&a, 503, "unavailable");
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "Redis is away.");
    assert_int_equal(json_object_size(json), 4);
    takes_text(&a, "reason", "unavailable");
    takes_int(&a, "retry_after", 1);
    nothing_left(&a);
    json_decref(json);
    ack_open(&a);
    verdict_deny(&a.w, BASE, PROBLEM_KEY_MISSING, NULL, 0);
    ack_close(&a);
    json = takes_problem(&a, 400, "key-missing");
    assert_int_equal(json_object_size(json), 3);
    takes_text(&a, "reason", "key-missing");
    nothing_left(&a);
    json_decref(json);
    (void)state;
}

static void test_go(void **state)
{
    static const enum outcome_kind kinds[] = {OUTCOME_GO, OUTCOME_YOURS};
    for (size_t i = 0; i < 2; i++) {
        struct plan p = plan_k1();
        struct outcome o = {.kind = kinds[i], .fence = 1700000000000001};
        struct token t;
        struct ack a;
        char token[TOKEN_TEXT + 1];
        uint8_t id[16];
        script_token(&p, o.fence, &t);
        token_write(&t, token);
        digest_short("execution", token, TOKEN_TEXT, id, sizeof id);
        decide(&a, &p, &o);
        takes_text(&a, "verdict", "go");
        takes_text(&a, "reason", i == 0 ? "go" : "yours");
        takes_text(&a, "token", token);
        takes_int(&a, "fence", 1700000000000001);
        takes_text(&a, "key", "k1");
        struct spop_value execution = take(&a, "execution");
        assert_int_equal(execution.bytes.len, 32);
        for (size_t b = 0; b < 16; b++) {
            char byte[3] = {execution.bytes.ptr[2 * b], execution.bytes.ptr[2 * b + 1], 0};
            assert_int_equal(strtoul(byte, NULL, 16), id[b]);
        }
        nothing_left(&a);
    }
    (void)state;
}

static void test_go_with_limits(void **state)
{
    struct plan p = plan_k1();
    struct limit l = limit_of("q", 6, 60, "ip", NULL);
    struct outcome o = {
        .kind = OUTCOME_GO, .has_levels = true, .level = {100000000.0}, .back = {100000000.0}};
    struct ack a;
    p.limits[p.nlimits++] = (struct plan_limit){.limit = &l, .pace = &l.pace, .cost = 1};
    p.has_record = false;
    decide(&a, &p, &o);
    takes_text(&a, "verdict", "pass");
    takes_text(&a, "reason", "go");
    takes_text(&a, "ratelimit", "\"q\";r=5;t=10");
    takes_text(&a, "ratelimit_policy", "\"q\";q=6;w=60");
    nothing_left(&a);
    p.has_record = true;
    o.fence = 5;
    decide(&a, &p, &o);
    takes_text(&a, "verdict", "go");
    take(&a, "reason"), take(&a, "token"), take(&a, "fence"), take(&a, "key"), take(&a, "execution");
    takes_text(&a, "ratelimit", "\"q\";r=5;t=10");
    take(&a, "ratelimit_policy");
    nothing_left(&a);
    o = (struct outcome){.kind = OUTCOME_BUSY}; /* no limit was looked at */
    decide(&a, &p, &o);
    take(&a, "verdict"), take(&a, "status"), take(&a, "problem"), take(&a, "retry_after"), take(&a, "reason");
    nothing_left(&a);
    (void)state;
}

/* version, state, flags, why, fence, .. np. */
static void test_replay(void **state)
{
    char record[RECORD_HEAD + 1] = {1, 'D', 0, 0, 0x39, 0x30};
    struct plan p = plan_k1();
    struct outcome o = {
        .kind = OUTCOME_REPLAY, .record = {record, sizeof record}
    };
    struct ack a;
    char id[REPLAY_TEXT + 1];
    replay_id_write(&p.id, 12345, id);
    decide(&a, &p, &o);
    takes_text(&a, "verdict", "replay");
    takes_text(&a, "reason", "replay");
    takes_text(&a, "replay", id);
    nothing_left(&a);
    record[0] = 2;
    decide(&a, &p, &o);
    json_decref(takes_problem(&a, 503, "unavailable"));
    takes_text(&a, "reason", "foreign");
    nothing_left(&a);
    (void)state;
}

/* Refusals whose body says no more than the problem. */
static void test_refusals(void **state)
{
    static const struct {
        enum outcome_kind kind;
        unsigned status, retry;
        const char *word, *reason;
    } cases[] = {
        {OUTCOME_MISMATCH,  422, 0, "mismatch",           "mismatch" },
        {OUTCOME_BUSY,      409, 1, "in-progress",        "busy"     },
        {OUTCOME_TOMB,      409, 0, "outcome-not-stored", "tombstone"},
        {OUTCOME_UNKNOWN,   409, 0, "outcome-unknown",    "unknown"  },
        {OUTCOME_LATE,      503, 1, "unavailable",        "late"     },
        {OUTCOME_FOREIGN,   503, 0, "unavailable",        "foreign"  },
        {OUTCOME_DATA_LOST, 503, 1, "data-lost",          "data-lost"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan p = plan_k1();
        struct outcome o = {.kind = cases[i].kind, .now_us = 1000000, .until_us = 41000000};
        struct ack a;
        decide(&a, &p, &o);
        json_t *json = takes_problem(&a, cases[i].status, cases[i].word);
        assert_int_equal(json_object_size(json), 4); /* with a detail */
        takes_text(&a, "reason", cases[i].reason);
        assert_string_equal(outcome_word(cases[i].kind), cases[i].reason);
        if (cases[i].retry)
            takes_int(&a, "retry_after", cases[i].retry);
        nothing_left(&a);
        json_decref(json);
    }
    (void)state;
}

static void test_tombstone(void **state)
{
    struct plan p = plan_k1();
    struct outcome o = {.kind = OUTCOME_TOMB, .status = 201, .location = S("/payments/\"7\"")};
    struct ack a;
    decide(&a, &p, &o);
    json_t *json = takes_problem(&a, 409, "outcome-not-stored");
    assert_int_equal(json_integer_value(json_object_get(json, "original_status")), 201);
    assert_string_equal(json_string_value(json_object_get(json, "location")), "/payments/\"7\"");
    json_decref(json);
    o = (struct outcome){.kind = OUTCOME_UNKNOWN, .status = 504};
    decide(&a, &p, &o);
    json = takes_problem(&a, 409, "outcome-unknown");
    assert_int_equal(json_integer_value(json_object_get(json, "original_status")), 504);
    json_decref(json);
    (void)state;
}

static void test_limited(void **state)
{
    static const struct {
        double wait_us;
        int64_t ms, seconds;
    } cases[] = {
        {1,       1,    1 },
        {999001,  1000, 1 },
        {1000000, 1000, 1 },
        {1000001, 1001, 2 },
        {2000000, 2000, 2 },
        {9876543, 9877, 10},
    };
    struct limit q = limit_of("q", 6, 60, "ip", NULL), all = limit_of("all", 9, 60, "global", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan p = plan_k1();
        struct outcome o = {
            .kind = OUTCOME_LIMITED,
            .has_levels = true,
            .level = {600000000.0,      0},
            .wait_us = {cases[i].wait_us, 0},
            .back = {600000000.0,      0}
        };
        struct ack a;
        p.limits[p.nlimits++] = (struct plan_limit){.limit = &q, .pace = &q.pace, .cost = 1};
        p.limits[p.nlimits++] = (struct plan_limit){.limit = &all, .pace = &all.pace, .cost = 1};
        decide(&a, &p, &o);
        json_t *json = takes_problem(&a, 429, "rate-limited");
        json_t *limits = json_object_get(json, "limits");
        assert_int_equal(json_integer_value(json_object_get(json, "retry_ms")), cases[i].ms);
        assert_int_equal(json_array_size(limits), 1);
        assert_string_equal(json_string_value(json_array_get(limits, 0)), "q");
        takes_int(&a, "retry_after", cases[i].seconds);
        takes_text(&a, "reason", "limited");
        takes_text(&a, "ratelimit", "\"q\";r=0;t=60");
        takes_text(&a, "ratelimit_policy", "\"q\";q=6;w=60, \"all\";q=9;w=60");
        nothing_left(&a);
        json_decref(json);
    }
    (void)state;
}

/* R10: what can never pass is told so, and not to come back later. */
static void test_never_passes(void **state)
{
    struct limit q = limit_of("q", 6, 60, "ip", NULL);
    struct plan p = plan_k1();
    struct outcome o = {.kind = OUTCOME_LIMITED, .has_levels = true, .wait_us = {1}};
    struct ack a;
    p.limits[p.nlimits++] = (struct plan_limit){.limit = &q, .pace = &q.pace, .cost = 7};
    decide(&a, &p, &o);
    json_t *json = takes_problem(&a, 429, "rate-limited");
    assert_null(json_object_get(json, "retry_ms"));
    assert_non_null(strstr(json_string_value(json_object_get(json, "detail")), "never passes"));
    take(&a, "reason"), take(&a, "ratelimit"), take(&a, "ratelimit_policy");
    nothing_left(&a);
    json_decref(json);
    (void)state;
}

/* R3: each limit shows the fields that it says, the tightest of its family; R11: a shadow shows none. */
static void test_families(void **state)
{
    struct limit ietf = limit_of("a", 6, 60, "ip", NULL), x = limit_of("b", 9, 60, "ip", NULL),
                 both = limit_of("c", 7, 7, "ip", NULL), none = limit_of("d", 5, 5, "ip", NULL),
                 shadow = limit_of("e", 5, 5, "ip", NULL);
    const struct limit *all[] = {&ietf, &x, &both, &none, &shadow};
    struct plan p = {.policy = plan_k1().policy};
    struct outcome o = {.kind = OUTCOME_GO, .has_levels = true, .now_us = 1700000000500000};
    struct ack a;
    x.fields = FIELDS_X;
    both.fields = FIELDS_BOTH;
    none.fields = FIELDS_NONE;
    shadow.shadow = true;
    for (unsigned i = 0; i < 5; i++) {
        p.limits[p.nlimits++] = (struct plan_limit){.limit = all[i], .pace = &all[i]->pace, .cost = 1};
        o.level[i] = o.back[i] = (5 - i) * all[i]->pace.increment;
    }
    o.wait_us[4] = 5;
    decide(&a, &p, &o);
    takes_text(&a, "verdict", "pass");
    take(&a, "reason");
    takes_text(&a, "ratelimit", "\"a\";r=1;t=50");
    takes_text(&a, "ratelimit_policy", "\"a\";q=6;w=60, \"c\";q=7;w=7");
    takes_int(&a, "x_limit", 7);
    takes_int(&a, "x_remaining", 4);
    takes_int(&a, "x_reset", 1700000004); /* 0.5 s and 3 s, rounded up */
    nothing_left(&a);
    (void)state;
}

static void test_response(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct ack a;
        ack_open(&a);
        verdict_response(&a.w, i & 1, i & 2);
        ack_close(&a);
        struct spop_value settled = take(&a, "settled"), recorded = take(&a, "recorded");
        assert_int_equal(settled.type, SPOP_BOOL);
        assert_int_equal(settled.integer, i & 1);
        assert_int_equal(recorded.type, SPOP_BOOL);
        assert_int_equal(recorded.integer, i >> 1);
        nothing_left(&a);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass),         cmocka_unit_test(test_deny),
        cmocka_unit_test(test_go),           cmocka_unit_test(test_go_with_limits),
        cmocka_unit_test(test_replay),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_tombstone),    cmocka_unit_test(test_limited),
        cmocka_unit_test(test_never_passes), cmocka_unit_test(test_families),
        cmocka_unit_test(test_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
