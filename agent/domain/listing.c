// SPDX-License-Identifier: MIT
/* Strict readers of HAProxy's answers: each takes a piece off the front of a slice, or fails.
 *
 *   answer ──take_line──► head_read | entry_read ──► 0x..: key=.. (take_key), ` name=number` .. (take_column)
 *
 * listing_open() walks everything once, so that listing_next() cannot fail later. */
#include "domain/listing.h"

#include <string.h>

/* Takes a decimal number; -1 if there is none or it does not fit. */
static int take_number(struct spop_slice *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++) {
        unsigned digit = (unsigned)(s->ptr[n] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return -1;
        v = v * 10 + digit;
    }
    if (n == 0)
        return -1;
    slice_skip(s, n);
    *out = v;
    return 0;
}

/* Takes a line with its newline; -1 if the newline is missing. */
static int take_line(struct spop_slice *s, struct spop_slice *line)
{
    const char *end = s->len ? memchr(s->ptr, '\n', s->len) : NULL;
    if (!end)
        return -1;
    *line = (struct spop_slice){s->ptr, (size_t)(end - s->ptr)};
    slice_skip(s, line->len + 1);
    return 0;
}

int process_read(const char *text, size_t len, struct process *p)
{
    struct spop_slice s = {text, len};
    if (take_number(&s, &p->pid) != 0 || s.len == 0 || *s.ptr != '.')
        return -1;
    slice_skip(&s, 1);
    if (take_number(&s, &p->start_us) != 0 || (s.len > 0 && *s.ptr != '.'))
        return -1;
    return p->pid && p->start_us ? 0 : -1;
}

bool process_same(const struct process *a, const struct process *b)
{
    return a->pid == b->pid && a->start_us == b->start_us;
}

/* The whole rest of a line that begins with `name: ` is a number. */
static bool line_says(struct spop_slice line, const char *name, uint64_t *out)
{
    if (!slice_starts(line, name))
        return false;
    slice_skip(&line, strlen(name));
    return take_number(&line, out) == 0 && line.len == 0;
}

int process_info_read(struct spop_slice answer, struct process_info *info)
{
    uint64_t stopping = 0;
    unsigned found = 0;
    struct spop_slice line;
    while (take_line(&answer, &line) == 0) {
        if (line_says(line, "Pid: ", &info->pid))
            found |= 1;
        else if (line_says(line, "CurrConns: ", &info->connections))
            found |= 2;
        else if (line_says(line, "Stopping: ", &stopping))
            found |= 4;
    }
    info->stopping = stopping != 0;
    return found == 7 ? 0 : -1;
}

int process_start_read(struct spop_slice answer, uint64_t *start_us)
{
    static const char lead[] = "proc.once_start: type=sint value=<";
    if (!slice_starts(answer, lead))
        return -1;
    slice_skip(&answer, sizeof lead - 1);
    if (take_number(&answer, start_us) != 0 || answer.len == 0 || *answer.ptr != '>')
        return -1;
    return *start_us ? 0 : -1;
}

/* Takes an entry's key, up to a blank that is not escaped. */
static int take_key(struct spop_slice *s, struct spop_slice *key)
{
    size_t n = 0;
    while (n < s->len && s->ptr[n] != ' ')
        n += s->ptr[n] == '\\' ? 2 : 1;
    if (n == 0 || n >= s->len)
        return -1;
    *key = (struct spop_slice){s->ptr, n};
    slice_skip(s, n);
    return 0;
}

/* Takes ` name=number`; columns that we do not know are passed over, whatever their value. */
static int take_column(struct spop_slice *s, struct listing_entry *e, unsigned *found)
{
    const struct {
        const char *name;
        uint64_t *value;
    } columns[] = {
        {" use=",      &e->use     },
        {" gpt0=",     &e->gpt0    },
        {" conn_cur=", &e->conn_cur}
    };
    for (unsigned i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (!slice_starts(*s, columns[i].name))
            continue;
        *found |= 1u << i;
        slice_skip(s, strlen(columns[i].name));
        return take_number(s, columns[i].value) == 0 && (s->len == 0 || *s->ptr == ' ') ? 0 : -1;
    }
    if (*s->ptr != ' ')
        return -1;
    const char *end = memchr(s->ptr + 1, ' ', s->len - 1);
    slice_skip(s, end ? (size_t)(end - s->ptr) : s->len);
    return 0;
}

static int entry_read(struct spop_slice line, struct listing_entry *e)
{
    unsigned found = 0;
    const char *lead = line.len ? memchr(line.ptr, ':', line.len) : NULL;
    if (!slice_starts(line, "0x") || !lead)
        return -1;
    slice_skip(&line, (size_t)(lead - line.ptr));
    if (!slice_starts(line, ": key="))
        return -1;
    slice_skip(&line, strlen(": key="));
    if (take_key(&line, &e->key) != 0)
        return -1;
    while (line.len > 0)
        if (take_column(&line, e, &found) != 0)
            return -1;
    return found == 7 ? 0 : -1;
}

/* `# table: NAME, type: string, size:1000, used:2` */
static int head_read(struct spop_slice line, const char *table, uint64_t *used)
{
    static const char lead[] = "# table: ";
    if (!slice_starts(line, lead))
        return -1;
    slice_skip(&line, sizeof lead - 1);
    if (!slice_starts(line, table))
        return -1;
    slice_skip(&line, strlen(table));
    if (!slice_starts(line, ", type: string,"))
        return -1;
    const char *at = memmem(line.ptr, line.len, " used:", strlen(" used:"));
    if (!at)
        return -1;
    slice_skip(&line, (size_t)(at - line.ptr) + strlen(" used:"));
    return take_number(&line, used) == 0 && line.len == 0 ? 0 : -1;
}

enum listing_status listing_open(struct spop_slice answer, const char *table, unsigned max, struct listing *l)
{
    struct spop_slice line;
    struct listing_entry e;
    if (slice_starts(answer, "No such table"))
        return LISTING_NO_TABLE;
    if (take_line(&answer, &line) != 0 || head_read(line, table, &l->used) != 0)
        return LISTING_BROKEN;
    l->lines = answer;
    for (l->n = 0; answer.len > 0; l->n++) {
        if (take_line(&answer, &line) != 0 || entry_read(line, &e) != 0)
            return LISTING_BROKEN;
        if (l->n == max)
            return LISTING_TOO_LONG;
    }
    return LISTING_OK;
}

bool listing_next(struct listing *l, struct listing_entry *e)
{
    struct spop_slice line;
    return take_line(&l->lines, &line) == 0 && entry_read(line, e) == 0;
}
