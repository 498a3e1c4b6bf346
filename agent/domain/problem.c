// SPDX-License-Identifier: MIT
/* One JSON object is written member by member into fixed memory; a member that does not fit is taken back
 * whole, so that what is left is always an object:
 *
 *   {"type":"..","title":"..","status":409 ,"member":..   }      the last byte is kept for the brace
 *                                          └ member_open .. member_close: cut here if full
 */
#include "domain/problem.h"

#include <string.h>

static const struct {
    unsigned status;
    const char *word, *title;
} problems[] = {
#define X(symbol, status, word, title) [PROBLEM_##symbol] = {status, word, title},
    X(NONE, 0, "", "") PROBLEM_TABLE(X)
#undef X
};

unsigned problem_status(enum problem p)
{
    return problems[p].status;
}

const char *problem_word(enum problem p)
{
    return problems[p].word;
}

const char *problem_title(enum problem p)
{
    return problems[p].title;
}

/* RFC 8259, section 7. */
static void put_escaped(struct text *t, struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        char wide[6] = {'\\', 'u', '0', '0', text_hex_digit(c >> 4), text_hex_digit(c)};
        char pair[2] = {'\\', (char)c};
        if (c == '"' || c == '\\')
            text_put(t, pair, sizeof pair);
        else if (c < 0x20 || c > 0x7e)
            text_put(t, wide, sizeof wide);
        else
            text_put(t, &s.ptr[i], 1);
    }
}

static void put_quoted(struct text *t, struct spop_slice s)
{
    text_put(t, "\"", 1);
    put_escaped(t, s);
    text_put(t, "\"", 1);
}

/* Returns where the member begins, for member_close(). */
static size_t member_open(struct text *t, const char *name)
{
    size_t at = t->len;
    text_str(t, at > 1 ? ",\"" : "\"");
    text_str(t, name);
    text_put(t, "\":", 2);
    return at;
}

static void member_close(struct text *t, size_t at)
{
    if (t->full)
        text_cut(t, at);
}

void problem_begin(struct text *t, char memory[PROBLEM_BODY], const char *base, enum problem p,
                   const char *detail)
{
    text_init(t, memory, PROBLEM_BODY - 1); /* one byte is kept for the closing brace */
    text_put(t, "{", 1);
    size_t at = member_open(t, "type");
    text_put(t, "\"", 1);
    put_escaped(t, slice_of(base));
    put_escaped(t, slice_of(problem_word(p)));
    text_put(t, "\"", 1);
    member_close(t, at);
    problem_string(t, "title", slice_of(problem_title(p)));
    problem_integer(t, "status", problem_status(p));
    if (detail)
        problem_string(t, "detail", slice_of(detail));
}

void problem_integer(struct text *t, const char *name, int64_t v)
{
    size_t at = member_open(t, name);
    text_dec(t, v);
    member_close(t, at);
}

void problem_string(struct text *t, const char *name, struct spop_slice value)
{
    size_t at = member_open(t, name);
    put_quoted(t, value);
    member_close(t, at);
}

void problem_list(struct text *t, const char *name, problem_item_fn *item, const void *arg, unsigned n)
{
    size_t at = member_open(t, name);
    const char *comma = "[";
    for (unsigned i = 0; i < n; i++) {
        const char *text = item(arg, i);
        if (!text)
            continue;
        text_put(t, comma, 1);
        put_quoted(t, slice_of(text));
        comma = ",";
    }
    text_str(t, *comma == '[' ? "[]" : "]");
    member_close(t, at);
}

void problem_end(struct text *t)
{
    t->cap++;
    text_put(t, "}", 1);
}
