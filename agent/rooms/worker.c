// SPDX-License-Identifier: MIT
/* A poll is a handful of questions at once; the next one waits until all answers of it have come.
 *
 *   show info ──► pid, stopping, connections      show table once_unsettled .. ─┐
 *   get var proc.once_start ──► start             show table once_inflight .. ──┴─► judge ──► listed
 *                                                                                      └─► failed
 */
#include "rooms/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "adapters/runtime_api.h"
#include "rooms/monotonic.h"

/* HAProxy answers in microseconds; one that needs longer than this hangs. */
#define ANSWER_TIMEOUT 5.0
/* More than the longest line of a listing: address, a key of 64 characters all escaped, counters. */
enum { ENTRY_BYTES = 384, ANSWER_LEAST = 65536, KEY_MAX = 64, LINE_SHOWN = 120 };

static const struct {
    const char *table, *command;
} lists[WORKER_LISTS] = {
    [WORKER_ENDED] = {"once_inflight",  "show table once_inflight data.conn_cur eq 0 data.gpt0 lt 1000"},
    [WORKER_UNSETTLED] = {"once_unsettled", "show table once_unsettled data.conn_cur eq 0"                 },
    [WORKER_RUNNING] = {"once_inflight",  "show table once_inflight data.conn_cur gt 0"                  },
};

struct question {
    struct worker *worker;
    enum worker_list list;
};

struct worker {
    struct runtime_api *api;
    const struct worker_settings *settings;
    const struct worker_events *events;
    void *arg;
    struct metrics *metrics;
    struct process process;
    struct process_info info;
    bool known, closing;
    struct question questions[WORKER_LISTS];
    unsigned waiting;              /* answers of this poll that are still to come */
    unsigned owed;                 /* lists that were wanted meanwhile */
    double asked_at;               /* this poll */
    double good_at;                /* last listing of what has ended; 0: none yet */
    uint64_t used[WORKER_LISTS];   /* entries in the table behind a list */
    unsigned failed[WORKER_LISTS]; /* times in a row; the first is logged */
};

/* Why a listing does not count, and what to do about it. */
struct flaw {
    const char *why, *way_out;
};

static void tell(struct worker *w, enum worker_list list, struct spop_slice answer, const struct flaw *f)
{
    struct spop_slice line = {answer.ptr, 0};
    while (line.len < answer.len && line.len < LINE_SHOWN && answer.ptr[line.len] != '\n')
        line.len++;
    if (w->failed[list] == 0)
        LOG(LOG_ERROR, "haproxy-listing-failed", log_text("table", lists[list].table),
            log_text("why", f->why), log_int("pid", (long long)w->process.pid), log_bytes("answer", line),
            log_text("way_out", f->way_out));
}

/* NULL: it counts. */
static const struct flaw *judge(struct worker *w, enum worker_list list, struct spop_slice answer,
                                struct listing *l)
{
    static const struct flaw silent = {"no answer", "asked again at the next poll"},
                             late = {"too old when it came", "asked again; if it stays: raise inflight.poll"};
    static const struct flaw flaws[] = {
        [LISTING_NO_TABLE] = {"no such table",
                              "add the tables of haproxy-conf/attach to HAProxy's configuration"},
        [LISTING_BROKEN] = {"not understood",   "the runtime socket needs `level operator`"   },
        [LISTING_TOO_LONG] = {"too many entries", "raise inflight.max_entries"                  },
    };
    if (!answer.ptr)
        return &silent;
    double oldest = list == WORKER_RUNNING ? w->settings->running_age : w->settings->poll;
    if (monotonic_now() - w->asked_at > oldest)
        return &late;
    enum listing_status s = listing_open(answer, lists[list].table, w->settings->max_entries, l);
    return s == LISTING_OK ? NULL : &flaws[s];
}

static void on_listing(void *arg, struct spop_slice answer)
{
    const struct question *q = arg;
    struct worker *w = q->worker;
    struct listing l;
    w->waiting--;
    if (w->closing)
        return;
    const struct flaw *f = judge(w, q->list, answer, &l);
    if (f) {
        metrics_add(w->metrics, METRIC_POLL_FAILED);
        tell(w, q->list, answer, f);
        w->failed[q->list]++;
        w->events->listed(w->arg, w, q->list, NULL);
        return;
    }
    metrics_add(w->metrics, METRIC_POLLS);
    w->failed[q->list] = 0;
    w->used[q->list] = l.used;
    if (q->list == WORKER_ENDED)
        w->good_at = w->asked_at;
    w->events->listed(w->arg, w, q->list, &l);
}

static void refuse(struct worker *w, const char *reason)
{
    w->closing = true;
    w->events->gone(w->arg, w, reason);
}

