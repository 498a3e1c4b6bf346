// SPDX-License-Identifier: MIT
/* Headers are walked by a cursor, a list by the slice of what is left of it:
 *
 *   rest  | a, "b,c" , , d |  ──►  a    rest | "b,c" , , d |  ──►  "b,c"   ..
 */
#include "domain/headers.h"

#include "domain/text.h"

int headers_next(struct spop_cursor *c, struct spop_slice *name, struct spop_slice *value)
{
    if (spop_get_string(c, name) < 0 || spop_get_string(c, value) < 0)
        return -1;
    if (name->len > 0)
        return 1;
    return value->len == 0 && c->at == c->end ? 0 : -1;
}

bool headers_each(struct spop_cursor *c, const char *name, struct spop_slice *value)
{
    struct spop_slice found;
    while (headers_next(c, &found, value) == 1) {
        if (!headers_same(found, name))
            continue;
        *value = slice_trim(*value, HEADERS_BLANKS);
        return true;
    }
    return false;
}

bool headers_whole(struct spop_slice hdrs_bin)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice name, value;
    int found;
    while ((found = headers_next(&c, &name, &value)) == 1)
        ;
    return found == 0;
}

struct spop_slice headers_find(struct spop_slice hdrs_bin, const char *name)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice found, value;
    while (headers_next(&c, &found, &value) == 1)
        if (headers_same(found, name))
            return value;
    return (struct spop_slice){NULL, 0};
}

bool headers_same(struct spop_slice text, const char *lower)
{
    if (text.len != strlen(lower))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text_lower(text.ptr[i]) != lower[i])
            return false;
    return true;
}

/* Length of the quoted string that text begins with, quotes counted; 1 if it is never closed. */
static size_t quoted_length(struct spop_slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '"')
            return i + 1;
        if (text.ptr[i] == '\\')
            i++;
    }
    return 1;
}

/* How far it is to what may part the list next. An escaped quote opens nothing: else a list of them, none closed, would be searched to
 * its end from each. */
static size_t step(struct spop_slice text)
{
    if (text.ptr[0] == '"')
        return quoted_length(text);
    return text.ptr[0] == '\\' && text.len > 1 && (text.ptr[1] == '"' || text.ptr[1] == '\\') ? 2 : 1;
}

bool headers_list(struct spop_slice *rest, struct spop_slice *element)
{
    while (rest->len > 0) {
        size_t n = 0;
        while (n < rest->len && rest->ptr[n] != ',')
            n += step((struct spop_slice){rest->ptr + n, rest->len - n});
        *element = slice_trim((struct spop_slice){rest->ptr, n}, HEADERS_BLANKS);
        slice_skip(rest, n < rest->len ? n + 1 : n);
        if (element->len > 0)
            return true;
    }
    return false;
}

bool headers_delta(struct spop_slice text, uint32_t *seconds)
{
    uint64_t v = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
        if (v > HEADERS_DELTA_MAX)
            v = HEADERS_DELTA_MAX;
    }
    *seconds = (uint32_t)v;
    return true;
}
