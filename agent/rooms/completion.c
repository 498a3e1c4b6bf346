// SPDX-License-Identifier: MIT
/* The queue of words that Redis must confirm.
 *
 *                     ┌─ not_before ──► PAUSED ─┐
 *   put ──────────────┴─────────────────────────┴──► BEHIND ──first of its record──► READY ──window──► SENT
 *                                                                                     ▲ ▲               │
 *                                                                                LOST ┘ └─ PAUSED ◄─ error
 *
 * A chain for each hash of a record's digest holds the words in their order; only the first one of a record
 * moves. Words that were sent already, or whose turn has come by the one before, go ahead of new ones. */
#include "rooms/completion.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "adapters/log.h"
#include "domain/text.h"
#include "rooms/completion_fate.h"

enum {
    WINDOW = 1000, /* words on their way at once, and their bytes: hiredis moves what is left */
    WINDOW_BYTES = 4 * 1024 * 1024, /* of its output buffer after each write */
    CHAINS_MAX = 16384,
    SPARE_MAX = 256,         /* structs kept for the next words */
    SPARE_BYTES = 32 * 1024, /* of each at most */
    LOGS_PER_SECOND = 5,
};
#define FULL_PAUSE 0.01 /* Redis' adapter is full */

/* ACKED: Redis has it, its replicas are waited for. */
enum place { PLACE_PAUSED, PLACE_BEHIND, PLACE_READY, PLACE_SENT, PLACE_ACKED };

struct completion_ticket {
    struct completion *owner;
    TAILQ_ENTRY(completion_ticket) all, chain, line;
    enum place place;
    bool chained; /* has its place in the order */
    bool again;   /* is in the line of those that go ahead */
    ev_timer pause;
    struct redis_call *call;
    struct record_id id;
    enum script_id script;
    struct buf resp;
    size_t split;    /* length of the SET in front; 0: there is none */
    bool front_sent; /* on this connection */
    unsigned tries, errors, unacked;
    struct acks_waiter waiter;
    completion_fn *fn;
    void *arg;
};
TAILQ_HEAD(words, completion_ticket);

struct completion {
    struct ev_loop *loop;
    struct redis *redis;
    struct metrics *metrics;
    struct acks *acks;
    uint32_t max_entries, max_bytes;
    unsigned window;
    size_t entries, bytes, sent, sent_bytes, nspare;
    ev_timer full;
    struct words all, again, fresh, spare;
    struct words *chains;
    size_t mask;
    struct log_gate dropped_gate, lost_gate, error_gate;
};

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
        log_bytes("why", detail), log_int("left_out", gate->left_out));
}

static void say_text(struct log_gate *gate, const struct completion_ticket *t, const char *event,
                     const char *why)
{
    say(gate, t, event, slice_of(why));
}

static struct completion_ticket *ticket_new(struct completion *c)
{
    struct completion_ticket *t = TAILQ_FIRST(&c->spare);
    struct buf resp = {0};
    if (t) {
        TAILQ_REMOVE(&c->spare, t, line);
        c->nspare--;
        resp = t->resp;
        buf_reset(&resp);
    } else if (!(t = malloc(sizeof *t))) {
        return NULL;
    }
    *t = (struct completion_ticket){.owner = c, .resp = resp};
    return t;
}

static void ticket_free(struct completion_ticket *t)
{
    struct completion *c = t->owner;
    if (t->resp.cap > SPARE_BYTES)
        buf_free(&t->resp);
    if (c->nspare < SPARE_MAX) {
        c->nspare++;
        TAILQ_INSERT_HEAD(&c->spare, t, line);
        return;
    }
    buf_free(&t->resp);
    free(t);
}

static struct words *chain_of(struct completion *c, const struct record_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->digest, sizeof hash);
    return &c->chains[hash & c->mask];
}

static bool same_record(const struct completion_ticket *a, const struct completion_ticket *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0;
}

static bool has_before(const struct completion_ticket *t)
{
    const struct completion_ticket *p = TAILQ_PREV(t, words, chain);
    while (p && !same_record(p, t))
        p = TAILQ_PREV(p, words, chain);
    return p != NULL;
}

static struct completion_ticket *next_of(const struct completion_ticket *t)
{
    struct completion_ticket *n = TAILQ_NEXT(t, chain);
    while (n && !same_record(n, t))
        n = TAILQ_NEXT(n, chain);
    return n;
}

static void make_ready(struct completion_ticket *t, bool again)
{
    t->place = PLACE_READY;
    t->again = again;
    TAILQ_INSERT_TAIL(again ? &t->owner->again : &t->owner->fresh, t, line);
}

static void take_place(struct completion_ticket *t)
{
    TAILQ_INSERT_TAIL(chain_of(t->owner, &t->id), t, chain);
    t->chained = true;
    if (has_before(t))
        t->place = PLACE_BEHIND;
    else
        make_ready(t, false);
}

