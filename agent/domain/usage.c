// SPDX-License-Identifier: MIT
/* Ticks are 100 ns since 2023-01-01 UTC, written as doubles (redis-lua/lib_limits.lua, lib_window.lua). */
#include "domain/usage.h"

#include <string.h>

#include "domain/le.h"
#include "domain/script.h"

enum { HEAD = 12, ENTRY = 12, WINDOW = HEAD + 61 * ENTRY, COUNT_AT = 8, TAT_AT = 4 };

static const double TICKS_PER_US = 10, TICKS_PER_S = 1e7, EPOCH_US = 1672531200e6,
                    TICKS_END = 9007199254740992.0;

static double ticks_of(uint64_t us)
{
    return ((double)us - EPOCH_US) * TICKS_PER_US;
}

/* False: no whole number of ticks. */
static bool read_ticks(const char *at, double *out)
{
    uint64_t bits = le_get((const uint8_t *)at, sizeof bits);
    memcpy(out, &bits, sizeof *out);
    return *out >= 0 && *out < TICKS_END && *out <= (double)(uint64_t)*out;
}

static uint32_t read_count(const char *at)
{
    return (uint32_t)le_get((const uint8_t *)at + COUNT_AT, 4);
}

/* The newest request's ticks; false: it is no window. */
static bool is_window(struct spop_slice value, double *newest)
{
    double first, last;
    uint64_t sum = 0;
    if (value.len < HEAD + ENTRY || value.len > WINDOW || (value.len - HEAD) % ENTRY != 0 ||
        !read_ticks(value.ptr, &first))
        return false;
    *newest = 0;
    for (size_t at = HEAD; at < value.len; at += ENTRY) {
        if (!read_ticks(value.ptr + at, &last) || last < *newest)
            return false;
        *newest = last;
        sum += read_count(value.ptr + at);
    }
    return first <= *newest && sum == read_count(value.ptr);
}

bool usage_window(struct spop_slice value, uint64_t now_us, uint64_t ttl_ms, struct usage_window *out)
{
    double newest, last, now = ticks_of(now_us);
    if (!is_window(value, &newest))
        return false;
    double left_s = ((double)ttl_ms - SCRIPT_GROUP_SLACK_MS) / 1e3,
           width_s = left_s + (now - newest) / TICKS_PER_S;
    *out = (struct usage_window){.width_s =
                                     width_s >= 1 && width_s < UINT32_MAX ? (uint32_t)(width_s + 0.5) : 1};
    for (size_t at = HEAD; at < value.len; at += ENTRY)
        if (read_ticks(value.ptr + at, &last) && last + out->width_s * TICKS_PER_S > now)
            out->requests += read_count(value.ptr + at);
    return true;
}

size_t usage_cells(struct spop_slice value, unsigned *loans)
{
    *loans = value.len % USAGE_CELL == 1 ? (uint8_t)value.ptr[value.len - 1] : 0;
    size_t behind = *loans > 0 ? *loans * (size_t)USAGE_LOAN + 1 : 0;
    if (behind <= value.len)
        return value.len - behind;
    *loans = 0;
    return value.len;
}

bool usage_bucket(const char *cell, uint64_t now_us, double *seconds)
{
    double tat, now = ticks_of(now_us);
    if (!read_ticks(cell + TAT_AT, &tat))
        return false;
    *seconds = tat > now ? (tat - now) / TICKS_PER_S : 0;
    return true;
}
