// SPDX-License-Identifier: MIT
/* PROTOCOL's table of words, cell by cell, on a real Redis: a record in some state, one word, its reply, and
 * what the record is then. Every row is said under the policy it names; the rows of one word stand together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lua/word_rows.h"
#include "tests/support/gate_fixture.h"

enum { PLANTED_MS = 5000000, FENCE = 1000000, SEEN = 202 };

static const char location[] = "/payments/7", seen_location[] = "/seen";

static bool live(char state)
{
    return state == 'R' || state == 'A';
}

/* The record that a row begins with: of the token's owner, but for 'o' and 'f'. */
static struct record planted(const struct gate *g, const struct row *row)
{
    struct record r = {.state = (uint8_t)row->from, .why = (uint8_t)row->why, .flags = (uint8_t)row->flags};
    r.state = row->from == 'o' ? 'R' : row->from == 'f' ? 'F' : (uint8_t)row->from;
    r.fence = row->from == 'f' ? FENCE + 1 : FENCE;
    memset(r.rid, row->from == 'o' ? 'x' : 'r', sizeof r.rid);
    memset(r.fingerprint, 'f', sizeof r.fingerprint);
    r.policy = g->policy.hash;
    memset(r.who, 'w', sizeof r.who);
    r.lock_ms = LOCK_S * 1000;
    r.ttl_s = TTL_S;
    if (live((char)r.state)) {
        r.flags |= RECORD_WAITERS;
        r.lease_until_us = 1;
    }
    if (r.state == 'A' || r.state == 'T') {
        r.status = SEEN;
        r.payload = (struct spop_slice){seen_location, sizeof seen_location - 1};
    }
    if (r.state != 'D' && r.state != 'T')
        r.process = (struct spop_slice){g->plan.process, strlen(g->plan.process)};
    return r;
}

static const char response[] = "\1D" /* 65 zeroes */
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "the response";

static struct word word_of(const struct gate *g, const struct row *row)
{
    struct word w = {
        .script = row->word, .status = row->status, .letter = row->letter, .ttl_s = REBUILT_TTL_S};
    script_token(&g->plan, FENCE, &w.token);
    w.token.flags = row->flags & HOLD ? TOKEN_HOLD : 0;
    w.location = (struct spop_slice){location, sizeof location - 1};
    if (row->word == SCRIPT_COMPLETE || row->word == SCRIPT_ANSWERED)
        w.pending = (struct spop_slice){response, sizeof response - 1};
    return w;
}

static void check_text(const char *what, struct spop_slice got, const char *want)
{
    if (got.len != strlen(want) || (got.len > 0 && memcmp(got.ptr, want, got.len) != 0))
        fail_msg("%s is '%.*s', not '%s'", what, (int)got.len, got.ptr ? got.ptr : "", want);
}

static unsigned status_wanted(const struct row *row)
{
    if (row->status > 0)
        return row->status;
    return row->from == 'A' ? SEEN : 0;
}

/* Location of what was seen: from the word, or kept from ANSWERED. */
static const char *payload_wanted(const struct row *row)
{
    if (row->to == 'D')
        return "the response";
    if (row->to == 'A' && row->word == SCRIPT_ANSWERED)
        return location;
    return row->from == 'A' && (row->to == 'A' || row->to == 'T') ? seen_location : "";
}

static void check_owner(const struct row *row, const struct record *r)
{
    static const uint8_t nobody[RECORD_WHO];
    static const char partial[17] = "ffff", whole[17] = "ffffffffffffffff", rid[9] = "rrrrrrrr";
    bool rebuilt = row->from == '-';
    assert_int_equal(r->fence, FENCE);
    assert_memory_equal(r->rid, rid, sizeof r->rid);
    assert_memory_equal(r->fingerprint, rebuilt ? partial : whole, sizeof r->fingerprint);
    assert_int_equal(r->policy, 0x04030201);
    assert_memory_equal(r->who, rebuilt ? nobody : (const uint8_t *)"wwwwwwww", sizeof r->who);
    assert_int_equal(r->lock_ms, rebuilt ? token_ttl_seconds(token_ttl_code(LOCK_S)) * 1000 : LOCK_S * 1000);
    assert_int_equal(r->ttl_s, rebuilt ? REBUILT_TTL_S : TTL_S);
    assert_int_equal(!!(r->flags & RECORD_PARTIAL), rebuilt);
    assert_int_equal(r->flags & HOLD, row->flags & HOLD);
    assert_int_equal(r->flags & LAPSE, 0);
    assert_int_equal(!!(r->flags & RECORD_WAITERS), live(row->from) && live(row->to));
}

