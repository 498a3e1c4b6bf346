// SPDX-License-Identifier: MIT
/* Names are kept sorted as they come in; a value's lines go into its digest one after the other:
 *
 *   | name | line , line , |     a comma behind each, so that none differs from an empty one; the last field has no length
 */
#include "domain/vary.h"

#include "domain/digest.h"
#include "domain/text.h"

/* tchar of RFC 9110, section 5.6.2. */
static bool is_name(struct spop_slice s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.len; i++) {
        char c = text_lower(s.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr(others, c, sizeof others - 1))
            return false;
    }
    return s.len > 0;
}

/* Where the name stands, or would stand. */
static unsigned place(const struct vary_names *v, const char *name)
{
    unsigned i = 0;
    while (i < v->n && strcmp(v->name[i], name) < 0)
        i++;
    return i;
}

static bool stands_at(const struct vary_names *v, unsigned i, const char *name)
{
    return i < v->n && strcmp(v->name[i], name) == 0;
}

int vary_find(const struct vary_names *v, const char *name)
{
    unsigned i = place(v, name);
    return stands_at(v, i, name) ? (int)i : -1;
}

enum vary_result vary_add(struct vary_names *v, struct spop_slice name)
{
    char lower[VARY_NAME_MAX + 1] = {0};
    if (!is_name(name))
        return VARY_BAD;
    if (slice_is(name, "*"))
        return VARY_ANY;
    if (name.len > VARY_NAME_MAX)
        return VARY_LARGE;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = text_lower(name.ptr[i]);
    unsigned at = place(v, lower);
    if (stands_at(v, at, lower))
        return VARY_READ;
    if (v->n == VARY_MAX)
        return VARY_LARGE;
    memmove(v->name[at + 1], v->name[at], (size_t)(v->n - at) * sizeof *v->name);
    memcpy(v->name[at], lower, sizeof lower);
    v->n++;
    return VARY_READ;
}

/* The worst of a list: `*` wins, wherever it stands. */
static enum vary_result worse(enum vary_result a, enum vary_result b)
{
    return a == VARY_ANY || b == VARY_ANY ? VARY_ANY : a != VARY_READ ? a : b;
}

enum vary_result vary_read(struct spop_slice hdrs_bin, struct vary_names *out)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice value, element;
    enum vary_result r = headers_whole(hdrs_bin) ? VARY_READ : VARY_BAD;
    *out = (struct vary_names){0};
    while (headers_each(&c, "vary", &value))
        while (headers_list(&value, &element))
            r = worse(r, vary_add(out, element));
    return r;
}

bool vary_same(const struct vary_names *a, const struct vary_names *b)
{
    return a->n == b->n && vary_within(a, b);
}

bool vary_within(const struct vary_names *a, const struct vary_names *b)
{
    for (unsigned i = 0; i < a->n; i++)
        if (vary_find(b, a->name[i]) < 0)
            return false;
    return true;
}

void vary_value(struct spop_slice hdrs_bin, const char *name, uint8_t out[VARY_VALUE])
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice value;
    struct digest d;
    uint8_t full[64];
    bool there = headers_each(&c, name, &value);
    digest_begin(&d, sizeof full, "cache-vary");
    digest_field(&d, name, strlen(name));
    for (; there; there = headers_each(&c, name, &value)) {
        digest_more(&d, value.ptr, value.len);
        digest_more(&d, ", ", 2);
    }
    digest_end(&d, full);
    memcpy(out, full, VARY_VALUE);
}

void vary_values(struct spop_slice hdrs_bin, const struct vary_names *v, uint8_t out[VARY_MAX][VARY_VALUE])
{
    for (unsigned i = 0; i < v->n; i++)
        vary_value(hdrs_bin, v->name[i], out[i]);
}
