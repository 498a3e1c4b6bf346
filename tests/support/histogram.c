// SPDX-License-Identifier: MIT
/* Values and buckets, there and back; the contract is in histogram.h. */
#include "tests/support/histogram.h"

#include <string.h>

enum { BUCKETS_EACH = 1 << HISTOGRAM_BITS };

static unsigned bucket_of(uint64_t ns)
{
    if (ns < BUCKETS_EACH)
        return (unsigned)ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
    unsigned bucket = (octave << HISTOGRAM_BITS) + (unsigned)(ns >> octave);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that counts in a bucket. */
static uint64_t end_of(unsigned bucket)
{
    if (bucket < 2 * BUCKETS_EACH)
        return bucket;
    unsigned octave = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t first = BUCKETS_EACH + (bucket & (BUCKETS_EACH - 1));
    return ((first + 1) << octave) - 1;
}

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count[bucket_of(ns)]++;
    h->n++;
    h->sum += ns;
    if (ns > h->most)
        h->most = ns;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->n), seen = 0;
    if ((double)rank < share * (double)h->n || rank == 0)
        rank++; /* the rank-th smallest value, counted from 1 */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->count[i];
        if (seen >= rank && i + 1 < HISTOGRAM_BUCKETS && end_of(i) < h->most)
            return end_of(i);
        if (seen >= rank)
            break;
    }
    return h->most;
}

double histogram_mean(const struct histogram *h)
{
    return h->n ? (double)h->sum / (double)h->n : 0;
}
