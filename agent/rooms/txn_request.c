// SPDX-License-Identifier: MIT
/* A request message: from the plan to the claim.
 *
 *   plan ─┬─ pass, deny ──► said at once
 *         └─ claim ──► in time? ──► its process known? ─┬─ said without Redis (txn_loans, txn_shield)
 *                                                       └─ claimed (txn_claim)
 *
 * Deadlines are times of the monotonic clock: a step of the wall clock must not make an old claim young. */
#include "rooms/txn_inner.h"

#include "domain/policy.h"
#include "domain/verdict.h"
#include "rooms/monotonic.h"

static void on_known(void *arg, bool known)
{
    struct txn *t = arg;
    if (!t->owner) { /* nobody is to be told: nothing is claimed */
        txn_end_empty(t);
        return;
    }
    if (known) {
        txn_claim(t);
        return;
    }
    metrics_add(t->gate->metrics, METRIC_REQUEST_UNPOLLED);
    txn_warn(t, "process-unpolled",
             "no agent polls this HAProxy process: is its runtime socket in `haproxy`, with level operator?");
    txn_deny(t, PROBLEM_UNAVAILABLE, "The gateway's state cannot be seen now", 1);
}

/* The message's own deadlines against ours: false and `why` if the claim must not be made (PROTOCOL, Timing
 * rules). The log says it in full: what of it is the site's mistake is not the client's to read. */
static bool in_time(struct txn *t, const struct request_facts *f, double now, const char **why)
{
    double timeout = (double)f->timeout / 1000;
    double age = f->sent ? ev_time() - (double)f->sent / 1e6 : 0;
    double budget = t->config->redis.deadline_ms / 1000.0;
    if (f->timeout && budget >= timeout) {
        *why = "redis.deadline is not below the processing timeout of the engine `once`";
        return false;
    }
    double polls = 3 * t->config->inflight.poll_ms / 1000.0;
    if (f->timeout && t->plan.has_record && policy_lock_s(t->plan.policy) <= timeout + polls) {
        *why = "the policy's lock, or its lease, is not above the processing timeout of the engine `once` "
               "and three polls";
        return false;
    }
    if (f->timeout && age >= timeout) {
        metrics_add(t->gate->metrics, METRIC_REQUEST_STALE);
        *why = "the message is older than the processing timeout: has the agent been paused, or do the "
               "clocks differ?";
        return false;
    }
    double left = f->timeout && age > 0 && timeout - age < budget ? timeout - age : budget;
    t->deadline = now + left;
    txn_wait_until(t, now, age, timeout);
    return true;
}

void txn_start_claim(struct txn *t, const struct request_facts *f)
{
    const char *why;
    double now = monotonic_now();
    metrics_add(t->gate->metrics, METRIC_REQUEST_CLAIMED);
    /* Goes ahead of the claim on the same connection, unless it must wait: for room among what is sent, or for an earlier
     * word about that record. Then the claim may be told busy. */
    if (t->plan.has_lost) {
        metrics_add(t->gate->metrics, METRIC_REQUEST_AGAIN);
        txn_release_rid(t, &t->plan.lost_id, t->plan.lost, 0);
    }
    if (t->full) {
        metrics_add(t->gate->metrics, METRIC_SPOP_FULL);
        txn_warn(t, "claim-refused", "spop.max_pending messages of this connection wait already");
        txn_error(t, "Too many decisions are being made");
        return;
    }
    if (!in_time(t, f, now, &why)) {
        txn_warn(t, "claim-refused", why);
        txn_unavailable(t, "The decision cannot be made in time");
        return;
    }
    if (!txn_needs_poller(&t->plan) || inflight_knows(t->gate->inflight, t->plan.process)) {
        if (txn_lent(t) || txn_shielded(t, now) || txn_replayed(t, now))
            return;
        if (t->cache)
            txn_cache_look(t);
        txn_claim(t);
        return;
    }
    if (!inflight_find(t->gate->inflight, t->plan.process, on_known, t))
        on_known(t, false);
}

void txn_request(struct txn *t, const struct request_facts *f)
{
    size_t buffer = txn_buffer(t);
    plan_request(t->config, f, buffer, &t->plan);
    if (t->plan.lacks && t->plan.kind != PLAN_DENY)
        txn_warn(t, "limit-uncounted",
                 "a shadow limit wants this argument, as a whole number if it is a cost");
    switch (t->plan.kind) {
    case PLAN_PASS:
        metrics_add(t->gate->metrics, METRIC_REQUEST_PASSED);
        verdict_pass(txn_ack(t), &t->plan);
        txn_end(t, NULL);
        return;
    case PLAN_DENY:
        if (t->plan.count_only) {
            txn_start_claim(t, f);
            return;
        }
        metrics_add(t->gate->metrics, METRIC_REQUEST_DENIED);
        if (t->plan.problem == PROBLEM_UNAVAILABLE)
            txn_warn(t, "request-refused", t->plan.detail ? t->plan.detail : "the message is incomplete");
        txn_deny(t, t->plan.problem, t->plan.detail, 0);
        return;
    case PLAN_CLAIM: txn_start_claim(t, f);
    }
}

/* Over a limit, HAProxy gets the 429 to say instead of its own refusal; else no verdict at all. */
void txn_charge(struct txn *t, const struct request_facts *f)
{
    plan_charge(t->config, f, &t->plan);
    if (t->plan.kind == PLAN_DENY)
        txn_warn(t, "request-uncounted", t->plan.detail);
    if (t->plan.kind == PLAN_CLAIM)
        txn_start_claim(t, f);
    else
        txn_end_empty(t);
}
