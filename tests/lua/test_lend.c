// SPDX-License-Identifier: MIT
/* Loans of a token bucket, beside claims on it: "100 in 100 s", one token is a second. Redis' clock is the test's.
 *
 *   used    0         10        20                  100
 *           |---------|---------|-- .. --------------|
 *             charged   on loan
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/gate_clock.h"

static const uint64_t START_US = 1800000000000000, SECOND = 1000000;
static const double TICKS = 1e7; /* of a second */
enum { LASTS_MS = 2000, LOAN_BYTES = 36, CELL = 12, MOST_LOANS = 32 };

static struct lend_ask ask_of(const struct gate *g, uint8_t agent, uint32_t number, uint32_t wanted)
{
    const struct plan_limit *l = &g->plan.limits[0];
    struct lend_ask a = {.subject = l->subject,
                         .limit = l->limit->hash,
                         .increment = l->pace->increment,
                         .capacity = l->pace->capacity,
                         .most = l->limit->most,
                         .number = number,
                         .wanted = wanted,
                         .lasts_ms = LASTS_MS};
    memset(a.agent, agent, sizeof a.agent);
    return a;
}

static struct lend_said lend(struct gate *g, uint64_t us, uint8_t agent, uint32_t number, uint32_t wanted)
{
    struct lend_said said = {0};
    struct lend_ask a = ask_of(g, agent, number, wanted);
    assert_int_equal(gate_lend_at(g, us, &a, &said), 'S');
    return said;
}

static struct lend_said give_back(struct gate *g, uint64_t us, uint8_t agent, uint32_t number,
                                  uint32_t tokens)
{
    struct lend_said said = {0};
    struct lend_ask a = ask_of(g, agent, 0, 0);
    a.nbacks = 1;
    a.backs[0] = (struct lend_back){number, tokens};
    assert_int_equal(gate_lend_at(g, us, &a, &said), 'S');
    return said;
}

static void bucket(struct gate *g)
{
    g->plan.has_record = false;
    gate_limit(g, 100, 100, 1);
}

/* How many requests pass at that moment. */
static unsigned drain(struct gate *g, uint64_t us)
{
    unsigned n = 0;
    while (gate_claim_at(g, us) == 'G')
        n++;
    assert_int_equal(g->outcome.kind, 'L');
    return n;
}

static void assert_seconds(double ticks, double seconds)
{
    assert_true(ticks >= seconds * TICKS - 1 && ticks <= seconds * TICKS + 1);
}

/* What is on loan is used, to those who have none of it. */
static void lent_is_used(void **state)
{
    struct gate *g = *state;
    bucket(g);
    struct lend_said s = lend(g, START_US, 'a', 1, 10);
    assert_int_equal(s.tokens, 10);
    assert_int_equal(s.ends_us, START_US + LASTS_MS * 1000);
    assert_seconds(s.level, 10);
    assert_seconds(s.on_loan, 10);
    assert_int_equal(drain(g, START_US), 90);
}

/* Half of what is there, rounded up, and half of the burst for all. */
static void nobody_hoards(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 45).tokens, 45);
    assert_int_equal(lend(g, START_US, 'b', 1, 45).tokens, 5);
    assert_int_equal(lend(g, START_US, 'c', 1, 45).tokens, 0);
    assert_int_equal(give_back(g, START_US, 'b', 1, 5).closed, 1);
    for (unsigned i = 0; i < 52; i++)
        assert_int_equal(gate_claim_at(g, START_US), 'G');
    assert_int_equal(lend(g, START_US, 'c', 1, 45).tokens, 2); /* of 3 */
    assert_int_equal(lend(g, START_US, 'c', 2, 45).tokens, 1);
    assert_int_equal(lend(g, START_US, 'c', 3, 45).tokens, 0);
}

/* The trap: kept for 10 s, a loan and what was refilled meanwhile would be more than the burst. */
static void on_loan_is_not_refilled(void **state)
{
    struct gate *g = *state;
    bucket(g);
    struct lend_ask a = ask_of(g, 'a', 1, 40);
    struct lend_said s;
    a.lasts_ms = 20000;
    assert_int_equal(gate_lend_at(g, START_US, &a, &s), 'S');
    assert_int_equal(s.tokens, 40);
    assert_int_equal(drain(g, START_US + 10 * SECOND), 60);
}

/* ACCEPTANCE S6: what was spent of it is not known, so all of it counts as spent, when it ended. */
static void ended_counts_as_spent(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 40).tokens, 40);
    assert_int_equal(give_back(g, START_US + 2 * SECOND, 'a', 1, 40).closed, 0);
    assert_int_equal(drain(g, START_US + 2 * SECOND), 60);
    assert_int_equal(drain(g, START_US + 5 * SECOND), 3);
    redis_server_do(&g->redis, "FLUSHALL");
    assert_int_equal(lend(g, START_US, 'a', 1, 40).tokens, 40);
    assert_int_equal(drain(g, START_US + 12 * SECOND), 70); /* ended at 2 s, ten refilled since */
    redis_server_do(&g->redis, "FLUSHALL");
    assert_int_equal(lend(g, START_US, 'a', 1, 40).tokens, 40);
    assert_int_equal(drain(g, START_US + 42 * SECOND), 100);
}

