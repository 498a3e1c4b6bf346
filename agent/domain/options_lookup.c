// SPDX-License-Identifier: MIT
/* What goes over whole tables: finding a row, filling in defaults, comparing two configurations, and a hint
 * for a name that is in no table:
 *
 *   redis.dedline   known in scope "" behind "redis.": address, deadline, ..   nearest by edit distance
 *   policys         known in scope "" : log, spop, .., and the scopes below it: haproxy, policies */
#include "domain/options.h"

#include <string.h>

#include "domain/text.h"

const struct option *option_table_of(const char *scope)
{
    const struct option_table *t = option_tables;
    while (t->scope && strcmp(t->scope, scope) != 0)
        t++;
    return t->options;
}

const struct option *option_find(const struct option *table, const char *path)
{
    for (; table->path; table++) {
        if (strcmp(table->path, path) == 0)
            return table;
    }
    return NULL;
}

void option_defaults(const struct option *table, void *base)
{
    char err[256];
    for (; table->path; table++) {
        if (table->deflt && (*table->deflt || table->type == OPT_HEADERS))
            option_set(table, base, table->deflt, err, sizeof err);
    }
}

static bool same_texts(const config_text *a, unsigned na, const config_text *b, unsigned nb)
{
    for (unsigned i = 0; na == nb && i < na; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return na == nb;
}

static bool same_list(const struct text_list *a, const struct text_list *b)
{
    return same_texts(a->item, a->n, b->item, b->n);
}

static bool same_addresses(const struct address_list *a, const struct address_list *b)
{
    return same_texts(a->item, a->n, b->item, b->n);
}

bool option_same(const struct option *o, const void *a, const void *b)
{
    const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;
    switch (o->type) {
    case OPT_BOOL: return *(const bool *)x == *(const bool *)y;
    case OPT_COUNT:
    case OPT_MODE:
    case OPT_SIZE:
    case OPT_MSEC:
    case OPT_SEC:
    case OPT_LEASE:
    case OPT_ENUM: return memcmp(x, y, sizeof(uint32_t)) == 0;
    case OPT_HEADERS:
    case OPT_QUERY:
    case OPT_FIELDS: return same_list(x, y);
    case OPT_PATHS:
    case OPT_LISTEN:
    case OPT_SERVERS: return same_addresses(x, y);
    default: return strcmp(x, y) == 0;
    }
}

/* Names that are known at one place: call until false. */
struct names {
    const char *scope;
    const struct option *row;
    const struct option_table *table;
    char prefix[CONFIG_NAME_MAX + 1];
    config_name name;
};

static void names_begin(struct names *n, const char *scope, const char *path)
{
    const char *dot = strrchr(path, '.');
    struct text t;
    *n = (struct names){.scope = scope, .row = option_table_of(scope), .table = option_tables};
    text_init(&t, n->prefix, sizeof n->prefix);
    text_put(&t, path, dot ? (size_t)(dot - path) + 1 : 0);
}

/* The component of `path` behind `prefix` into n->name; false: another place, or the same name as before. */
static bool names_take(struct names *n, const char *path, const char *prefix)
{
    size_t skip = strlen(prefix);
    config_name name;
    struct text t;
    if (strncmp(path, prefix, skip) != 0)
        return false;
    text_init(&t, name, sizeof name);
    text_put(&t, path + skip, strcspn(path + skip, "."));
    if (!*name || strcmp(name, n->name) == 0)
        return false;
    memcpy(n->name, name, sizeof name);
    return true;
}

static bool names_next(struct names *n)
{
    while (n->row->path) {
        const char *path = n->row++->path;
        if (names_take(n, path, n->prefix))
            return true;
    }
    if (*n->prefix)
        return false;
    char below[CONFIG_NAME_MAX + 2];
    struct text t;
    text_init(&t, below, sizeof below);
    text_str(&t, n->scope);
    text_str(&t, *n->scope ? "." : "");
    while (n->table->scope) {
        const char *scope = n->table++->scope;
        if (strcmp(scope, n->scope) != 0 && names_take(n, scope, below))
            return true;
    }
    return false;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edit distance (Levenshtein, two neighbours changed over count once). b: at most CONFIG_NAME_MAX. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][CONFIG_NAME_MAX + 2];
    unsigned *before = row[0], *last = row[1], *now = row[2];
    size_t nb = strlen(b);
    for (size_t j = 0; j <= nb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

static void list_known(struct text *t, const char *scope, const char *path)
{
    struct names n;
    const char *before = "known here: ";
    for (names_begin(&n, scope, path); names_next(&n); before = ", ") {
        text_str(t, before);
        text_str(t, n.name);
    }
}

void option_hint(const char *scope, const char *path, char *out, size_t size)
{
    const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
    unsigned best = (unsigned)strlen(name) / 2 + 1; /* further away it is another word */
    config_name nearest = "";
    struct names n;
    struct text t;
    for (names_begin(&n, scope, path); names_next(&n);) {
        unsigned d = distance(name, n.name);
        if (d < best) {
            best = d;
            memcpy(nearest, n.name, sizeof nearest);
        }
    }
    text_init(&t, out, size);
    if (!*nearest) {
        list_known(&t, scope, path);
        return;
    }
    text_str(&t, "did you mean '");
    text_str(&t, n.prefix);
    text_str(&t, nearest);
    text_str(&t, "'?");
}
