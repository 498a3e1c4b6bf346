// SPDX-License-Identifier: MIT
/* in ──character by character, quote by quote──► memory: word NUL word NUL .. */
#include "domain/haconf_words.h"

#include <stdbool.h>
#include <string.h>

struct splitter {
    const char *at, *end;
    haconf_env_fn *env;
    void *env_arg;
    char *memory;
    size_t cap, len;
    const char **words;
    int n;
    bool inside; /* of a word */
    char quote;  /* which is open, 0: none */
    const char *wrong;
};

static void put(struct splitter *s, char c)
{
    if (s->len >= s->cap)
        s->wrong = "the line is too long";
    else
        s->memory[s->len++] = c;
}

static void begin_word(struct splitter *s)
{
    if (s->inside)
        return;
    s->inside = true;
    if (s->n == HACONF_WORDS_MAX)
        s->wrong = "the line has more than 64 words";
    else
        s->words[s->n++] = s->memory + s->len;
}

static void end_word(struct splitter *s)
{
    if (s->inside)
        put(s, '\0');
    s->inside = false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a backslash: what is meant, and how many characters say it; 0: the backslash itself. */
static size_t escaped(const struct splitter *s, char *out)
{
    static const char names[] = " \\#\"'rnt", meant[] = " \\#\"'\r\n\t";
    size_t left = (size_t)(s->end - s->at);
    const char *found = left > 0 ? memchr(names, s->at[0], sizeof names - 1) : NULL;
    if (found) {
        *out = meant[found - names];
        return 1;
    }
    if (left > 0 && s->at[0] == '$' && s->quote) {
        *out = '$';
        return 1;
    }
    if (left > 2 && s->at[0] == 'x' && hex_digit(s->at[1]) >= 0 && hex_digit(s->at[2]) >= 0) {
        *out = (char)(hex_digit(s->at[1]) * 16 + hex_digit(s->at[2]));
        return *out ? 3 : 0;
    }
    return 0;
}

static void take_escape(struct splitter *s)
{
    char c = '\\';
    s->at += escaped(s, &c);
    put(s, c);
}

static size_t name_length(const char *at, const char *end)
{
    size_t n = 0;
    while (at + n < end && (at[n] == '_' || at[n] == '.' || (at[n] >= '0' && at[n] <= '9') ||
                            ((at[n] | 32) >= 'a' && (at[n] | 32) <= 'z')))
        n++;
    return n;
}

/* Behind a dollar: ${NAME}, ${NAME-text}, ${NAME[*]} or $NAME. */
static void take_variable(struct splitter *s)
{
    char name[128];
    bool brace = s->at < s->end && *s->at == '{';
    const char *from = s->at + brace, *rest, *close = s->end;
    size_t len = name_length(from, s->end);
    rest = from + len;
    if (brace)
        close = memchr(rest, '}', (size_t)(s->end - rest));
    if (len == 0 || len >= sizeof name || !close) {
        put(s, '$');
        return;
    }
    memcpy(name, from, len);
    name[len] = '\0';
    const char *value = s->env(s->env_arg, name);
    for (const char *c = value ? value : ""; *c && !s->wrong; c++)
        put(s, *c);
    if (!value && brace && *rest == '-')
        while (++rest < close)
            put(s, *rest);
    s->at = brace ? close + 1 : rest;
}

static void take(struct splitter *s)
{
    char c = *s->at++;
    bool strong = s->quote == '\'';
    if (!s->quote && (c == ' ' || c == '\t' || c == '\r')) {
        end_word(s);
        return;
    }
    begin_word(s);
    if (s->quote ? c == s->quote : c == '"' || c == '\'')
        s->quote = s->quote ? '\0' : c;
    else if (c == '\\' && !strong)
        take_escape(s);
    else if (c == '$' && s->quote == '"')
        take_variable(s);
    else
        put(s, c);
}

int haconf_words(const char *line, size_t len, haconf_env_fn *env, void *env_arg, char *memory, size_t cap,
                 const char *words[HACONF_WORDS_MAX], const char **wrong)
{
    struct splitter s = {.at = line,
                         .end = line + len,
                         .env = env,
                         .env_arg = env_arg,
                         .memory = memory,
                         .cap = cap,
                         .words = words};
    while (s.at < s.end && !s.wrong && !(*s.at == '#' && !s.quote))
        take(&s);
    if (s.quote && !s.wrong)
        s.wrong = "a quote is not closed";
    end_word(&s);
    *wrong = s.wrong;
    return s.wrong ? -1 : s.n;
}
