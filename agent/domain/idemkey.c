// SPDX-License-Identifier: MIT
/* field ──trim──► bare or quoted ──take_bare | take_quoted──► key, or a problem
 *
 * Two headers are read one after the other and compared as keys, not as fields. */
#include "domain/idemkey.h"

#include <string.h>

/* OWS of RFC 9110, section 5.6.3. */
static const char blanks[] = " \t";

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static int take_bare(struct spop_slice s, char *out, size_t *len)
{
    if (s.len > IDEMKEY_MAX)
        return -1;
    for (size_t i = 0; i < s.len; i++)
        if (is_control(s.ptr[i]) || s.ptr[i] == '"')
            return -1;
    memcpy(out, s.ptr, s.len);
    *len = s.len;
    return 0;
}

/* s begins with the opening quote. Only ASCII, only \" and \\, nothing behind the closing quote. */
static int take_quoted(struct spop_slice s, char *out, size_t *len)
{
    size_t n = 0, i = 1;
    for (; i < s.len && s.ptr[i] != '"'; i++) {
        char c = s.ptr[i];
        if (c == '\\' && (++i == s.len || ((c = s.ptr[i]) != '"' && c != '\\')))
            return -1;
        if (is_control(c) || (unsigned char)c > 0x7e || n == IDEMKEY_MAX)
            return -1;
        out[n++] = c;
    }
    *len = n;
    return i + 1 == s.len ? 0 : -1;
}

int idemkey_parse(struct spop_slice field, char out[IDEMKEY_MAX + 1], size_t *len)
{
    struct spop_slice s = slice_trim(field, blanks);
    if (s.len == 0)
        return -1;
    if ((s.ptr[0] == '"' ? take_quoted : take_bare)(s, out, len) < 0)
        return -1;
    out[*len] = '\0';
    return slice_trim((struct spop_slice){out, *len}, blanks).len > 0 ? 0 : -1;
}

/* A header that HAProxy counted but whose value did not come is an empty one, not a missing one. */
static bool was_sent(struct spop_slice field, int64_t count)
{
    return field.ptr != NULL || count > 0;
}

enum problem idemkey_read(const struct request_facts *f, char out[IDEMKEY_MAX + 1], size_t *len)
{
    bool first = was_sent(f->key, f->keys), second = was_sent(f->key2, f->keys2);
    char other[IDEMKEY_MAX + 1];
    size_t other_len;
    if (!first && !second)
        return PROBLEM_KEY_MISSING;
    if (f->keys > 1 || f->keys2 > 1)
        return PROBLEM_KEY_CONFLICT;
    if (idemkey_parse(first ? f->key : f->key2, out, len) < 0)
        return PROBLEM_KEY_INVALID;
    if (!first || !second)
        return PROBLEM_NONE;
    if (idemkey_parse(f->key2, other, &other_len) < 0)
        return PROBLEM_KEY_INVALID;
    bool same = slice_same((struct spop_slice){other, other_len}, (struct spop_slice){out, *len});
    return same ? PROBLEM_NONE : PROBLEM_KEY_CONFLICT;
}
