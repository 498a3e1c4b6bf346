// SPDX-License-Identifier: MIT
/* Limits with another subject than the record, decided as in a cluster (rooms/txn_loans), from the NOTIFY to the ACK on a real Redis.
 *
 *   both: a key, three an hour for all      each: a key; by address three that count all, nine, a shadow of one
 *   two: no key, three for all, five for each address      costly: three units
 */
#include "tests/unit/limits_world.h"

static int setup_split(const char *more)
{
    setup_with(more);
    room_split(&w);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_split("breaker = { failures = 1000; };\nshield = { max_entries = 0; };\n");
}

/* With a breaker that opens. */
static int setup_breaker(void **state)
{
    (void)state;
    return setup_split("shield = { max_entries = 0; };\n");
}

/* With what an agent remembers of refusals. */
static int setup_shield(void **state)
{
    (void)state;
    return setup_split("breaker = { failures = 1000; };\n");
}

/* The reason that is told. */
static const char *told(void)
{
    static char reason[32];
    struct spop_value v;
    assert_true(ack_value(&f, "reason", &v));
    snprintf(reason, sizeof reason, "%.*s", (int)v.bytes.len, v.bytes.ptr);
    return reason;
}

static void assert_says(const char *policy, const char *key, const char *reason)
{
    ask(policy, key);
    assert_string_equal(told(), reason);
}

/* All that was lent for requests is spent or given back as soon as they are answered. */
static void until_settled(void)
{
    for (unsigned i = 0; i < 400 && (redis_has_loans() || !loans_idle(w.gate.loans)); i++)
        room_turn(&w, 0.005);
    assert_false(redis_has_loans());
    assert_true(loans_idle(w.gate.loans));
}

/* What a record says comes before a limit, whether that has tokens or not, and its token goes back. */
static void three_for_all(void **state)
{
    (void)state;
    assert_says("both", "k-0", "go");
    assert_int_equal(shown(), 2);
    assert_says("both", "k-0", "busy");
    assert_says("both", "k-1", "go");
    assert_int_equal(shown(), 1);
    assert_says("both", "k-1", "busy");
    assert_says("both", "k-2", "go");
    assert_int_equal(shown(), 0);
    assert_says("both", "k-3", "limited");
    assert_int_equal(ack_integer(&f, "status"), 429);
    assert_true(ack_integer(&f, "retry_after") > 1100 && ack_integer(&f, "retry_after") <= 1200);
    assert_says("both", "k-0", "busy");
    assert_says("both", "k-4", "limited");
    until_settled();
    assert_int_equal(room_decided(&w, "both", "all", LIMIT_ALLOWED), 3);
    assert_int_equal(room_decided(&w, "both", "all", LIMIT_REFUSED), 2);
    assert_int_equal(room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK), 3);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_LIMITED), 2);
}

/* One question for all who ask at once; no more pass than there are. */
static void at_once(void **state)
{
    unsigned go = 0;
    char key[16];
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "k-%u", i);
        make_request("once-request", "both", key, 10);
    }
    peer_send(&p);
    for (uint64_t i = 1; i <= 60; i++) {
        peer_ack(&p, i, &f);
        go += ack_says(&f, "reason", "go");
    }
    assert_int_equal(go, 3);
    assert_true(room_counted(&w, METRIC_LOANS_ASKED) < 20);
    until_settled();
}

/* One that counts all requests does so whatever the record says, and over it nothing is answered. */
static void counts_all(void **state)
{
    (void)state;
    assert_says("each", "k-0", "go");
    assert_int_equal(shown(), 2);
    assert_says("each", "k-0", "busy");
    assert_int_equal(shown(), 1);
    assert_says("each", "k-1", "go");
    assert_int_equal(shown(), 0);
    assert_says("each", "k-0", "limited");
    assert_says("each", "k-2", "limited");
    assert_int_equal(room_decided(&w, "each", "address", LIMIT_ALLOWED), 3);
    assert_int_equal(room_decided(&w, "each", "address", LIMIT_REFUSED), 2);
    assert_int_equal(room_decided(&w, "each", "forwarded", LIMIT_ALLOWED), 2);
    assert_int_equal(room_decided(&w, "each", "shadow", LIMIT_ALLOWED), 1);
    assert_int_equal(room_decided(&w, "each", "shadow", LIMIT_SHADOW_REFUSED), 3);
    until_settled();
}

