// SPDX-License-Identifier: MIT
/* SPOP frames: finding a whole one in a stream of bytes, and reading its head.
 *
 *    0         4      5       9           varint    varint
 *   +---------+------+-------+-----------+---------+----------------
 *   | length  | type | flags | stream-id | frame-id| payload ...
 *   +---------+------+-------+-----------+---------+----------------
 *     32 bit    8      32 bit, network order
 *
 * The length counts what follows it. Format: HAProxy doc/SPOE.txt, section 3.2. */
#ifndef SPOP_FRAME_H
#define SPOP_FRAME_H

#include "spop/cursor.h"
#include "spop/status.h"

enum spop_frame_type {
    SPOP_FRAME_UNSET = 0,
    SPOP_HAPROXY_HELLO = 1,
    SPOP_HAPROXY_DISCONNECT = 2,
    SPOP_NOTIFY = 3,
    SPOP_AGENT_HELLO = 101,
    SPOP_AGENT_DISCONNECT = 102,
    SPOP_ACK = 103,
};

enum {
    SPOP_FLAG_FIN = 1,
    SPOP_FRAME_MIN = 7,    /* type, flags, two one-byte ids */
    SPOP_PREFIX = 4,       /* the length field itself */
    SPOP_FRAME_LEAST = 256 /* smallest max-frame-size that may be negotiated (doc/SPOE.txt 3.2.4) */
};

struct spop_frame {
    enum spop_frame_type type;
    uint32_t flags;
    uint64_t stream_id, frame_id;
    struct spop_cursor payload;
};

/* Looks at the first frame of `len` bytes. Returns the bytes it takes with its length field (> 0), 0 if more
 * bytes are needed, or minus an enum spop_status if the stream is broken (length under SPOP_FRAME_MIN or over
 * max_frame). */
long spop_frame_find(const uint8_t *bytes, size_t len, size_t max_frame);

/* Reads the head of a whole frame of `len` bytes (as found above, length field included). SPOP_OK or the
 * status to disconnect with: FRAGMENTED (no FIN, or UNSET: a later fragment), NO_FRAME_ID (a NOTIFY or ACK
 * without), INVALID. An unknown type is SPOP_OK: the caller says what it makes of it. */
enum spop_status spop_frame_open(const uint8_t *bytes, size_t len, struct spop_frame *f);

#endif
