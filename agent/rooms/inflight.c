// SPDX-License-Identifier: MIT
/* The poll, and what its listings lead to.
 *
 *   timer, notice, news, Redis is back ──► on_poll ──► sites ──► on_listed ──┬─ running ──► heartbeat
 *                                                                            └─ ended ────► endings
 */
#include "rooms/inflight.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "rooms/endings.h"
#include "rooms/heartbeat.h"
#include "rooms/lookup.h"
#include "rooms/monotonic.h"
#include "rooms/site.h"
#include "rooms/waits.h"

/* A poll that a notice asks for comes no sooner than this after the last one, nor sooner than that one's
 * answers took, four times over: a storm of notices must not keep HAProxy busy with listings. */
#define POLL_GAP 0.010
/* A worker that a reload replaces keeps an ended entry for a second at most, and often for much less
 * (HAProxy's manage_proxy() sweeps them out once a second): it is looked at this often. */
#define HURRY_EVERY 0.025
/* Longer than this nobody is refused because what runs has not been extended yet: a HAProxy that hangs must
 * not stop the others' requests. */
#define CATCH_UP_LONGEST 1.0
enum { GAP_FACTOR = 4, CLEARS_MOST = 1000, SERVER_ERRORS = 500 };

struct inflight {
    struct ev_loop *loop;
    struct redis *redis;
    struct config *config;
    struct metrics *metrics;
    struct worker_settings settings;
    struct teller *teller;
    struct heartbeat *heartbeat;
    struct endings *endings;
    struct waits *waits;
    struct lookups *lookups;
    inflight_fetched_fn *fetched; /* NULL: nobody wants to know */
    void *fetched_arg;
    unsigned nsites;
    struct site *sites[CONFIG_HAPROXY_MAX];
    ev_timer timer, hurry;
    double polled_at, took; /* last poll */
    double
        behind_since; /* Redis (of a cluster: a primary) came back, and what runs has not been extended since; 0: it has */
    unsigned listings; /* of what runs, asked for and not yet answered */
    bool whole;        /* every worker could be asked, so no older listing is among those */
    bool look;         /* a notice came: also look at what another agent polls */
    struct log_gate strange_gate;
    unsigned running; /* listed so far in the last poll that asked */
    struct view view; /* what an operator is told */
};

/* The next poll is as soon as it may be. */
static void poll_soon(struct inflight *i)
{
    double gap = i->took * GAP_FACTOR > POLL_GAP ? i->took * GAP_FACTOR : POLL_GAP;
    double wait = i->polled_at + gap - monotonic_now();
    wait = wait > 0 ? wait : 0;
    if (wait >= ev_timer_remaining(i->loop, &i->timer))
        return;
    ev_timer_stop(i->loop, &i->timer);
    ev_timer_set(&i->timer, wait, i->settings.poll);
    ev_timer_start(i->loop, &i->timer);
}

static void set_gauges(struct inflight *i)
{
    unsigned workers = 0, elected = 0;
    for (unsigned n = 0; n < i->nsites; n++) {
        workers += site_workers(i->sites[n]);
        elected += site_elected(i->sites[n]);
    }
    metrics_set(i->metrics, METRIC_WORKERS, workers);
    metrics_set(i->metrics, METRIC_POLLER, elected);
    if (elected == 0) /* another agent counts them */
        metrics_set(i->metrics, METRIC_INFLIGHT, 0);
}

/* False: no worker is stopping. */
static bool hurry(struct inflight *i)
{
    bool any = false;
    for (unsigned n = 0; n < i->nsites; n++)
        any |= site_hurry(i->sites[n]);
    return any;
}

static void on_hurry(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)revents;
    if (!hurry(t->data))
        ev_timer_stop(loop, t);
}

static void on_poll(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct inflight *i = t->data;
    bool confirmed = teller_confirmed(i->teller, i->settings.poll);
    bool more = false, look = i->look;
    i->polled_at = monotonic_now();
    i->look = false;
    for (unsigned n = 0; n < i->nsites; n++)
        more |= site_begin(i->sites[n], confirmed);
    if (more)
        heartbeat_again(i->heartbeat);
    bool running = redis_ready(i->redis) && heartbeat_begin(i->heartbeat, i->polled_at);
    set_gauges(i);
    i->running = running ? 0 : i->running;
    i->listings = running ? 0 : i->listings;
    i->whole = running || i->whole;
    for (unsigned n = 0; n < i->nsites; n++)
        if (!site_poll(i->sites[n], running, look, &i->listings) && running) {
            heartbeat_again(i->heartbeat);
            i->whole = false;
        }
    if (running && i->whole && i->listings == 0)
        i->behind_since = 0;
    endings_sweep(i->endings, i->polled_at);
    if (hurry(i) && !ev_is_active(&i->hurry))
        ev_timer_again(i->loop, &i->hurry);
}

static void on_news(void *arg)
{
    poll_soon(arg);
}