static void on_info(void *arg, struct spop_slice answer)
{
    struct worker *w = arg;
    w->waiting--;
    if (w->closing || !answer.ptr)
        return;
    if (process_info_read(answer, &w->info) != 0) {
        refuse(w, "show info: no Pid, CurrConns or Stopping");
        return;
    }
    w->process.pid = w->info.pid;
}

static void on_start(void *arg, struct spop_slice answer)
{
    struct worker *w = arg;
    w->waiting--;
    if (w->closing || !answer.ptr)
        return;
    if (process_start_read(answer, &w->process.start_us) != 0) {
        refuse(w, "its configuration lacks, in global: set-var proc.once_start date(0,us)");
        return;
    }
    w->known = true;
    w->events->known(w->arg, w);
}

static void on_lost(void *arg, const char *reason)
{
    struct worker *w = arg;
    if (!w->closing)
        refuse(w, reason);
}

struct worker *worker_new(struct ev_loop *loop, const char *path, const struct worker_settings *settings,
                          const struct worker_events *events, void *arg, struct metrics *metrics, char *err,
                          size_t errlen)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w) {
        snprintf(err, errlen, "out of memory");
        return NULL;
    }
    *w = (struct worker){.settings = settings, .events = events, .arg = arg, .metrics = metrics};
    for (unsigned i = 0; i < WORKER_LISTS; i++)
        w->questions[i] = (struct question){w, i};
    size_t bound = ANSWER_LEAST + (size_t)settings->max_entries * ENTRY_BYTES;
    w->api = runtime_api_new(loop, path, bound, ANSWER_TIMEOUT, on_lost, w, err, errlen);
    if (!w->api) {
        free(w);
        return NULL;
    }
    w->waiting = 2;
    w->asked_at = monotonic_now();
    runtime_api_ask(w->api, "show info", on_info, w);
    runtime_api_ask(w->api, "get var proc.once_start", on_start, w);
    return w;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    w->closing = true;
    runtime_api_free(w->api);
    free(w);
}

bool worker_poll(struct worker *w, unsigned wanted)
{
    wanted |= w->owed;
    w->owed = w->closing || w->waiting > 0 ? wanted : 0;
    if (w->closing || w->waiting > 0)
        return false;
    w->asked_at = monotonic_now();
    w->waiting = 1;
    runtime_api_ask(w->api, "show info", on_info, w);
    for (unsigned i = 0; i < WORKER_LISTS; i++) {
        if (!(wanted & 1u << i))
            continue;
        w->waiting++;
        runtime_api_ask(w->api, lists[i].command, on_listing, &w->questions[i]);
    }
    return true;
}

double worker_took(const struct worker *w)
{
    return monotonic_now() - w->asked_at;
}

bool worker_look(struct worker *w, const char *token, worker_look_fn *fn, void *arg)
{
    char command[64 + KEY_MAX];
    if (w->closing || strlen(token) > KEY_MAX)
        return false;
    snprintf(command, sizeof command, "show table %s key %s", lists[WORKER_ENDED].table, token);
    runtime_api_ask(w->api, command, fn, arg);
    return true;
}

bool worker_look_read(struct spop_slice answer, const char *token, struct listing_entry *e)
{
    struct listing l;
    return answer.ptr && listing_open(answer, lists[WORKER_ENDED].table, 1, &l) == LISTING_OK &&
           listing_next(&l, e) && e->key.len == strlen(token) && memcmp(e->key.ptr, token, e->key.len) == 0;
}

void worker_clear(struct worker *w, enum worker_list list, struct spop_slice token)
{
    char command[64 + KEY_MAX];
    if (w->closing || token.len > KEY_MAX)
        return;
    snprintf(command, sizeof command, "clear table %s key %.*s", lists[list].table, (int)token.len,
             token.ptr);
    runtime_api_ask(w->api, command, NULL, NULL);
}

const struct process *worker_process(const struct worker *w)
{
    return w->known ? &w->process : NULL;
}

bool worker_healthy(const struct worker *w)
{
    for (unsigned i = 0; i < WORKER_LISTS; i++)
        if (w->failed[i] > 1)
            return false;
    /* Two polls may be missed: one that was late, and the one that is on its way. */
    return !w->closing && w->good_at > 0 && monotonic_now() - w->good_at <= 3 * w->settings->poll;
}

bool worker_stopping(const struct worker *w)
{
    return w->info.stopping;
}

bool worker_idle(const struct worker *w)
{
    return w->info.stopping && w->good_at > 0 && !w->failed[WORKER_ENDED] && !w->failed[WORKER_UNSETTLED] &&
           w->used[WORKER_ENDED] == 0 && w->used[WORKER_UNSETTLED] == 0;
}

bool worker_finished(const struct worker *w)
{
    return w->waiting == 0 && w->good_at == w->asked_at && worker_idle(w) && w->info.connections == 0;
}
