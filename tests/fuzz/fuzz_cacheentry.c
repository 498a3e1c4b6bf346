// SPDX-License-Identifier: MIT
/* What the cache reads from Redis and from HAProxy: entries, states of URLs and policies, tokens of fills, cache ids. Slices lie
 * inside the input, counts are within their bounds, and what is read is written as the same bytes. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/cacheentry.h"
#include "domain/cachefill.h"

static void check_entry(struct spop_slice bytes)
{
    struct cacheentry e;
    struct buf again;
    if (cacheentry_read(bytes, &e) < 0)
        return;
    assert_inside(e.etag, (const uint8_t *)bytes.ptr, bytes.len);
    assert_inside(e.payload, (const uint8_t *)bytes.ptr, bytes.len);
    assert_inside((struct spop_slice){(const char *)e.tags, (size_t)e.ntags * CACHETAGS_DIGEST},
                  (const uint8_t *)bytes.ptr, bytes.len);
    assert(e.names.n <= VARY_MAX && e.ntags <= CACHETAGS_MAX);
    buf_init(&again);
    assert(cacheentry_write(&again, &e));
    assert(again.len + e.payload.len == bytes.len);
    /* Unknown flags are not kept; names may come in capitals or out of order, and are written as they are compared. */
    assert(memcmp(again.data + 2, bytes.ptr + 2, 70) == 0);
    buf_free(&again);
}

static void check_states(struct spop_slice bytes)
{
    const struct cachekey_url url = {slice_of("https"), slice_of("h"), slice_of("/a/b"), {0}};
    struct vary_names names;
    if (cachestate_names(bytes, &names))
        assert(names.n <= VARY_MAX);
    assert(cachestate_policy_us(bytes, &url) >= cachestate_purged_us(bytes));
}

static void check_tokens(struct spop_slice text)
{
    char again[CACHEFILL_TEXT_MAX + 1], id_again[CACHEID_TEXT + 1];
    struct cachefill f, g;
    struct cacheid id;
    if (cachefill_read(text, &f) == 0) {
        assert(f.n <= VARY_MAX);
        cachefill_write(&f, again);
        assert(strlen(again) == text.len && cachefill_read(slice_of(again), &g) == 0);
        assert(g.asked_us == f.asked_us && memcmp(again + 2, text.ptr + 2, text.len - 2) == 0);
    }
    if (cacheid_read(text.ptr, text.len, &id) == 0) {
        cacheid_write(&id, id_again);
        assert(memcmp(id_again, text.ptr, CACHEID_TEXT) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spop_slice bytes = {(const char *)data, size};
    check_entry(bytes);
    check_states(bytes);
    check_tokens(bytes);
    return 0;
}
