// SPDX-License-Identifier: MIT
/* Rules between HAProxy's times and sizes and the agent's own (PROTOCOL, Timing rules):
 *
 *   redis.deadline < processing of `once` <= timeout server of the agents' backend < lock TTL less three polls
 *   completion.response < processing of `once-response`
 *   what HAProxy's buffer holds = tune.bufsize less tune.maxrewrite = what the agent takes for whole */
#include "domain/hacheck_inner.h"

#include <stdlib.h>
#include <string.h>

#include "domain/facts.h"
#include "domain/policy.h"
#include "domain/units.h"

enum { POLLS = 3, BUFSIZE = 16384, MAXREWRITE = 1024, FRAME_PREFIX = 4 };

static unsigned long long print_ms(uint64_t ms)
{
    return (unsigned long long)ms;
}

/* `timeout processing` of an engine. */
static bool processing(const struct hacheck *k, const char *engine, const struct haconf_line **l,
                       uint64_t *ms)
{
    const struct haconf_section *s = hacheck_engine(k, engine);
    *l = s ? haconf_head(k->spoe, s) : NULL;
    return s && hacheck_time(k->spoe, s, "timeout processing", l, ms);
}

void hacheck_deadline(struct hacheck *k)
{
    const struct haconf_line *l;
    uint64_t ms;
    uint32_t deadline = k->agent->redis.deadline_ms;
    bool there = processing(k, "once", &l, &ms);
    if (l && !there)
        hacheck_say(k, l, "engine once has no 'timeout processing'");
    else if (l && ms <= deadline)
        hacheck_say(k, l, "'timeout processing %s' of engine once is not above redis.deadline (%ums)",
                    l->word[2], (unsigned)deadline);
}

void hacheck_response(struct hacheck *k)
{
    const struct haconf_line *l;
    uint64_t ms;
    uint32_t waits = k->agent->completion.response_ms;
    bool there = processing(k, "once-response", &l, &ms);
    if (l && !there)
        hacheck_say(k, l, "engine once-response has no 'timeout processing'");
    else if (l && ms <= waits)
        hacheck_say(k, l,
                    "'timeout processing %s' of engine once-response is not above completion.response (%ums)",
                    l->word[2], (unsigned)waits);
}

/* Whose `timeout processing` the messages of a scope carry: once-refused goes through once-response, and says
 * what once-request has said. NULL: a scope that is none of ours. */
static const char *timed_engine(const char *scope)
{
    if (strcmp(scope, "once-wait") == 0)
        return scope;
    return strcmp(scope, "once") == 0 || strcmp(scope, "once-response") == 0 ? "once" : NULL;
}

void hacheck_timeout_argument(struct hacheck *k)
{
    for (unsigned i = 0; i < k->spoe->nsections; i++) {
        const struct haconf_section *s = &k->spoe->sections[i];
        const struct haconf_line *args = haconf_last(k->spoe, s, "args"), *l;
        const char *engine = timed_engine(s->scope);
        uint64_t ms;
        if (strcmp(s->type, "spoe-message") != 0 || !engine || !processing(k, engine, &l, &ms))
            continue;
        for (unsigned n = 1; args && n < args->n; n++) {
            const char *word = args->word[n];
            if (strncmp(word, "timeout=int(", 12) == 0 && strtoull(word + 12, NULL, 10) != ms)
                hacheck_say(k, args, "'%s' is not the 'timeout processing' of engine %s (%llums, line %u)",
                            word, engine, print_ms(ms), l->number);
        }
    }
}

/* The agents' backend and its `timeout server`; *l is then its line, else the backend's. */
static const struct haconf_section *server_timeout(const struct hacheck *k, const char *engine,
                                                   const struct haconf_line **l, uint64_t *ms)
{
    const struct haconf_section *agents = hacheck_agents(k, engine);
    if (!agents)
        return NULL;
    *l = haconf_head(k->site, agents);
    if (!hacheck_time(k->site, agents, "timeout server", l, ms))
        *ms = 0;
    return agents;
}

void hacheck_server_timeout(struct hacheck *k)
{
    for (unsigned e = 0; e < HACHECK_ENGINES; e++) {
        const char *engine = hacheck_engine_names[e];
        const struct haconf_line *l, *p;
        uint64_t server, limit;
        const struct haconf_section *agents = server_timeout(k, engine, &l, &server);
        if (hacheck_uses(k, e) && agents && processing(k, engine, &p, &limit) && server < limit)
            hacheck_say(k, l,
                        "the 'timeout server' of backend '%s' (%llums) is below the 'timeout processing' of "
                        "engine %s (%llums)",
                        agents->name, print_ms(server), engine, print_ms(limit));
    }
}

/* Of all policies whose executions hold a lock, or slots (and that wait), the one that holds it for the shortest
 * time. */
static const struct policy *shortest_lock(const struct config *c, bool waits)
{
    const struct policy *found = NULL;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct policy *p = &c->policies[i];
        bool holds = p->idempotency.enabled || policy_has_slots(p);
        bool looked_for = !waits || (p->idempotency.enabled && p->idempotency.wait_ms > 0);
        if (holds && looked_for && (!found || policy_lock_s(p) < policy_lock_s(found)))
            found = p;
    }
    return found;
}

