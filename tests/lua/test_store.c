// SPDX-License-Identifier: MIT
/* Stored answers: byte for byte through SET, RENAME and GET, whatever order the words of an execution come
 * in; and what Redis at its memory limit still does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/le.h"
#include "tests/support/gate_fixture.h"

enum { BODY = 12288, WINDOW = 4096 };

static const char headers[] = "\x0c"
                              "content-type\x09"
                              "image/png\x08"
                              "location\x0b"
                              "/payments/7\0\0";

static struct spop_slice body_bytes(void)
{
    static char body[BODY];
    for (unsigned i = 0; i < sizeof body; i++)
        body[i] = (char)(i % 7 == 0 ? 0 : i % 256);
    return (struct spop_slice){body, sizeof body};
}

/* What the agent SETs before `complete`, kept in pending. */
static struct word complete_word(struct gate *g, struct buf *pending, struct spop_slice body)
{
    struct response r = {
        201, {headers, sizeof headers - 1},
         body
    };
    buf_reset(pending);
    assert_int_equal(0, record_pack_done(pending, &r, NULL, 0));
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    w.status = 201;
    w.location = (struct spop_slice){"/payments/7", 11};
    w.pending = (struct spop_slice){(const char *)pending->data, pending->len};
    return w;
}

static void check_stored(struct gate *g, struct spop_slice body)
{
    struct record r;
    struct stored s;
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_DONE);
    assert_int_equal(r.status, 201);
    assert_int_equal(r.fence, g->outcome.fence);
    assert_int_equal(stored_open(r.payload, &s), 0);
    assert_int_equal(s.status, 201);
    assert_int_equal(s.nheaders, 2);
    assert_int_equal(s.body.len, body.len);
    assert_memory_equal(s.body.ptr, body.ptr, body.len);
}

static void complete_is_byte_exact(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    assert_int_equal(gate_claim(g), 'G');
    uint64_t fence = g->outcome.fence;
    struct word w = complete_word(g, &pending, body_bytes());
    assert_int_equal(gate_say(g, &w), 'S');
    check_stored(g, body_bytes());
    assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, fence)), 0);
    assert_int_equal(gate_claim_as(g, 'q'), 'D');
    assert_int_equal(g->outcome.record_len, pending.len);
    assert_int_equal(g->outcome.record.len, WINDOW);
    struct record r;
    assert_true(gate_look(g, &r));
    assert_memory_equal(g->outcome.record.ptr, g->raw.data, WINDOW);
    assert_in_range(g->outcome.ttl_ms, TTL_S * 1000 - 3000, TTL_S * 1000);
    buf_free(&pending);
}

struct end {
    char reply;
    bool pending;   /* is still there */
    long long pttl; /* ms */
    size_t len;
    uint8_t bytes[BODY + 512]; /* of the record */
};

/* What `complete` makes of this record. ttl_s: TTL_S is the record's own, which the usual case wants; with another one the script
 * always takes the long way. */
static void complete_planted(struct gate *g, const uint8_t *bytes, size_t len, uint32_t ttl_s, struct word w,
                             struct end *out)
{
    memset(out, 0, sizeof *out);
    redis_server_do(&g->redis, "FLUSHALL");
    gate_plant_raw(g, bytes, len, 100000);
    w.ttl_s = ttl_s;
    out->reply = gate_say(g, &w);
    out->pending = redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, w.token.fence)) == 1;
    buf_reset(&g->out);
    script_get(&g->out, &g->plan.id);
    redisReply *record = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    out->len = record->type == REDIS_REPLY_STRING ? (size_t)record->len : 0;
    assert_true(out->len <= sizeof out->bytes);
    memcpy(out->bytes, record->str, out->len);
    freeReplyObject(record);
    out->pttl = gate_pttl(g);
}

static void assert_same_end(struct gate *g, const uint8_t *bytes, size_t len, struct word w, char reply)
{
    static struct end usual, other;
    complete_planted(g, bytes, len, TTL_S, w, &usual);
    complete_planted(g, bytes, len, REBUILT_TTL_S, w, &other);
    assert_int_equal(usual.reply, other.reply);
    assert_int_equal(usual.pending, other.pending);
    assert_true(usual.pttl - other.pttl < 3000 && other.pttl - usual.pttl < 3000);
    assert_int_equal(usual.len, other.len);
    assert_memory_equal(usual.bytes, other.bytes, usual.len);
    if (reply)
        assert_int_equal(usual.reply, reply);
}

