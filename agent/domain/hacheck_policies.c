// SPDX-License-Identifier: MIT
/* Rules between the policies that HAProxy's rules and maps name and those that the agent knows. A name is
 * read where it stands as a constant, str(NAME), or as a map's value or default; others (a header, a part of
 * the path) may be any policy's. */
#include "domain/hacheck_inner.h"

#include <stdio.h>
#include <string.h>

#include "domain/facts.h"

/* The name where it is made while HAProxy runs: it may be any policy's. */
static const char any_name[] = "*";

typedef void each_name(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                       const char *name);

static const struct policy *known(const struct hacheck *k, const char *name)
{
    for (unsigned i = 0; i < k->agent->npolicies; i++)
        if (strcmp(k->agent->policies[i].name, name) == 0)
            return &k->agent->policies[i];
    return NULL;
}

/* The policy of that name, or the first of any, that is so; NULL: none. */
static const struct policy *such(const struct hacheck *k, const char *name, bool is(const struct policy *))
{
    for (unsigned i = 0; name && i < k->agent->npolicies; i++) {
        const struct policy *p = &k->agent->policies[i];
        if ((name == any_name || strcmp(p->name, name) == 0) && is(p))
            return p;
    }
    return NULL;
}

static bool has_keys(const struct policy *p)
{
    return p->idempotency.enabled;
}

static bool holds(const struct policy *p)
{
    return p->idempotency.enabled && p->idempotency.on_unknown == ON_UNKNOWN_HOLD;
}

static void copy(char out[CONFIG_NAME_MAX + 1], const char *text, size_t len)
{
    if (len > CONFIG_NAME_MAX)
        len = CONFIG_NAME_MAX;
    memcpy(out, text, len);
    out[len] = '\0';
}

enum { PATH_CAP = 256 };
enum column { KEYS, VALUES };

struct map_walk {
    const char *at; /* in the map's text */
    unsigned line;
};

/* The word in that column of the map's next line; false: no more. */
static bool map_next(struct map_walk *w, enum column column, char name[CONFIG_NAME_MAX + 1])
{
    static const char blanks[] = " \t\r";
    while (*w->at) {
        const char *word = w->at + strspn(w->at, blanks), *end = w->at + strcspn(w->at, "\n");
        w->at = end + (*end == '\n');
        w->line++;
        if (*word == '#' || word >= end)
            continue;
        if (column == VALUES) {
            word += strcspn(word, " \t\r\n");
            word += strspn(word, blanks);
        }
        copy(name, word, strcspn(word, " \t\r\n"));
        return true;
    }
    return false;
}

/* Each second column of a map, at its own line. */
static void names_of_map(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                         const char *path, each_name *fn)
{
    struct map_walk w = {k->in->map ? k->in->map(k->in->arg, path) : NULL, 0};
    char name[CONFIG_NAME_MAX + 1];
    if (!w.at)
        fn(k, gate, l, NULL);
    while (w.at && map_next(&w, VALUES, name)) {
        struct haconf_line where = {path, w.line, false, l->n, l->word, false};
        fn(k, gate, &where, name);
    }
}

/* The file of "..,map(FILE)" or "..,map(FILE,default)"; where the name ends, NULL: it is too long. */
static const char *map_file(const char *open, char path[PATH_CAP])
{
    size_t len = strcspn(open + 1, ",)");
    if (len >= PATH_CAP)
        return NULL;
    memcpy(path, open + 1, len);
    path[len] = '\0';
    return open + 1 + len;
}

/* Names in one expression: "str(payments)", "path,map_beg(/etc/policies.map,default)". */
static void names_of(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                     const char *expression, each_name *fn)
{
    char path[PATH_CAP], name[CONFIG_NAME_MAX + 1];
    const char *map = strstr(expression, ",map"), *open = map ? strchr(map, '(') : NULL;
    if (open) {
        if (!(open = map_file(open, path)))
            return;
        names_of_map(k, gate, l, path, fn);
        if (*open != ',')
            return;
    } else if (strncmp(expression, "str(", 4) == 0) {
        open = expression + 3;
    } else {
        fn(k, gate, l, any_name);
        return;
    }
    copy(name, open + 1, strcspn(open + 1, ")"));
    fn(k, gate, l, name);
}

