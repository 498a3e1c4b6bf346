// SPDX-License-Identifier: MIT
/* Entries lie in sets of a few, as in rooms/shield: a bucket's subject chooses the set, and takes the place of one that is idle.
 *
 *   entries: [ set 0: e e e e e e e e ][ set 1: .. ]        timer: old loans go back, questions are said again
 *
 * Questions leave at the end of the loop's turn, behind the claims of those who took: a token must not be told spent before it is.
 * Requests whose limit lies in another slot of a cluster than their record wait for tokens in their entry's list:
 *
 *   loans_wish ──► list ──turn's end──► one question for all ──► reply ──► in their order: had, or refused
 *                   who comes while a question is on its way waits for the next
 *
 * An entry whose question is on its way is never idle, so a reply finds it where it was. Loans are numbered over all entries: a slip
 * of a bucket that has gone is of no loan that another one has. */
#include "rooms/loans.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "rooms/monotonic.h"

enum { WAYS = 8, TICKS_IN_A_LOAN = 16 };

/* "auto": so many requests within a loan's time are worth one. */
enum { WORTH_AUTO = 8 };

struct loans_entry {
    struct loans *owner;
    struct loans_entry *next_due;
    bool used, due; /* due: among those that ask at the end of this turn */
    struct record_id subject;
    uint32_t limit; /* limit_hash() */
    double increment, capacity, most;
    struct loan_terms terms;
    double wanted_at; /* monotonic_now(): last */
    struct loan loan;
    struct loans_wish *wishes; /* oldest first */
};

struct loans {
    struct ev_loop *loop;
    struct redis *redis;
    const struct guard *guard;
    struct metrics *metrics;
    const struct config *config; /* borrowed until the next loans_reconfigure() */
    struct loans_entry *entries;
    size_t nsets;
    uint8_t agent[LEND_AGENT];
    uint32_t number; /* of the newest loan */
    uint64_t losses;
    bool draining, closed;
    struct loans_entry *first_due;
    ev_prepare turn_end;
    ev_timer timer; /* while something is on loan */
    struct buf command;
};

static size_t size_of(const struct loans *k)
{
    return k->nsets * WAYS;
}

struct loan_clock loans_clock(const struct loans *k)
{
    return (struct loan_clock){monotonic_now(), redis_clock_us(k->redis)};
}

/* The bucket's own Redis' clock: in a cluster its primary's. Where that is not known, every loan of it is over. */
static struct loan_clock at_home(const struct loans *k, const struct record_id *subject, struct loan_clock c)
{
    if (redis_is_cluster(k->redis)) {
        c.redis_us = redis_clock_at(redis_home(k->redis, subject->tag), c.now);
        c.redis_us = c.redis_us ? c.redis_us : UINT64_MAX / 2;
    }
    return c;
}

static bool is_busy(const struct loans_entry *e)
{
    return e->used && (e->due || e->wishes || !loan_idle(&e->loan));
}

/* If Redis has been asked, its reply brings nothing: who waits for it is asked for again. */
static void forget(struct loans_entry *e)
{
    loan_forget(&e->loan);
    for (struct loans_wish *w = e->wishes; w; w = w->next)
        w->asked = false;
}

static void forget_all(struct loans *k)
{
    for (size_t i = 0; i < size_of(k); i++)
        if (k->entries[i].used)
            forget(&k->entries[i]);
}

static void look_for_losses(struct loans *k)
{
    uint64_t losses = guard_losses(k->guard);
    if (losses != k->losses)
        forget_all(k);
    k->losses = losses;
}

static struct loans_entry *set_of(const struct loans *k, const struct record_id *subject)
{
    uint32_t h;
    memcpy(&h, subject->digest, sizeof h);
    return &k->entries[h % k->nsets * WAYS];
}

static bool is_of(const struct loans_entry *e, const struct plan_limit *l)
{
    return e->used && e->limit == l->limit->hash && !(e->increment < l->pace->increment) &&
           !(e->increment > l->pace->increment) && !(e->capacity < l->pace->capacity) &&
           !(e->capacity > l->pace->capacity) && memcmp(&e->subject, &l->subject, sizeof l->subject) == 0;
}

static struct loans_entry *find(const struct loans *k, const struct plan_limit *l)
{
    struct loans_entry *set = set_of(k, &l->subject);
    for (unsigned i = 0; i < WAYS; i++)
        if (is_of(&set[i], l))
            return &set[i];
    return NULL;
}

