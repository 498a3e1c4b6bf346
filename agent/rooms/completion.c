// SPDX-License-Identifier: MIT
/* The queue of words that Redis must confirm.
 *
 *                     ┌─ not_before ──► PAUSED ─┐
 *   put ──────────────┴─────────────────────────┴──► BEHIND ──first of its record──► READY ──window──► SENT
 *                                                                                     ▲ ▲               │
 *                                                                                LOST ┘ └─ PAUSED ◄─ error
 *
 * A word's place in the order is completion_order.c's. */
#include "rooms/completion_inner.h"

#include <stdlib.h>
#include <string.h>
#include "domain/text.h"
#include "rooms/completion_fate.h"

enum {
    WINDOW = 1000, /* words on their way at once, and their bytes: hiredis moves what is left */
    WINDOW_BYTES = 4 * 1024 * 1024, /* of its output buffer after each write */
    CHAINS_MAX = 16384,
    LOGS_PER_SECOND = 5,
};
#define FULL_PAUSE     0.01 /* Redis' adapter is full */
#define HOMELESS_PAUSE 0.25 /* its primary is not there; when it is, nobody waits for the end of this */

static void show(const struct completion *c)
{
    metrics_set(c->metrics, METRIC_COMPLETIONS, c->entries);
    metrics_set(c->metrics, METRIC_COMPLETION_BYTES, c->bytes);
}

/* A record's digest in hex names the key without giving it away. */
static void say(struct log_gate *gate, const struct completion_ticket *t, const char *event,
                struct spop_slice detail)
{
    char hex[2 * sizeof t->id.digest + 1];
    struct text record;
    if (!log_gate_open(gate, LOGS_PER_SECOND, ev_now(t->owner->loop)))
        return;
    text_init(&record, hex, sizeof hex);
    text_hex(&record, t->id.digest, sizeof t->id.digest);
    LOG(LOG_WARNING, event, log_text("word", scripts[t->script].name), log_text("record", hex),
        log_bytes("why", detail), log_text("correlation", *t->correlation ? t->correlation : "-"),
        log_int("left_out", gate->left_out));
}

static void say_text(struct log_gate *gate, const struct completion_ticket *t, const char *event,
                     const char *why)
{
    say(gate, t, event, slice_of(why));
}

static void settle(struct completion_ticket *t, enum completion_result result)
{
    completion_fn *fn = t->fn;
    void *arg = t->arg;
    struct completion *c = t->owner;
    ev_timer_stop(c->loop, &t->pause);
    leave_place(t);
    TAILQ_REMOVE(&c->all, t, all);
    c->entries--;
    c->bytes -= t->resp.len;
    show(c);
    ticket_free(t);
    if (fn)
        fn(arg, result);
}

static void pause_for(struct completion_ticket *t, double seconds)
{
    t->place = PLACE_PAUSED;
    ev_timer_set(&t->pause, seconds, 0.);
    ev_timer_start(t->owner->loop, &t->pause);
}

static void on_reply(void *arg, const struct redis_reply *reply);

static bool submit(struct completion_ticket *t)
{
    struct redis *r = t->owner->redis;
    const uint8_t *resp = t->resp.data;
    if (!redis_room(redis_home(r, t->id.tag), REDIS_OUTCOMES))
        return false;
    if (t->split && !t->front_sent && !redis_submit(r, resp, t->split, 0, NULL, NULL))
        return false;
    t->front_sent = true;
    t->call = redis_submit(r, resp + t->split, t->resp.len - t->split, 0, on_reply, t);
    return t->call != NULL;
}

static void pump(struct completion *c)
{
    struct completion_ticket *t;
    while (redis_ready(c->redis) && c->sent < c->window && c->sent_bytes < WINDOW_BYTES &&
           (t = line_first(c))) {
        if (redis_is_cluster(c->redis) && !redis_ready(redis_home(c->redis, t->id.tag))) {
            line_leave(t); /* the words of other primaries do not wait behind it */
            pause_for(t, HOMELESS_PAUSE);
            continue;
        }
        if (!submit(t)) {
            ev_timer_stop(c->loop, &c->full);
            ev_timer_set(&c->full, FULL_PAUSE, 0.);
            ev_timer_start(c->loop, &c->full);
            return;
        }
        line_leave(t);
        t->place = PLACE_SENT;
        c->sent++;
        c->sent_bytes += t->resp.len;
        if (t->tries++ > 0)
            metrics_add(c->metrics, METRIC_COMPLETION_RETRIES);
    }
}

