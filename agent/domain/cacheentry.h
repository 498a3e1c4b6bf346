// SPDX-License-Identifier: MIT
/* A cached answer as it lies in Redis, and what lies beside it (docs/wire.md, Cache). Pure: bytes in, slices out.
 *
 *   entry   0       1     2      4      8   24       32          40             48       52  56  60         68   70     71
 *           version flags status policy url asked_us received_us initial_age_us lifetime swr sie modified_s etag nnames ntags
 *           1       1     2      4      16  8        8           8              4        4   4   8          2    1      1
 *           72: etag, names (length 1 and text each), tags (16 bytes each), the stored response (domain/record; sealed if answers are)
 *
 *   url     purged_us 8, nnames 1, names         tag    purged_us 8         url, bit 63: never purged, it is known since then
 *   policy  purged_us 8, then at most CACHE_PREFIXES of: purged_us 8, length 2, prefix */
#ifndef CACHEENTRY_H
#define CACHEENTRY_H

#include "domain/buf.h"
#include "domain/cachekey.h"
#include "domain/cachetags.h"
#include "domain/freshness.h"

enum { CACHE_PREFIXES = 32 };

struct cacheentry {
    unsigned status;
    uint32_t policy; /* policy_hash() */
    uint8_t url[CACHEKEY_DIGEST];
    uint64_t asked_us; /* Redis' time before the request was forwarded; valid while no purge is as late */
    struct freshness freshness;
    int64_t modified_s;     /* domain/conditional */
    struct spop_slice etag; /* empty: none */
    struct vary_names names;
    unsigned ntags;
    const uint8_t *tags;       /* ntags of CACHETAGS_DIGEST */
    struct spop_slice payload; /* the stored response, maybe sealed */
};

/* Appends all but the payload, which is to follow to the end. False: names or etag are too long. */
bool cacheentry_write(struct buf *out, const struct cacheentry *e);
/* 0, or -1: no entry, of a version that we do not know, or one whose answer cannot be served. Slices point into bytes. */
int cacheentry_read(struct spop_slice bytes, struct cacheentry *e);

/* Does a whole entry count? If it was asked for behind purged_us, the last purge that concerns it; but not one of a time to come: Redis'
 * clock (now_us) has stepped back, and no purge would reach it. */
bool cacheentry_counts(const struct cacheentry *e, uint64_t purged_us, uint64_t now_us);

/* What is kept of a URL, of a tag, of a policy; an empty slice: nothing. Malformed counts as nothing but for the time that can be
 * read: a purge that is forgotten would serve what must not be. */
uint64_t cachestate_purged_us(struct spop_slice value);
/* What was asked for up to then does not count for the URL: its last purge, or since when it is known. UINT64_MAX: it is not (then a purge
 * may have left no trace). */
uint64_t cachestate_url_us(struct spop_slice value);
/* Names of Vary in the state of a URL; false: none are kept. */
bool cachestate_names(struct spop_slice value, struct vary_names *out);
/* The last purge of a policy that concerns this URL; url NULL: or may concern it, of whatever prefix. */
uint64_t cachestate_policy_us(struct spop_slice value, const struct cachekey_url *url);
/* Appends names as entries and states have them. */
void cachestate_put_names(struct buf *out, const struct vary_names *names);

#endif
