// SPDX-License-Identifier: MIT
/* A list in the order of arrival, and one timer that runs while it is not empty. */
#include "rooms/waits.h"

#include <stdio.h>
#include <stdlib.h>

#include "domain/plan.h"
#include "rooms/monotonic.h"

#define SEEK_EVERY 0.020
/* The last look is before 400 ms are over. On a busy machine a worker that a reload has just made needs them until its
 * runtime socket answers: the old one accepts on the same socket until it has heard of its end. */
#define WAIT_LONGEST 0.390

struct inflight_wait {
    struct inflight_wait *next, **prev;
    struct waits *waits;
    inflight_known_fn *fn;
    void *arg;
    double until;
    char process[PLAN_PROCESS_MAX + 1];
};

struct waits {
    struct ev_loop *loop;
    const struct waits_events *events;
    void *arg;
    ev_timer timer;
    struct inflight_wait *first, **last;
    struct inflight_wait *next; /* whom waits_check() looks at next: who is told may forget others */
};

void inflight_forget(struct inflight_wait *w)
{
    *w->prev = w->next;
    if (w->waits->next == w)
        w->waits->next = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        w->waits->last = w->prev;
    free(w);
}

static void tell(struct inflight_wait *w, bool known)
{
    inflight_known_fn *fn = w->fn;
    void *arg = w->arg;
    inflight_forget(w);
    fn(arg, known);
}

/* Once along the list, in the order of arrival. */
void waits_check(struct waits *w)
{
    struct inflight_wait *i;
    double now = monotonic_now();
    for (w->next = w->first; (i = w->next);) {
        w->next = i->next;
        bool known = w->events->known(w->arg, i->process);
        if (known || now >= i->until)
            tell(i, known);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)revents;
    struct waits *w = t->data;
    waits_check(w);
    if (w->first)
        w->events->seek(w->arg);
    else
        ev_timer_stop(loop, t);
}

struct waits *waits_new(struct ev_loop *loop, const struct waits_events *events, void *arg)
{
    struct waits *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct waits){.loop = loop, .events = events, .arg = arg};
    w->last = &w->first;
    ev_timer_init(&w->timer, on_timer, 0., SEEK_EVERY);
    w->timer.data = w;
    return w;
}

void waits_free(struct waits *w)
{
    if (!w)
        return;
    while (w->first)
        tell(w->first, false);
    ev_timer_stop(w->loop, &w->timer);
    free(w);
}

struct inflight_wait *waits_add(struct waits *w, const char *process, inflight_known_fn *fn, void *arg)
{
    struct inflight_wait *i = malloc(sizeof *i);
    if (!i)
        return NULL;
    *i = (struct inflight_wait){.prev = w->last, .waits = w, .fn = fn, .arg = arg};
    i->until = monotonic_now() + WAIT_LONGEST;
    snprintf(i->process, sizeof i->process, "%s", process);
    *w->last = i;
    w->last = &i->next;
    if (!ev_is_active(&w->timer)) {
        ev_timer_set(&w->timer, 0., SEEK_EVERY);
        ev_timer_start(w->loop, &w->timer);
    }
    return i;
}