static void check_moved(struct gate *g, const struct row *row)
{
    struct record r;
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, row->to);
    assert_int_equal(r.why, row->to_why);
    assert_int_equal(r.status, status_wanted(row));
    check_owner(row, &r);
    bool none = row->to == 'D' || row->to == 'T' || row->from == '-' || row->from == 'T';
    check_text("process", r.process, none ? "" : g->plan.process);
    check_text("payload", r.payload, payload_wanted(row));
    uint64_t now = gate_now_us(g), lock = r.lock_ms * UINT64_C(1000);
    if (live(row->to))
        assert_in_range(r.lease_until_us, now + lock - 1000000, now + lock);
    else
        assert_int_equal(r.lease_until_us, 0);
    bool same_state = row->from == row->to && live(row->to);
    long long ttl = same_state ? PLANTED_MS : r.ttl_s * 1000LL;
    assert_in_range(gate_pttl(g), ttl - 3000, ttl);
}

static void check_kept(struct gate *g, const struct record *before)
{
    struct buf was = g->raw;
    struct record now;
    g->raw = (struct buf){0};
    assert_true(gate_look(g, &now));
    assert_int_equal(was.len, g->raw.len);
    assert_memory_equal(was.data, g->raw.data, was.len);
    assert_in_range(gate_pttl(g), PLANTED_MS - 3000, PLANTED_MS);
    assert_int_equal(now.state, before->state);
    buf_free(&was);
}

static void run_row(struct gate *g, const struct row *row)
{
    struct record before = planted(g, row);
    struct word w = word_of(g, row);
    struct record after;
    char state = 0;
    redis_server_do(&g->redis, "FLUSHALL");
    if (row->from != '-')
        gate_plant(g, &before, PLANTED_MS);
    assert_int_equal(gate_say(g, &w), row->reply);
    if (row->to == '-')
        assert_false(gate_look(g, &after));
    else if (row->to == keep)
        check_kept(g, &before);
    else
        check_moved(g, row);
    bool leaves = row->to != keep && live(row->from) && !live(row->to);
    assert_int_equal(gate_told(g, &state), leaves);
    if (leaves)
        assert_int_equal(state, row->to);
    assert_int_equal(redis_server_immortals(&g->redis), 0);
}

/* The row that is being said: a failed assertion does not know it. */
static const struct row *current;

static void every_cell(void **state)
{
    for (size_t i = 0; i < sizeof word_rows / sizeof *word_rows; i++) {
        current = &word_rows[i];
        run_row(*state, current);
    }
    current = NULL;
}

static int name_row(void **state)
{
    if (current)
        print_error("row %zu: %s %c, status %u, on %c %c, flags %u\n", (size_t)(current - word_rows),
                    scripts[current->word].name, current->letter ? current->letter : '-', current->status,
                    current->from, current->why ? current->why : '-', current->flags);
    return gate_end(state);
}

/* A record that is not ours, or not yet: every word and the claim leave it as it is. */
static void foreign_values(void **state)
{
    struct gate *g = *state;
    static const struct {
        const char *bytes;
        size_t len;
        uint8_t np;
    } values[] = {
        {"",               0,  0  },
        {"\1",             1,  0  },
        {"\1R",            66, 0  },
        {"\1R",            72, 6  },
        {"\2D",            72, 0  },
        {"\1?",            72, 0  },
        {"something else", 72, 'x'},
    };
    static const enum script_id words[] = {SCRIPT_EXTEND,     SCRIPT_ANSWERED, SCRIPT_COMPLETE,
                                           SCRIPT_UNSTORABLE, SCRIPT_RELEASE,  SCRIPT_RESOLVE,
                                           SCRIPT_RELEASE_RID};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        char bytes[80] = {0}, got[80];
        memcpy(bytes, values[v].bytes, strlen(values[v].bytes));
        bytes[RECORD_HEAD] = (char)values[v].np;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            const struct row row = {words[i], 'n', 201, '-', 0, 0, 'X', keep, 0};
            struct word w = word_of(g, &row);
            gate_plant_raw(g, bytes, values[v].len, PLANTED_MS);
            assert_int_equal(gate_say(g, &w), 'X');
            assert_int_equal(gate_claim(g), 'X');
            assert_int_equal(g->reply->str[9], bytes[0]);
            redisReply *r = redisCommand(g->redis.c, "GET %s", gate_record_key(g));
            assert_int_equal(r->len, values[v].len);
            memcpy(got, r->str, (size_t)r->len);
            assert_memory_equal(got, bytes, values[v].len);
            freeReplyObject(r);
            assert_in_range(gate_pttl(g), PLANTED_MS - 3000, PLANTED_MS);
        }
    }
}

