// SPDX-License-Identifier: MIT
/* What all cached answers share: the Redis they lie in, who waits for one, and what is remembered of each URL.
 *
 *   cache.redis? ──► a connection and a waiting room of its own      else those of the records are borrowed
 *   lookup ──late──► breaker ──► cache_may_ask()                     a cache that hangs costs a few requests their deadline, not all
 *   URL ──► names of Vary, tags                                      bounded (cache.max_resources), the oldest is forgotten
 *
 * Nothing that is remembered is believed: the entry itself says what it varies on and which tags it has (rooms/txn_cache_look). */
#ifndef CACHE_H
#define CACHE_H

#include "domain/cache_counts.h"
#include "domain/cachescript.h"
#include "rooms/parking.h"

struct cache;

/* redis, parking: those of the records, borrowed. NULL: out of memory. */
struct cache *cache_new(struct ev_loop *loop, struct redis *redis, struct parking *parking,
                        const struct config *c, struct metrics *metrics);
/* Behind the end of the records' Redis; what waits for its own one ends with LOST here. */
void cache_free(struct cache *k);
/* False: out of memory, and the records' Redis is used. */
bool cache_reconfigure(struct cache *k, const struct config *c);
/* As parking_drain(), of its own waiting room. */
void cache_drain(struct cache *k);

struct redis *cache_redis(const struct cache *k);
struct parking *cache_parking(const struct cache *k);
/* Redis' time by which ages are told; 0: it was never seen. */
uint64_t cache_now_us(const struct cache *k);
/* Is there somebody to ask, who has answered in time lately? */
bool cache_may_ask(struct cache *k);
/* An answer came in time, or not. */
void cache_heard(struct cache *k, bool in_time);
/* HAProxy says that a fetch has ended and an agent has not heard what it has brought: its lease ends, and those who wait for it are
 * told. False: Redis cannot be asked just now, or that policy is gone; then the lease lapses. mark: as of struct cachefilled. */
bool cache_fetch_over(struct cache *k, const struct config *c, const struct cachefetch *f, char mark);
/* Gauges, and what its own connection has counted. */
void cache_show(struct cache *k);

/* What is remembered of a URL; a mask is bits of the policy's names of Vary (domain/cachefill). */
struct cache_resource {
    unsigned mask, ntags;
    const uint8_t *tags; /* ntags of CACHETAGS_DIGEST; until the next call of this room */
};
struct cache_resource cache_recall(struct cache *k, const uint8_t url[CACHEKEY_DIGEST]);
/* In addition to the tags that are remembered, as long as they are CACHETAGS_MAX together; else instead of them. */
void cache_remember(struct cache *k, const uint8_t url[CACHEKEY_DIGEST], unsigned mask, const uint8_t *tags,
                    unsigned ntags);

#endif
