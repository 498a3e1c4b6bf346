// SPDX-License-Identifier: MIT
/* Request messages, from the NOTIFY to the ACK, on a real Redis: every outcome of the gate as HAProxy gets
 * it, and what is refused before it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/token.h"
#include "tests/support/room_fixture.h"

static struct room w;
static struct peer p;
static struct peer_frame f;

static int setup(void **state)
{
    (void)state;
    room_start(&w, "");
    room_dial(&w, &p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    room_stop(&w);
    return 0;
}

static void ask(uint64_t stream, const char *policy, const char *key, const char *rid)
{
    room_request(&p, stream, policy, key, rid);
    peer_ack(&p, stream, &f);
}

static void expect_deny(unsigned status, const char *reason)
{
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), status);
    assert_true(ack_says(&f, "reason", reason));
}

static struct token token_of_ack(void)
{
    struct spop_value v;
    struct token t;
    assert_true(ack_value(&f, "token", &v));
    assert_int_equal(token_read(v.bytes.ptr, v.bytes.len, &t), 0);
    return t;
}

/* Plants the finished record of the last claim: its body has so many bytes. */
static void finish(const struct token *t, size_t body)
{
    static const char headers[] = "\x08location\x02/7\0\0";
    char *bytes = calloc(1, body + 1);
    memset(bytes, 'b', body);
    struct response r = {
        201, {headers, sizeof headers - 1},
         {bytes,   body              }
    };
    struct word word = {.script = SCRIPT_COMPLETE, .token = *t, .status = 201, .ttl_s = ROOM_RECORD_S};
    struct buf packed = {0}, resp = {0};
    assert_int_equal(record_pack_done(&packed, &r, NULL, 0), 0);
    word.pending = (struct spop_slice){(const char *)packed.data, packed.len};
    unsigned n = script_word(&resp, &word);
    redisReply *said = redis_server_send(&w.redis.server, resp.data, resp.len, n);
    assert_string_equal(said->str, "S");
    freeReplyObject(said);
    buf_free(&packed);
    buf_free(&resp);
    free(bytes);
}

static void go_with_token(void **state)
{
    struct record r;
    (void)state;
    ask(7, "payments", "k", "rid-1");
    assert_true(ack_says(&f, "verdict", "go"));
    assert_true(ack_says(&f, "reason", "go"));
    assert_true(ack_says(&f, "key", "k"));
    struct token t = token_of_ack();
    assert_true(room_record(&w, &r));
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_int_equal(r.fence, t.fence);
    assert_int_equal(ack_integer(&f, "fence"), t.fence);
    assert_memory_equal(r.rid, t.rid, sizeof t.rid);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 1);
    assert_int_equal(w.gate.live, 0);
}

/* The reply was lost, or HAProxy asked twice: the same request owns the key already. */
static void same_rid_is_yours(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    uint64_t fence = token_of_ack().fence;
    ask(2, "payments", "k", "rid-1");
    assert_true(ack_says(&f, "verdict", "go"));
    assert_true(ack_says(&f, "reason", "yours"));
    assert_int_equal(token_of_ack().fence, fence);
}

static void again(uint64_t stream, const char *message, const char *rid, const char *lost)
{
    room_again(&p, stream, message, "k", rid, lost);
    peer_ack(&p, stream, &f);
}

/* The connection was lost with the first message: its claim is nobody's, and what its agent still says of it changes
 * nothing. Only a claim under that rid is freed. */
