// SPDX-License-Identifier: MIT
/* A cursor goes over lines: type, number, and for a bulk so many bytes more. "Not yet" and "never" are
 * different results all the way up. */
#include "domain/resp.h"

enum { LINE_BYTES = 512, LATER = 0, NEVER = -1, READ = 1 };

struct resp_cursor {
    struct spop_slice rest;
    size_t used;
};

static void skip(struct resp_cursor *c, size_t n)
{
    slice_skip(&c->rest, n);
    c->used += n;
}

/* A line without its end. */
static int take_line(struct resp_cursor *c, struct spop_slice *line)
{
    const char *end = c->rest.len ? memchr(c->rest.ptr, '\r', c->rest.len) : NULL;
    size_t len = end ? (size_t)(end - c->rest.ptr) : c->rest.len;
    if (len > LINE_BYTES)
        return NEVER;
    if (!end || len + 1 == c->rest.len)
        return LATER;
    if (end[1] != '\n')
        return NEVER;
    *line = (struct spop_slice){c->rest.ptr, len};
    skip(c, len + 2);
    return READ;
}

/* -1, or a number of at most six digits; false: neither. */
static bool take_number(struct spop_slice s, long *out)
{
    if (slice_is(s, "-1")) {
        *out = -1;
        return true;
    }
    if (s.len == 0 || s.len > 6)
        return false;
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (s.ptr[i] - '0');
    }
    return true;
}

static int take_bulk(struct resp_cursor *c, long len, struct spop_slice *out)
{
    if (len > RESP_BULK_MAX)
        return NEVER;
    if (c->rest.len < (size_t)len + 2)
        return LATER;
    *out = (struct spop_slice){c->rest.ptr, (size_t)len};
    if (c->rest.ptr[len] != '\r' || c->rest.ptr[len + 1] != '\n')
        return NEVER;
    skip(c, (size_t)len + 2);
    return READ;
}

/* One scalar, or the head of an array: then *count is what it announces. */
static int take_item(struct resp_cursor *c, enum resp_kind *kind, struct spop_slice *text, long *count)
{
    struct spop_slice line;
    int rc = take_line(c, &line);
    if (rc != READ)
        return rc;
    char type = line.len ? line.ptr[0] : '\0';
    slice_skip(&line, line.len ? 1 : 0);
    *text = line;
    switch (type) {
    case '+': *kind = RESP_STATUS; return READ;
    case '-': *kind = RESP_ERROR; return READ;
    case ':': *kind = RESP_INT; return READ;
    case '$':
    case '*': break;
    default: return NEVER;
    }
    if (!take_number(line, count))
        return NEVER;
    *kind = *count < 0 ? RESP_NIL : type == '$' ? RESP_BULK : RESP_ARRAY;
    if (*kind == RESP_NIL)
        *text = (struct spop_slice){0};
    return *kind == RESP_BULK ? take_bulk(c, *count, text) : READ;
}

long resp_read(struct spop_slice in, struct resp *out)
{
    struct resp_cursor c = {.rest = in};
    enum resp_kind kind;
    long count = 0, ignored;
    int rc = take_item(&c, &out->kind, &out->item[0], &count);
    if (rc != READ)
        return rc;
    out->n = out->kind == RESP_NIL ? 0 : 1;
    if (out->kind != RESP_ARRAY)
        return (long)c.used;
    if (count > RESP_ITEMS_MAX)
        return NEVER;
    for (out->n = 0; out->n < (unsigned)count; out->n++) {
        rc = take_item(&c, &kind, &out->item[out->n], &ignored);
        if (rc != READ)
            return rc;
        if (kind == RESP_ARRAY)
            return NEVER;
    }
    return (long)c.used;
}

static void put_head(struct buf *out, const char *type, uint64_t n)
{
    buf_str(out, type);
    buf_dec(out, n);
    buf_str(out, "\r\n");
}

void resp_command(struct buf *out, const char *const *words, unsigned n)
{
    put_head(out, "*", n);
    for (unsigned i = 0; i < n; i++) {
        put_head(out, "$", strlen(words[i]));
        buf_str(out, words[i]);
        buf_str(out, "\r\n");
    }
}
