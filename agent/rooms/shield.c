// SPDX-License-Identifier: MIT
/* Entries lie in sets of a few: a limit's subject chooses the set, and a new one takes the place of the entry that is
 * over first. No list, no timer, no allocation after the start.
 *
 *   entries: [ set 0: e e e e e e e e ][ set 1: .. ]
 */
#include "rooms/shield.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

static const double US_PER_S = 1e6, TICKS_PER_US = 10;
/* More than a slow reply makes Redis' clock look late. */
static const double STEP_US = 1e5;
/* Seconds: what other agents give back of a limit that is lent can be had at once, so its refusals hold for so long. */
static const double BELIEVED_LENT = 0.1;

/* One limit of one subject, as a reply has shown it. */
struct entry {
    struct record_id subject;
    uint8_t cell; /* which limit of this subject */
    bool used;
    uint32_t cost;
    double capacity;
    double sent, decided; /* seconds: of the claim; at the latest */
    double redis_us;      /* the reply's time */
    double level, back, wait_us;
    double believed; /* seconds: until when it may be said */
    double over;     /* seconds: nothing is left of it then */
};

struct shield {
    struct metrics *metrics;
    struct entry *entries; /* nsets * ways; NULL: off */
    size_t nsets, ways, live;
    uint64_t epoch;
    double ahead_us; /* Redis' clock, compared to ours */
};

/* Time that has passed at Redis since a reply was made, µs. */
struct elapsed {
    double most, least;
};

static void set_live(struct shield *s, size_t live)
{
    s->live = live;
    metrics_set(s->metrics, METRIC_SHIELD_ENTRIES, live);
}

static void forget_all(struct shield *s)
{
    if (s->live > 0)
        memset(s->entries, 0, s->nsets * s->ways * sizeof *s->entries);
    set_live(s, 0);
}

bool shield_reconfigure(struct shield *s, const struct config *c)
{
    size_t most = c->shield.max_entries, ways = most < WAYS ? most : WAYS;
    forget_all(s);
    if (most > 0 && s->ways == ways && s->nsets == most / ways)
        return true;
    free(s->entries);
    s->entries = NULL;
    s->nsets = s->ways = 0;
    if (most == 0)
        return true;
    s->entries = calloc(most, sizeof *s->entries);
    if (!s->entries)
        return false;
    s->ways = ways;
    s->nsets = most / ways;
    return true;
}

struct shield *shield_new(const struct config *c, struct metrics *metrics)
{
    struct shield *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->metrics = metrics;
    if (!shield_reconfigure(s, c)) {
        free(s);
        return NULL;
    }
    return s;
}

void shield_free(struct shield *s)
{
    if (!s)
        return;
    free(s->entries);
    free(s);
}

void shield_enter(struct shield *s, uint64_t epoch, double at, uint64_t redis_us)
{
    double ahead_us = (double)redis_us - at * US_PER_S;
    if (s->epoch != epoch || ahead_us < s->ahead_us - STEP_US)
        forget_all(s);
    s->epoch = epoch;
    s->ahead_us = ahead_us;
}

static struct entry *set_of(const struct shield *s, const struct record_id *subject)
{
    uint32_t h;
    memcpy(&h, subject->digest, sizeof h);
    return &s->entries[h % s->nsets * s->ways];
}

static bool is_of(const struct entry *e, const struct record_id *subject, unsigned cell)
{
    return e->used && e->cell == cell && memcmp(&e->subject, subject, sizeof *subject) == 0;
}

void shield_forget(struct shield *s, const struct record_id *subject)
{
    struct entry *set = s->live > 0 ? set_of(s, subject) : NULL;
    for (size_t i = 0; set && i < s->ways; i++) {
        if (!set[i].used || memcmp(&set[i].subject, subject, sizeof *subject) != 0)
            continue;
        set[i].used = false;
        set_live(s, s->live - 1);
    }
}

static struct entry *find(const struct shield *s, const struct record_id *subject, unsigned cell)
{
    struct entry *set = set_of(s, subject);
    for (size_t i = 0; i < s->ways; i++)
        if (is_of(&set[i], subject, cell))
            return &set[i];
    return NULL;
}

/* The same one, else a free one, else the one that is over first. */
static struct entry *place(struct shield *s, const struct record_id *subject, unsigned cell, double now)
{
    struct entry *set = set_of(s, subject), *best = set;
    for (size_t i = 0; i < s->ways; i++) {
        if (is_of(&set[i], subject, cell))
            return &set[i];
        if (best->used && (!set[i].used || set[i].over < best->over))
            best = &set[i];
    }
    if (!best->used)
        set_live(s, s->live + 1);
    else if (best->over > now)
        metrics_add(s->metrics, METRIC_SHIELD_EVICTED);
    return best;
}

/* Limits of one subject follow each other in a plan: which of them is the i-th? */
static unsigned cell_of(const struct plan *p, unsigned i)
{
    unsigned cell = 0;
    while (cell < i &&
           memcmp(&p->limits[i - cell - 1].subject, &p->limits[i].subject, sizeof p->limits[i].subject) == 0)
        cell++;
    return cell;
}

/* By when Redis had decided: as the reply was read, or sooner if the one before says so, which may have been read at once.
 * Else a wait would be told longer than before, where a reply is read late. */
static double decided_by(const struct entry *before, double redis_us, double sent, double read)
{
    double by = before->decided + (redis_us - before->redis_us) / US_PER_S;
    return by >= sent && by < read ? by : read;
}

