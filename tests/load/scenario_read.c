// SPDX-License-Identifier: MIT
/* Reading: a line is cut into words, a word into NAME, FORM and what stands in brackets; one table of forms does the rest. */
#include "tests/load/scenario.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spop/writer.h"

enum { LINE_BYTES = 8192, BODY_MAX = 1024 * 1024, HEAD_BYTES = 16 };

struct reading {
    struct scenario *s;
    const char *path;
    unsigned line;
    char why[200];
};

struct word {
    struct spop_slice name, form, text;
    bool brackets;
};

static bool wrong(struct reading *r, const char *what, struct spop_slice where)
{
    snprintf(r->why, sizeof r->why, "%s:%u: %s: %.*s", r->path, r->line, what,
             (int)(where.len < 60 ? where.len : 60), where.ptr ? where.ptr : "");
    return false;
}

static bool number(struct spop_slice s, uint64_t most, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || *out > most / 10)
            return false;
        *out = *out * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    return s.len > 0 && *out <= most;
}

static struct part *add_part(struct scenario *s, enum part_kind kind)
{
    if (s->nparts == s->cap) {
        unsigned cap = s->cap ? 2 * s->cap : 64;
        struct part *more = realloc(s->part, cap * sizeof *more);
        if (!more)
            return NULL;
        s->part = more;
        s->cap = cap;
    }
    struct part *p = &s->part[s->nparts++];
    *p = (struct part){.kind = kind, .at = s->bytes.len};
    s->message[s->nmessages - 1].nparts++;
    return p;
}

/* Constant bytes go behind the constant bytes before them, into the same part if that is the message's last. */
static bool add_bytes(struct scenario *s, const void *bytes, size_t len)
{
    const struct message *m = &s->message[s->nmessages - 1];
    struct part *p = m->nparts > 0 ? &s->part[s->nparts - 1] : NULL;
    if (!p || p->kind != PART_BYTES)
        p = add_part(s, PART_BYTES);
    buf_put(&s->bytes, bytes, len);
    if (p)
        p->len += len;
    return p && !s->bytes.failed;
}

static bool add_head(struct scenario *s, enum spop_type type, uint64_t varint, bool has_varint)
{
    uint8_t memory[HEAD_BYTES] = {(uint8_t)type};
    struct spop_writer w;
    spop_writer_init(&w, memory, sizeof memory);
    w.len = 1;
    if (has_varint)
        spop_put_varint(&w, varint);
    return add_bytes(s, memory, w.len);
}

static bool add_value(struct scenario *s, enum spop_type type, struct spop_slice bytes)
{
    return add_head(s, type, bytes.len, true) && add_bytes(s, bytes.ptr, bytes.len);
}

static bool form_str(struct reading *r, struct spop_slice text)
{
    return add_value(r->s, SPOP_STR, text);
}

static bool form_int(struct reading *r, struct spop_slice text)
{
    uint64_t v;
    bool negative = text.len > 0 && *text.ptr == '-';
    struct spop_slice digits = text;
    if (negative)
        slice_skip(&digits, 1);
    if (!number(digits, INT64_MAX, &v))
        return wrong(r, "no whole number", text);
    return add_head(r->s, SPOP_INT64, negative ? 0 - v : v, true);
}

static bool form_bool(struct reading *r, struct spop_slice text)
{
    if (!slice_is(text, "true") && !slice_is(text, "false"))
        return wrong(r, "neither true nor false", text);
    uint8_t byte = slice_is(text, "true") ? SPOP_BOOL | 0x10 : SPOP_BOOL;
    return add_bytes(r->s, &byte, 1);
}

static bool form_ip(struct reading *r, struct spop_slice text)
{
    char address[INET6_ADDRSTRLEN] = "";
    uint8_t bytes[16];
    if (text.len < sizeof address)
        memcpy(address, text.ptr, text.len);
    if (inet_pton(AF_INET, address, bytes) == 1)
        return add_head(r->s, SPOP_IPV4, 0, false) && add_bytes(r->s, bytes, 4);
    if (inet_pton(AF_INET6, address, bytes) == 1)
        return add_head(r->s, SPOP_IPV6, 0, false) && add_bytes(r->s, bytes, 16);
    return wrong(r, "no IP address", text);
}

static bool form_null(struct reading *r, struct spop_slice text)
{
    (void)text;
    return add_head(r->s, SPOP_NULL, 0, false);
}

/* Bytes that are no text, and not all the same. */
static bool form_bin(struct reading *r, struct spop_slice text)
{
    uint64_t n;
    if (!number(text, BODY_MAX, &n))
        return wrong(r, "not a number of bytes up to 1048576", text);
    char *bytes = malloc(n ? n : 1);
    for (size_t i = 0; bytes && i < n; i++)
        bytes[i] = (char)(i * 37 + 11);
    bool ok = bytes && add_value(r->s, SPOP_BIN, (struct spop_slice){bytes, n});
    free(bytes);
    return ok;
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef",
               *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool form_hex(struct reading *r, struct spop_slice text)
{
    char bytes[LINE_BYTES / 2];
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        int high = digit(text.ptr[i]), low = digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return wrong(r, "no hex digits", text);
        bytes[i / 2] = (char)(high << 4 | low);
    }
    return text.len % 2 == 0 ? add_value(r->s, SPOP_BIN, (struct spop_slice){bytes, text.len / 2})
                             : wrong(r, "an odd number of hex digits", text);
}

