// SPDX-License-Identifier: MIT
/* Many agents with loans of one bucket (domain/loan, the product's scripts, a real Redis under the test's clock), and all
 * that can happen to them: loads that come and go, deaths, pauses, clocks that differ and drift, questions and replies
 * that are lost, late, or come twice, tokens that are put back.
 *
 *   agent ── loan_take ──► spent ─┐
 *     │  none: claim ───► passed ─┴─► history: in every interval at most burst + rate * interval      (docs/wire.md, Loans)
 *     └── question ── delay ──► Redis ── delay ──► reply
 *
 * Apart: who finds nothing on loan waits for the reply, as in a cluster; then it holds its tokens until its gate has answered, and
 * spends them or puts them back.
 *
 * The same run with a mistake planted must break that promise: else the test would prove nothing. SEED=N tries one seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/loan.h"
#include "tests/support/gate_clock.h"

enum {
    HOLDS = 4,
    AGENTS = 8,
    SEEDS = 6,
    STEPS = 1500,
    AMBUSHES = 8,
    STEADY_STEPS = 6000,
    DEADLINE_US = 300000
};
static const uint64_t START_US = 1800000000000000;

/* A question on its way; times of Redis. */
struct letter {
    bool out, executed, lost;
    bool again; /* it arrives twice */
    uint64_t arrives, returns;
    struct lend_ask ask;
    struct lend_said said;
    char reply;
};

/* Tokens of a request whose gate has not answered. */
struct hold {
    uint64_t until;
    uint32_t number, tokens;
    bool refused;
};

struct agent {
    uint32_t wish; /* tokens that a request waits for; 0: none waits */
    unsigned nholds;
    struct hold holds[HOLDS];
    uint8_t id[LEND_AGENT];
    struct loan loan;
    double base, pace; /* of its monotonic clock */
    uint64_t paused_until;
    uint32_t number;
    struct letter letter;
};

struct world {
    struct gate *g;
    struct loan_terms terms;
    uint32_t lasts_ms;
    uint64_t us;
    unsigned agents;
    struct agent agent[AGENTS];
    bool calm; /* nothing goes wrong */
    bool no_claims, apart;
    /* history */
    uint64_t last_us;
    double above, most_above; /* ticks: the largest sum less time of all intervals that end at the last one */
    double passed;            /* tokens */
    unsigned lent, asks, claims;
};

static uint64_t seed;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static const struct plan_limit *limit_of(const struct world *w)
{
    return &w->g->plan.limits[0];
}

static double now_of(const struct world *w, const struct agent *a)
{
    return a->base + (double)(w->us - START_US) / 1e6 * a->pace;
}

static void agent_born(struct world *w, struct agent *a)
{
    memset(a, 0, sizeof *a);
    for (unsigned i = 0; i < sizeof a->id; i++)
        a->id[i] = (uint8_t)any(256);
    a->base = (double)any(1000000);
    a->pace = w->calm ? 1 : 0.99 + (double)any(21) / 1000;
    loan_init(&a->loan, &w->terms, now_of(w, a));
    if (!w->calm && any(2))
        a->loan.batch = w->terms.most; /* it has grown before */
}

/* Everything that passed, whoever let it pass. */
static void spend(struct world *w, uint32_t tokens)
{
    double elapsed = (double)(w->us - w->last_us) * 10;
    w->above = (w->above > elapsed ? w->above - elapsed : 0) + tokens * limit_of(w)->pace->increment;
    w->last_us = w->us;
    w->passed += tokens;
    if (w->above > w->most_above)
        w->most_above = w->above;
}

static void execute(struct world *w, struct letter *m)
{
    m->reply = gate_lend_at(w->g, w->us, &m->ask, &m->said);
    assert_true(m->reply == 'S' || m->reply == 'P');
    m->executed = true;
    w->lent += m->said.kind == LEND_SAID ? m->said.tokens : 0;
}

/* What the network does to it. */
static void post(struct world *w, struct agent *a)
{
    struct letter *m = &a->letter;
    m->out = true;
    m->executed = false;
    m->lost = !w->calm && any(10) == 0;
    m->again = !w->calm && any(10) == 0;
    m->arrives = w->us + any(w->calm ? 1000 : 100000);
    m->returns = m->arrives + any(w->calm ? 1000 : 100000);
    if (m->lost && any(2)) /* it comes when nobody waits for it any more, and past its deadline perhaps */
        m->arrives = m->returns + any(2 * DEADLINE_US);
    w->asks++;
}

