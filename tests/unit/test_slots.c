// SPDX-License-Identifier: MIT
/* Limits on what is in flight, through the domain: planned, read from the claim's reply, said to the client, and
 * ended by what is seen of the answer (ACCEPTANCE R17). What Redis does with them: tests/lua/test_slots.c. */
#include "tests/unit/heart.h"
#include "domain/buf.h"
#include "domain/evidence.h"
#include "domain/ratelimit_fields.h"
#include "domain/record.h"
#include "domain/verdict.h"
#include "spop/frame.h"

enum { LIMIT = 15360 };

static struct limit slots_of(const char *name, uint32_t concurrent, const char *term)
{
    struct limit l = {.concurrent = concurrent};
    strcpy(l.name, name);
    strcpy(l.terms[l.nterms++], term);
    return l;
}

static struct policy policy_slots(void)
{
    struct policy p = {.name = "slots", .lease_s = 34, .nlimits = 1};
    p.hash = policy_hash(p.name);
    p.limits[0] = slots_of("in-flight", 10, "ip");
    return p;
}

static struct request_facts facts_of(const char *policy)
{
    static const char address[] = {10, 0, 0, 1};
    return (struct request_facts){
        .policy = slice_of(policy),
        .method = S("GET"),
        .host = S("shop.example"),
        .path = S("/feed"),
        .rid = S("3f1c"),
        .process = S("77.1700000000000000.gw"),
        .body_len = -1,
        .content_length = -1,
        .src = {.type = SPOP_IPV4, .bytes = {address, 4}},
    };
}

static struct plan plan_of(struct policy *p, const struct request_facts *f)
{
    struct config c = {.npolicies = 1, .policies = p};
    struct plan out;
    plan_request(&c, f, LIMIT, &out);
    return out;
}

/* Any method, without a key: named by its rid, in the slot of a cluster where its limit lies. */
static void plans_without_a_key(void **state)
{
    struct policy p = policy_slots();
    struct request_facts f = facts_of("slots");
    struct plan one = plan_of(&p, &f), other;
    (void)state;
    assert_int_equal(one.kind, PLAN_CLAIM);
    assert_true(one.has_record && one.bare);
    assert_int_equal(one.nlimits, 0);
    assert_int_equal(one.nslots, 1);
    assert_ptr_equal(one.slots[0].limit, &p.limits[0]);
    assert_memory_equal(one.id.tag, one.slots[0].subject.tag, 2);
    assert_string_equal(one.process, "77.1700000000000000.gw");
    assert_int_equal(one.key_len, 0);
    f.rid = S("4f1c");
    other = plan_of(&p, &f);
    assert_memory_not_equal(one.id.digest, other.id.digest, 16);
    assert_memory_equal(&one.slots[0].subject, &other.slots[0].subject, sizeof(struct record_id));
    /* Asked again under a new rid: what is freed is the record of the old one. */
    f.lost = facts_of("slots").rid;
    other = plan_of(&p, &f);
    assert_true(other.has_lost);
    assert_memory_equal(&other.lost_id, &one.id, sizeof one.id);
    assert_memory_equal(other.lost, one.rid, sizeof one.rid);
    f.rid = (struct spop_slice){0};
    other = plan_of(&p, &f);
    assert_int_equal(other.kind, PLAN_DENY);
    assert_int_equal(other.problem, PROBLEM_UNAVAILABLE);
    f = facts_of("slots");
    f.process = (struct spop_slice){0};
    other = plan_of(&p, &f);
    assert_int_equal(other.kind, PLAN_DENY);
}

/* With a key its own record holds them; a request that goes without one is bare. */
static void plans_with_a_key(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_of("payments");
    struct plan out;
    (void)state;
    p.idempotency.required = false;
    strcpy(p.idempotency.principal, "none");
    p.idempotency.fingerprint = FINGERPRINT_NONE;
    p.limits[p.nlimits++] = slots_of("a", 3, "global");
    p.limits[p.nlimits++] = limit_of("b", 6, 60, "ip", NULL);
    p.limits[p.nlimits++] = slots_of("c", 4, "ip");
    f.method = S("POST");
    f.key = S("k1");
    f.keys = 1;
    out = plan_of(&p, &f);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_true(out.has_record && !out.bare);
    assert_int_equal(out.nlimits, 1);
    assert_string_equal(out.limits[0].limit->name, "b");
    assert_int_equal(out.nslots, 2);
    assert_string_equal(out.slots[1].limit->name, "c");
    f.key = (struct spop_slice){0};
    f.keys = 0;
    out = plan_of(&p, &f);
    assert_true(out.has_record && out.bare);
    assert_int_equal(out.nslots, 2);
    p.nlimits = 2; /* the rate alone asks for no record */
    p.limits[0] = p.limits[1];
    p.nlimits = 1;
    out = plan_of(&p, &f);
    assert_false(out.has_record || out.bare);
}

