// SPDX-License-Identifier: MIT
/* What became of a request, counted: the gate's outcome, and what each of its limits said:
 *
 *   it waits                              refused, or shadow_refused: a shadow only says so
 *   it was charged                        allowed
 *   another limit refused, or it costs 0  nothing
 *   Redis could not decide, and it passed uncounted
 *
 * And how a request ends that was only to be counted. */
#include "rooms/txn_inner.h"

static const enum metric outcome_metrics[256] = {
    [OUTCOME_GO] = METRIC_CLAIM_GO,
    [OUTCOME_YOURS] = METRIC_CLAIM_YOURS,
    [OUTCOME_REPLAY] = METRIC_CLAIM_REPLAY,
    [OUTCOME_MISMATCH] = METRIC_CLAIM_MISMATCH,
    [OUTCOME_BUSY] = METRIC_CLAIM_BUSY,
    [OUTCOME_TOMB] = METRIC_CLAIM_TOMB,
    [OUTCOME_UNKNOWN] = METRIC_CLAIM_UNKNOWN,
    [OUTCOME_LIMITED] = METRIC_CLAIM_LIMITED,
    [OUTCOME_LATE] = METRIC_CLAIM_LATE,
    [OUTCOME_FOREIGN] = METRIC_CLAIM_FOREIGN,
    [OUTCOME_DATA_LOST] = METRIC_DATA_REFUSED,
};

void txn_count_outcome(struct txn *t, const struct outcome *o)
{
    if (!(t->plan.count_only && o->kind == OUTCOME_GO))
        metrics_add(t->gate->metrics, outcome_metrics[o->kind]);
}

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

void txn_limits_uncounted(struct txn *t)
{
    for (unsigned i = 0; i < t->plan.nlimits; i++)
        count_limit(t, t->plan.limits[i].limit, LIMIT_UNCOUNTED);
    for (unsigned i = 0; i < t->plan.nslots; i++)
        count_limit(t, t->plan.slots[i].limit, LIMIT_UNCOUNTED);
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
