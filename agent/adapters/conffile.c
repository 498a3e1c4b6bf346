// SPDX-License-Identifier: MIT
/* A file becomes a configuration in four steps; each one goes on after a mistake, so that all are told:
 *
 *   text ──libconfig──► tree ──option tables──► values ──files──► secrets ──config_check──► configuration
 *
 * The tree is walked, not the tables: what stands in the file and in no table is a mistake, and every message
 * has its line. libconfig's own @include is refused: its scanner ends the whole process when a file cannot be
 * read, and a bad new file must leave a running agent alone. */
#include "adapters/conffile_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/conffile_inner.h"
#include "adapters/conftext.h"
#include "domain/options.h"

enum { FILE_MAX = 1 << 20 };

/* Where the members of a group belong. */
struct scope {
    const char *name;   /* of the option table */
    const char *prefix; /* in messages, before a path: "idempotency." */
    void *base;
};

void conffile_mistake(struct reader *r, const config_setting_t *s, const char *format, ...)
{
    char text[1024];
    va_list args;
    size_t at = (size_t)snprintf(text, sizeof text, "%s", r->where);
    va_start(args, format);
    vsnprintf(text + at, sizeof text - at, format, args);
    va_end(args);
    r->mistakes++;
    r->report(r->arg, r->file, s ? s->line : 0, text);
}

const char *conffile_shown(const struct option *o, const char *value, char out[SHOWN_MAX])
{
    size_t i = 0;
    if (o && o->flags & OPTION_SECRET)
        value = "***";
    for (; value[i] && i < SHOWN_MAX - 4; i++)
        out[i] = (unsigned char)value[i] < ' ' || value[i] == 127 ? '?' : value[i];
    strcpy(out + i, value[i] ? "..." : "");
    return out;
}

static bool is_list(const config_setting_t *s)
{
    return config_setting_is_list(s) || config_setting_is_array(s);
}

static void read_option(struct reader *r, const struct scope *in, const struct option *o,
                        const config_setting_t *s)
{
    char err[512], word[SHOWN_MAX];
    int form = conffile_value(s, &r->value, err, sizeof err);
    if (form < 0 || r->value.failed) {
        conffile_mistake(r, s, "option '%s%s': %s", in->prefix, o->path, form < 0 ? err : "out of memory");
        return;
    }
    const char *value = (const char *)r->value.data;
    if (!option_takes(o, (enum option_form)form))
        option_wanted(o, err, sizeof err);
    else if (option_set(o, in->base, value, err, sizeof err) == 0)
        return;
    conffile_mistake(r, s, "option '%s%s': value '%s': %s", in->prefix, o->path,
                     conffile_shown(o, value, word), err);
}

static bool is_section(const struct option *table, const char *path)
{
    size_t len = strlen(path);
    for (; table->path; table++) {
        if (strncmp(table->path, path, len) == 0 && table->path[len] == '.')
            return true;
    }
    return false;
}

typedef void read_below_fn(struct reader *r, config_setting_t *s, void *base);
static read_below_fn read_haproxy, read_policies, read_idempotency, read_cache, read_limits, read_tiers;

/* The scopes that are no sections of one table. */
static const struct below {
    const char *scope;
    read_below_fn *read;
} below_scopes[] = {
    {"haproxy",               read_haproxy    },
    {"policies",              read_policies   },
    {"policies.idempotency",  read_idempotency},
    {"policies.cache",        read_cache      },
    {"policies.limits",       read_limits     },
    {"policies.limits.tiers", read_tiers      },
};

static read_below_fn *below(const char *scope, const char *name)
{
    char full[320];
    snprintf(full, sizeof full, "%s%s%s", scope, *scope ? "." : "", name);
    for (size_t i = 0; i < sizeof below_scopes / sizeof *below_scopes; i++) {
        if (strcmp(below_scopes[i].scope, full) == 0)
            return below_scopes[i].read;
    }
    return NULL;
}

/* Is it a group? Else that is the mistake. */
static bool want_group(struct reader *r, const config_setting_t *s, const char *name)
{
    if (config_setting_is_group(s))
        return true;
    conffile_mistake(r, s, "'%s': a group is wanted: %s = { option = value; };", name, name);
    return false;
}

static void read_members(struct reader *r, const struct scope *in, config_setting_t *group,
                         const char *section);

static void read_member(struct reader *r, const struct scope *in, config_setting_t *s, const char *path)
{
    const struct option *table = option_table_of(in->name), *o = option_find(table, path);
    read_below_fn *read = below(in->name, path);
    char hint[512], word[SHOWN_MAX];
    if (o) {
        read_option(r, in, o, s);
    } else if (read) {
        read(r, s, in->base);
    } else if (is_section(table, path)) {
        if (want_group(r, s, path))
            read_members(r, in, s, path);
    } else {
        option_hint(in->name, path, hint, sizeof hint);
        conffile_mistake(r, s, "unknown option '%s%s': %s", in->prefix, conffile_shown(NULL, path, word),
                         hint);
    }
}

