// SPDX-License-Identifier: MIT
/* Requests of a HAProxy process that nobody polls yet: they wait at most 400 ms for it to become known
 * (PROTOCOL, Evidence, last paragraph). While somebody waits, `seek` is called every 20 ms to look for it. */
#ifndef WAITS_H
#define WAITS_H

#include <ev.h>
#include "rooms/inflight.h"

struct waits;

struct waits_events {
    bool (*known)(void *arg, const char *process);
    void (*seek)(void *arg); /* connect to those who may be it */
};

struct waits *waits_new(struct ev_loop *loop, const struct waits_events *events, void *arg);
/* All are told false. */
void waits_free(struct waits *w);
/* See inflight_find(). */
struct inflight_wait *waits_add(struct waits *w, const char *process, inflight_known_fn *fn, void *arg);
/* Something has changed: those whose process is known now are told. */
void waits_check(struct waits *w);

#endif