static void lost_claim_is_freed(void **state)
{
    struct record r;
    (void)state;
    ask(1, "payments", "k", "rid-1");
    const struct token first = token_of_ack();
    again(2, "once-request", "rid-2", "rid-1");
    assert_true(ack_says(&f, "verdict", "go"));
    const struct token second = token_of_ack();
    assert_true(second.fence > first.fence);
    gate_take_back(&w.gate, &(struct grant){.token = first, .ttl_s = ROOM_RECORD_S});
    again(3, "once-request", "rid-3", "rid-1");
    expect_deny(409, "busy");
    assert_true(room_record(&w, &r));
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_int_equal(r.fence, second.fence);
    assert_int_equal(room_counted(&w, METRIC_REQUEST_AGAIN), 2);
    again(4, "once-request", "rid-2", "rid-2");
    expect_deny(503, "unavailable");
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

/* No verdict the second time either: both are given back. */
static void refused_gives_back_both(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    again(2, "once-refused", "rid-2", "rid-1");
    room_until_state(&w, RECORD_FREE);
    ask(3, "payments", "k", "rid-2");
    again(4, "once-refused", "rid-2", "rid-1");
    room_until_state(&w, RECORD_FREE);
}

static void busy_and_mismatch(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    ask(2, "payments", "k", "rid-2");
    expect_deny(409, "busy");
    assert_int_equal(ack_integer(&f, "retry_after"), 1);
    room_request_of(&p, 3, "once-request", "payments", "k", "rid-3", 11);
    peer_send(&p);
    peer_ack(&p, 3, &f);
    expect_deny(422, "mismatch");
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

static void expect_replay(const struct token *t)
{
    char id[REPLAY_TEXT + 1];
    replay_id_write(&t->id, t->fence, id);
    assert_true(ack_says(&f, "verdict", "replay"));
    assert_true(ack_says(&f, "replay", id));
}

/* 4096 bytes of a record come with the claim's reply; the rest costs a GET. The agent that decided has it in
 * memory afterwards. */
static void replay_small_and_large(void **state)
{
    static const size_t bodies[] = {0, 3900, 60000};
    char key[8];
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        snprintf(key, sizeof key, "k%zu", i);
        ask(1, "payments", key, "rid-1");
        struct token t = token_of_ack();
        finish(&t, bodies[i]);
        uint64_t kept = room_counted(&w, METRIC_REPLAY_BYTES);
        ask(2, "payments", key, "rid-2");
        expect_replay(&t);
        assert_true(room_counted(&w, METRIC_REPLAY_BYTES) >= kept + REPLAY_OVERHEAD + bodies[i]);
        redis_server_do(&w.redis.server, "FLUSHALL");
    }
    assert_int_equal(room_counted(&w, METRIC_CLAIM_REPLAY), 3);
}

/* The boundary of what the claim's reply carries: whole at 4096 bytes, one byte more needs the GET. */
static void replay_at_the_window(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    struct token t = token_of_ack();
    finish(&t, 3900);
    struct record r;
    assert_true(room_record(&w, &r));
    size_t overhead = w.raw.len - 3900;
    redis_server_do(&w.redis.server, "FLUSHALL");
    for (size_t len = 4095; len <= 4097; len++) {
        uint64_t commands = room_counted(&w, METRIC_REDIS_COMMANDS);
        char key[8]; /* one of its own: of the last one it is known how it ended */
        snprintf(key, sizeof key, "k%zu", len);
        ask(1, "payments", key, "rid-1");
        t = token_of_ack();
        finish(&t, len - overhead);
        assert_true(room_record(&w, &r));
        assert_int_equal(w.raw.len, len);
        ask(2, "payments", key, "rid-2");
        expect_replay(&t);
        assert_int_equal(room_counted(&w, METRIC_REDIS_COMMANDS) - commands, len <= 4096 ? 2 : 3);
        redis_server_do(&w.redis.server, "FLUSHALL");
    }
}

/* R20: for a second after Redis has said it, it is said again without Redis; another payload is always asked. */
static void replay_from_memory(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    struct token t = token_of_ack();
    finish(&t, 5000);
    ask(2, "payments", "k", "rid-2");
    expect_replay(&t);
    assert_int_equal(room_counted(&w, METRIC_SHIELD_REPLAYED), 0);
    for (unsigned i = 1; i <= 5; i++) {
        ask(2 + i, "payments", "k", "rid-3");
        expect_replay(&t);
        assert_int_equal(room_counted(&w, METRIC_SHIELD_REPLAYED), i);
    }
    room_request_of(&p, 8, "once-request", "payments", "k", "rid-8", 11);
    peer_send(&p);
    peer_ack(&p, 8, &f);
    expect_deny(422, "mismatch");
    room_turn(&w, 1.1);
    ask(9, "payments", "k", "rid-9");
    expect_replay(&t);
    assert_int_equal(room_counted(&w, METRIC_SHIELD_REPLAYED), 5);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_REPLAY), 7);
}

