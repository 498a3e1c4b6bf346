// SPDX-License-Identifier: MIT
/* Layouts as in cachefill.h; numbers are little-endian.
 *
 *   policy's Vary: accept, accept-encoding, origin     mask 0b101: accept and origin
 *   values:        8      , 8              , 8         an entry of that mask: digest of url, scope, those two and their values */
#include "domain/cachefill.h"

#include "domain/digest.h"
#include "domain/le.h"
#include "domain/policy.h"
#include "version.h"

#include <string.h>

enum { FLAG_AUTHORIZATION = 1, AT_POLICY = 1, AT_TAG = 5, AT_ENTRY = 7, AT_LEASE = 23 };
enum {
    AT_NAMES = 1,
    AT_URL = 5,
    AT_SCOPE = 21,
    AT_ASKED = 37,
    REST_MAX = CACHEFILL_REST + VARY_MAX * VARY_VALUE
};

uint32_t cachefill_names(const struct vary_names *names)
{
    uint8_t out[16];
    struct digest d;
    digest_begin(&d, sizeof out, "cache-names");
    for (unsigned i = 0; i < names->n; i++)
        digest_field(&d, names->name[i], strlen(names->name[i]));
    digest_end(&d, out);
    return (uint32_t)le_get(out, 4);
}

static void fetch_write(const struct cachefetch *f, char *out)
{
    uint8_t b[CACHEFETCH_BYTES];
    b[0] = (uint8_t)(PROTOCOL_VERSION << 4 | (f->authorization ? FLAG_AUTHORIZATION : 0));
    le_put(b + AT_POLICY, f->policy, 4);
    memcpy(b + AT_TAG, f->entry.tag, sizeof f->entry.tag);
    memcpy(b + AT_ENTRY, f->entry.digest, sizeof f->entry.digest);
    memcpy(b + AT_LEASE, f->lease, sizeof f->lease);
    base64url_write(b, sizeof b, out);
}

void cachefill_write(const struct cachefill *f, char out[CACHEFILL_TEXT_MAX + 1])
{
    uint8_t b[REST_MAX];
    size_t values = (size_t)f->n * VARY_VALUE;
    fetch_write(&f->fetch, out);
    out[CACHEFETCH_TEXT] = '.';
    b[0] = f->n;
    le_put(b + AT_NAMES, f->names, 4);
    memcpy(b + AT_URL, f->url, sizeof f->url);
    memcpy(b + AT_SCOPE, f->scope, sizeof f->scope);
    le_put(b + AT_ASKED, f->asked_us, 8);
    memcpy(b + CACHEFILL_REST, f->values, values);
    base64url_write(b, CACHEFILL_REST + values, out + CACHEFETCH_TEXT + 1);
}

int cachefetch_read(struct spop_slice text, struct cachefetch *f)
{
    uint8_t b[CACHEFETCH_BYTES];
    if (text.len != CACHEFETCH_TEXT || base64url_read(text.ptr, text.len, b, sizeof b) < 0 ||
        b[0] >> 4 != PROTOCOL_VERSION)
        return -1;
    f->authorization = b[0] & FLAG_AUTHORIZATION;
    f->policy = (uint32_t)le_get(b + AT_POLICY, 4);
    memcpy(f->entry.tag, b + AT_TAG, sizeof f->entry.tag);
    memcpy(f->entry.digest, b + AT_ENTRY, sizeof f->entry.digest);
    memcpy(f->lease, b + AT_LEASE, sizeof f->lease);
    return 0;
}

