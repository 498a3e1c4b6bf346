// SPDX-License-Identifier: MIT
/* For each primary two lists: those that the WAIT on its way speaks for, and those that the next one will. When a WAIT fails,
 * both are told: the second group would learn the same, later. */
#include "rooms/acks.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "domain/breaker.h"
#include "domain/script.h"
#include "rooms/monotonic.h"

#define PAUSE 1.0 /* after a failure */

/* Those who wrote through one connection. */
struct group {
    struct acks *acks;
    struct ev_loop *loop;
    struct redis *redis; /* NULL: it was never ready */
    struct breaker breaker;
    struct acks_waiter *sent, *gathering, **last; /* in their order */
    struct redis_call *call;                      /* the WAIT on its way */
    struct redis_call *write;                     /* in a cluster: the command before it */
    bool unwritten;                               /* that was refused: the WAIT says nothing */
    ev_prepare turn;                              /* the loop is about to sleep */
    ev_timer due;
};

struct acks {
    struct metrics *metrics;
    unsigned replicas, timeout_ms;
    struct group groups[REDIS_LINKS]; /* by the link's number */
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

static void gather_none(struct group *g)
{
    g->gathering = NULL;
    g->last = &g->gathering;
}

static void take_turn(struct group *g)
{
    if (g->gathering && !g->call)
        ev_prepare_start(g->loop, &g->turn);
}

static void good(struct group *g)
{
    struct acks_waiter *sent = g->sent;
    g->sent = NULL;
    metrics_add(g->acks->metrics, METRIC_ACKS);
    if (breaker_good(&g->breaker))
        LOG(LOG_NOTICE, "replicas-acknowledge", log_int("wanted", g->acks->replicas));
    tell(sent, true);
    take_turn(g);
}

/* replicas -1: no answer in time. */
static void bad(struct group *g, long long replicas)
{
    struct acks_waiter *sent = g->sent, *gathering = g->gathering;
    g->sent = NULL;
    gather_none(g);
    ev_prepare_stop(g->loop, &g->turn);
    metrics_add(g->acks->metrics, METRIC_ACKS_FAILED);
    if (breaker_bad(&g->breaker, monotonic_now()))
        LOG(LOG_WARNING, "replicas-silent", log_int("wanted", g->acks->replicas),
            log_int("acknowledged", replicas),
            log_text("why", "what was written may be lost by a failover: grants are refused"));
    tell(sent, false);
    tell(gathering, false);
}

/* The slot of the key that was to be written has just left this primary: nothing is known of its replicas. */
static void again(struct group *g)
{
    struct acks_waiter *sent = g->sent;
    g->sent = NULL;
    metrics_add(g->acks->metrics, METRIC_ACKS_FAILED);
    tell(sent, false);
    take_turn(g);
}

static void on_waited(void *arg, const struct redis_reply *reply)
{
    struct group *g = arg;
    ev_timer_stop(g->loop, &g->due);
    g->call = NULL;
    if (g->unwritten)
        again(g);
    else if (reply->status == REDIS_INT && reply->integer >= (int64_t)g->acks->replicas)
        good(g);
    else
        bad(g, reply->status == REDIS_INT ? (long long)reply->integer : -1);
}

static void forget_calls(struct group *g)
{
    if (g->call)
        redis_detach(g->call);
    if (g->write)
        redis_detach(g->write);
    g->call = g->write = NULL;
}

/* Redis counts the time from when it reads the WAIT, and looks at its clock ten times a second only. */
static void on_due(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct group *g = t->data;
    forget_calls(g);
    bad(g, -1);
}

static void on_written(void *arg, const struct redis_reply *reply)
{
    struct group *g = arg;
    g->write = NULL;
    g->unwritten = reply->status == REDIS_ERROR;
}

/* Sends both commands; false: not possible. */
static bool send_wait(struct group *g)
{
    struct acks *a = g->acks;
    uint8_t tag[2];
    bool cluster = redis_is_cluster(g->redis);
    if (!redis_own_tag(g->redis, tag))
        return false;
    buf_reset(&a->command);
    size_t first = script_wait(&a->command, a->replicas, a->timeout_ms, cluster ? tag : NULL);
    const uint8_t *at = a->command.data;
    struct redis_call *write =
        a->command.failed ? NULL : redis_submit(g->redis, at, first, 0, cluster ? on_written : NULL, g);
    if (!write)
        return false;
    g->write = cluster ? write : NULL;
    g->unwritten = false;
    g->call = redis_submit(g->redis, at + first, a->command.len - first, 0, on_waited, g);
    return g->call != NULL;
}

static void on_turn(struct ev_loop *loop, ev_prepare *p, int revents)
{
    (void)revents;
    struct group *g = p->data;
    ev_prepare_stop(loop, p);
    if (!send_wait(g)) {
        bad(g, -1);
        return;
    }
    g->sent = g->gathering;
    gather_none(g);
    ev_timer_set(&g->due, g->acks->timeout_ms / 1000.0, 0.);
    ev_timer_start(loop, &g->due);
}

struct acks *acks_new(struct ev_loop *loop, const struct config *c, struct metrics *metrics)
{
    struct acks *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->metrics = metrics;
    buf_init(&a->command);
    for (unsigned i = 0; i < REDIS_LINKS; i++) {
        struct group *g = &a->groups[i];
        g->acks = a;
        g->loop = loop;
        gather_none(g);
        ev_prepare_init(&g->turn, on_turn);
        g->turn.data = g;
        ev_timer_init(&g->due, on_due, 0., 0.);
        g->due.data = g;
        ev_set_priority(&g->due, EV_MINPRI); /* what has come is read before it is missed */
    }
    acks_reconfigure(a, c);
    return a;
}

static void group_clear(struct group *g)
{
    forget_calls(g);
    ev_timer_stop(g->loop, &g->due);
    ev_prepare_stop(g->loop, &g->turn);
    g->redis = NULL; /* who asks again is told no */
    tell(g->sent, false);
    tell(g->gathering, false);
}

void acks_free(struct acks *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < REDIS_LINKS; i++)
        group_clear(&a->groups[i]);
    buf_free(&a->command);
    free(a);
}

void acks_reconfigure(struct acks *a, const struct config *c)
{
    a->replicas = c->redis.ack_replicas;
    a->timeout_ms = c->redis.ack_timeout_ms;
}

void acks_ready(struct acks *a, struct redis *link)
{
    struct group *g = &a->groups[redis_number(link)];
    g->redis = link;
    breaker_set(&g->breaker, 1, PAUSE, false);
}

bool acks_wanted(const struct acks *a)
{
    return a && a->replicas > 0;
}

bool acks_wait(struct acks *a, const struct redis *from, struct acks_waiter *w, acks_fn *fn, void *arg)
{
    struct group *g = &a->groups[redis_number(from)];
    if (!g->redis || !redis_ready(g->redis) || !breaker_admits(&g->breaker, monotonic_now()))
        return false;
    *w = (struct acks_waiter){.fn = fn, .arg = arg};
    *g->last = w;
    g->last = &w->next;
    take_turn(g);
    return true;
}