/* section: "redis" while the members of that group are read, else empty. */
static void read_members(struct reader *r, const struct scope *in, config_setting_t *group,
                         const char *section)
{
    char path[256];
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        snprintf(path, sizeof path, "%s%s%s", section, *section ? "." : "", config_setting_name(s));
        read_member(r, in, s, path);
    }
}

static void read_scope(struct reader *r, const struct scope *in, config_setting_t *group)
{
    const struct option *o = option_table_of(in->name);
    option_defaults(o, in->base);
    read_members(r, in, group, "");
    for (; o->path; o++) {
        if (o->flags & OPTION_REQUIRED && !config_setting_get_member(group, o->path))
            conffile_mistake(r, group, "option '%s%s' is missing. %s", in->prefix, o->path, o->help);
    }
}

/* How many groups of a list are to be read; too many, or something else, is told. */
static unsigned list_count(struct reader *r, const config_setting_t *s, unsigned max)
{
    const char *name = config_setting_name(s);
    unsigned n = 0;
    if (!is_list(s)) {
        conffile_mistake(r, s, "'%s': a list is wanted: %s = ( { option = value; }, .. );", name, name);
        return 0;
    }
    n = (unsigned)config_setting_length(s);
    if (n <= max)
        return n;
    conffile_mistake(r, config_setting_get_elem(s, max), "'%s': there are %u, at most %u are possible", name,
                     n, max);
    return max;
}

/* The i-th group of a list; NULL, and told, if it is something else. */
static config_setting_t *list_group(struct reader *r, const config_setting_t *s, unsigned i)
{
    config_setting_t *e = config_setting_get_elem(s, i);
    if (config_setting_is_group(e))
        return e;
    conffile_mistake(r, e, "'%s': every element must be a group: { option = value; }",
                     config_setting_name(s));
    return NULL;
}

static void read_haproxy(struct reader *r, config_setting_t *s, void *base)
{
    struct config *c = base;
    c->nhaproxy = list_count(r, s, CONFIG_HAPROXY_MAX);
    for (unsigned i = 0; i < c->nhaproxy; i++) {
        config_setting_t *e = list_group(r, s, i);
        if (e)
            read_scope(r, &(struct scope){"haproxy", "haproxy.", &c->haproxy[i]}, e);
    }
}

/* Puts "policy 'payments': " behind what r->where says already; returns where to cut it off again. */
static size_t enter(struct reader *r, const char *what, const config_setting_t *s, unsigned i)
{
    const char *name = NULL;
    char word[SHOWN_MAX];
    size_t at = strlen(r->where);
    if (config_setting_is_group(s))
        config_setting_lookup_string(s, "name", &name);
    if (name)
        snprintf(r->where + at, sizeof r->where - at, "%s '%s': ", what, conffile_shown(NULL, name, word));
    else
        snprintf(r->where + at, sizeof r->where - at, "%s %u: ", what, i + 1);
    return at;
}

static void read_idempotency(struct reader *r, config_setting_t *s, void *base)
{
    struct policy *p = base;
    p->idempotency.enabled = true;
    option_defaults(option_table_of("policies.idempotency"), &p->idempotency);
    if (want_group(r, s, "idempotency"))
        read_scope(r, &(struct scope){"policies.idempotency", "idempotency.", &p->idempotency}, s);
}

static void read_cache(struct reader *r, config_setting_t *s, void *base)
{
    struct policy *p = base;
    p->cache.enabled = true;
    option_defaults(option_table_of("policies.cache"), &p->cache);
    if (want_group(r, s, "cache"))
        read_scope(r, &(struct scope){"policies.cache", "cache.", &p->cache}, s);
}

static void read_limit(struct reader *r, config_setting_t *e, struct limit *l)
{
    unsigned before = r->mistakes;
    read_scope(r, &(struct scope){"policies.limits", "", l}, e);
    if (r->mistakes == before && (*l->pace.rate != '\0') == (l->concurrent > 0))
        conffile_mistake(r, e, "%s",
                         *l->pace.rate ? "only one of rate and concurrent is possible"
                                       : "rate (\"100/min\") or concurrent (10) is wanted");
}

static void read_limits(struct reader *r, config_setting_t *s, void *base)
{
    struct policy *p = base;
    p->nlimits = list_count(r, s, CONFIG_LIMITS_MAX);
    for (unsigned i = 0; i < p->nlimits; i++) {
        config_setting_t *e = list_group(r, s, i);
        if (!e)
            continue;
        size_t at = enter(r, "limit", e, i);
        read_limit(r, e, &p->limits[i]);
        r->where[at] = '\0';
    }
}

static void read_tiers(struct reader *r, config_setting_t *s, void *base)
{
    struct limit *l = base;
    l->ntiers = list_count(r, s, CONFIG_TIERS_MAX);
    for (unsigned i = 0; i < l->ntiers; i++) {
        config_setting_t *e = list_group(r, s, i);
        if (!e)
            continue;
        size_t at = enter(r, "tier", e, i);
        read_scope(r, &(struct scope){"policies.limits.tiers", "", &l->tiers[i]}, e);
        r->where[at] = '\0';
    }
}

