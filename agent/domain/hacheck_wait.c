// SPDX-License-Identifier: MIT
/* Rules about duplicates that wait (idempotency.wait): the engine once-wait, its times and its connections.
 *
 *   wait + redis.deadline + margin <= processing of `once-wait` <= its timeout idle, timeout server */
#include "domain/hacheck_inner.h"

#include <string.h>

#include "domain/units.h"

enum { ENGINE_WAIT = 2, MARGIN_MS = 100 };

/* Of all policies that wait the one that waits longest; NULL: none waits. */
static const struct policy *longest_wait(const struct config *c)
{
    const struct policy *found = NULL;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct policy *p = &c->policies[i];
        if (p->idempotency.enabled && p->idempotency.wait_ms > 0 &&
            (!found || p->idempotency.wait_ms > found->idempotency.wait_ms))
            found = p;
    }
    return found;
}

static const struct haconf_section *engine_wait(const struct hacheck *k)
{
    return hacheck_uses(k, ENGINE_WAIT) ? hacheck_engine(k, "once-wait") : NULL;
}

/* Something that the gate needs to ask the engine; NULL: nothing lacks. */
static const char *lacking(const struct hacheck *k, const struct haconf_section *gate)
{
    const struct haconf_line *ask = hacheck_find_step(k, gate, STEP_ASK_WAIT);
    struct haconf_walk w = haconf_walk(k->site, gate);
    const struct haconf_line *l;
    if (!ask)
        return "http-request send-spoe-group once-wait once-request .. if once_waits";
    while ((l = haconf_next(&w)))
        if (haconf_matches(l, "http-request set-var(txn.once_wait)"))
            return NULL;
    return "http-request set-var(txn.once_wait) bool(true)";
}

void hacheck_wait_engine(struct hacheck *k)
{
    const struct policy *p = longest_wait(k->agent);
    for (unsigned i = 0; p && i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        const char *lacks = lacking(k, gate);
        if (lacks)
            hacheck_say(k, haconf_head(k->site, gate), "policy '%s' waits, and %s '%s' lacks '%s'", p->name,
                        gate->type, gate->name, lacks);
    }
}

void hacheck_wait_processing(struct hacheck *k)
{
    const struct haconf_section *s = engine_wait(k);
    const struct policy *p = longest_wait(k->agent);
    const struct haconf_line *l = s ? haconf_head(k->spoe, s) : NULL;
    uint64_t ms = 0, need;
    if (!s || !p)
        return;
    need = (uint64_t)p->idempotency.wait_ms + k->agent->redis.deadline_ms + MARGIN_MS;
    hacheck_time(k->spoe, s, "timeout processing", &l, &ms);
    if (ms < need)
        hacheck_say(
            k, l,
            "'timeout processing' of engine once-wait (%llums) is below the wait of policy '%s' (%ums), "
            "redis.deadline (%ums) and 100ms",
            (unsigned long long)ms, p->name, (unsigned)p->idempotency.wait_ms,
            (unsigned)k->agent->redis.deadline_ms);
}

void hacheck_wait_idle(struct hacheck *k)
{
    const struct haconf_section *s = engine_wait(k);
    const struct haconf_line *l = s ? haconf_head(k->spoe, s) : NULL, *p;
    uint64_t idle = 0, limit = 0;
    if (!s || !hacheck_time(k->spoe, s, "timeout processing", &p, &limit))
        return;
    hacheck_time(k->spoe, s, "timeout idle", &l, &idle);
    if (idle < limit)
        hacheck_say(k, l,
                    "'timeout idle' of engine once-wait (%llums) is below its 'timeout processing' (%llums)",
                    (unsigned long long)idle, (unsigned long long)limit);
}

void hacheck_wait_connections(struct hacheck *k)
{
    const struct haconf_section *s = engine_wait(k);
    const struct haconf_line *rate = s ? haconf_last(k->spoe, s, "maxconnrate *") : NULL;
    const struct haconf_line *frames = s ? haconf_last(k->spoe, s, "max-waiting-frames *") : NULL;
    uint64_t most = 0;
    if (!s)
        return;
    if (!rate || !frames || unit_count(frames->word[1], &most))
        hacheck_say(k, haconf_head(k->spoe, s), "engine once-wait lacks '%s'",
                    rate ? "max-waiting-frames" : "maxconnrate");
    else if (most > k->agent->spop.max_pending)
        hacheck_say(k, frames, "'max-waiting-frames %s' is above spop.max_pending (%u)", frames->word[1],
                    (unsigned)k->agent->spop.max_pending);
}
