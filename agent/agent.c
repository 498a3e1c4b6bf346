// SPDX-License-Identifier: MIT
/* Owns every room, and the order in which they come and go.
 *
 *   start    redis, completion, inflight ─► notices ─► replay ─► exporter, admin ─► sessions (the door opens last)
 *   reload   options that need a restart? refused whole : every room takes the new configuration over
 *   drain    checks fail ─► nothing waits any more, or stop.drain is over ─► the loop ends
 *   free     sessions ─► .. ─► redis (what waits for it ends with LOST) ─► completion ─► replay */
#include "agent.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/crash.h"
#include "adapters/listener.h"
#include "adapters/log.h"
#include "domain/options.h"
#include "rooms/admin.h"
#include "rooms/exporter.h"
#include "rooms/notices.h"
#include "rooms/session.h"
#include "rooms/traffic_log.h"
#include "rooms/txn.h"
#include "version.h"

static const ev_tstamp drain_look = 0.05;
/* A client that has not read its replay yet, a health checker that must see us go: so long we stay at the
 * least. */
static const ev_tstamp drain_least = 1;

struct agent {
    struct ev_loop *loop;
    struct config *config;
    struct metrics metrics;
    struct limit_counts limits;
    struct cache_counts caches;
    struct gate gate;
    struct sessions *sessions;
    struct notices *notices;
    struct traffic_log *traffic;
    struct exporter *exporter;
    struct admin *admin;
    bool draining;
    ev_timer drain;
    ev_tstamp drain_began;
};

/* Opens one address that the configuration names; -1 (logged) or the socket. */
static int open_socket(const char *option, const char *address, uint32_t mode,
                       int open(const char *, uint32_t, char *, size_t))
{
    char err[256];
    int fd = open(address, mode, err, sizeof err);
    if (fd < 0)
        LOG(LOG_ERROR, "listen-failed", log_text("option", option), log_text("error", err));
    return fd;
}

static void on_redis_ready(void *arg, struct redis *link)
{
    struct agent *a = arg;
    guard_ready(a->gate.guard, link);
    acks_ready(a->gate.acks, link);
    completion_flush(a->gate.completion);
    inflight_redis_ready(a->gate.inflight, link);
    parking_redis_ready(a->gate.parking);
}

static bool on_fetched(void *arg, const struct cachefetch *f, char mark)
{
    struct agent *a = arg;
    if (!cache_fetch_over(a->gate.cache, a->gate.config, f, mark))
        return false;
    metrics_add(&a->metrics, METRIC_CACHE_FETCHES_LISTED);
    return true;
}

static bool is_ready(void *arg, const char **why)
{
    const struct agent *a = arg;
    if (a->draining) {
        *why = "draining";
        return false;
    }
    if (!redis_ready(a->gate.redis)) {
        *why = redis_why(a->gate.redis);
        return false;
    }
    if (!redis_is_cluster(a->gate.redis) && !inflight_caught_up(a->gate.inflight, a->gate.redis)) {
        *why = "what runs in HAProxy is being extended";
        return false;
    }
    return true;
}

/* Not whether Redis is there: HAProxy would see its return later than the gate does, and a request that finds it
 * missing is sent to another agent at once. */
static bool stays(void *arg)
{
    const struct agent *a = arg;
    return !a->draining;
}

static void before_metrics(void *arg)
{
    struct agent *a = arg;
    metrics_set(&a->metrics, METRIC_SPOP_PENDING, a->gate.live);
    cache_show(a->gate.cache);
}

static bool start_gate(struct agent *a)
{
    static const struct redis_events events = {.ready = on_redis_ready};
    struct config *c = a->config;
    struct gate *g = &a->gate;
    a->metrics.limits = &a->limits;
    limit_counts_attach(&a->limits, c);
    a->metrics.caches = &a->caches;
    cache_counts_attach(&a->caches, c);
    g->loop = a->loop;
    g->config = c;
    g->metrics = &a->metrics;
    if (!(g->redis = redis_new(a->loop, &c->redis, &events, a, &a->metrics)) ||
        !(g->guard = guard_new(a->loop, g->redis, c, &a->metrics)) ||
        !(g->loans = loans_new(a->loop, g->redis, g->guard, c, &a->metrics)) ||
        !(g->shield = shield_new(c, &a->metrics)) || !(g->sharing = sharing_new(c, &a->metrics)) ||
        !(g->sealer = sealer_new(a->loop, c, &a->metrics)) ||
        !(g->acks = acks_new(a->loop, c, &a->metrics)) ||
        !(g->completion = completion_new(a->loop, g->redis, c, &a->metrics)) ||
        !(g->inflight = inflight_new(a->loop, g->redis, g->completion, c, &a->metrics)) ||
        !(g->parking = parking_new(a->loop, g->redis, c, &a->metrics)) ||
        !(g->cache = cache_new(a->loop, g->redis, g->parking, c, &a->metrics)))
        return false;
    completion_set_acks(g->completion, g->acks);
    inflight_set_acks(g->inflight, g->acks);
    inflight_set_fetched(g->inflight, on_fetched, a);
    return true;
}

