// SPDX-License-Identifier: MIT
/* Random traffic through the claim, step by step against a model in C that knows only the formulas of
 * docs/wire.md (Limits group), and against what they promise:
 *
 *   each step      the same decision, the same waits, the same levels
 *   bucket         in every interval: charged <= burst + rate * interval
 *   window         in every interval of its length: charged <= quota; nobody is refused while there is room in
 *                  the interval that is a sixtieth longer
 *   waits          1 us before its end it is refused still, at its end it passes
 *
 * SEED=N tries one seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/gate_clock.h"

enum { STEPS = 1500, SEEDS = 6, ENTRIES = 62, LIMITS = 4 };
static const uint64_t EPOCH_US = 1672531200000000, START_US = 1800000000000000;

struct model {
    bool window;
    int64_t tat; /* bucket */
    struct {
        int64_t first, last;
        uint64_t count;
    } entries[ENTRIES];
    unsigned n;
    /* what was charged */
    int64_t at[STEPS * 3];
    uint64_t cost[STEPS * 3];
    unsigned charges;
    double above; /* bucket: the largest sum of increments less time, of all intervals that end now */
};

static uint64_t seed;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static int64_t ticks(uint64_t us)
{
    return (int64_t)(us - EPOCH_US) * 10;
}

static int64_t width(const struct plan_limit *l)
{
    return (int64_t)l->pace->window_s * 10000000;
}

static void drop_entries(struct model *m, const struct plan_limit *l, int64_t now)
{
    unsigned gone = 0;
    while (gone < m->n && m->entries[gone].last + width(l) <= now)
        gone++;
    m->n -= gone;
    memmove(m->entries, m->entries + gone, m->n * sizeof *m->entries);
}

static uint64_t used(const struct model *m)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < m->n; i++)
        sum += m->entries[i].count;
    return sum;
}

/* Ticks until so much fits; <= 0: now. */
static int64_t window_wait(const struct model *m, const struct plan_limit *l, int64_t now)
{
    int64_t over = (int64_t)(used(m) + l->cost) - (int64_t)l->pace->capacity, wait = over > 0;
    for (unsigned i = 0; i < m->n && over > 0; i++) {
        wait = m->entries[i].last + width(l) - now;
        over -= (int64_t)m->entries[i].count;
    }
    return wait;
}

static int64_t model_wait(struct model *m, const struct plan_limit *l, int64_t now)
{
    if (m->window) {
        drop_entries(m, l, now);
        return l->cost == 0 ? 0 : window_wait(m, l, now);
    }
    if (m->tat < now)
        m->tat = now;
    return l->cost == 0 ? 0
                        : m->tat + l->cost * (int64_t)l->pace->increment - now - (int64_t)l->pace->capacity;
}

static void model_charge(struct model *m, const struct plan_limit *l, int64_t now)
{
    double elapsed = m->charges ? (double)(now - m->at[m->charges - 1]) : 0;
    if (l->cost == 0)
        return;
    m->above = (m->above > elapsed ? m->above - elapsed : 0) + l->cost * l->pace->increment;
    m->at[m->charges] = now;
    m->cost[m->charges++] = l->cost;
    if (!m->window) {
        m->tat += l->cost * (int64_t)l->pace->increment;
    } else if (m->n > 0 && now - m->entries[m->n - 1].first < (width(l) + 59) / 60) {
        m->entries[m->n - 1].last = now;
        m->entries[m->n - 1].count += l->cost;
    } else {
        assert_true(m->n < ENTRIES);
        m->entries[m->n].first = m->entries[m->n].last = now;
        m->entries[m->n++].count = l->cost;
    }
}

/* Charged in (now - length, now]. */
static uint64_t charged_since(const struct model *m, int64_t now, int64_t length)
{
    uint64_t sum = 0;
    for (unsigned i = m->charges; i-- > 0 && m->at[i] > now - length;)
        sum += m->cost[i];
    return sum;
}

/* What the formulas promise, whatever they are. */
static void assert_promise(const struct model *m, const struct plan_limit *l, bool refused, int64_t now)
{
    if (!m->window) {
        assert_true(m->above <= l->limit->most);
        return;
    }
    assert_true(charged_since(m, now, width(l)) <= l->pace->capacity);
    if (refused)
        assert_true(charged_since(m, now, width(l) + (width(l) + 59) / 60) + l->cost > l->pace->capacity);
}

static bool counts(const struct gate *g, const struct plan_limit *l)
{
    return !g->plan.count_only || l->limit->charge == CHARGE_ALL;
}

/* The i-th limit's, wherever it stands in the plan now. */
static struct model *model_of(const struct gate *g, struct model *models, unsigned i)
{
    return &models[g->plan.limits[i].limit - g->policy.limits];
}