/* Does this entry say that an execution of ours has ended? */
static bool is_ending(struct inflight *i, const struct listing_entry *e, enum worker_list list,
                      struct token *t)
{
    bool answered = e->gpt0 > 0 && e->gpt0 < LISTING_SETTLED;
    if (!listing_ended(e) || (!answered && (e->gpt0 != 0 || list == WORKER_UNSETTLED)))
        return false;
    if (token_read(e->key.ptr, e->key.len, t) == 0)
        return true;
    if (log_gate_open(&i->strange_gate, 1, monotonic_now()))
        LOG(LOG_WARNING, "token-not-ours", log_int("bytes", (long long)e->key.len),
            log_text("why", "an entry of HAProxy's table is no token that this version knows: left alone"),
            log_int("left_out", i->strange_gate.left_out));
    return false;
}

/* A fetch for the cache that ended without an answer, or with one that no agent has taken; said once. */
static bool end_fetch(struct inflight *i, const struct listing_entry *e, const struct cachefetch *f)
{
    bool failed = e->gpt0 == 0 || e->gpt0 >= SERVER_ERRORS;
    return i->fetched && listing_ended(e) && i->fetched(i->fetched_arg, f, failed ? 'e' : 0);
}

/* Entries of once_unsettled leave it once Redis has confirmed their word, those of fetches leave once_inflight once it is said; so
 * many at a time that the answers do not keep the next listing waiting. */
static void walk_ended(struct inflight *i, struct worker *w, bool mine, enum worker_list list,
                       struct listing *l)
{
    struct listing_entry e;
    struct token t;
    struct cachefetch f;
    unsigned clears = 0;
    while (listing_next(l, &e)) {
        if (list == WORKER_ENDED && cachefetch_read(e.key, &f) == 0) {
            if (mine && clears < CLEARS_MOST && end_fetch(i, &e, &f)) {
                worker_clear(w, list, e.key);
                clears++;
            }
            continue;
        }
        if (!is_ending(i, &e, list, &t))
            continue;
        bool confirmed = endings_seen(i->endings, &t, (unsigned)e.gpt0, mine, monotonic_now());
        if (confirmed && list == WORKER_UNSETTLED && clears++ < CLEARS_MOST)
            worker_clear(w, list, e.key);
    }
}

/* The extends are on the connection when the last listing has been walked: ahead of every claim from then on.
 */
static void walk_running(struct inflight *i, struct listing *l)
{
    i->running += heartbeat_running(i->heartbeat, l);
    metrics_set(i->metrics, METRIC_INFLIGHT, i->running);
    if (i->listings > 0 && --i->listings == 0 && i->whole)
        i->behind_since = 0;
}

static void on_listed(void *arg, struct worker *w, bool mine, enum worker_list list, struct listing *l)
{
    struct inflight *i = arg;
    i->took = worker_took(w);
    if (!l && list == WORKER_RUNNING)
        heartbeat_again(i->heartbeat);
    if (!l)
        return;
    view_listed(&i->view, worker_process(w), list, *l, monotonic_now());
    if (list != WORKER_RUNNING)
        walk_ended(i, w, mine, list, l);
    else
        walk_running(i, l);
    if (list == WORKER_ENDED)
        waits_check(i->waits);
}

static const struct site_events site_events = {.news = on_news, .listed = on_listed};

bool inflight_knows(const struct inflight *i, const char *process)
{
    struct process p;
    if (process_read(process, strlen(process), &p) != 0)
        return false;
    for (unsigned n = 0; n < i->nsites; n++)
        if (site_knows(i->sites[n], &p))
            return true;
    return false;
}

static bool is_known(void *arg, const char *process)
{
    return inflight_knows(arg, process);
}

static void seek(void *arg)
{
    struct inflight *i = arg;
    for (unsigned n = 0; n < i->nsites; n++)
        site_connect(i->sites[n]);
}

static const struct waits_events waits_events = {.known = is_known, .seek = seek};

static bool ask_entry(void *arg, const struct process *p, const char *token, worker_look_fn *fn, void *fnarg)
{
    struct inflight *i = arg;
    for (unsigned n = 0; n < i->nsites; n++)
        if (site_look(i->sites[n], p, token, fn, fnarg))
            return true;
    return false;
}

static bool wanted(void *arg, const struct token *t, unsigned gpt0)
{
    struct inflight *i = arg;
    return endings_wanted(i->endings, t, gpt0, monotonic_now());
}

static const struct lookups_events lookups_events = {.ask = ask_entry, .ended = wanted};

/* Sites of the new configuration: those that it has already stay as they are. */
static void set_sites(struct inflight *i)
{
    const struct config *c = i->config;
    struct site *old[CONFIG_HAPROXY_MAX];
    unsigned nold = i->nsites;
    memcpy(old, i->sites, sizeof old);
    i->nsites = 0;
    for (unsigned n = 0; n < c->nhaproxy; n++) {
        struct site *s = NULL;
        for (unsigned k = 0; k < nold && !s; k++) {
            if (old[k] && strcmp(site_path(old[k]), c->haproxy[n].socket) == 0) {
                s = old[k];
                old[k] = NULL;
            }
        }
        if (!s)
            s = site_new(i->loop, c->haproxy[n].socket, &i->settings, &site_events, i, i->metrics);
        if (s)
            i->sites[i->nsites++] = s;
    }
    for (unsigned k = 0; k < nold; k++)
        site_free(old[k]);
}

