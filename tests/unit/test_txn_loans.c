// SPDX-License-Identifier: MIT
/* Loans from the NOTIFY to the ACK, on a real Redis: what passes without it, what is put back, and what a client is told.
 *
 * Policy lent: 100 an hour. lent-open: the same, fails open. lent-key: a key, nine an hour, and two lent limits; one counts all. */
#include "tests/unit/limits_world.h"

static int start(const char *loans_time)
{
    char more[160];
    snprintf(more, sizeof more,
             "loans = { time = \"%s\"; };\nshield = { max_entries = 0; };\nbreaker = { failures = 1000; };\n",
             loans_time);
    return setup_with(more);
}

static int setup(void **state)
{
    (void)state;
    return start("1s");
}

/* Nothing gets old. */
static int setup_long(void **state)
{
    (void)state;
    return start("30s");
}

static bool passes(const char *policy)
{
    ask(policy, "");
    return ack_says(&f, "verdict", "pass");
}

static uint64_t spent(void)
{
    return room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK);
}

static uint64_t lent(void)
{
    return room_counted(&w, METRIC_LOANS_LENT);
}

/* Until so many tokens have been lent and are not spent. Returns how many requests that took. */
static unsigned borrow(const char *policy, unsigned tokens)
{
    unsigned n = 0;
    while (lent() - spent() < tokens) {
        assert_true(passes(policy) && n++ < 90);
        room_turn(&w, 0.005);
    }
    return n;
}

/* 100 and no more, most of them without a question; what is told is never more than what is left. */
static void all_of_it(void **state)
{
    (void)state;
    unsigned left = 100;
    for (; passes("lent"); left--) {
        assert_true(left > 0);
        assert_true(shown() <= left - 1);
        room_turn(&w, 0.002);
    }
    assert_true(ack_says(&f, "reason", "limited"));
    /* Redis has no more, and here only less than what one request costs may be left. */
    assert_int_equal(left, 0);
    assert_int_equal(spent(), room_counted(&w, METRIC_LOANS_ALONE));
    assert_int_equal(room_decided(&w, "lent", "pool", LIMIT_ALLOWED), 100);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 100);
    assert_true(room_counted(&w, METRIC_LOANS_ALONE) > 60);
    assert_true(room_counted(&w, METRIC_LOANS_ASKED) < 30);
}

/* ACCEPTANCE S7. */
static void redis_is_gone(const char *policy, bool open)
{
    unsigned n = 0;
    borrow(policy, 6);
    room_freeze(&w);
    uint64_t here = lent() - spent();
    for (unsigned i = 0; i < here; i++)
        assert_true(passes(policy) && !ack_is_true(&f, "unprotected"));
    assert_int_equal(passes(policy), open);
    assert_int_equal(ack_is_true(&f, "unprotected"), open);
    room_thaw(&w);
    while (n++ < 100 && !passes(policy))
        room_turn(&w, 0.05);
}

static void gone_and_closed(void **state)
{
    (void)state;
    redis_is_gone("lent", false);
    assert_int_equal(ack_integer(&f, "status"), -1);
}

static void gone_and_open(void **state)
{
    (void)state;
    redis_is_gone("lent-open", true);
}

/* Without Redis a loan ends all the same. */
static void gone_for_longer(void **state)
{
    (void)state;
    borrow("lent", 6);
    room_freeze(&w);
    assert_true(passes("lent"));
    room_turn(&w, 1);
    assert_false(passes("lent"));
    assert_int_equal(ack_integer(&f, "status"), 503);
    room_thaw(&w);
}

static void given_back_when_old(void **state)
{
    (void)state;
    borrow("lent", 6);
    assert_true(redis_has_loans());
    for (unsigned i = 0; i < 400 && !loans_idle(w.gate.loans); i++)
        room_turn(&w, 0.01);
    assert_int_equal(spent() + room_counted(&w, METRIC_LOANS_RETURNED), lent());
    assert_false(redis_has_loans());
}

