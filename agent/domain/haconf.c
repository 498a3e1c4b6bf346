// SPDX-License-Identifier: MIT
/* text ──lines──► haconf_words ──► .if, [scope], a section's name, or a line of the open section.
 *
 * Words lie in blocks that are never moved; lines and sections in arrays that grow. A proxy's defaults are
 * above it, so no circle is possible. */
#include "domain/haconf.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 18, LINE_MAX = 1 << 16 };

struct haconf_block {
    struct haconf_block *next;
    size_t len;
    char bytes[BLOCK];
};

struct haconf_variable {
    struct haconf_variable *next;
    const char *name, *value; /* NULL: unsetenv */
};

struct reader {
    struct haconf *c;
    const char *file;
    unsigned number, depth; /* of .if */
    bool spoe, open;        /* a section is open */
    const char *scope;
    haconf_wrong_fn *wrong;
    void *arg;
};

/* Words that begin a section. What is not listed here belongs to the section above it. */
static const char *const site_sections[] = {
    "global",    "defaults",    "frontend", "backend",   "listen",      "peers", "userlist",
    "resolvers", "mailers",     "cache",    "program",   "http-errors", "ring",  "log-forward",
    "fcgi-app",  "log-profile", "traces",   "crt-store", "acme",        NULL,
};
static const char *const spoe_sections[] = {"spoe-agent", "spoe-message", "spoe-group", NULL};

void haconf_init(struct haconf *c, haconf_env_fn *env, void *env_arg)
{
    *c = (struct haconf){.env = env, .env_arg = env_arg};
}

void haconf_free(struct haconf *c)
{
    while (c->blocks) {
        struct haconf_block *next = c->blocks->next;
        free(c->blocks);
        c->blocks = next;
    }
    free(c->lines);
    free(c->sections);
    *c = (struct haconf){0};
}

/* Memory that lives as long as c; NULL, and c has failed. */
static void *keep(struct haconf *c, const void *bytes, size_t len)
{
    size_t room = (len + 7) & ~(size_t)7;
    struct haconf_block *b = c->blocks;
    if (room > BLOCK || c->bytes + room > HACONF_BYTES_MAX || c->failed) {
        c->failed = true;
        return NULL;
    }
    if (!b || room > BLOCK - b->len) {
        b = malloc(sizeof *b);
        if (!b) {
            c->failed = true;
            return NULL;
        }
        b->next = c->blocks;
        b->len = 0;
        c->blocks = b;
    }
    void *at = b->bytes + b->len;
    memcpy(at, bytes, len);
    b->len += room;
    c->bytes += room;
    return at;
}

/* Room for one more element in an array that has n; false: c has failed. */
static bool more(struct haconf *c, void **array, unsigned n, unsigned *cap, size_t size)
{
    if (n < *cap && n < HACONF_LINES_MAX)
        return true;
    unsigned wanted = *cap ? *cap * 2 : 64;
    void *grown = n < HACONF_LINES_MAX ? realloc(*array, wanted * size) : NULL;
    if (!grown) {
        c->failed = true;
        return false;
    }
    *array = grown;
    *cap = wanted;
    return true;
}

const char *haconf_variable(const struct haconf *c, const char *name)
{
    for (const struct haconf_variable *v = c->variables; v; v = v->next) {
        if (strcmp(v->name, name) == 0)
            return v->value;
    }
    return c->env ? c->env(c->env_arg, name) : NULL;
}

static const char *environment(void *arg, const char *name)
{
    struct haconf *c = arg;
    const char *value = haconf_variable(c, name);
    c->missed |= !value;
    return value;
}

/* A later one hides an earlier one. */
static void set_variable(struct haconf *c, const char *name, const char *value)
{
    unsigned n = 0;
    for (const struct haconf_variable *v = c->variables; v; v = v->next)
        n++;
    struct haconf_variable v = {c->variables, name, value}, *kept = NULL;
    if (n < HACONF_VARIABLES_MAX)
        kept = keep(c, &v, sizeof v);
    if (kept)
        c->variables = kept;
    c->failed |= !kept;
}

static void take_environment(struct haconf *c, const struct haconf_line *l)
{
    const char *verb = l->word[0];
    if (strcmp(verb, "setenv") == 0 && l->n > 2)
        set_variable(c, l->word[1], l->word[2]);
    if (strcmp(verb, "presetenv") == 0 && l->n > 2 && !haconf_variable(c, l->word[1]))
        set_variable(c, l->word[1], l->word[2]);
    for (unsigned i = 1; strcmp(verb, "unsetenv") == 0 && i < l->n; i++)
        set_variable(c, l->word[i], NULL);
}

