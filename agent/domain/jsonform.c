// SPDX-License-Identifier: MIT
/* jansson knows the grammar, the escapes and the order of names; but it would make a double of a number. So
 * numbers are given to it as strings, and a letter tells them from the text's own:
 *
 *   {"a": 1.50, "b": "1.50"}  ──mark──►  {"sa": "n1.50", "sb": "s1.50"}  ──jansson──►  sorted, compact
 */
#include "domain/jsonform.h"

#include <jansson.h>
#include <string.h>

enum { TEXT_MARK = 's', NUMBER_MARK = 'n' };

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Behind the number that begins at `at` (RFC 8259, section 6); NULL: it is none. */
static const char *number_end(const char *at, const char *end)
{
    const char *from;
    if (at < end && *at == '-')
        at++;
    from = at;
    at = skip_digits(at, end);
    if (at == from || (*from == '0' && at > from + 1))
        return NULL;
    if (at < end && *at == '.') {
        from = ++at;
        at = skip_digits(at, end);
        if (at == from)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        from = at;
        at = skip_digits(at, end);
        if (at == from)
            return NULL;
    }
    return at;
}

/* What may stand behind a number: it is no name, and no part of another word. */
static bool ends_value(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at == end || *at == ',' || *at == ']' || *at == '}';
}

/* Behind the closing quote of the string that begins at `at`; `end` if there is none. */
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

static bool mark(struct spop_slice text, struct buf *out)
{
    const char *at = text.ptr, *end = at + text.len, *from;
    while ((from = at) < end) {
        if (*from == '"') {
            at = string_end(from, end);
            buf_put(out, (char[]){'"', TEXT_MARK}, 2);
            buf_put(out, from + 1, (size_t)(at - from) - 1);
        } else if (*from == '-' || (*from >= '0' && *from <= '9')) {
            at = number_end(from, end);
            if (!at || !ends_value(at, end))
                return false;
            buf_put(out, (char[]){'"', NUMBER_MARK}, 2);
            buf_put(out, from, (size_t)(at - from));
            buf_u8(out, '"');
        } else {
            buf_u8(out, (uint8_t)*at++);
        }
    }
    return !out->failed;
}

/* Takes the member out that a path names, if there is one. */
static void leave_out(json_t *object, const char *path)
{
    char name[CONFIG_TEXT_MAX + 2] = {TEXT_MARK};
    for (;; path++) {
        size_t len = strcspn(path, ".");
        memcpy(name + 1, path, len);
        name[1 + len] = '\0';
        path += len;
        if (!*path)
            break;
        object = json_object_get(object, name); /* NULL where it is no object: stays NULL from there on */
    }
    json_object_del(object, name);
}

static int to_buf(const char *bytes, size_t len, void *out)
{
    buf_put(out, bytes, len);
    return ((struct buf *)out)->failed ? -1 : 0;
}

static json_t *load(struct spop_slice text)
{
    struct buf marked;
    json_t *tree = NULL;
    buf_init(&marked);
    if (text.len > 0 && mark(text, &marked))
        tree =
            json_loadb((const char *)marked.data, marked.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    buf_free(&marked);
    return tree;
}

bool json_form(struct spop_slice text, const struct text_list *ignore, struct buf *out)
{
    size_t before = out->len;
    json_t *tree = load(text);
    if (!tree)
        return false;
    for (unsigned i = 0; i < ignore->n; i++)
        leave_out(tree, ignore->item[i]);
    int rc = json_dump_callback(tree, to_buf, out, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(tree);
    if (rc != 0)
        out->len = before;
    return rc == 0;
}
