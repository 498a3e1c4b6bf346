// SPDX-License-Identifier: MIT
/* One connection to one Sentinel: what it says about our Redis, now and whenever that changes.
 *
 *   down ──pause──► [name looked up] ──► asked ──all replies──► listening ──1 s, or +switch-master──► asked ..
 *     ▲                                    └── refused, silent for 1 s, nonsense ──┐
 *     └────────────────────────────────────────────────────────────────────────────┘
 *
 * A reply has domain/resp's bounds. */
#ifndef SENTINEL_WATCH_H
#define SENTINEL_WATCH_H

#include <ev.h>
#include "domain/config.h"

struct sentinel_watch;

/* What all watches share; borrowed. */
struct sentinel_site {
    config_text name, username, password;
    bool hurry; /* the primary is missing: ask every 100 ms, not every second */
};

struct sentinel_answer {
    config_text address; /* "10.0.0.7:6379"; empty: it says nothing, or knows no such name */
    uint64_t epoch;      /* of the Sentinels' configuration: the higher one is the newer one; 0: not told */
};

/* heard is called when the answer has changed or gone; the watch must not be freed inside. NULL: out of
 * memory. Connecting begins at once and goes on for ever. */
struct sentinel_watch *sentinel_watch_new(struct ev_loop *loop, const char *address,
                                          const struct sentinel_site *site, void (*heard)(void *arg),
                                          void *arg);
void sentinel_watch_free(struct sentinel_watch *w);
/* Asks now, or as soon as what is asked has been answered. */
void sentinel_watch_ask(struct sentinel_watch *w);

/* Has it answered, and is it connected? */
bool sentinel_watch_up(const struct sentinel_watch *w);
const struct sentinel_answer *sentinel_watch_answer(const struct sentinel_watch *w);

#endif