static bool start_notices(struct agent *a)
{
    const struct config *c = a->config;
    if (c->notices.listen[0] == '\0')
        return true;
    int fd = open_socket("notices.listen", c->notices.listen, c->notices.mode, listener_datagram);
    return fd >= 0 && (a->notices = notices_new(&a->gate, fd));
}

static bool start_traffic(struct agent *a)
{
    const struct config *c = a->config;
    if (c->traffic.listen[0] == '\0')
        return true;
    int fd = open_socket("traffic.listen", c->traffic.listen, c->traffic.mode, listener_datagram);
    return fd >= 0 && (a->traffic = traffic_log_new(a->loop, fd, &a->metrics));
}

static bool start_replay(struct agent *a)
{
    const struct config *c = a->config;
    if (c->replay.listen[0] == '\0')
        return true;
    int fd = open_socket("replay.listen", c->replay.listen, c->replay.mode, listener_stream);
    const struct replay_health health = {stays, a};
    if (fd < 0 ||
        !(a->gate.replay = replay_new(a->loop, fd, a->gate.redis, a->gate.sealer, c, &a->metrics, &health)))
        return false;
    replay_set_cache(a->gate.replay, a->gate.cache);
    return true;
}

static bool start_exporter(struct agent *a)
{
    const struct config *c = a->config;
    if (c->http.listen[0] == '\0')
        return true;
    int fd = open_socket("http.listen", c->http.listen, 0600, listener_stream);
    const struct exporter_sources sources = {is_ready, before_metrics, a};
    return fd >= 0 && (a->exporter = exporter_new(a->loop, fd, &a->metrics, &sources));
}

static bool start_admin(struct agent *a)
{
    const struct config *c = a->config;
    if (c->admin.listen[0] == '\0')
        return true;
    int fd = open_socket("admin.listen", c->admin.listen, c->admin.mode, listener_stream);
    return fd >= 0 && (a->admin = admin_new(&a->gate, fd));
}

static bool start_sessions(struct agent *a)
{
    const struct config *c = a->config;
    int fds[CONFIG_LISTEN_MAX];
    unsigned n = 0;
    while (n < c->spop.listen.n) {
        fds[n] = open_socket("spop.listen", c->spop.listen.item[n], c->spop.mode, listener_stream);
        if (fds[n] < 0)
            break;
        n++;
    }
    if (n == c->spop.listen.n && (a->sessions = sessions_new(&a->gate, fds, n)))
        return true;
    while (n > 0)
        close(fds[--n]);
    return false;
}

struct agent *agent_new(struct ev_loop *loop, struct config *c)
{
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->loop = loop;
    a->config = config_hold(c);
    metrics_set(&a->metrics, METRIC_CRASHES, crash_count());
    if (!start_gate(a) || !start_notices(a) || !start_traffic(a) || !start_replay(a) || !start_exporter(a) ||
        !start_admin(a) || !start_sessions(a)) {
        agent_free(a);
        return NULL;
    }
    LOG(LOG_NOTICE, "started", log_text("version", SPOA_ONCE_VERSION), log_text("file", c->file),
        log_int("policies", c->npolicies), log_int("pid", getpid()));
    return a;
}

/* The first option that differs and that only a restart can change; NULL: none. */
static const char *restart_needed(const struct config *old, const struct config *new)
{
    for (const struct option *o = option_table_of(""); o->path; o++)
        if (!(o->flags & OPTION_RELOAD) && !option_same(o, old, new))
            return o->path;
    return NULL;
}

static void count_refused(struct agent *a)
{
    metrics_add(&a->metrics, METRIC_RELOADS_BAD);
    metrics_set(&a->metrics, METRIC_RELOAD_REFUSED, 1);
}

