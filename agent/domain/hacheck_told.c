// SPDX-License-Identifier: MIT
/* Rules about lines of frontend.cfg that tell somebody something: the client why it is refused and when to come back, the
 * backend which execution it has. No request runs or waits by them; without them nobody knows what the agent has said. */
#include "domain/hacheck_inner.h"

#include <string.h>

#include "domain/text.h"

#define STATUS(n)                                                                                            \
    {                                                                                                        \
        TOLD_STATUS, #n, "http-request return status " #n, "http-request deny status " #n,                   \
            "{ var(txn.once.status) -m int eq " #n " } once_deny"                                            \
    }
#define FIELD(header, name)                                                                                  \
    {                                                                                                        \
        TOLD_FIELDS, header, "http-after-response set-header " header " %[var(txn.once." name ")]", NULL,    \
            "{ var(txn.once." name ") -m found }"                                                            \
    }
#define HEADER(header, name, condition)                                                                      \
    {                                                                                                        \
        TOLD_BACKEND, header, "http-request set-header " header " %[var(txn.once." name ")]", NULL,          \
            condition                                                                                        \
    }

static const struct told {
    enum hacheck_told which;
    const char *what;
    const char *words, *words2; /* words2: another way to say it; may be NULL */
    const char *condition;      /* besides once_gated */
} lines[] = {
    STATUS(400),
    STATUS(409),
    STATUS(413),
    STATUS(422),
    STATUS(429),
    FIELD("Retry-After", "retry_after"),
    FIELD("RateLimit", "ratelimit"),
    FIELD("RateLimit-Policy", "ratelimit_policy"),
    FIELD("X-RateLimit-Limit", "x_limit"),
    FIELD("X-RateLimit-Remaining", "x_remaining"),
    FIELD("X-RateLimit-Reset", "x_reset"),
    HEADER("Once-Key", "key", "once_keyed"),
    HEADER("Once-Fence", "fence", "once_keyed"),
    HEADER("Once-Execution", "execution", "once_go"),
};

static bool says(const struct haconf_line *l, const struct told *t)
{
    return (haconf_matches(l, t->words) || (t->words2 && haconf_matches(l, t->words2))) &&
           hacheck_condition_is(l, t->condition);
}

/* The first line that says it, above `end`; one that always stands there goes first. */
static const struct haconf_line *find(const struct hacheck *k, const struct haconf_section *gate,
                                      const struct told *t, const struct haconf_line *end)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    const struct haconf_line *perhaps = NULL;
    for (const struct haconf_line *l; (l = haconf_next(&w)) && l != end;) {
        if (!says(l, t))
            continue;
        if (!l->perhaps)
            return l;
        perhaps = perhaps ? perhaps : l;
    }
    return perhaps;
}

static void check_gate(struct hacheck *k, const struct haconf_section *gate)
{
    char names[200];
    struct text missing;
    const struct haconf_line *deny = hacheck_find_step(k, gate, STEP_DENY);
    const struct haconf_line *end = k->rule->which == TOLD_STATUS ? deny : NULL;
    text_init(&missing, names, sizeof names);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (lines[i].which != k->rule->which)
            continue;
        const struct haconf_line *found = find(k, gate, &lines[i], end);
        if (found && found->perhaps)
            hacheck_say_perhaps(k, found);
        if (found)
            continue;
        text_str(&missing, missing.len > 0 ? ", " : "");
        text_str(&missing, lines[i].what);
    }
    if (missing.len > 0)
        hacheck_say(k, end ? end : haconf_head(k->site, gate), "%s '%s' lacks the rule for %s%s", gate->type,
                    gate->name, names, end ? " above this one" : "");
}

void hacheck_told(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++)
        check_gate(k, k->gates.at[i]);
}
