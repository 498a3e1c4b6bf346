// SPDX-License-Identifier: MIT
/* Headers as HAProxy sends them, made of lines, in memory of exactly their size: reading one byte too far ends the test.
 *
 *   "Age: 5\nX:\n"  ──►  | 3 Age 1 5 | 1 X 0 | 0 0 |
 */
#ifndef HEADERS_BIN_H
#define HEADERS_BIN_H

#include <stdlib.h>

#include "tests/unit/heart.h"
#include "domain/buf.h"

static inline void put_varint(struct buf *b, size_t v)
{
    if (v < 240) {
        buf_u8(b, (uint8_t)v);
        return;
    }
    buf_u8(b, (uint8_t)(v | 240));
    for (v = (v - 240) >> 4; v >= 128; v = (v - 128) >> 7)
        buf_u8(b, (uint8_t)(v | 128));
    buf_u8(b, (uint8_t)v);
}

static inline void put_text(struct buf *b, const char *text, size_t len)
{
    put_varint(b, len);
    buf_put(b, text, len);
}

static inline struct spop_slice exact_copy(const void *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return (struct spop_slice){copy, len};
}

/* One blank behind the colon is dropped, others stay. */
static inline struct spop_slice headers_new(const char *lines)
{
    struct buf b = {0};
    for (const char *end; *lines; lines = end + 1) {
        const char *colon = strchr(lines, ':'), *value = colon + 1 + (colon[1] == ' ');
        end = strchr(lines, '\n');
        put_text(&b, lines, (size_t)(colon - lines));
        put_text(&b, value, (size_t)(end - value));
    }
    buf_put(&b, "\0", 2);
    struct spop_slice s = exact_copy(b.data, b.len);
    buf_free(&b);
    return s;
}

static inline void headers_free(struct spop_slice s)
{
    free((void *)(uintptr_t)s.ptr);
}

#endif
