// SPDX-License-Identifier: MIT
/* The rooms that a transaction needs, and grants that are on their way to HAProxy. */
#ifndef GATE_H
#define GATE_H

#include "domain/config.h"
#include "rooms/acks.h"
#include "rooms/cache.h"
#include "rooms/completion.h"
#include "rooms/guard.h"
#include "rooms/inflight.h"
#include "rooms/loans.h"
#include "rooms/parking.h"
#include "rooms/replay.h"
#include "rooms/sealer.h"
#include "rooms/sharing.h"
#include "rooms/shield.h"

/* One for the agent; borrowed by every session. */
struct gate {
    struct ev_loop *loop;
    struct config *config; /* of transactions that begin now */
    struct redis *redis;
    struct guard *guard;
    struct acks *acks; /* NULL: as with ack_replicas = 0 */
    struct completion *completion;
    struct inflight *inflight;
    struct parking *parking;
    struct cache *cache;
    struct loans *loans;
    struct shield *shield;
    struct sharing *sharing;
    struct sealer *sealer;
    struct replay *replay; /* NULL: there is no replay listener, as no policy needs one */
    struct metrics *metrics;
    unsigned live;                  /* transactions that have not ended */
    struct txn *spare;              /* ended ones, kept for the next request */
    struct txn_cache *spare_caches; /* and the parts that only some have */
    struct lent *spare_lents;
};

/* A `go` that HAProxy has not been told yet: until one byte of its ACK has left it can be taken back. */
struct grant {
    struct token token;
    double deadline; /* monotonic_now(): the `go` must not leave later */
    uint32_t ttl_s;  /* record TTL */
};

/* Nobody was told: the key is released as never sent (PROTOCOL, Evidence). */
void gate_take_back(struct gate *g, const struct grant *grant);

#endif
