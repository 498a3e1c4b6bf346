// SPDX-License-Identifier: MIT
/* What the cache asks Redis, as RESP (docs/wire.md, Cache). One command each, but for `filled`.
 *
 *   lookup   MGET entry url policy fill tags..     lease    the same, and the right to fetch
 *   filled   what a fetch has brought              purge    what counts no more */
#ifndef CACHESCRIPT_H
#define CACHESCRIPT_H

#include "domain/buf.h"
#include "domain/cacheentry.h"
#include "domain/cachefill.h"
#include "domain/cachetags.h"

/* What is asked about. */
struct cachelook {
    struct record_id entry; /* with the TAG of the URL; the fill's key is named as the entry's */
    uint8_t url[CACHEKEY_DIGEST];
    uint32_t policy; /* policy_hash() */
    unsigned ntags;
    const uint8_t (*tags)[CACHETAGS_DIGEST];
};

/* Places in the reply, of the lease behind one more item. */
enum { CACHELOOK_ENTRY, CACHELOOK_URL, CACHELOOK_POLICY, CACHELOOK_FILL, CACHELOOK_TAGS };

void cachescript_lookup(struct buf *out, const struct cachelook *l);
void cachescript_lease(struct buf *out, const struct cachelook *l, const uint8_t id[CACHEFILL_LEASE],
                       uint32_t ms);
/* The first item of its reply; false: it is none. */
bool cachescript_leased(struct spop_slice item, bool *mine, uint64_t *now_us);

struct cachefilled {
    struct record_id fill; /* key of the lease */
    uint8_t lease[CACHEFILL_LEASE];
    char
        mark; /* 'n' nobody is to wait for the next one, 'x' nor those who wait for this one, 'e' it failed, 0: none of them */
    uint32_t mark_ms;
    struct record_id entry;
    struct spop_slice value; /* the entry; empty: nothing is stored */
    uint64_t value_ms, asked_us;
    const struct vary_names *names; /* of the entry; NULL: nothing is stored */
    uint64_t keep_ms;               /* of the URL's state */
};
/* Appends one command; or two, where there is an entry: bytes of the first, a SET aside, are returned. The last one's reply is a letter
 * (redis-lua/filled.lua). */
size_t cachescript_filled(struct buf *out, const struct cachefilled *f, const uint8_t url[CACHEKEY_DIGEST]);

/* Purges n URLs, or tags, by their digests. Of a URL that Redis keeps nothing of, nothing is written. */
void cachescript_purge_urls(struct buf *out, const uint8_t (*urls)[CACHEKEY_DIGEST], unsigned n);
void cachescript_purge_tags(struct buf *out, const uint8_t (*tags)[CACHETAGS_DIGEST], unsigned n,
                            uint64_t keep_ms);
/* Policies, or what cachekey_prefix() says of them; prefix empty: all of them. */
void cachescript_purge_policies(struct buf *out, const uint32_t *policies, unsigned n,
                                struct spop_slice prefix, uint64_t keep_ms);

/* GET of an entry. */
void cachescript_get(struct buf *out, const struct record_id *entry);

/* Name of a URL's or a tag's own key: its TAG is the beginning of its digest. */
void cachescript_id(const uint8_t digest[CACHEKEY_DIGEST], struct record_id *id);

#endif