/* A free place, else that of the idle one that was not wanted for the longest time; NULL: all are in use. */
static struct loans_entry *place(struct loans *k, const struct plan_limit *l)
{
    struct loans_entry *set = set_of(k, &l->subject), *best = NULL;
    for (unsigned i = 0; i < WAYS; i++)
        if (!is_busy(&set[i]) &&
            (!best || (best->used && (!set[i].used || set[i].wanted_at < best->wanted_at))))
            best = &set[i];
    if (!best) {
        metrics_add(k->metrics, METRIC_LOANS_FULL);
        return NULL;
    }
    *best = (struct loans_entry){
        .owner = k,
        .used = true,
        .subject = l->subject,
        .limit = l->limit->hash,
        .increment = l->pace->increment,
        .capacity = l->pace->capacity,
    };
    return best;
}

/* LEASE_OFF with something to lend: config_check() lends of it in a cluster, as under "auto". */
static uint32_t worth_of(const struct plan_limit *l)
{
    if (l->pace->lent == 0)
        return LOAN_NEVER;
    return l->limit->lease == LEASE_AUTO || l->limit->lease == LEASE_OFF ? WORTH_AUTO : 1;
}

/* What the configuration allows now; a loan that is out keeps its time. */
static void set_terms(struct loans *k, struct loans_entry *e, const struct plan_limit *l)
{
    double lasts_s = k->config->loans.time_ms / 1000.0;
    bool fresh = e->terms.most == 0;
    e->most = l->limit->most;
    if (!fresh && !loan_idle(&e->loan))
        lasts_s = e->terms.lasts_s;
    e->terms = (struct loan_terms){
        .most = l->pace->lent > 0 ? l->pace->lent : 1,
        .worth = worth_of(l),
        .lasts_s = lasts_s,
    };
    if (fresh)
        loan_init(&e->loan, &e->terms, monotonic_now());
}

static void ask_soon(struct loans *k, struct loans_entry *e)
{
    if (e->due)
        return;
    e->due = true;
    e->next_due = k->first_due;
    k->first_due = e;
    ev_prepare_start(k->loop, &k->turn_end);
}

/* Somebody waits still, or nobody holds any more what was lent for those that waited. */
static void settled(struct loans *k, struct loans_entry *e)
{
    if (e->wishes || loan_over(&e->loan))
        ask_soon(k, e);
}

void loans_leave(struct loans_wish *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
}

static void append(struct loans_entry *e, struct loans_wish *w)
{
    struct loans_wish **last = &e->wishes;
    while (*last)
        last = &(*last)->next;
    w->next = NULL;
    w->link = last;
    *last = w;
}

static void tell(struct loans_wish *w, const struct loans_said *said)
{
    loans_leave(w);
    w->on_said(w->arg, w, said);
}

static bool has_asked(const struct loans_entry *e)
{
    return e->wishes && e->wishes->asked; /* those that came first */
}

/* Nothing is known of what was asked for. */
static void fail(struct loans_entry *e)
{
    while (has_asked(e))
        tell(e->wishes, &(struct loans_said){.word = LOANS_FAILED});
}

/* In their order: who wants more than there is takes nothing, and who comes behind may have it. level: ticks used, `left` tokens
 * included that were lent and that nobody has taken yet. */
static void serve(struct loans_entry *e, double level, uint32_t left)
{
    struct loan_clock c = at_home(e->owner, &e->subject, loans_clock(e->owner));
    while (has_asked(e)) {
        struct loans_wish *w = e->wishes;
        struct loans_said s = {
            .word = LOANS_HAD, .slip = {e, 0, w->tokens}
        };
        if (w->tokens == 0) {
            s.slip.entry = NULL;
        } else if (loan_take_waited(&e->loan, &e->terms, w->tokens, c, &s.slip.number)) {
            e->owner->metrics->value[METRIC_LOANS_TAKEN] += w->tokens;
            left -= w->tokens < left ? w->tokens : left;
        } else {
            s.word = LOANS_REFUSED;
            s.slip.entry = NULL;
        }
        s.level = level - left * e->increment;
        tell(w, &s);
    }
}

static void on_said(void *arg, const struct redis_reply *reply)
{
    struct loans_entry *e = arg;
    struct loans *k = e->owner;
    struct lend_said said;
    if (reply->status != REDIS_BYTES || lend_read(reply->bytes, &said) < 0) {
        loan_failed(&e->loan, &e->terms, monotonic_now());
        fail(e);
        settled(k, e);
        return;
    }
    redis_saw_clock(reply->from, said.now_us);
    look_for_losses(k);
    k->metrics->value[METRIC_LOANS_LENT] += said.tokens;
    k->metrics->value[METRIC_LOANS_RETURNED] += said.kind == LEND_SAID ? loan_saying(&e->loan) : 0;
    loan_said(&e->loan, &e->terms, monotonic_now(), &said);
    if (said.kind == LEND_SAID)
        serve(e, said.level, said.tokens);
    else
        fail(e);
    settled(k, e);
}

