// SPDX-License-Identifier: MIT
/* An HAProxy configuration as lines of words in sections. It knows how HAProxy reads, not what a line means.
 *
 *   file ──lines──► words ──► sections:   global     defaults ◄──from── defaults ◄──from── frontend, backend, listen
 *                             of SPOE:    [scope] spoe-agent, spoe-message, spoe-group
 *
 * A proxy inherits from the defaults it names, or from the last ones above it. Lines inside .if are all read,
 * and are `perhaps`: which branch counts is not known here. setenv and presetenv of `global` count for the
 * lines behind them. What is pointed to lives as long as the haconf, and does not move once all files are
 * read. */
#ifndef HACONF_H
#define HACONF_H

#include <stdbool.h>
#include <stdint.h>

#include "domain/haconf_words.h"

enum {
    HACONF_LINES_MAX = 100000,   /* of all files */
    HACONF_BYTES_MAX = 16 << 20, /* of their words */
    HACONF_VARIABLES_MAX = 1024, /* of setenv and presetenv */
    HACONF_INHERIT_MAX = 16,     /* defaults from defaults; what lies deeper is not looked at */
};

struct haconf_line {
    const char *file;
    unsigned number;
    bool perhaps;
    unsigned n; /* words; at least 1 */
    const char *const *word;
    bool unset; /* a variable in it is not set here, and stands for nothing */
};

struct haconf_section {
    const char *type, *name; /* "frontend", "fe"; name may be empty */
    const char *scope;       /* SPOE: "once" of [once]; else empty */
    const char *file;
    unsigned head, end; /* lines [head, end); the head is the section's own line */
    int base;           /* section it inherits from, -1: none */
};

struct haconf {
    struct haconf_block *blocks;
    size_t bytes;
    struct haconf_line *lines;
    struct haconf_section *sections;
    unsigned nlines, nsections, lines_cap, sections_cap;
    struct haconf_variable *variables;
    haconf_env_fn *env;
    void *env_arg;
    bool missed; /* a variable of the line that is being read was not set */
    bool failed; /* out of memory, or one of the bounds was reached */
};

/* What cannot be read; the line is left out. */
typedef void haconf_wrong_fn(void *arg, const char *file, unsigned line, const char *text);

/* env: the process' environment. */
void haconf_init(struct haconf *c, haconf_env_fn *env, void *env_arg);
void haconf_free(struct haconf *c);
/* Adds a file, in HAProxy's order; spoe: a file of SPOE engines. The text need not live on. */
void haconf_read(struct haconf *c, const char *file, const char *text, size_t len, bool spoe,
                 haconf_wrong_fn *wrong, void *arg);

/* What "${NAME}" stands for behind the last line that was read; NULL: not set. */
const char *haconf_variable(const struct haconf *c, const char *name);

/* NULL: none. */
const struct haconf_section *haconf_section(const struct haconf *c, const char *type, const char *name);
static inline const struct haconf_line *haconf_head(const struct haconf *c, const struct haconf_section *s)
{
    return &c->lines[s->head];
}

/* The lines of a section, after those that it inherits. */
struct haconf_walk {
    const struct haconf *c;
    const struct haconf_section *chain[HACONF_INHERIT_MAX];
    unsigned depth, at;
};
struct haconf_walk haconf_walk(const struct haconf *c, const struct haconf_section *s);
const struct haconf_line *haconf_next(struct haconf_walk *w); /* NULL: no more */

/* Do the words begin as the pattern, and then come in its order, with others between? Words of a pattern are
 * parted by blanks; one that ends in `*` stands for all that begin so. */
bool haconf_matches(const struct haconf_line *l, const char *pattern);
/* The last line of the section, or of what it inherits, that matches. NULL: none. */
const struct haconf_line *haconf_last(const struct haconf *c, const struct haconf_section *s,
                                      const char *pattern);
/* The first such line of the section. */
const struct haconf_line *haconf_first(const struct haconf *c, const struct haconf_section *s,
                                       const char *pattern);
/* `option NAME`, `no option NAME`, `default option NAME`: the last one, NULL: none, and *on is left alone.
 * One inside .if counts only if it is not the safe one. */
const struct haconf_line *haconf_option(const struct haconf *c, const struct haconf_section *s,
                                        const char *name, bool safe, bool *on);
/* The word behind this one; NULL: none. */
const char *haconf_after(const struct haconf_line *l, const char *word);
/* Index of the word `if` or `unless`; n: none. */
unsigned haconf_condition(const struct haconf_line *l);

/* "1s", "500ms", "250us", "1000" (ms). 0 and *ms rounded down, or -1. */
int haconf_ms(const char *text, uint64_t *ms);

#endif
