// SPDX-License-Identifier: MIT
/* Two lists: those that the WAIT on its way speaks for, and those that the next one will. When a WAIT fails,
 * both are told: the second group would learn the same, later. */
#include "rooms/acks.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "domain/breaker.h"
#include "domain/script.h"
#include "rooms/monotonic.h"

#define PAUSE 1.0 /* after a failure */

struct acks {
    struct ev_loop *loop;
    struct redis *redis;
    struct metrics *metrics;
    unsigned replicas, timeout_ms;
    struct breaker breaker;
    struct acks_waiter *sent, *gathering, **last; /* in their order */
    struct redis_call *call;                      /* the WAIT on its way */
    ev_prepare turn;                              /* the loop is about to sleep */
    ev_timer due;
    struct buf command;
};

static void tell(struct acks_waiter *first, bool acknowledged)
{
    while (first) {
        struct acks_waiter *w = first;
        first = w->next;
        w->fn(w->arg, acknowledged);
    }
}

static void gather_none(struct acks *a)
{
    a->gathering = NULL;
    a->last = &a->gathering;
}

static void take_turn(struct acks *a)
{
    if (a->gathering && !a->call)
        ev_prepare_start(a->loop, &a->turn);
}

static void good(struct acks *a)
{
    struct acks_waiter *sent = a->sent;
    a->sent = NULL;
    metrics_add(a->metrics, METRIC_ACKS);
    if (breaker_good(&a->breaker))
        LOG(LOG_NOTICE, "replicas-acknowledge", log_int("wanted", a->replicas));
    tell(sent, true);
    take_turn(a);
}

/* replicas -1: no answer in time. */
static void bad(struct acks *a, long long replicas)
{
    struct acks_waiter *sent = a->sent, *gathering = a->gathering;
    a->sent = NULL;
    gather_none(a);
    ev_prepare_stop(a->loop, &a->turn);
    metrics_add(a->metrics, METRIC_ACKS_FAILED);
    if (breaker_bad(&a->breaker, monotonic_now()))
        LOG(LOG_WARNING, "replicas-silent", log_int("wanted", a->replicas), log_int("acknowledged", replicas),
            log_text("why", "what was written may be lost by a failover: grants are refused"));
    tell(sent, false);
    tell(gathering, false);
}

static void on_waited(void *arg, const struct redis_reply *reply)
{
    struct acks *a = arg;
    ev_timer_stop(a->loop, &a->due);
    a->call = NULL;
    if (reply->status == REDIS_INT && reply->integer >= (int64_t)a->replicas)
        good(a);
    else
        bad(a, reply->status == REDIS_INT ? (long long)reply->integer : -1);
}

/* Redis counts the time from when it reads the WAIT, and looks at its clock ten times a second only. */
static void on_due(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct acks *a = t->data;
    redis_detach(a->call);
    a->call = NULL;
    bad(a, -1);
}

static void on_turn(struct ev_loop *loop, ev_prepare *p, int revents)
{
    (void)revents;
    struct acks *a = p->data;
    ev_prepare_stop(loop, p);
    buf_reset(&a->command);
    size_t first = script_wait(&a->command, a->replicas, a->timeout_ms);
    const uint8_t *at = a->command.data;
    bool sent = !a->command.failed && redis_submit(a->redis, at, first, 0, NULL, NULL) != NULL;
    if (sent)
        a->call = redis_submit(a->redis, at + first, a->command.len - first, 0, on_waited, a);
    if (!a->call) {
        bad(a, -1);
        return;
    }
    a->sent = a->gathering;
    gather_none(a);
    ev_timer_set(&a->due, a->timeout_ms / 1000.0, 0.);
    ev_timer_start(loop, &a->due);
}

struct acks *acks_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                      struct metrics *metrics)
{
    struct acks *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->loop = loop;
    a->redis = redis;
    a->metrics = metrics;
    gather_none(a);
    buf_init(&a->command);
    acks_ready(a);
    ev_prepare_init(&a->turn, on_turn);
    a->turn.data = a;
    ev_timer_init(&a->due, on_due, 0., 0.);
    a->due.data = a;
    ev_set_priority(&a->due, EV_MINPRI); /* what has come is read before it is missed */
    acks_reconfigure(a, c);
    return a;
}

void acks_free(struct acks *a)
{
    if (!a)
        return;
    if (a->call)
        redis_detach(a->call);
    ev_timer_stop(a->loop, &a->due);
    ev_prepare_stop(a->loop, &a->turn);
    breaker_bad(&a->breaker, monotonic_now()); /* who asks again is told no */
    tell(a->sent, false);
    tell(a->gathering, false);
    buf_free(&a->command);
    free(a);
}

void acks_reconfigure(struct acks *a, const struct config *c)
{
    a->replicas = c->redis.ack_replicas;
    a->timeout_ms = c->redis.ack_timeout_ms;
}

void acks_ready(struct acks *a)
{
    breaker_set(&a->breaker, 1, PAUSE, false);
}

bool acks_wanted(const struct acks *a)
{
    return a && a->replicas > 0;
}

bool acks_wait(struct acks *a, struct acks_waiter *w, acks_fn *fn, void *arg)
{
    if (!redis_ready(a->redis) || !breaker_admits(&a->breaker, monotonic_now()))
        return false;
    *w = (struct acks_waiter){.fn = fn, .arg = arg};
    *a->last = w;
    a->last = &w->next;
    take_turn(a);
    return true;
}