static bool names_policy(const struct haconf_line *l)
{
    return (haconf_matches(l, "http-request set-var(txn.once_policy* *") ||
            haconf_matches(l, "http-request set-var(txn.once_cache) *")) &&
           l->n > 2;
}

static void all_names(struct hacheck *k, each_name *fn)
{
    for (unsigned i = 0; k->in->policies_known && i < k->gates.n; i++) {
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));)
            if (names_policy(l))
                names_of(k, k->gates.at[i], l, l->word[2], fn);
    }
}

static void unknown(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                    const char *name)
{
    (void)gate;
    if (!name)
        hacheck_say(k, l, "the map in '%s' cannot be read here", l->word[2]);
    else if (name != any_name && !known(k, name))
        hacheck_say(k, l, "the agent's configuration has no policy '%s'", name);
}

void hacheck_unknown_policy(struct hacheck *k)
{
    all_names(k, unknown);
}

void hacheck_no_policy(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++)
        if (!haconf_first(k->site, k->gates.at[i], "http-request set-var(txn.once_policy*") &&
            !haconf_first(k->site, k->gates.at[i], "http-request set-var(txn.once_cache)"))
            hacheck_say(k, haconf_head(k->site, k->gates.at[i]), "%s '%s' never sets txn.once_policy",
                        k->gates.at[i]->type, k->gates.at[i]->name);
}

/* The sample that the message once-request carries under that name; NULL: it has no such argument. */
static const char *argument(const struct hacheck *k, const char *name)
{
    const struct haconf_section *s = haconf_section(k->spoe, "spoe-message", message_name(MESSAGE_REQUEST));
    const struct haconf_line *l = s ? haconf_last(k->spoe, s, "args") : NULL;
    size_t len = strlen(name);
    for (unsigned i = 1; l && i < l->n; i++)
        if (strncmp(l->word[i], name, len) == 0 && l->word[i][len] == '=')
            return l->word[i] + len + 1;
    return NULL;
}

