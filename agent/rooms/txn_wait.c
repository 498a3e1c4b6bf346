// SPDX-License-Identifier: MIT
/* A key that is busy: what holds it is looked up in HAProxy's table, and where that runs the duplicate may wait
 * for the original's outcome (idempotency.wait; rooms/parking).
 *
 *   busy ──► parked ──asks: a claim of its own rid and payload, with a deadline of its own──► busy: goes on
 *              ├─ go: it runs (the original failed), the others of its lot ask on        ─┬─ replay, tombstone,
 *              ├─ past the wait, the agent stops ──► 409                                  │  unknown ..:
 *              └─ its connection to HAProxy ends ──► gone                                 └─ all of its lot
 *
 * It waits no longer than HAProxy does: idempotency.wait, or what the message's argument `timeout` leaves
 * after redis.deadline and a margin, whichever is less. */
#include "rooms/txn_inner.h"

#include <stddef.h>

#include "domain/policy.h"
#include "domain/script.h"
#include "domain/verdict.h"
#include "rooms/monotonic.h"

/* Seconds. What HAProxy needs to send a message and to read its ACK, and the loop to come round. */
#define MARGIN 0.1
/* Redis cannot be asked just now (not connected, not caught up, an error of its own). */
#define SOON 0.25
/* Past the moment at which a lease ends that nobody renews. */
#define BEHIND 0.01

static struct txn *txn_of(struct parked *p)
{
    return (struct txn *)((char *)p - offsetof(struct txn, parked));
}

void txn_wait_until(struct txn *t, double now, double age, double timeout)
{
    double budget = t->config->redis.deadline_ms / 1000.0,
           wait = t->plan.policy->idempotency.wait_ms / 1000.0;
    if (!t->plan.has_record || t->plan.bare || wait <= 0 || timeout <= 0)
        return;
    t->gives_up = now + timeout - (age > 0 ? age : 0);
    double longest = t->gives_up - budget - MARGIN;
    t->wait_until = now + wait < longest ? now + wait : longest;
}

/* The limits that count all have counted this request: its further claims must not be charged to them. */
static void claim_again(struct txn *t)
{
    for (unsigned i = 0; i < t->plan.nlimits; i++)
        if (t->plan.limits[i].limit->charge == CHARGE_ALL)
            t->plan.limits[i].cost = 0;
    txn_claim(t);
}

static void on_ask(struct parked *p)
{
    struct txn *t = txn_of(p);
    double budget = t->config->redis.deadline_ms / 1000.0, now = monotonic_now();
    if (!txn_may_claim(t, now)) {
        parking_stay(p, SOON);
        return;
    }
    t->deadline = now + budget < t->gives_up ? now + budget : t->gives_up;
    metrics_add(t->gate->metrics, METRIC_PARKED_CLAIMS);
    claim_again(t);
}

static void answer(struct txn *t, const struct outcome *o)
{
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, o);
    txn_end(t, NULL);
}

static void on_shared(struct parked *p, const void *what)
{
    struct txn *t = txn_of(p);
    struct outcome o = *(const struct outcome *)what;
    o.has_levels = false; /* the asker's */
    txn_count_outcome(t, &o);
    answer(t, &o);
}

static void on_over(struct parked *p, enum parked_end why)
{
    struct txn *t = txn_of(p);
    (void)why;
    answer(t, &t->seen);
}

static void stay(struct txn *t, double seconds)
{
    if (t->owner)
        parking_stay(&t->parked, seconds);
    else
        txn_end_empty(t);
}

bool txn_wait(struct txn *t, const struct outcome *o)
{
    static const struct parked_events events = {on_ask, on_shared, on_over};
    if (t->parked.lot) {
        stay(t, o->until_us > o->now_us ? (double)(o->until_us - o->now_us) / 1e6 + BEHIND : BEHIND);
        return true;
    }
    if (!t->owner || t->wait_until <= 0)
        return false;
    t->seen = *o; /* without slices */
    t->waited =
        parking_add(t->gate->parking, &t->parked, &events, &t->plan.id, t->plan.fingerprint, t->wait_until);
    return t->waited;
}

bool txn_wait_on(struct txn *t)
{
    if (!t->parked.lot)
        return false;
    stay(t, SOON);
    return true;
}

void txn_share(struct txn *t, const struct outcome *o)
{
    if (t->parked.lot)
        parking_share(&t->parked, o);
}

void txn_stop_waiting(struct txn *t, enum parked_end end)
{
    if (t->parked.lot)
        parking_leave(&t->parked, t->owner ? end : PARKED_LEFT);
}

bool txn_needs_poller(const struct plan *p)
{
    return p->has_record && policy_polls(p->policy);
}

static void busy(struct txn *t)
{
    if (txn_wait(t, &t->seen))
        return;
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, &t->seen);
    txn_end(t, NULL);
}

static void on_looked(void *arg, bool ended)
{
    struct txn *t = arg;
    if (!t->owner) /* nobody is to be told: nothing is claimed */
        txn_end_empty(t);
    else if (ended && monotonic_now() < t->deadline)
        claim_again(t);
    else
        busy(t);
}

/* A retry that comes right behind a failure must not find the lock of what has just ended (PROTOCOL, What a
 * retry can count on). Once for each request: who then comes too late was overtaken by another one. */
bool txn_look(struct txn *t, const struct outcome *o)
{
    struct token token;
    if (t->looked || !txn_needs_poller(&t->plan))
        return false;
    t->looked = true;
    t->seen = *o;
    script_token_busy(&t->plan, o, &token);
    return inflight_look(t->gate->inflight, &token, o->process, on_looked, t);
}
