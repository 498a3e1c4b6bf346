// SPDX-License-Identifier: MIT
/* Commands as bytes: every one is whole RESP with the counts it announces; keys and arguments stand where
 * docs/wire.md says. What Redis does with them is tests/lua's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/script.h"

enum { ARGS_MAX = 256 };

#define RECORD_KEY  "once:{ab01}:r:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
#define PENDING_KEY "once:{ab01}:p:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1:00000000000f4240"

struct command {
    unsigned n;
    struct spop_slice arg[ARGS_MAX];
};

static size_t number(const char **at, char kind)
{
    char *end;
    assert_int_equal(**at, kind);
    size_t n = strtoull(*at + 1, &end, 10);
    assert_memory_equal(end, "\r\n", 2);
    *at = end + 2;
    return n;
}

/* One command off the buffer, from *at on. */
static struct command next(const struct buf *b, size_t *at)
{
    struct command c = {0};
    const char *p = (const char *)b->data + *at, *end = (const char *)b->data + b->len;
    c.n = (unsigned)number(&p, '*');
    assert_true(c.n > 0 && c.n <= ARGS_MAX);
    for (unsigned i = 0; i < c.n; i++) {
        size_t len = number(&p, '$');
        assert_true((size_t)(end - p) >= len + 2);
        c.arg[i] = (struct spop_slice){p, len};
        assert_memory_equal(p + len, "\r\n", 2);
        p += len + 2;
    }
    *at = (size_t)(p - (const char *)b->data);
    return c;
}

static struct command only(const struct buf *b)
{
    size_t at = 0;
    struct command c = next(b, &at);
    assert_int_equal(at, b->len);
    return c;
}

static void assert_arg(const struct command *c, unsigned i, const void *bytes, size_t len)
{
    assert_true(i < c->n);
    assert_int_equal(c->arg[i].len, len);
    assert_memory_equal(c->arg[i].ptr, bytes, len);
}

static void assert_text(const struct command *c, unsigned i, const char *text)
{
    assert_arg(c, i, text, strlen(text));
}

static void assert_evalsha(const struct command *c, enum script_id script, const char *keys)
{
    assert_text(c, 0, "EVALSHA");
    assert_text(c, 1, scripts[script].sha);
    assert_text(c, 2, keys);
}

static struct token sample_token(void)
{
    struct token t = {
        .id = {{0xab, 0x01}, {0}},
        .fence = 1000000,
        .rid = { 'r', 'r', 'r', 'r', 'r', 'r', 'r', 'r'},
        .ttl = 30
    };
    memset(t.id.digest, 0xd1, sizeof t.id.digest);
    return t;
}

static void table_of_scripts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCRIPTS; i++) {
        assert_int_equal(strlen(scripts[i].sha), 40);
        assert_int_equal(strlen(scripts[i].text), scripts[i].len);
        bool shebang = strncmp(scripts[i].text, "#!lua flags=allow-oom\n", 22) == 0;
        assert_int_equal(shebang, i != SCRIPT_CLAIM && i != SCRIPT_SELFTEST && i != SCRIPT_LOOK &&
                                      i != SCRIPT_LEASE && i != SCRIPT_FILLED && i != SCRIPT_LEND);
    }
    assert_string_equal(scripts[SCRIPT_RELEASE_RID].name, "release_rid");
}

static struct limit limits[3] = {
    {.hash = 0x64636261, .pace = {.increment = 1e8, .capacity = 6e8}, .most = 6e8 },
    {.hash = 0x68676665, .pace = {.increment = 5, .capacity = 3e10},  .most = 3e10},
    {.hash = 0x6c6b6a69, .pace = {.increment = 7, .capacity = 8},     .most = 8   }
};
static struct policy policy = {
    .hash = 0x04030201,
    .idempotency = {.enabled = true, .lock_s = 33, .record_s = 86400, .on_unknown = ON_UNKNOWN_HOLD},
};

