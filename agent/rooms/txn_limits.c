// SPDX-License-Identifier: MIT
/* What became of a request at each of its limits, counted:
 *
 *   it waits                              refused, or shadow_refused: a shadow only says so
 *   it was charged                        allowed
 *   another limit refused, or it costs 0  nothing
 *   Redis could not decide, and it passed uncounted */
#include "rooms/txn_inner.h"

#include "domain/verdict.h"
#include "rooms/monotonic.h"

static void count_limit(struct txn *t, const struct limit *l, enum limit_decision d)
{
    if (t->gate->metrics->limits)
        limit_counts_add(t->gate->metrics->limits, l, d);
}

/* In flight: a grant says how many there are with this request, so more than there are slots with a shadow. */
static void slots_said(struct txn *t, const struct outcome *o)
{
    for (unsigned i = 0; i < t->plan.nslots; i++) {
        const struct limit *l = t->plan.slots[i].limit;
        bool granted = o->kind == OUTCOME_GO;
        if (o->in_use[i] >= l->concurrent + granted)
            count_limit(t, l, l->shadow ? LIMIT_SHADOW_REFUSED : LIMIT_REFUSED);
        else if (granted)
            count_limit(t, l, LIMIT_ALLOWED);
    }
}

void txn_limits_said(struct txn *t, const struct outcome *o)
{
    const struct plan *p = &t->plan;
    bool forwarded = o->kind == OUTCOME_GO && !p->count_only;
    for (unsigned i = 0; o->has_levels && i < p->nlimits; i++) {
        const struct plan_limit *l = &p->limits[i];
        if (o->wait_us[i] > 0)
            count_limit(t, l->limit, l->limit->shadow ? LIMIT_SHADOW_REFUSED : LIMIT_REFUSED);
        else if (o->kind != OUTCOME_LIMITED && l->cost > 0 && (forwarded || l->limit->charge == CHARGE_ALL))
            count_limit(t, l->limit, LIMIT_ALLOWED);
    }
    if (o->kind == OUTCOME_GO || o->kind == OUTCOME_LIMITED)
        slots_said(t, o);
}

static void enter(struct gate *g)
{
    shield_enter(g->shield, guard_epoch(g->guard), monotonic_now(), redis_clock_us(g->redis));
}

void txn_limits_learn(struct txn *t, const struct outcome *o)
{
    struct gate *g = t->gate;
    if (o->kind != OUTCOME_LIMITED || t->config != g->config)
        return;
    enter(g);
    shield_learn(g->shield, &t->plan, o, t->asked);
}

bool txn_shielded(struct txn *t)
{
    struct gate *g = t->gate;
    struct outcome o;
    enter(g);
    if (!shield_refuses(g->shield, &t->plan, monotonic_now(), redis_clock_us(g->redis), &o) ||
        !txn_may_claim(t))
        return false;
    metrics_add(g->metrics, METRIC_SHIELD_REFUSED);
    txn_count_outcome(t, &o);
    txn_limits_said(t, &o);
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, &o);
    txn_end(t, NULL);
    return true;
}

void txn_limits_uncounted(struct txn *t)
{
    for (unsigned i = 0; i < t->plan.nlimits; i++)
        count_limit(t, t->plan.limits[i].limit, LIMIT_UNCOUNTED);
    for (unsigned i = 0; i < t->plan.nslots; i++)
        count_limit(t, t->plan.slots[i].limit, LIMIT_UNCOUNTED);
}

bool txn_replayed(struct txn *t)
{
    struct gate *g = t->gate;
    const struct plan *p = &t->plan;
    if (!g->replay || !p->has_record || p->bare || p->counts_all || !txn_may_claim(t))
        return false;
    struct outcome o = {.kind = OUTCOME_REPLAY, .record = replay_recent(g->replay, &p->id, p->fingerprint)};
    if (!o.record.ptr)
        return false;
    metrics_add(g->metrics, METRIC_SHIELD_REPLAYED);
    txn_count_outcome(t, &o);
    verdict_outcome(txn_ack(t), t->config->problems.base, p, &o);
    txn_end(t, NULL);
    return true;
}

void txn_counted(struct txn *t)
{
    if (t->plan.kind == PLAN_DENY)
        txn_deny(t, t->plan.problem, t->plan.detail, 0);
    else
        txn_end_empty(t);
}

void txn_unavailable(struct txn *t, const char *detail)
{
    if (t->plan.count_only)
        txn_counted(t);
    else
        txn_deny(t, PROBLEM_UNAVAILABLE, detail, 1);
}