static void tombstone_and_unknown(void **state)
{
    (void)state;
    struct buf resp = {0};
    ask(1, "payments", "k", "rid-1");
    struct word word = {.script = SCRIPT_RESOLVE, .token = token_of_ack(), .status = 201, .letter = 'T'};
    word.ttl_s = ROOM_RECORD_S;
    script_word(&resp, &word);
    freeReplyObject(redis_server_send(&w.redis.server, resp.data, resp.len, 1));
    ask(2, "payments", "k", "rid-2");
    expect_deny(409, "tombstone");
    redis_server_do(&w.redis.server, "FLUSHALL");
    ask(3, "held", "k", "rid-1");
    word = (struct word){.script = SCRIPT_RESOLVE, .token = token_of_ack(), .letter = 'H', .ttl_s = 100};
    assert_int_equal(word.token.flags, TOKEN_HOLD);
    buf_reset(&resp);
    script_word(&resp, &word);
    freeReplyObject(redis_server_send(&w.redis.server, resp.data, resp.len, 1));
    ask(4, "held", "k", "rid-2");
    expect_deny(409, "unknown");
    buf_free(&resp);
}

/* Limits: charged with the grant only, in one call. */
static void limited(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask(i, "quotes", "", "rid");
        assert_true(ack_says(&f, "verdict", "pass"));
    }
    ask(4, "quotes", "", "rid");
    expect_deny(429, "limited");
    int64_t wait = ack_integer(&f, "retry_after");
    assert_true(wait > 1190 && wait <= 1200);
    struct spop_value v;
    assert_true(ack_value(&f, "ratelimit", &v) && ack_value(&f, "ratelimit_policy", &v));
    for (unsigned i = 0; i < 3; i++) {
        ask(10 + i, "both", "k", "rid-1");
        assert_true(ack_says(&f, "verdict", "go"));
        assert_true(ack_says(&f, "reason", i == 0 ? "go" : "yours"));
    }
    ask(20, "both", "l", "rid-2");
    ask(21, "both", "m", "rid-3");
    assert_true(ack_says(&f, "verdict", "go"));
    ask(22, "both", "n", "rid-4");
    expect_deny(429, "limited");
}

static void refused_before_redis(void **state)
{
    uint64_t commands = room_counted(&w, METRIC_REDIS_COMMANDS);
    (void)state;
    ask(1, "nobody", "k", "rid-1");
    expect_deny(503, "unavailable");
    ask(2, "payments", "", "rid-1");
    expect_deny(400, "key-invalid");
    ask(3, "payments", "k", "");
    expect_deny(503, "unavailable");
    assert_int_equal(room_counted(&w, METRIC_REQUEST_DENIED), 3);
    peer_notify(&p, 4, "once-request");
    peer_str(&p, "policy", "payments");
    peer_str(&p, "method", "GET");
    peer_end(&p);
    peer_send(&p);
    peer_ack(&p, 4, &f);
    assert_true(ack_says(&f, "verdict", "pass"));
    assert_int_equal(room_counted(&w, METRIC_REDIS_COMMANDS), commands);
}

/* A value that is none of ours stays as it is. */
static void foreign_record(void **state)
{
    (void)state;
    ask(1, "payments", "k", "rid-1");
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:r:*");
    redis_server_do(&w.redis.server, "SET %s %s PX 60000", keys->element[0]->str, "somebody else's");
    ask(2, "payments", "k", "rid-2");
    expect_deny(503, "foreign");
    redis_server_do(&w.redis.server, "DEL %s", keys->element[0]->str);
    redis_server_do(&w.redis.server, "LPUSH %s x", keys->element[0]->str);
    redis_server_do(&w.redis.server, "PEXPIRE %s 60000", keys->element[0]->str);
    ask(3, "payments", "k", "rid-3");
    expect_deny(503, "foreign");
    freeReplyObject(keys);
}

/* Redis refuses writes: nothing was done, and what needs no write still works. */
static void redis_errors(void **state)
{
    (void)state;
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 1");
    ask(1, "payments", "k", "rid-1");
    expect_deny(503, "unavailable");
    assert_int_equal(ack_integer(&f, "retry_after"), 1);
    assert_int_equal(room_state(&w), '-');
    redis_server_do(&w.redis.server, "CONFIG SET min-replicas-to-write 0");
    ask(2, "payments", "k", "rid-2");
    assert_true(ack_says(&f, "verdict", "go"));
}

/* Nobody polls that process: the message waits for at most 400 ms, and nothing is claimed. */
static void unpolled_process(void **state)
{
    (void)state;
    w.redis.config->policies[1].idempotency.inflight = INFLIGHT_POLL;
    ev_tstamp from = ev_time();
    ask(1, "held", "k", "rid-1");
    expect_deny(503, "unavailable");
    assert_true(ev_time() - from > 0.3 && ev_time() - from < 0.9);
    assert_int_equal(room_counted(&w, METRIC_REQUEST_UNPOLLED), 1);
    assert_int_equal(room_state(&w), '-');
}

