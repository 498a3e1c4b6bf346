// SPDX-License-Identifier: MIT
/* The shield from the NOTIFY to the ACK, on a real Redis: what is refused without it, counted and told as Redis'
 * own refusal; and when Redis is asked all the same. (tests/lua/test_shield holds it against the gate's own verdicts.)
 *
 * Policy quotes: 3 an hour by address. Policy both: a key, and 3 an hour. Policy each: a limit that counts all. */
#include "domain/script.h"
#include "rooms/monotonic.h"
#include "tests/unit/limits_world.h"

static int setup(void **state)
{
    (void)state;
    return setup_with("breaker = { failures = 1; };\n");
}

static void quote(void)
{
    ask("quotes", "");
}

static bool limited(void)
{
    return ack_says(&f, "verdict", "deny") && ack_says(&f, "reason", "limited");
}

static uint64_t refused_here(void)
{
    return room_counted(&w, METRIC_SHIELD_REFUSED);
}

static void use_up(void)
{
    for (unsigned i = 0; i < 3; i++) {
        quote();
        assert_true(ack_says(&f, "verdict", "pass"));
    }
    quote();
    assert_true(limited());
    assert_int_equal(refused_here(), 0);
}

static void told_as_redis_would(void **state)
{
    (void)state;
    static const char field[] = "\"each\";r=0;t=3", names[] = "\"limits\":[\"each\"]";
    struct spop_value v;
    use_up();
    for (unsigned i = 1; i < 10; i++) {
        quote();
        assert_true(limited());
        assert_int_equal(refused_here(), i);
        assert_int_equal(ack_integer(&f, "status"), 429);
        assert_in_range(ack_integer(&f, "retry_after"), 1195, 1200);
        assert_true(ack_says(&f, "ratelimit_policy", "\"each\";q=3;w=3600"));
        assert_true(ack_value(&f, "ratelimit", &v));
        assert_memory_equal(v.bytes.ptr, field, sizeof field - 1);
        assert_true(ack_value(&f, "problem", &v));
        assert_non_null(memmem(v.bytes.ptr, v.bytes.len, names, sizeof names - 1));
    }
    assert_int_equal(room_counted(&w, METRIC_CLAIM_LIMITED), 10);
    assert_int_equal(room_decided(&w, "quotes", "each", LIMIT_REFUSED), 10);
}

/* What Redis has forgotten is no reason to refuse. */
static void forgotten_with_the_data(void **state)
{
    (void)state;
    use_up();
    room_turn(&w, 0.3); /* the mark has been seen */
    redis_server_do(&w.redis.server, "FLUSHALL");
    room_until(&w, METRIC_DATA_LOSS, 1);
    quote();
    assert_true(ack_says(&f, "verdict", "pass"));
    assert_int_equal(refused_here(), 0);
}

static void forgotten_with_the_connection(void **state)
{
    (void)state;
    use_up();
    redis_server_do(&w.redis.server, "CLIENT KILL TYPE normal SKIPME yes");
    room_until(&w, METRIC_REDIS_CONNECTS, 2);
    room_until(&w, METRIC_REDIS_UP, 1);
    room_turn(&w, 0.1);
    quote();
    assert_true(limited());
    assert_int_equal(refused_here(), 0);
}

/* Redis does not answer: what would be said then is said, no 429. */
static void silent_while_redis_is(void **state)
{
    (void)state;
    use_up();
    room_freeze(&w);
    room_until(&w, METRIC_BREAKER_OPEN, 1);
    quote();
    assert_true(ack_says(&f, "reason", "unavailable"));
    assert_int_equal(refused_here(), 0);
    room_thaw(&w);
}

/* What a record says comes before limits on what is forwarded: the key of an earlier request is 409. */
static void keys_are_asked(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        static const char *const keys[] = {"a", "b", "c", "d", "e"};
        ask("both", keys[i]);
        assert_true(i < 3 ? ack_says(&f, "verdict", "go") : limited());
    }
    ask("both", "a");
    assert_true(ack_says(&f, "reason", "busy"));
    assert_int_equal(refused_here(), 0);
}

/* A limit that counts all refuses whatever the record says. */
static void all_is_refused_here(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        ask("each", ""); /* 400, counted */
    for (unsigned i = 0; i < 4; i++) {
        ask("each", i % 2 ? "key" : "");
        assert_true(limited());
        assert_int_equal(refused_here(), i);
    }
    ask_by("once-charge", "each", "");
    assert_true(limited());
    assert_int_equal(refused_here(), 4);
}

