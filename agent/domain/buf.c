// SPDX-License-Identifier: MIT
#include "domain/buf.h"

#include <stdlib.h>
#include <string.h>

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

void buf_put(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0 || !buf_reserve(b, len))
        return;
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}

void buf_str(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static void put_le(struct buf *b, uint64_t v, unsigned bytes)
{
    uint8_t out[8];
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(v >> (8 * i));
    buf_put(b, out, bytes);
}

void buf_u8(struct buf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void buf_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_le(b, bits, 8);
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
    static const char hex[] = "0123456789abcdef";
    if (!buf_reserve(b, 2 * len))
        return;
    for (size_t i = 0; i < len; i++) {
        b->data[b->len++] = (uint8_t)hex[bytes[i] >> 4];
        b->data[b->len++] = (uint8_t)hex[bytes[i] & 15];
    }
}

void buf_shift(struct buf *b, size_t n)
{
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}
