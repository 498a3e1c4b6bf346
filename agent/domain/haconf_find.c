// SPDX-License-Identifier: MIT
/* What is asked of a configuration that has been read: the line that counts. */
#include "domain/haconf.h"

#include <string.h>

const struct haconf_section *haconf_section(const struct haconf *c, const char *type, const char *name)
{
    for (unsigned i = 0; i < c->nsections; i++) {
        const struct haconf_section *s = &c->sections[i];
        if (strcmp(s->type, type) == 0 && strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

struct haconf_walk haconf_walk(const struct haconf *c, const struct haconf_section *s)
{
    struct haconf_walk w = {.c = c};
    for (; s && w.depth < HACONF_INHERIT_MAX; s = s->base >= 0 ? &c->sections[s->base] : NULL)
        w.chain[w.depth++] = s;
    w.at = w.depth > 0 ? w.chain[w.depth - 1]->head + 1 : 0;
    return w;
}

const struct haconf_line *haconf_next(struct haconf_walk *w)
{
    while (w->depth > 0) {
        if (w->at < w->chain[w->depth - 1]->end)
            return &w->c->lines[w->at++];
        w->depth--;
        if (w->depth > 0)
            w->at = w->chain[w->depth - 1]->head + 1;
    }
    return NULL;
}

/* Does the word stand for this one of the pattern? */
static bool same(const char *word, const char *wanted, size_t len)
{
    if (wanted[len - 1] == '*')
        return strncmp(word, wanted, len - 1) == 0;
    return strncmp(word, wanted, len) == 0 && word[len] == '\0';
}

bool haconf_matches(const struct haconf_line *l, const char *pattern)
{
    for (unsigned i = 0; *pattern; i++) {
        size_t len = strcspn(pattern, " ");
        if (i > 0)
            while (i < l->n && !same(l->word[i], pattern, len))
                i++;
        if (i >= l->n || !same(l->word[i], pattern, len))
            return false;
        pattern += len + (pattern[len] == ' ');
    }
    return true;
}

const struct haconf_line *haconf_last(const struct haconf *c, const struct haconf_section *s,
                                      const char *pattern)
{
    struct haconf_walk w = haconf_walk(c, s);
    const struct haconf_line *found = NULL;
    for (const struct haconf_line *l; (l = haconf_next(&w));)
        found = haconf_matches(l, pattern) ? l : found;
    return found;
}

const struct haconf_line *haconf_first(const struct haconf *c, const struct haconf_section *s,
                                       const char *pattern)
{
    struct haconf_walk w = haconf_walk(c, s);
    const struct haconf_line *l;
    while ((l = haconf_next(&w)) && !haconf_matches(l, pattern))
        ;
    return l;
}

const struct haconf_line *haconf_option(const struct haconf *c, const struct haconf_section *s,
                                        const char *name, bool safe, bool *on)
{
    struct haconf_walk w = haconf_walk(c, s);
    const struct haconf_line *found = NULL;
    bool whole =
        haconf_head(c, s)->perhaps; /* in a section that stands in .if, no line is less sure than it */
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        bool prefixed = strcmp(l->word[0], "no") == 0 || strcmp(l->word[0], "default") == 0;
        if (l->n < 2u + prefixed || strcmp(l->word[prefixed], "option") != 0 ||
            strcmp(l->word[prefixed + 1], name) != 0 || (l->perhaps && !whole && !prefixed == safe))
            continue;
        found = l;
        *on = !prefixed;
    }
    return found;
}

const char *haconf_after(const struct haconf_line *l, const char *word)
{
    for (unsigned i = 1; i + 1 < l->n; i++) {
        if (strcmp(l->word[i], word) == 0)
            return l->word[i + 1];
    }
    return NULL;
}

unsigned haconf_condition(const struct haconf_line *l)
{
    unsigned i = 1;
    while (i < l->n && strcmp(l->word[i], "if") != 0 && strcmp(l->word[i], "unless") != 0)
        i++;
    return i;
}

int haconf_ms(const char *text, uint64_t *ms)
{
    static const struct {
        const char *word;
        uint64_t us;
    } units[] = {
        {"",   1000       },
        {"us", 1          },
        {"ms", 1000       },
        {"s",  1000000    },
        {"m",  60000000   },
        {"h",  3600000000 },
        {"d",  86400000000},
    };
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10)
        return -1;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].word, text + digits) == 0) {
            if (number > UINT64_MAX / units[i].us)
                return -1;
            *ms = number * units[i].us / 1000;
            return 0;
        }
    }
    return -1;
}
