// SPDX-License-Identifier: MIT
/* Rules about the SPOE engines and about the backend in which HAProxy finds the agents. */
#include "domain/hacheck_inner.h"

#include <string.h>

#include "domain/facts.h"
#include "domain/verdict.h"

const char *const hacheck_engine_names[HACHECK_ENGINES] = {"once", "once-response", "once-wait"};

/* Which group asks which engine; the group and its message have one name. */
static const struct {
    enum message_kind message;
    const char *engine;
} groups[] = {
    {MESSAGE_REQUEST,  "once"         },
    {MESSAGE_RESPONSE, "once-response"},
    {MESSAGE_REFUSED,  "once-response"},
    {MESSAGE_REQUEST,  "once-wait"    },
};

static const char *const variables[] = {
#define X(symbol, name, type) name,
    VARIABLE_TABLE(X)
#undef X
};
enum { VARIABLES = sizeof variables / sizeof *variables };

/* The section of that type and name in an engine's scope; name NULL: any. */
static const struct haconf_section *scoped(const struct hacheck *k, const char *engine, const char *type,
                                           const char *name)
{
    for (unsigned i = 0; i < k->spoe->nsections; i++) {
        const struct haconf_section *s = &k->spoe->sections[i];
        if (strcmp(s->scope, engine) == 0 && strcmp(s->type, type) == 0 &&
            (!name || strcmp(s->name, name) == 0))
            return s;
    }
    return NULL;
}

const struct haconf_section *hacheck_engine(const struct hacheck *k, const char *engine)
{
    return scoped(k, engine, "spoe-agent", NULL);
}

const struct haconf_section *hacheck_agents(const struct hacheck *k, const char *engine)
{
    const struct haconf_section *s = hacheck_engine(k, engine), *backend;
    const struct haconf_line *l = s ? haconf_last(k->spoe, s, "use-backend *") : NULL;
    if (!l)
        return NULL;
    backend = haconf_section(k->site, "backend", l->word[1]);
    return backend ? backend : haconf_section(k->site, "listen", l->word[1]);
}

static bool has_filter(const struct hacheck *k, const struct haconf_section *gate, const char *engine)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        const char *named = haconf_matches(l, "filter spoe engine") ? haconf_after(l, "engine") : NULL;
        if (named && strcmp(named, engine) == 0)
            return true;
    }
    return false;
}

bool hacheck_uses(const struct hacheck *k, unsigned engine)
{
    bool uses = engine < HACHECK_WANTED;
    for (unsigned i = 0; i < k->gates.n; i++)
        uses = uses || has_filter(k, k->gates.at[i], hacheck_engine_names[engine]);
    return uses;
}

/* The spoe-agent of an engine that is used; NULL. */
static const struct haconf_section *used(const struct hacheck *k, unsigned engine)
{
    return hacheck_uses(k, engine) ? hacheck_engine(k, hacheck_engine_names[engine]) : NULL;
}

void hacheck_engines(struct hacheck *k)
{
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        for (unsigned i = 0; e < HACHECK_WANTED && i < k->gates.n; i++)
            if (!has_filter(k, k->gates.at[i], hacheck_engine_names[e]))
                hacheck_say(k, haconf_head(k->site, k->gates.at[i]), "%s '%s' lacks 'filter spoe engine %s'",
                            k->gates.at[i]->type, k->gates.at[i]->name, hacheck_engine_names[e]);
        if (k->gates.n > 0 && hacheck_uses(k, e) && !hacheck_engine(k, hacheck_engine_names[e]))
            hacheck_say(k, k->spoe->nlines > 0 ? &k->spoe->lines[0] : hacheck_top(k),
                        "no SPOE file that is named has a spoe-agent under [%s]", hacheck_engine_names[e]);
    }
}

