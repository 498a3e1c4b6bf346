// SPDX-License-Identifier: MIT
/* The choice. It is made from the loop, in a timer of its own, so that nobody is called back inside a call.
 *
 *   eligible    epoch >= the highest that is known (of an answer, or of the primary that was trusted last),
 *               or more than half of all Sentinels name this address
 *   doubted     this answer was tried and was no primary; forgotten when it changes, or when all are doubted
 *   choice      of what is eligible and not doubted the highest epoch; the present one if it is as good
 *
 * The first choice waits until more than half have answered, at most half a second. */
#include "adapters/sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "adapters/sentinel_watch.h"

#define FIRST_WAIT 0.5

struct sentinel {
    struct ev_loop *loop;
    sentinel_primary_fn *fn;
    void *arg;
    struct metrics *metrics;
    struct sentinel_site site;
    unsigned n;
    struct seat {
        struct sentinel_watch *watch;
        struct sentinel_answer seen; /* what the doubt belongs to */
        bool doubted;
    } seats[CONFIG_LISTEN_MAX];
    ev_timer judge;
    ev_tstamp began;
    config_text address; /* the choice; empty: none yet */
    uint64_t epoch;      /* of the last one that was trusted */
};

static const struct sentinel_answer *answer_of(const struct seat *seat)
{
    return sentinel_watch_answer(seat->watch);
}

static bool is_named(const struct seat *seat)
{
    return *answer_of(seat)->address != '\0';
}

static unsigned voices(const struct sentinel *s, const char *address)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++)
        n += strcmp(answer_of(&s->seats[i])->address, address) == 0;
    return n;
}

static uint64_t newest_epoch(const struct sentinel *s)
{
    uint64_t newest = s->epoch;
    for (unsigned i = 0; i < s->n; i++)
        if (is_named(&s->seats[i]) && answer_of(&s->seats[i])->epoch > newest)
            newest = answer_of(&s->seats[i])->epoch;
    return newest;
}

static bool is_eligible(const struct sentinel *s, const struct seat *seat)
{
    const struct sentinel_answer *a = answer_of(seat);
    return is_named(seat) && (a->epoch >= newest_epoch(s) || voices(s, a->address) * 2 > s->n);
}

static const struct sentinel_answer *best_of(const struct sentinel *s)
{
    const struct sentinel_answer *best = NULL;
    for (unsigned i = 0; i < s->n; i++) {
        const struct sentinel_answer *a = answer_of(&s->seats[i]);
        if (!is_eligible(s, &s->seats[i]) || s->seats[i].doubted)
            continue;
        bool present = strcmp(a->address, s->address) == 0;
        if (!best || a->epoch > best->epoch || (a->epoch == best->epoch && present))
            best = a;
    }
    return best;
}

/* All of them were tried: from the beginning, what failed just now at last. */
static const struct sentinel_answer *choose(struct sentinel *s)
{
    const struct sentinel_answer *best = best_of(s);
    for (unsigned i = 0; !best && i < s->n; i++)
        s->seats[i].doubted &= strcmp(answer_of(&s->seats[i])->address, s->address) == 0;
    best = best ? best : best_of(s);
    for (unsigned i = 0; !best && i < s->n; i++)
        s->seats[i].doubted = false;
    return best ? best : best_of(s);
}

static void look_at_seats(struct sentinel *s)
{
    unsigned up = 0;
    for (unsigned i = 0; i < s->n; i++) {
        struct seat *seat = &s->seats[i];
        const struct sentinel_answer *a = answer_of(seat);
        up += sentinel_watch_up(seat->watch);
        if (is_named(seat) && (a->epoch != seat->seen.epoch || strcmp(a->address, seat->seen.address) != 0)) {
            seat->seen = *a;
            seat->doubted = false;
        }
    }
    metrics_set(s->metrics, METRIC_SENTINELS_UP, up);
}

static void judge_at(struct sentinel *s, double after)
{
    ev_timer_stop(s->loop, &s->judge);
    ev_timer_set(&s->judge, after, 0.);
    ev_timer_start(s->loop, &s->judge);
}

static bool is_early(const struct sentinel *s)
{
    unsigned named = 0;
    for (unsigned i = 0; i < s->n; i++)
        named += is_named(&s->seats[i]);
    return !*s->address && named * 2 <= s->n && ev_time() - s->began < FIRST_WAIT;
}

static void on_judge(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct sentinel *s = t->data;
    (void)loop;
    (void)revents;
    look_at_seats(s);
    if (is_early(s)) {
        judge_at(s, FIRST_WAIT / 10);
        return;
    }
    const struct sentinel_answer *best = choose(s);
    if (!best || strcmp(best->address, s->address) == 0)
        return;
    if (*s->address)
        metrics_add(s->metrics, METRIC_SENTINEL_SWITCHES);
    LOG(LOG_NOTICE, "redis-primary", log_text("name", s->site.name), log_text("address", best->address),
        log_text("before", *s->address ? s->address : "none"), log_int("epoch", (long long)best->epoch),
        log_int("voices", voices(s, best->address)));
    memcpy(s->address, best->address, sizeof s->address);
    s->fn(s->arg, s->address);
}

static void on_heard(void *arg)
{
    struct sentinel *s = arg;
    judge_at(s, 0.);
}

struct sentinel *sentinel_new(struct ev_loop *loop, const struct redis_settings *redis,
                              sentinel_primary_fn *fn, void *arg, struct metrics *metrics)
{
    struct sentinel *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct sentinel){.loop = loop, .fn = fn, .arg = arg, .metrics = metrics, .began = ev_time()};
    memcpy(s->site.name, redis->sentinel_name, sizeof s->site.name);
    memcpy(s->site.username, redis->sentinel_username, sizeof s->site.username);
    memcpy(s->site.password, redis->sentinel_password, sizeof s->site.password);
    s->site.hurry = true;
    ev_timer_init(&s->judge, on_judge, 0., 0.);
    s->judge.data = s;
    for (; s->n < redis->sentinels.n; s->n++) {
        s->seats[s->n].watch = sentinel_watch_new(loop, redis->sentinels.item[s->n], &s->site, on_heard, s);
        if (!s->seats[s->n].watch) {
            sentinel_free(s);
            return NULL;
        }
    }
    return s;
}

void sentinel_free(struct sentinel *s)
{
    if (!s)
        return;
    ev_timer_stop(s->loop, &s->judge);
    for (unsigned i = 0; i < s->n; i++)
        sentinel_watch_free(s->seats[i].watch);
    metrics_set(s->metrics, METRIC_SENTINELS_UP, 0);
    free(s);
}

void sentinel_doubt(struct sentinel *s, const char *address)
{
    s->site.hurry = true;
    look_at_seats(s);
    for (unsigned i = 0; i < s->n; i++) {
        s->seats[i].doubted |= strcmp(answer_of(&s->seats[i])->address, address) == 0;
        sentinel_watch_ask(s->seats[i].watch);
    }
    judge_at(s, 0.);
}

void sentinel_trust(struct sentinel *s)
{
    uint64_t epoch = 0;
    s->site.hurry = false;
    for (unsigned i = 0; i < s->n; i++) {
        const struct sentinel_answer *a = answer_of(&s->seats[i]);
        if (strcmp(a->address, s->address) == 0 && a->epoch > epoch)
            epoch = a->epoch;
    }
    s->epoch = epoch ? epoch : s->epoch;
}
