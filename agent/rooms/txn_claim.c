// SPDX-License-Identifier: MIT
/* The claim: the question to the gate in Redis, and what follows from its reply.
 *
 *   claim ─┬─ waits behind another one's (txn_shared)
 *          ├─ in a cluster: limits with another subject are asked (txn_loans), then it goes on as below
 *          └─ sent ─┬─ go ──────── still young? ──► go              else taken back
 *                   ├─ replay ──── all of it here? ──► replay       else GET first
 *                   ├─ busy ────── has it ended? (txn_wait) ──► claimed again, waits, or 409
 *                   ├─ any other ──► deny
 *                   └─ late, lost ──► deny, and the rid is released behind the deadline */
#include "rooms/txn_inner.h"

#include "adapters/log.h"
#include "domain/policy.h"
#include "domain/record.h"
#include "domain/verdict.h"
#include "rooms/monotonic.h"

/* Seconds: Redis' clock and ours may drift apart by a little within one deadline. */
#define DRIFT 0.01

static struct buf command; /* reused: one command is built at a time */

struct redis *txn_home(const struct txn *t)
{
    const struct plan *p = &t->plan;
    if (p->has_record)
        return redis_home(t->gate->redis, p->id.tag);
    return p->nlimits > 0 ? redis_home(t->gate->redis, plan_home(p)) : t->gate->redis;
}

/* Does the record protect a key, or only hold slots? */
static bool keyed(const struct plan *p)
{
    return p->has_record && !p->bare;
}

static uint32_t record_s(const struct txn *t)
{
    return policy_record_s(t->plan.policy, t->plan.bare);
}

void txn_warn(struct txn *t, const char *event, const char *why)
{
    static struct log_gate gate;
    if (log_gate_open(&gate, 10, t->began))
        LOG(LOG_WARNING, event, log_text("policy", t->plan.policy ? t->plan.policy->name : "-"),
            log_text("argument", t->plan.lacks ? t->plan.lacks : "-"), log_text("why", why),
            log_text("correlation", t->correlation), log_int("left_out", gate.left_out));
}

/* Redis has decided and cannot be heard out: nothing is forwarded, and the client may try again at once. */
void txn_error(struct txn *t, const char *detail)
{
    metrics_add(t->gate->metrics, METRIC_CLAIM_ERROR);
    txn_unavailable(t, detail);
}

/* Redis did not decide: the same, unless the policy says otherwise. */
static void undecided(struct txn *t, const char *detail)
{
    /* Of one that has waited it is known that another one ran: passing it would surely run it twice. */
    if (t->plan.count_only || t->waited || !plan_fails_open(&t->plan)) {
        txn_error(t, detail);
        return;
    }
    txn_limits_uncounted(t);
    metrics_add(t->gate->metrics, METRIC_CLAIM_ERROR);
    metrics_add(t->gate->metrics, keyed(&t->plan) ? METRIC_FAILED_OPEN_KEY : METRIC_FAILED_OPEN_LIMIT);
    txn_warn(t, "failed-open", detail);
    if (t->cache) {
        txn_cache_admitted(t, NULL, true);
        return;
    }
    verdict_fail_open(txn_ack(t));
    txn_end(t, NULL);
}

/* An error of Redis' own (OOM, READONLY, LOADING, WRONGTYPE ..): the gate writes last, so nothing was done.
 */
static void redis_refused(struct txn *t, const struct redis_reply *reply)
{
    static struct log_gate gate;
    if (log_gate_open(&gate, 10, t->began))
        LOG(LOG_WARNING, "claim-error", log_text("policy", t->plan.policy->name),
            log_bytes("redis", reply->bytes), log_text("correlation", t->correlation),
            log_int("left_out", gate.left_out));
}

/* The claim may have been granted without our knowing. Its own deadline, by Redis' clock, bounds when. */
static void release_unknown_grant(struct txn *t)
{
    if (t->plan.has_record)
        txn_release_rid(t, &t->plan.id, t->plan.rid, ev_time() + t->deadline - monotonic_now() + DRIFT);
}