/* HAProxy's own deadlines come with the message. */
static void deadlines_of_the_message(void **state)
{
    static const struct {
        int64_t age_ms, timeout_ms;
        const char *verdict;
    } cases[] = {
        {0,    1000,  "go"  },
        {900,  1000,  "go"  },
        {1001, 1000,  "deny"}, /* stale */
        {0,    200,   "deny"}, /* redis.deadline is not below it */
        {0,    201,   "go"  },
        {0,    29250, "deny"}, /* the lock is not above it and three polls */
        {0,    29249, "go"  },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_notify(&p, i, "once-request");
        peer_str(&p, "policy", "held");
        peer_str(&p, "rid", "rid");
        peer_str(&p, "key", "k");
        peer_int(&p, "keys", 1);
        peer_int(&p, "sent", (int64_t)(ev_time() * 1e6) - cases[i].age_ms * 1000);
        peer_int(&p, "timeout", cases[i].timeout_ms);
        peer_end(&p);
        peer_send(&p);
        peer_ack(&p, i, &f);
        if (!ack_says(&f, "verdict", cases[i].verdict))
            fail_msg("case %u", i);
    }
    assert_int_equal(room_counted(&w, METRIC_REQUEST_STALE), 1);
}

/* A reload while a claim is on its way: it ends under the configuration it began with. */
static void reload_while_one_waits(void **state)
{
    (void)state;
    room_freeze(&w);
    room_request(&p, 1, "payments", "k", "rid-1");
    room_turn(&w, 0.02);
    assert_int_equal(w.gate.live, 1);
    struct config *old = w.redis.config;
    w.redis.config = w.gate.config = room_config(&w, "problems = { base = \"about:\"; };\n");
    completion_reconfigure(w.gate.completion, w.gate.config);
    inflight_reconfigure(w.gate.inflight, w.gate.config);
    replay_reconfigure(w.gate.replay, w.gate.config);
    config_drop(old);
    room_thaw(&w);
    peer_ack(&p, 1, &f);
    assert_true(ack_says(&f, "verdict", "go"));
    ask(2, "payments", "k", "rid-2");
    struct spop_value v;
    assert_true(ack_value(&f, "problem", &v));
    assert_non_null(memmem(v.bytes.ptr, v.bytes.len, "about:in-progress", 17));
}

/* The least that a claim takes, so that the ACK is larger than the message. */
static void request_with_key(struct peer *on, unsigned length)
{
    char key[256] = "";
    memset(key, 'k', length);
    peer_notify(on, length, "once-request");
    peer_str(on, "policy", "held");
    peer_str(on, "rid", "r");
    peer_str(on, "key", key);
    peer_int(on, "keys", 1);
    peer_end(on);
    peer_send(on);
    peer_ack(on, length, &f);
}

/* HAProxy would cut a connection on which a larger frame comes: it gets an empty ACK, and the grant is taken
 * back. */
static void ack_and_the_largest_frame(void **state)
{
    enum { FRAME = 256 };
    struct peer small;
    (void)state;
    request_with_key(&p, 1);
    assert_true(ack_says(&f, "verdict", "go"));
    unsigned fits = (unsigned)(FRAME + SPOP_PREFIX - f.len) + 1;
    peer_open(&small, w.redis.loop, w.address);
    assert_int_equal(peer_hello(&small, FRAME, false), FRAME);
    redis_server_do(&w.redis.server, "FLUSHALL");
    request_with_key(&small, fits);
    assert_int_equal(f.len, FRAME + SPOP_PREFIX);
    assert_true(ack_says(&f, "verdict", "go"));
    redis_server_do(&w.redis.server, "FLUSHALL");
    request_with_key(&small, fits + 1);
    assert_true(ack_is_empty(&f));
    room_until_state(&w, RECORD_FREE);
    peer_close(&small);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(go_with_token),
        T(same_rid_is_yours),
        T(lost_claim_is_freed),
        T(refused_gives_back_both),
        T(busy_and_mismatch),
        T(replay_small_and_large),
        T(replay_at_the_window),
        T(replay_from_memory),
        T(tombstone_and_unknown),
        T(limited),
        T(refused_before_redis),
        T(foreign_record),
        T(redis_errors),
        T(unpolled_process),
        T(deadlines_of_the_message),
        T(reload_while_one_waits),
        T(ack_and_the_largest_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