static void on_full(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    pump(timer->data);
}

static void on_pause(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct completion_ticket *t = timer->data;
    if (t->chained)
        make_ready(t, true);
    else
        take_place(t);
    pump(t->owner);
}

static void on_other_owner(struct completion_ticket *t)
{
    const struct fate_lost *lost = fate_lost(t->script);
    metrics_add(t->owner->metrics, lost->metric);
    say_text(&t->owner->lost_gate, t, "completion-lost", lost->why);
    settle(t, COMPLETION_LOST);
}

/* Said again after a pause: where it was not lost it finds its work done, and is acknowledged then. */
static void on_acked(void *arg, bool acknowledged)
{
    struct completion_ticket *t = arg;
    struct completion *c = t->owner;
    if (acknowledged)
        settle(t, t->result);
    else
        pause_for(t, fate_pause(++t->unacked));
    pump(c);
}

static void confirm(struct completion_ticket *t, const struct redis *from, enum completion_result result)
{
    struct completion *c = t->owner;
    bool release = t->script == SCRIPT_RELEASE || t->script == SCRIPT_RELEASE_RID;
    t->place = PLACE_ACKED;
    if (t->unacked == 0)
        t->result =
            result == COMPLETION_ALREADY && t->tries > 1 ? COMPLETION_DONE : result; /* by its first try */
    if (release || !acks_wanted(c->acks))
        settle(t, t->result);
    else if (!acks_wait(c->acks, from, &t->waiter, on_acked, t))
        pause_for(t, fate_pause(++t->unacked));
}

/* Nothing runs again, but a retry gets outcome-not-stored where it could have had the answer. */
static void on_bare(struct completion_ticket *t, const struct redis *from, struct spop_slice why)
{
    if (t->split) { /* a commit brings no answer of its own: nothing was lost */
        metrics_add(t->owner->metrics, METRIC_COMPLETION_BARE);
        say(&t->owner->error_gate, t, "completion-bare", why);
    }
    confirm(t, from, COMPLETION_BARE);
}

static void meet(struct completion_ticket *t, const struct redis *from, enum fate fate, struct spop_slice why)
{
    struct completion *c = t->owner;
    switch (fate) {
    case FATE_DONE: confirm(t, from, COMPLETION_DONE); return;
    case FATE_ALREADY: confirm(t, from, COMPLETION_ALREADY); return;
    case FATE_BARE: on_bare(t, from, why); return;
    case FATE_OTHER: on_other_owner(t); return;
    case FATE_REFUSED:
        say(&c->error_gate, t, "completion-refused", why);
        settle(t, COMPLETION_REFUSED);
        return;
    case FATE_AGAIN: make_ready(t, true); return;
    case FATE_LATER:
        if (t->errors == 0) /* an open slot of an hour is one line, not 1,800 for each key in it */
            say(&c->error_gate, t, "completion-error", why);
        pause_for(t, fate_pause(++t->errors));
    }
}

static void on_reply(void *arg, const struct redis_reply *reply)
{
    struct completion_ticket *t = arg;
    struct completion *c = t->owner;
    struct spop_slice why;
    t->call = NULL;
    t->front_sent = false;
    c->sent--;
    c->sent_bytes -= t->resp.len;
    enum fate fate = fate_of(reply, t->errors, &why);
    meet(t, reply->from, fate, why);
    pump(c);
}

static void correlate(struct completion_ticket *t, const struct word *w)
{
    if (w->correlation)
        memccpy(t->correlation, w->correlation, '\0', sizeof t->correlation - 1);
}

static bool write_out(struct completion_ticket *t, const struct word *w)
{
    const struct completion *c = t->owner;
    t->id = w->token.id;
    t->script = w->script;
    correlate(t, w);
    t->split = script_front(&t->resp, w);
    script_behind(&t->resp, w);
    return !t->resp.failed && t->resp.len <= c->max_bytes && c->bytes <= c->max_bytes - t->resp.len;
}