/* Limits 0 and 1 of one subject, 2 of another. */
static struct plan sample_plan(void)
{
    struct plan p = {.kind = PLAN_CLAIM, .policy = &policy, .has_record = true, .nlimits = 3};
    p.id = sample_token().id;
    memset(p.fingerprint, 'f', sizeof p.fingerprint);
    memset(p.rid, 'r', sizeof p.rid);
    memset(p.who, 'w', sizeof p.who);
    strcpy(p.process, "1.2.h");
    for (unsigned i = 0; i < 3; i++) {
        p.limits[i] = (struct plan_limit){&limits[i], &limits[i].pace, 1, p.id};
        p.limits[i].subject.digest[0] = i < 2 ? 1 : 2;
    }
    return p;
}

static void claim_with_everything(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct buf out = {0}, want = {0};
    script_claim(&out, &p, 1000, 2000, true, NULL);
    struct command c = only(&out);
    assert_int_equal(c.n, 9);
    assert_evalsha(&c, SCRIPT_CLAIM, "3");
    assert_text(&c, 3, "once:{ab01}:l:01d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1");
    assert_text(&c, 4, "once:{ab01}:l:02d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1");
    assert_text(&c, 5, RECORD_KEY);
    buf_u8(&want, 1);
    buf_u8(&want, 9);
    buf_f64(&want, 1000);
    buf_f64(&want, 2000);
    buf_str(&want, "rrrrrrrr");
    buf_u8(&want, 8);
    buf_str(&want, "86400000");
    buf_le(&want, 33000, 4);
    buf_le(&want, 86400, 4);
    buf_le(&want, 0, 2);
    buf_str(&want, "ffffffffffffffff\1\2\3\4wwwwwwww");
    buf_u8(&want, 5);
    buf_str(&want, "1.2.h");
    assert_arg(&c, 6, want.data, want.len);
    buf_reset(&want);
    buf_u8(&want, 7);
    buf_str(&want, "3060000"); /* the larger bucket, and a minute */
    buf_u8(&want, 2);
    for (unsigned i = 0; i < 3; i++) {
        if (i == 2) {
            buf_u8(&want, 5);
            buf_str(&want, "60000");
            buf_u8(&want, 1);
        }
        buf_u8(&want, 1);
        buf_put(&want, "abcdefghijkl" + 4 * i, 4);
        buf_f64(&want, limits[i].pace.increment);
        buf_f64(&want, limits[i].pace.capacity);
        buf_f64(&want, limits[i].most);
    }
    assert_arg(&c, 7, want.data, want.len);
    buf_free(&out);
    buf_free(&want);
}

/* Kind and marks, a cost times the increment, the largest tier for the TTL; a window's own three numbers. */
static void claim_with_limits_of_each_kind(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct pace tier = {.window_s = 60, .increment = 2, .capacity = 30};
    struct limit shadow = {.hash = 0x64636261, .shadow = true, .charge = CHARGE_ALL, .most = 5e9};
    struct limit window = {
        .hash = 0x68676665, .algorithm = ALGORITHM_WINDOW, .charge = CHARGE_ALL, .most = 7};
    struct pace whole = {.window_s = 7200, .increment = 1, .capacity = 7};
    struct buf out = {0}, want = {0};
    p.nlimits = 2;
    p.has_record = false;
    p.counts_all = p.count_only = true;
    p.limits[0] = (struct plan_limit){&shadow, &tier, 9, p.limits[0].subject};
    p.limits[1] = (struct plan_limit){&window, &whole, 3, p.limits[2].subject};
    script_claim(&out, &p, 0, 0, false, NULL);
    struct command c = only(&out);
    assert_int_equal(c.arg[5].ptr[1] & 0x30, 0x30); /* flags: count only, counts all */
    buf_u8(&want, 6);
    buf_str(&want, "560000");
    buf_u8(&want, 1);
    buf_u8(&want, 1 + 16 + 32);
    buf_str(&want, "abcd");
    buf_f64(&want, 18);
    buf_f64(&want, 30);
    buf_f64(&want, 5e9);
    buf_u8(&want, 7);
    buf_str(&want, "7260000");
    buf_u8(&want, 1);
    buf_u8(&want, 2 + 32);
    buf_str(&want, "efgh");
    buf_f64(&want, 72e9);
    buf_f64(&want, 7);
    buf_f64(&want, 3);
    assert_arg(&c, 6, want.data, want.len);
    buf_free(&out);
    buf_free(&want);
}

