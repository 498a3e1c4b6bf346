// SPDX-License-Identifier: MIT
/* Rules about the response cache: the lines of cache-frontend.cfg, cache-routing.cfg and cache-tables.cfg, where a gate says
 * txn.once_cache, and what HAProxy's rules and the agent's policies say of each other.
 *
 *   second pass ─► ASK ─► ASK_WAIT ─► STOP, DENY ─► [frontend.cfg: headers cleaned] ─► headers of the second pass ─► routes
 */
#include "domain/hacheck_inner.h"

#include <string.h>

enum { ENGINE_WAIT = 2 };

#define NO_VERDICT                                                                                           \
    "once_cached !once_told !{ var(txn.once_cache_open) -m bool } || once_cached !once_told !{ "             \
    "var(txn.once.err),lower,add(0) -m int 1 2 256 257 258 }"
#define CHANGED "once_unsafe { status 200:399 } !{ var(txn.once_hop) -m bool }"

/* Where a line stands: above the line that cleans headers, below it, above the gate's own question, or anywhere. */
enum place { ABOVE, BELOW, EARLY, ANYWHERE };

/* Lines that the cache's promise rests on, and those without which it is slower or stale. */
static const struct cache_line {
    enum hacheck_cache which;
    const char *words, *condition;
    enum place place;
} lines[] = {
    {CACHE_GATE, "http-request set-var(txn.once.fill) req.hdr(once-fill)",            "once_filling",                                      ABOVE   },
    {CACHE_GATE, "http-request unset-var(txn.once_cache)",                            "once_filling",                                      EARLY   },
    {CACHE_GATE, "http-request unset-var(txn.once_policy)",                           "once_filling",                                      EARLY   },
    {CACHE_GATE, "http-request unset-var(txn.once_policy)",                           "once_cached { method GET HEAD }",                   EARLY   },
    {CACHE_GATE, "http-request unset-var(txn.once_cache)",                            "{ var(txn.once_policy) -m found }",                 EARLY   },
    {CACHE_GATE, "http-request set-var(txn.once_unsafe) bool(true)",
     "once_cached !{ method GET HEAD OPTIONS TRACE }",                                                                                     EARLY   },
    {CACHE_GATE, "http-request send-spoe-group once once-cache",                      "once_cached",                                       EARLY   },
    {CACHE_GATE, "http-request return",                                               NO_VERDICT,                                          EARLY   },
    {CACHE_GATE, "http-request return",                                               "once_cached { var(txn.once.verdict) -m str deny }", EARLY   },
    {CACHE_GATE, "http-response send-spoe-group once-response once-unsafe",           CHANGED,                                             ANYWHERE},
    {CACHE_GATE, "http-request set-header Once-Fill %[var(txn.once.fill)]",           "once_refills",                                      BELOW   },
    {CACHE_GATE, "http-request set-header Once-Replay %[var(txn.once.stale)]",
     "once_refills { var(txn.once.stale) -m found }",                                                                                      BELOW   },
    {CACHE_LINE, "http-request del-header If-None-Match",                             "once_fills",                                        ANYWHERE},
    {CACHE_LINE, "http-request del-header If-Modified-Since",                         "once_fills",                                        ANYWHERE},
    {CACHE_LINE, "http-response wait-for-body",                                       "once_fills { var(txn.once_waited) -m bool }",       ANYWHERE},
    {CACHE_LINE, "http-response send-spoe-group once-response once-fill",
     "once_fills !once_refills || once_refills { var(txn.once_status) -m int ge 500 }",                                                    ANYWHERE},
    {CACHE_LINE, "http-request set-var(txn.once.token) var(txn.once.fill),word(1,.)",
     "once_fills !once_refills",                                                                                                           ANYWHERE},
    {CACHE_LINE, "http-request track-sc2 var(txn.once.token) table once_inflight",    "once_fills !once_refills",
     ANYWHERE                                                                                                                                      },
    {CACHE_LINE, "use_backend once_replay",                                           "once_cached once_replay",                           ANYWHERE},
    {CACHE_LINE, "use_backend once_stale*",                                           "once_refills { var(txn.once.stale) -m found }",     ANYWHERE},
    {CACHE_LINE, "use_backend once_fill*",                                            "once_refills",                                      ANYWHERE},
};

static const struct haconf_line *caches(const struct hacheck *k, const struct haconf_section *gate)
{
    return haconf_first(k->site, gate, "http-request set-var(txn.once_cache)");
}

static const struct haconf_line *find(const struct hacheck *k, const struct haconf_section *gate,
                                      const struct cache_line *wanted)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    const struct haconf_line *perhaps = NULL;
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        if (!haconf_matches(l, wanted->words) || !hacheck_condition_is(l, wanted->condition))
            continue;
        if (!l->perhaps)
            return l;
        perhaps = perhaps ? perhaps : l;
    }
    return perhaps;
}

