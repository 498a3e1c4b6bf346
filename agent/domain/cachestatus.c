// SPDX-License-Identifier: MIT
/* once; HOW[; fwd-status=N][; stored][; collapsed][; ttl=N][; detail="TEXT"], an item of structured fields (RFC 8941). */
#include "domain/cachestatus.h"

static const int64_t INTEGER_MAX = 999999999999999; /* RFC 8941, section 3.3.1 */

static const char *const parameters[] = {
#define X(symbol, parameter) parameter,
    CACHESTATUS_TABLE(X)
#undef X
};

/* Back to before the parameter if it did not fit. */
static void end_parameter(struct text *t, size_t before)
{
    if (t->full)
        text_cut(t, before);
}

static void put_word(struct text *t, const char *word)
{
    size_t before = t->len;
    text_str(t, "; ");
    text_str(t, word);
    end_parameter(t, before);
}

static void put_number(struct text *t, const char *name, int64_t v)
{
    size_t before = t->len;
    text_str(t, name);
    text_dec(t, v > INTEGER_MAX ? INTEGER_MAX : v < -INTEGER_MAX ? -INTEGER_MAX : v);
    end_parameter(t, before);
}

/* RFC 8941, 3.3.3: printable ASCII, with two escapes. */
static void put_string(struct text *t, const char *name, struct spop_slice value)
{
    size_t before = t->len;
    text_str(t, name);
    text_str(t, "\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i] >= ' ' && value.ptr[i] <= '~' ? value.ptr[i] : '?';
        if (c == '"' || c == '\\')
            text_str(t, "\\");
        text_put(t, &c, 1);
    }
    text_str(t, "\"");
    end_parameter(t, before);
}

void cachestatus_write(struct text *t, const struct cachestatus *s)
{
    size_t before = t->len;
    text_str(t, "once");
    end_parameter(t, before);
    if (t->len == before)
        return;
    put_word(t, parameters[s->how]);
    if (s->fwd_status > 0)
        put_number(t, "; fwd-status=", s->fwd_status);
    if (s->stored)
        put_word(t, "stored");
    if (s->collapsed)
        put_word(t, "collapsed");
    if (s->has_ttl)
        put_number(t, "; ttl=", s->ttl_s);
    if (s->detail.len > 0)
        put_string(t, "; detail=", s->detail);
}
