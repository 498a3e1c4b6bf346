// SPDX-License-Identifier: MIT
/* What a request takes of what its agent has on loan (rooms/loans), and what becomes of it.
 *
 *   no record, and all of its limits are covered ──► passes here, without Redis      (and while Redis is gone)
 *   else what is covered is left out of its claim ──► reply ─┬─ charged: spent
 *                                                            └─ refused: put back
 *
 * In a cluster the claim can decide what lies in the slot of its record (plan_home()). Limits with another subject that are not
 * covered are asked before it, all at once, and the deadline counts over both:
 *
 *   wish ──► had, or refused ──► the claim, without them; where one has refused it only looks, for what comes before limits
 *        └─► not in time, or Redis is gone ──► nothing is claimed, what was had is put back
 *
 *   reply                                   a limit on what is forwarded   one that counts all
 *   go                                      spent                          spent
 *   replay, mismatch, busy, tombstone,
 *   unknown                                 put back                       spent
 *   limited, yours, late, foreign, data
 *   lost, an error, no reply                put back                       put back
 *
 * Of a lent limit the client is told what is left of it here: others may take the rest, so more could be too much. What is only
 * counted is never lent (but asked apart where it must be). */
#include "rooms/txn_inner.h"

#include <math.h>
#include <string.h>

#include "rooms/monotonic.h"

static const double TICKS_PER_US = 10, TICKS_PER_S = 1e7;
/* What a refusal says at least: what others hold may come back at once. */
static const double LEAST_WAIT_US = 1000;

static struct plan_limit *limits_of(struct txn *t)
{
    return t->plan.limits;
}

/* Takes the i-th limit out of the plan, or puts one in there. Those of one subject stay side by side. */
static void leave_out(struct txn *t, unsigned i)
{
    struct lent *lent = &t->lent;
    lent->at[lent->n] = (uint8_t)(i + lent->n);
    lent->limits[lent->n++] = limits_of(t)[i];
    t->plan.nlimits--;
    memmove(limits_of(t) + i, limits_of(t) + i + 1, (t->plan.nlimits - i) * sizeof *limits_of(t));
}

static void put_in(struct txn *t, unsigned n)
{
    unsigned i = t->lent.at[n];
    memmove(limits_of(t) + i + 1, limits_of(t) + i, (t->plan.nlimits - i) * sizeof *limits_of(t));
    limits_of(t)[i] = t->lent.limits[n];
    t->plan.nlimits++;
}

static bool is_lent(const struct plan_limit *l)
{
    return l->pace->lent > 0;
}

static void stop_wishing(struct lent *x)
{
    for (unsigned n = 0; n < x->n; n++)
        loans_leave(&x->wishes[n]);
    x->waits = 0;
}

static void answered(struct txn *t)
{
    ev_timer_stop(t->gate->loop, &t->patience);
    stop_wishing(&t->lent);
    txn_gate(t, t->lent.failed);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct txn *t = w->data;
    (void)loop;
    (void)revents;
    t->lent.failed = true;
    answered(t);
}

/* Redis has not so many tokens. */
static void refuse(struct txn *t, unsigned n)
{
    const struct plan_limit *l = &t->lent.limits[n];
    double over = t->lent.level[n] + l->cost * l->pace->increment - l->pace->capacity,
           wait_us = ceil(over / TICKS_PER_US);
    t->lent.wait_us[n] = wait_us > LEAST_WAIT_US ? wait_us : LEAST_WAIT_US;
    t->plan.refused = t->plan.refused || !l->limit->shadow;
    t->plan.refused_all = t->plan.refused_all || (!l->limit->shadow && l->limit->charge == CHARGE_ALL);
}