static void ask(struct world *w, struct agent *a, bool close)
{
    const struct plan_limit *l = limit_of(w);
    struct letter *m = &a->letter;
    if (m->out || a->loan.asking)
        return;
    m->ask = (struct lend_ask){.subject = l->subject,
                               .limit = l->limit->hash,
                               .increment = l->pace->increment,
                               .capacity = l->pace->capacity,
                               .most = l->limit->most,
                               .deadline_us = w->us + DEADLINE_US,
                               .lasts_ms = w->lasts_ms};
    memcpy(m->ask.agent, a->id, sizeof a->id);
    loan_ask(&a->loan, &w->terms, now_of(w, a), ++a->number,
             a->wish && loan_may_need(&a->loan, &w->terms, now_of(w, a)) ? a->wish : 0, close, &m->ask);
    post(w, a);
}

/* It passes or not as its gate will say; until then its tokens may be put back. */
static void hold(struct world *w, struct agent *a, uint32_t number, uint32_t tokens)
{
    bool refused = any(2);
    a->holds[a->nholds++] =
        (struct hold){w->us + any(refused ? DEADLINE_US : DEADLINE_US / 10), number, tokens, refused};
    if (!refused)
        spend(w, tokens);
}

static void let_go(struct world *w, struct agent *a)
{
    for (unsigned i = 0; i < a->nholds;) {
        struct hold *h = &a->holds[i];
        if (h->until > w->us || a->paused_until > w->us) {
            i++;
            continue;
        }
        if (h->refused)
            loan_put(&a->loan, h->number, h->tokens);
        else
            loan_spent(&a->loan, h->number, h->tokens);
        *h = a->holds[--a->nholds];
    }
}

/* The reply is there, or never will be. */
static void grant_wish(struct world *w, struct agent *a)
{
    struct loan_clock c = {now_of(w, a), 0};
    uint32_t number;
    if (a->wish && a->nholds < HOLDS && loan_take_waited(&a->loan, &w->terms, a->wish, c, &number))
        hold(w, a, number, a->wish);
    a->wish = 0;
}

static void deliver(struct world *w, struct agent *a)
{
    struct letter *m = &a->letter;
    double now = now_of(w, a);
    if (m->out && !m->executed && w->us >= m->arrives)
        execute(w, m);
    if (m->out && m->executed && m->again) {
        struct lend_said first = m->said;
        execute(w, m);
        m->said = first;
        m->again = false;
    }
    if (a->loan.asking && w->us >= m->returns && w->us >= a->paused_until) {
        if (m->lost)
            loan_failed(&a->loan, &w->terms, now);
        else if (m->executed)
            loan_said(&a->loan, &w->terms, now, &m->said);
        if (!a->loan.asking)
            grant_wish(w, a);
    }
    m->out = m->out && (!m->executed || a->loan.asking);
}

static void request(struct world *w, struct agent *a)
{
    struct loan_clock c = {now_of(w, a), any(2) ? w->us : 0};
    uint32_t number, cost = any(4) ? 1 : 1 + (uint32_t)any(3);
    if (loan_take(&a->loan, &w->terms, cost, c, &number)) {
        if (!w->calm && any(5) == 0)
            loan_put(&a->loan, number, cost); /* refused by something else */
        else
            spend(w, cost);
        return;
    }
    loan_missed(&a->loan, &w->terms, cost, c.now);
    if (w->apart && a->wish == 0 && !a->loan.asking)
        a->wish = cost;
    if (w->no_claims || w->apart)
        return;
    w->g->plan.limits[0].cost = cost;
    w->claims++;
    if (gate_claim_at(w->g, w->us) == 'G')
        spend(w, cost);
}

static void misfortune(struct world *w, struct agent *a)
{
    if (any(400) == 0)
        agent_born(w, a); /* the one before died with what it had */
    if (any(200) == 0)
        a->paused_until = w->us + any(3 * (uint64_t)w->lasts_ms * 1000);
    if (any(300) == 0)
        ask(w, a, true);
}

static void turn(struct world *w, unsigned busiest)
{
    for (unsigned i = 0; i < w->agents; i++) {
        struct agent *a = &w->agent[i];
        deliver(w, a);
        let_go(w, a);
        if (!w->calm)
            misfortune(w, a);
        if (w->us >= a->paused_until && (a->wish > 0 || loan_wants(&a->loan, &w->terms, now_of(w, a))))
            ask(w, a, false);
    }
    struct agent *a = &w->agent[any(2) ? busiest : any(w->agents)];
    if (w->us >= a->paused_until)
        request(w, a);
}

static void burst(struct world *w, struct agent *a, unsigned n)
{
    while (n-- > 0)
        request(w, a);
}

