// SPDX-License-Identifier: MIT
/* A key is busy: does what holds it still run? HAProxy's table is asked before 409 is said (PROTOCOL, What a
 * retry can count on), once for all who want to know it of the same execution.
 *
 *   look ── 0 ── 5 ── 20 ── 60 ms ──► ended, and its word is on its way to Redis   told: ended, claim again
 *           └────┴─────┴──────┴─────► running, twice                               told: running, 409
 *                                     neither by then                              told: running, 409
 *
 * An answer counts only for those who were there when its question was asked: what they have seen of the
 * execution before they asked may be newer than an older answer. So where more and more ask, the lookup goes
 * on, a look every 40 ms, each for all of them. Bounded: inflight.lookups starts and such further looks a
 * second, 100 ms for a HAProxy that does not answer. */
#ifndef LOOKUP_H
#define LOOKUP_H

#include <ev.h>
#include "domain/metrics.h"
#include "domain/token.h"
#include "rooms/inflight.h"
#include "rooms/worker.h"

struct lookups;

struct lookups_events {
    /* Asks that process for the entry; false, and fn is not called: nobody to be asked. */
    bool (*ask)(void *arg, const struct process *p, const char *token, worker_look_fn *fn, void *fnarg);
    /* It has ended with that gpt0. True: what goes to Redis from now on comes behind its word. False: its
     * word must wait for a notice, or cannot be said. */
    bool (*ended)(void *arg, const struct token *t, unsigned gpt0);
};

struct lookups *lookups_new(struct ev_loop *loop, const struct lookups_events *events, void *arg,
                            struct metrics *metrics);
/* All are told that it runs, nothing is asked any more. */
void lookups_close(struct lookups *l);
/* After those who were asked have answered, or have gone. */
void lookups_free(struct lookups *l);
/* most: inflight.lookups. */
void lookups_configure(struct lookups *l, unsigned most);

/* See inflight_look(). */
bool lookups_add(struct lookups *l, const struct token *t, const struct process *p, inflight_looked_fn *fn,
                 void *arg);

#endif
