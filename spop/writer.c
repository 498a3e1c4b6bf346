// SPDX-License-Identifier: MIT
/* Writing frames; the contract is in writer.h.
 *
 *   buf                frame_at            len                 cap
 *    | frames that are   | open frame:       | free              |
 *    | closed            | length, head, ..  |                   |
 *
 * put() and spop_set_str() look at the room that is left. After the first thing that does not fit nothing is
 * written any more: a shorter item behind it must not slip in. */
#include "spop/writer.h"

#include <string.h>

#include "spop/frame.h"
#include "spop/wire.h"

enum {
    ACTION_SET_VAR = 1,
    SET_VAR_ARGS = 3,
    SHORT_STR = 6, /* bytes of a set-var with a short name and a short text beside them */
};

void spop_writer_init(struct spop_writer *w, uint8_t *buf, size_t cap)
{
    *w = (struct spop_writer){.buf = buf, .cap = cap};
}

static inline void put(struct spop_writer *w, const void *bytes, size_t len)
{
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    if (len > 0)
        memcpy(w->buf + w->len, bytes, len);
    w->len += len;
}

static void put_byte(struct spop_writer *w, uint8_t byte)
{
    put(w, &byte, 1);
}

static void store_u32(uint8_t out[4], uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

/* The whole varint or nothing: it is made aside, so that overflow never leaves half of one. */
static void put_long_varint(struct spop_writer *w, uint64_t v)
{
    uint8_t out[SPOP_VARINT_MAX];
    size_t n = 0;
    if (v >= SPOP_VARINT_ONE_BYTE) {
        out[n++] = (uint8_t)(v | SPOP_VARINT_ONE_BYTE);
        for (v = (v - SPOP_VARINT_ONE_BYTE) >> SPOP_VARINT_FIRST_SHIFT; v >= SPOP_VARINT_MORE;
             v = (v - SPOP_VARINT_MORE) >> SPOP_VARINT_SHIFT)
            out[n++] = (uint8_t)(v | SPOP_VARINT_MORE);
    }
    out[n++] = (uint8_t)v;
    put(w, out, n);
}

void spop_put_varint(struct spop_writer *w, uint64_t v)
{
    if (v < SPOP_VARINT_ONE_BYTE)
        put_byte(w, (uint8_t)v);
    else
        put_long_varint(w, v);
}

void spop_put_string(struct spop_writer *w, const char *ptr, size_t len)
{
    spop_put_varint(w, len);
    put(w, ptr, len);
}

void spop_put_typed_str(struct spop_writer *w, const char *ptr, size_t len)
{
    put_byte(w, SPOP_STR);
    spop_put_string(w, ptr, len);
}

void spop_put_typed_uint(struct spop_writer *w, uint32_t v)
{
    put_byte(w, SPOP_UINT32);
    spop_put_varint(w, v);
}

void spop_frame_begin(struct spop_writer *w, unsigned type, uint64_t stream_id, uint64_t frame_id)
{
    uint8_t head[SPOP_PREFIX + 5] = {[SPOP_PREFIX] = (uint8_t)type};
    store_u32(head + SPOP_PREFIX + 1, SPOP_FLAG_FIN);
    w->frame_at = w->len;
    put(w, head, sizeof head);
    spop_put_varint(w, stream_id);
    spop_put_varint(w, frame_id);
}

size_t spop_frame_end(struct spop_writer *w)
{
    size_t taken = w->len - w->frame_at;
    if (w->overflow || taken - SPOP_PREFIX > UINT32_MAX) {
        w->len = w->frame_at;
        w->overflow = false;
        return 0;
    }
    store_u32(w->buf + w->frame_at, (uint32_t)(taken - SPOP_PREFIX));
    return taken;
}

void spop_ack_begin(struct spop_writer *w, uint64_t stream_id, uint64_t frame_id)
{
    spop_frame_begin(w, SPOP_ACK, stream_id, frame_id);
}

static void set_var(struct spop_writer *w, enum spop_scope scope, const char *name)
{
    const uint8_t head[] = {ACTION_SET_VAR, SET_VAR_ARGS, (uint8_t)scope};
    put(w, head, sizeof head);
    spop_put_string(w, name, strlen(name));
}

/* Nearly all are short: then the whole action is one piece, and the room is looked at once. */
void spop_set_str(struct spop_writer *w, enum spop_scope scope, const char *name, const char *ptr, size_t len)
{
    size_t name_len = strlen(name), whole = SHORT_STR + name_len + len;
    if (name_len >= SPOP_VARINT_ONE_BYTE || len >= SPOP_VARINT_ONE_BYTE) {
        set_var(w, scope, name);
        spop_put_typed_str(w, ptr, len);
        return;
    }
    if (w->overflow || whole > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    uint8_t *to = w->buf + w->len;
    w->len += whole;
    *to++ = ACTION_SET_VAR;
    *to++ = SET_VAR_ARGS;
    *to++ = (uint8_t)scope;
    *to++ = (uint8_t)name_len;
    memcpy(to, name, name_len);
    to += name_len;
    *to++ = SPOP_STR;
    *to++ = (uint8_t)len;
    if (len > 0)
        memcpy(to, ptr, len);
}

void spop_set_int(struct spop_writer *w, enum spop_scope scope, const char *name, int64_t v)
{
    set_var(w, scope, name);
    put_byte(w, SPOP_INT64);
    spop_put_varint(w, (uint64_t)v);
}

void spop_set_bool(struct spop_writer *w, enum spop_scope scope, const char *name, bool v)
{
    set_var(w, scope, name);
    put_byte(w, v ? SPOP_BOOL | SPOP_BOOL_TRUE : SPOP_BOOL);
}