/* One claim at that time, seen by both. Returns how many us it must wait, 0: it passed. */
static uint64_t step(struct gate *g, struct model *models, uint64_t us)
{
    int64_t now = ticks(us), wait[LIMITS];
    bool refused = false;
    for (unsigned i = 0; i < g->plan.nlimits; i++) {
        const struct plan_limit *l = &g->plan.limits[i];
        wait[i] = model_wait(model_of(g, models, i), l, now);
        wait[i] = counts(g, l) && wait[i] > 0 ? wait[i] : 0;
        refused = refused || (wait[i] > 0 && !l->limit->shadow);
    }
    assert_int_equal(gate_claim_at(g, us), refused ? 'L' : 'G');
    uint64_t longest = 0;
    for (unsigned i = 0; i < g->plan.nlimits; i++) {
        const struct plan_limit *l = &g->plan.limits[i];
        struct model *m = model_of(g, models, i);
        uint64_t wait_us = (uint64_t)(wait[i] + 9) / 10;
        if (refused || l->limit->shadow)
            assert_true(g->outcome.wait_us[i] == (double)wait_us);
        if (!l->limit->shadow && wait_us > longest)
            longest = wait_us;
        assert_promise(m, l, wait[i] > 0, now);
        if (!refused && wait[i] <= 0 && counts(g, l))
            model_charge(m, l, now);
        assert_promise(m, l, false, now);
        assert_true(g->outcome.level[i] == (m->window ? (double)used(m) : (double)(m->tat - now)));
        if (m->window)
            assert_true(g->outcome.back[i] ==
                        (m->n > 0 ? (double)(m->entries[m->n - 1].last + width(l) - now) : 0));
    }
    return longest;
}

static bool may_ever_pass(const struct gate *g)
{
    for (unsigned i = 0; i < g->plan.nlimits; i++)
        if (counts(g, &g->plan.limits[i]) && plan_never_passes(&g->plan.limits[i]))
            return false;
    return true;
}

/* Two buckets of one subject, one window, and a bucket or a window with any marks. */
static void draw_limits(struct gate *g, struct model *models)
{
    memset(models, 0, LIMITS * sizeof *models);
    g->policy.nlimits = g->plan.nlimits = 0;
    g->plan.counts_all = false;
    for (unsigned i = 0; i < LIMITS; i++) {
        unsigned quota = 1 + (unsigned)any(40), seconds = 1 + (unsigned)any(5);
        models[i].window = i == 2 || (i == 3 && any(2));
        if (models[i].window)
            gate_window(g, quota, seconds, (uint8_t)(2 + i));
        else
            gate_limit(g, quota, seconds, i < 2 ? 1 : 9);
        struct limit *l = &g->policy.limits[i];
        l->shadow = i % 2 && any(2);
        l->charge = any(2) ? CHARGE_ALL : CHARGE_FORWARDED;
        g->plan.counts_all = g->plan.counts_all || l->charge == CHARGE_ALL;
    }
}

/* Another configuration now and then: the two that share a group change places, or one of them is not there. */
static void draw_order(struct gate *g, const struct plan_limit all[LIMITS])
{
    uint64_t first = any(2), gone = any(8);
    g->plan.nlimits = 0;
    for (unsigned i = 0; i < LIMITS; i++) {
        unsigned from = i < 2 ? (unsigned)(i ^ first) : i;
        if (from != gone || from > 1)
            g->plan.limits[g->plan.nlimits++] = all[from];
    }
}

static void draw_request(struct gate *g)
{
    g->plan.count_only = any(5) == 0;
    for (unsigned i = 0; i < g->plan.nlimits; i++) {
        struct plan_limit *l = &g->plan.limits[i];
        l->cost = any(3) ? 1 : (uint32_t)any(l->pace->quota + 2);
    }
}

/* Bursts, an even stream, and pauses. */
static uint64_t draw_pause(void)
{
    switch (any(8)) {
    case 0: return 0;
    case 1: return any(3000000);
    case 2: return any(7) * 1000000;
    default: return any(100000);
    }
}

static void run(struct gate *g, uint64_t number)
{
    static struct model models[LIMITS];
    unsigned passed = 0, waited = 0;
    struct plan_limit all[LIMITS];
    uint64_t us = START_US + number;
    seed = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    print_message("SEED=%llu\n", (unsigned long long)number);
    redis_server_do(&g->redis, "FLUSHALL");
    draw_limits(g, models);
    memcpy(all, g->plan.limits, sizeof all);
    for (unsigned i = 0; i < STEPS; i++) {
        us += draw_pause();
        if (any(20) == 0)
            draw_order(g, all);
        draw_request(g);
        uint64_t wait = step(g, models, us);
        passed += wait == 0;
        if (wait == 0 || any(3) > 0 || !may_ever_pass(g))
            continue;
        /* R2, to the microsecond. */
        if (wait > 1)
            assert_true(step(g, models, us + wait - 1) > 0);
        us += wait;
        assert_int_equal(step(g, models, us), 0);
        waited++;
    }
    assert_true(passed > STEPS / 20 && waited > STEPS / 100);
}

static void agrees_with_the_model(void **state)
{
    struct gate *g = *state;
    const char *one = getenv("SEED");
    g->plan.has_record = false;
    gate_clock_start(g);
    for (uint64_t i = 1; i <= SEEDS && !one; i++)
        run(g, i);
    if (one)
        run(g, strtoull(one, NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_the_model, gate_begin, gate_end),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