/* The first that is missing: where one is, mostly all are. */
static void check_lines(struct hacheck *k, const struct haconf_section *gate)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (lines[i].which != k->rule->which)
            continue;
        const struct haconf_line *found = find(k, gate, &lines[i]);
        if (found && found->perhaps)
            hacheck_say_perhaps(k, found);
        if (found)
            continue;
        hacheck_say(k, caches(k, gate), "%s '%s' sets txn.once_cache, and lacks the rule '%s .. if %s'",
                    gate->type, gate->name, lines[i].words, lines[i].condition);
        return;
    }
}

void hacheck_cache_lines(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++)
        if (caches(k, k->gates.at[i]))
            check_lines(k, k->gates.at[i]);
}

static void check_place(struct hacheck *k, const struct cache_line *wanted, const struct haconf_line *found,
                        const struct haconf_line *other)
{
    bool above = wanted->place != BELOW;
    if (found && other && above != (found < other))
        hacheck_say(k, found, "'%s' stands %s '%s %s' of line %u", wanted->words, above ? "below" : "above",
                    other->word[0], other->word[1], other->number);
}

void hacheck_cache_order(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        const struct haconf_line *clean = hacheck_find_step(k, gate, STEP_CLEAN);
        const struct haconf_line *ask = hacheck_find_step(k, gate, STEP_ASK);
        for (size_t n = 0; caches(k, gate) && n < sizeof lines / sizeof *lines; n++)
            if (lines[n].place != ANYWHERE)
                check_place(k, &lines[n], find(k, gate, &lines[n]), lines[n].place == EARLY ? ask : clean);
    }
}

/* What makes an expired answer the second choice, and never the first. */
void hacheck_cache_stale(struct hacheck *k)
{
    static const char *const wanted[] = {"balance first", "retries 1", "option redispatch 1",
                                         "retry-on 500 502 503 504", "option http-server-close"};
    for (unsigned i = 0; i < k->hops.n; i++) {
        const struct haconf_section *s = k->hops.at[i];
        for (size_t n = 0; strncmp(s->name, "once_stale", 10) == 0 && n < sizeof wanted / sizeof *wanted; n++)
            if (!haconf_last(k->site, s, wanted[n]))
                hacheck_say(k, haconf_head(k->site, s), "backend '%s' lacks '%s'", s->name, wanted[n]);
    }
}

static const struct policy *first_cached(const struct config *c)
{
    for (unsigned i = 0; i < c->npolicies; i++)
        if (c->policies[i].cache.enabled)
            return &c->policies[i];
    return NULL;
}

void hacheck_cache_wait(struct hacheck *k)
{
    const struct policy *p = k->in->policies_known ? first_cached(k->agent) : NULL;
    for (unsigned i = 0; p && i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        if (caches(k, gate) &&
            !haconf_first(k->site, gate, "http-request send-spoe-group once-wait once-cache"))
            hacheck_say(k, caches(k, gate),
                        "policy '%s' has a cache, and %s '%s' lacks 'http-request send-spoe-group once-wait "
                        "once-cache'",
                        p->name, gate->type, gate->name);
    }
}

/* Of a time of whole seconds, as `max-age 1`. */
static uint64_t local_ms(const struct hacheck *k)
{
    const struct haconf_section *s = haconf_section(k->site, "cache", "once_local");
    const struct haconf_line *l = s ? haconf_last(k->site, s, "max-age *") : NULL;
    uint64_t seconds = 60;
    for (const char *c = l ? l->word[1] : ""; *c >= '0' && *c <= '9'; c++)
        seconds = (c == l->word[1] ? 0 : seconds * 10) + (uint64_t)(*c - '0');
    return seconds * 1000;
}

static void local(struct hacheck *k, const struct haconf_line *l, const struct policy *p)
{
    if (p->cache.per == CACHE_PER_PRINCIPAL)
        hacheck_say(k, l, "policy '%s' stores answers for each principal", p->name);
    else if (local_ms(k) > p->cache.local_ttl_ms)
        hacheck_say(k, l,
                    "'max-age' of the cache once_local (%llus) is above local_ttl of policy '%s' (%ums)",
                    (unsigned long long)(local_ms(k) / 1000), p->name, (unsigned)p->cache.local_ttl_ms);
}

void hacheck_cache_local(struct hacheck *k)
{
    for (unsigned i = 0; k->in->policies_known && i < k->gates.n; i++) {
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));)
            for (unsigned n = 0; haconf_matches(l, "http-request set-var(txn.once_local) bool(true)") &&
                                 n < k->agent->npolicies;
                 n++)
                if (k->agent->policies[n].cache.enabled &&
                    hacheck_concerns(k, l, "once_cache", k->agent->policies[n].name))
                    local(k, l, &k->agent->policies[n]);
    }
}
