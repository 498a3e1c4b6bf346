// SPDX-License-Identifier: MIT
/* What is said without asking Redis, because Redis has just said it (DESIGN, decision 9):
 *
 *   request ─┬─ over a limit that it is known to be over (rooms/shield) ──────► 429     ACCEPTANCE R16
 *            ├─ its key was finished at most a second ago (rooms/replay) ─────► replay  ACCEPTANCE R20
 *            └─ else ──► claim ──► a refusal by limits is learned, what is charged is added to it
 *
 * Only where a claim could be sent as well: without Redis what is said then is said. */
#include "rooms/txn_inner.h"

#include "domain/verdict.h"
#include "rooms/monotonic.h"

static void enter(const struct txn *t, double now)
{
    struct gate *g = t->gate;
    shield_enter(g->shield, guard_epoch(g->guard), now, redis_clock_at(txn_home(t), now));
}

void txn_shield_learn(struct txn *t, const struct outcome *o)
{
    struct gate *g = t->gate;
    struct outcome copy;
    if (t->config != g->config)
        return;
    double now = monotonic_now();
    enter(t, now);
    o = txn_lent_unseen(t, o, &copy);
    if (o->kind == OUTCOME_LIMITED)
        shield_learn(g->shield, &t->plan, o, t->asked, now);
    else
        shield_refresh(g->shield, &t->plan, o, t->asked, now);
}

static void answer(struct txn *t, const struct outcome *o, enum metric counter)
{
    metrics_add(t->gate->metrics, counter);
    txn_count_outcome(t, o);
    txn_limits_said(t, o);
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, o);
    txn_end(t, NULL);
}

bool txn_shielded(struct txn *t, double now)
{
    struct gate *g = t->gate;
    struct outcome o;
    enter(t, now);
    if (!shield_refuses(g->shield, &t->plan, now, redis_clock_at(txn_home(t), now), &o) ||
        !txn_may_claim(t, now))
        return false;
    answer(t, &o, METRIC_SHIELD_REFUSED);
    return true;
}

bool txn_replayed(struct txn *t, double now)
{
    struct gate *g = t->gate;
    const struct plan *p = &t->plan;
    if (!g->replay || !p->has_record || p->bare || p->counts_all || !txn_may_claim(t, now))
        return false;
    struct outcome o = {.kind = OUTCOME_REPLAY, .record = replay_recent(g->replay, &p->id, p->fingerprint)};
    if (!o.record.ptr)
        return false;
    answer(t, &o, METRIC_SHIELD_REPLAYED);
    return true;
}