/* complete has a short way for the usual case and a long one for all: whatever the record is, both end in the same bytes. */
static void both_ways_of_complete(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    uint8_t running[256], changed[256];
    struct record r;
    assert_int_equal(gate_claim(g), 'G');
    struct word w = complete_word(g, &pending, body_bytes());
    assert_true(gate_look(g, &r));
    size_t len = g->raw.len;
    assert_in_range(len, RECORD_HEAD + 2, sizeof running);
    memcpy(running, g->raw.data, len);
    assert_same_end(g, running, len, w, 'S');
    w.token.flags = TOKEN_HOLD;
    assert_same_end(g, running, len, w, 'S');
    w.token.flags = 0;
    for (unsigned at = 0; at <= RECORD_HEAD;
         at++) { /* each byte of the head, changed a little, much, and to nothing */
        static const uint8_t to[] = {0, 1, 2, 4, 8, 16, 31, 32, 'A', 'D', 'F', 'H', 'R', 'T', 255};
        bool owner = at >= 4 && at < 20;
        for (size_t i = 0; i < sizeof to; i++) {
            memcpy(changed, running, len);
            changed[at] = to[i];
            struct word own = w;
            if (owner && at < 12)
                own.token.fence = le_get(changed + 4, 8); /* its own token still, with this fence */
            assert_same_end(g, changed, len, own, 0);
            if (at >= 38 && at < RECORD_HEAD)
                i = sizeof to; /* fingerprint and policy are only copied */
        }
    }
    assert_same_end(g, running, RECORD_HEAD, w, 'X');
    assert_same_end(g, running, RECORD_HEAD + 1, w, 'X');
    static const unsigned statuses[] = {0, 201, 255, 256, 599, 65535};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        w.status = statuses[i];
        assert_same_end(g, running, len, w, 'S');
    }
    w.status = 65536;
    assert_same_end(g, running, len, w, 'E');
    w.status = 201;
    pending.data[5] = 1; /* what lies under the pending key is no answer of ours */
    assert_same_end(g, running, len, w, 'T');
    w.pending.len = 0;
    assert_same_end(g, running, len, w, 'T');
    buf_free(&pending);
}

/* A record that just fills the reply's window, one byte less, one byte more. */
static void replay_window(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    assert_int_equal(gate_claim(g), 'G');
    struct token token = gate_token(g);
    struct spop_slice body = body_bytes();
    body.len = 3000;
    complete_word(g, &pending, body);
    size_t around = pending.len - body.len;
    for (size_t len = WINDOW - 1; len <= WINDOW + 1; len++) {
        body.len = len - around;
        struct word w = complete_word(g, &pending, body);
        w.token = token;
        assert_int_equal(pending.len, len);
        redis_server_do(&g->redis, "DEL %s", gate_record_key(g));
        assert_int_equal(gate_say(g, &w), 'S');
        assert_int_equal(gate_claim_as(g, 'q'), 'D');
        assert_int_equal(g->outcome.record_len, len);
        assert_int_equal(g->outcome.record.len, len < WINDOW ? len : WINDOW);
    }
    buf_free(&pending);
}

/* `answered` with a body, then the proof of its end: commit is `complete` without a SET of its own. */
static void commit_uses_what_answered_left(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    assert_int_equal(gate_claim(g), 'G');
    struct word w = complete_word(g, &pending, body_bytes());
    w.script = SCRIPT_ANSWERED;
    assert_int_equal(gate_say(g, &w), 'S');
    w = gate_word_of(g, SCRIPT_COMPLETE);
    w.status = 201;
    assert_int_equal(gate_say(g, &w), 'S');
    check_stored(g, body_bytes());
    buf_free(&pending);
}

/* A tombstone by `resolve` gives way to the commit that comes after it; `complete` without a body does not.
 */
static void stored_wins_over_tombstone(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    struct record r;
    assert_int_equal(gate_claim(g), 'G');
    struct word w = complete_word(g, &pending, body_bytes());
    w.script = SCRIPT_ANSWERED;
    assert_int_equal(gate_say(g, &w), 'S');
    struct word end = gate_word_of(g, SCRIPT_RESOLVE);
    end.status = 201;
    end.letter = 'T';
    assert_int_equal(gate_say(g, &end), 'S');
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_TOMB);
    w = gate_word_of(g, SCRIPT_COMPLETE);
    w.status = 201;
    assert_int_equal(gate_say(g, &w), 'S');
    check_stored(g, body_bytes());
    redis_server_do(&g->redis, "FLUSHALL");
    assert_int_equal(gate_say(g, &end), 'S');
    assert_int_equal(gate_say(g, &w), 'N');
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_TOMB);
    buf_free(&pending);
}