static void lock_fits(struct hacheck *k, const char *engine, const struct policy *p)
{
    const struct haconf_line *l;
    uint64_t server, polls = POLLS * (uint64_t)k->agent->inflight.poll_ms;
    const struct haconf_section *agents = server_timeout(k, engine, &l, &server);
    if (p && agents && server > 0 && server + polls >= (uint64_t)policy_lock_s(p) * 1000)
        hacheck_say(
            k, l,
            "the 'timeout server' of backend '%s' (%llums) and three polls (%llums) do not fit into the "
            "%s of policy '%s' (%us)",
            agents->name, print_ms(server), print_ms(polls), p->idempotency.enabled ? "lock" : "lease",
            p->name, (unsigned)policy_lock_s(p));
}

/* Only policies that wait are asked about through once-wait. */
void hacheck_lock(struct hacheck *k)
{
    lock_fits(k, "once", shortest_lock(k->agent, false));
    lock_fits(k, "once-wait", shortest_lock(k->agent, true));
}

/* A size of global; what it is without a line. */
static uint64_t tuned(const struct hacheck *k, const char *name, uint64_t without,
                      const struct haconf_line **l)
{
    uint64_t size = without;
    *l = hacheck_global(k, name);
    if (*l && (*l)->n > 1)
        unit_size((*l)->word[1], &size);
    return size;
}

void hacheck_buffer(struct hacheck *k)
{
    const struct haconf_line *l;
    uint64_t bufsize = tuned(k, "tune.bufsize", BUFSIZE, &l);
    if (l && bufsize > (uint64_t)k->agent->spop.max_frame + FRAME_PREFIX)
        hacheck_say(k, l, "'tune.bufsize %s' is above spop.max_frame (%u)", l->word[1],
                    (unsigned)k->agent->spop.max_frame);
}

void hacheck_replay_head(struct hacheck *k)
{
    const struct haconf_line *l;
    uint64_t bufsize = tuned(k, "tune.bufsize", BUFSIZE, &l);
    if (bufsize > k->agent->replay.max_head)
        hacheck_say(k, l ? l : hacheck_top(k), "tune.bufsize (%llu) is above replay.max_head (%u)",
                    (unsigned long long)bufsize, (unsigned)k->agent->replay.max_head);
}

/* HAProxy lowers it to half the buffer, which is what the agent assumes where it was not told. */
void hacheck_maxrewrite(struct hacheck *k)
{
    const struct haconf_line *l, *b;
    uint64_t bufsize = tuned(k, "tune.bufsize", BUFSIZE, &b);
    uint64_t reserve = tuned(k, "tune.maxrewrite", MAXREWRITE, &l);
    uint64_t known = k->agent->spop.maxrewrite;
    if (reserve > bufsize / 2)
        reserve = bufsize / 2;
    if (known > 0 && reserve > known)
        hacheck_say(k, l ? l : hacheck_top(k),
                    "HAProxy keeps %llu bytes of a buffer free, spop.maxrewrite says %llu",
                    (unsigned long long)reserve, (unsigned long long)known);
}

void hacheck_once_start(struct hacheck *k)
{
    const struct haconf_line *l = hacheck_global(k, "set-var proc.once_start date(0,us)");
    if (!l)
        hacheck_say(k, hacheck_top(k), "'set-var proc.once_start date(0,us)' is missing in global");
    else if (l->perhaps)
        hacheck_say_perhaps(k, l);
}

/* The stats socket that an agent's `haproxy.socket` names, NULL: none; without a configuration of the agent
 * the first one of level admin. */
static const struct haconf_line *socket_line(const struct hacheck *k, unsigned n)
{
    const char *wanted = k->in->policies_known && k->agent->nhaproxy > 0 ? k->agent->haproxy[n].socket : NULL;
    const struct haconf_line *found = NULL;
    for (unsigned i = 0; i < k->site->nsections; i++) {
        const struct haconf_section *s = &k->site->sections[i];
        for (unsigned at = s->head; strcmp(s->type, "global") == 0 && at < s->end; at++) {
            const struct haconf_line *l = &k->site->lines[at];
            if (!haconf_matches(l, "stats socket") || l->n < 3)
                continue;
            const char *path = strncmp(l->word[2], "unix@", 5) == 0 ? l->word[2] + 5 : l->word[2];
            if (wanted ? strcmp(path, wanted) == 0
                       : !found || haconf_matches(found, "stats socket level user"))
                found = l;
        }
    }
    return found;
}

static unsigned sockets(const struct hacheck *k)
{
    return k->in->policies_known && k->agent->nhaproxy > 0 ? k->agent->nhaproxy : 1;
}

/* An agent beside several HAProxies: one of its sockets is this one's. */
void hacheck_socket(struct hacheck *k)
{
    const struct haconf_line *l = NULL;
    for (unsigned i = 0; !l && i < sockets(k); i++)
        l = socket_line(k, i);
    if (!l)
        hacheck_say(k, hacheck_top(k), "no 'stats socket' is the agent's ('%s')",
                    k->agent->nhaproxy > 0 ? k->agent->haproxy[0].socket : "any");
    else if (haconf_matches(l, "stats socket level user"))
        hacheck_say(k, l, "'stats socket %s' has only the level user", l->word[2]);
}

void hacheck_socket_mode(struct hacheck *k)
{
    for (unsigned i = 0; i < sockets(k); i++) {
        const struct haconf_line *l = socket_line(k, i);
        const char *mode = l ? haconf_after(l, "mode") : NULL;
        if (mode && *mode && strchr("1234567", mode[strlen(mode) - 1]))
            hacheck_say(k, l, "'stats socket %s' has 'mode %s'", l->word[2], mode);
    }
}

void hacheck_socket_many(struct hacheck *k)
{
    const struct haconf_line *l = socket_line(k, 0), *many = hacheck_global(k, "stats maxconn *");
    if (l && !many)
        hacheck_say(k, l, "'stats maxconn' is not set, so it is 10");
}
