// SPDX-License-Identifier: MIT
/* Capacity doubles from 256 bytes on and is kept by a reset: after the first few uses nothing is allocated.
 * A put asks buf_reserve() first, which may set `failed`.
 *
 *   data ──► | len bytes in use | cap - len free |
 */
#include "domain/buf.h"

#include <stdlib.h>

#include "domain/le.h"
#include "domain/text.h"

void buf_init(struct buf *b)
{
    *b = (struct buf){0};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (more <= b->cap - b->len)
        return true;
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->len < more) {
        if (cap > SIZE_MAX / 2) {
            b->failed = true;
            return false;
        }
        cap *= 2;
    }
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_le(struct buf *b, uint64_t v, unsigned bytes)
{
    uint8_t out[8];
    le_put(out, v, bytes);
    buf_put(b, out, bytes);
}

void buf_f64(struct buf *b, double v)
{
    uint64_t bits;
    uint8_t out[8];
    memcpy(&bits, &v, sizeof bits);
    le_put_8(out, bits);
    buf_put(b, out, sizeof out);
}

void buf_dec(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    buf_put(b, digits + at, sizeof digits - at);
}

void buf_hex(struct buf *b, const uint8_t *bytes, size_t len)
{
    if (!buf_reserve(b, 2 * len))
        return;
    hex_write(bytes, len, (char *)b->data + b->len);
    b->len += 2 * len;
}

void buf_shift(struct buf *b, size_t n)
{
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}
