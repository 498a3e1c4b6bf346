// SPDX-License-Identifier: MIT
/* The workers behind one socket. A connection is only a newcomer until it has said which process it is; then
 * it becomes a member, or is dropped if that process is one already. A member is mine or another agent's,
 * decided anew at each poll. */
#include "rooms/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "rooms/monotonic.h"
#include "version.h"

enum { PATH_BYTES = 256 };

enum { ENDED = 1 << WORKER_ENDED | 1 << WORKER_UNSETTLED };

/* A worker as this agent sees it. */
struct member {
    struct worker *worker;
    bool mine, told_stopping;
};

struct site {
    struct ev_loop *loop;
    char path[PATH_BYTES];
    const struct worker_settings *settings;
    const struct site_events *events;
    void *arg;
    struct metrics *metrics;
    struct election *election;
    struct worker *newcomer; /* has not said yet who it is */
    unsigned n;
    struct member member[ELECTION_PROCESSES];
    bool told; /* that nobody could be reached */
};

static struct member *member_of(struct site *s, const struct worker *w)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->member[i].worker == w)
            return &s->member[i];
    return NULL;
}

static struct worker *worker_of(const struct site *s, const struct process *p)
{
    for (unsigned i = 0; i < s->n; i++)
        if (process_same(worker_process(s->member[i].worker), p))
            return s->member[i].worker;
    return NULL;
}

static void drop(struct site *s, struct member *m, const char *why)
{
    const struct process *p = worker_process(m->worker);
    LOG(LOG_NOTICE, "haproxy-gone", log_text("socket", s->path), log_int("pid", (long long)p->pid),
        log_text("why", why));
    worker_free(m->worker);
    *m = s->member[--s->n];
}

static void tell_unreachable(struct site *s, const char *why)
{
    if (!s->told)
        LOG(LOG_ERROR, "haproxy-unreachable", log_text("socket", s->path), log_text("why", why),
            log_text("way_out", "keys of its processes are refused; tried again each poll"));
    s->told = true;
}

static bool is_fresh(const struct site *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!worker_stopping(s->member[i].worker))
            return true;
    return false;
}

static void on_gone(void *arg, struct worker *w, const char *reason)
{
    struct site *s = arg;
    struct member *m = member_of(s, w);
    if (m) {
        drop(s, m, reason);
        return;
    }
    s->newcomer = NULL;
    if (!is_fresh(s))
        tell_unreachable(s, reason);
    worker_free(w);
}

/* Room for one more: of the old workers whose tables are empty, one is left. */
static bool has_room(struct site *s)
{
    for (unsigned i = 0; s->n == ELECTION_PROCESSES && i < s->n; i++)
        if (worker_idle(s->member[i].worker))
            drop(s, &s->member[i], "too many old workers; nothing of ours was in it");
    return s->n < ELECTION_PROCESSES;
}

static void on_known(void *arg, struct worker *w)
{
    struct site *s = arg;
    const struct process *p = worker_process(w);
    s->newcomer = NULL;
    bool known = worker_of(s, p) != NULL;
    if (known || !has_room(s)) {
        if (!known)
            tell_unreachable(s, "32 old workers still have gated requests: set hard-stop-after in HAProxy");
        worker_free(w);
        return;
    }
    s->member[s->n++] = (struct member){.worker = w};
    s->told = false;
    LOG(LOG_NOTICE, "haproxy-known", log_text("socket", s->path), log_int("pid", (long long)p->pid),
        log_int("start", (long long)p->start_us));
    s->events->news(s->arg);
}

static void on_listed(void *arg, struct worker *w, enum worker_list list, struct listing *l)
{
    struct site *s = arg;
    const struct member *m = member_of(s, w);
    if (m)
        s->events->listed(s->arg, w, m->mine, list, l);
}

static const struct worker_events worker_events = {
    .known = on_known,
    .listed = on_listed,
    .gone = on_gone,
};

