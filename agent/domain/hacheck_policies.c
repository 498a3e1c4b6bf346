// SPDX-License-Identifier: MIT
/* Rules between the policies that HAProxy's rules and maps name and those that the agent knows. A name is
 * read where it stands as a constant, str(NAME), or as a map's value or default; others (a header) cannot be
 * known here. */
#include "domain/hacheck_inner.h"

#include <string.h>

#include "domain/facts.h"

typedef void each_name(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                       const char *name);

static const struct policy *known(const struct hacheck *k, const char *name)
{
    for (unsigned i = 0; i < k->agent->npolicies; i++)
        if (strcmp(k->agent->policies[i].name, name) == 0)
            return &k->agent->policies[i];
    return NULL;
}

static void copy(char out[CONFIG_NAME_MAX + 1], const char *text, size_t len)
{
    if (len > CONFIG_NAME_MAX)
        len = CONFIG_NAME_MAX;
    memcpy(out, text, len);
    out[len] = '\0';
}

/* Each second column of a map, at its own line. */
static void names_of_map(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                         const char *path, each_name *fn)
{
    static const char blanks[] = " \t\r";
    const char *text = k->in->map ? k->in->map(k->in->arg, path) : NULL;
    if (!text) {
        fn(k, gate, l, NULL);
        return;
    }
    for (unsigned number = 1; *text; number++) {
        size_t len = strcspn(text, "\n");
        const char *at = text + strspn(text, blanks);
        if (*at != '#' && at < text + len) {
            char name[CONFIG_NAME_MAX + 1];
            at += strcspn(at, " \t\r\n");
            at += strspn(at, blanks);
            copy(name, at, strcspn(at, " \t\r\n"));
            struct haconf_line where = {path, number, false, l->n, l->word};
            fn(k, gate, &where, name);
        }
        text += len + (text[len] == '\n');
    }
}

/* Names in one expression: "str(payments)", "path,map_beg(/etc/policies.map,default)". */
static void names_of(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *l,
                     const char *expression, each_name *fn)
{
    char path[256], name[CONFIG_NAME_MAX + 1];
    const char *map = strstr(expression, ",map"), *open = map ? strchr(map, '(') : NULL;
    if (open) {
        size_t len = strcspn(open + 1, ",)");
        if (len >= sizeof path)
            return;
        memcpy(path, open + 1, len);
        path[len] = '\0';
        names_of_map(k, gate, l, path, fn);
        if (open[1 + len] != ',')
            return;
        open += 1 + len;
    } else if (strncmp(expression, "str(", 4) == 0) {
        open = expression + 3;
    } else {
        return;
    }
    copy(name, open + 1, strcspn(open + 1, ")"));
    fn(k, gate, l, name);
}

static bool names_policy(const struct haconf_line *l)
{
    return haconf_matches(l, "http-request set-var(txn.once_policy* *") && l->n > 2;
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
    else if (!known(k, name))
        hacheck_say(k, l, "the agent's configuration has no policy '%s'", name);
}

void hacheck_unknown_policy(struct hacheck *k)
{
    all_names(k, unknown);
}

void hacheck_no_policy(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++)
        if (!haconf_first(k->site, k->gates.at[i], "http-request set-var(txn.once_policy*"))
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
    static const char *const own[] = {"none", "ip", "global", "policy"};
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
    const struct policy *p = name ? known(k, name) : NULL;
    if (p && p->idempotency.enabled && p->idempotency.on_unknown == ON_UNKNOWN_HOLD &&
        !hacheck_has_notices(k, gate))
        hacheck_say(k, l, "policy '%s' has on_unknown = \"hold\", and %s '%s' sends no notices", p->name,
                    gate->type, gate->name);
}

void hacheck_hold(struct hacheck *k)
{
    all_names(k, hold);
}