/* Name and value of each as strings, two empty strings at the end. */
static bool form_headers(struct reading *r, struct spop_slice text)
{
    uint8_t memory[LINE_BYTES + 64];
    struct spop_writer w;
    spop_writer_init(&w, memory, sizeof memory);
    while (text.len > 0) {
        const char *end = memchr(text.ptr, ';', text.len);
        struct spop_slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
        const char *colon = memchr(line.ptr, ':', line.len);
        if (!colon || slice_trim((struct spop_slice){line.ptr, (size_t)(colon - line.ptr)}, " ").len == 0)
            return wrong(r, "no header NAME: VALUE", line);
        struct spop_slice name = {line.ptr, (size_t)(colon - line.ptr)},
                          value = {colon + 1, line.len - name.len - 1};
        name = slice_trim(name, " ");
        value = slice_trim(value, " ");
        spop_put_string(&w, name.ptr, name.len);
        spop_put_string(&w, value.ptr, value.len);
        slice_skip(&text, end ? line.len + 1 : line.len);
    }
    spop_put_string(&w, "", 0);
    spop_put_string(&w, "", 0);
    return add_value(r->s, SPOP_BIN, (struct spop_slice){(const char *)memory, w.len});
}

static bool form_now(struct reading *r, struct spop_slice text)
{
    (void)text;
    return add_part(r->s, PART_NOW) != NULL;
}

static bool form_uuid(struct reading *r, struct spop_slice text)
{
    (void)text;
    return add_part(r->s, PART_UUID) != NULL;
}

static bool add_numbered(struct reading *r, enum part_kind kind, struct spop_slice text, uint64_t n)
{
    struct part *p = add_part(r->s, kind);
    if (!p)
        return false;
    p->len = text.len;
    p->n = n;
    buf_put(&r->s->bytes, text.ptr, text.len);
    return !r->s->bytes.failed;
}

static bool form_unique(struct reading *r, struct spop_slice text)
{
    return add_numbered(r, PART_UNIQUE, text, 0);
}

static bool form_among(struct reading *r, struct spop_slice text)
{
    const char *comma = memrchr(text.ptr, ',', text.len);
    size_t len = comma ? (size_t)(comma - text.ptr) : text.len;
    uint64_t n;
    if (!comma || !number((struct spop_slice){comma + 1, text.len - len - 1}, UINT32_MAX, &n) || n == 0)
        return wrong(r, "not TEXT,N with N from 1 on", text);
    return add_numbered(r, PART_AMONG, (struct spop_slice){text.ptr, len}, n);
}

static bool form_var(struct reading *r, struct spop_slice text)
{
    char name[SCENARIO_NAME];
    if (r->s->kind[r->s->nkinds - 1].nmessages == 1)
        return wrong(r, "var() in the first message, which no ACK comes before", text);
    if (text.len == 0 || text.len >= sizeof name)
        return wrong(r, "no name of a variable", text);
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.ptr);
    int var = scenario_var(r->s, name);
    struct part *p = var >= 0 ? add_part(r->s, PART_VAR) : NULL;
    if (!p)
        return wrong(r, "more than 8 variables", text);
    p->n = (uint64_t)var;
    return true;
}

static const struct {
    const char *name;
    bool brackets;
    bool (*add)(struct reading *r, struct spop_slice text);
} forms[] = {
    {"str",     true,  form_str    },
    {"int",     true,  form_int    },
    {"bool",    true,  form_bool   },
    {"ip",      true,  form_ip     },
    {"null",    false, form_null   },
    {"bin",     true,  form_bin    },
    {"hex",     true,  form_hex    },
    {"headers", true,  form_headers},
    {"now",     false, form_now    },
    {"uuid",    false, form_uuid   },
    {"unique",  true,  form_unique },
    {"among",   true,  form_among  },
    {"var",     true,  form_var    },
};

static struct spop_slice take_until(struct spop_slice *rest, const char *stops)
{
    struct spop_slice s = {rest->ptr, 0};
    while (s.len < rest->len && !strchr(stops, rest->ptr[s.len]))
        s.len++;
    slice_skip(rest, s.len);
    return s;
}

/* NAME=FORM or NAME=FORM(TEXT), off the front of the line. */
static bool take_word(struct reading *r, struct spop_slice *rest, struct word *w)
{
    struct spop_slice whole = *rest;
    w->name = take_until(rest, "= ");
    if (w->name.len == 0 || rest->len == 0 || *rest->ptr != '=')
        return wrong(r, "no argument NAME=FORM", whole);
    slice_skip(rest, 1);
    w->form = take_until(rest, "( ");
    w->brackets = rest->len > 0 && *rest->ptr == '(';
    w->text = (struct spop_slice){"", 0};
    if (!w->brackets)
        return true;
    slice_skip(rest, 1);
    w->text = take_until(rest, ")");
    if (rest->len == 0)
        return wrong(r, "no closing bracket", whole);
    slice_skip(rest, 1);
    return true;
}

