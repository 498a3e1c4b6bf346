// SPDX-License-Identifier: MIT
/* One pass finds the gates and the backends behind them; then each rule of the table runs over them. */
#include "domain/hacheck_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hacheck_say(struct hacheck *k, const struct haconf_line *l, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t at = strlen(text);
    snprintf(text + at, sizeof text - at, ": %s. %s", k->rule->why, k->rule->way_out);
    k->in->report(k->in->arg,
                  &(struct hacheck_finding){k->rule->id, k->rule->warning, l->file, l->number, text});
}

void hacheck_say_perhaps(struct hacheck *k, const struct haconf_line *l)
{
    char text[512];
    snprintf(
        text, sizeof text,
        "'%s %s' stands inside .if, and may not be there: %s. Let it stand where HAProxy always reads it.",
        l->word[0], l->n > 1 ? l->word[1] : "", k->rule->why);
    k->in->report(k->in->arg, &(struct hacheck_finding){k->rule->id, true, l->file, l->number, text});
}

const struct haconf_line *hacheck_top(const struct hacheck *k)
{
    static const char *const no_words[] = {""};
    static const struct haconf_line nowhere = {"haproxy.cfg", 0, false, 1, no_words, false};
    return k->site->nlines > 0 ? &k->site->lines[0] : &nowhere;
}

bool hacheck_condition_is(const struct haconf_line *l, const char *condition)
{
    unsigned i = haconf_condition(l);
    if (i < l->n && strcmp(l->word[i], "if") != 0)
        return false;
    for (i++; i < l->n; i++) {
        size_t len = strcspn(condition, " ");
        if (strcmp(l->word[i], "once_gated") == 0)
            continue;
        if (len == 0 || strlen(l->word[i]) != len || strncmp(l->word[i], condition, len) != 0)
            return false;
        condition += len + (condition[len] == ' ');
    }
    return *condition == '\0';
}

/* `!{ var(txn.once_policy) -m found }`, which may stand where the acl is not there yet. */
static bool says_ungated(const struct haconf_line *l, unsigned at)
{
    static const char *const words[] = {"!{", "var(txn.once_policy)", "-m", "found", "}"};
    enum { WORDS = sizeof words / sizeof *words };
    for (unsigned i = 0; i < WORDS; i++)
        if (at + i >= l->n || strcmp(l->word[at + i], words[i]) != 0)
            return false;
    return true;
}

bool hacheck_excludes_gated(const struct haconf_line *l)
{
    unsigned i = haconf_condition(l);
    bool unless = i < l->n && strcmp(l->word[i], "unless") == 0;
    for (unsigned n = i; n < l->n; n++)
        if (strcmp(l->word[n], "||") == 0 || strcmp(l->word[n], "or") == 0)
            return false;
    if (unless)
        return i + 2 == l->n && strcmp(l->word[i + 1], "once_gated") == 0;
    for (; i < l->n; i++)
        if (strcmp(l->word[i], "!once_gated") == 0 || says_ungated(l, i))
            return true;
    return false;
}

bool hacheck_time(const struct haconf *c, const struct haconf_section *s, const char *name,
                  const struct haconf_line **line, uint64_t *ms)
{
    const struct haconf_line *l = haconf_last(c, s, name);
    if (!l || l->n < 3 || haconf_ms(l->word[2], ms) != 0)
        return false;
    *line = l;
    return true;
}

const struct haconf_line *hacheck_global(const struct hacheck *k, const char *pattern)
{
    const struct haconf_line *found = NULL;
    for (unsigned i = 0; i < k->site->nsections; i++) {
        const struct haconf_section *s = &k->site->sections[i];
        const struct haconf_line *l =
            strcmp(s->type, "global") == 0 ? haconf_last(k->site, s, pattern) : NULL;
        found = l && !(found && l->perhaps) ? l : found;
    }
    return found;
}