static void on_tokens(void *arg, struct loans_wish *w, const struct loans_said *said)
{
    struct txn *t = arg;
    struct lent *x = &t->lent;
    unsigned n = (unsigned)(w - x->wishes);
    x->slips[n] = said->slip;
    x->level[n] = said->level;
    x->failed = x->failed || said->word == LOANS_FAILED;
    if (said->word == LOANS_REFUSED)
        refuse(t, n);
    if (--x->waits == 0 || x->failed)
        answered(t);
}

/* A limit that does not count this request is asked only how much of it is used. */
static void wish(struct txn *t, unsigned n)
{
    struct lent *x = &t->lent;
    const struct plan_limit *l = &x->limits[n];
    bool counts = !t->plan.count_only || l->limit->charge == CHARGE_ALL;
    x->slips[n].entry = NULL;
    x->wishes[n].on_said = on_tokens;
    x->wishes[n].arg = t;
    if (loans_wish(t->gate->loans, l, counts ? l->cost : 0, &x->wishes[n]))
        x->waits++;
    else
        x->failed = true;
}

/* home: the TAG of its gate in a cluster; NULL: all limits lie there. */
static void take(struct txn *t, struct loan_clock c, const uint8_t *home)
{
    struct lent *x = &t->lent;
    for (unsigned i = 0; i < t->plan.nlimits;) {
        const struct plan_limit *l = &limits_of(t)[i];
        bool had = is_lent(l) && !t->plan.count_only && loans_take(t->gate->loans, l, c, &x->slips[x->n]);
        if (!had && (!home || memcmp(l->subject.tag, home, sizeof l->subject.tag) == 0)) {
            i++;
            continue;
        }
        x->level[x->n] = -1;
        x->wait_us[x->n] = 0;
        x->wishes[x->n].link = NULL;
        leave_out(t, i);
        if (!had)
            wish(t, x->n - 1);
    }
}

static bool lends_any(const struct plan *p)
{
    bool any = false;
    for (unsigned i = 0; i < p->nlimits; i++)
        any = any || is_lent(&p->limits[i]);
    return any && !p->count_only;
}

static void begin(struct txn *t)
{
    t->lent.n = t->lent.waits = 0;
    t->lent.failed = t->plan.refused = t->plan.refused_all = false;
}

/* The limits that are asked apart come back before the deadline, or it goes on without them. */
static void patience(struct txn *t)
{
    metrics_add(t->gate->metrics, METRIC_LOANS_APART);
    t->lent.asked = monotonic_now();
    ev_timer_init(&t->patience, on_late, t->deadline - t->lent.asked, 0);
    t->patience.data = t;
    ev_timer_start(t->gate->loop, &t->patience);
}

bool txn_lend(struct txn *t)
{
    bool apart = config_is_cluster(t->config) && t->plan.nlimits > 0;
    uint8_t home[2];
    begin(t);
    if (apart)
        memcpy(home, plan_home(&t->plan), sizeof home);
    if (apart || lends_any(&t->plan))
        take(t, loans_clock(t->gate->loans), apart ? home : NULL);
    if (t->lent.failed)
        stop_wishing(&t->lent);
    if (t->lent.waits > 0)
        patience(t);
    return t->lent.waits == 0;
}

static bool is_charged(const struct outcome *o, const struct limit *l)
{
    switch (o ? o->kind : OUTCOME_LATE) {
    case OUTCOME_GO: return true;
    case OUTCOME_REPLAY:
    case OUTCOME_MISMATCH:
    case OUTCOME_BUSY:
    case OUTCOME_TOMB:
    case OUTCOME_UNKNOWN: return l->charge == CHARGE_ALL;
    default: return false;
    }
}

static void insert(double *of, unsigned n, unsigned i, double v)
{
    memmove(of + i + 1, of + i, (n - i) * sizeof *of);
    of[i] = v;
}