static void configure(struct inflight *i, struct config *config)
{
    i->config = config_hold(config);
    i->settings.poll = config->inflight.poll_ms / 1000.0;
    i->settings.max_entries = config->inflight.max_entries;
    heartbeat_configure(i->heartbeat, config);
    i->settings.running_age = heartbeat_shortest(i->heartbeat);
    if (i->settings.running_age < i->settings.poll)
        i->settings.running_age = i->settings.poll;
    endings_configure(i->endings, config);
    lookups_configure(i->lookups, config->inflight.lookups);
    set_sites(i);
    ev_timer_stop(i->loop, &i->timer);
    ev_timer_set(&i->timer, 0., i->settings.poll);
    ev_timer_start(i->loop, &i->timer);
}

struct inflight *inflight_new(struct ev_loop *loop, struct redis *redis, struct completion *completion,
                              struct config *config, struct metrics *metrics)
{
    struct inflight *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    i->loop = loop;
    i->redis = redis;
    i->metrics = metrics;
    ev_timer_init(&i->timer, on_poll, 0., 0.);
    i->timer.data = i;
    ev_timer_init(&i->hurry, on_hurry, HURRY_EVERY, HURRY_EVERY);
    i->hurry.data = i;
    i->teller = teller_new(loop, redis);
    i->heartbeat = heartbeat_new(i->teller, metrics);
    i->endings = endings_new(i->teller, completion, metrics);
    i->waits = waits_new(loop, &waits_events, i);
    i->lookups = lookups_new(loop, &lookups_events, i, metrics);
    if (!i->teller || !i->heartbeat || !i->endings || !i->waits || !i->lookups) {
        inflight_free(i);
        return NULL;
    }
    configure(i, config);
    return i;
}

void inflight_free(struct inflight *i)
{
    if (!i)
        return;
    ev_timer_stop(i->loop, &i->timer);
    ev_timer_stop(i->loop, &i->hurry);
    waits_free(i->waits);
    lookups_close(i->lookups);
    for (unsigned n = 0; n < i->nsites; n++)
        site_free(i->sites[n]);
    lookups_free(i->lookups);
    teller_free(i->teller);
    endings_free(i->endings);
    heartbeat_free(i->heartbeat);
    if (i->config)
        config_drop(i->config);
    free(i);
}

void inflight_set_acks(struct inflight *i, struct acks *acks)
{
    teller_set_acks(i->teller, acks);
}

void inflight_set_fetched(struct inflight *i, inflight_fetched_fn *fn, void *arg)
{
    i->fetched = fn;
    i->fetched_arg = arg;
}

void inflight_reconfigure(struct inflight *i, struct config *config)
{
    struct config *old = i->config;
    configure(i, config);
    config_drop(old);
}

struct inflight_wait *inflight_find(struct inflight *i, const char *process, inflight_known_fn *fn, void *arg)
{
    return waits_add(i->waits, process, fn, arg);
}

bool inflight_look(struct inflight *i, const struct token *t, struct spop_slice process,
                   inflight_looked_fn *fn, void *arg)
{
    struct process p;
    return process_read(process.ptr, process.len, &p) == 0 && lookups_add(i->lookups, t, &p, fn, arg);
}

static bool is_reached(const struct inflight *i, const struct process *p)
{
    for (unsigned n = 0; n < i->nsites; n++)
        if (site_reaches(i->sites[n], p))
            return true;
    return false;
}

unsigned inflight_seen(const struct inflight *i, inflight_seen_fn *fn, void *arg)
{
    for (unsigned n = 0; n < i->view.n; n++)
        if (is_reached(i, &i->view.entry[n].process))
            fn(arg, &i->view.entry[n]);
    return i->view.left_out;
}

/* A notice of a process that no site reaches counts by itself. */
static bool is_gone(const struct inflight *i, struct spop_slice process)
{
    struct process p;
    return process_read(process.ptr, process.len, &p) == 0 && !is_reached(i, &p);
}

void inflight_notice(struct inflight *i, const struct notice *n)
{
    endings_notice(i->endings, n, is_gone(i, n->process), monotonic_now());
    i->look = true;
    poll_soon(i);
}

bool inflight_caught_up(const struct inflight *i, const struct redis *link)
{
    return i->behind_since == 0 || redis_ready_since(link) < i->behind_since ||
           monotonic_now() - redis_ready_since(link) > CATCH_UP_LONGEST;
}

void inflight_redis_ready(struct inflight *i, const struct redis *link)
{
    if (i->behind_since == 0)
        i->behind_since = redis_ready_since(link);
    i->whole = false; /* extends of a listing that is being walked may have come before it */
    heartbeat_again(i->heartbeat);
    poll_soon(i);
}
