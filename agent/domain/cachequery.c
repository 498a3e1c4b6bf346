// SPDX-License-Identifier: MIT
/* query ──split at &──► parameters ──filter──► kept ──sorted in by folded name──► | form | each behind its length |
 *
 * A parameter is put behind all of those that are not greater (binary search), so that equal ones keep their order. */
#include "domain/cachequery.h"

#include "domain/text.h"

enum { FOLD_END = -1, FOLD_UNCLEAR = -2 };

/* One letter for each way a query goes into the digest, so that none is taken for another's. */
enum form { FORM_NONE = '-', FORM_WHOLE = 'w', FORM_SORTED = 's', FORM_IGNORED = 'i', FORM_ONLY = 'o' };

struct parameters {
    unsigned n;
    struct spop_slice pair[CACHEQUERY_MAX];
};

static int hex_digit(char c)
{
    c = text_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Next character of a name, its escape undone; FOLD_UNCLEAR: a bad escape. */
static int decode_next(struct spop_slice *at)
{
    int c = (unsigned char)at->ptr[0];
    if (c == '%') {
        int high = at->len > 2 ? hex_digit(at->ptr[1]) : -1, low = at->len > 2 ? hex_digit(at->ptr[2]) : -1;
        if (high < 0 || low < 0)
            return FOLD_UNCLEAR;
        c = high << 4 | low;
        slice_skip(at, 2);
    }
    slice_skip(at, 1);
    return c;
}

/* Behind a `[`: is one `]` left? */
static bool closes(struct spop_slice at)
{
    int c = 0;
    while (at.len > 0 && c >= 0 && c != ']')
        c = decode_next(&at);
    return c == ']';
}

/* Next folded character of a name. first: there was none yet. */
static int fold_next(struct spop_slice *at, bool first)
{
    if (at->len == 0)
        return FOLD_END;
    int c = decode_next(at);
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 'a';
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '$')
        return c;
    if (c == '_' || c == '-')
        return '_';
    return c == '[' && !first && closes(*at) ? FOLD_END : FOLD_UNCLEAR;
}

static struct spop_slice name_of(struct spop_slice pair)
{
    const char *equals = pair.ptr ? memchr(pair.ptr, '=', pair.len) : NULL;
    return equals ? (struct spop_slice){pair.ptr, (size_t)(equals - pair.ptr)} : pair;
}

static bool is_clear(struct spop_slice name)
{
    bool first = true;
    int c;
    while ((c = fold_next(&name, first)) >= 0)
        first = false;
    return c == FOLD_END;
}

/* Order of two clear names: less than 0, 0, more than 0. */
static int compare(struct spop_slice a, struct spop_slice b)
{
    int x, y;
    do {
        x = fold_next(&a, false);
        y = fold_next(&b, false);
    } while (x == y && x >= 0);
    return x - y;
}

bool cachequery_is_name(struct spop_slice name)
{
    return name.len > 0 && !memchr(name.ptr, '[', name.len) && !memchr(name.ptr, '%', name.len) &&
           is_clear(name);
}

static bool counts(struct spop_slice name, const struct text_list *names)
{
    for (unsigned i = 0; names && i < names->n; i++)
        if (compare(name, slice_of(names->item[i])) == 0)
            return true;
    return !names;
}

static void sort_in(struct parameters *p, struct spop_slice pair)
{
    unsigned low = 0, high = p->n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (compare(name_of(p->pair[middle]), name_of(pair)) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(p->pair + low + 1, p->pair + low, (p->n - low) * sizeof *p->pair);
    p->pair[low] = pair;
    p->n++;
}

/* names NULL: all count. False: it has to count as it came. */
static bool take_apart(struct spop_slice query, const struct text_list *names, struct parameters *p)
{
    p->n = 0;
    if (query.ptr && memchr(query.ptr, ';', query.len))
        return false;
    for (bool more = true; more;) {
        const char *end = query.ptr ? memchr(query.ptr, '&', query.len) : NULL;
        struct spop_slice pair = {query.ptr, end ? (size_t)(end - query.ptr) : query.len};
        if (!is_clear(name_of(pair)))
            return false;
        if (counts(name_of(pair), names)) {
            if (p->n == CACHEQUERY_MAX)
                return false;
            sort_in(p, pair);
        }
        more = end != NULL;
        slice_skip(&query, pair.len + more);
    }
    return true;
}

static void put_form(struct digest *d, enum form form)
{
    uint8_t letter = (uint8_t)form;
    digest_field(d, &letter, sizeof letter);
}

void cachequery_digest(struct digest *d, struct spop_slice query, enum cachequery_rule rule,
                       const struct text_list *names)
{
    bool only = rule == CACHEQUERY_ONLY;
    struct parameters p;
    if (rule == CACHEQUERY_IGNORE) {
        put_form(d, FORM_IGNORED);
    } else if (!query.ptr && !only) {
        put_form(d, FORM_NONE);
    } else if (!take_apart(query, only ? names : NULL, &p)) {
        put_form(d, FORM_WHOLE);
        digest_field(d, query.ptr, query.len);
    } else {
        put_form(d, only ? FORM_ONLY : FORM_SORTED);
        for (unsigned i = 0; i < p.n; i++)
            digest_field(d, p.pair[i].ptr, p.pair[i].len);
    }
}