/* A fresh agent, a bucket that nobody has used for long, and a loan as large as it may be. */
static void borrow(struct world *w, struct agent *a)
{
    w->us += (uint64_t)(limit_of(w)->pace->capacity / 10) + 2 * (uint64_t)w->lasts_ms * 1000;
    agent_born(w, a);
    a->loan.batch = w->terms.most;
    loan_missed(&a->loan, &w->terms, w->terms.worth, now_of(w, a));
    ask(w, a, false);
    a->letter.lost = false;
    a->letter.arrives = a->letter.returns = w->us;
    deliver(w, a);
}

/* Apart: a bucket that nobody has used for long, and all want it at once, again and again while others hold what they got. */
static void rush(struct world *w)
{
    w->us += (uint64_t)(limit_of(w)->pace->capacity / 10);
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < w->agents; i++) {
            struct agent *a = &w->agent[i];
            a->paused_until = 0;
            request(w, a);
            if (a->wish == 0)
                continue;
            ask(w, a, false);
            a->letter.lost = false;
            a->letter.arrives = a->letter.returns = w->us;
            deliver(w, a);
        }
        w->us += any(DEADLINE_US / 2);
        for (unsigned i = 0; i < w->agents; i++) {
            struct agent *a = &w->agent[i];
            let_go(w, a);
            if (!loan_over(&a->loan))
                continue;
            ask(w, a, false);
            a->letter.lost = false;
            a->letter.arrives = a->letter.returns = w->us;
            deliver(w, a);
        }
    }
}

/* The worst moments: a loan is kept as long as it may be and spent at its very end; then it is given back, or its agent dies; and
 * at once, or when Redis has let it go, all want what there is. */
static void ambush(struct world *w)
{
    struct agent *a = &w->agent[any(w->agents)];
    uint64_t eighth = (uint64_t)(w->terms.lasts_s * 1e6 / 8);
    bool gives_back = any(2);
    borrow(w, a);
    uint64_t ends = a->loan.parts[0].ends_us;
    w->us += (gives_back ? 6 : 7) * eighth - eighth / 5;
    burst(w, a, a->loan.parts[0].left - 1);
    if (gives_back) {
        w->us += eighth / 4;
        ask(w, a, false);
        a->letter.arrives = w->us;
        deliver(w, a);
    } else {
        agent_born(w, a);
        w->us = any(2) && ends > w->us ? ends : w->us;
    }
    burst(w, a, 2 * limit_of(w)->pace->quota);
}

/* Bursts, an even stream, and pauses that are as long as loans. */
static uint64_t draw_pause(const struct world *w, unsigned phase)
{
    uint64_t token_us = (uint64_t)(limit_of(w)->pace->increment / 10);
    switch (phase) {
    case 0: return any(8) ? 0 : any(2000);
    case 1: return any(2 * token_us);
    case 2: return any(4 * token_us);
    case 3: return any(20 * token_us);
    default: return any(50) ? any(token_us) : any(2 * (uint64_t)w->lasts_ms * 1000);
    }
}

static void world_begin(struct world *w, struct gate *g, uint64_t number, unsigned quota, unsigned seconds)
{
    *w = (struct world){
        .g = g, .us = START_US + number, .last_us = START_US, .agents = 1 + (unsigned)any(AGENTS)};
    redis_server_do(&g->redis, "FLUSHALL");
    g->plan.has_record = false;
    g->policy.nlimits = g->plan.nlimits = 0;
    gate_limit(g, quota, seconds, 1);
    w->lasts_ms = 500 + (uint32_t)any(4) * 1000;
    w->terms = (struct loan_terms){.most = 1 + (uint32_t)any(quota > 1 ? quota / 2 : 1),
                                   .worth = any(2) ? 1 : 4,
                                   .lasts_s = w->lasts_ms / 1000.0};
}

static void run(struct world *w, unsigned steps)
{
    unsigned phase = 0, busiest = 0;
    for (unsigned i = 0; i < w->agents; i++)
        agent_born(w, &w->agent[i]);
    for (unsigned i = 0; i < steps; i++) {
        if (any(100) == 0) {
            phase = (unsigned)any(5);
            busiest = (unsigned)any(w->agents);
        }
        w->us += draw_pause(w, phase);
        turn(w, busiest);
        if (any(STEPS / AMBUSHES) == 0)
            w->apart ? rush(w) : ambush(w);
    }
}

/* What passed beyond the promise, in tokens; not positive: it was kept. */
static double beyond(const struct world *w)
{
    return (w->most_above - limit_of(w)->pace->capacity) / limit_of(w)->pace->increment;
}

static bool apart; /* in each run */