/* S6: once, however often it is said, by its own agent only, and never more than was lent. */
static void given_back_once(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 20).tokens, 20);
    assert_int_equal(lend(g, START_US, 'a', 2, 10).tokens, 10);
    assert_int_equal(give_back(g, START_US, 'b', 1, 20).closed, 0);
    assert_int_equal(give_back(g, START_US, 'a', 3, 20).closed, 0);
    assert_seconds(give_back(g, START_US, 'a', 1, 15).level, 15);
    struct lend_said s = give_back(g, START_US, 'a', 1, 15);
    assert_int_equal(s.closed, 0);
    assert_seconds(s.level, 15);
    assert_seconds(give_back(g, START_US, 'a', 2, 4000000000u).level, 5);
    assert_int_equal(drain(g, START_US), 95);
}

/* The tokens that were not given back may have been spent just now: nothing was refilled for them. */
static void refills_from_when_it_goes(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 10).tokens, 10);
    assert_seconds(give_back(g, START_US + 1 * SECOND, 'a', 1, 1).level, 9);
    assert_int_equal(drain(g, START_US + 1 * SECOND), 91);
}

/* A question that comes twice lends once. */
static void same_number_lends_once(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 10).tokens, 10);
    assert_int_equal(lend(g, START_US, 'a', 1, 10).tokens, 0);
    assert_int_equal(lend(g, START_US, 'b', 1, 10).tokens, 10);
}

static void past_the_deadline(void **state)
{
    struct gate *g = *state;
    struct lend_said s;
    bucket(g);
    struct lend_ask a = ask_of(g, 'a', 1, 10);
    a.deadline_us = START_US - 1;
    assert_int_equal(gate_lend_at(g, START_US, &a, &s), 'P');
    assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_limit_key(g, 0)), 0);
}

/* Other limits of the subject, and cells of nobody here, stay as they are; a claim keeps the loans. */
static void neighbours(void **state)
{
    struct gate *g = *state;
    bucket(g);
    gate_limit(g, 7, 100, 1);
    assert_int_equal(gate_claim_at(g, START_US), 'G');
    assert_int_equal(lend(g, START_US, 'a', 1, 10).tokens, 10);
    assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_limit_key(g, 0)),
                     2 * CELL + LOAN_BYTES + 1);
    assert_int_equal(gate_claim_at(g, START_US), 'G');
    assert_seconds(g->outcome.level[0], 12);
    assert_seconds(g->outcome.level[1], 2 * 100 / 7.0);
    struct limit *first = &g->policy.limits[0];
    g->plan.limits[0] = g->plan.limits[1]; /* an agent without the first limit */
    g->plan.nlimits = 1;
    assert_int_equal(gate_claim_at(g, START_US), 'G');
    g->plan.limits[0].limit = first;
    g->plan.limits[0].pace = &first->pace;
    assert_int_equal(give_back(g, START_US, 'a', 1, 10).closed, 1);
    assert_int_equal(drain(g, START_US), 98);
}

/* So many loans have room in a group; more agents find none, and claim. */
static void bounded(void **state)
{
    struct gate *g = *state;
    g->plan.has_record = false;
    gate_limit(g, 1000, 100, 1);
    for (uint8_t i = 0; i < MOST_LOANS; i++)
        assert_int_equal(lend(g, START_US, i, 1, 1).tokens, 1);
    assert_int_equal(lend(g, START_US, 99, 1, 1).tokens, 0);
    assert_int_equal(drain(g, START_US), 1000 - MOST_LOANS);
    assert_int_equal(lend(g, START_US + 4 * SECOND, 99, 1, 1).tokens, 1);
}

/* Redis' clock stepped back by a day: a loan ends a minute later at the latest. */
static void clock_step_back(void **state)
{
    struct gate *g = *state;
    const uint64_t day = 86400 * SECOND;
    bucket(g);
    assert_int_equal(lend(g, START_US + day, 'a', 1, 40).tokens, 40);
    assert_int_equal(drain(g, START_US), 0);
    assert_int_equal(drain(g, START_US + 59 * SECOND), 59);
    assert_int_equal(drain(g, START_US + 160 * SECOND), 100);
}

static struct lend_said need(struct gate *g, uint64_t us, uint8_t agent, uint32_t number, uint32_t needed)
{
    struct lend_said said = {0};
    struct lend_ask a = ask_of(g, agent, number, 0);
    a.needed = needed;
    assert_int_equal(gate_lend_at(g, us, &a, &said), 'S');
    return said;
}

