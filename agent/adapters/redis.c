// SPDX-License-Identifier: MIT
/* The link: one connection after another, and one timer that means something else in each state.
 *
 *            ┌──────────────── refused, lost, silent ────────────────┐
 *            ▼                                                        │
 *   down ──pause──► greeting (connect, then redis_greet.c) ──► ready ─┘
 *            ▲          │ timer: took too long                   timer: TIME every 250 ms; silent for 2 s?
 *            └──────────┘
 *
 * Freeing the hiredis context inside the connect callback is a use after free in 0.14: that callback only
 * sends. After a failed connect hiredis frees the context itself and does not call the disconnect callback.
 * hiredis looks names up by getaddrinfo(), which blocks: it only gets numbers (adapters/resolve). */
#include "adapters/redis_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "adapters/log.h"
#include "adapters/slots.h"
#include "domain/text.h"

#define GREETING_LIMIT 2.0
#define TICK           0.25
#define PAUSE_FIRST    0.05

enum { SILENCE_US = 2000000, PAUSE_DOUBLINGS = 16 };

void redis_enter(struct redis *r)
{
    r->depth++;
}

void redis_leave(struct redis *r)
{
    if (--r->depth > 0 || !r->gone)
        return;
    redis_calls_clear(r);
    buf_free(&r->out);
    free(r);
}

static void set_timer(struct redis *r, double after, double repeat)
{
    ev_timer_stop(r->loop, &r->timer);
    ev_timer_set(&r->timer, after, repeat);
    ev_timer_start(r->loop, &r->timer);
}

/* Grows with each failure; the lower bits of the clock are the jitter that keeps agents apart. */
static double pause_length(struct redis *r)
{
    double longest = r->reconnect_ms / 1000.0, pause = PAUSE_FIRST;
    for (unsigned i = 0; i < r->failures && i < PAUSE_DOUBLINGS; i++)
        pause *= 2;
    if (pause > longest)
        pause = longest;
    return pause * (0.5 + (double)(redis_now_us() % 1024) / 2048);
}

/* Once for each reason: an outage of an hour is not 7,200 lines. */
static void log_failure(struct redis *r, const char *step, const char *why)
{
    char said[sizeof r->said];
    redis_primary_doubt(r);
    if (r->slots && !r->gone)
        slots_doubt(r->slots);
    snprintf(said, sizeof said, "redis: %s: %s", step, why);
    if (strcmp(said, r->said) == 0)
        return;
    memcpy(r->said, said, sizeof said);
    LOG(LOG_WARNING, "redis-down", log_text("address", r->address), log_text("step", step),
        log_text("why", why));
}

/* There is no connection any more. */
static void link_down(struct redis *r)
{
    bool was_ready = r->link == LINK_READY;
    r->link = LINK_DOWN;
    r->broken = NULL;
    ev_timer_stop(r->loop, &r->timer);
    redis_clock_stop(r);
    if (!r->slots)
        metrics_set(r->metrics, METRIC_REDIS_UP, 0);
    redis_enter(r);
    redis_calls_lose(r);
    if (was_ready && !r->gone && r->events.lost)
        r->events.lost(r->arg);
    if (!r->gone && r->link == LINK_DOWN) {
        set_timer(r, pause_length(r), 0.);
        r->failures++;
    }
    redis_leave(r);
}

static void close_context(struct redis *r)
{
    redisAsyncContext *ac = r->ac;
    r->ac = NULL;
    resolve_free(r->lookup);
    r->lookup = NULL;
    if (!ac)
        return;
    ac->data = NULL; /* its callbacks say nothing any more */
    redisAsyncFree(ac);
}

void redis_link_drop(struct redis *r, const char *step, const char *why)
{
    log_failure(r, step, why);
    close_context(r);
    link_down(r);
}

void redis_link_leave(struct redis *r, const char *why)
{
    redis_enter(r);
    r->failures = 0;
    if (r->link != LINK_DOWN) {
        LOG(LOG_NOTICE, "redis-left", log_text("why", why));
        close_context(r);
        link_down(r);
    }
    if (!r->gone && r->link == LINK_DOWN)
        set_timer(r, 0., 0.);
    redis_leave(r);
}