static void claim_of_each_shape(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct buf out = {0};
    p.nlimits = 0;
    script_claim(&out, &p, 0, 0, false, NULL);
    struct command c = only(&out);
    assert_int_equal(c.n, 7);
    assert_evalsha(&c, SCRIPT_CLAIM, "1");
    assert_text(&c, 3, RECORD_KEY);
    assert_int_equal(c.arg[5].len, 0);
    assert_int_equal(c.arg[6].len, 0);
    buf_reset(&out);
    p.has_record = false;
    p.nlimits = 1;
    p.process[0] = '\0';
    script_claim(&out, &p, 0, 0, false, NULL);
    c = only(&out);
    assert_int_equal(c.n, 7);
    assert_evalsha(&c, SCRIPT_CLAIM, "1");
    assert_int_equal(c.arg[4].len, 66 + 8);
    assert_int_equal(c.arg[5].len, 2 + 6 + 29);
    buf_free(&out);
}

/* A limit that was asked apart refuses, one that counts all or another one. */
static void claim_refused_apart(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct buf out = {0};
    p.nlimits = 0;
    p.refused = true;
    script_claim(&out, &p, 0, 0, false, NULL);
    struct command c = only(&out);
    assert_int_equal(c.arg[4].ptr[1], 1 | 2);
    buf_reset(&out);
    p.refused_all = true;
    script_claim(&out, &p, 0, 0, true, NULL);
    c = only(&out);
    assert_int_equal(c.arg[4].ptr[1], 1 | 2 | 4 | 8);
    buf_free(&out);
}

/* Behind the record's key, and at the end of the first argument. */
static void claim_that_compares_the_mark(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct buf out = {0}, want = {0};
    p.nlimits = 1;
    script_claim(&out, &p, 0, 0, false, &(struct mark){1700000000000000, 7});
    struct command c = only(&out);
    assert_int_equal(c.n, 9);
    assert_evalsha(&c, SCRIPT_CLAIM, "3");
    assert_text(&c, 4, RECORD_KEY);
    assert_text(&c, 5, "once:mark");
    buf_u8(&want, 5);
    buf_str(&want, "1.2.h");
    buf_f64(&want, 1.7e15);
    buf_f64(&want, 7);
    assert_int_equal(c.arg[6].ptr[1] & 0xff, 129);
    assert_int_equal(c.arg[6].len, 66 + 8 + 5 + 16);
    assert_memory_equal(c.arg[6].ptr + 73, want.data, want.len);
    buf_free(&out);
    buf_free(&want);
}

/* A request that only holds slots: its record is bare, and lives for ten minutes. */
static void claim_of_slots(void **state)
{
    (void)state;
    static const struct limit ten = {.concurrent = 10}, few = {.concurrent = 70000};
    static const struct policy alone = {.hash = 1, .lease_s = 33};
    struct plan p = sample_plan();
    struct buf out = {0}, want = {0};
    struct token t;
    p.policy = &alone;
    p.bare = true;
    p.nlimits = 0;
    p.nslots = 2;
    p.slots[0] = (struct plan_limit){.limit = &ten, .subject = p.id};
    p.slots[1] = (struct plan_limit){.limit = &few, .subject = p.id};
    p.slots[1].subject.digest[0] = 2;
    script_claim(&out, &p, 0, 0, false, NULL);
    struct command c = only(&out);
    assert_int_equal(c.n, 9);
    assert_evalsha(&c, SCRIPT_CLAIM, "3");
    assert_text(&c, 3, RECORD_KEY);
    assert_text(&c, 4, "once:{ab01}:c:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1");
    assert_text(&c, 5, "once:{ab01}:c:02d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1");
    assert_memory_equal(c.arg[6].ptr + 26, "\006600000\xe8\x80\0\0\x58\x02\0\0", 15); /* 600 s, 33 s, 600 s */
    assert_int_equal(c.arg[6].ptr[1], 0x40);
    assert_int_equal(c.arg[7].len, 0);
    buf_le(&want, 10, 4);
    buf_u8(&want, 0);
    buf_put(&want, "\xab\x01", 2);
    buf_put(&want, p.slots[0].subject.digest, 16);
    buf_le(&want, 70000, 4);
    buf_u8(&want, 0);
    buf_put(&want, "\xab\x01", 2);
    buf_put(&want, p.slots[1].subject.digest, 16);
    assert_arg(&c, 8, want.data, want.len);
    script_token(&p, 5, &t);
    assert_int_equal(t.flags, TOKEN_BARE);
    assert_int_equal(t.ttl, token_ttl_code(33));
    buf_free(&out);
    buf_free(&want);
}