/* Requests that wait get all that there is, whoever has loans, and no more. */
static void to_the_last_token(void **state)
{
    struct gate *g = *state;
    bucket(g);
    assert_int_equal(lend(g, START_US, 'a', 1, 45).tokens, 45);
    assert_int_equal(need(g, START_US, 'b', 1, 54).tokens, 54);
    assert_int_equal(need(g, START_US, 'c', 1, 3).tokens, 1);
    struct lend_said s = need(g, START_US, 'c', 2, 3);
    assert_int_equal(s.tokens, 0);
    assert_seconds(s.level, 100);
    assert_int_equal(give_back(g, START_US, 'b', 1, 54).closed, 1);
    assert_int_equal(need(g, START_US, 'c', 3, 55).tokens, 54);
    assert_int_equal(drain(g, START_US), 0);
    /* Nothing is refilled while all is on loan. */
    assert_int_equal(drain(g, START_US + 1 * SECOND), 0);
}

/* For those that wait there is room for more loans, and a bound. */
static void bounded_apart(void **state)
{
    struct gate *g = *state;
    g->plan.has_record = false;
    gate_limit(g, 1000, 100, 1);
    for (unsigned i = 0; i < 128; i++)
        assert_int_equal(need(g, START_US, (uint8_t)i, 1, 1).tokens, 1);
    assert_int_equal(need(g, START_US, 200, 1, 1).tokens, 0);
    assert_int_equal(lend(g, START_US, 201, 1, 1).tokens, 0);
    assert_int_equal(drain(g, START_US), 1000 - 128);
}

/* What is no group of ours becomes a full bucket, as by a claim: nobody else would mend it. */
static void foreign_values_apart(void **state)
{
    struct gate *g = *state;
    bucket(g);
    redis_server_do(&g->redis, "SET %s nonsense PX 600000", gate_limit_key(g, 0));
    struct lend_said s = need(g, START_US, 'a', 1, 1);
    assert_int_equal(s.tokens, 0);
    assert_seconds(s.level, 100);
    assert_int_equal(need(g, START_US + 10 * SECOND, 'a', 2, 20).tokens, 10);
    redis_server_do(&g->redis, "DEL %s", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "RPUSH %s x", gate_limit_key(g, 0));
    assert_int_equal(need(g, START_US, 'a', 3, 1).tokens, 0);
    assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_limit_key(g, 0)), CELL);
}

/* Redis' clock stepped back by a day: what lies ahead is lowered, and that is kept. */
static void clock_step_back_apart(void **state)
{
    struct gate *g = *state;
    const uint64_t day = 86400 * SECOND;
    bucket(g);
    assert_int_equal(gate_claim_at(g, START_US + day), 'G');
    assert_int_equal(need(g, START_US, 'a', 1, 1).tokens, 0);
    assert_int_equal(need(g, START_US + 10 * SECOND, 'a', 2, 20).tokens, 10);
}

/* What is no group of ours is left to the claim, and nothing is lent of it. */
static void foreign_values(void **state)
{
    struct gate *g = *state;
    struct lend_said s;
    bucket(g);
    static const char *const bad[] = {"", "12345678901", "1234567890123", "1234567890\t"};
    struct lend_ask a = ask_of(g, 'a', 1, 10);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        redis_server_do(&g->redis, "SET %s %s PX 600000", gate_limit_key(g, 0), bad[i]);
        assert_int_equal(gate_lend_at(g, START_US, &a, &s), 'X');
        assert_int_equal(gate_claim_at(g, START_US), 'L');
        assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_limit_key(g, 0)), CELL);
    }
    redis_server_do(&g->redis, "DEL %s", gate_limit_key(g, 0));
    redis_server_do(&g->redis, "RPUSH %s x", gate_limit_key(g, 0));
    assert_int_equal(gate_lend_at(g, START_US, &a, &s), 'X');
    redis_server_do(&g->redis, "DEL %s", gate_limit_key(g, 0));
}

static int begin(void **state)
{
    gate_begin(state);
    gate_clock_start(*state);
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, gate_end)
    const struct CMUnitTest tests[] = {
        TEST(lent_is_used),
        TEST(nobody_hoards),
        TEST(on_loan_is_not_refilled),
        TEST(ended_counts_as_spent),
        TEST(given_back_once),
        TEST(refills_from_when_it_goes),
        TEST(same_number_lends_once),
        TEST(past_the_deadline),
        TEST(neighbours),
        TEST(bounded),
        TEST(clock_step_back),
        TEST(foreign_values),
        TEST(to_the_last_token),
        TEST(bounded_apart),
        TEST(foreign_values_apart),
        TEST(clock_step_back_apart),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
