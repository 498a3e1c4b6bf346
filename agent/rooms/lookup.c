// SPDX-License-Identifier: MIT
/* A list of lookups, one for each execution that somebody asks for, each with those who wait for it.
 *
 *   asking ──answer──► pausing ──timer──► asking ──► .. ──► nobody waits: gone
 *      └──100 ms──► nobody waits, but the answer is still to come: gone with it, or joined again
 *
 * Callbacks come last: the lookup has been put in order, or freed, before anybody is told. */
#include "rooms/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "rooms/monotonic.h"

/* Seconds between two looks; the last one again and again, as long as there is somebody who has not seen
 * enough. */
static const double gaps[] = {0.005, 0.015, 0.040};
enum { GAPS = sizeof gaps / sizeof *gaps, RUNNING_ENOUGH = 2 };
/* Who has waited for so long at an answer has seen the look at 60 ms. */
#define LOOK_LONGEST   0.055
#define ANSWER_LONGEST 0.100

struct waiter {
    struct waiter *next;
    inflight_looked_fn *fn;
    void *arg;
    double since;
    unsigned running; /* looks since then that have shown it running */
};

struct lookup {
    struct lookup *next, **prev;
    struct lookups *room;
    struct token token;
    char text[TOKEN_TEXT + 1];
    struct process process;
    struct waiter *first;
    unsigned looks;
    bool asking;
    double asked_at;
    ev_timer timer;
};

struct lookups {
    struct ev_loop *loop;
    const struct lookups_events *events;
    void *arg;
    struct metrics *metrics;
    struct lookup *first;
    bool closed;
    unsigned most, left; /* of this second */
    double second_at;
};

static bool may_look(struct lookups *l)
{
    double now = monotonic_now();
    if (now - l->second_at >= 1) {
        l->second_at = now;
        l->left = l->most;
    }
    if (l->left == 0) {
        metrics_add(l->metrics, METRIC_LOOKUP_REFUSED);
        return false;
    }
    l->left--;
    return true;
}

static void drop(struct lookup *k)
{
    ev_timer_stop(k->room->loop, &k->timer);
    *k->prev = k->next;
    if (k->next)
        k->next->prev = k->prev;
    free(k);
}

static void tell(struct waiter *w, bool ended)
{
    while (w) {
        struct waiter next = *w;
        free(w);
        next.fn(next.arg, ended);
        w = next.next;
    }
}

static struct waiter *take_all(struct lookup *k)
{
    struct waiter *all = k->first;
    k->first = NULL;
    return all;
}

/* Nobody can be asked any more, or nobody answers. */
static void give_up(struct lookup *k)
{
    struct metrics *m = k->room->metrics;
    struct waiter *all = take_all(k);
    for (struct waiter *w = all; w; w = w->next)
        metrics_add(m, METRIC_LOOKUP_UNSEEN);
    if (!k->asking)
        drop(k);
    tell(all, false);
}

static void wind(struct lookup *k, double seconds)
{
    ev_timer_stop(k->room->loop, &k->timer);
    ev_timer_set(&k->timer, seconds, 0.);
    ev_timer_start(k->room->loop, &k->timer);
}

static void on_answer(void *arg, struct spop_slice answer);

static bool ask(struct lookup *k)
{
    struct lookups *l = k->room;
    k->asked_at = monotonic_now();
    k->asking = true;
    if (l->closed || !l->events->ask(l->arg, &k->process, k->text, on_answer, k)) {
        k->asking = false;
        return false;
    }
    k->looks++;
    wind(k, ANSWER_LONGEST);
    return true;
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct lookup *k = t->data;
    if (k->asking || !ask(k))
        give_up(k);
}

/* Takes out those who have seen enough: it runs, or this was their last look. */
static struct waiter *take_sure(struct lookup *k, bool running)
{
    struct waiter *sure = NULL;
    double now = monotonic_now();
    for (struct waiter **at = &k->first; *at;) {
        struct waiter *w = *at;
        if (w->since <= k->asked_at)
            w->running += running;
        if (w->running < RUNNING_ENOUGH && now - w->since < LOOK_LONGEST) {
            at = &w->next;
            continue;
        }
        metrics_add(k->room->metrics, w->running ? METRIC_LOOKUP_RUNNING : METRIC_LOOKUP_UNSEEN);
        *at = w->next;
        w->next = sure;
        sure = w;
    }
    return sure;
}