static double run_seed(struct gate *g, uint64_t number, double agents_think_it_lasts)
{
    static struct world w;
    seed = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world_begin(&w, g, number, (apart ? 1 : 10) + (unsigned)any(apart ? 12 : 190),
                1 + (unsigned)any(apart ? 4 : 20));
    w.apart = apart;
    if (apart && any(2))
        w.terms.worth = LOAN_NEVER;
    w.terms.lasts_s *= agents_think_it_lasts;
    run(&w, STEPS);
    print_message("SEED=%llu: %u agents, %.0f passed, %u lent in %u questions, %u claims, beyond: %.2f\n",
                  (unsigned long long)number, w.agents, w.passed, w.lent, w.asks, w.claims, beyond(&w));
    assert_true(w.lent > 0);
    return beyond(&w);
}

/* The largest of all seeds. */
static double run_seeds(struct gate *g, double agents_think_it_lasts)
{
    const char *one = getenv("SEED");
    double most = -1;
    for (uint64_t i = 1; i <= SEEDS; i++) {
        double b = run_seed(g, one ? strtoull(one, NULL, 10) : i, agents_think_it_lasts);
        most = b > most ? b : most;
        if (most > 0) /* a mistake is found */
            return most;
    }
    return most;
}

static void never_beyond(void **state)
{
    assert_true(run_seeds(*state, 1) <= 0);
}

static void never_beyond_apart(void **state)
{
    apart = true;
    assert_true(run_seeds(*state, 1) <= 0);
}

static void apart_more_than_there_is(void **state)
{
    apart = true;
    gate_clock_plant(*state, SCRIPT_LEND, "math.min(needed, free)", "needed");
    assert_true(run_seeds(*state, 1) > 0);
}

/* All of the promise is used under steady overload, with claims for what no loan covers, and by loans alone. */
static void all_is_used(void **state)
{
    static struct world w;
    for (unsigned alone = 0; alone < 2; alone++) {
        seed = 77 + alone;
        world_begin(&w, *state, 1, 1000, 10);
        w.agents = 4;
        w.lasts_ms = 2000;
        w.terms = (struct loan_terms){.most = 60, .worth = 1, .lasts_s = 2};
        w.calm = true;
        w.no_claims = alone;
        for (unsigned i = 0; i < w.agents; i++)
            agent_born(&w, &w.agent[i]);
        for (unsigned i = 0; i < STEADY_STEPS; i++) {
            w.us += 5000;
            turn(&w, i % w.agents);
        }
        double may = 1000 + (double)(w.us - START_US) / 1e6 * 100;
        print_message("%s: %.0f of %.0f, %u questions, %u claims\n",
                      alone ? "loans alone" : "loans and claims", w.passed, may, w.asks, w.claims);
        assert_true(w.passed >= 0.95 * may && w.passed <= may);
    }
}

/* Each of these lets more through than the promise. */
static void loans_that_refill(void **state)
{
    static const char from[] = "before = math.max(before, math.min(ends - tick, 0) + lent)",
                      to[] = "before = before + 0";
    gate_clock_plant(*state, SCRIPT_CLAIM, from, to);
    gate_clock_plant(*state, SCRIPT_LEND, from, to);
    assert_true(run_seeds(*state, 1) > 0);
}

static void ends_without_a_trace(void **state)
{
    static const char from[] = "math.min(ends - tick, 0) + lent", to[] = "(ends > tick and lent or 0)";
    gate_clock_plant(*state, SCRIPT_CLAIM, from, to);
    gate_clock_plant(*state, SCRIPT_LEND, from, to);
    assert_true(run_seeds(*state, 1) > 0);
}

static void given_back_twice(void **state)
{
    gate_clock_plant(*state, SCRIPT_LEND, "  elseif ends > tick then\n    open[",
                     "  end\n  if ends > tick then\n    open[");
    assert_true(run_seeds(*state, 1) > 0);
}

static void given_back_with_what_was_refilled(void **state)
{
    gate_clock_plant(*state, SCRIPT_LEND, "levels[i] = before\n", "levels[i] = math.max(tat - tick, 0)\n");
    assert_true(run_seeds(*state, 1) > 0);
}

static void spent_after_its_end(void **state)
{
    assert_true(run_seeds(*state, 3) > 0);
}

static int begin(void **state)
{
    apart = false;
    gate_begin(state);
    gate_clock_start(*state);
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, gate_end)
    const struct CMUnitTest tests[] = {
        TEST(never_beyond),         TEST(all_is_used),        TEST(loans_that_refill),
        TEST(ends_without_a_trace), TEST(given_back_twice),   TEST(given_back_with_what_was_refilled),
        TEST(spent_after_its_end),  TEST(never_beyond_apart), TEST(apart_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