static bool take_argument(struct reading *r, struct spop_slice *rest)
{
    struct word w;
    if (!take_word(r, rest, &w))
        return false;
    uint8_t memory[HEAD_BYTES];
    struct spop_writer head;
    spop_writer_init(&head, memory, sizeof memory);
    spop_put_varint(&head, w.name.len);
    if (!add_bytes(r->s, memory, head.len) || !add_bytes(r->s, w.name.ptr, w.name.len))
        return false;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (slice_is(w.form, forms[i].name) && forms[i].brackets == w.brackets)
            return forms[i].add(r, w.text);
    return wrong(r, "no such form, or not with these brackets (tests/load/scenario.h)", w.form);
}

static bool is_name(struct spop_slice s)
{
    size_t i = 0;
    while (i < s.len && (isalnum((unsigned char)s.ptr[i]) || strchr("_.:-", s.ptr[i])))
        i++;
    return i == s.len;
}

static bool take_message(struct reading *r, struct spop_slice rest)
{
    struct scenario *s = r->s;
    struct spop_slice name = take_until(&rest, " ");
    if (s->nkinds == 0)
        return wrong(r, "a message before the first line `transaction WEIGHT`", name);
    if (s->nmessages == SCENARIO_MESSAGES)
        return wrong(r, "more than 16 messages", name);
    if (name.len == 0 || name.len >= SCENARIO_NAME || !is_name(name))
        return wrong(r, "no name of a message (letters, digits, _ . : -)", name);
    struct message *m = &s->message[s->nmessages++];
    *m = (struct message){.first_part = s->nparts};
    memcpy(m->name, name.ptr, name.len);
    s->kind[s->nkinds - 1].nmessages++;
    uint8_t length = (uint8_t)name.len, count = 0;
    if (!add_bytes(s, &length, 1) || !add_bytes(s, name.ptr, name.len) || !add_bytes(s, &count, 1))
        return false;
    size_t count_at = s->bytes.len - 1;
    for (unsigned n = 1; (rest = slice_trim(rest, " ")).len > 0; n++) {
        if (n > SCENARIO_ARGS)
            return wrong(r, "more than 255 arguments", rest);
        if (!take_argument(r, &rest))
            return false;
        s->bytes.data[count_at] = (uint8_t)n;
    }
    return true;
}

static bool take_transaction(struct reading *r, struct spop_slice rest)
{
    struct scenario *s = r->s;
    uint64_t weight;
    if (!number(rest, 1000000, &weight) || weight == 0)
        return wrong(r, "no weight from 1 to 1000000", rest);
    if (s->nkinds == SCENARIO_KINDS)
        return wrong(r, "more than 16 kinds of transactions", rest);
    s->kind[s->nkinds++] = (struct kind){.weight = (unsigned)weight, .first_message = s->nmessages};
    s->weights += (unsigned)weight;
    return true;
}

static bool take_line(struct reading *r, struct spop_slice line)
{
    line = slice_trim(line, " \t\r\n");
    if (line.len == 0 || *line.ptr == '#')
        return true;
    struct spop_slice word = take_until(&line, " ");
    line = slice_trim(line, " ");
    if (slice_is(word, "transaction"))
        return take_transaction(r, line);
    if (slice_is(word, "message"))
        return take_message(r, line);
    return wrong(r, "neither `transaction WEIGHT` nor `message NAME ARGUMENT..`", word);
}

static bool read_lines(struct reading *r, FILE *file)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, file)) {
        r->line++;
        struct spop_slice all = slice_of(line);
        if (all.len + 1 == sizeof line)
            return wrong(r, "a line over 8190 bytes", (struct spop_slice){line, 20});
        if (!take_line(r, all))
            return false;
    }
    for (unsigned i = 0; i < r->s->nkinds; i++)
        if (r->s->kind[i].nmessages == 0)
            return wrong(r, "a transaction without a message", (struct spop_slice){NULL, 0});
    return r->s->nkinds > 0 || wrong(r, "no transaction", (struct spop_slice){NULL, 0});
}

int scenario_read(struct scenario *s, const char *path, char *err, size_t errlen)
{
    struct reading r = {.s = s, .path = path};
    *s = (struct scenario){0};
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return -1;
    }
    bool good = read_lines(&r, file);
    if (ferror(file))
        good = wrong(&r, "cannot be read", slice_of(strerror(errno)));
    fclose(file);
    if (good)
        return 0;
    snprintf(err, errlen, "%s", *r.why ? r.why : "out of memory");
    scenario_free(s);
    return -1;
}

void scenario_free(struct scenario *s)
{
    free(s->part);
    buf_free(&s->bytes);
    *s = (struct scenario){0};
}