/* May another agent give back of it what it has not spent? */
static bool is_lent(const struct plan_limit *l)
{
    return l->pace->lent > 0 || l->limit->decided != DECIDED_GATE;
}

/* Of the plan's i-th limit. */
static void remember(struct entry *e, const struct plan *p, unsigned i, const struct outcome *o, double sent,
                     double read)
{
    const struct plan_limit *l = &p->limits[i];
    unsigned cell = cell_of(p, i);
    double redis_us = (double)o->now_us;
    *e = (struct entry){
        .subject = l->subject,
        .cell = (uint8_t)cell,
        .used = true,
        .cost = l->cost,
        .capacity = l->pace->capacity,
        .sent = sent,
        .decided = is_of(e, &l->subject, cell) ? decided_by(e, redis_us, sent, read) : read,
        .redis_us = redis_us,
        .level = o->level[i],
        .back = o->back[i],
        .wait_us = o->wait_us[i],
        .believed = o->wait_us[i] > 0 && is_lent(l) ? read + BELIEVED_LENT : INFINITY,
        .over = sent + o->back[i] / TICKS_PER_US / US_PER_S,
    };
}

void shield_learn(struct shield *s, const struct plan *p, const struct outcome *o, double sent, double read)
{
    if (!s->entries || p->nslots > 0)
        return;
    for (unsigned i = 0; i < p->nlimits; i++)
        remember(place(s, &p->limits[i].subject, cell_of(p, i), sent), p, i, o, sent, read);
}

void shield_refresh(struct shield *s, const struct plan *p, const struct outcome *o, double sent, double read)
{
    for (unsigned i = 0; o->has_levels && i < p->nlimits && s->live > 0; i++) {
        struct entry *e = find(s, &p->limits[i].subject, cell_of(p, i));
        if (!e)
            continue;
        remember(e, p, i, o, sent, read);
        e->used = p->limits[i].limit->algorithm != ALGORITHM_WINDOW;
        set_live(s, s->live - !e->used);
    }
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Redis' clock is known as of the last reply that was read, and that may have been read later than this one. */
static struct elapsed elapsed_since(const struct entry *e, double at, uint64_t redis_us)
{
    double theirs = (double)redis_us - e->redis_us;
    return (struct elapsed){
        .most = larger((at - e->sent) * US_PER_S, theirs),
        .least = larger((at - e->decided) * US_PER_S, theirs),
    };
}

static double level_after(double level, double us)
{
    double left = level - us * TICKS_PER_US;
    return left > 0 ? left : 0;
}

/* The i-th limit of the outcome. Refuses only if it would after the most time that may have passed; what is shown counts
 * with the least, so that who waits for so long passes. */
static void show_bucket(const struct entry *e, const struct plan_limit *l, struct elapsed t,
                        struct outcome *o, unsigned i)
{
    double asked = l->cost * l->pace->increment - l->pace->capacity;
    o->level[i] = o->back[i] = level_after(e->level, t.least);
    if (l->cost > 0 && level_after(e->level, t.most) + asked > 0)
        o->wait_us[i] = ceil((o->level[i] + asked) / TICKS_PER_US);
}

/* False: what was learned does not say what it would do. A full window stays full until the wait is over; of one
 * that had room, or that did not count, it is not known what has left it. */
static bool show_window(const struct entry *e, const struct plan_limit *l, struct elapsed t,
                        struct outcome *o, unsigned i)
{
    bool room = e->level + l->cost <= l->pace->capacity;
    bool full = e->wait_us > 0 && e->level >= e->capacity && l->cost == e->cost &&
                !(l->pace->capacity < e->capacity) && !(l->pace->capacity > e->capacity);
    double rounded_up = 1;
    if (!room && l->cost > 0 && !(full && e->wait_us - rounded_up - t.most > 0))
        return false;
    o->level[i] = e->level;
    o->back[i] = level_after(e->back, t.least);
    o->wait_us[i] = !room && l->cost > 0 ? e->wait_us - t.least : 0;
    return true;
}

/* A limit on what is forwarded says nothing about a request that is not. */
static bool counts(const struct plan *p, const struct limit *l)
{
    return !p->count_only || l->charge == CHARGE_ALL;
}

/* Of a key it is not known here what the record says: a limit that counts all refuses whatever that is, but which
 * others would do so as well, that depends on it. */
static bool decisive(const struct plan *p, const struct outcome *o)
{
    bool refused = false;
    for (unsigned i = 0; i < p->nlimits; i++) {
        const struct limit *l = p->limits[i].limit;
        if (o->wait_us[i] <= 0)
            continue;
        if (p->has_record && l->charge != CHARGE_ALL)
            return false;
        refused = refused || !l->shadow;
    }
    return refused;
}

bool shield_refuses(struct shield *s, const struct plan *p, double at, uint64_t redis_us, struct outcome *o)
{
    if (s->live == 0 || p->nslots > 0 || p->nlimits == 0)
        return false;
    *o = (struct outcome){.kind = OUTCOME_LIMITED, .now_us = redis_us, .has_levels = true};
    for (unsigned i = 0; i < p->nlimits; i++) {
        const struct plan_limit *l = &p->limits[i];
        const struct entry *e = find(s, &l->subject, cell_of(p, i));
        if (!e || at >= e->believed)
            return false;
        struct elapsed t = elapsed_since(e, at, redis_us);
        if (l->limit->algorithm != ALGORITHM_WINDOW)
            show_bucket(e, l, t, o, i);
        else if (!show_window(e, l, t, o, i))
            return false;
        if (!counts(p, l->limit))
            o->wait_us[i] = 0;
    }
    return decisive(p, o);
}