/* Settled: Redis knows all of it already. */
static bool has_ended(struct lookup *k, const struct listing_entry *e)
{
    struct lookups *l = k->room;
    return listing_ended(e) &&
           (e->gpt0 >= LISTING_SETTLED || l->events->ended(l->arg, &k->token, (unsigned)e->gpt0));
}

static void tell_ended(struct lookup *k)
{
    struct metrics *m = k->room->metrics;
    struct waiter *all = take_all(k);
    for (struct waiter *w = all; w; w = w->next)
        metrics_add(m, METRIC_LOOKUP_ENDED);
    drop(k);
    tell(all, true);
}

static void on_answer(void *arg, struct spop_slice answer)
{
    struct lookup *k = arg;
    struct listing_entry e;
    bool seen = !k->room->closed && worker_look_read(answer, k->text, &e);
    k->asking = false;
    if (seen && has_ended(k, &e)) {
        tell_ended(k);
        return;
    }
    struct waiter *sure = take_sure(k, seen && !listing_ended(&e));
    if (!k->first)
        drop(k);
    else if (!answer.ptr || (k->looks > GAPS && !may_look(k->room)))
        give_up(k);
    else
        wind(k, gaps[k->looks <= GAPS ? k->looks - 1 : GAPS - 1]);
    tell(sure, false);
}

static struct lookup *find(struct lookups *l, const struct token *t)
{
    for (struct lookup *k = l->first; k; k = k->next)
        if (k->token.fence == t->fence && memcmp(k->token.rid, t->rid, sizeof t->rid) == 0 &&
            memcmp(&k->token.id, &t->id, sizeof t->id) == 0)
            return k;
    return NULL;
}

/* A lookup whose first question is on its way; NULL: nobody can be asked. */
static struct lookup *start(struct lookups *l, const struct token *t, const struct process *p)
{
    struct lookup *k = may_look(l) ? calloc(1, sizeof *k) : NULL;
    if (!k)
        return NULL;
    *k = (struct lookup){.next = l->first, .prev = &l->first, .room = l, .token = *t, .process = *p};
    token_write(t, k->text);
    ev_timer_init(&k->timer, on_timer, 0., 0.);
    k->timer.data = k;
    if (k->next)
        k->next->prev = &k->next;
    l->first = k;
    if (ask(k))
        return k;
    drop(k);
    return NULL;
}

bool lookups_add(struct lookups *l, const struct token *t, const struct process *p, inflight_looked_fn *fn,
                 void *arg)
{
    struct waiter *w = l->closed ? NULL : malloc(sizeof *w);
    if (!w)
        return false;
    *w = (struct waiter){.fn = fn, .arg = arg, .since = monotonic_now()};
    struct lookup *k = find(l, t);
    if (!k)
        k = start(l, t, p);
    if (!k) {
        free(w);
        return false;
    }
    w->next = k->first;
    k->first = w;
    if (!ev_is_active(&k->timer)) /* it was given up, but its answer is still to come */
        wind(k, ANSWER_LONGEST);
    return true;
}

struct lookups *lookups_new(struct ev_loop *loop, const struct lookups_events *events, void *arg,
                            struct metrics *metrics)
{
    struct lookups *l = calloc(1, sizeof *l);
    if (l)
        *l = (struct lookups){.loop = loop, .events = events, .arg = arg, .metrics = metrics};
    return l;
}

void lookups_close(struct lookups *l)
{
    if (!l)
        return;
    l->closed = true;
    for (struct lookup *k = l->first, *next; k; k = next) {
        next = k->next;
        ev_timer_stop(l->loop, &k->timer);
        give_up(k);
    }
}

void lookups_free(struct lookups *l)
{
    free(l);
}

void lookups_configure(struct lookups *l, unsigned most)
{
    l->most = most;
}
