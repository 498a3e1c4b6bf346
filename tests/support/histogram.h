// SPDX-License-Identifier: MIT
/* Latencies, counted in buckets that grow with the value: fixed memory, each value known to better than 1 %.
 *
 *   octave      0 .. 127 ns      128 .. 255      256 .. 511     ..    2^39 ns (9 minutes)
 *   buckets     128 of 1 ns      128 of 1 ns     128 of 2 ns    ..    what is larger counts in the last one
 *
 * The layout is HdrHistogram's (Gil Tene): a value's highest bit chooses the octave, its next seven the bucket.
 * Recording is an addition; two histograms of the same layout add up. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 7,                          /* of a value that are kept behind its highest */
    HISTOGRAM_OCTAVES = 40 - HISTOGRAM_BITS + 1, /* values up to 2^40 - 1 ns */
    HISTOGRAM_BUCKETS = HISTOGRAM_OCTAVES << HISTOGRAM_BITS,
};

struct histogram {
    uint64_t n, sum, most; /* values, their sum and the largest, ns */
    uint64_t count[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t ns);
/* The value, in ns, that `share` (0 to 1) of all values do not exceed: the upper end of its bucket, never more than the
 * largest value. 0 without values. */
uint64_t histogram_at(const struct histogram *h, double share);
/* Mean in ns; 0 without values. */
double histogram_mean(const struct histogram *h);

#endif