/* Sends `command`; NULL: it cannot be sent, or it is too late. */
static struct redis_call *ask(struct txn *t, double now, redis_reply_fn *fn)
{
    t->asked = now;
    double left = t->deadline - now;
    bool may = left > 0 && !command.failed && redis_room(txn_home(t), REDIS_CLAIMS);
    return may ? redis_submit(t->gate->redis, command.data, command.len, left, fn, t) : NULL;
}

static void go(struct txn *t, const struct outcome *o)
{
    struct grant grant = {.deadline = t->deadline, .ttl_s = record_s(t)};
    if (t->cache) {
        txn_cache_admitted(t, o, false);
        return;
    }
    if (!t->plan.has_record) {
        verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, o);
        txn_end(t, NULL);
        return;
    }
    script_token(&t->plan, o->fence, &grant.token);
    if (monotonic_now() >= t->deadline) {
        gate_take_back(t->gate, &grant);
        metrics_add(t->gate->metrics, METRIC_CLAIM_LATE);
        undecided(t, "The decision came too late");
        return;
    }
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, o);
    txn_end(t, &grant);
}

/* A grant that a failover could lose is none. */
static void unacknowledged(struct txn *t)
{
    struct grant grant = {.ttl_s = record_s(t)};
    script_token(&t->plan, t->seen.fence, &grant.token);
    gate_take_back(t->gate, &grant);
    metrics_add(t->gate->metrics, METRIC_ACKS_REFUSED);
    undecided(t, "The decision is not safe yet");
}

static void on_acked(void *arg, bool acknowledged)
{
    struct txn *t = arg;
    if (acknowledged)
        go(t, &t->seen);
    else
        unacknowledged(t);
}

/* Replays and refusals do not wait: an outcome that is not acknowledged yet is said again after a failover. A
 * failover that forgets a slot only lets one more in. */
static void grant(struct txn *t, const struct outcome *o)
{
    txn_stop_waiting(t, PARKED_GO);
    if (!keyed(&t->plan) || !acks_wanted(t->gate->acks)) {
        go(t, o);
        return;
    }
    t->seen = *o;
    if (!acks_wait(t->gate->acks, t->from, &t->waiter, on_acked, t))
        unacknowledged(t);
}

static void finish(struct txn *t, struct outcome *o);

/* The rest of a large record: what the gate decided on must be what is served. */
static void on_record(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    struct record r;
    if (reply->status != REDIS_BYTES || record_open(reply->bytes.ptr, reply->bytes.len, &r) < 0 ||
        r.state != RECORD_DONE || r.fence != t->fence) {
        txn_error(t, "The stored answer cannot be read now");
        return;
    }
    struct outcome o = {
        .kind = OUTCOME_REPLAY, .fence = r.fence, .record = reply->bytes, .record_len = reply->bytes.len};
    finish(t, &o);
}

static void fetch_record(struct txn *t, const struct outcome *o)
{
    struct record r;
    if (record_open(o->record.ptr, o->record.len, &r) < 0) {
        txn_warn(t, "record-unreadable",
                 "a completed record has no head that we understand; it was left untouched");
        txn_error(t, "The stored answer cannot be read");
        return;
    }
    t->fence = r.fence;
    buf_reset(&command);
    script_get(&command, &t->plan.id);
    if (!ask(t, monotonic_now(), on_record))
        txn_error(t, "The stored answer cannot be read now");
}

/* A Location that cannot be opened is left out: that the request was carried out stands in the open. */
static void open_location(struct txn *t, struct outcome *o)
{
    const struct seal_place at = {SEAL_LOCATION, &t->plan.id, o->fence};
    if (!sealer_open(t->gate->sealer, &o->location, &at))
        o->location = (struct spop_slice){NULL, 0};
}

