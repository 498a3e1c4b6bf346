// SPDX-License-Identifier: MIT
/* One question at a time, on a timer that is quicker while the breaker is open. A question that is older than
 * the deadline of a decision counts as one more failure at each tick: so a Redis that hangs is noticed even
 * where no request has waited for it yet. */
#include "rooms/guard.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "domain/breaker.h"
#include "domain/script.h"
#include "rooms/monotonic.h"

#define TICK 0.25

struct guard {
    struct ev_loop *loop;
    struct redis *redis;
    struct metrics *metrics;
    struct breaker breaker;
    double deadline; /* of a decision */
    bool refuses;    /* on_data_loss = "refuse" */
    ev_timer timer;
    struct redis_call *call; /* the question on its way */
    double asked_at;
    struct mark seen;
    bool verified; /* the mark was as it should be, on this connection */
    bool lost;     /* noticed, and nobody has said go */
    uint64_t epoch, losses;
    struct buf command;
    struct log_gate strange_gate;
};

static void show(struct guard *g)
{
    metrics_set(g->metrics, METRIC_BREAKER_OPEN, g->breaker.open);
    metrics_set(g->metrics, METRIC_DATA_LOST, guard_trusts(g) == GUARD_LOST);
}

static void tick_every(struct guard *g, double seconds)
{
    if (g->timer.repeat == seconds)
        return;
    g->timer.repeat = seconds;
    ev_timer_again(g->loop, &g->timer);
}

void guard_heard(struct guard *g, bool in_time)
{
    if (in_time && breaker_good(&g->breaker)) {
        LOG(LOG_NOTICE, "breaker-closed", log_text("why", "Redis answers in time again"));
        tick_every(g, TICK);
    } else if (!in_time && breaker_bad(&g->breaker, monotonic_now())) {
        metrics_add(g->metrics, METRIC_BREAKER_OPENED);
        LOG(LOG_WARNING, "breaker-open", log_int("failures", g->breaker.failures),
            log_text("why", "Redis does not answer within redis.deadline: requests are refused at once"));
        tick_every(g, g->breaker.pause);
    }
    show(g);
}

/* Logged and counted once for each loss. */
static void on_loss(struct guard *g, const char *what, const char *then)
{
    g->epoch++;
    g->losses++;
    if (g->lost)
        return;
    metrics_add(g->metrics, METRIC_DATA_LOSS);
    LOG(LOG_ERROR, "redis-data-lost", log_text("what", what),
        log_text("why", "keys that were used may be used again, and requests may run twice"),
        log_text("then", then));
}

static void judge(struct guard *g, enum mark_state state)
{
    static const char goes_on[] = "goes on (on_data_loss = \"continue\")",
                      waits[] = "protected requests are refused until an operator says: oncectl go";
    switch (state) {
    case MARK_FIRST:
        LOG(LOG_NOTICE, "redis-new", log_text("why", "no agent has used this database before"));
        break;
    case MARK_PASSED:
        on_loss(g, "the mark was begun anew", "goes on: another agent, or an operator, has said so");
        break;
    case MARK_LOST: on_loss(g, "the mark is missing or smaller than it was", goes_on); break;
    case MARK_WAITS:
        on_loss(g, g->seen.epoch ? "the mark is missing or smaller than it was" : "there is no mark yet",
                waits);
        break;
    case MARK_FOREIGN:
        if (log_gate_open(&g->strange_gate, 1, monotonic_now()))
            LOG(LOG_ERROR, "redis-mark-foreign",
                log_text("why",
                         "the key once:mark holds something else: delete it, or choose another database"));
        break;
    case MARK_KEPT: break;
    }
    g->verified = state != MARK_WAITS && state != MARK_FOREIGN;
    if (g->lost && g->verified)
        LOG(LOG_NOTICE, "redis-data-accepted", log_text("why", "an operator has said go"));
    g->lost = state == MARK_WAITS;
}

/* An error (LOADING, READONLY ..) is an answer in time, and says nothing about the mark. */
static void on_mark(void *arg, const struct redis_reply *reply)
{
    struct guard *g = arg;
    enum mark_state state;
    g->call = NULL;
    if (reply->status == REDIS_LOST)
        return;
    if (reply->status == REDIS_BYTES && mark_read(reply->bytes, &g->seen, &state) == 0)
        judge(g, state);
    guard_heard(g, monotonic_now() - g->asked_at <= g->deadline);
}

static void ask(struct guard *g)
{
    buf_reset(&g->command);
    script_mark(&g->command, &g->seen, !g->refuses);
    if (g->command.failed)
        return;
    g->asked_at = monotonic_now();
    g->call = redis_submit(g->redis, g->command.data, g->command.len, 0, on_mark, g);
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct guard *g = t->data;
    if (!g->call)
        ask(g);
    else if (monotonic_now() - g->asked_at > g->deadline)
        guard_heard(g, false);
}

static void configure(struct guard *g, const struct config *c, bool keep)
{
    breaker_set(&g->breaker, c->breaker.failures, c->breaker.probe_ms / 1000.0, keep);
    g->deadline = c->redis.deadline_ms / 1000.0;
    g->refuses = c->redis.on_data_loss == ON_DATA_LOSS_REFUSE;
    tick_every(g, g->breaker.open ? g->breaker.pause : TICK);
}

struct guard *guard_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                        struct metrics *metrics)
{
    struct guard *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->loop = loop;
    g->redis = redis;
    g->metrics = metrics;
    buf_init(&g->command);
    ev_timer_init(&g->timer, on_tick, 0., 0.);
    g->timer.data = g;
    ev_set_priority(&g->timer, EV_MINPRI); /* what has come is read before it is missed */
    configure(g, c, false);
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    if (g->call)
        redis_detach(g->call);
    ev_timer_stop(g->loop, &g->timer);
    buf_free(&g->command);
    free(g);
}

void guard_reconfigure(struct guard *g, const struct config *c)
{
    configure(g, c, true);
    show(g);
}

void guard_ready(struct guard *g)
{
    g->verified = false;
    g->epoch++;
    ask(g);
}

uint64_t guard_epoch(const struct guard *g)
{
    return g->epoch;
}

uint64_t guard_losses(const struct guard *g)
{
    return g->losses;
}

bool guard_admits(const struct guard *g)
{
    return !g->breaker.open;
}

const struct mark *guard_mark(const struct guard *g)
{
    return g->refuses ? &g->seen : NULL;
}

/* Asked at once: an operator may have said go meanwhile. A question that is on its way was sent behind the claim. */
void guard_lost(struct guard *g)
{
    if (!g->refuses)
        return; /* since a reload */
    judge(g, MARK_WAITS);
    show(g);
    if (!g->call)
        ask(g);
}

enum guard_trust guard_trusts(const struct guard *g)
{
    if (!g->refuses)
        return GUARD_TRUSTED;
    if (g->lost)
        return GUARD_LOST;
    return g->verified ? GUARD_TRUSTED : GUARD_UNKNOWN;
}
