// SPDX-License-Identifier: MIT
/* Finding and opening frames; the contract is in frame.h.
 *
 *   bytes ──spop_frame_find─┬─► 0: more
 *                           ├─► -status: broken
 *                           └─► n: a whole frame ──spop_frame_open──► head, payload
 *
 * What a head must say, by type (doc/SPOE.txt 3.2, 3.2.4 to 3.2.9):
 *
 *   type                       | FIN      | stream-id, frame-id
 *   HELLO, DISCONNECT          | set      | 0, 0
 *   NOTIFY, ACK                | set      | any (HAProxy's first stream is 0), not 0
 *   UNSET (later fragment)     | refused: nobody fragments towards a peer that has not announced it
 *   others                     | passed on unchecked
 */
#include "spop/frame.h"

enum { FLAGS_AT = SPOP_PREFIX + 1, IDS_AT = FLAGS_AT + 4 };

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

long spop_frame_find(const uint8_t *bytes, size_t len, size_t max_frame)
{
    if (len < SPOP_PREFIX)
        return 0;
    uint32_t size = read_u32(bytes);
    if (size < SPOP_FRAME_MIN)
        return -(long)SPOP_INVALID;
    if (size > max_frame)
        return -(long)SPOP_TOO_BIG;
    return size > len - SPOP_PREFIX ? 0 : (long)SPOP_PREFIX + (long)size;
}

static enum spop_status check_whole(const struct spop_frame *f)
{
    return f->flags & SPOP_FLAG_FIN ? SPOP_OK : SPOP_FRAGMENTED;
}

static enum spop_status check_head(const struct spop_frame *f)
{
    switch (f->type) {
    case SPOP_FRAME_UNSET: return SPOP_FRAGMENTED;
    case SPOP_HAPROXY_HELLO:
    case SPOP_HAPROXY_DISCONNECT:
    case SPOP_AGENT_HELLO:
    case SPOP_AGENT_DISCONNECT: return f->stream_id != 0 || f->frame_id != 0 ? SPOP_INVALID : check_whole(f);
    case SPOP_NOTIFY:
    case SPOP_ACK: return f->frame_id == 0 ? SPOP_NO_FRAME_ID : check_whole(f);
    }
    return SPOP_OK;
}

enum spop_status spop_frame_open(const uint8_t *bytes, size_t len, struct spop_frame *f)
{
    if (len < SPOP_PREFIX + SPOP_FRAME_MIN)
        return SPOP_INVALID;
    *f = (struct spop_frame){
        .type = (enum spop_frame_type)bytes[SPOP_PREFIX],
        .flags = read_u32(bytes + FLAGS_AT),
        .payload = {.at = bytes + IDS_AT, .end = bytes + len},
    };
    if (spop_get_varint(&f->payload, &f->stream_id) < 0)
        return SPOP_INVALID;
    if (spop_get_varint(&f->payload, &f->frame_id) < 0)
        return SPOP_NO_FRAME_ID;
    return check_head(f);
}