/* An outcome that is whole. */
static void act(struct txn *t, struct outcome *o)
{
    switch (o->kind) {
    case OUTCOME_GO:
        if (t->plan.count_only) {
            txn_counted(t);
            return;
        }
        grant(t, o);
        return;
    case OUTCOME_YOURS: grant(t, o); return;
    case OUTCOME_LATE:
        if (!txn_wait_on(t))
            undecided(t, "The decision came too late");
        return;
    case OUTCOME_REPLAY:
        if (!t->gate->replay) {
            txn_error(t, "There is no replay listener");
            return;
        }
        txn_share(t, o);
        break;
    case OUTCOME_BUSY:
        if (txn_look(t, o) || txn_wait(t, o))
            return;
        break;
    case OUTCOME_LIMITED: break; /* its own limits */
    case OUTCOME_TOMB:
        open_location(t, o);
        txn_share(t, o);
        break;
    case OUTCOME_DATA_LOST: guard_lost(t->gate->guard); break;
    case OUTCOME_FOREIGN:
        txn_warn(t, "record-foreign",
                 "a value of an unknown version lies under a record's key; it was left untouched");
        txn_share(t, o);
        break;
    default: txn_share(t, o);
    }
    verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan, o);
    txn_end(t, NULL);
}

/* It comes first: it may be the one that runs. Those behind it who ask for themselves come last: then a grant that is
 * not said has been taken back. */
static void finish(struct txn *t, struct outcome *o)
{
    struct said said;
    if (o->kind == OUTCOME_REPLAY && t->gate->replay)
        replay_keep(t->gate->replay, &t->plan.id, o->record.ptr, o->record.len, t->asked);
    txn_take_behind(t, o, &said);
    act(t, o);
    txn_tell_behind(&said);
}

static void count(struct txn *t, const struct outcome *o)
{
    txn_count_outcome(t, o);
    txn_limits_said(t, o);
}

void txn_told(struct txn *t, const struct outcome *o)
{
    struct outcome own = *o; /* a Location is opened in it */
    count(t, o);
    act(t, &own);
}

static void decide(struct txn *t, struct outcome *o)
{
    count(t, o);
    redis_saw_clock(t->from, o->now_us);
    txn_shield_learn(t, o);
    if (o->kind == OUTCOME_REPLAY && o->record.len < o->record_len)
        fetch_record(t, o);
    else
        finish(t, o);
}

void txn_failed(struct txn *t)
{
    if (!txn_wait_on(t))
        undecided(t, "The decision cannot be made now");
}

/* Nothing was done, and that holds for those behind it too. */
static void failed_for_all(struct txn *t)
{
    struct said said;
    txn_take_behind(t, NULL, &said);
    txn_failed(t);
    txn_tell_behind(&said);
}

static void on_claim(void *arg, const struct redis_reply *reply)
{
    struct txn *t = arg;
    struct outcome o;
    t->from = reply->from;
    if (reply->status != REDIS_LOST)
        guard_heard(t->gate->guard, reply->from, reply->status != REDIS_LATE);
    bool read =
        reply->status == REDIS_BYTES && outcome_read(reply->bytes.ptr, reply->bytes.len, &t->plan, &o) == 0;
    txn_lent_said(t, read ? &o : NULL);
    switch (reply->status) {
    case REDIS_BYTES:
        if (read) {
            decide(t, &o);
            return;
        }
        txn_warn(t, "claim-unreadable",
                 "the gate's reply is not one: does another version's agent share this name?");
        release_unknown_grant(t);
        break;
    case REDIS_LATE:
    case REDIS_LOST: release_unknown_grant(t); break;
    default:
        redis_refused(t, reply);
        failed_for_all(t);
        return;
    }
    undecided(t, "The decision cannot be made now");
}

