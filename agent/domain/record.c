// SPDX-License-Identifier: MIT
/* Head by offsets (docs/wire.md, Record), response by msgpack: array of 3 [status, [name, value, ..], body].
 *
 * Written by msgpack-c. Read by a walk over the few types that are written, without a copy: bodies are large,
 * and msgpack-c's unpacker allocates an object for each element. */
#include "domain/record.h"

#include <msgpack.h>
#include <string.h>

#include "domain/le.h"
#include "domain/text.h"

enum {
    AT_STATE = 1,
    AT_FLAGS = 2,
    AT_WHY = 3,
    AT_FENCE = 4,
    AT_RID = 12,
    AT_LEASE = 20,
    AT_LOCK = 28,
    AT_TTL = 32,
    AT_STATUS = 36,
    AT_FINGERPRINT = 38,
    AT_POLICY = 54,
    AT_WHO = 58,
    STATUS_MIN = 100,
    STATUS_MAX = 599,
};

int record_open(const void *bytes, size_t len, struct record *r)
{
    static const char states[] = {RECORD_FREE, RECORD_RUNNING, RECORD_ANSWERED,
                                  RECORD_HELD, RECORD_DONE,    RECORD_TOMB};
    const uint8_t *in = bytes;
    if (len <= RECORD_HEAD || in[0] != RECORD_VERSION || !memchr(states, in[AT_STATE], sizeof states))
        return -1;
    size_t np = in[RECORD_HEAD], rest = len - RECORD_HEAD - 1;
    if (np > rest)
        return -1;
    r->state = in[AT_STATE];
    r->flags = in[AT_FLAGS];
    r->why = in[AT_WHY];
    r->fence = le_get(in + AT_FENCE, 8);
    memcpy(r->rid, in + AT_RID, sizeof r->rid);
    r->lease_until_us = le_get(in + AT_LEASE, 8);
    r->lock_ms = (uint32_t)le_get(in + AT_LOCK, 4);
    r->ttl_s = (uint32_t)le_get(in + AT_TTL, 4);
    r->status = (uint16_t)le_get(in + AT_STATUS, 2);
    memcpy(r->fingerprint, in + AT_FINGERPRINT, sizeof r->fingerprint);
    r->policy = (uint32_t)le_get(in + AT_POLICY, 4);
    memcpy(r->who, in + AT_WHO, sizeof r->who);
    const char *process = (const char *)in + RECORD_HEAD + 1;
    size_t slots = 0;
    if (r->flags & RECORD_SLOTS)
        slots = rest > np ? 1 + (size_t)RECORD_SLOT * (uint8_t)process[np] : 1;
    if (slots > rest - np)
        return -1;
    r->process = (struct spop_slice){process, np};
    r->slots = (struct spop_slice){process + np, slots};
    r->payload = (struct spop_slice){process + np + slots, rest - np - slots};
    return 0;
}

/* RFC 9110, section 7.6.1, and Content-Length: they belong to one connection or one message. */
#define NAME(text)                                                                                           \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }
static const struct spop_slice never[] = {
    NAME("connection"), NAME("content-length"),    NAME("keep-alive"), NAME("proxy-connection"),  NAME("te"),
    NAME("trailer"),    NAME("transfer-encoding"), NAME("upgrade"),    NAME("proxy-authenticate")};
#undef NAME

static bool name_is(struct spop_slice name, const char *want, size_t len)
{
    if (name.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text_lower(name.ptr[i]) != text_lower(want[i]))
            return false;
    return true;
}

/* pattern: a name, or a prefix with `*` behind it. */
static bool name_matches(struct spop_slice name, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len == 0 || pattern[len - 1] != '*')
        return name_is(name, pattern, len);
    return name.len >= len - 1 && name_is((struct spop_slice){name.ptr, len - 1}, pattern, len - 1);
}

/* Is the name one of a comma-separated list (the value of Connection)? */
static bool listed(struct spop_slice list, struct spop_slice name)
{
    const char *at = list.ptr, *end = at + list.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end, *last = stop;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (last > at && name_is(name, at, (size_t)(last - at)))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

/* Does any Connection line name this header? */
static bool connection_names(struct spop_slice hdrs_bin, struct spop_slice header)
{
    struct spop_slice name, value;
    struct spop_cursor c = headers_walk(hdrs_bin);
    while (headers_next(&c, &name, &value) == 1)
        if (name_is(name, "connection", 10) && listed(value, header))
            return true;
    return false;
}

struct filter {
    struct spop_slice hdrs_bin;
    const char *const *drop;
    size_t ndrop;
    bool has_connection;
    uint64_t kept; /* a bit for each of the first headers, once they have been counted */
};

static bool kept(const struct filter *f, struct spop_slice name)
{
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (name_is(name, never[i].ptr, never[i].len))
            return false;
    for (size_t i = 0; i < f->ndrop; i++)
        if (name_matches(name, f->drop[i]))
            return false;
    return !(f->has_connection && connection_names(f->hdrs_bin, name));
}

static int to_buf(void *out, const char *bytes, size_t len)
{
    buf_put(out, bytes, len);
    return 0;
}

static void pack_bin(msgpack_packer *pk, struct spop_slice s)
{
    msgpack_pack_bin(pk, s.len);
    if (s.len > 0)
        msgpack_pack_bin_body(pk, s.ptr, s.len);
}

/* Once to count (pk NULL), once to write. Which are kept is worked out once, of the first 64. -1: malformed. */
static int walk_headers(struct filter *f, msgpack_packer *pk, size_t *count)
{
    struct spop_slice name, value;
    struct spop_cursor c = headers_walk(f->hdrs_bin);
    uint64_t bit = 1;
    int found;
    *count = 0;
    for (; (found = headers_next(&c, &name, &value)) == 1; bit <<= 1) {
        bool keep = pk && bit ? f->kept & bit : kept(f, name);
        f->kept |= keep ? bit : 0;
        if (!keep)
            continue;
        ++*count;
        if (pk) {
            pack_bin(pk, name);
            pack_bin(pk, value);
        }
    }
    return found;
}

/* head: goes in front, if the headers are whole. */
static int pack_response(struct buf *out, const struct response *r, const char *const *drop, size_t ndrop,
                         struct spop_slice head)
{
    struct filter f = {r->headers, drop, ndrop, headers_find(r->headers, "connection").len > 0, 0};
    size_t count;
    if (walk_headers(&f, NULL, &count) < 0)
        return -1;
    buf_put(out, head.ptr, head.len);
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, to_buf);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_unsigned_int(&pk, r->status);
    msgpack_pack_array(&pk, 2 * count);
    walk_headers(&f, &pk, &count);
    pack_bin(&pk, r->body);
    return 0;
}

