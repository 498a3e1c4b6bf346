// SPDX-License-Identifier: MIT
/* Replicas' acknowledgement, for many at once (group commit; PROTOCOL, Timing rules, `ack_replicas`).
 *
 *   acks_wait ──► gathering ──end of this loop turn, and no WAIT on its way──► WAIT ──► told: true, or false
 *                     ▲ while a WAIT is on its way, the next group gathers
 *
 * WAIT goes over the connection of the claims and words themselves: it answers for the server that they were
 * written to, whatever a failover or a proxy has done meanwhile. It is sent only when something was written,
 * so refusals and replays do not wait for replicas; but commands behind it do, until the replicas have
 * answered or redis.ack_timeout is over. So after a failure, for a second, acks_wait() says no at once: a
 * dead replica must not slow down what needs none. Each primary of a cluster has its own. */
#ifndef ACKS_H
#define ACKS_H

#include "adapters/redis.h"

struct acks;

typedef void acks_fn(void *arg, bool acknowledged);

/* Embedded in whoever waits. */
struct acks_waiter {
    struct acks_waiter *next;
    acks_fn *fn;
    void *arg;
};

/* NULL: out of memory. */
struct acks *acks_new(struct ev_loop *loop, const struct config *c, struct metrics *metrics);
/* Before redis_free(): who still waits is told false. */
void acks_free(struct acks *a);
void acks_reconfigure(struct acks *a, const struct config *c);
/* This connection is ready again, and may be another server: what its replicas did before does not count. Before the first
 * time nobody can wait for them. */
void acks_ready(struct acks *a, struct redis *link);

/* redis.ack_replicas is not 0. acks NULL: no. */
bool acks_wanted(const struct acks *a);
/* Is all that the connection that replied (redis_reply.from) has seen written on enough replicas of its server? fn is called exactly once, never before
 * this returns, within twice redis.ack_timeout; w lives until then. False, and fn is not called: replicas
 * have not acknowledged lately, or Redis is not there. */
bool acks_wait(struct acks *a, const struct redis *from, struct acks_waiter *w, acks_fn *fn, void *arg);

#endif