void redis_link_ready(struct redis *r)
{
    r->link = LINK_READY;
    r->failures = 0;
    r->said[0] = '\0';
    r->ready_since = redis_now_us();
    if (!r->slots)
        metrics_set(r->metrics, METRIC_REDIS_UP, 1);
    if (r->sentinel)
        sentinel_trust(r->sentinel);
    LOG(LOG_NOTICE, "redis-ready", log_text("address", r->address));
    set_timer(r, TICK, TICK);
    redis_enter(r);
    r->events.ready(r->arg, r);
    if (!r->gone && r->link == LINK_READY)
        redis_calls_healed(r, true); /* those that were sent here before it was */
    redis_leave(r);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct redis *r = ac->data;
    if (!r)
        return;
    if (status == REDIS_OK) {
        metrics_add(r->metrics, METRIC_REDIS_CONNECTS);
        redis_clock_start(r);
        redis_greet(r);
        return;
    }
    r->ac = NULL;
    log_failure(r, "connect", ac->errstr);
    link_down(r);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct redis *r = ac->data;
    if (!r)
        return;
    r->ac = NULL;
    log_failure(r, "connection", status == REDIS_OK ? "closed" : ac->errstr);
    link_down(r);
}

/* "unix@/path", "host:port", "[v6]:port": checked when the configuration was read. */
static redisAsyncContext *open_context(const char *address)
{
    static const char local[] = "unix@";
    char host[CONFIG_TEXT_MAX + 1];
    if (strncmp(address, local, sizeof local - 1) == 0)
        return redisAsyncConnectUnix(address + sizeof local - 1);
    const char *colon = strrchr(address, ':');
    bool six = *address == '[';
    if (!colon || colon - address < (six ? 2 : 0))
        return NULL;
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - (six ? 2 : 0), address + (six ? 1 : 0));
    return redisAsyncConnect(host, atoi(colon + 1));
}

/* address: r->address, or what its name stands for. */
static void link_open(struct redis *r, const char *address)
{
    redisAsyncContext *ac = open_context(address);
    r->ac = ac;
    if (!ac || ac->err || !redis_wire_attach(r->loop, ac)) {
        redis_link_drop(r, "connect", ac && ac->err ? ac->errstr : "no address, or out of memory");
        return;
    }
    ac->data = r;
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct redis *r = arg;
    r->lookup = NULL;
    if (address)
        link_open(r, address);
    else
        redis_link_drop(r, "name", why);
}

static void link_connect(struct redis *r)
{
    if (!*r->address)
        return; /* the Sentinels will say */
    r->link = LINK_GREETING;
    set_timer(r, GREETING_LIMIT, 0.);
    if (!resolve_wanted(r->address)) {
        link_open(r, r->address);
        return;
    }
    r->lookup = resolve_new(r->loop, r->address, on_resolved, r);
    if (!r->lookup)
        redis_link_drop(r, "name", "out of memory");
}

/* Commands are on their way and nothing has come for long. */
static bool is_silent(const struct redis *r)
{
    const struct redis_call *first = r->sent.first;
    uint64_t now_us = redis_now_us();
    return first && now_us - first->sent_us > SILENCE_US && now_us - r->clock.reply_us > SILENCE_US;
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct redis *r = t->data;
    (void)loop;
    (void)revents;
    switch (r->link) {
    case LINK_DOWN: link_connect(r); return;
    case LINK_GREETING: redis_link_drop(r, "greeting", "no answer for 2 s"); return;
    case LINK_READY:
        if (r->broken)
            redis_link_drop(r, "connection", r->broken);
        else if (is_silent(r))
            redis_link_drop(r, "connection", "no answer for 2 s");
        else
            redis_greet_time(r);
    }
}

/* True if another connection must be made. */
static bool take_config(struct redis *r, const struct redis_settings *s)
{
    bool moved = !r->slots && redis_primary_configure(r, s);
    bool same = !moved && strcmp(r->username, s->username) == 0 && strcmp(r->password, s->password) == 0 &&
                r->db == s->db;
    memcpy(r->username, s->username, sizeof r->username);
    memcpy(r->password, s->password, sizeof r->password);
    r->db = s->db;
    r->reconnect_ms = s->reconnect_ms;
    r->max_pending = s->max_pending;
    r->ack_replicas = s->ack_replicas;
    r->holds = s->holds;
    return !same;
}

static struct redis *link_make(struct ev_loop *loop, const struct redis_events *events, void *arg,
                               struct metrics *metrics)
{
    struct redis *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct redis){.loop = loop, .events = *events, .arg = arg, .metrics = metrics};
    redis_calls_init(r);
    ev_timer_init(&r->timer, on_timer, 0., 0.);
    r->timer.data = r;
    ev_set_priority(&r->timer, EV_MINPRI); /* what has come is read before it is missed */
    return r;
}

static struct redis *router_new(struct redis *r, const struct redis_settings *s)
{
    r->slots = slots_new(r->loop, r, s, r->metrics);
    r->max_pending = s->max_pending;
    if (r->slots)
        return r;
    free(r);
    return NULL;
}