int stored_pack(struct buf *out, const struct response *r, const char *const *drop, size_t ndrop)
{
    return pack_response(out, r, drop, ndrop, (struct spop_slice){0});
}

int record_pack_done(struct buf *out, const struct response *r, const char *const *drop, size_t ndrop)
{
    static const char head[RECORD_HEAD + 1] = {RECORD_VERSION, RECORD_DONE};
    return pack_response(out, r, drop, ndrop, (struct spop_slice){head, sizeof head});
}

/* A length of `bytes` bytes, big-endian as all of msgpack. */
static int take_be(struct spop_cursor *c, unsigned bytes, uint64_t *out)
{
    if ((size_t)(c->end - c->at) < bytes)
        return -1;
    *out = 0;
    for (unsigned i = 0; i < bytes; i++)
        *out = *out << 8 | *c->at++;
    return 0;
}

/* The types that record_pack_done() writes (msgpack, spec.md, Formats): a type byte, or a range of them that
 * holds the number itself, then so many bytes of number. */
enum pack_type { PACK_UINT, PACK_ARRAY, PACK_BIN };
static const struct {
    enum pack_type type;
    uint8_t first, last, bytes;
} pack_types[] = {
    {PACK_UINT,  0x00, 0x7f, 0},
    {PACK_UINT,  0xcc, 0xcc, 1},
    {PACK_UINT,  0xcd, 0xcd, 2},
    {PACK_ARRAY, 0x90, 0x9f, 0},
    {PACK_ARRAY, 0xdc, 0xdc, 2},
    {PACK_ARRAY, 0xdd, 0xdd, 4},
    {PACK_BIN,   0xc4, 0xc4, 1},
    {PACK_BIN,   0xc5, 0xc5, 2},
    {PACK_BIN,   0xc6, 0xc6, 4},
};

static int take_number(struct spop_cursor *c, enum pack_type type, uint64_t *out)
{
    if (c->at == c->end)
        return -1;
    uint8_t byte = *c->at++;
    for (size_t i = 0; i < sizeof pack_types / sizeof *pack_types; i++) {
        if (pack_types[i].type != type || byte < pack_types[i].first || byte > pack_types[i].last)
            continue;
        *out = byte - pack_types[i].first;
        return pack_types[i].bytes ? take_be(c, pack_types[i].bytes, out) : 0;
    }
    return -1;
}

static int take_bin(struct spop_cursor *c, struct spop_slice *out)
{
    uint64_t len;
    if (take_number(c, PACK_BIN, &len) < 0 || len > (size_t)(c->end - c->at))
        return -1;
    *out = (struct spop_slice){(const char *)c->at, len};
    c->at += len;
    return 0;
}

int stored_open(struct spop_slice payload, struct stored *s)
{
    struct spop_cursor c = headers_walk(payload);
    struct spop_slice skipped;
    uint64_t three, status, strings;
    if (take_number(&c, PACK_ARRAY, &three) < 0 || three != 3 || take_number(&c, PACK_UINT, &status) < 0 ||
        status < STATUS_MIN || status > STATUS_MAX || take_number(&c, PACK_ARRAY, &strings) < 0 ||
        strings % 2 != 0)
        return -1;
    const uint8_t *first = c.at;
    for (uint64_t i = 0; i < strings; i++)
        if (take_bin(&c, &skipped) < 0)
            return -1;
    s->headers = (struct spop_slice){(const char *)first, (size_t)(c.at - first)};
    if (take_bin(&c, &s->body) < 0 || c.at != c.end)
        return -1;
    s->status = (unsigned)status;
    s->nheaders = (unsigned)(strings / 2);
    return 0;
}

int stored_header(struct spop_slice *at, struct spop_slice *name, struct spop_slice *value)
{
    struct spop_cursor c = headers_walk(*at);
    if (c.at == c.end)
        return 0;
    if (take_bin(&c, name) < 0 || take_bin(&c, value) < 0)
        return -1;
    *at = (struct spop_slice){(const char *)c.at, (size_t)(c.end - c.at)};
    return 1;
}
