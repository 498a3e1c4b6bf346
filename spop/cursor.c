// SPDX-License-Identifier: MIT
/* Reading SPOP's wire types; the contract is in cursor.h, the encoding in wire.h.
 *
 *   at ──► moves item by item ──► ok: stays there        cut or bad: put back where the item began
 */
#include "spop/cursor.h"

static size_t left(const struct spop_cursor *c)
{
    return (size_t)(c->end - c->at);
}

static int get_byte(struct spop_cursor *c, uint8_t *out)
{
    if (left(c) == 0)
        return -1;
    *out = *c->at++;
    return 0;
}

static int get_bytes(struct spop_cursor *c, uint64_t len, struct spop_slice *out)
{
    if (len > left(c))
        return -1;
    *out = (struct spop_slice){.ptr = (const char *)c->at, .len = (size_t)len};
    c->at += len;
    return 0;
}

/* sum += byte << shift; -1 if 64 bits cannot hold it. The tenth byte stands at shift 60, where nothing from
 * SPOP_VARINT_MORE on fits: that is what ends the loop of an endless varint. */
static int add_shifted(uint64_t *sum, uint8_t byte, unsigned shift)
{
    if (byte > UINT64_MAX >> shift)
        return -1;
    uint64_t part = (uint64_t)byte << shift;
    if (part > UINT64_MAX - *sum)
        return -1;
    *sum += part;
    return 0;
}

int spop_get_long_varint(struct spop_cursor *c, uint64_t *out)
{
    struct spop_cursor at = *c;
    uint8_t byte;
    if (get_byte(&at, &byte) < 0)
        return -1;
    uint64_t sum = byte;
    if (byte >= SPOP_VARINT_ONE_BYTE) {
        unsigned shift = SPOP_VARINT_FIRST_SHIFT;
        do {
            if (get_byte(&at, &byte) < 0 || add_shifted(&sum, byte, shift) < 0)
                return -1;
            shift += SPOP_VARINT_SHIFT;
        } while (byte >= SPOP_VARINT_MORE);
    }
    *out = sum;
    *c = at;
    return 0;
}

/* A negative INT32 may come as its 32 bits or sign-extended to 64; both mean the same. Anything between is
 * no 32-bit number. */
static int narrow_int32(uint64_t bits, int64_t *out)
{
    if (bits > UINT32_MAX && bits < (uint64_t)INT32_MIN)
        return -1;
    *out = (int32_t)(uint32_t)bits;
    return 0;
}

static int get_integer(struct spop_cursor *c, enum spop_type type, int64_t *out)
{
    uint64_t bits;
    if (spop_get_varint(c, &bits) < 0)
        return -1;
    if (type == SPOP_INT32)
        return narrow_int32(bits, out);
    if (type == SPOP_UINT32 && bits > UINT32_MAX)
        return -1;
    *out = (int64_t)bits;
    return 0;
}

static int get_data(struct spop_cursor *c, uint8_t head, struct spop_value *v)
{
    switch (v->type) {
    case SPOP_NULL: return 0;
    case SPOP_BOOL: v->integer = (head & SPOP_BOOL_TRUE) != 0; return 0;
    case SPOP_INT32:
    case SPOP_UINT32:
    case SPOP_INT64:
    case SPOP_UINT64: return get_integer(c, v->type, &v->integer);
    case SPOP_IPV4: return get_bytes(c, 4, &v->bytes);
    case SPOP_IPV6: return get_bytes(c, 16, &v->bytes);
    case SPOP_STR:
    case SPOP_BIN: return spop_get_string(c, &v->bytes);
    }
    return -1; /* 10 to 15 are reserved: their length is unknown, so nothing behind them can be read */
}

int spop_get_other_value(struct spop_cursor *c, struct spop_value *out)
{
    const uint8_t *from = c->at;
    if (left(c) == 0)
        return -1;
    uint8_t head = *c->at++;
    out->type = (enum spop_type)(head & SPOP_TYPE_MASK);
    out->integer = 0;
    out->bytes.ptr = NULL;
    out->bytes.len = 0;
    if (get_data(c, head, out) == 0)
        return 0;
    c->at = from;
    return -1;
}