/* Out of everything but memory; whoever waited behind it has its turn. */
static void leave(struct completion_ticket *t)
{
    struct completion *c = t->owner;
    struct completion_ticket *next = t->chained ? next_of(t) : NULL;
    ev_timer_stop(c->loop, &t->pause);
    if (t->place == PLACE_READY)
        TAILQ_REMOVE(t->again ? &c->again : &c->fresh, t, line);
    if (t->chained)
        TAILQ_REMOVE(chain_of(c, &t->id), t, chain);
    TAILQ_REMOVE(&c->all, t, all);
    c->entries--;
    c->bytes -= t->resp.len;
    show(c);
    if (next && next->place == PLACE_BEHIND)
        make_ready(next, true);
}

static void settle(struct completion_ticket *t, enum completion_result result)
{
    completion_fn *fn = t->fn;
    void *arg = t->arg;
    leave(t);
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
    if (!redis_room(r, REDIS_OUTCOMES))
        return false;
    if (t->split && !t->front_sent && !redis_submit(r, resp, t->split, 0, NULL, NULL))
        return false;
    t->front_sent = true;
    t->call = redis_submit(r, resp + t->split, t->resp.len - t->split, 0, on_reply, t);
    return t->call != NULL;
}

static struct completion_ticket *next_ready(const struct completion *c)
{
    struct completion_ticket *t = TAILQ_FIRST(&c->again);
    return t ? t : TAILQ_FIRST(&c->fresh);
}

static void pump(struct completion *c)
{
    struct completion_ticket *t;
    while (redis_ready(c->redis) && c->sent < c->window && c->sent_bytes < WINDOW_BYTES &&
           (t = next_ready(c))) {
        if (!submit(t)) {
            ev_timer_stop(c->loop, &c->full);
            ev_timer_set(&c->full, FULL_PAUSE, 0.);
            ev_timer_start(c->loop, &c->full);
            return;
        }
        TAILQ_REMOVE(t->again ? &c->again : &c->fresh, t, line);
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
    bool sent = t->script != SCRIPT_RELEASE && t->script != SCRIPT_RELEASE_RID;
    metrics_add(t->owner->metrics, METRIC_LOST_LOCK);
    say_text(&t->owner->lost_gate, t, "completion-lost",
             sent ? "another execution owns the key: the request may have run twice"
                  : "another execution owns the key: there was nothing to release");
    settle(t, COMPLETION_LOST);
}

/* Said again after a pause: where it was not lost it finds its work done, and is acknowledged then. */
static void on_acked(void *arg, bool acknowledged)
{
    struct completion_ticket *t = arg;
    struct completion *c = t->owner;
    if (acknowledged)
        settle(t, COMPLETION_DONE);
    else
        pause_for(t, fate_pause(++t->unacked));
    pump(c);
}

static void on_done(struct completion_ticket *t)
{
    struct completion *c = t->owner;
    bool release = t->script == SCRIPT_RELEASE || t->script == SCRIPT_RELEASE_RID;
    t->place = PLACE_ACKED;
    if (release || !acks_wanted(c->acks))
        settle(t, COMPLETION_DONE);
    else if (!acks_wait(c->acks, &t->waiter, on_acked, t))
        pause_for(t, fate_pause(++t->unacked));
}

/* Nothing runs again, but a retry gets outcome-not-stored where it could have had the answer. */
static void on_bare(struct completion_ticket *t, struct spop_slice why)
{
    if (t->split) { /* a commit brings no answer of its own: nothing was lost */
        metrics_add(t->owner->metrics, METRIC_COMPLETION_BARE);
        say(&t->owner->error_gate, t, "completion-bare", why);
    }
    on_done(t);
}

static void meet(struct completion_ticket *t, enum fate fate, struct spop_slice why)
{
    struct completion *c = t->owner;
    switch (fate) {
    case FATE_DONE: on_done(t); return;
    case FATE_BARE: on_bare(t, why); return;
    case FATE_OTHER: on_other_owner(t); return;
    case FATE_REFUSED:
        say(&c->error_gate, t, "completion-refused", why);
        settle(t, COMPLETION_REFUSED);
        return;
    case FATE_AGAIN: make_ready(t, true); return;
    case FATE_LATER: say(&c->error_gate, t, "completion-error", why); pause_for(t, fate_pause(++t->errors));
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
    meet(t, fate, why);
    pump(c);
}

/* Length of the first command: *N, then N times $len and that many bytes. Our own RESP: it is well formed. */
static size_t first_command(const struct buf *resp)
{
    const char *at = (const char *)resp->data;
    char *end;
    unsigned long n = strtoul(at + 1, &end, 10);
    for (at = end + 2; n > 0; n--) {
        unsigned long len = strtoul(at + 1, &end, 10);
        at = end + 2 + len + 2;
    }
    return (size_t)(at - (const char *)resp->data);
}

static bool write_out(struct completion_ticket *t, const struct word *w)
{
    const struct completion *c = t->owner;
    t->id = w->token.id;
    t->script = w->script;
    unsigned commands = script_word(&t->resp, w);
    if (t->resp.failed || t->resp.len > c->max_bytes || c->bytes > c->max_bytes - t->resp.len)
        return false;
    t->split = commands == 2 ? first_command(&t->resp) : 0;
    return true;
}

static void drop(struct completion *c, const struct word *w)
{
    struct completion_ticket t = {.owner = c, .id = w->token.id, .script = w->script};
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
