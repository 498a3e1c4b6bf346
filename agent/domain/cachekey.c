// SPDX-License-Identifier: MIT
/* Three digests, one made of the other two:
 *
 *   cache-url:   | policy | scheme | host | path | query .. |  ─┐
 *   cache-scope: | 0 |  or  | 1 | policy | name | text |       ─┴─► cache-entry: | url | scope | name | value | name | value ..
 */
#include "domain/cachekey.h"

#include "domain/digest.h"
#include "domain/le.h"
#include "domain/text.h"

static const struct {
    const char *scheme, *port;
} ports[] = {
    {"http",  "80" },
    {"https", "443"},
};

/* Without the port that goes without saying, and without an empty one. */
static struct spop_slice bare_host(struct spop_slice scheme, struct spop_slice host)
{
    size_t n = host.len;
    while (n > 0 && host.ptr[n - 1] >= '0' && host.ptr[n - 1] <= '9')
        n--;
    if (n == 0 || host.ptr[n - 1] != ':')
        return host;
    struct spop_slice port = {host.ptr + n, host.len - n}, bare = {host.ptr, n - 1};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        if (headers_same(scheme, ports[i].scheme) && slice_is(port, ports[i].port))
            return bare;
    return port.len == 0 ? bare : host;
}

static void put_number(struct digest *d, uint32_t v)
{
    uint8_t bytes[4];
    le_put(bytes, v, sizeof bytes);
    digest_field(d, bytes, sizeof bytes);
}

void cachekey_url(uint32_t policy, const struct cachekey_url *u, enum cachequery_rule rule,
                  const struct text_list *names, uint8_t out[CACHEKEY_DIGEST])
{
    struct spop_slice host = bare_host(u->scheme, u->host);
    struct digest d;
    digest_begin(&d, CACHEKEY_DIGEST, "cache-url");
    put_number(&d, policy);
    digest_field_lower(&d, u->scheme.ptr, u->scheme.len);
    digest_field_lower(&d, host.ptr, host.len);
    digest_field(&d, u->path.ptr, u->path.len);
    cachequery_digest(&d, u->query, rule, names);
    digest_end(&d, out);
}

void cachekey_scope(uint32_t policy, const char *name, struct spop_slice text, uint8_t out[CACHEKEY_DIGEST])
{
    struct digest d;
    digest_begin(&d, CACHEKEY_DIGEST, "cache-scope");
    put_number(&d, name != NULL);
    if (name) {
        put_number(&d, policy);
        digest_field(&d, name, strlen(name));
        digest_field(&d, text.ptr, text.len);
    }
    digest_end(&d, out);
}

void cachekey_entry(const uint8_t url[CACHEKEY_DIGEST], const uint8_t scope[CACHEKEY_DIGEST],
                    const struct vary_names *names, const uint8_t values[][VARY_VALUE],
                    uint8_t out[CACHEKEY_DIGEST])
{
    struct digest d;
    digest_begin(&d, CACHEKEY_DIGEST, "cache-entry");
    digest_field(&d, url, CACHEKEY_DIGEST);
    digest_field(&d, scope, CACHEKEY_DIGEST);
    for (unsigned i = 0; i < names->n; i++) {
        digest_field(&d, names->name[i], strlen(names->name[i]));
        digest_field(&d, values[i], VARY_VALUE);
    }
    digest_end(&d, out);
}

/* Blanks, controls and `\` (which some take for `/`) have no place in a URI. */
static bool is_uri(struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f || s.ptr[i] == '\\')
            return false;
    return true;
}

/* Takes off what stands before the first of `ends`, all if there is none. */
static struct spop_slice take_until(struct spop_slice *at, const char *ends)
{
    size_t n = 0;
    while (n < at->len && !(at->ptr[n] && strchr(ends, at->ptr[n])))
        n++;
    struct spop_slice taken = {at->ptr, n};
    slice_skip(at, n);
    return taken;
}

/* Takes off `http:` or `https:`. */
static bool take_scheme(struct spop_slice *at, struct spop_slice *scheme)
{
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        size_t n = strlen(ports[i].scheme);
        struct spop_slice begin = {at->ptr, n};
        if (at->len <= n || at->ptr[n] != ':' || !headers_same(begin, ports[i].scheme))
            continue;
        *scheme = begin;
        slice_skip(at, n + 1);
        return true;
    }
    return false;
}

/* Takes off `//host`. */
static bool take_host(struct spop_slice *at, struct spop_slice *host)
{
    if (!slice_starts(*at, "//"))
        return false;
    slice_skip(at, 2);
    *host = take_until(at, "/?#");
    return host->len > 0 && !memchr(host->ptr, '@', host->len);
}

