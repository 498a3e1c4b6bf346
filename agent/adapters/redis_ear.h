// SPDX-License-Identifier: MIT
/* A second connection to the Redis of the claims that only listens: what is published on the channels
 * `once:w:*` (docs/wire.md, Keys), one pattern for all keys.
 *
 *   off ──wanted, and Redis is ready──► [name looked up] ──► asked ──subscribed──► open
 *                ▲                             └─ refused, silent, lost ─┐            │ PING every second;
 *                └──────────────────── pause ◄───────────────────────────┴────────────┘ silent for two: lost
 *
 * What is published while it is not open is lost: whoever waits for a message looks once more when opened()
 * is called. */
#ifndef REDIS_EAR_H
#define REDIS_EAR_H

#include "adapters/redis.h"

struct redis_ear;

struct redis_ear_events {
    void (*opened)(void *arg); /* from now on nothing is missed, until it is closed */
    void (*closed)(void *arg); /* what is published now is missed */
    /* name: what follows `once:w:`; until the callback returns. */
    void (*heard)(void *arg, struct spop_slice name);
};

/* Nothing is connected yet. NULL: out of memory. */
struct redis_ear *redis_ear_new(struct ev_loop *loop, const struct redis *redis,
                                const struct redis_ear_events *events, void *arg, struct metrics *metrics);
/* Not inside its callbacks. */
void redis_ear_free(struct redis_ear *e);
/* Somebody wants to hear. From now on it stays connected. */
void redis_ear_want(struct redis_ear *e);
/* Redis is ready again, and may be another server or another user: connects anew if it is wanted. */
void redis_ear_follow(struct redis_ear *e);
bool redis_ear_is_open(const struct redis_ear *e);

#endif