/* What is refused before Redis is asked, or counted behind HAProxy's own refusal, is not in flight. */
static void counted_only_holds_none(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_of("payments");
    struct config c = {.npolicies = 1, .policies = &p};
    struct plan out;
    (void)state;
    p.limits[p.nlimits++] = slots_of("a", 3, "global");
    p.limits[p.nlimits++] = limit_of("b", 6, 60, "ip", NULL);
    p.limits[1].charge = CHARGE_ALL;
    p.counts_all = true;
    f.method = S("POST"); /* its key is missing */
    plan_request(&c, &f, LIMIT, &out);
    assert_int_equal(out.kind, PLAN_DENY);
    assert_true(out.count_only);
    assert_int_equal(out.nslots, 0);
    assert_false(out.has_record || out.bare);
    plan_charge(&c, &f, &out);
    assert_int_equal(out.kind, PLAN_CLAIM);
    assert_int_equal(out.nslots, 0);
    assert_false(out.has_record || out.bare);
}

static void fails_open_if_all_say_so(void **state)
{
    struct policy p = policy_slots();
    struct request_facts f = facts_of("slots");
    struct plan out = plan_of(&p, &f);
    (void)state;
    assert_false(plan_fails_open(&out));
    p.limits[0].fail_open = true;
    assert_true(plan_fails_open(&out));
    p.limits[0].fail_open = false;
    p.limits[0].shadow = true;
    assert_true(plan_fails_open(&out));
    out.bare = false; /* a key's record says closed */
    assert_false(plan_fails_open(&out));
}

static void reads_what_is_in_use(void **state)
{
    struct limit a = slots_of("a", 2, "ip"), b = slots_of("b", 70000, "ip");
    struct plan p = {
        .has_record = true, .nslots = 2, .slots = {{.limit = &a}, {.limit = &b}}
    };
    struct outcome o;
    struct buf reply = {0};
    (void)state;
    for (const char *kind = "GL"; *kind; kind++) {
        buf_reset(&reply);
        buf_u8(&reply, (uint8_t)*kind);
        buf_f64(&reply, 1763720000123456.0);
        buf_le(&reply, 2, 4);
        buf_le(&reply, 69999, 4);
        if (*kind == 'G')
            buf_le(&reply, 7, 8);
        for (size_t len = 0; len < reply.len; len++)
            assert_int_equal(outcome_read((const char *)reply.data, len, &p, &o), -1);
        assert_int_equal(outcome_read((const char *)reply.data, reply.len, &p, &o), 0);
        assert_true(o.has_levels);
        assert_int_equal(o.in_use[0], 2);
        assert_int_equal(o.in_use[1], 69999);
        assert_int_equal(outcome_full(&p, &o, 0), *kind == 'L');
        assert_false(outcome_full(&p, &o, 1));
    }
    a.shadow = true; /* refused, and for no reason */
    assert_int_equal(outcome_read((const char *)reply.data, reply.len, &p, &o), -1);
    a.shadow = false;
    a.concurrent = 3;
    assert_int_equal(outcome_read((const char *)reply.data, reply.len, &p, &o), -1);
    buf_free(&reply);
}

static void assert_fields(const struct plan *p, const struct outcome *o, const char *limit,
                          const char *policy)
{
    char memory[RATELIMIT_FIELD];
    struct text t;
    text_init(&t, memory, sizeof memory);
    ratelimit_write(&t, p, o);
    assert_string_equal(memory, limit);
    text_cut(&t, 0);
    ratelimit_policy_write(&t, p);
    assert_string_equal(memory, policy);
}