/* An option of all engines that must be written, on or off. */
void hacheck_spoe_option(struct hacheck *k)
{
    static const struct {
        const char *name;
        bool on;
    } options[] = {
        {"send-frag-payload", false},
        {"continue-on-error", true },
        {"set-on-error",      true },
    };
    const char *name = options[k->rule->which].name;
    bool wanted = options[k->rule->which].on, on = false;
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s = used(k, e);
        const struct haconf_line *l = s ? haconf_option(k->spoe, s, name, wanted, &on) : NULL;
        if (s && (!l || on != wanted))
            hacheck_say(k, l ? l : haconf_head(k->spoe, s), "engine %s does not say '%soption %s'",
                        hacheck_engine_names[e], wanted ? "" : "no ", name);
    }
}

void hacheck_prefix(struct hacheck *k)
{
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s = used(k, e);
        const struct haconf_line *l = s ? haconf_last(k->spoe, s, "option var-prefix") : NULL;
        if (s && !(l && haconf_matches(l, "option var-prefix once")))
            hacheck_say(k, l ? l : haconf_head(k->spoe, s), "engine %s does not say 'option var-prefix once'",
                        hacheck_engine_names[e]);
    }
}

/* Does any line of the section that begins so have the word? */
static bool listed(const struct haconf *c, const struct haconf_section *s, const char *first,
                   const char *word)
{
    for (unsigned i = s->head; i < s->end; i++) {
        const struct haconf_line *l = &c->lines[i];
        for (unsigned n = 1; strcmp(l->word[0], first) == 0 && n < l->n; n++)
            if (strcmp(l->word[n], word) == 0)
                return true;
    }
    return false;
}

void hacheck_variables(struct hacheck *k)
{
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s = used(k, e);
        for (unsigned v = 0; s && v < VARIABLES; v++) {
            bool later = strcmp(variables[v], "settled") == 0 || strcmp(variables[v], "recorded") == 0;
            if (later != (e == 1) || listed(k->spoe, s, "register-var-names", variables[v]) ||
                haconf_last(k->spoe, s, "option force-set-var"))
                continue;
            const struct haconf_line *l = haconf_last(k->spoe, s, "register-var-names");
            hacheck_say(k, l ? l : haconf_head(k->spoe, s), "engine %s does not register the variable '%s'",
                        hacheck_engine_names[e], variables[v]);
        }
    }
}

void hacheck_groups(struct hacheck *k)
{
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        const char *name = message_name(groups[g].message);
        const struct haconf_section *s = hacheck_engine(k, groups[g].engine);
        const struct haconf_section *group = scoped(k, groups[g].engine, "spoe-group", name);
        if (!s)
            continue;
        if (!listed(k->spoe, s, "groups", name))
            hacheck_say(k, haconf_head(k->spoe, s), "engine %s does not list the group %s", groups[g].engine,
                        name);
        else if (!group || !listed(k->spoe, group, "messages", name))
            hacheck_say(k, haconf_head(k->spoe, group ? group : s), "group %s lacks 'messages %s'", name,
                        name);
        else if (!scoped(k, groups[g].engine, "spoe-message", name))
            hacheck_say(k, haconf_head(k->spoe, group), "there is no spoe-message %s", name);
    }
}

/* Is the argument among the message's "name=sample" words? */
static bool has_argument(const struct haconf_line *l, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 1; i < l->n; i++)
        if (strncmp(l->word[i], name, len) == 0 && l->word[i][len] == '=')
            return true;
    return false;
}

void hacheck_arguments(struct hacheck *k)
{
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        const char *name, *message = message_name(groups[g].message);
        const struct haconf_section *s = scoped(k, groups[g].engine, "spoe-message", message);
        const struct haconf_line *l = s ? haconf_last(k->spoe, s, "args") : NULL;
        for (unsigned i = 0; s && (name = facts_argument(groups[g].message, i)); i++)
            if (!l || !has_argument(l, name))
                hacheck_say(k, l ? l : haconf_head(k->spoe, s), "message %s lacks the argument '%s'", message,
                            name);
    }
}

/* The backends of the engines, once each. */
static unsigned agents_of(const struct hacheck *k, const struct haconf_section *out[HACHECK_ENGINES])
{
    unsigned n = 0;
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s = used(k, e) ? hacheck_agents(k, hacheck_engine_names[e]) : NULL;
        bool known = !s;
        for (unsigned i = 0; i < n; i++)
            known = known || out[i] == s;
        if (!known)
            out[n++] = s;
    }
    return n;
}

