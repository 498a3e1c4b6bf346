// SPDX-License-Identifier: MIT
/* What names an entry: Vary and the values that it names, tags, the URL with its query by each rule, URIs of commands, prefixes, and the
 * text of Cache-Status. First byte: how much of the rest are headers; what follows is a URI. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/cachekey.h"
#include "domain/cachestatus.h"
#include "domain/cachetags.h"

static void check_vary(struct spop_slice headers)
{
    struct vary_names v;
    uint8_t values[VARY_MAX][VARY_VALUE];
    if (vary_read(headers, &v) != VARY_READ)
        return;
    assert(headers_whole(headers) && v.n <= VARY_MAX && vary_same(&v, &v));
    for (unsigned i = 0; i < v.n; i++) {
        assert(strlen(v.name[i]) > 0 && vary_find(&v, v.name[i]) == (int)i);
        assert(i == 0 || strcmp(v.name[i - 1], v.name[i]) < 0);
    }
    vary_values(headers, &v, values);
}

static void check_tags(struct spop_slice headers)
{
    struct cachetags t;
    cachetags_read(headers, "surrogate-key", 1, &t);
    assert(t.n <= CACHETAGS_MAX);
    for (unsigned i = 0; i < t.n; i++)
        for (unsigned k = 0; k < i; k++)
            assert(memcmp(t.digest[i], t.digest[k], CACHETAGS_DIGEST) != 0);
}

static void digest_by(const struct cachekey_url *u, enum cachequery_rule rule, uint8_t out[CACHEKEY_DIGEST])
{
    static const struct text_list names = {
        .n = 2, .item = {"a", "page"}
    };
    cachekey_url(1, u, rule, &names, out);
}

/* One more parameter of a name that none has goes where it likes, without a change: unless all counts as it came. */
static void check_query(struct cachekey_url u)
{
    char before[600], behind[600];
    uint8_t is[3][CACHEKEY_DIGEST], a[CACHEKEY_DIGEST], b[CACHEKEY_DIGEST];
    for (unsigned rule = 0; rule < 3; rule++)
        digest_by(&u, rule, is[rule]);
    assert(memcmp(is[0], is[1], sizeof is[0]) != 0 && memcmp(is[1], is[2], sizeof is[1]) != 0);
    if (u.query.len == 0 || u.query.len > 500 || memchr(u.query.ptr, '%', u.query.len) ||
        memchr(u.query.ptr, ';', u.query.len))
        return;
    struct spop_slice query = u.query;
    memcpy(before, "zq9=1&", 6);
    memcpy(before + 6, query.ptr, query.len);
    memcpy(behind, query.ptr, query.len);
    memcpy(behind + query.len, "&zq9=1", 6);
    u.query = (struct spop_slice){before, query.len + 6};
    digest_by(&u, CACHEQUERY_SORTED, a);
    u.query.ptr = behind;
    digest_by(&u, CACHEQUERY_SORTED, b);
    bool same = memcmp(a, b, sizeof a) == 0;
    for (size_t i = 0; i < query.len; i++)
        if (!memchr("abcdefghijklmnopqrstuvwxyABCDEFGHIJKLMNOPQRSTUVWXY012345678=&_-$", query.ptr[i], 64))
            return;
    size_t parameters = 1;
    for (size_t i = 0; i < query.len; i++)
        parameters += query.ptr[i] == '&';
    assert(same == (parameters < CACHEQUERY_MAX));
}

static void check_url(struct cachekey_url u, const uint8_t *data, size_t size)
{
    if (u.query.ptr)
        assert_inside(u.query, data, size);
    assert(u.host.len > 0 && u.path.len > 0 && u.path.ptr[0] == '/' && cachekey_same_origin(&u, &u));
    assert(cachekey_prefix(u.host, &u) || u.host.ptr[u.host.len - 1] == '*');
    check_query(u);
}

static bool has_dots(struct spop_slice path)
{
    for (const char *end; path.len > 0;) {
        slice_skip(&path, 1);
        end = path.len > 0 ? memchr(path.ptr, '/', path.len) : NULL;
        struct spop_slice segment = {path.ptr, end ? (size_t)(end - path.ptr) : path.len};
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return true;
        slice_skip(&path, segment.len);
    }
    return false;
}

static void check_uri(struct spop_slice text, const uint8_t *data, size_t size)
{
    static struct buf memory;
    const struct cachekey_url base = {
        slice_of("https"), slice_of("example.com"), slice_of("/x/y"), {NULL, 0}
    };
    struct cachekey_url u, seen;
    bool read = cachekey_read(text, &u);
    if (read)
        check_url(u, data, size);
    if (!cachekey_resolve(text, &base, &memory, &seen)) {
        assert(!read);
        return;
    }
    check_url(seen, data, size);
    assert(!has_dots(seen.path));
    if (read)
        assert(slice_same(u.host, seen.host) && slice_same(u.query, seen.query));
}

static void check_status(struct spop_slice detail)
{
    char memory[CACHESTATUS_TEXT];
    struct text t;
    struct cachestatus s = {.how = CACHESTATUS_STALE, .detail = detail};
    text_init(&t, memory, sizeof memory);
    cachestatus_write(&t, &s);
    assert(t.len == strlen(memory) && slice_starts(slice_of(memory), "once; fwd=stale"));
    unsigned quotes = 0;
    for (size_t i = 0; i < t.len; i++) {
        assert(memory[i] >= ' ' && memory[i] <= '~');
        if (memory[i] == '\\')
            i++;
        else
            quotes += memory[i] == '"';
    }
    assert(quotes == 0 || (quotes == 2 && memory[t.len - 1] == '"'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *from = (const char *)data + 1;
    size_t n = size - 1 < data[0] ? size - 1 : data[0];
    struct spop_slice headers = {from, n}, rest = {from + n, size - 1 - n};
    const struct cachekey_url u = {slice_of("http"), rest, rest, rest};
    check_vary(headers);
    check_tags(headers);
    check_uri(rest, data, size);
    check_query(u);
    check_status(rest);
    cachekey_prefix(headers, &u);
    return 0;
}
