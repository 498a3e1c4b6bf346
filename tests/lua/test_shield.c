// SPDX-License-Identifier: MIT
/* The shield against the gate itself: the same random traffic is asked of both at the same moment, and what the shield
 * refuses the gate must refuse too, on a real Redis with a clock that the test sets.
 *
 *   moment ─┬─ shield_refuses ─► refused, or not known ─┐
 *           └─ claim ──────────► the truth ─────────────┴─► refused here, granted there: the defect
 *
 * Some of the claims are another agent's: the shield is not told of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rooms/shield.h"
#include "tests/support/gate_clock.h"

static const uint64_t T = 1800000000000000, SECOND = 1000000;
enum { ENTRIES = 64, STEPS = 12000, SHAPES = 8 };
#define LATE 0.04 /* seconds */

static struct metrics metrics;
static struct config *config;
static struct shield *shield;

static int begin(void **state)
{
    config = config_new();
    config->shield.max_entries = ENTRIES;
    memset(&metrics, 0, sizeof metrics);
    shield = shield_new(config, &metrics);
    return shield ? gate_begin(state) : -1;
}

static int end(void **state)
{
    shield_free(shield);
    config_drop(config);
    return gate_end(state);
}

static double seconds(uint64_t us)
{
    return (double)us / 1e6;
}

static void only_limits(struct gate *g)
{
    g->plan.has_record = false;
}

static bool refuses(struct gate *g, uint64_t us, struct outcome *o)
{
    return shield_refuses(shield, &g->plan, seconds(us), us, o);
}

static void tell(struct gate *g, double sent, double read)
{
    if (g->outcome.kind == OUTCOME_LIMITED)
        shield_learn(shield, &g->plan, &g->outcome, sent, read);
    else
        shield_refresh(shield, &g->plan, &g->outcome, sent, read);
}

static char claim_and_learn(struct gate *g, uint64_t us)
{
    char kind = gate_claim_at(g, us);
    tell(g, seconds(us), seconds(us));
    return kind;
}

/* R16: refused here up to the moment at which it could pass, 1 us before as well, and not at it. */
static void until_the_moment(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    assert_false(refuses(g, T, &o));
    assert_int_equal(claim_and_learn(g, T), 'G');
    assert_false(refuses(g, T, &o));
    assert_int_equal(claim_and_learn(g, T + SECOND), 'L');
    assert_true(refuses(g, T + 2 * SECOND, &o));
    assert_int_equal(o.kind, OUTCOME_LIMITED);
    assert_true(o.has_levels && o.now_us == T + 2 * SECOND);
    assert_true(o.wait_us[0] == 8e6 && o.level[0] == 8e7 && o.back[0] == 8e7);
    assert_true(refuses(g, T + 10 * SECOND - 10, &o));
    assert_false(refuses(g, T + 10 * SECOND, &o));
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
}

/* What another agent gives back of a lent limit can be had at once: its refusal is believed for 100 ms. One that did not refuse
 * is known for as long as any. */
static void a_lent_limit_is_not_believed_for_long(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    gate_limit(g, 1, 10, 2);
    g->policy.limits[0].pace.lent = 1;
    assert_int_equal(claim_and_learn(g, T), 'G');
    assert_int_equal(claim_and_learn(g, T), 'L');
    assert_true(refuses(g, T + 99000, &o));
    assert_false(refuses(g, T + 101000, &o));
    g->plan.limits[0].cost = 0;
    assert_int_equal(claim_and_learn(g, T + SECOND), 'L');
    assert_true(refuses(g, T + 5 * SECOND, &o));
}

/* Another cost, another tier of the same bucket: its own moment. */
static void each_cost_has_its_moment(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 4, 4, 1);
    g->plan.limits[0].cost = 3;
    assert_int_equal(claim_and_learn(g, T), 'G');
    assert_int_equal(claim_and_learn(g, T), 'L');
    g->plan.limits[0].cost = 1;
    assert_false(refuses(g, T, &o));
    g->plan.limits[0].cost = 0;
    assert_false(refuses(g, T, &o));
    g->plan.limits[0].cost = 4;
    assert_true(refuses(g, T + 3 * SECOND - 1, &o));
    assert_false(refuses(g, T + 3 * SECOND, &o));
    struct pace gold = g->policy.limits[0].pace;
    gold.capacity *= 2;
    g->plan.limits[0].pace = &gold;
    assert_false(refuses(g, T, &o));
}

