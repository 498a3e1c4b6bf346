// SPDX-License-Identifier: MIT
/* A record as it lies in Redis: fixed head, process, payload (docs/wire.md, Record), and the stored response
 * in it. Pure: bytes in, slices out. */
#ifndef RECORD_H
#define RECORD_H

#include "domain/buf.h"
#include "domain/headers.h"
#include "spop/cursor.h"
#include "version.h"

enum { RECORD_VERSION = PROTOCOL_VERSION, RECORD_HEAD = 66, RECORD_WHO = 8 };

enum { RECORD_SLOT = 18 }; /* TAG and digest of the sorted set of a slot */

enum record_state {
    RECORD_FREE = 'F',
    RECORD_RUNNING = 'R',
    RECORD_ANSWERED = 'A',
    RECORD_HELD = 'H',
    RECORD_DONE = 'D',
    RECORD_TOMB = 'T',
};

enum {
    RECORD_HOLD = 1,
    RECORD_LAPSE = 2,
    RECORD_PARTIAL = 4,
    RECORD_WAITERS = 8,
    RECORD_SLOTS = 16,
    RECORD_BARE = 32
};

struct record {
    uint8_t state, flags, why;
    uint64_t fence, lease_until_us;
    uint8_t rid[8];
    uint32_t lock_ms, ttl_s;
    uint16_t status;
    uint8_t fingerprint[16];
    uint32_t policy;         /* policy_hash() */
    uint8_t who[RECORD_WHO]; /* subject_who(); zeros: no principal, or the record was rebuilt from a token */
    struct spop_slice process, payload;
    struct spop_slice slots; /* with RECORD_SLOTS: how many, then RECORD_SLOT bytes for each; else empty */
};

/* 0, or -1: too short, unknown version, unknown state. Slices point into bytes. */
int record_open(const void *bytes, size_t len, struct record *r);

/* A response that may be stored. drop: names (lower case) of headers that are never stored; names ending in
 * `*` are prefixes. hop-by-hop headers, those that `Connection` names and Content-Length are dropped always.
 */
struct response {
    unsigned status;
    struct spop_slice headers; /* HAProxy's res.hdrs_bin: varint len, name, varint len, value .. 00 00 */
    struct spop_slice body;
};

/* Appends the response as msgpack. 0, or -1 if headers are malformed, and nothing was written. */
int stored_pack(struct buf *out, const struct response *r, const char *const *drop, size_t ndrop);
/* Appends the RECORD_HEAD + 1 bytes of an empty DONE head and the response as msgpack. 0, or -1 if headers are malformed.
 */
int record_pack_done(struct buf *out, const struct response *r, const char *const *drop, size_t ndrop);

/* A stored response, opened. */
struct stored {
    unsigned status;
    unsigned nheaders;
    struct spop_slice headers; /* opaque; walk with stored_header() */
    struct spop_slice body;
};

/* payload: record.payload of a DONE record, whole. 0, or -1 if it is not what record_pack_done() writes. */
int stored_open(struct spop_slice payload, struct stored *s);
/* Next header; *at begins as s->headers. 1 found, 0 no more, -1 malformed. */
int stored_header(struct spop_slice *at, struct spop_slice *name, struct spop_slice *value);

#endif