/* An argument is there, and where it is our variable, the frontend sets it. */
static void need_argument(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                          const struct policy *p, const char *name)
{
    static const char *const own[] = {"", "none", "ip", "global", "policy"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return;
    const char *sample = argument(k, name);
    if (!sample)
        hacheck_say(k, l, "policy '%s' asks for the argument '%s', and once-request does not carry it",
                    p->name, name);
    else if (strcmp(sample, "var(txn.once_principal)") == 0 &&
             !haconf_first(k->site, gate, "http-request set-var(txn.once_principal*"))
        hacheck_say(k, l, "policy '%s' asks for '%s', and %s '%s' never sets txn.once_principal", p->name,
                    name, gate->type, gate->name);
}

static void principal(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                      const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    if (p && p->idempotency.enabled)
        need_argument(k, gate, l, p, p->idempotency.principal);
    for (unsigned i = 0; p && i < p->nlimits; i++)
        for (unsigned t = 0; t < p->limits[i].nterms; t++)
            need_argument(k, gate, l, p, p->limits[i].terms[t]);
}

void hacheck_principal(struct hacheck *k)
{
    all_names(k, principal);
}

static void limit_cost(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                       const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    for (unsigned i = 0; p && i < p->nlimits; i++)
        need_argument(k, gate, l, p, p->limits[i].cost);
}

void hacheck_limit_cost(struct hacheck *k)
{
    all_names(k, limit_cost);
}

static void limit_tier(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                       const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    for (unsigned i = 0; p && i < p->nlimits; i++)
        need_argument(k, gate, l, p, p->limits[i].tier);
}

void hacheck_limit_tier(struct hacheck *k)
{
    all_names(k, limit_tier);
}

static void json(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                 const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    if (!p || !p->idempotency.enabled || p->idempotency.fingerprint != FINGERPRINT_JSON)
        return;
    const char *sample = argument(k, "body");
    bool ours = sample && strcmp(sample, "var(txn.once_body)") == 0;
    if (ours && !haconf_first(k->site, gate, "http-request set-var(txn.once_body) req.body"))
        hacheck_say(k, l, "policy '%s' compares bodies as JSON, and %s '%s' never sets txn.once_body",
                    p->name, gate->type, gate->name);
    else if (ours && !haconf_first(k->site, gate, "http-request set-var(txn.once_json*"))
        hacheck_say(k, l, "policy '%s' compares bodies as JSON, and %s '%s' never sets txn.once_json",
                    p->name, gate->type, gate->name);
}

void hacheck_json(struct hacheck *k)
{
    all_names(k, json);
}

static void hold(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                 const char *name)
{
    const struct policy *p = such(k, name, holds);
    if (p && !hacheck_has_notices(k, gate))
        hacheck_say(k, l, "policy '%s' has on_unknown = \"hold\", and %s '%s' sends no notices", p->name,
                    gate->type, gate->name);
}

void hacheck_hold(struct hacheck *k)
{
    all_names(k, hold);
}

/* Does it take HTTP/2 or HTTP/3? (TLS without `alpn` does, from 2.8 on.) */
static bool multiplexed(const struct haconf_line *bind)
{
    const char *alpn = haconf_after(bind, "alpn"), *proto = haconf_after(bind, "proto");
    if (haconf_matches(bind, "bind quic*") || (proto && strcmp(proto, "h2") == 0))
        return true;
    if (alpn || proto)
        return alpn && strstr(alpn, "h2");
    return hacheck_has_word(bind, "ssl") && !hacheck_has_word(bind, "no-alpn");
}

/* A route to the hop, and a line that always sends requests along it. */
static bool has_hop(const struct hacheck *k, const struct haconf_section *gate)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    const struct haconf_line *l = haconf_first(k->site, gate, "use_backend once_hop*");
    while (l && (l = haconf_next(&w)))
        if (!l->perhaps && haconf_matches(l, "http-request set-var(txn.once_hop) bool(true)"))
            return true;
    return false;
}

static void hop(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                const char *name)
{
    const struct policy *p = such(k, name, has_keys);
    struct haconf_walk w = haconf_walk(k->site, gate);
    if (!p || has_hop(k, gate))
        return;
    for (const struct haconf_line *bind; (bind = haconf_next(&w));)
        if (haconf_matches(bind, "bind *") && multiplexed(bind)) {
            hacheck_say(k, l, "HTTP/2 ('bind %s', line %u) reaches policy '%s' without a hop", bind->word[1],
                        bind->number, p->name);
            return;
        }
}

void hacheck_hop(struct hacheck *k)
{
    all_names(k, hop);
}

/* Does it pass whatever Redis says? As plan_fails_open, for all of it. */
static bool fails_open(const struct policy *p)
{
    bool open = !p->idempotency.enabled || p->idempotency.fail_open;
    for (unsigned i = 0; i < p->nlimits; i++)
        open = open && p->limits[i].fail_open;
    return open;
}

static bool sets_open(const struct haconf_line *l, const char *variable)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "http-request set-var(txn.%s) *", variable);
    return haconf_matches(l, pattern) && l->n > 2 && strcmp(l->word[2], "bool(false)") != 0;
}

static bool listed(const struct haconf_line *l, unsigned at, const char *name)
{
    for (; at < l->n && strcmp(l->word[at], "}") != 0; at++)
        if (strcmp(l->word[at], name) == 0)
            return true;
    return false;
}