static void fields(void **state)
{
    static const char both[] = "\"q\";q=6;w=60, \"a\";q=10;qu=\"concurrent-requests\", "
                               "\"b\";q=3;qu=\"concurrent-requests\"";
    static const struct {
        double level, wait_us;
        unsigned a, b;
        const char *limit;
        uint64_t wait_ms;
    } cases[] = {
        {1e8, 0,   1,  1, "\"b\";r=2",      0   },
        {4e8, 0,   1,  1, "\"q\";r=2;t=40", 0   }, /* as few left: the rate */
        {5e8, 0,   1,  1, "\"q\";r=1;t=50", 0   },
        {0,   0,   9,  1, "\"a\";r=1",      0   },
        {6e8, 0,   10, 9, "\"q\";r=0;t=60", 1000},
        {1e8, 0,   12, 0, "\"a\";r=0",      1000}, /* lowered by a reload: more in use than there are */
        {6e8, 5e6, 10, 1, "\"q\";r=0;t=60", 5000}, /* what says how long comes first */
        {6e8, 100, 10, 1, "\"q\";r=0;t=60", 1000},
    };
    struct limit q = limit_of("q", 6, 60, "ip", NULL), a = slots_of("a", 10, "ip"),
                 b = slots_of("b", 3, "ip");
    struct plan p = {
        .nlimits = 1,
        .limits = {{.limit = &q, .pace = &q.pace, .cost = 1}},
        .nslots = 2,
        .slots = { {.limit = &a},                            {.limit = &b}}
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = {
            .kind = OUTCOME_LIMITED, .level = {cases[i].level}, .wait_us = {cases[i].wait_us}};
        o.back[0] = cases[i].level;
        o.in_use[0] = cases[i].a;
        o.in_use[1] = cases[i].b;
        assert_fields(&p, &o, cases[i].limit, both);
        assert_int_equal(ratelimit_wait_ms(&p, &o), cases[i].wait_ms);
    }
    p.nlimits = p.nslots = 0;
    p.slots[p.nslots++].limit = &a;
    assert_fields(&p, &(struct outcome){.kind = OUTCOME_GO, .in_use = {4}}, "\"a\";r=6",
                  "\"a\";q=10;qu=\"concurrent-requests\"");
}

/* Is there a variable of that name, with that text (NULL: any)? */
static bool says(const uint8_t *ack, size_t len, const char *name, const char *text)
{
    char wanted[300];
    size_t n = strlen(name), t = text ? strlen(text) : 0;
    wanted[0] = (char)n;
    memcpy(wanted + 1, name, n);
    if (!text)
        return memmem(ack, len, wanted, n + 1) != NULL;
    wanted[n + 1] = SPOP_STR;
    wanted[n + 2] = (char)t;
    memcpy(wanted + n + 3, text, t);
    return memmem(ack, len, wanted, n + 3 + t) != NULL;
}

static size_t decide(uint8_t ack[4096], const struct plan *p, const struct outcome *o)
{
    struct spop_writer w;
    spop_writer_init(&w, ack, 4096);
    spop_ack_begin(&w, 1, 1);
    verdict_outcome(&w, "/docs/problems#", p, o);
    return spop_frame_end(&w);
}

/* A token and an execution, no key and no fence; refused with the limit's name and a second to wait. */
static void verdicts(void **state)
{
    struct policy policy = policy_slots();
    struct request_facts f = facts_of("slots");
    struct plan p = plan_of(&policy, &f);
    struct outcome o = {.kind = OUTCOME_GO, .fence = 7, .has_levels = true, .in_use = {4}};
    uint8_t ack[4096];
    (void)state;
    size_t len = decide(ack, &p, &o);
    assert_true(says(ack, len, "verdict", "go"));
    assert_true(says(ack, len, "token", NULL) && says(ack, len, "execution", NULL));
    assert_true(says(ack, len, "ratelimit", "\"in-flight\";r=6"));
    assert_false(says(ack, len, "key", NULL) || says(ack, len, "fence", NULL));
    o = (struct outcome){.kind = OUTCOME_LIMITED, .has_levels = true, .in_use = {10}};
    len = decide(ack, &p, &o);
    assert_true(says(ack, len, "verdict", "deny"));
    assert_true(says(ack, len, "ratelimit", "\"in-flight\";r=0"));
    assert_non_null(memmem(ack, len, "\"retry_ms\":1000,\"limits\":[\"in-flight\"]", 38));
}

static struct response_facts answer(int64_t status, size_t n, int64_t content_length, bool waited)
{
    static const char bytes[20000];
    return (struct response_facts){
        .method = S("GET"),
        .headers = {bytes, 100},
        .body = {bytes, n  },
        .status = status,
        .body_len = (int64_t)n,
        .content_length = content_length,
        .waited = waited,
    };
}