void hacheck_agents_there(struct hacheck *k)
{
    const struct haconf_section *agents[HACHECK_ENGINES];
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s = used(k, e);
        const struct haconf_line *l = s ? haconf_last(k->spoe, s, "use-backend") : NULL;
        if (s && !hacheck_agents(k, hacheck_engine_names[e]))
            hacheck_say(k, l ? l : haconf_head(k->spoe, s), "engine %s names no backend that there is",
                        hacheck_engine_names[e]);
    }
    for (unsigned i = agents_of(k, agents); i-- > 0;)
        if (!haconf_last(k->site, agents[i], "server *"))
            hacheck_say(k, haconf_head(k->site, agents[i]), "backend '%s' has no server", agents[i]->name);
}

void hacheck_spop_check(struct hacheck *k)
{
    const struct haconf_section *agents[HACHECK_ENGINES];
    for (unsigned i = agents_of(k, agents); i-- > 0;) {
        bool on = false;
        const struct haconf_line *l = haconf_option(k->site, agents[i], "spop-check", true, &on);
        if (!on)
            hacheck_say(k, l ? l : haconf_head(k->site, agents[i]),
                        "backend '%s' does not say 'option spop-check'", agents[i]->name);
    }
}

static void unchecked_servers(struct hacheck *k, const struct haconf_section *s)
{
    bool checked = false;
    struct haconf_walk w = haconf_walk(k->site, s);
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        if (strcmp(l->word[0], "default-server") == 0)
            checked = hacheck_has_word(l, "check") || (checked && !hacheck_has_word(l, "no-check"));
        else if (haconf_matches(l, "server *") && !hacheck_has_word(l, "check") &&
                 (!checked || hacheck_has_word(l, "no-check")))
            hacheck_say(k, l, "server '%s' of the agents is not checked", l->word[1]);
    }
}

void hacheck_server_check(struct hacheck *k)
{
    const struct haconf_section *agents[HACHECK_ENGINES];
    for (unsigned i = agents_of(k, agents); i-- > 0;)
        unchecked_servers(k, agents[i]);
}

/* An agent's unix socket takes connections while it hangs: only an answer shows that it is well. */
void hacheck_replay_check(struct hacheck *k)
{
    static const char *const retried[] = {"response-timeout", "503"};
    const struct haconf_section *s = haconf_section(k->site, "backend", "once_replay");
    if (!s)
        return;
    bool on = false;
    const struct haconf_line *option = haconf_option(k->site, s, "httpchk", true, &on);
    const struct haconf_line *retry = haconf_last(k->site, s, "retry-on");
    if (!on)
        hacheck_say(k, option ? option : haconf_head(k->site, s),
                    "backend 'once_replay' does not say 'option httpchk'");
    for (size_t i = 0; i < sizeof retried / sizeof *retried; i++)
        if (!hacheck_has_word(retry, retried[i]))
            hacheck_say(k, retry ? retry : haconf_head(k->site, s),
                        "backend 'once_replay' does not say 'retry-on %s'", retried[i]);
    unchecked_servers(k, s);
}

/* What keeps an agent that has died from being connected to without end (tables.cfg). */
void hacheck_storm(struct hacheck *k)
{
    static const char *const wanted[] = {"default-server on-marked-down shutdown-sessions",
                                         "default-server observe layer4", "default-server on-error mark-down",
                                         "tcp-request inspect-delay", "tcp-request content reject"};
    const struct haconf_section *agents[HACHECK_ENGINES];
    for (unsigned i = agents_of(k, agents); i-- > 0;) {
        const struct haconf_line *retries = haconf_last(k->site, agents[i], "retries");
        for (size_t n = 0; n < sizeof wanted / sizeof *wanted; n++)
            if (!haconf_last(k->site, agents[i], wanted[n]))
                hacheck_say(k, haconf_head(k->site, agents[i]), "backend '%s' lacks '%s'", agents[i]->name,
                            wanted[n]);
        if (retries && retries->n > 1 && strcmp(retries->word[1], "0") == 0)
            hacheck_say(k, retries, "'retries 0' holds for backend '%s'", agents[i]->name);
    }
}