bool agent_reload(struct agent *a, struct config *c)
{
    const char *fixed = restart_needed(a->config, c);
    if (fixed) {
        count_refused(a);
        LOG(LOG_ERROR, "reload-refused", log_text("option", fixed),
            log_text("why", "this option changes with a restart only; the old configuration stays"));
        return false;
    }
    struct config *old = a->config;
    limit_counts_attach(&a->limits, c);
    cache_counts_attach(&a->caches, c);
    a->config = a->gate.config = config_hold(c);
    log_setup(c->log.format, c->log.level);
    redis_reconfigure(a->gate.redis, &c->redis);
    guard_reconfigure(a->gate.guard, c);
    acks_reconfigure(a->gate.acks, c);
    completion_reconfigure(a->gate.completion, c);
    inflight_reconfigure(a->gate.inflight, c);
    parking_reconfigure(a->gate.parking, c);
    loans_reconfigure(a->gate.loans, c);
    sharing_reconfigure(a->gate.sharing, c);
    if (!cache_reconfigure(a->gate.cache, c))
        LOG(LOG_WARNING, "cache-off", log_text("why", "out of memory; requests go to the backend"));
    sealer_reconfigure(a->gate.sealer, c);
    if (!shield_reconfigure(a->gate.shield, c))
        LOG(LOG_WARNING, "shield-off", log_text("why", "out of memory; every request asks Redis"));
    if (a->gate.replay)
        replay_reconfigure(a->gate.replay, c);
    config_drop(old);
    metrics_add(&a->metrics, METRIC_RELOADS);
    metrics_set(&a->metrics, METRIC_RELOAD_REFUSED, 0);
    LOG(LOG_NOTICE, "reloaded", log_text("file", c->file), log_int("policies", c->npolicies));
    return true;
}

void agent_reload_failed(struct agent *a, const char *file)
{
    count_refused(a);
    LOG(LOG_ERROR, "reload-refused", log_text("file", file), log_text("why", "the old configuration stays"));
}

/* Executions that still run are other agents' business from now on, or ours after the restart: HAProxy's
 * table names them. What must not be lost is what only we know: answers on their way, and words that Redis
 * has not confirmed. */
static void on_drain(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct agent *a = w->data;
    ev_tstamp waited = ev_now(loop) - a->drain_began;
    bool idle = a->gate.live == 0 && sessions_idle(a->sessions) && completion_idle(a->gate.completion) &&
                loans_idle(a->gate.loans);
    if ((!idle || waited < drain_least) && waited < a->config->stop.drain_ms / 1000.0)
        return;
    LOG(LOG_NOTICE, "stopped", log_text("drained", idle ? "yes" : "no"), log_int("waiting", a->gate.live));
    ev_break(loop, EVBREAK_ALL);
}

double agent_drain(struct agent *a)
{
    if (a->draining) {
        ev_break(a->loop, EVBREAK_ALL);
        return 0;
    }
    a->draining = true;
    sessions_drain(a->sessions);
    parking_drain(a->gate.parking);
    cache_drain(a->gate.cache);
    loans_drain(a->gate.loans);
    a->drain_began = ev_now(a->loop);
    ev_timer_init(&a->drain, on_drain, 0, drain_look);
    a->drain.data = a;
    ev_timer_start(a->loop, &a->drain);
    LOG(LOG_NOTICE, "draining", log_int("waiting", a->gate.live));
    return a->config->stop.drain_ms / 1000.0;
}

void agent_free(struct agent *a)
{
    const struct config *c = a->config;
    bool admin = a->admin != NULL, traffic = a->traffic != NULL;
    ev_timer_stop(a->loop, &a->drain);
    sessions_free(a->sessions);
    if (a->exporter)
        exporter_free(a->exporter);
    if (a->notices)
        notices_free(a->notices);
    traffic_log_free(a->traffic);
    acks_free(a->gate.acks);    /* transactions and words wait in it */
    loans_close(a->gate.loans); /* transactions too, and they ask redis and inflight */
    admin_free(a->admin);
    if (a->gate.inflight)
        inflight_free(a->gate.inflight);
    /* Calls end with LOST here, and the transactions that waited for them end; so the replay room goes after
     * it. */
    if (a->gate.redis)
        redis_free(a->gate.redis);
    loans_free(a->gate.loans);
    cache_free(a->gate.cache);
    parking_free(a->gate.parking);
    guard_free(a->gate.guard);
    if (a->gate.completion)
        completion_free(a->gate.completion);
    if (a->gate.replay)
        replay_free(a->gate.replay);
    sealer_free(a->gate.sealer);
    shield_free(a->gate.shield);
    sharing_free(a->gate.sharing);
    txn_free_spare(&a->gate);
    if (a->sessions)
        for (unsigned i = 0; i < c->spop.listen.n; i++)
            listener_remove(c->spop.listen.item[i]);
    if (a->gate.replay)
        listener_remove(c->replay.listen);
    if (a->notices)
        listener_remove(c->notices.listen);
    if (traffic)
        listener_remove(c->traffic.listen);
    if (a->exporter)
        listener_remove(c->http.listen);
    if (admin)
        listener_remove(c->admin.listen);
    config_drop(a->config);
    free(a);
}