/* Refused by the agent itself, and only counted: the limit that counts all is asked for a token, the others only how full they
 * are. */
static void only_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask("each", "");
        assert_int_equal(ack_integer(&f, "status"), 400);
    }
    ask("each", "");
    assert_int_equal(ack_integer(&f, "status"), 429);
    assert_int_equal(room_decided(&w, "each", "address", LIMIT_ALLOWED), 3);
    assert_int_equal(room_decided(&w, "each", "forwarded", LIMIT_ALLOWED), 0);
}

static void without_a_key(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_says("two", "", "go");
        assert_int_equal(shown(), 2 - i);
    }
    assert_says("two", "", "limited");
    assert_true(ack_says(&f, "ratelimit_policy", "\"client\";q=5;w=3600, \"all\";q=3;w=3600"));
    until_settled();
    assert_int_equal(room_decided(&w, "two", "client", LIMIT_ALLOWED), 3);
    assert_int_equal(room_decided(&w, "two", "client", LIMIT_REFUSED), 0);
    assert_int_equal(room_decided(&w, "two", "all", LIMIT_REFUSED), 1);
}

/* All limits of one subject, and no record: it is one call. */
static void one_subject(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_says("quotes", "", "go");
    assert_says("quotes", "", "limited");
    assert_int_equal(room_counted(&w, METRIC_LOANS_ASKED), 0);
}

static const char *ask_costly(const char *key, const char *cost)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)++stream);
    room_begin(&p, stream, "once-request", "costly", key, rid, 10);
    peer_str(&p, "cost", cost);
    peer_end(&p);
    peer_send(&p);
    peer_ack(&p, stream, &f);
    return told();
}

static void costs(void **state)
{
    (void)state;
    assert_string_equal(ask_costly("k-0", "2"), "go");
    assert_int_equal(shown(), 1);
    assert_string_equal(ask_costly("k-1", "2"), "limited");
    assert_int_equal(shown(), 1);
    assert_string_equal(ask_costly("k-2", "0"), "go");
    assert_int_equal(shown(), 1);
    assert_string_equal(ask_costly("k-3", "1"), "go");
    assert_int_equal(shown(), 0);
    assert_string_equal(ask_costly("k-4", "4"), "limited");
    assert_int_equal(ack_integer(&f, "retry_after"), -1); /* never */
    until_settled();
}

/* 422, and a record that is none of ours: their tokens go back. */
static void refused_by_the_record(void **state)
{
    (void)state;
    assert_says("waits", "k-0", "go");
    uint64_t before = room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK);
    assert_int_equal(before, 2);
    send_request("waits", "k-0", 11);
    peer_ack(&p, stream, &f);
    assert_true(ack_says(&f, "reason", "mismatch"));
    /* `every` counts it, `few` does not. */
    assert_int_equal(room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK), 3);
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:r:*");
    assert_int_equal(keys->elements, 1);
    redis_server_do(&w.redis.server, "SET %s x PX 100000", keys->element[0]->str);
    freeReplyObject(keys);
    assert_says("waits", "k-0", "foreign");
    assert_int_equal(room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK), 3);
    until_settled();
}

/* Redis does not answer: refused in time, and what comes too late to it does nothing. */
static void redis_hangs(void **state)
{
    (void)state;
    room_freeze(&w);
    double before = ev_time();
    ask("both", "k-0");
    assert_int_equal(ack_integer(&f, "status"), 503);
    assert_true(ev_time() - before < 1.5);
    room_thaw(&w);
    for (unsigned i = 0; i < 200 && !redis_ready(w.gate.redis); i++)
        room_turn(&w, 0.01);
    room_turn(&w, 0.3);
    until_settled();
    for (unsigned i = 0; i < 3; i++) {
        char key[16];
        snprintf(key, sizeof key, "k-%u", i);
        assert_says("both", key, "go");
    }
    assert_says("both", "k-9", "limited");
}