/* R16: what was let pass after the refusal is in the wait that is told, by whatever cost or tier. */
static void the_wait_is_the_gates(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 10, 60, 1);
    struct pace small = g->policy.limits[0].pace;
    small.capacity /= 5;
    g->plan.limits[0].cost = 8;
    assert_int_equal(claim_and_learn(g, T), 'G');
    g->plan.limits[0].cost = 5;
    assert_int_equal(claim_and_learn(g, T), 'L');
    g->plan.limits[0].cost = 2;
    assert_int_equal(claim_and_learn(g, T + SECOND), 'G');
    g->plan.limits[0].cost = 5;
    assert_true(refuses(g, T + 2 * SECOND, &o));
    assert_int_equal(gate_claim_at(g, T + 2 * SECOND), 'L');
    assert_true(o.wait_us[0] == 28e6 && g->outcome.wait_us[0] == 28e6 && o.level[0] == g->outcome.level[0]);
    g->plan.limits[0].cost = 1;
    g->plan.limits[0].pace = &small;
    assert_true(refuses(g, T + 2 * SECOND, &o));
    assert_int_equal(gate_claim_at(g, T + 2 * SECOND), 'L');
    assert_true(o.wait_us[0] == g->outcome.wait_us[0]);
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 1);
}

/* A grant says no wait of a window; one of a limit that is not known here is not remembered. */
static void a_window_is_asked_after_a_grant(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_window(g, 2, 10, 1);
    struct pace large = g->policy.limits[0].pace;
    large.capacity = 9;
    assert_int_equal(claim_and_learn(g, T), 'G');
    assert_int_equal(claim_and_learn(g, T + SECOND), 'G');
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 0);
    assert_int_equal(claim_and_learn(g, T + SECOND), 'L');
    assert_true(refuses(g, T + SECOND, &o));
    g->plan.limits[0].pace = &large;
    assert_int_equal(claim_and_learn(g, T + SECOND), 'G');
    g->plan.limits[0].pace = &g->policy.limits[0].pace;
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 0);
    assert_false(refuses(g, T + 2 * SECOND, &o));
    assert_int_equal(claim_and_learn(g, T + 2 * SECOND), 'L');
    assert_true(refuses(g, T + 2 * SECOND, &o));
    assert_true(o.wait_us[0] == g->outcome.wait_us[0]);
}

/* A full window; another cost would have another moment, so it is asked. */
static void window_until_the_moment(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_window(g, 2, 10, 1);
    assert_int_equal(claim_and_learn(g, T), 'G');
    assert_int_equal(claim_and_learn(g, T + 4 * SECOND), 'G');
    assert_int_equal(claim_and_learn(g, T + 5 * SECOND), 'L');
    assert_true(refuses(g, T + 6 * SECOND, &o));
    assert_true(o.wait_us[0] == 4e6 && o.level[0] == 2 && o.back[0] == 8e7);
    g->plan.limits[0].cost = 2;
    assert_false(refuses(g, T + 6 * SECOND, &o));
    g->plan.limits[0].cost = 1;
    assert_true(refuses(g, T + 10 * SECOND - 2, &o));
    assert_false(refuses(g, T + 10 * SECOND, &o));
    assert_int_equal(gate_claim_at(g, T + 10 * SECOND), 'G');
}

/* Redis' clock goes ahead: no longer than it says. It goes back: no longer than it would have been. */
static void clock_steps(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    claim_and_learn(g, T);
    claim_and_learn(g, T);
    assert_true(shield_refuses(shield, &g->plan, seconds(T) + 1, T + 9 * SECOND, &o));
    assert_false(shield_refuses(shield, &g->plan, seconds(T) + 1, T + 10 * SECOND, &o));
    assert_true(shield_refuses(shield, &g->plan, seconds(T) + 9, T - 60 * SECOND, &o));
    assert_true(o.wait_us[0] == 1e6);
    assert_false(shield_refuses(shield, &g->plan, seconds(T) + 10, T - 60 * SECOND, &o));
    shield_enter(shield, 0, seconds(T) + 1, T + SECOND);
    assert_true(refuses(g, T + SECOND, &o));
    shield_enter(shield, 0, seconds(T) + 1, T - SECOND);
    assert_false(refuses(g, T + SECOND, &o));
}

/* Sent 100 ms before Redis decided, read 200 ms behind that: refused for no longer than if Redis had decided as it was
 * sent; the wait that is told is shorter by what has passed since it was read, however late Redis' clock is known. */
static void reply_takes_time(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    gate_claim_at(g, T);
    assert_int_equal(gate_claim_at(g, T + SECOND), 'L');
    shield_learn(shield, &g->plan, &g->outcome, seconds(T) + 0.9, seconds(T) + 1.25);
    assert_true(shield_refuses(shield, &g->plan, seconds(T) + 2, T + SECOND / 2, &o));
    assert_true(fabs(o.wait_us[0] - 8.25e6) < 2);
    assert_true(shield_refuses(shield, &g->plan, seconds(T) + 2, T + 2 * SECOND, &o));
    assert_true(o.wait_us[0] == 8e6);
    assert_true(shield_refuses(shield, &g->plan, seconds(T) + 9.89, T + SECOND, &o));
    assert_false(shield_refuses(shield, &g->plan, seconds(T) + 9.9, T + SECOND, &o));
}

