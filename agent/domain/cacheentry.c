// SPDX-License-Identifier: MIT
/* Layouts as in cacheentry.h; numbers are little-endian. Each length is held against what is left before it is used:
 *
 *   | head 72 | etag | n x (1, name) | n x 16 | payload ...... |      one that does not fit: no entry, which is a miss */
#include "domain/cacheentry.h"

#include "domain/le.h"
#include "domain/record.h"
#include "domain/seal.h"
#include "version.h"

#include <string.h>

enum { NEVER_STALE = 1, DATED = 2 };
/* An answer comes behind its request. Redis tells when that was asked, the agent by its idea of Redis' clock when it came, and how late
 * it is. A time that is far beyond would outlive every purge. */
enum { CLOCKS_APART_US = 10000000 };
enum {
    AT_STATUS = 2,
    AT_POLICY = 4,
    AT_URL = 8,
    AT_ASKED = 24,
    AT_RECEIVED = 32,
    AT_INITIAL = 40,
    AT_LIFETIME = 48,
    AT_SWR = 52,
    AT_SIE = 56,
    AT_MODIFIED = 60,
    AT_ETAG = 68,
    AT_NAMES = 70,
    AT_TAGS = 71,
    HEAD = 72,
    TIME = 8, /* bytes of a time of Redis */
    PREFIX_HEAD = TIME + 2,
};
/* In the time of a URL's state: nothing was purged then, it is when the state began (redis-lua/lease.lua). */
static const uint64_t KNOWN = UINT64_C(1) << 63;

void cachestate_put_names(struct buf *out, const struct vary_names *names)
{
    for (unsigned i = 0; i < names->n; i++) {
        size_t len = strlen(names->name[i]);
        buf_u8(out, (uint8_t)len);
        buf_put(out, names->name[i], len);
    }
}

bool cacheentry_write(struct buf *out, const struct cacheentry *e)
{
    const struct freshness *f = &e->freshness;
    if (e->etag.len > UINT16_MAX || e->ntags > CACHETAGS_MAX)
        return false;
    buf_u8(out, PROTOCOL_VERSION);
    buf_u8(out, (uint8_t)((f->never_stale ? NEVER_STALE : 0) | (f->dated ? DATED : 0)));
    buf_le(out, e->status, 2);
    buf_le(out, e->policy, 4);
    buf_put(out, e->url, sizeof e->url);
    buf_le(out, e->asked_us, 8);
    buf_le(out, f->received_us, 8);
    buf_le(out, f->initial_age_us, 8);
    buf_le(out, f->lifetime_s, 4);
    buf_le(out, f->stale_while_revalidate_s, 4);
    buf_le(out, f->stale_if_error_s, 4);
    buf_le(out, (uint64_t)e->modified_s, 8);
    buf_le(out, e->etag.len, 2);
    buf_u8(out, e->names.n);
    buf_u8(out, (uint8_t)e->ntags);
    buf_put(out, e->etag.ptr, e->etag.len);
    cachestate_put_names(out, &e->names);
    buf_put(out, e->tags, (size_t)e->ntags * CACHETAGS_DIGEST);
    return true;
}

static int take(struct spop_slice *from, size_t n, struct spop_slice *out)
{
    if (n > from->len)
        return -1;
    *out = (struct spop_slice){from->ptr, n};
    slice_skip(from, n);
    return 0;
}

/* Sorted and each once, as they were written: else it is nobody's list. */
static int take_names(struct spop_slice *from, unsigned n, struct vary_names *out)
{
    struct spop_slice length, name;
    out->n = 0;
    for (unsigned i = 0; i < n; i++) {
        if (take(from, 1, &length) < 0 || take(from, (uint8_t)length.ptr[0], &name) < 0 ||
            vary_add(out, name) != VARY_READ)
            return -1;
    }
    return out->n == n ? 0 : -1;
}

