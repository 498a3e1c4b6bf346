// SPDX-License-Identifier: MIT
/* The replay listener: HAProxy's backend `once_replay` asks it for a stored answer (header `Once-Replay`: the
 * replay id).
 *
 * The agent that decided has it in memory (bounded by replay.memory and replay.keep); any other fetches the
 * record from Redis. A record that is gone, is not the one meant, or cannot be opened is refused with 503
 * problem+json and never forwarded. What is sealed is kept sealed, and opened for each answer. A replay carries
 * `Idempotent-Replayed: true` and `Cache-Control: no-store`, which take the place of what was stored under these names.
 *
 * A cached answer is asked for by a cache id (domain/cachefill) and served by rooms/replay_cache; its entries are kept in the same memory.
 *
 * HAProxy's check asks for REPLAY_HEALTH without that header (any status 2xx or 3xx is well: HAProxy's Configuration
 * Manual, `option httpchk`). */
#ifndef REPLAY_H
#define REPLAY_H

#include "adapters/httpd.h"
#include "adapters/redis.h"
#include "domain/outcome.h"
#include "domain/record.h"
#include "rooms/cache.h"
#include "rooms/sealer.h"

struct replay;

/* What a kept answer costs beyond the bytes of its record; counts against replay.memory. */
enum { REPLAY_OVERHEAD = 96 };

#define REPLAY_HEALTH "/health"

/* What the check is told. */
struct replay_health {
    /* false: stored answers should be asked for elsewhere (but are still served) */
    bool (*well)(void *arg);
    void *arg;
};

/* listen_fd is owned from now on; health is copied. */
struct replay *replay_new(struct ev_loop *loop, int listen_fd, struct redis *redis, struct sealer *sealer,
                          const struct config *c, struct metrics *metrics,
                          const struct replay_health *health);
/* Before redis_free(), or after it: then nothing is being fetched any more. */
void replay_free(struct replay *r);
void replay_reconfigure(struct replay *r, const struct config *c);

/* Where cached answers lie; without it none is served. */
void replay_set_cache(struct replay *r, struct cache *cache);

/* Keeps a whole DONE record, or entry of the cache (bytes are copied) until keep_ms have passed since Redis was last asked for it, or memory is
 * wanted for a newer one. One that is larger than all memory is not kept. asked: monotonic_now(), when the command was sent
 * whose reply this is. */
void replay_keep(struct replay *r, const struct record_id *id, const void *record, size_t len, double asked);

/* Are these very bytes kept? They were read and, where they are sealed, opened then. */
bool replay_has(struct replay *r, const struct record_id *id, struct spop_slice bytes);

/* What is kept of this record may not be true any more: from now on Redis is asked. */
void replay_forget(struct replay *r, const struct record_id *id);

/* A DONE record of this key and payload that Redis was asked for within the last second (ACCEPTANCE R20): its bytes, until the
 * next call of this room; ptr NULL: there is none. */
struct spop_slice replay_recent(struct replay *r, const struct record_id *id, const uint8_t fingerprint[16]);

#endif