/* A second reply that is read later than the first one: no wait that is told afterwards is longer than one before. What the
 * first one says of it counts only where it is possible. */
static void read_later_than_before(void **state)
{
    static const struct {
        double sent, read, wait_s;
    } second[] = {
        {3.0,  3.5, 6.0}, /* decided at 3.0, as the first reply was read at once */
        {3.01, 3.5, 6.5}, /* it was sent later than that: Redis' clock stepped back */
        {2.9,  2.9, 5.9}, /* it was read earlier: the clock stepped ahead */
    };
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    gate_claim_at(g, T);
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        assert_true(shield_reconfigure(shield, config));
        gate_claim_at(g, T + SECOND);
        shield_learn(shield, &g->plan, &g->outcome, seconds(T) + 1, seconds(T) + 1);
        gate_claim_at(g, T + 3 * SECOND);
        shield_learn(shield, &g->plan, &g->outcome, seconds(T) + second[i].sent, seconds(T) + second[i].read);
        assert_true(shield_refuses(shield, &g->plan, seconds(T) + 4, T, &o));
        assert_true(fabs(o.wait_us[0] - second[i].wait_s * 1e6) < 2);
    }
}

/* What a key's record says comes before limits on what is forwarded; shadows refuse nobody; slots are asked. */
static void asked_always(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    claim_and_learn(g, T);
    claim_and_learn(g, T);
    assert_true(refuses(g, T, &o));
    g->plan.has_record = true;
    assert_false(refuses(g, T, &o));
    g->policy.limits[0].charge = CHARGE_ALL;
    assert_true(refuses(g, T, &o));
    g->policy.limits[0].charge = CHARGE_FORWARDED;
    g->plan.has_record = false;
    g->plan.count_only = true;
    assert_false(refuses(g, T, &o));
    g->plan.count_only = false;
    g->policy.limits[0].shadow = true;
    assert_false(refuses(g, T, &o));
    g->policy.limits[0].shadow = false;
    gate_slot(g, 5, 2);
    assert_false(refuses(g, T, &o));
    g->plan.nslots = 0;
    gate_limit(g, 5, 10, 3); /* nothing is known of it */
    assert_false(refuses(g, T, &o));
}

static void bounded_and_forgotten(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    claim_and_learn(g, T);
    claim_and_learn(g, T);
    for (unsigned i = 0; i < 10 * ENTRIES; i++) {
        memcpy(g->plan.limits[0].subject.digest, &i, sizeof i);
        shield_learn(shield, &g->plan, &g->outcome, seconds(T), seconds(T));
        assert_true(refuses(g, T, &o));
    }
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], ENTRIES);
    assert_int_equal(metrics.value[METRIC_SHIELD_EVICTED], 9 * ENTRIES + 1);
    shield_enter(shield, 0, 0, T);
    assert_true(refuses(g, T, &o));
    shield_enter(shield, 1, 0, T);
    assert_false(refuses(g, T, &o));
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 0);
    shield_learn(shield, &g->plan, &g->outcome, seconds(T), seconds(T));
    assert_true(refuses(g, T, &o));
    assert_true(shield_reconfigure(shield, config));
    assert_false(refuses(g, T, &o));
    config->shield.max_entries = 0;
    assert_true(shield_reconfigure(shield, config));
    shield_learn(shield, &g->plan, &g->outcome, seconds(T), seconds(T));
    assert_false(refuses(g, T, &o));
}

/* Every limit of one subject, and of no other. */
static void forgotten_by_subject(void **state)
{
    struct gate *g = *state;
    struct outcome o;
    only_limits(g);
    gate_limit(g, 1, 10, 1);
    gate_limit(g, 1, 20, 1);
    claim_and_learn(g, T);
    claim_and_learn(g, T);
    const struct record_id first = g->plan.limits[0].subject;
    g->plan.limits[0].subject.digest[15]++; /* in the same set: the first bytes choose it */
    g->plan.limits[1].subject.digest[15]++;
    const struct record_id second = g->plan.limits[0].subject;
    shield_learn(shield, &g->plan, &g->outcome, seconds(T), seconds(T));
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 4);
    shield_forget(shield, &first);
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 2);
    assert_true(refuses(g, T, &o));
    g->plan.limits[0].subject = g->plan.limits[1].subject = first;
    assert_false(refuses(g, T, &o));
    shield_forget(shield, &first);
    shield_forget(shield, &second);
    assert_int_equal(metrics.value[METRIC_SHIELD_ENTRIES], 0);
    shield_forget(shield, &second);
}

