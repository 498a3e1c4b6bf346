// SPDX-License-Identifier: MIT
/* What the tests of shared claims have in common: a room, two connections p and q of a HAProxy that is played by hand, and the words
 * of another agent (another_agent.h).
 *
 *   p, q ──► sessions ──► one claim ──► redis-server      others wait behind it */
#ifndef SHARED_WORLD_H
#define SHARED_WORLD_H

#include <stdio.h>

#include "tests/support/redis_relay.h"
#include "tests/unit/another_agent.h"

enum { LONG_MS = 3000 };

static inline int setup(void **state)
{
    (void)state;
    setup_room();
    w.redis.config->redis.deadline_ms = LONG_MS;
    return 0;
}

static inline int setup_relay(void **state)
{
    int rc = setup(state);
    relay_start(&w);
    return rc;
}

static inline int teardown_relay(void **state)
{
    relay_stop();
    return teardown(state);
}

/* Decisions that Redis was asked for and has answered. */
static inline uint64_t asked(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < METRIC_LATENCY_BUCKETS; i++)
        n += w.redis.metrics.latency[i];
    return n;
}

static inline uint64_t shared(void)
{
    return room_counted(&w, METRIC_SHARED);
}

static inline void request(struct peer *peer, uint64_t stream, const char *policy, const char *key,
                           int64_t length)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    room_request_of(peer, stream, "once-request", policy, key, rid, length);
}

/* By a policy whose duplicates wait; timeout: HAProxy has said how long it does. Sent. */
static inline void wait_for(uint64_t stream, bool timeout)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    room_begin(&p, stream, "once-request", "patient", "k", rid, 10);
    if (timeout)
        peer_int(&p, "timeout", 2 * LONG_MS);
    peer_end(&p);
    peer_send(&p);
}

static inline void share_nothing(void)
{
    w.redis.config->shield.max_shared = 0;
    sharing_reconfigure(w.gate.sharing, w.redis.config);
}

#endif