/* Can the answer be served? What is sealed is known when it is opened. */
static bool is_servable(const struct cacheentry *e)
{
    struct spop_slice at, name, value;
    struct stored s;
    int more;
    if (seal_is(e->payload))
        return true;
    if (stored_open(e->payload, &s) < 0 || s.status != e->status)
        return false;
    at = s.headers;
    while ((more = stored_header(&at, &name, &value)) > 0)
        continue;
    return more == 0;
}

int cacheentry_read(struct spop_slice bytes, struct cacheentry *e)
{
    struct spop_slice rest = bytes, tags;
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    if (bytes.len < HEAD || in[0] != PROTOCOL_VERSION)
        return -1;
    e->status = (unsigned)le_get(in + AT_STATUS, 2);
    e->policy = (uint32_t)le_get(in + AT_POLICY, 4);
    memcpy(e->url, in + AT_URL, sizeof e->url);
    e->asked_us = le_get(in + AT_ASKED, 8);
    e->freshness = (struct freshness){
        .received_us = le_get(in + AT_RECEIVED, 8),
        .initial_age_us = le_get(in + AT_INITIAL, 8),
        .lifetime_s = (uint32_t)le_get(in + AT_LIFETIME, 4),
        .stale_while_revalidate_s = (uint32_t)le_get(in + AT_SWR, 4),
        .stale_if_error_s = (uint32_t)le_get(in + AT_SIE, 4),
        .never_stale = in[1] & NEVER_STALE,
        .dated = in[1] & DATED,
    };
    e->modified_s = (int64_t)le_get(in + AT_MODIFIED, 8);
    e->ntags = in[AT_TAGS];
    slice_skip(&rest, HEAD);
    if (e->asked_us > e->freshness.received_us + CLOCKS_APART_US)
        return -1;
    if (e->ntags > CACHETAGS_MAX || take(&rest, le_get(in + AT_ETAG, 2), &e->etag) < 0 ||
        take_names(&rest, in[AT_NAMES], &e->names) < 0 ||
        take(&rest, (size_t)e->ntags * CACHETAGS_DIGEST, &tags) < 0 || rest.len == 0)
        return -1;
    e->tags = (const uint8_t *)tags.ptr;
    e->payload = rest;
    return is_servable(e) ? 0 : -1;
}

bool cacheentry_counts(const struct cacheentry *e, uint64_t purged_us, uint64_t now_us)
{
    return e->asked_us > purged_us && e->asked_us <= now_us + CLOCKS_APART_US;
}

uint64_t cachestate_purged_us(struct spop_slice value)
{
    uint64_t us = value.len < TIME ? 0 : le_get((const uint8_t *)value.ptr, TIME);
    return us & KNOWN ? 0 : us;
}

uint64_t cachestate_url_us(struct spop_slice value)
{
    return value.len < TIME ? UINT64_MAX : le_get((const uint8_t *)value.ptr, TIME) & ~KNOWN;
}

bool cachestate_names(struct spop_slice value, struct vary_names *out)
{
    if (value.len <= TIME)
        return false;
    slice_skip(&value, TIME);
    unsigned n = (uint8_t)value.ptr[0];
    slice_skip(&value, 1);
    return take_names(&value, n, out) == 0 && value.len == 0;
}

uint64_t cachestate_policy_us(struct spop_slice value, const struct cachekey_url *url)
{
    uint64_t last = cachestate_purged_us(value);
    slice_skip(&value, value.len < TIME ? value.len : TIME);
    while (value.len >= PREFIX_HEAD) {
        const uint8_t *in = (const uint8_t *)value.ptr;
        uint64_t us = le_get(in, TIME);
        struct spop_slice prefix;
        slice_skip(&value, PREFIX_HEAD);
        if (take(&value, le_get(in + TIME, 2), &prefix) < 0)
            return us > last ? us : last;
        if (us > last && (!url || cachekey_prefix(prefix, url)))
            last = us;
    }
    return last;
}