/* The longest process, the most limits, each of another subject. */
static void claim_at_its_bounds(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct buf out = {0};
    memset(p.process, 'p', PLAN_PROCESS_MAX);
    p.nlimits = CONFIG_LIMITS_MAX;
    for (unsigned i = 0; i < CONFIG_LIMITS_MAX; i++) {
        p.limits[i] = (struct plan_limit){&limits[0], &limits[0].pace, 1, p.id};
        p.limits[i].subject.digest[0] = (uint8_t)i;
    }
    script_claim(&out, &p, 0, 0, false, NULL);
    struct command c = only(&out);
    assert_int_equal(c.n, 6 + CONFIG_LIMITS_MAX + 1);
    assert_evalsha(&c, SCRIPT_CLAIM, "9");
    assert_int_equal(c.arg[c.n - 3].len, 66 + 8 + PLAN_PROCESS_MAX);
    assert_int_equal(c.arg[c.n - 2].len, (2 + 6 + 29) * CONFIG_LIMITS_MAX);
    buf_free(&out);
}

/* What follows the keys of each word. */
static void words(void **state)
{
    (void)state;
    static const struct {
        enum script_id script;
        unsigned n;
        const char *rest[3];
    } cases[] = {
        {SCRIPT_ANSWERED,    3, {"201", "86400", "/p"}},
        {SCRIPT_COMPLETE,    3, {"201", "86400", "/p"}},
        {SCRIPT_UNSTORABLE,  3, {"201", "86400", "H"} },
        {SCRIPT_RELEASE,     2, {"H", "86400"}        },
        {SCRIPT_RESOLVE,     3, {"201", "86400", "H"} },
        {SCRIPT_RELEASE_RID, 1, {"86400"}             },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        struct word w = {.script = cases[i].script, .token = sample_token(), .status = 201, .letter = 'H'};
        uint8_t token[TOKEN_BYTES];
        bool by_rid = w.script == SCRIPT_RELEASE_RID;
        w.ttl_s = 86400;
        w.location = (struct spop_slice){"/p", 2};
        assert_int_equal(script_word(&out, &w), 1);
        struct command c = only(&out);
        assert_evalsha(&c, w.script, "1");
        assert_text(&c, 3, RECORD_KEY);
        token_pack(&w.token, token);
        unsigned first = 4;
        assert_arg(&c, first, by_rid ? w.token.rid : token, by_rid ? 8 : TOKEN_BYTES);
        assert_int_equal(c.n, first + 1 + cases[i].n);
        for (unsigned k = 0; k < cases[i].n; k++)
            assert_text(&c, first + 1 + k, cases[i].rest[k]);
        buf_free(&out);
    }
}

/* SET goes first where there is a body: as long as the lease and its grace for `answered`, a minute else. */
static void words_with_a_body(void **state)
{
    (void)state;
    static const struct {
        enum script_id script;
        const char *px;
    } cases[] = {
        {SCRIPT_ANSWERED, "50000"},
        {SCRIPT_COMPLETE, "60000"}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        size_t at = 0;
        struct word w = {.script = cases[i].script, .token = sample_token(), .ttl_s = 1};
        w.pending = (struct spop_slice){"\r\n$0\0", 5};
        assert_int_equal(script_word(&out, &w), 2);
        struct command c = next(&out, &at);
        assert_int_equal(c.n, 5);
        assert_text(&c, 0, "SET");
        assert_text(&c, 1, PENDING_KEY);
        assert_arg(&c, 2, "\r\n$0\0", 5);
        assert_text(&c, 3, "PX");
        assert_text(&c, 4, cases[i].px);
        c = next(&out, &at);
        assert_evalsha(&c, w.script, "1");
        assert_int_equal(at, out.len);
        buf_free(&out);
    }
    struct buf out = {0}; /* a body is of no use to the others */
    struct word w = {.script = SCRIPT_RELEASE, .token = sample_token(), .letter = 'n', .ttl_s = 1};
    w.pending = (struct spop_slice){"x", 1};
    assert_int_equal(script_word(&out, &w), 1);
    buf_free(&out);
}

