// SPDX-License-Identifier: MIT
/* Rules about the way of a notice: each part of it is looked at in turn, the first that is missing is said.
 *
 *   frontend: log-format once/1 .., set-log-level notice ──log global──► global: log SOCKET .. notice ──► notices.listen
 */
#include "domain/hacheck_inner.h"

#include <string.h>

static const char *const levels[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
enum { LEVELS = sizeof levels / sizeof *levels, NOTICE = 5 };

/* Where the lines of a frontend go. */
struct targets {
    unsigned n;
    bool unknown;                   /* one has a variable that is not set */
    const struct haconf_line *home; /* the one that leads to the agent; NULL: none */
};

static void add_target(const struct hacheck *k, struct targets *t, const struct haconf_line *l)
{
    const char *path = hacheck_path(l->word[1]), *socket = hacheck_path(k->agent->notices.listen);
    t->n++;
    t->unknown |= l->unset || !socket;
    if (path && socket && hacheck_leads_to(k, path, socket))
        t->home = l;
}

static void add_global(const struct hacheck *k, struct targets *t)
{
    for (unsigned i = 0; i < k->site->nsections; i++) {
        const struct haconf_section *s = &k->site->sections[i];
        for (unsigned at = s->head; strcmp(s->type, "global") == 0 && at < s->end; at++)
            if (haconf_matches(&k->site->lines[at], "log *"))
                add_target(k, t, &k->site->lines[at]);
    }
}

static struct targets targets_of(const struct hacheck *k, const struct haconf_section *gate)
{
    struct targets t = {0};
    struct haconf_walk w = haconf_walk(k->site, gate);
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        if (haconf_matches(l, "no log"))
            t = (struct targets){0};
        else if (haconf_matches(l, "log global"))
            add_global(k, &t);
        else if (haconf_matches(l, "log *"))
            add_target(k, &t, l);
    }
    return t;
}

/* The least level that `log ADDRESS [len N] [format F] [sample S] FACILITY [LEVEL [MINIMUM]]` lets through, as
 * an index of levels[] (HAProxy's configuration manual, 4.2 log). */
static unsigned level_of(const struct haconf_line *l)
{
    static const char *const pairs[] = {"len", "format", "sample", "profile"};
    unsigned at = 2, level = 0;
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (haconf_after(l, pairs[i]))
            at += 2;
    if (at + 1 >= l->n)
        return LEVELS - 1;
    while (level < LEVELS - 1 && strcmp(levels[level], l->word[at + 1]) != 0)
        level++;
    return level;
}

#define FETCHES "{ var(txn.once.fill) -m found } !{ var(txn.once_refills) -m bool }"

static bool raises(const struct hacheck *k, const struct haconf_section *gate, const char *condition)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    for (const struct haconf_line *l; (l = haconf_next(&w));)
        if (haconf_matches(l, "http-request set-log-level") && hacheck_condition_is(l, condition))
            return true;
    return false;
}

/* What must be raised to the level of a notice, and is not; NULL: nothing. */
static const char *not_raised(const struct hacheck *k, const struct haconf_section *gate)
{
    if (!raises(k, gate, "once_go"))
        return "once_go";
    bool fetches = haconf_first(k->site, gate, "http-request set-var(txn.once_cache)");
    return fetches && !raises(k, gate, FETCHES) ? FETCHES : NULL;
}

static void way_of(struct hacheck *k, const struct haconf_section *gate)
{
    const struct haconf_line *format = haconf_last(k->site, gate, "log-format *");
    struct targets t = targets_of(k, gate);
    unsigned level = t.home ? level_of(t.home) : 0;
    const char *lacks = not_raised(k, gate);
    if (*k->agent->notices.listen == '\0')
        hacheck_say(k, format, "%s '%s' sends notices, and notices.listen is not set", gate->type,
                    gate->name);
    else if (t.n == 0)
        hacheck_say(k, format, "%s '%s' logs nowhere", gate->type, gate->name);
    else if (!t.home && !t.unknown)
        hacheck_say(k, format, "no log line that holds for %s '%s' leads to notices.listen ('%s')",
                    gate->type, gate->name, k->agent->notices.listen);
    else if (t.home && level < NOTICE)
        hacheck_say(k, t.home, "'log %s' lets nothing below %s through", t.home->word[1], levels[level]);
    else if (t.home && level == NOTICE && lacks)
        hacheck_say(k, format, "%s '%s' lacks 'http-request set-log-level notice if %s'", gate->type,
                    gate->name, lacks);
}

void hacheck_notices(struct hacheck *k)
{
    for (unsigned i = 0; k->in->policies_known && i < k->gates.n; i++)
        if (hacheck_has_notices(k, k->gates.at[i]))
            way_of(k, k->gates.at[i]);
}
