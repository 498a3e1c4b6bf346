// SPDX-License-Identifier: MIT
/* What became of a request at each of its limits, counted:
 *
 *   it waits                              refused, or shadow_refused: a shadow only says so
 *   it was charged                        allowed
 *   another limit refused, or it costs 0  nothing
 *   Redis could not decide, and it passed uncounted */
#include "rooms/txn_inner.h"

static void count_limit(struct txn *t, unsigned i, enum limit_decision d)
{
    if (t->gate->metrics->limits)
        limit_counts_add(t->gate->metrics->limits, t->plan.limits[i].limit, d);
}

void txn_limits_said(struct txn *t, const struct outcome *o)
{
    const struct plan *p = &t->plan;
    bool forwarded = o->kind == OUTCOME_GO && !p->count_only;
    for (unsigned i = 0; o->has_levels && i < p->nlimits; i++) {
        const struct plan_limit *l = &p->limits[i];
        if (o->wait_us[i] > 0)
            count_limit(t, i, l->limit->shadow ? LIMIT_SHADOW_REFUSED : LIMIT_REFUSED);
        else if (o->kind != OUTCOME_LIMITED && l->cost > 0 && (forwarded || l->limit->charge == CHARGE_ALL))
            count_limit(t, i, LIMIT_ALLOWED);
    }
}

void txn_limits_uncounted(struct txn *t)
{
    for (unsigned i = 0; i < t->plan.nlimits; i++)
        count_limit(t, i, LIMIT_UNCOUNTED);
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