/* The words are copied: they lie in the reader's own memory. */
static bool add_line(struct reader *r, const char *const *words, unsigned n)
{
    struct haconf *c = r->c;
    const char *kept[HACONF_WORDS_MAX];
    for (unsigned i = 0; i < n; i++) {
        kept[i] = keep(c, words[i], strlen(words[i]) + 1);
        if (!kept[i])
            return false;
    }
    const char *const *all = keep(c, kept, n * sizeof *kept);
    if (!all || !more(c, (void **)&c->lines, c->nlines, &c->lines_cap, sizeof *c->lines))
        return false;
    c->lines[c->nlines++] = (struct haconf_line){r->file, r->number, r->depth > 0, n, all, c->missed};
    return true;
}

static bool inherits(const char *type, bool named)
{
    return strcmp(type, "frontend") == 0 || strcmp(type, "backend") == 0 || strcmp(type, "listen") == 0 ||
           (named && strcmp(type, "defaults") == 0);
}

/* The defaults named by `from`, or the last ones. */
static int base_of(const struct haconf *c, const struct haconf_line *head)
{
    const char *from = haconf_after(head, "from");
    for (int i = (int)c->nsections - 1; inherits(head->word[0], from) && i >= 0; i--) {
        const struct haconf_section *s = &c->sections[i];
        if (strcmp(s->type, "defaults") == 0 && (!from || strcmp(s->name, from) == 0))
            return i;
    }
    return -1;
}

static void open_section(struct reader *r)
{
    struct haconf *c = r->c;
    const struct haconf_line *head = &c->lines[c->nlines - 1];
    if (!more(c, (void **)&c->sections, c->nsections, &c->sections_cap, sizeof *c->sections))
        return;
    bool named = head->n > 1 && strcmp(head->word[1], "from") != 0;
    c->sections[c->nsections] = (struct haconf_section){
        .type = head->word[0],
        .name = named ? head->word[1] : "",
        .scope = r->scope,
        .file = r->file,
        .head = c->nlines - 1,
        .end = c->nlines,
        .base = base_of(c, head),
    };
    c->nsections++;
    r->open = true;
}

static bool begins_section(const struct reader *r, const char *word)
{
    const char *const *all = r->spoe ? spoe_sections : site_sections;
    while (*all && strcmp(*all, word) != 0)
        all++;
    return *all;
}

/* .if .elif .else .endif; .notice and the like say nothing. */
static void take_directive(struct reader *r, const char *word)
{
    if (strcmp(word, ".if") == 0)
        r->depth++;
    if (strcmp(word, ".endif") == 0 && r->depth > 0)
        r->depth--;
}

static void take_scope(struct reader *r, const char *word)
{
    size_t len = strlen(word);
    char *scope = keep(r->c, word + 1, len);
    if (scope && len > 1 && scope[len - 2] == ']')
        scope[len - 2] = '\0';
    r->scope = scope ? scope : "";
    r->open = false;
}

static void take_words(struct reader *r, const char *const *words, unsigned n)
{
    struct haconf *c = r->c;
    if (*words[0] == '.') {
        take_directive(r, words[0]);
        return;
    }
    if (r->spoe && *words[0] == '[') {
        take_scope(r, words[0]);
        return;
    }
    bool head = begins_section(r, words[0]);
    if ((!head && !r->open) || !add_line(r, words, n))
        return;
    if (head) {
        open_section(r);
        return;
    }
    struct haconf_section *s = &c->sections[c->nsections - 1];
    s->end = c->nlines;
    if (strcmp(s->type, "global") == 0)
        take_environment(c, &c->lines[c->nlines - 1]);
}

static void take_line(struct reader *r, const char *line, size_t len)
{
    static const char too_long[] = "the line is too long";
    const char *words[HACONF_WORDS_MAX], *wrong = too_long;
    char memory[LINE_MAX];
    r->c->missed = false;
    int n = len < LINE_MAX / 2
                ? haconf_words(line, len, environment, r->c, memory, sizeof memory, words, &wrong)
                : -1;
    if (n < 0)
        r->wrong(r->arg, r->file, r->number, wrong);
    else if (n > 0)
        take_words(r, words, (unsigned)n);
}

void haconf_read(struct haconf *c, const char *file, const char *text, size_t len, bool spoe,
                 haconf_wrong_fn *wrong, void *arg)
{
    struct reader r = {.c = c, .spoe = spoe, .scope = "", .wrong = wrong, .arg = arg};
    r.file = keep(c, file, strlen(file) + 1);
    for (size_t at = 0; r.file && at < len && !c->failed;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        r.number++;
        take_line(&r, text + at, n);
        at += n + 1;
    }
    if (c->failed)
        wrong(arg, file, r.number, "the configuration is too large, or there is not enough memory");
}
