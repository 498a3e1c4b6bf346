// SPDX-License-Identifier: MIT
/* What a request takes of what its agent has on loan (rooms/loans), and what becomes of it.
 *
 *   no record, and all of its limits are covered ──► passes here, without Redis      (and while Redis is gone)
 *   else what is covered is left out of its claim ──► reply ─┬─ charged: spent
 *                                                            └─ refused: put back
 *
 *   reply                                   a limit on what is forwarded   one that counts all
 *   go                                      spent                          spent
 *   replay, mismatch, busy, tombstone,
 *   unknown                                 put back                       spent
 *   limited, yours, late, foreign, data
 *   lost, an error, no reply                put back                       put back
 *
 * Of a lent limit the client is told what is left of it here: others may take the rest, so more could be too much. What is only
 * counted is never lent. */
#include "rooms/txn_inner.h"

#include <string.h>

static struct plan_limit *limits_of(struct txn *t)
{
    return t->plan.limits;
}

/* Takes the i-th limit out of the plan, or puts one in there. Those of one subject stay side by side. */
static void leave_out(struct txn *t, unsigned i)
{
    struct lent *lent = t->lent;
    lent->at[lent->n] = (uint8_t)(i + lent->n);
    lent->limits[lent->n++] = limits_of(t)[i];
    t->plan.nlimits--;
    memmove(limits_of(t) + i, limits_of(t) + i + 1, (t->plan.nlimits - i) * sizeof *limits_of(t));
}

static void put_in(struct txn *t, unsigned n)
{
    unsigned i = t->lent->at[n];
    memmove(limits_of(t) + i + 1, limits_of(t) + i, (t->plan.nlimits - i) * sizeof *limits_of(t));
    limits_of(t)[i] = t->lent->limits[n];
    t->plan.nlimits++;
}

static bool is_lent(const struct plan_limit *l)
{
    return l->pace->lent > 0;
}

static void take(struct txn *t, struct loan_clock c)
{
    for (unsigned i = 0; i < t->plan.nlimits;) {
        const struct plan_limit *l = &limits_of(t)[i];
        if (is_lent(l) && loans_take(t->gate->loans, l, c, &t->lent->slips[t->lent->n]))
            leave_out(t, i);
        else
            i++;
    }
}

static bool lends_any(const struct plan *p)
{
    bool any = false;
    for (unsigned i = 0; i < p->nlimits; i++)
        any = any || is_lent(&p->limits[i]);
    return any && !p->count_only;
}

/* Nothing is taken yet; false: nothing is to be taken. */
static bool begins(struct txn *t)
{
    bool any = lends_any(&t->plan) && txn_wants_lent(t);
    if (t->lent)
        t->lent->n = 0;
    return any;
}

static unsigned taken(const struct txn *t)
{
    return t->lent ? t->lent->n : 0;
}

void txn_lend(struct txn *t)
{
    if (begins(t))
        take(t, loans_clock(t->gate->loans));
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

/* The n-th of what was lent, as the gate would have said it. */
static void show(struct txn *t, struct outcome *o, unsigned n, struct loan_clock c)
{
    const struct pace *p = t->lent->limits[n].pace;
    unsigned i = t->lent->at[n], before = t->plan.nlimits;
    double left = loans_left(t->gate->loans, &t->lent->limits[n], c) * p->increment,
           level = left < p->capacity ? p->capacity - left : 0;
    insert(o->level, before, i, level);
    insert(o->back, before, i, level);
    insert(o->wait_us, before, i, 0);
}

static void settle(struct txn *t, struct outcome *o, struct loan_clock c)
{
    for (unsigned n = 0; n < t->lent->n; n++)
        if (!is_charged(o, t->lent->limits[n].limit))
            loans_put(t->gate->loans, &t->lent->slips[n]);
    for (unsigned n = 0; n < t->lent->n; n++) {
        if (o)
            show(t, o, n, c);
        put_in(t, n);
    }
    if (o && (o->kind == OUTCOME_GO || o->kind == OUTCOME_LIMITED))
        o->has_levels = true;
}

void txn_lent_said(struct txn *t, struct outcome *o)
{
    if (taken(t) > 0)
        settle(t, o, loans_clock(t->gate->loans));
}

const struct outcome *txn_lent_unseen(const struct txn *t, const struct outcome *o, struct outcome *copy)
{
    if (taken(t) == 0)
        return o;
    *copy = *o;
    for (unsigned n = 0; n < t->lent->n; n++)
        copy->level[t->lent->at[n]] = copy->back[t->lent->at[n]] = 0;
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
    if (!begins(t))
        return false;
    struct loan_clock c = loans_clock(t->gate->loans);
    struct outcome o = {.kind = OUTCOME_GO, .now_us = c.redis_us};
    if (!is_covered(t, c))
        return false;
    take(t, c);
    bool all = t->plan.nlimits == 0;
    settle(t, all ? &o : NULL, c);
    if (!all)
        return false;
    metrics_add(t->gate->metrics, METRIC_LOANS_ALONE);
    if (t->cache)
        txn_cache_look(t);
    txn_told(t, &o);
    return true;
}