bool hacheck_has_word(const struct haconf_line *l, const char *word)
{
    for (unsigned i = 1; l && i < l->n; i++)
        if (strcmp(l->word[i], word) == 0)
            return true;
    return false;
}

bool hacheck_has_notices(const struct hacheck *k, const struct haconf_section *gate)
{
    const struct haconf_line *l = haconf_last(k->site, gate, "log-format *");
    const char *text = l ? l->word[1] : "";
    if (strncmp(text, "{\"once\":\"", 9) == 0)
        text += 9;
    return strncmp(text, "once/1 ", 7) == 0;
}

static bool is_proxy(const struct haconf_section *s, const char *type)
{
    return strcmp(s->type, type) == 0 || strcmp(s->type, "listen") == 0;
}

static bool is_gate(const struct hacheck *k, const struct haconf_section *s)
{
    return is_proxy(s, "frontend") && (haconf_first(k->site, s, "http-request send-spoe-group once") ||
                                       haconf_first(k->site, s, "filter spoe engine once") ||
                                       haconf_first(k->site, s, "http-request set-var(txn.once_policy*"));
}

bool hacheck_in(const struct hacheck_list *list, const struct haconf_section *s)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->at[i] == s)
            return true;
    return false;
}

static void add(struct hacheck_list *list, const struct haconf_section *s)
{
    if (!hacheck_in(list, s))
        list->at[list->n++] = s;
}

static bool leads_back(const char *backend)
{
    static const char *const names[] = {"once_hop", "once_fill", "once_stale", "once_cold"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(backend, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Where one use_backend or default_backend leads. */
static void add_backend(struct hacheck *k, const struct haconf_line *l)
{
    const struct haconf_section *s = haconf_section(k->site, "backend", l->word[1]);
    s = s ? s : haconf_section(k->site, "listen", l->word[1]);
    if (!s || strcmp(s->name, "once_replay") == 0 || hacheck_excludes_gated(l))
        return;
    add(leads_back(s->name) ? &k->hops : &k->backends, s);
}

static void add_backends(struct hacheck *k, const struct haconf_section *gate)
{
    const struct haconf_line *fallback = haconf_last(k->site, gate, "default_backend *");
    struct haconf_walk w = haconf_walk(k->site, gate);
    for (const struct haconf_line *l; (l = haconf_next(&w));)
        if (haconf_matches(l, "use_backend *") || (l == fallback))
            add_backend(k, l);
    if (strcmp(gate->type, "listen") == 0 && haconf_first(k->site, gate, "server *"))
        add(&k->backends, gate);
}

static bool find_gates(struct hacheck *k)
{
    struct hacheck_list *lists[] = {&k->gates, &k->backends, &k->hops};
    for (unsigned i = 0; i < 3; i++)
        if (!(lists[i]->at = calloc(k->site->nsections + 1, sizeof(void *))))
            return false;
    for (unsigned i = 0; i < k->site->nsections; i++)
        if (is_gate(k, &k->site->sections[i]))
            add(&k->gates, &k->site->sections[i]);
    for (unsigned i = 0; i < k->gates.n; i++)
        add_backends(k, k->gates.at[i]);
    return true;
}

int hacheck_run(const struct hacheck_input *in)
{
    struct hacheck k = {.in = in, .site = in->site, .spoe = in->spoe, .agent = in->agent};
    bool found = find_gates(&k);
    for (k.rule = hacheck_rules; found && k.rule->id; k.rule++)
        k.rule->check(&k);
    free(k.gates.at);
    free(k.backends.at);
    free(k.hops.at);
    return found ? 0 : -1;
}

void hacheck_print(struct buf *out)
{
    buf_str(out, "| rule | | why | way out |\n|---|---|---|---|\n");
    for (const struct hacheck_rule *r = hacheck_rules; r->id; r++) {
        const char *const cells[] = {
            "| `", r->id, r->warning ? "` | warning | " : "` | error | ", r->why, " | ", r->way_out, " |\n"};
        for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
            buf_str(out, cells[i]);
    }
}