static void drop(struct completion *c, const struct word *w)
{
    struct completion_ticket t = {.owner = c, .id = w->token.id, .script = w->script};
    correlate(&t, w);
    metrics_add(c->metrics, METRIC_COMPLETION_DROPPED);
    say_text(&c->dropped_gate, &t, "completion-dropped",
             "too many words wait for Redis (completion.max_entries, completion.max_bytes): the outcome "
             "is decided from HAProxy's table, or by the end of the lock");
}

struct completion_ticket *completion_put(struct completion *c, const struct word *w, ev_tstamp not_before,
                                         completion_fn *fn, void *arg)
{
    struct completion_ticket *t = c->entries < c->max_entries ? ticket_new(c) : NULL;
    if (!t || !write_out(t, w)) {
        if (t)
            ticket_free(t);
        drop(c, w);
        return NULL;
    }
    t->fn = fn;
    t->arg = arg;
    ev_timer_init(&t->pause, on_pause, 0., 0.);
    t->pause.data = t;
    TAILQ_INSERT_TAIL(&c->all, t, all);
    c->entries++;
    c->bytes += t->resp.len;
    show(c);
    if (not_before > ev_now(c->loop)) {
        pause_for(t, not_before - ev_now(c->loop));
        return t;
    }
    take_place(t);
    pump(c);
    return t;
}

void completion_forget(struct completion_ticket *t)
{
    t->fn = NULL;
}

void completion_flush(struct completion *c)
{
    for (struct completion_ticket *t = TAILQ_FIRST(&c->all); t; t = TAILQ_NEXT(t, all)) {
        if (t->place != PLACE_SENT)
            t->front_sent = false; /* that was another connection, and what it sent may be gone */
        if (t->place != PLACE_PAUSED || !t->chained)
            continue;
        ev_timer_stop(c->loop, &t->pause); /* the error was another connection's */
        make_ready(t, true);
    }
    pump(c);
}

void completion_set_acks(struct completion *c, struct acks *acks)
{
    c->acks = acks;
}

bool completion_idle(const struct completion *c)
{
    return c->entries == 0;
}

void completion_reconfigure(struct completion *c, const struct config *config)
{
    unsigned room = config->redis.max_pending / 4; /* two commands a word: half of it stays for claims */
    c->max_entries = config->completion.max_entries;
    c->max_bytes = config->completion.max_bytes;
    c->window = room == 0 ? 1 : room < WINDOW ? room : WINDOW;
}

struct completion *completion_new(struct ev_loop *loop, struct redis *redis, const struct config *config,
                                  struct metrics *metrics)
{
    size_t chains = 1;
    while (chains < config->completion.max_entries && chains < CHAINS_MAX)
        chains *= 2;
    struct completion *c = calloc(1, sizeof *c);
    struct words *heads = calloc(chains, sizeof *heads);
    if (!c || !heads) {
        free(c);
        free(heads);
        return NULL;
    }
    *c = (struct completion){
        .loop = loop, .redis = redis, .metrics = metrics, .chains = heads, .mask = chains - 1};
    for (size_t i = 0; i < chains; i++)
        TAILQ_INIT(&heads[i]);
    TAILQ_INIT(&c->all);
    TAILQ_INIT(&c->again);
    TAILQ_INIT(&c->fresh);
    TAILQ_INIT(&c->spare);
    ev_timer_init(&c->full, on_full, 0., 0.);
    c->full.data = c;
    completion_reconfigure(c, config);
    return c;
}

void completion_free(struct completion *c)
{
    struct completion_ticket *t;
    while ((t = TAILQ_FIRST(&c->all))) {
        if (t->call)
            redis_detach(t->call);
        settle(t, COMPLETION_DROPPED);
    }
    while ((t = TAILQ_FIRST(&c->spare))) {
        TAILQ_REMOVE(&c->spare, t, line);
        buf_free(&t->resp);
        free(t);
    }
    ev_timer_stop(c->loop, &c->full);
    show(c);
    free(c->chains);
    free(c);
}