/* A map that cannot be read may have every name. */
static bool is_key(const struct hacheck *k, const char *open, const char *name)
{
    char path[PATH_CAP], key[CONFIG_NAME_MAX + 1];
    struct map_walk w = {k->in->map && map_file(open, path) ? k->in->map(k->in->arg, path) : NULL, 0};
    if (!w.at)
        return true;
    while (map_next(&w, KEYS, key))
        if (strcmp(key, name) == 0)
            return true;
    return false;
}

/* Two conditions are understood, any other may hold for all of them:
 *     if { var(txn.once_policy) -m str NAME .. }     if { var(txn.once_policy),map(FILE) -m found } */
bool hacheck_concerns(const struct hacheck *k, const struct haconf_line *l, const char *variable,
                      const char *name)
{
    char sample[64];
    unsigned at = haconf_condition(l) + 1;
    if (at + 4 >= l->n || strcmp(l->word[at - 1], "if") != 0 || strcmp(l->word[at], "{") != 0 ||
        hacheck_has_word(l, "||") || hacheck_has_word(l, "or") || strcmp(l->word[at + 2], "-m") != 0)
        return true;
    int len = snprintf(sample, sizeof sample, "var(txn.%s)", variable);
    const char *word = l->word[at + 1];
    if (strcmp(word, sample) == 0 && strcmp(l->word[at + 3], "str") == 0 && *l->word[at + 4] != '-')
        return listed(l, at + 4, name);
    if (strncmp(word, sample, (size_t)len) == 0 && strncmp(word + len, ",map(", 5) == 0 &&
        strcmp(l->word[at + 3], "found") == 0)
        return is_key(k, word + len + 4, name);
    return true;
}

static void let_pass(struct hacheck *k, const struct haconf_line *l)
{
    if (haconf_matches(l, "http-request unset-var(txn.once_refused)") &&
        !hacheck_condition_is(l, "once_open !once_verdict once_nobody"))
        hacheck_say(k, l, "'%s' has another condition than 'once_open !once_verdict once_nobody'",
                    l->word[1]);
    bool open = sets_open(l, "once_open"), cached = sets_open(l, "once_cache_open");
    for (unsigned n = 0; k->in->policies_known && (open || cached) && n < k->agent->npolicies; n++) {
        const struct policy *p = &k->agent->policies[n];
        if (!fails_open(p) && (open || p->cache.enabled) &&
            hacheck_concerns(k, l, open ? "once_policy" : "once_cache", p->name))
            hacheck_say(k, l, "policy '%s' is let pass", p->name);
    }
}

void hacheck_fail_open(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));)
            let_pass(k, l);
    }
}

static void cache_policy(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                         const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    bool cached = haconf_matches(l, "http-request set-var(txn.once_cache)");
    (void)gate;
    if (cached && p && !p->cache.enabled)
        hacheck_say(k, l, "policy '%s' has no cache", name);
}

void hacheck_cache_policy(struct hacheck *k)
{
    all_names(k, cache_policy);
}

/* A policy with a lock is left to its owner: without an agent its keys are not even looked at. */
static void closed(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                   const char *name)
{
    const struct policy *p = name ? known(k, name) : NULL;
    struct haconf_walk w = haconf_walk(k->site, gate);
    bool cached = haconf_matches(l, "http-request set-var(txn.once_cache)");
    const char *opens = cached ? "once_cache_open" : "once_open";
    if (!p || p->idempotency.enabled || (p->nlimits == 0 && !p->cache.enabled) || !fails_open(p))
        return;
    for (const struct haconf_line *open; (open = haconf_next(&w));)
        if (sets_open(open, opens) && hacheck_concerns(k, open, cached ? "once_cache" : "once_policy", name))
            return;
    hacheck_say(k, l, "policy '%s' %s, and txn.%s is not set for it", name,
                p->nlimits == 0 ? "has a cache and no limits" : "says fail_open in all its limits", opens);
}

void hacheck_fail_closed(struct hacheck *k)
{
    all_names(k, closed);
}