/* A reload while the claim was on its way: what it says was learned under the old one. */
static void not_across_a_reload(void **state)
{
    (void)state;
    struct config *other = room_config(&w, ""), *old = w.gate.config;
    for (unsigned i = 0; i < 3; i++)
        quote();
    room_freeze(&w);
    send_request("quotes", "", 10);
    room_turn(&w, 0.05);
    w.gate.config = other;
    assert_true(shield_reconfigure(w.gate.shield, other));
    room_thaw(&w);
    peer_ack(&p, stream, &f);
    assert_true(limited());
    assert_int_equal(room_counted(&w, METRIC_SHIELD_ENTRIES), 0);
    quote();
    assert_true(limited());
    assert_int_equal(refused_here(), 0);
    quote();
    assert_true(limited());
    assert_int_equal(refused_here(), 1);
    w.gate.config = old;
    config_drop(other);
}

static uint64_t replayed_here(void)
{
    return room_counted(&w, METRIC_SHIELD_REPLAYED);
}

/* Key k is finished, and Redis has said so for the first time. */
static struct record_id finish_key(void)
{
    struct response r = {
        201, {"\0\0",   2},
         {"stored", 6}
    };
    struct spop_value v;
    struct word word = {.script = SCRIPT_COMPLETE, .status = 201, .ttl_s = ROOM_RECORD_S};
    struct buf packed = {0}, resp = {0};
    ask("payments", "k");
    assert_true(ack_value(&f, "token", &v));
    assert_int_equal(token_read(v.bytes.ptr, v.bytes.len, &word.token), 0);
    assert_int_equal(record_pack_done(&packed, &r, NULL, 0), 0);
    word.pending = (struct spop_slice){(const char *)packed.data, packed.len};
    unsigned n = script_word(&resp, &word);
    freeReplyObject(redis_server_send(&w.redis.server, resp.data, resp.len, n));
    buf_free(&packed);
    buf_free(&resp);
    return word.token.id;
}

static bool is_replay(void)
{
    return ack_says(&f, "verdict", "replay");
}

/* What Redis has said a second ago at most is not said while it cannot be asked. */
static void no_replay_while_redis_is_silent(void **state)
{
    (void)state;
    struct record_id id = finish_key();
    struct record r;
    for (unsigned i = 0; i < 2; i++) {
        ask("payments", "k");
        assert_true(is_replay());
        assert_int_equal(replayed_here(), i);
    }
    assert_true(room_record(&w, &r));
    room_freeze(&w);
    ask("payments", "other");
    room_until(&w, METRIC_BREAKER_OPEN, 1);
    replay_keep(w.gate.replay, &id, w.raw.data, w.raw.len, monotonic_now());
    ask("payments", "k");
    assert_true(ack_says(&f, "reason", "unavailable"));
    assert_int_equal(replayed_here(), 1);
    room_thaw(&w);
}

/* Redis is slow, and its reply was no news any more half a second after it was read. */
static void a_late_reply_is_old(void **state)
{
    (void)state;
    w.redis.config->redis.deadline_ms = 3000;
    guard_reconfigure(w.gate.guard, w.redis.config);
    finish_key();
    room_freeze(&w);
    send_request("payments", "k", 10);
    room_turn(&w, 0.6);
    room_thaw(&w);
    peer_ack(&p, stream, &f);
    assert_true(is_replay());
    room_turn(&w, 0.5);
    for (unsigned i = 0; i < 2; i++) {
        ask("payments", "k");
        assert_true(is_replay());
        assert_int_equal(replayed_here(), i);
    }
}

/* shield.max_entries = 0. */
static void off(void **state)
{
    (void)state;
    w.redis.config->shield.max_entries = 0;
    assert_true(shield_reconfigure(w.gate.shield, w.redis.config));
    use_up();
    quote();
    assert_true(limited());
    assert_int_equal(refused_here(), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(told_as_redis_would),
        T(forgotten_with_the_data),
        T(forgotten_with_the_connection),
        T(silent_while_redis_is),
        T(keys_are_asked),
        T(all_is_refused_here),
        T(not_across_a_reload),
        T(no_replay_while_redis_is_silent),
        T(a_late_reply_is_old),
        T(off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