static void longest_location(void **state)
{
    (void)state;
    static const char location[SCRIPT_LOCATION_MAX + 1];
    for (size_t len = SCRIPT_LOCATION_MAX - 1; len <= SCRIPT_LOCATION_MAX + 1; len++) {
        struct buf out = {0};
        struct word w = {.script = SCRIPT_COMPLETE, .token = sample_token(), .ttl_s = 1};
        w.location = (struct spop_slice){location, len};
        script_word(&out, &w);
        struct command c = only(&out);
        assert_int_equal(c.arg[7].len, len <= SCRIPT_LOCATION_MAX ? len : 0);
        buf_free(&out);
    }
}

static void extend(void **state)
{
    (void)state;
    static const unsigned counts[] = {1, 4, 5, SCRIPT_EXTEND_MAX};
    struct token tokens[SCRIPT_EXTEND_MAX];
    for (unsigned i = 0; i < SCRIPT_EXTEND_MAX; i++)
        tokens[i] = sample_token();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf out = {0};
        uint8_t token[TOKEN_BYTES];
        unsigned n = counts[i];
        tokens[n - 1].flags = TOKEN_HOLD;
        token_pack(&tokens[n - 1], token);
        script_extend(&out, tokens, n, 7000);
        struct command c = only(&out);
        assert_int_equal(c.n, 5 + n);
        assert_text(&c, 1, scripts[SCRIPT_EXTEND].sha);
        assert_int_equal(strtoul(c.arg[2].ptr, NULL, 10), n);
        assert_text(&c, 3 + (n - 1), RECORD_KEY);
        assert_int_equal(c.arg[c.n - 2].len, n * TOKEN_BYTES);
        assert_memory_equal(c.arg[c.n - 2].ptr + (n - 1) * TOKEN_BYTES, token, TOKEN_BYTES);
        assert_text(&c, c.n - 1, "7000");
        buf_free(&out);
    }
}

static void get(void **state)
{
    (void)state;
    struct buf out = {0};
    struct token t = sample_token();
    script_get(&out, &t.id);
    struct command c = only(&out);
    assert_int_equal(c.n, 2);
    assert_text(&c, 0, "GET");
    assert_text(&c, 1, RECORD_KEY);
    buf_free(&out);
}

static void token_of_a_grant(void **state)
{
    (void)state;
    struct plan p = sample_plan();
    struct token t;
    script_token(&p, 42, &t);
    assert_int_equal(t.flags, TOKEN_HOLD);
    assert_int_equal(t.fence, 42);
    assert_int_equal(t.policy, 0x04030201);
    assert_int_equal(token_ttl_seconds(t.ttl), 34); /* 33 rounded up to what a code can say */
    assert_memory_equal(&t.id, &p.id, sizeof t.id);
    assert_memory_equal(t.rid, "rrrrrrrr", 8);
    assert_memory_equal(t.fingerprint, "ffff", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_scripts),
        cmocka_unit_test(claim_with_everything),
        cmocka_unit_test(claim_with_limits_of_each_kind),
        cmocka_unit_test(claim_of_each_shape),
        cmocka_unit_test(claim_of_slots),
        cmocka_unit_test(claim_refused_apart),
        cmocka_unit_test(claim_that_compares_the_mark),
        cmocka_unit_test(claim_at_its_bounds),
        cmocka_unit_test(words),
        cmocka_unit_test(words_with_a_body),
        cmocka_unit_test(longest_location),
        cmocka_unit_test(extend),
        cmocka_unit_test(get),
        cmocka_unit_test(token_of_a_grant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