/* A value of another Redis type: the same. */
static void wrong_type(void **state)
{
    struct gate *g = *state;
    static const enum script_id words[] = {SCRIPT_EXTEND,     SCRIPT_ANSWERED, SCRIPT_COMPLETE,
                                           SCRIPT_UNSTORABLE, SCRIPT_RELEASE,  SCRIPT_RESOLVE,
                                           SCRIPT_RELEASE_RID};
    redis_server_do(&g->redis, "LPUSH %s a b", gate_record_key(g));
    redis_server_do(&g->redis, "PEXPIRE %s 100000", gate_record_key(g));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct row row = {words[i], 'n', 201, '-', 0, 0, 'X', keep, 0};
        struct word w = word_of(g, &row);
        assert_int_equal(gate_say(g, &w), 'X');
    }
    assert_int_equal(gate_claim(g), 'X');
    assert_int_equal(redis_server_int(&g->redis, "LLEN %s", gate_record_key(g)), 2);
}

/* A token of a version that the script does not know says nothing. */
static void unknown_token_version(void **state)
{
    struct gate *g = *state;
    const struct row row = {SCRIPT_RESOLVE, 'T', 201, 'R', 0, 0, 'X', keep, 0};
    struct record before = planted(g, &row);
    struct word w = word_of(g, &row);
    gate_plant(g, &before, PLANTED_MS);
    buf_reset(&g->out);
    script_word(&g->out, &w);
    uint8_t *token = memmem(g->out.data, g->out.len, "$44\r\n", 5);
    token[5] = 2 << 4;
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_string_equal(r->str, "X");
    freeReplyObject(r);
    check_kept(g, &before);
}

/* While something runs, its key outlives lease and grace, however short the record's own TTL is. */
static void running_outlives_its_lease(void **state)
{
    struct gate *g = *state;
    const long long least = LOCK_S * 1000 / 3 * 5;
    g->policy.idempotency.record_s = 1;
    assert_int_equal(gate_claim(g), 'G');
    assert_in_range(gate_pttl(g), least - 3000, least);
    redis_server_do(&g->redis, "PEXPIRE %s 5000", gate_record_key(g));
    struct word w = gate_word_of(g, SCRIPT_EXTEND);
    assert_int_equal(gate_say(g, &w), 'S');
    assert_in_range(gate_pttl(g), least - 3000, least);
    w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 201;
    w.pending = (struct spop_slice){response, sizeof response - 1};
    assert_int_equal(gate_say(g, &w), 'S');
    assert_in_range(gate_pttl(g), least - 3000, least);
    redis_server_do(&g->redis, "PEXPIRE %s 5000", gate_pending_key(g, g->outcome.fence));
    w = gate_word_of(g, SCRIPT_EXTEND);
    assert_int_equal(gate_say(g, &w), 'S');
    long long pending = redis_server_int(&g->redis, "PTTL %s", gate_pending_key(g, g->outcome.fence));
    assert_in_range(pending, least - 3000, least);
    w = gate_word_of(g, SCRIPT_RELEASE);
    w.letter = 'c';
    assert_int_equal(gate_say(g, &w), 'S');
    assert_in_range(gate_pttl(g), 1, 1000);
}

/* One extend for many: each record by itself, one byte for each. */
static void extend_many(void **state)
{
    struct gate *g = *state;
    struct token tokens[SCRIPT_EXTEND_MAX];
    for (unsigned i = 0; i < SCRIPT_EXTEND_MAX; i++) {
        g->plan.id.digest[0] = (uint8_t)i;
        assert_int_equal(gate_claim(g), 'G');
        tokens[i] = gate_token(g);
    }
    g->plan.id.digest[0] = 1;
    gate_plant_raw(g, "foreign", 7, PLANTED_MS);
    tokens[2].fence++;
    buf_reset(&g->out);
    script_extend(&g->out, tokens, SCRIPT_EXTEND_MAX, TTL_S);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_int_equal(r->len, SCRIPT_EXTEND_MAX);
    for (unsigned i = 0; i < SCRIPT_EXTEND_MAX; i++)
        assert_int_equal(r->str[i], i == 1 ? 'X' : i == 2 ? 'L' : 'S');
    freeReplyObject(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_cell, gate_begin, name_row),
        cmocka_unit_test_setup_teardown(foreign_values, gate_begin, gate_end),
        cmocka_unit_test_setup_teardown(wrong_type, gate_begin, gate_end),
        cmocka_unit_test_setup_teardown(unknown_token_version, gate_begin, gate_end),
        cmocka_unit_test_setup_teardown(running_outlives_its_lease, gate_begin, gate_end),
        cmocka_unit_test_setup_teardown(extend_many, gate_begin, gate_end),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