/* The body is missing (the SET failed, or it expired): a tombstone, from every state. */
static void complete_without_pending_is_a_tombstone(void **state)
{
    struct gate *g = *state;
    static const struct {
        enum script_id first; /* CLAIM: none */
        char letter;
    } before[] = {
        {SCRIPT_CLAIM,    0  },
        {SCRIPT_ANSWERED, 0  },
        {SCRIPT_RELEASE,  'c'},
        {SCRIPT_RELEASE,  'n'}
    };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        redis_server_do(&g->redis, "FLUSHALL");
        assert_int_equal(gate_claim(g), 'G');
        struct word w = gate_word_of(g, before[i].first);
        w.letter = before[i].letter;
        if (before[i].first != SCRIPT_CLAIM)
            assert_int_equal(gate_say(g, &w), 'S');
        w = gate_word_of(g, SCRIPT_COMPLETE);
        w.status = 201;
        w.location = (struct spop_slice){"/payments/7", 11};
        assert_int_equal(gate_say(g, &w), 'T');
        assert_int_equal(gate_claim_as(g, 'q'), 'T');
        assert_int_equal(g->outcome.status, 201);
        assert_int_equal(g->outcome.location.len, 11);
        memset(g->plan.rid, 'r', sizeof g->plan.rid);
    }
}

/* A notice's commit knows the status only: what `answered` saw of the rest stays in the tombstone. */
static void commit_without_pending_keeps_the_location(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    struct word w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 201;
    w.location = (struct spop_slice){"/payments/7", 11};
    assert_int_equal(gate_say(g, &w), 'S');
    w = gate_word_of(g, SCRIPT_COMPLETE);
    w.status = 201;
    assert_int_equal(gate_say(g, &w), 'T');
    assert_int_equal(gate_claim_as(g, 'q'), 'T');
    assert_int_equal(g->outcome.status, 201);
    assert_int_equal(g->outcome.location.len, 11);
}

/* Something else under the pending key is no answer of ours. */
static void foreign_pending_is_not_stored(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    uint64_t fence = g->outcome.fence;
    redis_server_do(&g->redis, "SET %s %s PX 60000", gate_pending_key(g, fence), "not a record of ours");
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    w.status = 201;
    assert_int_equal(gate_say(g, &w), 'T');
    assert_int_equal(gate_claim_as(g, 'q'), 'T');
}

/* A word that frees the key drops what was seen of a body: nothing may be made of it later. */
static void freed_keys_keep_no_body(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    static const enum script_id words[] = {SCRIPT_RELEASE, SCRIPT_UNSTORABLE};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        redis_server_do(&g->redis, "FLUSHALL");
        assert_int_equal(gate_claim(g), 'G');
        struct word w = complete_word(g, &pending, body_bytes());
        w.script = SCRIPT_ANSWERED;
        assert_int_equal(gate_say(g, &w), 'S');
        assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, w.token.fence)), 1);
        w = gate_word_of(g, words[i]);
        w.letter = 'c';
        assert_int_equal(gate_say(g, &w), 'S');
        assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, w.token.fence)), 0);
    }
    buf_free(&pending);
}

/* A word with one of its numbers replaced by another text of the same length. */
static void assert_refused_number(struct gate *g, const char *from, const char *to)
{
    struct word w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 201;
    buf_reset(&g->out);
    script_word(&g->out, &w);
    char *at = memmem(g->out.data, g->out.len, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
}

/* What a lost execution left behind goes at once; a Location that no claim could carry is left out. */
static void leftovers(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    static char location[SCRIPT_LOCATION_MAX + 1];
    memset(location, '/', sizeof location);
    assert_int_equal(gate_claim(g), 'G');
    struct word w = complete_word(g, &pending, body_bytes());
    w.token.fence--;
    assert_int_equal(gate_say(g, &w), 'L');
    assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, w.token.fence)), 0);
    w.script = SCRIPT_ANSWERED;
    assert_int_equal(gate_say(g, &w), 'L');
    assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, w.token.fence)), 0);
    for (size_t len = SCRIPT_LOCATION_MAX; len <= sizeof location; len++) {
        struct record r;
        w = gate_word_of(g, SCRIPT_ANSWERED);
        w.status = 201;
        w.location = (struct spop_slice){location, len};
        redis_server_do(&g->redis, "DEL %s", gate_record_key(g));
        assert_int_equal(gate_say(g, &w), 'S');
        assert_true(gate_look(g, &r));
        assert_int_equal(r.payload.len, len <= SCRIPT_LOCATION_MAX ? len : 0);
    }
    buf_free(&pending);
}

