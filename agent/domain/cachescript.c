// SPDX-License-Identifier: MIT
/* RESP for each of them; keys have a fixed length (domain/resp_put):
 *
 *   once:{TAG}:e:ENTRY  :u:URL  :b:POLICY  :f:ENTRY  :g:TAG ..          TAG of e, u and f: the URL's */
#include "domain/cachescript.h"

#include "domain/le.h"
#include "domain/resp_put.h"
#include "domain/script.h"

#include <string.h>

enum { LEASED = 9 };

void cachescript_id(const uint8_t digest[CACHEKEY_DIGEST], struct record_id *id)
{
    memcpy(id->tag, digest, sizeof id->tag);
    memcpy(id->digest, digest, sizeof id->digest);
}

/* A policy's, of its hash. */
static void policy_id(uint32_t policy, struct record_id *id)
{
    *id = (struct record_id){0};
    le_put(id->digest, policy, sizeof policy);
    memcpy(id->tag, id->digest, sizeof id->tag);
}

static void put_digest(struct buf *out, const uint8_t digest[CACHEKEY_DIGEST], char kind)
{
    struct record_id id;
    cachescript_id(digest, &id);
    resp_put_key(out, &id, kind);
}

static void put_count(struct buf *out, unsigned n)
{
    buf_str(out, "*");
    buf_dec(out, n);
    buf_str(out, "\r\n");
}

static void put_evalsha(struct buf *out, enum script_id script, unsigned keys, unsigned args)
{
    put_count(out, 3 + keys + args);
    resp_put_arg(out, "EVALSHA", 7);
    resp_put_arg(out, scripts[script].sha, 40);
    resp_put_number(out, keys);
}

static void put_keys(struct buf *out, const struct cachelook *l)
{
    struct record_id policy;
    policy_id(l->policy, &policy);
    resp_put_key(out, &l->entry, 'e');
    put_digest(out, l->url, 'u');
    resp_put_key(out, &policy, 'b');
    resp_put_key(out, &l->entry, 'f');
    for (unsigned i = 0; i < l->ntags; i++)
        put_digest(out, l->tags[i], 'g');
}

void cachescript_lookup(struct buf *out, const struct cachelook *l)
{
    put_count(out, 1 + CACHELOOK_TAGS + l->ntags);
    resp_put_arg(out, "MGET", 4);
    put_keys(out, l);
}

void cachescript_lease(struct buf *out, const struct cachelook *l, const uint8_t id[CACHEFILL_LEASE],
                       uint32_t ms)
{
    put_evalsha(out, SCRIPT_LEASE, CACHELOOK_TAGS + l->ntags, 2);
    put_keys(out, l);
    resp_put_arg(out, id, CACHEFILL_LEASE);
    resp_put_number(out, ms);
}

bool cachescript_leased(struct spop_slice item, bool *mine, uint64_t *now_us)
{
    if (item.len != LEASED)
        return false;
    *mine = item.ptr[0] == 'L';
    *now_us = le_get((const uint8_t *)item.ptr + 1, 8);
    return true;
}

static void put_names(struct buf *out, const struct vary_names *names)
{
    size_t len = 1;
    for (unsigned i = 0; names && i < names->n; i++)
        len += 1 + strlen(names->name[i]);
    resp_put_len(out, len);
    buf_u8(out, names ? names->n : 0);
    if (names)
        cachestate_put_names(out, names);
    buf_str(out, "\r\n");
}

/* Where an entry waits until `filled` has looked whether a later one is there. */
static void put_aside(struct buf *out, const struct cachefilled *f)
{
    resp_put_pending_key(out, &f->entry, le_get(f->lease, sizeof f->lease));
}

size_t cachescript_filled(struct buf *out, const struct cachefilled *f, const uint8_t url[CACHEKEY_DIGEST])
{
    uint8_t asked[8];
    size_t before = out->len, front;
    if (f->value.len > 0) {
        put_count(out, 5);
        resp_put_arg(out, "SET", 3);
        put_aside(out, f);
        resp_put_arg(out, f->value.ptr, f->value.len);
        resp_put_arg(out, "PX", 2);
        resp_put_number(out, f->value_ms);
    }
    front = out->len - before;
    le_put(asked, f->asked_us, sizeof asked);
    put_evalsha(out, SCRIPT_FILLED, 4, 7);
    resp_put_key(out, &f->fill, 'f');
    resp_put_key(out, &f->entry, 'e');
    put_digest(out, url, 'u');
    put_aside(out, f);
    resp_put_arg(out, f->lease, sizeof f->lease);
    resp_put_arg(out, &f->mark, f->mark != 0);
    resp_put_number(out, f->mark_ms);
    resp_put_number(out, f->value.len > 0);
    resp_put_arg(out, asked, sizeof asked);
    put_names(out, f->names);
    resp_put_number(out, f->keep_ms);
    return front;
}

static void put_purge(struct buf *out, const uint8_t (*digests)[CACHEKEY_DIGEST], unsigned n, char kind,
                      uint64_t keep_ms)
{
    put_evalsha(out, SCRIPT_PURGE, n, 2);
    for (unsigned i = 0; i < n; i++)
        put_digest(out, digests[i], kind);
    resp_put_arg(out, &kind, 1);
    resp_put_number(out, keep_ms);
}

void cachescript_purge_urls(struct buf *out, const uint8_t (*urls)[CACHEKEY_DIGEST], unsigned n)
{
    put_purge(out, urls, n, 'u', 0);
}

void cachescript_purge_tags(struct buf *out, const uint8_t (*tags)[CACHETAGS_DIGEST], unsigned n,
                            uint64_t keep_ms)
{
    put_purge(out, tags, n, 'g', keep_ms);
}

void cachescript_purge_policies(struct buf *out, const uint32_t *policies, unsigned n,
                                struct spop_slice prefix, uint64_t keep_ms)
{
    put_evalsha(out, SCRIPT_PURGE, n, 3);
    for (unsigned i = 0; i < n; i++) {
        struct record_id id;
        policy_id(policies[i], &id);
        resp_put_key(out, &id, 'b');
    }
    resp_put_arg(out, prefix.len ? "x" : "p", 1);
    resp_put_number(out, keep_ms);
    resp_put_arg(out, prefix.ptr, prefix.len);
}

void cachescript_get(struct buf *out, const struct record_id *entry)
{
    put_count(out, 2);
    resp_put_arg(out, "GET", 3);
    resp_put_key(out, entry, 'e');
}
