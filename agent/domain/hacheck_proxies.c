// SPDX-License-Identifier: MIT
/* Rules about options and backends: what HAProxy would do by itself with a protected request. */
#include "domain/hacheck_inner.h"

#include <string.h>

static const char marking[] = "http-response sc-set-gpt0(2) status";
static const char has_token[] = "{ var(txn.once.token) -m found }";

static void bad_option(struct hacheck *k, const struct hacheck_list *list, const char *name)
{
    for (unsigned i = 0; i < list->n; i++) {
        bool on = false;
        const struct haconf_line *l = haconf_option(k->site, list->at[i], name, false, &on);
        if (l && on)
            hacheck_say(k, l, "'option %s' holds for %s '%s'", name, list->at[i]->type, list->at[i]->name);
    }
}

void hacheck_bad_option(struct hacheck *k)
{
    bad_option(k, &k->backends, "abortonclose");
    bad_option(k, &k->hops, "abortonclose");
}

/* on-marked-down shutdown-sessions, on-marked-up shutdown-backup-sessions: of a server or default-server. */
static void shuts_down(struct hacheck *k, const struct hacheck_list *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct haconf_walk w = haconf_walk(k->site, list->at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            const char *down = haconf_after(l, "on-marked-down"), *up = haconf_after(l, "on-marked-up");
            if ((down || up) && (haconf_matches(l, "server") || haconf_matches(l, "default-server")))
                hacheck_say(k, l, "'%s %s' holds for %s '%s'", down ? "on-marked-down" : "on-marked-up",
                            down ? down : up, list->at[i]->type, list->at[i]->name);
        }
    }
}

void hacheck_shutdown(struct hacheck *k)
{
    shuts_down(k, &k->backends);
    shuts_down(k, &k->hops);
}

void hacheck_notices_option(struct hacheck *k)
{
    static const char *const names[] = {"logasap", "dontlog-normal", "log-separate-errors"};
    for (unsigned i = 0; i < k->gates.n; i++) {
        struct hacheck_list one = {k->gates.at + i, 1};
        if (hacheck_has_notices(k, k->gates.at[i]))
            bad_option(k, &one, names[k->rule->which]);
    }
}

/* A line of `retry-on` that sends again what may have run; NULL: none. */
static const struct haconf_line *dangerous_retry(const struct hacheck *k, const struct haconf_section *s)
{
    const struct haconf_line *l = haconf_last(k->site, s, "retry-on");
    for (unsigned i = 1; l && i < l->n; i++) {
        if (strcmp(l->word[i], "none") != 0 && strcmp(l->word[i], "conn-failure") != 0)
            return l;
    }
    return NULL;
}

/* Does the section forbid it for every request, or for those of this condition? */
static bool forbids_retry(const struct hacheck *k, const struct haconf_section *s, const char *condition)
{
    struct haconf_walk w = haconf_walk(k->site, s);
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        if (!l->perhaps && haconf_matches(l, "http-request disable-l7-retry") &&
            (hacheck_condition_is(l, condition) || haconf_condition(l) == l->n))
            return true;
    }
    return false;
}

static bool gates_forbid_retry(const struct hacheck *k, const char *condition)
{
    bool all = true;
    for (unsigned i = 0; i < k->gates.n; i++)
        all = all && forbids_retry(k, k->gates.at[i], condition);
    return all;
}

static void retries(struct hacheck *k, const struct hacheck_list *list, const char *condition)
{
    for (unsigned i = 0; i < list->n; i++) {
        const struct haconf_line *l = dangerous_retry(k, list->at[i]);
        /* Only what the agent lets fetch comes here, and the second try goes to the stored answer. */
        bool fetches = strncmp(list->at[i]->name, "once_stale", 10) == 0;
        if (l && !fetches && !gates_forbid_retry(k, condition) && !forbids_retry(k, list->at[i], has_token))
            hacheck_say(k, l, "'retry-on %s' holds for backend '%s', without 'http-request disable-l7-retry'",
                        l->word[1], list->at[i]->name);
    }
}

void hacheck_retry(struct hacheck *k)
{
    retries(k, &k->backends, "!once_replay");
}

void hacheck_hop_retry(struct hacheck *k)
{
    retries(k, &k->hops, "{ var(txn.once_hop) -m bool }");
}

static bool is_mark(const struct haconf_line *l)
{
    return haconf_matches(l, marking) && (hacheck_condition_is(l, has_token) || hacheck_condition_is(l, ""));
}

static const struct haconf_line *find_mark(const struct hacheck *k, const struct haconf_section *s)
{
    struct haconf_walk w = haconf_walk(k->site, s);
    const struct haconf_line *l, *perhaps = NULL;
    while ((l = haconf_next(&w))) {
        if (is_mark(l) && !l->perhaps)
            return l;
        if (is_mark(l))
            perhaps = l;
    }
    return perhaps;
}

void hacheck_mark(struct hacheck *k)
{
    for (unsigned i = 0; i < k->backends.n; i++) {
        const struct haconf_section *s = k->backends.at[i];
        const struct haconf_line *l = find_mark(k, s);
        if (l && l->perhaps)
            hacheck_say_perhaps(k, l);
        if (!l)
            hacheck_say(k, haconf_head(k->site, s), "%s '%s' lacks '%s if %s'", s->type, s->name, marking,
                        has_token);
    }
}