/* A request of one of six policies: 5 to 7 are one that has keys; the subject 9 is shared by several. */
static void shape(struct gate *g, unsigned which, unsigned client)
{
    unsigned policy = which < 5 ? which : 5;
    uint8_t own = (uint8_t)(20 + 10 * policy + client);
    g->policy.nlimits = g->plan.nlimits = 0;
    g->plan.has_record = g->plan.count_only = g->plan.counts_all = false;
    switch (which) {
    case 0: gate_limit(g, 5, 1, own); break;
    case 1:
        gate_limit(g, 5, 1, own);
        gate_limit(g, 20, 2, own);
        break;
    case 2:
        gate_limit(g, 5, 1, own);
        gate_limit(g, 30, 4, 9);
        break;
    case 3: gate_window(g, 6, 1, own); break;
    case 4:
        gate_window(g, 6, 1, own);
        gate_limit(g, 30, 4, 9);
        break;
    case 5:
    case 6:
    case 7:
        gate_limit(g, 5, 1, own);
        gate_limit(g, 20, 2, own);
        gate_limit(g, 30, 4, 9);
        g->policy.limits[0].charge = CHARGE_ALL;
        g->policy.limits[1].shadow = true;
        g->plan.counts_all = true;
        g->plan.has_record = which == 6;
        g->plan.count_only = which == 7;
    }
}

static void check_same(const struct gate *g, const struct outcome *said)
{
    for (unsigned i = 0; i < g->plan.nlimits; i++) {
        assert_true(said->wait_us[i] == 0 || g->outcome.wait_us[i] > 0);
        assert_true(said->wait_us[i] <= g->outcome.wait_us[i] + LATE * 1e6);
    }
}

/* Seconds by which a reply, or Redis' clock, is known late. */
static double late(void)
{
    return rand() % 4 ? 0 : (double)(rand() % (int)(LATE * 1e6)) / 1e6;
}

/* R16: no other verdict than without the shield. */
static void same_verdicts(void **state)
{
    struct gate *g = *state;
    unsigned refused = 0, here = 0, of[SHAPES] = {0};
    uint64_t at = T, redis = T;
    srand(20);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned pass = (unsigned)rand() % 200, which = (unsigned)rand() % SHAPES;
        uint64_t us = pass == 0 ? 700000 : (uint64_t)(rand() % 3000);
        at += us;
        redis += us;
        if (rand() % 1000 == 0)
            redis += 1500000;
        else if (rand() % 1000 == 0)
            redis -= 1500000;
        shape(g, which, (unsigned)rand() % 3);
        for (unsigned i = 0; i < g->plan.nlimits; i++)
            g->plan.limits[i].cost = rand() % 4 ? 1 : (uint32_t)(rand() % 4);
        g->plan.id.digest[0] = (uint8_t)(rand() % 4);
        struct outcome said;
        shield_enter(shield, 0, seconds(at), redis);
        bool shielded =
            shield_refuses(shield, &g->plan, seconds(at), redis - (uint64_t)(late() * 1e6), &said);
        memcpy(g->plan.rid, &step, sizeof step);
        char kind = gate_claim_at(g, redis);
        refused += kind == 'L';
        here += shielded;
        of[which] += shielded;
        if (shielded) {
            assert_int_equal(kind, 'L');
            check_same(g, &said);
        }
        if (rand() % 3)
            tell(g, seconds(at) - late(), seconds(at) + late());
    }
    for (unsigned i = 0; i < SHAPES; i++)
        assert_true(of[i] > 20);
    assert_true(here > refused / 2);
}

static int start(void **state)
{
    int rc = gate_start(state);
    gate_clock_start(*state);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(until_the_moment, begin, end),
        cmocka_unit_test_setup_teardown(a_lent_limit_is_not_believed_for_long, begin, end),
        cmocka_unit_test_setup_teardown(each_cost_has_its_moment, begin, end),
        cmocka_unit_test_setup_teardown(the_wait_is_the_gates, begin, end),
        cmocka_unit_test_setup_teardown(a_window_is_asked_after_a_grant, begin, end),
        cmocka_unit_test_setup_teardown(window_until_the_moment, begin, end),
        cmocka_unit_test_setup_teardown(clock_steps, begin, end),
        cmocka_unit_test_setup_teardown(reply_takes_time, begin, end),
        cmocka_unit_test_setup_teardown(read_later_than_before, begin, end),
        cmocka_unit_test_setup_teardown(asked_always, begin, end),
        cmocka_unit_test_setup_teardown(bounded_and_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(forgotten_by_subject, begin, end),
        cmocka_unit_test_setup_teardown(same_verdicts, begin, end),
    };
    return cmocka_run_group_tests(tests, start, gate_stop);
}