static void given_back_by_drain(void **state)
{
    (void)state;
    borrow("lent", 6);
    uint64_t left = lent() - spent();
    assert_false(loans_idle(w.gate.loans));
    loans_drain(w.gate.loans);
    room_until(&w, METRIC_LOANS_RETURNED, left);
    assert_true(loans_idle(w.gate.loans));
    assert_false(redis_has_loans());
    uint64_t alone = room_counted(&w, METRIC_LOANS_ALONE);
    assert_true(passes("lent"));
    assert_int_equal(room_counted(&w, METRIC_LOANS_ALONE), alone);
}

/* What an operator has reset, or Redis has lost, is not spent beside the new bucket. */
static void forgotten(void **state)
{
    struct record_id subject;
    (void)state;
    borrow("lent", 6);
    redis_server_do(&w.redis.server, "FLUSHALL");
    room_until(&w, METRIC_DATA_LOSS, 1);
    uint64_t alone = room_counted(&w, METRIC_LOANS_ALONE);
    assert_true(passes("lent"));
    assert_int_equal(room_counted(&w, METRIC_LOANS_ALONE), alone);
    memset(&subject, 0, sizeof subject);
    loans_forget(w.gate.loans, &subject); /* of nobody */
}

/* Of a request with a key the claim says what becomes of its tokens. */
static void with_a_key(void **state)
{
    uint64_t before;
    char key[16];
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(key, sizeof key, "k-%u", i);
        ask("lent-key", key);
        assert_true(ack_says(&f, "verdict", "go"));
        assert_true(shown() <= 9 - i - 1);
        room_turn(&w, 0.02);
    }
    assert_true(spent() > 0);
    assert_int_equal(room_counted(&w, METRIC_LOANS_ALONE), 0);
    /* Busy: the limit on what is forwarded gets its token back, the other one has counted. */
    before = spent();
    uint64_t every = room_decided(&w, "lent-key", "every", LIMIT_ALLOWED),
             pool = room_decided(&w, "lent-key", "pool", LIMIT_ALLOWED);
    ask("lent-key", "k-0");
    assert_true(ack_says(&f, "reason", "busy"));
    assert_int_equal(spent(), before + 1);
    assert_int_equal(room_decided(&w, "lent-key", "every", LIMIT_ALLOWED), every + 1);
    assert_int_equal(room_decided(&w, "lent-key", "pool", LIMIT_ALLOWED), pool);
    for (unsigned i = 5; i < 9; i++) {
        snprintf(key, sizeof key, "k-%u", i);
        ask("lent-key", key);
        assert_true(ack_says(&f, "verdict", "go"));
        room_turn(&w, 0.02);
    }
    /* Another limit refuses: both go back. */
    before = spent();
    ask("lent-key", "k-9");
    assert_true(ack_says(&f, "reason", "limited"));
    assert_true(
        ack_says(&f, "ratelimit_policy", "\"few\";q=9;w=3600, \"pool\";q=100;w=3600, \"every\";q=90;w=3600"));
    assert_int_equal(shown(), 0);
    assert_int_equal(spent(), before);
}

/* A key is always claimed, whatever is on loan. */
static void a_key_is_claimed(void **state)
{
    char key[16];
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        snprintf(key, sizeof key, "k-%u", i);
        ask("lent-sole", key);
        assert_true(ack_says(&f, "verdict", "go"));
        ask("lent-sole", key);
        assert_true(ack_says(&f, "reason", "busy"));
        room_turn(&w, 0.01);
    }
    assert_true(spent() >= 6);
    assert_int_equal(room_decided(&w, "lent-sole", "pool", LIMIT_ALLOWED), 12);
}

/* Redis does not answer: nothing was forwarded, so nothing was spent. */
static void put_back_without_a_reply(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "k-%u", i);
        ask("lent-key", key);
        room_turn(&w, 0.02);
    }
    uint64_t before = spent();
    room_freeze(&w);
    ask("lent-key", "k-8");
    assert_int_equal(ack_integer(&f, "status"), 503);
    assert_int_equal(spent(), before);
    room_thaw(&w);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_of_it),           T(gone_and_closed),
        T(gone_and_open),       T(gone_for_longer),
        T(given_back_when_old), cmocka_unit_test_setup_teardown(given_back_by_drain, setup_long, teardown),
        T(forgotten),           T(with_a_key),
        T(a_key_is_claimed),    T(put_back_without_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