/* The slot is free when the answer has ended, whatever its status and whatever the policy stores. */
static void ends_with_its_answer(void **state)
{
    static const struct {
        int64_t status;
        size_t n;
        int64_t length;
        bool waited, ended;
    } cases[] = {
        {200, 100,   100,   false, true },
        {500, 100,   100,   false, true },
        {204, 0,     -1,    false, true },
        {304, 0,     500,   false, true },
        {200, 99,    100,   false, false},
        {200, 100,   -1,    false, false},
        {200, 100,   -1,    true,  true }, /* a site that waits all the same */
        {200, 15361, -1,    true,  false},
        {101, 0,     -1,    false, false},
        {200, 16000, 16000, false, true }, /* larger than is ever stored */
    };
    struct policy payments = policy_payments();
    const struct token t = {.flags = TOKEN_BARE};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct response_facts f = answer(cases[i].status, cases[i].n, cases[i].length, cases[i].waited);
        for (unsigned known = 0; known < 2; known++) {
            bool kept = true;
            enum response_word word = evidence_of_response(known ? &payments : NULL, &t, &f, LIMIT, &kept);
            assert_int_equal(word, cases[i].ended ? RESPONSE_UNSTORABLE : RESPONSE_ANSWERED);
            assert_false(kept);
        }
    }
}

/* Never a commit: there is nothing to be stored. */
static void ends_seen_in_the_table(void **state)
{
    static const struct {
        unsigned gpt0;
        enum ending ending;
        enum script_id script;
    } cases[] = {
        {0,   ENDING_UNSAID,     SCRIPT_RESOLVE},
        {200, ENDING_UNSAID,     SCRIPT_RESOLVE},
        {200, ENDING_CLEAN,      SCRIPT_RESOLVE},
        {0,   ENDING_CUT,        SCRIPT_RELEASE},
        {0,   ENDING_NEVER_SENT, SCRIPT_RELEASE},
    };
    struct policy payments = policy_payments();
    const struct token t = {.flags = TOKEN_BARE, .fence = 9};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct word w;
        evidence_of_end(i % 2 ? &payments : NULL, &t, cases[i].gpt0, cases[i].ending, &w);
        assert_int_equal(w.script, cases[i].script);
        assert_int_equal(w.token.flags, TOKEN_BARE);
        assert_int_equal(w.ttl_s, CONFIG_SLOTS_RECORD_S);
    }
}

/* A record with slots: its list stands between process and payload, and none of it may be cut off. */
static void records(void **state)
{
    uint8_t bytes[RECORD_HEAD + 1 + 3 + 1 + 2 * RECORD_SLOT + 2] = {RECORD_VERSION, 'A', RECORD_SLOTS};
    struct record r;
    (void)state;
    bytes[RECORD_HEAD] = 3;
    memcpy(bytes + RECORD_HEAD + 1, "1.2", 3);
    bytes[RECORD_HEAD + 4] = 2;
    memcpy(bytes + sizeof bytes - 2, "/p", 2);
    assert_int_equal(record_open(bytes, sizeof bytes, &r), 0);
    assert_text(r.process, "1.2");
    assert_int_equal(r.slots.len, 1 + 2 * RECORD_SLOT);
    assert_text(r.payload, "/p");
    for (size_t len = 0; len < sizeof bytes - 2; len++)
        assert_int_equal(record_open(bytes, len, &r), -1);
    assert_int_equal(record_open(bytes, sizeof bytes - 2, &r), 0);
    assert_int_equal(r.payload.len, 0);
    bytes[2] = 0; /* without the flag it is payload */
    assert_int_equal(record_open(bytes, sizeof bytes, &r), 0);
    assert_int_equal(r.slots.len, 0);
    assert_int_equal(r.payload.len, 1 + 2 * RECORD_SLOT + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_without_a_key),
        cmocka_unit_test(plans_with_a_key),
        cmocka_unit_test(fails_open_if_all_say_so),
        cmocka_unit_test(reads_what_is_in_use),
        cmocka_unit_test(fields),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(ends_with_its_answer),
        cmocka_unit_test(ends_seen_in_the_table),
        cmocka_unit_test(records),
        cmocka_unit_test(counted_only_holds_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