static bool may_ask(const struct loans *k, const struct loans_entry *e)
{
    const struct redis *home = redis_home(k->redis, e->subject.tag);
    return redis_ready(home) && redis_clock_us(home) != 0 && guard_admits(k->guard, home) &&
           redis_room(home, REDIS_CLAIMS);
}

/* What is asked for now, for all who wait; not for who wants more than there ever is. */
static uint32_t needs(struct loans_entry *e)
{
    uint64_t tokens = 0;
    for (struct loans_wish *w = e->wishes; w; w = w->next) {
        w->asked = true;
        if (w->tokens * e->increment <= e->capacity)
            tokens += w->tokens;
    }
    return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

static void ask(struct loans *k, struct loans_entry *e)
{
    double deadline = k->config->redis.deadline_ms / 1000.0, now = monotonic_now();
    uint32_t needed = loan_may_need(&e->loan, &e->terms, now) ? needs(e) : 0;
    if (!may_ask(k, e)) {
        fail(e);
        return;
    }
    struct lend_ask a = {
        .subject = e->subject,
        .limit = e->limit,
        .increment = e->increment,
        .capacity = e->capacity,
        .most = e->most,
        .deadline_us = redis_clock_us(redis_home(k->redis, e->subject.tag)) + (uint64_t)(deadline * 1e6),
        .lasts_ms = (uint32_t)(e->terms.lasts_s * 1000),
    };
    memcpy(a.agent, k->agent, sizeof a.agent);
    loan_ask(&e->loan, &e->terms, now, ++k->number, needed, k->draining, &a);
    metrics_add(k->metrics, METRIC_LOANS_ASKED);
    if (!ev_is_active(&k->timer))
        ev_timer_again(k->loop, &k->timer);
    buf_reset(&k->command);
    lend_write(&k->command, &a);
    if (k->command.failed || !redis_submit(k->redis, k->command.data, k->command.len, deadline, on_said, e)) {
        loan_failed(&e->loan, &e->terms, now);
        fail(e);
    }
}

static bool wants(const struct loans *k, const struct loans_entry *e, double now)
{
    if (e->wishes && loan_may_need(&e->loan, &e->terms, now))
        return true;
    if (k->draining)
        return !e->loan.asking && !loan_idle(&e->loan);
    return loan_wants(&e->loan, &e->terms, now);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct loans *k = w->data;
    double now = monotonic_now();
    (void)revents;
    ev_prepare_stop(loop, w);
    for (struct loans_entry *e; (e = k->first_due);) {
        k->first_due = e->next_due;
        e->due = false;
        if (wants(k, e, now))
            ask(k, e);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct loans *k = w->data;
    struct loan_clock c = loans_clock(k);
    uint64_t left = 0, busy = 0;
    (void)revents;
    look_for_losses(k);
    for (struct loans_entry *e = k->entries; e < k->entries + size_of(k); e++) {
        if (!is_busy(e))
            continue;
        if (wants(k, e, c.now))
            ask_soon(k, e);
        left += loan_left(&e->loan, &e->terms, at_home(k, &e->subject, c));
        busy++;
    }
    if (busy == 0)
        ev_timer_stop(loop, w);
    metrics_set(k->metrics, METRIC_LOANS_LEFT, left);
    metrics_set(k->metrics, METRIC_LOANS_ENTRIES, busy);
}

bool loans_has(struct loans *k, const struct plan_limit *l, struct loan_clock c)
{
    if (l->pace->lent == 0 || l->cost == 0 || k->draining)
        return false;
    look_for_losses(k);
    const struct loans_entry *e = find(k, l);
    return e && loan_has(&e->loan, &e->terms, l->cost, at_home(k, &e->subject, c));
}

bool loans_take(struct loans *k, const struct plan_limit *l, struct loan_clock c, struct loans_slip *slip)
{
    if (l->pace->lent == 0 || l->cost == 0 || k->draining)
        return false;
    look_for_losses(k);
    struct loans_entry *e = find(k, l);
    if (!e && !(e = place(k, l)))
        return false;
    set_terms(k, e, l);
    *slip = (struct loans_slip){e, 0, l->cost};
    e->wanted_at = c.now;
    bool had = loan_take(&e->loan, &e->terms, l->cost, at_home(k, &e->subject, c), &slip->number);
    if (had)
        k->metrics->value[METRIC_LOANS_TAKEN] += l->cost;
    else
        loan_missed(&e->loan, &e->terms, l->cost, c.now);
    if (loan_wants(&e->loan, &e->terms, c.now))
        ask_soon(k, e);
    return had;
}

void loans_put(struct loans *k, const struct loans_slip *slip)
{
    if (!slip->entry)
        return;
    if (loan_put(&slip->entry->loan, slip->number, slip->tokens))
        k->metrics->value[METRIC_LOANS_PUT_BACK] += slip->tokens;
    settled(k, slip->entry);
}

void loans_spent(struct loans *k, const struct loans_slip *slip)
{
    if (!slip->entry)
        return;
    loan_spent(&slip->entry->loan, slip->number, slip->tokens);
    settled(k, slip->entry);
}

bool loans_wish(struct loans *k, const struct plan_limit *l, uint32_t tokens, struct loans_wish *w)
{
    w->link = NULL;
    if (k->closed)
        return false;
    look_for_losses(k);
    struct loans_entry *e = find(k, l);
    if (!e && !(e = place(k, l)))
        return false;
    set_terms(k, e, l);
    e->wanted_at = monotonic_now();
    w->tokens = tokens;
    w->asked = false;
    append(e, w);
    ask_soon(k, e);
    return true;
}

uint32_t loans_left(const struct loans *k, const struct plan_limit *l, struct loan_clock c)
{
    const struct loans_entry *e = find(k, l);
    return e ? loan_left(&e->loan, &e->terms, at_home(k, &e->subject, c)) : 0;
}

void loans_forget(struct loans *k, const struct record_id *subject)
{
    struct loans_entry *set = set_of(k, subject);
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].used && memcmp(&set[i].subject, subject, sizeof *subject) == 0)
            forget(&set[i]);
}

