// SPDX-License-Identifier: MIT
/* Headers of a request and of an answer as they may come: what Cache-Control says, what is stored and for how long, who may have it,
 * and whether 304 is enough. First byte: how much of the rest are the answer's. What is no list of headers whole is tried as the value
 * of one header of each kind, too. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "domain/buf.h"
#include "domain/conditional.h"
#include "domain/freshness.h"

enum { SECOND = 1000000 };
static const uint64_t received_us = UINT64_C(1795219200) * SECOND;

static void check_control(struct spop_slice headers, struct cachecontrol *cc)
{
    if (cachecontrol_read(headers, cc) < 0)
        assert(cc->said == 0 && !cc->there && !headers_whole(headers));
    assert(cc->said >> CC_DIRECTIVES == 0 && !(cc->there && cc->pragma));
    for (unsigned d = 0; d < CC_DIRECTIVES; d++)
        assert(cc->seconds[d] <= HEADERS_DELTA_MAX);
}

/* What a stored answer may be used for, at some ages around its ends. */
static void check_stored(const struct freshness *f, const struct cachecontrol *request)
{
    const uint64_t ends[] = {0, f->lifetime_s, (uint64_t)f->lifetime_s + f->stale_while_revalidate_s,
                             (uint64_t)f->lifetime_s + f->stale_if_error_s};
    assert(freshness_keep_ms(f, received_us) > 0 && f->received_us == received_us);
    assert(!f->never_stale || (f->stale_while_revalidate_s == 0 && f->stale_if_error_s == 0));
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int by = 0; by < 2; by++) {
            uint64_t now = received_us + ends[i] * SECOND + (uint64_t)by;
            bool fresh = freshness_age_us(f, now) < (uint64_t)f->lifetime_s * SECOND;
            enum freshness_verdict v = freshness_for(f, request, now);
            assert(freshness_age_s(f, now) <= HEADERS_DELTA_MAX);
            assert(v != FRESHNESS_FRESH || fresh);
            assert((v != FRESHNESS_STALE && v != FRESHNESS_REVALIDATE) || (!fresh && !f->never_stale));
            assert(v != FRESHNESS_REVALIDATE || freshness_keep_ms(f, now) > 0);
            assert(v != FRESHNESS_504 || cc_said(request, CC_ONLY_IF_CACHED));
            assert(!freshness_on_error(f, request, now) || fresh ||
                   (!f->never_stale && freshness_keep_ms(f, now) > 0));
        }
}

static void check_answer(struct spop_slice answer, const struct cachecontrol *request)
{
    struct freshness_rules r = {.ttl_s = 30, .stale_while_revalidate_s = 5, .stale_if_error_s = 7};
    struct freshness_answer a = {slice_of("GET"), cc_said(request, CC_NO_STORE), 200,
                                 answer,          received_us - SECOND,          received_us};
    struct freshness f;
    struct vary_names vary;
    struct cachecontrol cc;
    check_control(answer, &cc);
    memset(&r.store, 0xff, sizeof r.store);
    vary_add(&r.vary, slice_of("accept"));
    enum store_reason why = freshness_store(&r, &a, &f, &vary);
    assert(store_word(why));
    if (why != STORE_YES)
        return;
    assert(headers_whole(answer) && !cc_said(&cc, CC_PRIVATE) && !cc_said(&cc, CC_NO_CACHE));
    assert(!headers_find(answer, "set-cookie").ptr && vary_within(&vary, &r.vary));
    assert(!cc_said(&cc, CC_NO_STORE) || cc_said(&cc, CC_MUST_UNDERSTAND));
    check_stored(&f, request);
}

static void check_conditions(struct spop_slice answer, struct spop_slice request)
{
    struct validators v;
    conditional_validators(200, answer, (int64_t)(received_us / SECOND), &v);
    conditional_not_modified(&v, request, (int64_t)(received_us / SECOND));
    v.status = 404;
    assert(!conditional_not_modified(&v, request, (int64_t)(received_us / SECOND)));
}

static void check_pair(struct spop_slice answer, struct spop_slice request)
{
    struct cachecontrol cc;
    check_control(request, &cc);
    check_answer(answer, &cc);
    check_conditions(answer, request);
}

static void put_header(struct buf *b, const char *name, struct spop_slice value)
{
    buf_u8(b, (uint8_t)strlen(name));
    buf_str(b, name);
    buf_u8(b, (uint8_t)value.len);
    buf_put(b, value.ptr, value.len);
}

/* The first 200 bytes as the value of headers. */
static void check_value(struct spop_slice value)
{
    static const char *const names[] = {"cache-control", "cache-control", "age",
                                        "if-none-match", "etag",          "pragma"};
    struct buf b = {0};
    value.len = value.len < 200 ? value.len : 200;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        put_header(&b, names[i], value);
    buf_put(&b, "\0", 2);
    struct spop_slice headers = {(const char *)b.data, b.len};
    assert(headers_whole(headers));
    check_pair(headers, headers);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *from = (const char *)data + 1;
    size_t answer = size - 1 < data[0] ? size - 1 : data[0];
    struct spop_slice rest = {from + answer, size - 1 - answer};
    check_pair((struct spop_slice){from, answer}, rest);
    check_value((struct spop_slice){from, size - 1});
    return 0;
}
