// SPDX-License-Identifier: MIT
/* What the cache did, by policy: counters with the labels policy and result. Rows outlive a reload, as those of limits do
 * (domain/limit_counts); there is one for each policy that a configuration may have, and a last one, without a name, for more. */
#ifndef CACHE_COUNTS_H
#define CACHE_COUNTS_H

#include "domain/buf.h"
#include "domain/config.h"
#include "domain/freshness.h"

/* X(symbol, result): how a request ended that asked for a cached answer. */
#define CACHE_RESULT_TABLE(X)                                                                                \
    X(HIT, "hit")                                                                                            \
    X(STALE, "stale")                                                                                        \
    X(COLLAPSED, "collapsed") /* fresh, by another one's request, which it waited for */                     \
    X(MISS, "miss")                                                                                          \
    X(BYPASS, "bypass") /* the request is none that the cache may answer, or nothing may be stored */        \
    X(ERROR, "error")   /* Redis did not say in time */

enum cache_result {
#define X(symbol, result) CACHE_##symbol,
    CACHE_RESULT_TABLE(X)
#undef X
        CACHE_RESULTS
};

enum { CACHE_COUNTS_MAX = 2 * CONFIG_POLICIES_MAX };

struct cache_counts {
    unsigned n; /* rows in use, without the last */
    struct cache_count {
        config_name policy;
        uint32_t hash; /* policy_hash() */
        uint64_t result[CACHE_RESULTS];
        uint64_t store[STORE_REASONS]; /* answers: stored, or why not */
        uint64_t bytes;                /* of bodies that were served */
    } row[CACHE_COUNTS_MAX + 1];
};

/* Gives each cache of a configuration its row. */
void cache_counts_attach(struct cache_counts *cc, struct config *c);
static inline struct cache_count *cache_count_of(struct cache_counts *cc, const struct policy *p)
{
    return &cc->row[p->cache.counter];
}
/* So many bytes of a policy's answers were served. */
void cache_counts_served(struct cache_counts *cc, uint32_t policy, size_t bytes);
const char *cache_result_word(enum cache_result r);
/* Appends the Prometheus text, as metrics_write(). */
void cache_counts_write(const struct cache_counts *cc, struct buf *out);

#endif
