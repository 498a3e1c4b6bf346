// SPDX-License-Identifier: MIT
/* Reading SPOP's wire types from a bounded piece of memory.
 *
 * A cursor is a pair of pointers into a buffer that the caller owns; values are slices of that buffer and
 * live as long as it does. Every read either moves the cursor past one whole item and returns 0, or returns
 * -1 and leaves the cursor where it was. Bounds are tested by subtraction; a varint stops after 10 bytes.
 * Format: HAProxy doc/SPOE.txt, section 3.1.
 *
 * A NOTIFY has dozens of short strings: what reads one stands here, a call for each would cost more than the work; and cursors and
 * values are read member by member: a copy of the whole struct waits for each member that has just been written. */
#ifndef SPOP_CURSOR_H
#define SPOP_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spop/slice.h"
#include "spop/wire.h"

enum spop_type {
    SPOP_NULL = 0,
    SPOP_BOOL = 1,
    SPOP_INT32 = 2,
    SPOP_UINT32 = 3,
    SPOP_INT64 = 4,
    SPOP_UINT64 = 5,
    SPOP_IPV4 = 6,
    SPOP_IPV6 = 7,
    SPOP_STR = 8,
    SPOP_BIN = 9,
};

/* One typed value. integer: BOOL as 0/1, signed types sign-extended, UINT64 as its bits.
 * bytes: STR and BIN their content, IPV4 4 and IPV6 16 bytes in network order. */
struct spop_value {
    enum spop_type type;
    int64_t integer;
    struct spop_slice bytes;
};

struct spop_cursor {
    const uint8_t *at, *end;
};

/* The rest of a varint whose first byte is SPOP_VARINT_ONE_BYTE or more, and all others. */
int spop_get_long_varint(struct spop_cursor *c, uint64_t *out);

static inline int spop_get_varint(struct spop_cursor *c, uint64_t *out)
{
    const uint8_t *at = c->at;
    if (at == c->end || *at >= SPOP_VARINT_ONE_BYTE)
        return spop_get_long_varint(c, out);
    *out = *at;
    c->at = at + 1;
    return 0;
}

/* A varint length and that many bytes. */
static inline int spop_get_string(struct spop_cursor *c, struct spop_slice *out)
{
    const uint8_t *from = c->at;
    uint64_t len;
    if (spop_get_varint(c, &len) < 0)
        return -1;
    if (len > (size_t)(c->end - c->at)) {
        c->at = from;
        return -1;
    }
    out->ptr = (const char *)c->at;
    out->len = (size_t)len;
    c->at += len;
    return 0;
}

/* Long texts and numbers, booleans, addresses, the last byte of a payload, and what is wrong. */
int spop_get_other_value(struct spop_cursor *c, struct spop_value *out);

/* Nearly all are texts and numbers of one byte of length or value, or nothing. */
static inline int spop_get_value(struct spop_cursor *c, struct spop_value *out)
{
    const uint8_t *at = c->at;
    size_t left = (size_t)(c->end - at);
    if (left < 2 || at[1] >= SPOP_VARINT_ONE_BYTE)
        return spop_get_other_value(c, out);
    enum spop_type type = (enum spop_type)(at[0] & SPOP_TYPE_MASK);
    size_t n = at[1], taken = 2;
    out->type = type;
    out->integer = 0;
    out->bytes.ptr = NULL;
    out->bytes.len = 0;
    if (type == SPOP_STR || type == SPOP_BIN) {
        if (n > left - 2)
            return -1;
        out->bytes.ptr = (const char *)at + 2;
        out->bytes.len = n;
        taken += n;
    } else if (type >= SPOP_INT32 && type <= SPOP_UINT64) {
        out->integer = (int64_t)n;
    } else if (type == SPOP_NULL) {
        taken = 1;
    } else {
        return spop_get_other_value(c, out);
    }
    c->at = at + taken;
    return 0;
}

#endif
