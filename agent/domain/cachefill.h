// SPDX-License-Identifier: MIT
/* What HAProxy carries for the cache: the token of a fill, with which any agent can store the answer, and the id by which the replay
 * listener is asked for a cached one (docs/wire.md, Fill token and cache id). Both are base64url without padding.
 *
 *   fill    fetch . rest      two texts: the first one names the fetch in HAProxy's table and log, and with it any agent can end its lease
 *
 *   fetch   0          1      5   7     23    31        rest   0 1     5   21    37       45
 *           ver|flags  policy TAG entry lease                  n names url scope asked_us values        n of 8 bytes
 *           4   4      4      2   16    8                      1 4     16  16    8
 *
 *   id      'c' mark  TAG  entry  asked_us        mark: h hit, c collapsed, s stale, e stale because of an error
 *           1   1     2    16     8 */
#ifndef CACHEFILL_H
#define CACHEFILL_H

#include "domain/base64url.h"
#include "domain/cachekey.h"
#include "domain/token.h"

enum { CACHEFILL_LEASE = 8, CACHEFETCH_BYTES = 31, CACHEFETCH_TEXT = BASE64URL_TEXT(CACHEFETCH_BYTES) };
enum { CACHEFILL_REST = 45 };
enum {
    CACHEFILL_TEXT_LEAST = CACHEFETCH_TEXT + 1 + BASE64URL_TEXT(CACHEFILL_REST),
    CACHEFILL_TEXT_MAX = CACHEFETCH_TEXT + 1 + BASE64URL_TEXT(CACHEFILL_REST + VARY_MAX * VARY_VALUE)
};

struct cachefetch {
    bool authorization;     /* the request had an Authorization */
    uint32_t policy;        /* policy_hash() */
    struct record_id entry; /* of the lease's key */
    uint8_t lease[CACHEFILL_LEASE];
};

struct cachefill {
    struct cachefetch fetch;
    uint32_t names;               /* cachefill_names() of the policy's Vary when it was asked for */
    uint8_t url[CACHEKEY_DIGEST]; /* cachekey_url(), its first two bytes are the TAG */
    uint8_t scope[CACHEKEY_DIGEST];
    uint64_t asked_us; /* Redis' time before the request was forwarded */
    uint8_t n;
    uint8_t values[VARY_MAX][VARY_VALUE]; /* of the request, for each name of the policy's Vary */
};

/* Tells two lists of names apart: values must not be taken for those of other names. */
uint32_t cachefill_names(const struct vary_names *names);
/* At most CACHEFILL_TEXT_MAX characters and a NUL. */
void cachefill_write(const struct cachefill *f, char out[CACHEFILL_TEXT_MAX + 1]);
/* 0, or -1: none, or of a version that we do not know. */
int cachefill_read(struct spop_slice text, struct cachefill *f);
/* The same of its first text alone. */
int cachefetch_read(struct spop_slice text, struct cachefetch *f);

/* The policy whose fill it is; NULL: it is gone, has no cache any more, or its names have changed. */
const struct policy *cachefill_policy(const struct config *c, const struct cachefill *f);
/* Digest of a URL by the policy's rule for queries. */
void cachefill_url(const struct policy *p, const struct cachekey_url *url, uint8_t out[CACHEKEY_DIGEST]);
/* Of those names that mask has, with their values. */
void cachefill_entry(const uint8_t url[CACHEKEY_DIGEST], const uint8_t scope[CACHEKEY_DIGEST],
                     const struct vary_names *names, unsigned mask,
                     const uint8_t values[VARY_MAX][VARY_VALUE], struct record_id *entry);
/* The bits of some names in a policy's list; -1: one is not in it. */
int cachefill_mask(const struct vary_names *policy, const struct vary_names *some);
/* The names of the bits of a mask. */
void cachefill_masked(const struct vary_names *policy, unsigned mask, struct vary_names *out);

enum { CACHEID_BYTES = 28, CACHEID_TEXT = BASE64URL_TEXT(CACHEID_BYTES) };
enum { CACHEID_HIT = 'h', CACHEID_COLLAPSED = 'c', CACHEID_STALE = 's', CACHEID_ERROR = 'e' };
_Static_assert((int)CACHEID_TEXT != (int)REPLAY_TEXT, "the listener tells them apart by their length");

struct cacheid {
    char mark;
    struct record_id entry;
    uint64_t asked_us; /* of the entry that was found; a later one is as good */
};
void cacheid_write(const struct cacheid *id, char out[CACHEID_TEXT + 1]);
int cacheid_read(const char *text, size_t len, struct cacheid *id);

#endif
