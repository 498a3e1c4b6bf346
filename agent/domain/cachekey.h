// SPDX-License-Identifier: MIT
/* Names of cache entries: digests of what makes two requests the same (RFC 9111, section 2 and 4.1).
 *
 *   URL    policy hash, scheme and host in lower case, path as it came, query by the policy's rule
 *   scope  "public", or policy hash, name and text of the principal
 *   entry  URL, scope, and each name of Vary in order with the digest of the request's value
 *
 * Each part goes in behind its length: no crafted URI reaches another entry. Of the host, the port that the scheme has anyway is dropped
 * (RFC 9110, 4.2.3), and an empty one. The path is not touched: // and %2e reach entries of their own.
 *
 * Query, sorted: parameters in the order of their names (cachequery.h). `/x?` is not `/x`. */
#ifndef CACHEKEY_H
#define CACHEKEY_H

#include "domain/buf.h"
#include "domain/cachequery.h"
#include "domain/vary.h"

enum { CACHEKEY_DIGEST = 16 };

struct cachekey_url {
    struct spop_slice scheme, host, path;
    struct spop_slice query; /* without `?`; ptr NULL: the URI has none */
};

/* names: for CACHEQUERY_ONLY; else NULL. */
void cachekey_url(uint32_t policy, const struct cachekey_url *u, enum cachequery_rule rule,
                  const struct text_list *names, uint8_t out[CACHEKEY_DIGEST]);

/* name NULL: public. */
void cachekey_scope(uint32_t policy, const char *name, struct spop_slice text, uint8_t out[CACHEKEY_DIGEST]);

/* values: one for each name, in its order (vary_values). */
void cachekey_entry(const uint8_t url[CACHEKEY_DIGEST], const uint8_t scope[CACHEKEY_DIGEST],
                    const struct vary_names *names, const uint8_t values[][VARY_VALUE],
                    uint8_t out[CACHEKEY_DIGEST]);

/* A URI of a command (RFC 3986): http://host/path?query. The fragment is dropped; an empty path is `/`, any other stays as it is. False:
 * another kind, or user information in it. Slices of text. */
bool cachekey_read(struct spop_slice text, struct cachekey_url *out);
/* What a client makes of a reference in an answer for base, such as Location (RFC 3986, section 5.2): a URI as above, //host/path,
 * /path, path, ?query, #fragment; without dot segments. False: as above, or out of memory. Slices of text, base and path, which is
 * written anew. */
bool cachekey_resolve(struct spop_slice text, const struct cachekey_url *base, struct buf *path,
                      struct cachekey_url *out);
/* Same scheme and host (RFC 9111, section 4.4: only then may Location be invalidated)? */
bool cachekey_same_origin(const struct cachekey_url *a, const struct cachekey_url *b);

/* Does a purge of this prefix reach the URL? "host/path": ends with a segment: "h/a" reaches /a, /a/ and /a/b, not /ab. With `*` at
 * its end it ends anywhere: "h/a*" reaches /ab too. "h" and "h/": all of the host. Bytes of the path as they came; the host as in
 * the digest, where scheme says which port is dropped. */
bool cachekey_prefix(struct spop_slice prefix, const struct cachekey_url *u);
/* Is it one? Not with a scheme, without a whole host, with a query, or with a `*` before its end: such a one would reach nothing. */
bool cachekey_is_prefix(struct spop_slice prefix);

#endif