static void read_policies(struct reader *r, config_setting_t *s, void *base)
{
    struct config *c = base;
    unsigned n = list_count(r, s, CONFIG_POLICIES_MAX);
    c->policies = n ? calloc(n, sizeof *c->policies) : NULL;
    if (n && !c->policies) {
        conffile_mistake(r, s, "out of memory");
        return;
    }
    c->npolicies = n;
    for (unsigned i = 0; i < n; i++) {
        config_setting_t *e = list_group(r, s, i);
        if (!e)
            continue;
        size_t at = enter(r, "policy", e, i);
        read_scope(r, &(struct scope){"policies", "", &c->policies[i]}, e);
        r->where[at] = '\0';
    }
}

config_setting_t *conffile_deepest(config_setting_t *s, const char *path)
{
    char name[CONFIG_NAME_MAX + 1];
    while (path && *path && config_setting_is_group(s)) {
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        config_setting_t *next = config_setting_get_member(s, name);
        if (!next)
            break;
        s = next;
        path += path[len] ? len + 1 : len;
    }
    return s;
}

static config_setting_t *element(config_setting_t *s, const char *list, int i)
{
    return config_setting_get_elem(config_setting_get_member(s, list), (unsigned)i);
}

static void on_rule(void *arg, const struct config_place *at, const char *text)
{
    struct reader *r = arg;
    config_setting_t *s = r->root;
    if (at->policy >= 0) {
        s = element(s, "policies", at->policy);
        enter(r, "policy", s, (unsigned)at->policy);
    }
    if (at->limit >= 0) {
        s = element(s, "limits", at->limit);
        enter(r, "limit", s, (unsigned)at->limit);
    }
    if (at->tier >= 0) {
        s = element(s, "tiers", at->tier);
        enter(r, "tier", s, (unsigned)at->tier);
    }
    s = conffile_deepest(s, at->option);
    if (at->option)
        conffile_mistake(r, s, "option '%s': %s", at->option, text);
    else
        conffile_mistake(r, s, "%s", text);
    r->where[0] = '\0';
}

/* The address has a default, so only the file shows that both were meant. */
static void check_address(struct reader *r, const char *path, const struct redis_settings *redis)
{
    config_setting_t *s = config_setting_lookup(r->root, path);
    if (s && redis->sentinels.n > 0)
        conffile_mistake(
            r, s,
            "option '%s': only one of address and sentinels is possible: the Sentinels say where Redis is",
            path);
}

static void read_tree(struct reader *r, config_t *tree)
{
    r->root = config_root_setting(tree);
    if (config_setting_length(r->root) == 0) {
        conffile_mistake(r, NULL, "the file is empty: at least 'policies' is wanted");
        return;
    }
    read_scope(r, &(struct scope){"", "", r->config}, r->root);
    conffile_secrets(r);
    check_address(r, "redis.address", &r->config->redis);
    check_address(r, "cache.redis.address", &r->config->cache.redis);
    config_check(r->config, on_rule, r);
}

/* Line of the first @include, 0: none. */
static unsigned include_line(const char *text)
{
    for (unsigned line = 1; text; line++) {
        text += strspn(text, " \t");
        if (strncmp(text, "@include", 8) == 0)
            return line;
        const char *end = strchr(text, '\n');
        text = end ? end + 1 : NULL;
    }
    return 0;
}

static void read_text(struct reader *r, const char *text)
{
    config_t tree;
    unsigned line = include_line(text);
    if (line > 0) {
        r->mistakes++;
        r->report(r->arg, r->file, line, "'@include' is not possible: everything stands in one file");
        return;
    }
    config_init(&tree);
    if (config_read_string(&tree, text)) {
        read_tree(r, &tree);
    } else {
        char said[256];
        const char *why = config_error_text(&tree);
        bool syntax = strncmp(why, "syntax", 6) == 0;
        snprintf(said, sizeof said, "%s: %s", why,
                 syntax ? "a ';', a quote or a bracket is missing, at this line or before it"
                        : "each option and section stands once");
        r->mistakes++;
        r->report(r->arg, r->file, (unsigned)config_error_line(&tree), said);
    }
    config_destroy(&tree);
}

struct config *conffile_read(const char *file, conffile_error_fn *report, void *arg)
{
    struct reader r = {.file = file, .report = report, .arg = arg, .config = config_new()};
    struct buf text;
    char err[256];
    buf_init(&text);
    buf_init(&r.value);
    if (!r.config)
        conffile_mistake(&r, NULL, "out of memory");
    else if (conftext_load(file, FILE_MAX, &text, NULL, err, sizeof err))
        conffile_mistake(&r, NULL, "the file %s", err);
    else
        read_text(&r, (const char *)text.data);
    if (r.config)
        snprintf(r.config->file, sizeof r.config->file, "%s", file);
    buf_free(&text);
    buf_free(&r.value);
    if (r.mistakes == 0)
        return r.config;
    config_drop(r.config);
    return NULL;
}
