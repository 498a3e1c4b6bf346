// SPDX-License-Identifier: MIT
/* One connection to one node of a cluster, which is asked who has which slot.
 *
 *   down ──slots_watch_to()──► [name looked up] ──► open ──slots_watch_ask()──► asked ──► heard(), open
 *     ▲                                              └── refused, silent for 1 s, nonsense ──┐
 *     └───────────────────────────── failed() ───────────────────────────────────────────────┘
 *
 * Beside those of the primaries, so that one that hangs, or whose replicas are waited for, keeps no map from us; a
 * replica may be asked as well. */
#ifndef SLOTS_WATCH_H
#define SLOTS_WATCH_H

#include <ev.h>
#include "domain/config.h"
#include "spop/slice.h"

struct slots_watch;

struct slots_watch_events {
    /* The reply of CLUSTER NODES, until the callback returns; from: the address of who said so. */
    void (*heard)(void *arg, struct spop_slice nodes, const char *from);
    /* It is down now; not called before slots_watch_to() has returned. The watch may be sent elsewhere inside. */
    void (*failed)(void *arg, const char *address, const char *why);
};

/* redis: borrowed: its username and password are read at each connection. NULL: out of memory. */
struct slots_watch *slots_watch_new(struct ev_loop *loop, const struct redis_settings *redis,
                                    const struct slots_watch_events *events, void *arg);
void slots_watch_free(struct slots_watch *w); /* NULL is allowed */
/* Leaves where it is, connects there after so many seconds, and asks. */
void slots_watch_to(struct slots_watch *w, const char *address, double after);
/* Asks after so many seconds, or earlier if that was asked for already. Nothing happens while it is down. */
void slots_watch_ask(struct slots_watch *w, double after);

#endif