struct redis *redis_new(struct ev_loop *loop, const struct redis_settings *s,
                        const struct redis_events *events, void *arg, struct metrics *metrics)
{
    struct redis *r = link_make(loop, events, arg, metrics);
    if (!r)
        return NULL;
    if (s->seeds.n > 0)
        return router_new(r, s);
    take_config(r, s);
    if (s->sentinels.n > 0 && !r->sentinel) {
        redis_free(r);
        return NULL;
    }
    set_timer(r, 0., 0.);
    return r;
}

struct redis *redis_link_new(struct ev_loop *loop, const struct redis_settings *s,
                             const struct redis_events *events, void *arg, struct metrics *metrics,
                             struct slots *slots, unsigned number)
{
    struct redis *r = link_make(loop, events, arg, metrics);
    if (!r)
        return NULL;
    r->slots = slots;
    r->number = number;
    take_config(r, s);
    return r;
}

void redis_link_point(struct redis *r, const char *address)
{
    snprintf(r->address, sizeof r->address, "%s", address);
    r->said[0] = '\0';
    redis_link_leave(r,
                     *address ? "it is to be another primary's" : "it is no primary of the cluster any more");
}

void redis_reconfigure(struct redis *r, const struct redis_settings *s)
{
    if (redis_is_router(r)) {
        slots_reconfigure(r->slots, s);
        return;
    }
    if (!take_config(r, s))
        return;
    redis_link_leave(r, "the configuration has changed");
}

void redis_free(struct redis *r)
{
    struct slots *slots = redis_is_router(r) ? r->slots : NULL;
    redis_enter(r);
    r->gone = true;
    slots_free(slots);
    sentinel_free(r->sentinel);
    r->sentinel = NULL;
    close_context(r);
    link_down(r);
    redis_leave(r);
}

bool redis_ready(const struct redis *r)
{
    return r->link == LINK_READY || (redis_is_router(r) && slots_any_ready(r->slots));
}

bool redis_whole(const struct redis *r)
{
    struct redis *links[REDIS_LINKS];
    if (!redis_is_router(r))
        return redis_ready(r) && redis_contact_us(r) != 0;
    for (unsigned n = slots_links(r->slots, links); n > 0; n--)
        if (redis_contact_us(links[n - 1]) == 0)
            return false;
    return slots_whole(r->slots);
}

/* The connection to speak of: a cluster's is one of its primaries. */
static const struct redis *some(const struct redis *r)
{
    const struct redis *one = redis_is_router(r) ? slots_some(r->slots) : r;
    return one ? one : r;
}

const char *redis_why(const struct redis *r)
{
    const struct redis *one = some(r);
    if (one == r && redis_is_router(r))
        return "redis: no node of the cluster has said who has which slot";
    return *one->said ? one->said : "redis";
}

bool redis_is_cluster(const struct redis *r)
{
    return r->slots != NULL;
}

struct redis *redis_home(struct redis *r, const uint8_t tag[2])
{
    struct redis *home = redis_is_router(r) ? slots_home(r->slots, tag) : r;
    return home ? home : r;
}

unsigned redis_number(const struct redis *link)
{
    return link->number;
}

unsigned redis_links(struct redis *r, struct redis *out[REDIS_LINKS])
{
    if (redis_is_router(r))
        return slots_links(r->slots, out);
    out[0] = r;
    return 1;
}

double redis_ready_since(const struct redis *link)
{
    return (double)link->ready_since / 1e6;
}

bool redis_own_tag(const struct redis *link, uint8_t tag[2])
{
    memset(tag, 0, 2);
    return !link->slots || slots_own_tag(link->slots, link->number, tag);
}

bool redis_settled(const struct redis *link)
{
    return !link->slots || slots_settled(link->slots);
}

uint64_t redis_marks(const struct redis *link)
{
    return link->slots ? slots_marks(link->slots, link->number) : 1;
}

void redis_mark_name(const struct redis *r, unsigned mark, char out[REDIS_MARK_NAME])
{
    uint8_t tag[2];
    struct text t;
    text_init(&t, out, REDIS_MARK_NAME);
    if (r->slots) {
        slots_mark_tag(r->slots, mark, tag);
        text_str(&t, "once:{");
        text_hex(&t, tag, sizeof tag);
        text_str(&t, "}:mark");
    } else {
        text_str(&t, "once:mark");
    }
}

struct redis_site redis_site(const struct redis *r)
{
    r = some(r);
    return (struct redis_site){r->address, r->username, r->password};
}
