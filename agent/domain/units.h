// SPDX-License-Identifier: MIT
/* Values as people write them in the configuration, to plain numbers. Pure.
 *
 *   time    "250ms" "30s" "5m" "24h" "7d"     the unit is always written
 *   size    4096 "12k" "64m" "1g"             bytes; k, m, g are 1024, 1024^2, 1024^3
 *   mode    "0660"                            octal digits
 *   rate    "100/min" "5/s" "10/30s"          requests per time
 *
 * Every function returns 0 and sets *out, or -1 and leaves *out alone. Numbers have at most ten digits, so no
 * unit overflows 64 bits. */
#ifndef UNITS_H
#define UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "spop/cursor.h"

int unit_count(const char *text, uint64_t *out);
int unit_size(const char *text, uint64_t *out);
int unit_mode(const char *text, uint64_t *out);
int unit_msec(const char *text, uint64_t *out);
/* A time that is a whole number of seconds. */
int unit_sec(const char *text, uint64_t *out);

enum { RATE_QUOTA_MAX = 1000000, RATE_WINDOW_MAX = 30 * 86400 };

/* quota: 1..RATE_QUOTA_MAX requests in window_s: 1..RATE_WINDOW_MAX seconds. */
int unit_rate(const char *text, uint32_t *quota, uint32_t *window_s);

/* Words of a list "a, b": parted by commas, without the blanks around them. *at begins as the text; false: no
 * more. A text without a comma is one word, the empty text too. */
bool unit_next_word(const char **at, struct spop_slice *word);

#endif