/* Nobody is there any more to be told. */
static void connection_gone(void **state)
{
    (void)state;
    room_freeze(&w);
    send_request("both", "k-0", 10);
    room_turn(&w, 0.02);
    peer_close(&p);
    room_turn(&w, 0.02);
    room_thaw(&w);
    for (unsigned i = 0; i < 200 && w.gate.live > 0; i++)
        room_turn(&w, 0.01);
    assert_int_equal(w.gate.live, 0);
    room_dial(&w, &p);
    until_settled();
}

/* The agent ends while requests wait: for what was asked, to be asked next, and behind one of those. */
static void agent_ends(void **state)
{
    (void)state;
    room_freeze(&w);
    send_request("both", "k-0", 10);
    send_request("two", "", 10);
    room_turn(&w, 0.02);
    send_request("both", "k-1", 10);
    room_turn(&w, 0.02);
    send_request("both", "k-1", 10);
    send_request("both", "k-1", 10);
    room_turn(&w, 0.02);
    assert_int_equal(w.gate.live, 5);
}

/* A value that is no bucket counts as a full one, as in a claim, and is mended. */
static void broken_value(void **state)
{
    (void)state;
    assert_says("both", "k-0", "go");
    until_settled();
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:l:*");
    assert_int_equal(keys->elements, 1);
    redis_server_do(&w.redis.server, "SET %s nonsense PX 100000", keys->element[0]->str);
    assert_says("both", "k-1", "limited");
    assert_int_equal(redis_server_int(&w.redis.server, "STRLEN %s", keys->element[0]->str), 12);
    redis_server_do(&w.redis.server, "DEL %s", keys->element[0]->str);
    redis_server_do(&w.redis.server, "RPUSH %s a", keys->element[0]->str);
    redis_server_do(&w.redis.server, "PEXPIRE %s 100000", keys->element[0]->str);
    assert_says("both", "k-2", "limited");
    freeReplyObject(keys);
}

/* A refusal is repeated here for a tenth of a second, and no longer: another agent may give back what it has. */
static void remembered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_says("two", "", "go");
    assert_says("two", "", "limited");
    assert_says("two", "", "limited");
    assert_true(room_counted(&w, METRIC_SHIELD_REFUSED) >= 1);
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:l:*");
    for (size_t i = 0; i < keys->elements; i++)
        redis_server_do(&w.redis.server, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
    room_turn(&w, 0.15);
    assert_says("two", "", "go");
}

/* Waits until the guard's question has just been answered: the next one is a quarter of a second away. */
static void just_asked(void)
{
    char before[64] = "";
    for (unsigned i = 0; i < 400; i++) {
        redisReply *mark = redisCommand(w.redis.server.c, "GET once:mark");
        bool changed = mark->str && *before && strcmp(before, mark->str) != 0;
        snprintf(before, sizeof before, "%s", mark->str ? mark->str : "");
        freeReplyObject(mark);
        if (changed)
            return;
        room_turn(&w, 0.005);
    }
    fail_msg("the mark is not asked for");
}

/* What the guard learns while the limits are asked holds for the claim that follows. */
static void guarded_again(void **state)
{
    (void)state;
    assert_says("both", "k-0", "go");
    until_settled();
    just_asked();
    room_turn(&w, 0.02); /* its reply */
    room_freeze(&w);
    send_request("both", "k-1", 10);
    room_turn(&w, 0.02);
    for (unsigned i = 0; i < 5; i++)
        guard_heard(w.gate.guard, w.gate.redis, false);
    assert_false(guard_admits(w.gate.guard, w.gate.redis));
    room_thaw(&w);
    peer_ack(&p, stream, &f);
    assert_int_equal(ack_integer(&f, "status"), 503);
    until_settled();
    assert_int_equal(redis_server_int(&w.redis.server, "EVAL %s 0", "return #redis.call('KEYS', '*:r:*')"),
                     1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(three_for_all),
        T(at_once),
        T(counts_all),
        T(only_counted),
        T(without_a_key),
        T(one_subject),
        T(costs),
        T(refused_by_the_record),
        T(redis_hangs),
        T(connection_gone),
        T(agent_ends),
        cmocka_unit_test_setup_teardown(agent_ends, setup_shield, teardown),
        T(broken_value),
        cmocka_unit_test_setup_teardown(guarded_again, setup_breaker, teardown),
        cmocka_unit_test_setup_teardown(remembered, setup_shield, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
