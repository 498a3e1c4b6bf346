// SPDX-License-Identifier: MIT
/* A line is built on the stack and leaves in one write(2), so that lines of several processes on one pipe do
 * not mix (a pipe takes PIPE_BUF bytes in one piece).
 *
 *   | time, level, event | fields ..                  | tail: cut mark, lost count, newline |
 *   0                                             LINE_ROOM                            LINE_MAX
 *
 * Fields may use the part before the tail; what does not fit is cut at a whole character and marked, so that
 * a JSON line stays JSON. Nobody waits long for a reader that has stopped: after WAIT_MS the line is lost,
 * further lines do not wait at all, and the next one that gets through says how many were lost. */
#include "adapters/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "domain/text.h"

enum { LINE_MAX_BYTES = 4096, TAIL_BYTES = 96, LINE_ROOM = LINE_MAX_BYTES - TAIL_BYTES, WAIT_MS = 20 };

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len, room;
    bool cut;
};

static const char *const level_words[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static struct {
    enum log_format format;
    enum log_level level;
    unsigned lost;
} state = {.format = LOG_TEXT, .level = LOG_NOTICE};

void log_setup(enum log_format format, enum log_level level)
{
    state.format = format;
    state.level = level;
}

bool log_wants(enum log_level level)
{
    return level <= state.level;
}

/* All of it or nothing. */
static bool put(struct line *l, const char *bytes, size_t len)
{
    if (l->cut || len > l->room - l->len) {
        l->cut = true;
        return false;
    }
    memcpy(l->bytes + l->len, bytes, len);
    l->len += len;
    return true;
}

static bool put_str(struct line *l, const char *text)
{
    return put(l, text, strlen(text));
}

static void put_int(struct line *l, long long v)
{
    char digits[24];
    size_t at = sizeof digits;
    unsigned long long rest = v < 0 ? 0ULL - (unsigned long long)v : (unsigned long long)v;
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0)
        digits[--at] = '-';
    put(l, digits + at, sizeof digits - at);
}

static void put_digits(char *to, int v, unsigned n)
{
    while (n > 0) {
        to[--n] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* Of days since 1970, for dates from then on: a year begins in March here, so that February 29 is its last
 * day (H. Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days). gmtime_r() takes a lock,
 * and so a handler of signals must not call it. */
static void put_date(char *to, int64_t days)
{
    int64_t from_march_0 = days + 719468, era = from_march_0 / 146097;
    int day = (int)(from_march_0 % 146097);
    int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int day_of_year = day - (365 * year + year / 4 - year / 100);
    int month = (5 * day_of_year + 2) / 153;
    put_digits(to, (int)(era * 400) + year + (month >= 10), 4);
    put_digits(to + 5, month < 10 ? month + 3 : month - 9, 2);
    put_digits(to + 8, day_of_year - (153 * month + 2) / 5 + 1, 2);
}

static void put_time(struct line *l)
{
    char text[] = "0000-00-00T00:00:00.000Z";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int second = (int)(now.tv_sec % 86400);
    put_date(text, now.tv_sec / 86400);
    put_digits(text + 11, second / 3600, 2);
    put_digits(text + 14, second / 60 % 60, 2);
    put_digits(text + 17, second % 60, 2);
    put_digits(text + 20, (int)(now.tv_nsec / 1000000), 3);
    put(l, text, sizeof text - 1);
}

/* Printable ASCII without quote and backslash stands for itself, every other byte is \xNN or \u00NN. */
static void put_escaped(struct line *l, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && !l->cut; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
            put(l, bytes + i, 1);
            continue;
        }
        const char digits[2] = {text_hex_digit(c >> 4), text_hex_digit(c)};
        char escape[6] = "\\u00";
        size_t n = state.format == LOG_JSON ? 4 : 2;
        if (n == 2)
            escape[1] = 'x';
        memcpy(escape + n, digits, sizeof digits);
        put(l, escape, n + sizeof digits);
    }
}

/* The closing quote always finds room: it may go into the tail. */
static void put_quoted(struct line *l, const char *bytes, size_t len)
{
    if (!put(l, "\"", 1))
        return;
    put_escaped(l, bytes, len);
    l->bytes[l->len++] = '"';
    if (l->len > l->room)
        l->room = l->len;
}

static bool is_plain(const char *bytes, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] == ' ' || bytes[i] == '=')
            return false;
    return true;
}

static void put_value(struct line *l, const struct log_field *f)
{
    struct spop_slice v = f->bytes;
    if (f->kind == LOG_FIELD_INT) {
        put_int(l, f->integer);
        return;
    }
    if (f->kind == LOG_FIELD_TEXT) {
        if (!f->text) {
            put_str(l, state.format == LOG_JSON ? "null" : "-");
            return;
        }
        v = (struct spop_slice){f->text, strlen(f->text)};
    }
    if (state.format == LOG_JSON || !is_plain(v.ptr, v.len))
        put_quoted(l, v.ptr, v.len);
    else
        put_escaped(l, v.ptr, v.len);
}

/* A field whose name, or whose number, does not fit is left out whole. */
static void put_field(struct line *l, const struct log_field *f)
{
    size_t before = l->len;
    bool named = state.format == LOG_JSON ? put_str(l, ",\"") && put_str(l, f->name) && put_str(l, "\":")
                                          : put_str(l, " ") && put_str(l, f->name) && put_str(l, "=");
    size_t value_at = l->len;
    if (named)
        put_value(l, f);
    if (!named || l->len == value_at)
        l->len = before;
}

static void put_head(struct line *l, enum log_level level, const char *event)
{
    bool json = state.format == LOG_JSON;
    put_str(l, json ? "{\"time\":\"" : "");
    put_time(l);
    put_str(l, json ? "\",\"level\":\"" : " ");
    put_str(l, level_words[level]);
    put_str(l, json ? "\",\"event\":\"" : " ");
    put_str(l, event);
    put_str(l, json ? "\"" : "");
}

static void put_tail(struct line *l)
{
    bool cut = l->cut;
    l->cut = false;
    l->room = sizeof l->bytes;
    if (cut)
        put_field(l, &(struct log_field){.name = "truncated", .kind = LOG_FIELD_INT, .integer = 1});
    if (state.lost > 0)
        put_field(l, &(struct log_field){.name = "lost_lines", .kind = LOG_FIELD_INT, .integer = state.lost});
    put_str(l, state.format == LOG_JSON ? "}\n" : "\n");
}

/* Writable for a pipe or a socket means that a whole line fits. */
static bool may_write(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int n = poll(&p, 1, state.lost > 0 ? 0 : WAIT_MS);
    return n == 1 && (p.revents & POLLOUT) && !(p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
    int saved = errno;
    struct line l;
    l.len = 0;
    l.room = LINE_ROOM;
    l.cut = false;
    put_head(&l, level, event);
    for (size_t i = 0; i < n; i++)
        put_field(&l, &fields[i]);
    put_tail(&l);
    if (may_write() && write(STDERR_FILENO, l.bytes, l.len) >= 0)
        state.lost = 0;
    else
        state.lost++;
    errno = saved;
}

bool log_gate_open(struct log_gate *g, unsigned burst, double now)
{
    if (now - g->second >= 1 || now < g->second) {
        g->second = now;
        g->count = 0;
    }
    if (g->count < burst) {
        /* The first line of a second tells what the last second left out, the others have nothing to tell. */
        if (g->count++ > 0)
            g->left_out = 0;
        return true;
    }
    if (g->count == burst) {
        g->count++;
        g->left_out = 0;
    }
    g->left_out++;
    return false;
}
