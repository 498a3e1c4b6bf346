// SPDX-License-Identifier: MIT
/* What has ended unsettled, and the word that follows, said once (PROTOCOL, Evidence and what follows).
 *
 *   listed or noticed ──► waiting (one poll for a notice, if there are any) ──► said ──► confirmed
 *                            ▲                                                   │           │
 *                            └──────────────── not confirmed ────────────────────┘    forgotten when it is no
 *                                                                                      longer listed
 *
 * Bounded by inflight.max_entries: what does not fit is resolved when there is room again. */
#ifndef ENDINGS_H
#define ENDINGS_H

#include "domain/evidence.h"
#include "domain/metrics.h"
#include "rooms/completion.h"
#include "rooms/teller.h"

struct endings;

struct endings *endings_new(struct teller *teller, struct completion *completion, struct metrics *metrics);
void endings_free(struct endings *e); /* after the teller */
/* config is borrowed until the next call. */
void endings_configure(struct endings *e, const struct config *config);

/* HAProxy lists it as ended with that gpt0. mine false: another agent polls that process, only what a notice
 * came for is said. Returns true once Redis has confirmed. */
bool endings_seen(struct endings *e, const struct token *t, unsigned gpt0, bool mine, double now);
/* Somebody waits for the key of what has ended: its word is said as soon as it can be the right one, whoever
 * polls that process. True: it has been said, so that what goes to Redis from now on comes behind it. */
bool endings_wanted(struct endings *e, const struct token *t, unsigned gpt0, double now);
/* HAProxy's log says that it has ended. gone: its process is not there any more, so that no listing will ever
 * prove it: the notice counts by itself. */
void endings_notice(struct endings *e, const struct notice *n, bool gone, double now);
/* Once in each poll: says what has waited long enough for a notice, forgets what has not been listed for a
 * while. */
void endings_sweep(struct endings *e, double now);

#endif