/* Ticks of the n-th that are used, as far as is known here. */
static double level_of(struct txn *t, const struct outcome *o, unsigned n, struct loan_clock c)
{
    const struct plan_limit *l = &t->lent.limits[n];
    const struct pace *p = l->pace;
    double level = t->lent.level[n];
    if (level < 0) {
        double left = loans_left(t->gate->loans, l, c) * p->increment;
        return left < p->capacity ? p->capacity - left : 0;
    }
    if (t->lent.slips[n].entry && !is_charged(o, l->limit))
        level -= l->cost * p->increment;
    return level > 0 ? level : 0;
}

/* The n-th of what was lent, as the gate would have said it: a limit that does not count this request does not refuse it. */
static void show(struct txn *t, struct outcome *o, unsigned n, struct loan_clock c)
{
    unsigned i = t->lent.at[n], before = t->plan.nlimits;
    bool counts =
        o->kind == OUTCOME_GO || o->kind == OUTCOME_LIMITED || t->lent.limits[n].limit->charge == CHARGE_ALL;
    double level = level_of(t, o, n, c);
    insert(o->level, before, i, level);
    insert(o->back, before, i, level);
    insert(o->wait_us, before, i, counts ? t->lent.wait_us[n] : 0);
}

/* As the gate does, had it all limits to decide. */
static bool tells_levels(const struct txn *t, const struct outcome *o)
{
    static const struct limit counts_all = {.charge = CHARGE_ALL};
    return o->kind == OUTCOME_LIMITED ||
           (is_charged(o, &counts_all) && (o->kind == OUTCOME_GO || t->plan.counts_all));
}

static void settle(struct txn *t, struct outcome *o)
{
    for (unsigned n = 0; n < t->lent.n; n++) {
        if (is_charged(o, t->lent.limits[n].limit))
            loans_spent(t->gate->loans, &t->lent.slips[n]);
        else
            loans_put(t->gate->loans, &t->lent.slips[n]);
    }
    struct loan_clock c = {0};
    if (o)
        c = loans_clock(t->gate->loans);
    for (unsigned n = 0; n < t->lent.n; n++) {
        if (o)
            show(t, o, n, c);
        put_in(t, n);
    }
    if (o && tells_levels(t, o))
        o->has_levels = true;
}

void txn_lent_said(struct txn *t, struct outcome *o)
{
    if (t->lent.n > 0)
        settle(t, o);
    t->plan.refused = t->plan.refused_all = false;
}

const struct outcome *txn_lent_unseen(const struct txn *t, const struct outcome *o, struct outcome *copy)
{
    if (t->lent.n == 0)
        return o;
    *copy = *o;
    for (unsigned n = 0; n < t->lent.n; n++) {
        unsigned i = t->lent.at[n];
        /* What has refused is Redis' word, of a moment before the claim. */
        double level = t->lent.wait_us[n] > 0 ? o->level[i] - (t->asked - t->lent.asked) * TICKS_PER_S : 0;
        copy->level[i] = copy->back[i] = level > 0 ? level : 0;
    }
    return copy;
}

static bool is_covered(struct txn *t, struct loan_clock c)
{
    const struct plan *p = &t->plan;
    if (p->has_record || p->count_only)
        return false;
    for (unsigned i = 0; i < p->nlimits; i++)
        if (!is_lent(&p->limits[i]) || !loans_has(t->gate->loans, &p->limits[i], c))
            return false;
    return p->nlimits > 0;
}

bool txn_lent(struct txn *t)
{
    begin(t);
    if (!lends_any(&t->plan))
        return false;
    struct loan_clock c = loans_clock(t->gate->loans);
    struct outcome o = {.kind = OUTCOME_GO, .now_us = c.redis_us};
    if (!is_covered(t, c))
        return false;
    take(t, c, NULL);
    bool all = t->plan.nlimits == 0;
    settle(t, all ? &o : NULL);
    if (!all)
        return false;
    metrics_add(t->gate->metrics, METRIC_LOANS_ALONE);
    if (t->cache.on)
        txn_cache_look(t);
    txn_told(t, &o);
    return true;
}
