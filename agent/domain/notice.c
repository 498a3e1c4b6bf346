// SPDX-License-Identifier: MIT
/* Words taken off the front of the line, one after another (docs/wire.md):
 *
 *   once/1 TOKEN TS TC STATUS PROCESS ..         what stands behind the process is not ours
 *   {"once":"once/1 TOKEN TS TC STATUS PROCESS" ..  the same in a log of JSON; no word has a quotation mark
 *
 * What the termination state proves is one table, in notice_ending(). */
#include "domain/notice.h"

#include <string.h>

enum { DIGITS_MAX = 9 }; /* of a number in a line: 11 days in ms */
enum { SERVER_ERRORS = 500 };

struct spop_slice notice_word(struct spop_slice *line)
{
    const char *blank = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;
    struct spop_slice word = {line->ptr, blank ? (size_t)(blank - line->ptr) : line->len};
    size_t used = word.len + (blank != NULL);
    slice_skip(line, used);
    return word;
}

static int number(struct spop_slice s, long *out)
{
    bool minus = s.len > 0 && s.ptr[0] == '-';
    long v = 0;
    if (s.len == minus || s.len - minus > DIGITS_MAX)
        return -1;
    for (size_t i = minus; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        v = v * 10 + (s.ptr[i] - '0');
    }
    *out = minus ? -v : v;
    return 0;
}

/* A datagram may end with a line feed or a NUL, as the syslog transport has it. */
static struct spop_slice chomp(struct spop_slice s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == '\0'))
        s.len--;
    return s;
}

/* The text of the first field of a line of JSON; any other line as it is. */
static struct spop_slice unquote(struct spop_slice s)
{
    static const char head[] = "{\"once\":\"";
    if (s.len < sizeof head - 1 || memcmp(s.ptr, head, sizeof head - 1) != 0)
        return s;
    slice_skip(&s, sizeof head - 1);
    const char *end = s.len > 0 ? memchr(s.ptr, '"', s.len) : NULL;
    return (struct spop_slice){s.ptr, end ? (size_t)(end - s.ptr) : 0};
}

struct spop_slice notice_words(const char *line, size_t len)
{
    return unquote(chomp((struct spop_slice){line, len}));
}

/* What names a fetch is shorter than an execution's token. */
static int read_token(struct spop_slice text, struct notice *n)
{
    n->fetch = text.len == CACHEFETCH_TEXT;
    if (n->fetch)
        return cachefetch_read(text, &n->fetched);
    if (text.len != TOKEN_TEXT || token_read(text.ptr, text.len, &n->token) < 0)
        return -1;
    memcpy(n->token_text, text.ptr, TOKEN_TEXT);
    return 0;
}

int notice_read(const char *line, size_t len, struct notice *n)
{
    struct spop_slice rest = notice_words(line, len);
    long status;
    *n = (struct notice){0};
    if (!slice_is(notice_word(&rest), "once/1"))
        return -1;
    struct spop_slice token = notice_word(&rest);
    if (slice_is(token, "-"))
        return 1;
    if (read_token(token, n) < 0)
        return -1;
    struct spop_slice ts = notice_word(&rest);
    if (ts.len != sizeof n->ts || number(notice_word(&rest), &n->tc) < 0 ||
        number(notice_word(&rest), &status) < 0 || status > 999)
        return -1;
    memcpy(n->ts, ts.ptr, sizeof n->ts);
    n->status = status > 0 ? (unsigned)status : 0;
    n->process = notice_word(&rest);
    return n->process.len > 0 ? 0 : -1;
}

enum ending notice_ending(const struct notice *n)
{
    /* Termination states that tell something (HAProxy's configuration manual, 8.5); the rest do not. */
    static const struct {
        char ts[2];
        enum ending ending;
    } states[] = {
        {{'-', '-'}, ENDING_CLEAN},
        {{'S', 'D'}, ENDING_CUT  },
        {{'s', 'D'}, ENDING_CUT  },
        {{'s', 'H'}, ENDING_CUT  },
        {{'s', 'R'}, ENDING_CUT  },
        {{'P', 'H'}, ENDING_CUT  },
    };
    if (n->tc == -1)
        return ENDING_NEVER_SENT;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (memcmp(n->ts, states[i].ts, sizeof n->ts) == 0)
            return states[i].ending;
    return ENDING_OTHER;
}

/* A client that left, a rule of HAProxy's own and an answer that only the agent has missed say nothing of the backend. */
char notice_fetch_mark(const struct notice *n)
{
    return n->status >= SERVER_ERRORS || notice_ending(n) == ENDING_CUT ? 'e' : 0;
}