int cachefill_read(struct spop_slice text, struct cachefill *f)
{
    uint8_t b[REST_MAX];
    struct spop_slice fetch = {text.ptr, CACHEFETCH_TEXT}, rest = text;
    if (text.len < CACHEFILL_TEXT_LEAST || text.len > CACHEFILL_TEXT_MAX || text.ptr[CACHEFETCH_TEXT] != '.')
        return -1;
    slice_skip(&rest, CACHEFETCH_TEXT + 1);
    size_t len = rest.len * 6 / 8;
    if (base64url_read(rest.ptr, rest.len, b, len) < 0 || len != CACHEFILL_REST + (size_t)b[0] * VARY_VALUE ||
        cachefetch_read(fetch, &f->fetch) < 0)
        return -1;
    f->n = b[0];
    f->names = (uint32_t)le_get(b + AT_NAMES, 4);
    memcpy(f->url, b + AT_URL, sizeof f->url);
    memcpy(f->scope, b + AT_SCOPE, sizeof f->scope);
    f->asked_us = le_get(b + AT_ASKED, 8);
    memcpy(f->values, b + CACHEFILL_REST, len - CACHEFILL_REST);
    return 0;
}

const struct policy *cachefill_policy(const struct config *c, const struct cachefill *f)
{
    const struct policy *p = policy_by_hash(c, f->fetch.policy);
    bool same =
        p && p->cache.enabled && f->n == p->cache.varies.n && f->names == cachefill_names(&p->cache.varies);
    return same ? p : NULL;
}

void cachefill_url(const struct policy *p, const struct cachekey_url *url, uint8_t out[CACHEKEY_DIGEST])
{
    static const enum cachequery_rule rules[] = {[CACHE_QUERY_SORTED] = CACHEQUERY_SORTED,
                                                 [CACHE_QUERY_ONLY] = CACHEQUERY_ONLY,
                                                 [CACHE_QUERY_IGNORE] = CACHEQUERY_IGNORE};
    bool only = p->cache.query_mode == CACHE_QUERY_ONLY;
    cachekey_url(p->hash, url, rules[p->cache.query_mode], only ? &p->cache.query : NULL, out);
}

int cachefill_mask(const struct vary_names *policy, const struct vary_names *some)
{
    int mask = 0;
    for (unsigned i = 0; i < some->n; i++) {
        int at = vary_find(policy, some->name[i]);
        if (at < 0)
            return -1;
        mask |= 1 << at;
    }
    return mask;
}

void cachefill_masked(const struct vary_names *policy, unsigned mask, struct vary_names *out)
{
    out->n = 0;
    for (unsigned i = 0; i < policy->n; i++)
        if (mask >> i & 1)
            memcpy(out->name[out->n++], policy->name[i], sizeof policy->name[i]);
}

void cachefill_entry(const uint8_t url[CACHEKEY_DIGEST], const uint8_t scope[CACHEKEY_DIGEST],
                     const struct vary_names *names, unsigned mask,
                     const uint8_t values[VARY_MAX][VARY_VALUE], struct record_id *entry)
{
    struct vary_names some;
    uint8_t chosen[VARY_MAX][VARY_VALUE];
    unsigned n = 0;
    cachefill_masked(names, mask, &some);
    for (unsigned i = 0; i < names->n; i++)
        if (mask >> i & 1)
            memcpy(chosen[n++], values[i], VARY_VALUE);
    memcpy(entry->tag, url, sizeof entry->tag);
    cachekey_entry(url, scope, &some, (const uint8_t(*)[VARY_VALUE])chosen, entry->digest);
}

void cacheid_write(const struct cacheid *id, char out[CACHEID_TEXT + 1])
{
    uint8_t b[CACHEID_BYTES] = {'c', (uint8_t)id->mark};
    memcpy(b + 2, id->entry.tag, 2);
    memcpy(b + 4, id->entry.digest, 16);
    le_put(b + 20, id->asked_us, 8);
    base64url_write(b, sizeof b, out);
}

int cacheid_read(const char *text, size_t len, struct cacheid *id)
{
    static const char marks[] = {CACHEID_HIT, CACHEID_COLLAPSED, CACHEID_STALE, CACHEID_ERROR};
    uint8_t b[CACHEID_BYTES];
    if (len != CACHEID_TEXT || base64url_read(text, len, b, sizeof b) < 0 || b[0] != 'c' ||
        !memchr(marks, b[1], sizeof marks))
        return -1;
    id->mark = (char)b[1];
    memcpy(id->entry.tag, b + 2, 2);
    memcpy(id->entry.digest, b + 4, 16);
    id->asked_us = le_get(b + 20, 8);
    return 0;
}