static void out_of_memory(struct gate *g)
{
    redis_server_do(&g->redis, "CONFIG SET maxmemory 1");
}

/* ACCEPTANCE I32: at the memory limit nothing new is granted, and nothing is changed by trying. */
static void oom_refuses_claims(void **state)
{
    struct gate *g = *state;
    struct record r;
    gate_limit(g, 6, 60, 1);
    out_of_memory(g);
    assert_int_equal(gate_claim(g), 'E');
    assert_non_null(strstr(g->reply->str, "OOM"));
    assert_false(gate_look(g, &r));
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
    g->plan.has_record = false;
    assert_int_equal(gate_claim(g), 'E');
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
}

/* Replays and busy still work then; a refused write of the waiters' flag does not spoil them. */
static void oom_still_answers(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    assert_int_equal(gate_claim(g), 'G');
    struct word w = complete_word(g, &pending, body_bytes());
    out_of_memory(g);
    memset(g->plan.rid, 'q', sizeof g->plan.rid);
    assert_int_equal(gate_claim_with(g, 0, 0, true), 'B');
    redis_server_do(&g->redis, "CONFIG SET maxmemory 0");
    assert_int_equal(gate_say(g, &w), 'S');
    out_of_memory(g);
    assert_int_equal(gate_claim(g), 'D');
    buf_free(&pending);
}

/* All words work at the memory limit; the body of `complete` cannot be SET then: a tombstone is what is left.
 */
static void oom_words(void **state)
{
    struct gate *g = *state;
    struct buf pending = {0};
    struct record r;
    assert_int_equal(gate_claim(g), 'G');
    out_of_memory(g);
    struct word w = gate_word_of(g, SCRIPT_EXTEND);
    assert_int_equal(gate_say(g, &w), 'S');
    w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 201;
    assert_int_equal(gate_say(g, &w), 'S');
    w = complete_word(g, &pending, body_bytes());
    assert_int_equal(gate_say(g, &w), 'T');
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_TOMB);
    assert_int_equal(r.status, 201);
    buf_free(&pending);
    static const struct {
        enum script_id word;
        char letter;
        char state;
    } words[] = {
        {SCRIPT_RELEASE,     'n', 'F'},
        {SCRIPT_RESOLVE,     'T', 'F'},
        {SCRIPT_UNSTORABLE,  'F', 'F'},
        {SCRIPT_RELEASE_RID, 0,   'F'}
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        redis_server_do(&g->redis, "CONFIG SET maxmemory 0");
        redis_server_do(&g->redis, "FLUSHALL");
        assert_int_equal(gate_claim(g), 'G');
        out_of_memory(g);
        w = gate_word_of(g, words[i].word);
        w.letter = words[i].letter;
        assert_int_equal(gate_say(g, &w), 'S');
        assert_true(gate_look(g, &r));
        assert_int_equal(r.state, words[i].state);
    }
}

/* Numbers that no agent sends are refused before anything is written. */
static void bad_numbers(void **state)
{
    struct gate *g = *state;
    struct record r;
    g->policy.idempotency.lock_s = 0;
    assert_int_equal(gate_claim(g), 'E');
    g->policy.idempotency.lock_s = LOCK_S;
    g->policy.idempotency.record_s = 0;
    assert_int_equal(gate_claim(g), 'E');
    assert_false(gate_look(g, &r));
    g->policy.idempotency.record_s = TTL_S;
    struct word w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 65536;
    assert_int_equal(gate_say(g, &w), 'E');
    w.status = 200;
    w.ttl_s = 0;
    assert_int_equal(gate_say(g, &w), 'E');
    assert_refused_number(g, "\r\n7100\r\n", "\r\n71.5\r\n");
    assert_refused_number(g, "\r\n7100\r\n", "\r\n-100\r\n");
    assert_refused_number(g, "\r\n201\r\n", "\r\nabc\r\n");
    assert_false(gate_look(g, &r));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, gate_begin, gate_end)
    const struct CMUnitTest tests[] = {
        T(complete_is_byte_exact),
        T(both_ways_of_complete),
        T(replay_window),
        T(commit_uses_what_answered_left),
        T(stored_wins_over_tombstone),
        T(complete_without_pending_is_a_tombstone),
        T(commit_without_pending_keeps_the_location),
        T(foreign_pending_is_not_stored),
        T(freed_keys_keep_no_body),
        T(leftovers),
        T(oom_refuses_claims),
        T(oom_still_answers),
        T(oom_words),
        T(bad_numbers),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