void loans_drain(struct loans *k)
{
    k->draining = true;
    on_timer(k->loop, &k->timer, 0);
}

bool loans_idle(const struct loans *k)
{
    for (const struct loans_entry *e = k->entries; redis_ready(k->redis) && e < k->entries + size_of(k); e++)
        if (is_busy(e))
            return false;
    return true;
}

static bool same_redis(const struct config *a, const struct config *b)
{
    return strcmp(a->redis.address, b->redis.address) == 0 && a->redis.db == b->redis.db &&
           strcmp(a->redis.sentinel_name, b->redis.sentinel_name) == 0 &&
           (a->redis.sentinels.n > 0) == (b->redis.sentinels.n > 0);
}

static void set_timer(struct loans *k)
{
    bool active = ev_is_active(&k->timer);
    ev_timer_stop(k->loop, &k->timer);
    k->timer.repeat = k->config->loans.time_ms / 1000.0 / TICKS_IN_A_LOAN;
    if (active)
        ev_timer_again(k->loop, &k->timer);
}

void loans_reconfigure(struct loans *k, const struct config *c)
{
    if (!same_redis(k->config, c))
        forget_all(k);
    k->config = c;
    set_timer(k);
}

struct loans *loans_new(struct ev_loop *loop, struct redis *redis, const struct guard *guard,
                        const struct config *c, struct metrics *metrics)
{
    struct loans *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    *k = (struct loans){.loop = loop, .redis = redis, .guard = guard, .metrics = metrics, .config = c};
    k->nsets = c->loans.max_entries / WAYS;
    k->entries = calloc(size_of(k), sizeof *k->entries);
    if (!k->entries || getrandom(k->agent, sizeof k->agent, 0) != sizeof k->agent) {
        free(k->entries);
        free(k);
        return NULL;
    }
    buf_init(&k->command);
    ev_init(&k->timer, on_timer);
    ev_prepare_init(&k->turn_end, on_turn_end);
    k->timer.data = k->turn_end.data = k;
    set_timer(k);
    return k;
}

void loans_close(struct loans *k)
{
    if (!k)
        return;
    k->closed = k->draining = true;
    for (struct loans_entry *e = k->entries; e < k->entries + size_of(k); e++)
        while (e->wishes)
            tell(e->wishes, &(struct loans_said){.word = LOANS_FAILED});
}

void loans_free(struct loans *k)
{
    if (!k)
        return;
    ev_timer_stop(k->loop, &k->timer);
    ev_prepare_stop(k->loop, &k->turn_end);
    buf_free(&k->command);
    free(k->entries);
    free(k);
}