/* `?query`, without a fragment. */
static struct spop_slice query_of(struct spop_slice at)
{
    if (!slice_starts(at, "?"))
        return (struct spop_slice){NULL, 0};
    slice_skip(&at, 1);
    return take_until(&at, "#");
}

bool cachekey_read(struct spop_slice text, struct cachekey_url *out)
{
    struct cachekey_url u = {0};
    if (!is_uri(text) || !take_scheme(&text, &u.scheme) || !take_host(&text, &u.host))
        return false;
    u.path = take_until(&text, "?#");
    if (u.path.len == 0)
        u.path = slice_of("/");
    u.query = query_of(text);
    *out = u;
    return true;
}

/* Appends what stands behind a `/` of a path, without its dot segments (RFC 3986, section 5.2.4). ends: nothing follows. */
static void put_segments(struct buf *out, struct spop_slice at, bool ends)
{
    bool more = true;
    while (more) {
        struct spop_slice segment = take_until(&at, "/");
        bool up = slice_is(segment, ".."), dots = up || slice_is(segment, ".");
        more = at.len > 0;
        slice_skip(&at, more);
        while (up && out->len > 0 && out->data[--out->len] != '/')
            continue;
        if (!dots || (ends && !more))
            buf_str(out, "/");
        if (!dots)
            buf_put(out, segment.ptr, segment.len);
    }
}

/* A path as seen from the base's, which begins with `/` (5.2.3). */
static void put_path(struct buf *out, struct spop_slice base, struct spop_slice path)
{
    bool whole = slice_starts(path, "/");
    while (base.ptr[base.len - 1] != '/')
        base.len--;
    if (!whole && base.len > 1)
        put_segments(out, (struct spop_slice){base.ptr + 1, base.len - 2}, false);
    slice_skip(&path, whole);
    put_segments(out, path, true);
}

static bool has_scheme(struct spop_slice text)
{
    take_until(&text, ":/?#");
    return slice_starts(text, ":");
}

bool cachekey_resolve(struct spop_slice text, const struct cachekey_url *base, struct buf *path,
                      struct cachekey_url *out)
{
    struct cachekey_url u = *base;
    if (!is_uri(text) || !slice_starts(base->path, "/") ||
        (has_scheme(text) && (!take_scheme(&text, &u.scheme) || !slice_starts(text, "//"))) ||
        (slice_starts(text, "//") && !take_host(&text, &u.host)))
        return false;
    bool elsewhere = u.host.ptr != base->host.ptr;
    struct spop_slice said = take_until(&text, "?#");
    if (said.len > 0 || elsewhere || slice_starts(text, "?"))
        u.query = query_of(text);
    if (said.len > 0 || elsewhere) {
        buf_reset(path);
        put_path(path, base->path, said.len > 0 ? said : slice_of("/"));
        u.path = (struct spop_slice){(const char *)path->data, path->len};
    }
    *out = u;
    return !path->failed;
}

static bool same_lower(struct spop_slice a, struct spop_slice b)
{
    bool same = a.len == b.len;
    for (size_t i = 0; same && i < a.len; i++)
        same = text_lower(a.ptr[i]) == text_lower(b.ptr[i]);
    return same;
}

bool cachekey_same_origin(const struct cachekey_url *a, const struct cachekey_url *b)
{
    return same_lower(a->scheme, b->scheme) &&
           same_lower(bare_host(a->scheme, a->host), bare_host(b->scheme, b->host));
}

bool cachekey_prefix(struct spop_slice prefix, const struct cachekey_url *u)
{
    struct spop_slice host = take_until(&prefix, "/");
    bool anywhere = prefix.len > 0 && prefix.ptr[prefix.len - 1] == '*';
    prefix.len -= anywhere;
    if (!same_lower(bare_host(u->scheme, host), bare_host(u->scheme, u->host)) || prefix.len > u->path.len ||
        !slice_same((struct spop_slice){u->path.ptr, prefix.len}, prefix))
        return false;
    bool ends = prefix.len == 0 || prefix.len == u->path.len || prefix.ptr[prefix.len - 1] == '/';
    return anywhere || ends || u->path.ptr[prefix.len] == '/';
}

bool cachekey_is_prefix(struct spop_slice prefix)
{
    struct spop_slice whole = prefix, host = take_until(&prefix, "/*@?#"), path = take_until(&prefix, "*?#");
    bool has_host = host.len > 0 && host.ptr[host.len - 1] != ':';
    bool star = path.len > 0 && slice_is(prefix, "*");
    return is_uri(whole) && has_host && (path.len == 0 || path.ptr[0] == '/') && (prefix.len == 0 || star);
}
