// SPDX-License-Identifier: MIT
/* What a limits group's value says of its use (docs/wire.md, Limits group). Pure.
 *
 *   token buckets    | name 4 | TAT d |  for each limit of the subject, then what is on loan of them (docs/wire.md, Loans)
 *   sliding window   | first d | used 4 |  then entries  | last d | count 4 |
 *
 * A value does not name its kind. Whole numbers of ticks whose counts add up to `used` are a window; that three buckets
 * look like one is as likely as guessing 32 bits. */
#ifndef USAGE_H
#define USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spop/slice.h"

enum {
    USAGE_CELL = 12,
    USAGE_LOAN = 36,
    USAGE_BYTES = 16 * USAGE_CELL + 32 * USAGE_LOAN + 1 /* of the largest value: buckets with loans */
};

struct usage_window {
    uint32_t requests; /* that count now */
    uint32_t width_s;
};

/* value: the whole group. now_us: Redis' time; ttl_ms: what is left of the key's TTL, which began with the newest
 * request: so the width is known. False: it is no window. After a step of Redis' clock the width may be wrong until the
 * next request. */
bool usage_window(struct spop_slice value, uint64_t now_us, uint64_t ttl_ms, struct usage_window *out);

/* Bytes of a value's cells, without the loans behind them. *loans: how many there are. */
size_t usage_cells(struct spop_slice value, unsigned *loans);

/* Seconds of a bucket's time that are used; cell: USAGE_CELL bytes. False: there is no TAT in it. */
bool usage_bucket(const char *cell, uint64_t now_us, double *seconds);

#endif
