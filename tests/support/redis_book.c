// SPDX-License-Identifier: MIT
/* MONITOR writes each command as it comes, its arguments in quotes with \xNN for what is not printable. An
 * ECHO of a number of ours goes through Redis behind everything that was said before: reading up to it,
 * nothing is missed and nothing is waited for.
 *
 *   1795258557.1 [0 unix:..] "EVALSHA" "SHA" "KEYS" key .. "tokens" ..        one line: one word, some tokens
 */
#include "tests/support/redis_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ARGS_MAX = 8 + 2 * SCRIPT_EXTEND_MAX, LINE_MAX_BYTES = 65536 };

void book_open(struct redis_book *b, struct redis_server *s)
{
    *b = (struct redis_book){.server = s, .c = redis_server_connect(s)};
    freeReplyObject(redisCommand(b->c, "MONITOR"));
}

void book_close(struct redis_book *b)
{
    redisFree(b->c);
}

/* One character behind a backslash, or \xNN; returns what follows it. */
static const char *take_escape(const char *at, char *out)
{
    static const char letters[] = "nrtab", bytes[] = "\n\r\t\a\b";
    const char *known = *at ? strchr(letters, *at) : NULL;
    if (*at == 'x') {
        *out = (char)strtoul((char[]){at[1], at[2], '\0'}, NULL, 16);
        return at + 3;
    }
    *out = known ? bytes[known - letters] : *at;
    return at + 1;
}

/* The quoted arguments of a line into memory; returns how many. */
static unsigned take_args(const char *line, char *memory, struct spop_slice args[ARGS_MAX])
{
    unsigned n = 0;
    const char *at = strstr(line, "] \"");
    for (at = at ? at + 2 : ""; *at == '"' && n < ARGS_MAX; at += *at == ' ') {
        args[n].ptr = memory;
        for (at++; *at && *at != '"'; memory++) {
            if (*at == '\\')
                at = take_escape(at + 1, memory);
            else
                *memory = *at++;
        }
        args[n].len = (size_t)(memory - args[n].ptr);
        *memory++ = '\0';
        n++;
        at++;
    }
    return n;
}

static enum script_id script_of(struct spop_slice sha)
{
    unsigned i = 0;
    while (i < SCRIPTS && !slice_is(sha, scripts[i].sha))
        i++;
    return i;
}

static void take_down(struct redis_book *b, const char *line)
{
    static char memory[LINE_MAX_BYTES];
    struct spop_slice args[ARGS_MAX];
    assert_true(strlen(line) < sizeof memory);
    unsigned n = take_args(line, memory, args);
    if (n < 3 || !slice_is(args[0], "EVALSHA"))
        return;
    struct heard h = {.script = script_of(args[1])};
    unsigned first = 3 + (unsigned)strtoul(args[2].ptr, NULL, 10);
    if (h.script == SCRIPTS || h.script == SCRIPT_CLAIM || h.script == SCRIPT_RELEASE_RID || first + 1 >= n)
        return;
    struct spop_slice tokens = args[first];
    if (h.script != SCRIPT_EXTEND && h.script != SCRIPT_RELEASE)
        h.status = (unsigned)strtoul(args[first + 1].ptr, NULL, 10);
    if (h.script == SCRIPT_RELEASE || h.script == SCRIPT_RESOLVE)
        h.letter = *args[h.script == SCRIPT_RELEASE ? first + 1 : n - 1].ptr;
    for (size_t i = 0; i + TOKEN_BYTES <= tokens.len; i += TOKEN_BYTES) {
        assert_int_equal(token_unpack((const uint8_t *)tokens.ptr + i, &h.token), 0);
        assert_true(b->n < BOOK_MAX);
        b->heard[b->n++] = h;
    }
}

static void bring_up_to_date(struct redis_book *b)
{
    static unsigned mark;
    char text[32];
    snprintf(text, sizeof text, "\"mark-%u\"", ++mark);
    redis_server_do(b->server, "ECHO mark-%u", mark);
    for (bool end = false; !end;) {
        redisReply *r = NULL;
        assert_int_equal(redisGetReply(b->c, (void **)&r), REDIS_OK);
        end = strstr(r->str, text) != NULL;
        take_down(b, r->str);
        freeReplyObject(r);
    }
}

unsigned book_size(struct redis_book *b)
{
    bring_up_to_date(b);
    return b->n;
}

unsigned book_count(struct redis_book *b, enum script_id script, const struct token *t)
{
    unsigned n = 0;
    bring_up_to_date(b);
    for (unsigned i = 0; i < b->n; i++)
        n += b->heard[i].script == script && (!t || b->heard[i].token.fence == t->fence);
    return n;
}

const struct heard *book_last(struct redis_book *b, enum script_id script, const struct token *t)
{
    bring_up_to_date(b);
    for (unsigned i = b->n; i-- > 0;)
        if (b->heard[i].script == script && b->heard[i].token.fence == t->fence)
            return &b->heard[i];
    return NULL;
}