void hacheck_mark_first(struct hacheck *k)
{
    for (unsigned i = 0; i < k->backends.n; i++) {
        const struct haconf_line *mark = find_mark(k, k->backends.at[i]);
        const struct haconf_line *first = haconf_first(k->site, k->backends.at[i], "http-response");
        if (mark && first < mark)
            hacheck_say(k, first, "'%s %s' stands above '%s' of line %u", first->word[0],
                        first->n > 1 ? first->word[1] : "", marking, mark->number);
    }
}

/* Does it lead to a backend that a gate sends protected requests to? */
static bool leads_to_protected(const struct hacheck *k, const struct haconf_line *l)
{
    bool leads = haconf_matches(l, "use_backend *") || haconf_matches(l, "default_backend *");
    for (unsigned i = 0; leads && i < k->backends.n; i++)
        if (strcmp(k->backends.at[i]->name, l->word[1]) == 0)
            return true;
    return false;
}

/* Another way to a backend of protected routes. */
void hacheck_way_round(struct hacheck *k)
{
    for (unsigned i = 0; i < k->site->nsections; i++) {
        const struct haconf_section *s = &k->site->sections[i];
        bool listens = strcmp(s->type, "frontend") == 0 || strcmp(s->type, "listen") == 0;
        struct haconf_walk w = haconf_walk(k->site, s);
        for (const struct haconf_line *l; listens && !hacheck_in(&k->gates, s) && (l = haconf_next(&w));)
            if (leads_to_protected(k, l))
                hacheck_say(k, l, "%s '%s' sends to backend '%s', and asks no agent", s->type, s->name,
                            l->word[1]);
    }
}

void hacheck_dynamic(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            if (haconf_matches(l, "use_backend *") && strstr(l->word[1], "%[") && !hacheck_excludes_gated(l))
                hacheck_say(k, l, "'use_backend %s' chooses while it runs", l->word[1]);
        }
    }
}

/* A rule of the response that no execution reaches, in a frontend's words or a backend's. */
static bool spares_executions(const struct haconf_line *l)
{
    return hacheck_excludes_gated(l) || hacheck_condition_is(l, "!{ var(txn.once.token) -m found }") ||
           hacheck_condition_is(l, "{ var(txn.once_cut) -m bool }");
}

/* Rules of the response that end before the agent is told. */
void hacheck_skipped(struct hacheck *k)
{
    static const char *const ends[] = {"http-response allow",         "http-response return",
                                       "http-response deny",          "http-response redirect",
                                       "tcp-response content reject", "tcp-response content close"};
    const struct hacheck_list *lists[] = {&k->gates, &k->backends};
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned i = 0; i < lists[n]->n; i++) {
            const struct haconf_line *told = hacheck_find_step(k, lists[n]->at[i], STEP_ANSWER);
            struct haconf_walk w = haconf_walk(k->site, lists[n]->at[i]);
            for (const struct haconf_line *l; (l = haconf_next(&w));)
                for (unsigned e = 0; e < sizeof ends / sizeof *ends; e++)
                    if (haconf_matches(l, ends[e]) && (!told || l < told) && !spares_executions(l))
                        hacheck_say(k, l, "'%s' stands before the response message", ends[e]);
        }
    }
}

/* `timeout server` must not outlast `limit` in any backend. */
static void outlasts(struct hacheck *k, const struct haconf_line *at, uint64_t limit)
{
    for (unsigned i = 0; i < k->backends.n; i++) {
        const struct haconf_line *l;
        uint64_t ms;
        if (hacheck_time(k->site, k->backends.at[i], "timeout server", &l, &ms) && ms >= limit)
            hacheck_say(k, at, "%llums is not above the 'timeout server %s' of backend '%s', line %u",
                        (unsigned long long)limit, l->word[2], k->backends.at[i]->name, l->number);
    }
}

void hacheck_response_wait(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_line *l = hacheck_find_step(k, k->gates.at[i], STEP_ANSWER_WAIT);
        const char *time = l ? haconf_after(l, "time") : NULL;
        uint64_t ms;
        if (time && haconf_ms(time, &ms) == 0)
            outlasts(k, l, ms);
    }
}

void hacheck_hop_timeout(struct hacheck *k)
{
    for (unsigned i = 0; i < k->hops.n; i++) {
        const struct haconf_line *l;
        uint64_t ms;
        if (hacheck_time(k->site, k->hops.at[i], "timeout server", &l, &ms))
            outlasts(k, l, ms);
    }
}

void hacheck_hop_socket(struct hacheck *k)
{
    for (unsigned i = 0; i < k->hops.n; i++) {
        struct haconf_walk w = haconf_walk(k->site, k->hops.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            const char *address = haconf_matches(l, "server * *") ? l->word[2] : "/";
            if (*address != '/' && strncmp(address, "unix@", 5) != 0 && strncmp(address, "abns", 4) != 0)
                hacheck_say(k, l, "server '%s' of the hop is no unix socket", l->word[1]);
        }
    }
}
