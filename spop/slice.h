// SPDX-License-Identifier: MIT
/* A piece of somebody else's bytes, and what is asked of one everywhere: is it this text, does it begin so.
 *
 *   frame, line, file ─── | .... [ptr .. ptr + len) .... |     no NUL behind it; valid as long as its owner
 *
 * Small enough to stand here: it costs no call in the hot path. An empty slice may have ptr NULL. */
#ifndef SPOP_SLICE_H
#define SPOP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes that somebody else owns. ptr may be NULL when len is 0. */
struct spop_slice {
    const char *ptr;
    size_t len;
};

static inline struct spop_slice slice_of(const char *text)
{
    return (struct spop_slice){.ptr = text, .len = strlen(text)};
}

/* The same bytes; case counts. */
static inline bool slice_same(struct spop_slice a, struct spop_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_is(struct spop_slice s, const char *text)
{
    return slice_same(s, slice_of(text));
}

static inline bool slice_starts(struct spop_slice s, const char *text)
{
    size_t len = strlen(text);
    return s.len >= len && slice_same((struct spop_slice){.ptr = s.ptr, .len = len}, slice_of(text));
}

/* Drops the first n bytes; n is at most its length. */
static inline void slice_skip(struct spop_slice *s, size_t n)
{
    if (n > 0)
        s->ptr += n;
    s->len -= n;
}

/* Without the bytes of `blanks` at both ends. */
static inline struct spop_slice slice_trim(struct spop_slice s, const char *blanks)
{
    struct spop_slice of = slice_of(blanks);
    while (s.len > 0 && memchr(of.ptr, s.ptr[0], of.len))
        slice_skip(&s, 1);
    while (s.len > 0 && memchr(of.ptr, s.ptr[s.len - 1], of.len))
        s.len--;
    return s;
}

#endif
