// SPDX-License-Identifier: MIT
/* A list of entity tags is read by hand: a tag may have a comma in it, and knows no escapes.
 *
 *   If-None-Match: W/"a,b" , "c"      etagc: anything but a quote, blanks and controls (RFC 9110, section 8.8.3)
 */
#include "domain/conditional.h"

#include "domain/httpdate.h"

static bool is_etagc(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != 0x7f;
}

/* Takes one entity tag off, and gives what stands between its quotes: weak and strong are alike (RFC 9110, 8.8.3.2). */
static bool take_tag(struct spop_slice *at, struct spop_slice *opaque)
{
    size_t n = 0;
    if (slice_starts(*at, "W/"))
        slice_skip(at, 2);
    if (at->len == 0 || at->ptr[0] != '"')
        return false;
    slice_skip(at, 1);
    while (n < at->len && is_etagc(at->ptr[n]))
        n++;
    if (n == at->len || at->ptr[n] != '"')
        return false;
    *opaque = (struct spop_slice){at->ptr, n};
    slice_skip(at, n + 1);
    return true;
}

/* Passes over blanks and commas; false: a tag stands right behind another. */
static bool take_commas(struct spop_slice *at, bool first)
{
    bool comma = first;
    while (at->len > 0 && strchr(HEADERS_BLANKS ",", at->ptr[0]) && at->ptr[0]) {
        comma |= at->ptr[0] == ',';
        slice_skip(at, 1);
    }
    return comma || at->len == 0;
}

/* Tags before the first that is none count. */
static bool line_matches(struct spop_slice value, struct spop_slice etag)
{
    struct spop_slice opaque;
    for (bool first = true; take_commas(&value, first) && value.len > 0; first = false) {
        if (!take_tag(&value, &opaque))
            return false;
        if (slice_same(opaque, etag))
            return true;
    }
    return false;
}

static bool whole_tag(struct spop_slice text, struct spop_slice *opaque)
{
    text = slice_trim(text, HEADERS_BLANKS);
    return take_tag(&text, opaque) && text.len == 0;
}

/* RFC 9110, 13.1.2. False: there is no If-None-Match. */
static bool none_match(const struct validators *v, struct spop_slice hdrs_bin, bool *matches)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice value, etag;
    bool there = false, known = whole_tag(v->etag, &etag);
    *matches = false;
    while (headers_each(&c, "if-none-match", &value)) {
        there = true;
        *matches |= slice_is(value, "*") || (known && line_matches(value, etag));
    }
    return there;
}

/* RFC 9110, 13.1.3: passed over if it is no date, or there are several. */
static bool not_since(const struct validators *v, struct spop_slice hdrs_bin, int64_t now_s)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice value, second;
    int64_t since;
    return headers_each(&c, "if-modified-since", &value) && !headers_each(&c, "if-modified-since", &second) &&
           httpdate_read(value, now_s, &since) && v->modified_s <= since;
}

void conditional_validators(unsigned status, struct spop_slice hdrs_bin, int64_t received_s,
                            struct validators *out)
{
    *out = (struct validators){status, headers_find(hdrs_bin, "etag"), received_s};
    httpdate_read(headers_find(hdrs_bin, "date"), received_s, &out->modified_s);
    httpdate_read(headers_find(hdrs_bin, "last-modified"), received_s, &out->modified_s);
}

bool conditional_not_modified(const struct validators *v, struct spop_slice request_hdrs_bin, int64_t now_s)
{
    bool matches;
    if (v->status < 200 || v->status > 299)
        return false;
    return none_match(v, request_hdrs_bin, &matches) ? matches : not_since(v, request_hdrs_bin, now_s);
}
