// SPDX-License-Identifier: MIT
/* One runtime socket of HAProxy, and the workers behind it: the present one, and those that a reload
 * replaced, until they are finished.
 *
 *   none, or all are stopping ──connect──► newcomer ──known──► one of ours ──► stopping ──► finished, let go
 *        a message named a process ──┘         └── one we have already: dropped
 *
 * Every agent keeps these connections. A worker is *mine* (listed and acted upon by this agent) unless the
 * fresh lock file of another agent names it (rooms/election). */
#ifndef SITE_H
#define SITE_H

#include "rooms/election.h"
#include "rooms/worker.h"

struct site;

struct site_events {
    /* There is a worker that has not been polled by us before: look at it soon. */
    void (*news)(void *arg);
    /* l NULL: the listing failed. Another agent's worker is listed as well when it is asked for. */
    void (*listed)(void *arg, struct worker *w, bool mine, enum worker_list list, struct listing *l);
};

struct site *site_new(struct ev_loop *loop, const char *path, const struct worker_settings *settings,
                      const struct site_events *events, void *arg, struct metrics *metrics);
void site_free(struct site *s);
const char *site_path(const struct site *s);

/* A poll begins: finished workers are let go, a missing one is looked for, the lock file is looked at.
 * confirmed: Redis hears us, so that we may be the poller. Returns true if a worker has become ours. */
bool site_begin(struct site *s, bool confirmed);
/* Asks: of what is ours all that has ended, and what runs if `running`; of what is not, what has ended if
 * `look`. Adds to *listings how many listings of what runs were asked for. False: a worker that is ours had
 * not answered the last poll yet. */
bool site_poll(struct site *s, bool running, bool look, unsigned *listings);
/* Asks what has ended in workers that a reload replaced, between the polls; false: there are none. */
bool site_hurry(struct site *s);
/* Looks for a process that is not known, unless that is on its way already. */
void site_connect(struct site *s);

/* worker_look() of that process; false: there is no connection to it. */
bool site_look(struct site *s, const struct process *p, const char *token, worker_look_fn *fn, void *arg);

/* Is it looked after, by us or by the agent that says so in its lock file? */
bool site_knows(const struct site *s, const struct process *p);
/* Is it there to be asked: do we have a connection to it, or does another agent poll it? */
bool site_reaches(const struct site *s, const struct process *p);
unsigned site_workers(const struct site *s);
bool site_elected(const struct site *s);

#endif
