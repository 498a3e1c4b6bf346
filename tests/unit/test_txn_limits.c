// SPDX-License-Identifier: MIT
/* Limits that count each request, from the NOTIFY to the ACK, on a real Redis: what is refused before a claim
 * (400) and what HAProxy refuses itself (once-charge); and the counters by limit.
 *
 * Policy each: 3 an hour by address, charge = "all"; 9 an hour of what is forwarded; a shadow of 1 an hour. */
#include "tests/unit/limits_world.h"

static int setup(void **state)
{
    (void)state;
    return setup_with("");
}

static void ask_each(const char *message, const char *key)
{
    ask_by(message, "each", key);
}

static bool silent(void)
{
    struct spop_value v;
    return !ack_value(&f, "verdict", &v) && !ack_value(&f, "ratelimit", &v);
}

static void expect_deny(unsigned status, const char *reason)
{
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(ack_integer(&f, "status"), status);
    assert_true(ack_says(&f, "reason", reason));
}

/* Of the limit of that name in policy each. */
static uint64_t counted(const char *limit, enum limit_decision d)
{
    return room_decided(&w, "each", limit, d);
}

static void refused_requests_count(void **state)
{
    (void)state;
    ask_each("once-request", "");
    expect_deny(400, "key-invalid");
    ask_each("once-request", "\x01");
    expect_deny(400, "key-invalid");
    assert_int_equal(counted("address", LIMIT_ALLOWED), 2);
    assert_int_equal(counted("forwarded", LIMIT_ALLOWED), 0);
    ask_each("once-request", "k");
    assert_true(ack_says(&f, "verdict", "go"));
    assert_int_equal(counted("address", LIMIT_ALLOWED), 3);
    assert_int_equal(counted("forwarded", LIMIT_ALLOWED), 1);
    ask_each("once-request", "");
    expect_deny(429, "limited");
    assert_true(ack_says(&f, "ratelimit_policy", "\"address\";q=3;w=3600, \"forwarded\";q=9;w=3600"));
    ask_each("once-request", "k"); /* its record would say 409 */
    expect_deny(429, "limited");
    assert_int_equal(counted("address", LIMIT_REFUSED), 2);
    assert_int_equal(counted("forwarded", LIMIT_REFUSED), 0);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 1);
}

static void duplicates_count(void **state)
{
    struct spop_value v;
    (void)state;
    ask_each("once-request", "k");
    ask_each("once-request", "k");
    expect_deny(409, "busy");
    assert_true(ack_value(&f, "ratelimit", &v));
    assert_int_equal(counted("address", LIMIT_ALLOWED), 2);
    assert_int_equal(counted("forwarded", LIMIT_ALLOWED), 1);
}

/* HAProxy's own refusal: no verdict, or the 429 that it may say instead. */
static void charge_messages_count(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask_each("once-charge", "k");
        assert_true(silent());
    }
    assert_false(redis_server_int(&w.redis.server, "EXISTS %s", "none"));
    assert_int_equal(room_state(&w), '-'); /* no key is taken */
    ask_each("once-charge", "");
    expect_deny(429, "limited");
    assert_int_equal(counted("address", LIMIT_ALLOWED), 3);
    assert_int_equal(counted("address", LIMIT_REFUSED), 1);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), 0);
    ask_by("once-charge", "quotes", ""); /* counts what is forwarded only */
    assert_true(silent());
    ask_by("once-charge", "nobody", "");
    assert_true(silent());
}

/* Redis hangs: HAProxy and the agent refuse as they would have, nothing is counted, nobody gets a 503. */
static void without_redis(void **state)
{
    (void)state;
    room_freeze(&w);
    ask_each("once-request", "");
    expect_deny(400, "key-invalid");
    ask_each("once-charge", "");
    assert_true(silent());
    room_thaw(&w);
    assert_int_equal(counted("address", LIMIT_ALLOWED), 0);
    assert_int_equal(counted("address", LIMIT_UNCOUNTED), 0);
}

static void shadows_are_counted(void **state)
{
    (void)state;
    ask_each("once-request", "k");
    ask_each("once-request", "l");
    assert_true(ack_says(&f, "verdict", "go"));
    assert_int_equal(counted("shadow", LIMIT_ALLOWED), 1);
    assert_int_equal(counted("shadow", LIMIT_SHADOW_REFUSED), 1);
    assert_int_equal(counted("shadow", LIMIT_REFUSED), 0);
}

/* What is in flight: one is allowed; the next is refused, or told of where the limit is a shadow. */
static void slots_are_counted(void **state)
{
    static const enum limit_decision decisions[] = {LIMIT_ALLOWED, LIMIT_REFUSED, LIMIT_SHADOW_REFUSED};
    static const unsigned wanted[][3] = {
        {1, 0, 0},
        {1, 1, 0},
        {1, 1, 1},
        {1, 1, 2}
    };
    struct policy *slots = &w.redis.config->policies[w.redis.config->npolicies - 1];
    (void)state;
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char rid[2] = {(char)('a' + i), '\0'};
        slots->limits[0].shadow = i > 1;
        room_request(&p, 1, "slots", "k", rid);
        peer_ack(&p, 1, &f);
        assert_true(ack_says(&f, "verdict", i == 1 ? "deny" : "go"));
        for (unsigned d = 0; d < 3; d++)
            assert_int_equal(room_decided(&w, "slots", "in-flight", decisions[d]), wanted[i][d]);
    }
    room_freeze(&w);
    slots->limits[0].fail_open = true;
    room_request(&p, 2, "slots", "k", "z");
    peer_ack(&p, 2, &f);
    assert_true(ack_says(&f, "verdict", "pass"));
    assert_int_equal(room_decided(&w, "slots", "in-flight", LIMIT_UNCOUNTED), 1);
    room_thaw(&w);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(refused_requests_count), T(duplicates_count),    T(charge_messages_count),
        T(without_redis),          T(shadows_are_counted), T(slots_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
