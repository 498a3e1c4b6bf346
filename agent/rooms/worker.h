// SPDX-License-Identifier: MIT
/* One HAProxy process, seen through one persistent connection to its runtime socket.
 *
 *   connected ──show info, get var──► known ──poll, poll, ..──► stopping ──tables empty──► finished
 *        └──────────── gone, at any time (the connection was lost, or it cannot say who it is) ◄──┘
 *
 * A listing that is broken, or too old when it comes, is not handed on: nothing may follow from it. What has ended is proved
 * by one that is younger than a poll (PROTOCOL, Words); what runs may be extended by an older one: a lease that lives
 * too long by that does less harm than one that lapses. */
#ifndef WORKER_H
#define WORKER_H

#include <ev.h>
#include "domain/listing.h"
#include "domain/metrics.h"

struct worker;

enum worker_list {
    WORKER_UNSETTLED, /* answers of which Redis has confirmed nothing: once_unsettled, ended */
    WORKER_ENDED,     /* ended and not settled: once_inflight, conn_cur = 0, gpt0 < 1000 */
    WORKER_RUNNING,   /* once_inflight, conn_cur > 0 */
    WORKER_LISTS
};

struct worker_settings {
    double poll;        /* seconds */
    double running_age; /* seconds: the oldest listing of what runs that counts */
    unsigned max_entries;
};

struct worker_events {
    /* It has said who it is: worker_process() is valid from now on. */
    void (*known)(void *arg, struct worker *w);
    /* l NULL: the listing failed (logged and counted here). */
    void (*listed)(void *arg, struct worker *w, enum worker_list list, struct listing *l);
    /* The owner frees it, now or later; nothing more may be asked. */
    void (*gone)(void *arg, struct worker *w, const char *reason);
};

/* settings and events are borrowed and may change their content. NULL with the reason in err. */
struct worker *worker_new(struct ev_loop *loop, const char *path, const struct worker_settings *settings,
                          const struct worker_events *events, void *arg, struct metrics *metrics, char *err,
                          size_t errlen);
void worker_free(struct worker *w);

/* Asks for `show info`, and for the listings whose bits (1 << enum worker_list) are set. False: answers of
 * the last poll are still to come, nothing was asked; the next poll asks for these too. */
bool worker_poll(struct worker *w, unsigned lists);
/* Seconds since the questions were asked whose answers come now. */
double worker_took(const struct worker *w);
/* Asks for one entry of once_inflight, whatever else is on its way; fn: see runtime_api_ask(). False, and fn
 * is not called: the connection is going. */
typedef void worker_look_fn(void *arg, struct spop_slice answer);
bool worker_look(struct worker *w, const char *token, worker_look_fn *fn, void *arg);
/* What came as the answer: false if the entry is not there, or there is no answer. */
bool worker_look_read(struct spop_slice answer, const char *token, struct listing_entry *e);
/* Takes an entry that has ended out of that list's table: all has been said about it. */
void worker_clear(struct worker *w, enum worker_list list, struct spop_slice token);

const struct process *worker_process(const struct worker *w); /* NULL: not known yet */
/* Its last listings came, and not long ago: what runs in it is looked after. */
bool worker_healthy(const struct worker *w);
bool worker_stopping(const struct worker *w);
/* Replaced by a reload, and its tables were empty when they were last listed: what keeps it alive is not ours. */
bool worker_idle(const struct worker *w);
/* Replaced by a reload, nothing connected, nothing left in its tables: only we keep it alive. */
bool worker_finished(const struct worker *w);

#endif