struct site *site_new(struct ev_loop *loop, const char *path, const struct worker_settings *settings,
                      const struct site_events *events, void *arg, struct metrics *metrics)
{
    struct site *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct site){.loop = loop, .settings = settings, .events = events, .arg = arg, .metrics = metrics};
    snprintf(s->path, sizeof s->path, "%s", path);
    s->election = election_new(path, PROTOCOL_VERSION);
    if (!s->election) {
        free(s);
        return NULL;
    }
    site_connect(s);
    return s;
}

void site_free(struct site *s)
{
    if (!s)
        return;
    worker_free(s->newcomer);
    for (unsigned i = 0; i < s->n; i++)
        worker_free(s->member[i].worker);
    election_free(s->election);
    free(s);
}

const char *site_path(const struct site *s)
{
    return s->path;
}

void site_connect(struct site *s)
{
    char why[200];
    if (s->newcomer)
        return;
    s->newcomer = worker_new(s->loop, s->path, s->settings, &worker_events, s, s->metrics, why, sizeof why);
    if (!s->newcomer && !is_fresh(s))
        tell_unreachable(s, why);
}

static void let_go(struct site *s)
{
    for (unsigned i = s->n; i-- > 0;) {
        struct member *m = &s->member[i];
        if (worker_finished(m->worker)) {
            drop(s, m, "finished");
        } else if (worker_stopping(m->worker) && !m->told_stopping) {
            m->told_stopping = true;
            LOG(LOG_NOTICE, "haproxy-stopping", log_text("socket", s->path),
                log_int("pid", (long long)worker_process(m->worker)->pid));
        }
    }
}

/* Those that we poll with success: what the lock file may say of us. */
static unsigned polled(const struct site *s, struct process *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++)
        if (s->member[i].mine && worker_healthy(s->member[i].worker))
            out[n++] = *worker_process(s->member[i].worker);
    return n;
}

bool site_begin(struct site *s, bool confirmed)
{
    struct process names[ELECTION_PROCESSES];
    double now = monotonic_now();
    bool more = false;
    let_go(s);
    if (!is_fresh(s))
        site_connect(s);
    election_poll(s->election, names, polled(s, names), confirmed && s->n > 0, now, s->settings->poll);
    for (unsigned i = 0; i < s->n; i++) {
        struct member *m = &s->member[i];
        bool mine = !election_names(s->election, worker_process(m->worker), now, s->settings->poll);
        more = more || (mine && !m->mine);
        m->mine = mine;
    }
    return more;
}

bool site_poll(struct site *s, bool running, bool look, unsigned *listings)
{
    bool asked = true;
    for (unsigned i = 0; i < s->n; i++) {
        struct member *m = &s->member[i];
        unsigned lists = 0;
        if (m->mine || look || worker_stopping(m->worker))
            lists = ENDED;
        if (m->mine && running)
            lists |= 1 << WORKER_RUNNING;
        if (worker_poll(m->worker, lists))
            *listings += m->mine && running;
        else if (m->mine)
            asked = false;
    }
    return asked;
}

bool site_hurry(struct site *s)
{
    bool any = false;
    for (unsigned i = 0; i < s->n; i++)
        if (worker_stopping(s->member[i].worker)) {
            worker_poll(s->member[i].worker, ENDED);
            any = true;
        }
    return any;
}

bool site_look(struct site *s, const struct process *p, const char *token, worker_look_fn *fn, void *arg)
{
    struct worker *w = worker_of(s, p);
    return w && worker_look(w, token, fn, arg);
}

bool site_knows(const struct site *s, const struct process *p)
{
    const struct worker *w = worker_of(s, p);
    return (w && worker_healthy(w)) || election_names(s->election, p, monotonic_now(), s->settings->poll);
}

bool site_reaches(const struct site *s, const struct process *p)
{
    return worker_of(s, p) || election_names(s->election, p, monotonic_now(), s->settings->poll);
}

unsigned site_workers(const struct site *s)
{
    return s->n;
}

bool site_elected(const struct site *s)
{
    return election_won(s->election);
}
