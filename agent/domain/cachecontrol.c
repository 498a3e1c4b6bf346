// SPDX-License-Identifier: MIT
/* lines ──headers_list──► elements ──► name [= argument] ──table──► a bit, and seconds
 *
 * What cannot be understood never permits more than silence would. */
#include "domain/cachecontrol.h"

static const struct {
    const char *name;
    enum cc_kind kind;
    uint32_t rubbish;
} directives[CC_DIRECTIVES] = {
#define X(symbol, directive, kind, rubbish) {directive, kind, rubbish},
    CACHECONTROL_TABLE(X)
#undef X
};

struct argument {
    bool there;
    struct spop_slice text;
};

/* max-age="60" is max-age=60 (RFC 9111, section 5.2). */
static struct spop_slice unquoted(struct spop_slice s)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return (struct spop_slice){s.ptr + 1, s.len - 2};
    return s;
}

static struct argument split(struct spop_slice *element)
{
    const char *equals = memchr(element->ptr, '=', element->len);
    if (!equals)
        return (struct argument){0};
    size_t name = (size_t)(equals - element->ptr);
    struct spop_slice text = {equals + 1, element->len - name - 1};
    *element = slice_trim((struct spop_slice){element->ptr, name}, HEADERS_BLANKS);
    /* Blanks around the sign: an argument, and one that is no number. */
    return (struct argument){
        true, element->len == name ? unquoted(text) : (struct spop_slice){equals, 1}
    };
}

static uint32_t seconds_of(enum cc_directive d, const struct argument *a)
{
    uint32_t seconds;
    if (!a->there && directives[d].kind == CC_SECONDS_OR_ALL)
        return HEADERS_DELTA_MAX;
    return a->there && headers_delta(a->text, &seconds) ? seconds : directives[d].rubbish;
}

static void take(struct cachecontrol *c, enum cc_directive d, const struct argument *a)
{
    uint32_t seconds = seconds_of(d, a);
    c->seconds[d] = cc_said(c, d) && c->seconds[d] != seconds ? directives[d].rubbish : seconds;
    c->said |= UINT32_C(1) << d;
}

static void read_line(struct cachecontrol *c, struct spop_slice value)
{
    struct spop_slice element;
    c->there = true;
    while (headers_list(&value, &element)) {
        struct argument a = split(&element);
        for (unsigned d = 0; d < CC_DIRECTIVES; d++)
            if (headers_same(element, directives[d].name))
                take(c, d, &a);
    }
}

static bool lists(struct spop_slice value, const char *directive)
{
    struct spop_slice element;
    while (headers_list(&value, &element))
        if (headers_same(element, directive))
            return true;
    return false;
}

int cachecontrol_read(struct spop_slice hdrs_bin, struct cachecontrol *out)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice name, value;
    int found;
    *out = (struct cachecontrol){0};
    while ((found = headers_next(&c, &name, &value)) == 1) {
        if (headers_same(name, "cache-control"))
            read_line(out, value);
        else if (headers_same(name, "pragma") && lists(value, "no-cache"))
            out->pragma = true;
    }
    if (found < 0)
        *out = (struct cachecontrol){0};
    out->pragma &= !out->there;
    return found;
}