/* Refused without asking: is it because of the data, or of the breaker? True: the transaction has ended. */
static bool guarded(struct txn *t, const struct redis *home)
{
    struct gate *g = t->gate;
    enum guard_trust trust = keyed(&t->plan) ? guard_trusts(g->guard, home) : GUARD_TRUSTED;
    if (trust == GUARD_LOST) {
        metrics_add(g->metrics, METRIC_DATA_REFUSED);
        verdict_outcome(txn_ack(t), t->config->problems.base, &t->plan,
                        &(struct outcome){.kind = OUTCOME_DATA_LOST});
        txn_end(t, NULL);
    } else if (trust == GUARD_UNKNOWN) {
        metrics_add(g->metrics, METRIC_DATA_REFUSED);
        txn_error(t, "The decision cannot be made now");
    } else if (!guard_admits(g->guard, home)) {
        metrics_add(g->metrics, METRIC_BREAKER_REFUSED);
        undecided(t, "The store does not answer in time");
    } else {
        return false;
    }
    return true;
}

/* Without contact a claim would take over what other agents had no chance to extend (PROTOCOL, claim). */
static bool is_served(const struct txn *t, const struct redis *r, double now)
{
    bool served = redis_ready(r) && redis_clock_at(r, now) != 0;
    if (t->plan.has_record)
        served = served && redis_contact_at(r, now) != 0 && inflight_caught_up(t->gate->inflight, r);
    return served;
}

bool txn_may_claim(const struct txn *t, double now)
{
    const struct gate *g = t->gate;
    const struct redis *home = txn_home(t);
    bool trusted = !keyed(&t->plan) || guard_trusts(g->guard, home) == GUARD_TRUSTED;
    return trusted && guard_admits(g->guard, home) && is_served(t, home, now) &&
           redis_room(home, REDIS_CLAIMS);
}

/* Everything that it would say is known: all of its limits were asked apart, or are covered by loans. */
static void decided_apart(struct txn *t, double now)
{
    struct outcome o = {.kind = t->plan.refused ? OUTCOME_LIMITED : OUTCOME_GO};
    t->asked = now;
    txn_lent_said(t, &o);
    o.now_us = redis_clock_at(txn_home(t), now);
    count(t, &o);
    txn_shield_learn(t, &o);
    act(t, &o);
}

static bool is_decided(const struct txn *t)
{
    return !t->plan.has_record && t->plan.nlimits == 0;
}

/* What is left of its plan. False: it cannot be sent. */
static bool send_claim(struct txn *t, const struct redis *r, double now)
{
    double left = t->deadline - now;
    if (is_decided(t)) {
        decided_apart(t, now);
        return true;
    }
    buf_reset(&command);
    size_t times = script_claim(&command, &t->plan, redis_clock_at(r, now) + (uint64_t)(left * 1e6),
                                redis_contact_at(r, now), t->parked.lot != NULL,
                                keyed(&t->plan) ? guard_mark(t->gate->guard) : NULL);
    struct redis_call *call = ask(t, now, on_claim);
    if (call)
        redis_call_times(call, times);
    return call != NULL;
}

/* What its limits said came later: the guard may have learned meanwhile. */
void txn_gate(struct txn *t, bool failed)
{
    double now = monotonic_now();
    bool may = !failed && t->deadline > now && (is_decided(t) || txn_may_claim(t, now));
    if (!may || !send_claim(t, txn_home(t), now)) {
        txn_lent_said(t, NULL);
        failed_for_all(t);
    }
}

/* A duplicate that waits may come from behind a claim that was lost with the connection: it has asked nothing, and waits on. */
static void ask_at(struct txn *t, double now)
{
    const struct redis *r = txn_home(t);
    if (t->parked.lot && !txn_may_claim(t, now) && txn_wait_on(t))
        return;
    if (guarded(t, r))
        return;
    if (!is_served(t, r, now) || t->deadline <= now) {
        txn_failed(t);
        return;
    }
    if (txn_waits_behind(t) || !txn_lend(t))
        return;
    if ((t->lent && t->lent->failed) || !send_claim(t, r, now)) {
        txn_lent_said(t, NULL);
        txn_failed(t);
    }
}

void txn_ask(struct txn *t)
{
    ask_at(t, monotonic_now());
}

void txn_claim(struct txn *t)
{
    t->came = monotonic_now();
    ask_at(t, t->came);
}
