// SPDX-License-Identifier: MIT
/* Rules about the frontend: what frontend.cfg and routing.cfg put there, and in which order.
 *
 *   clean, rid, process, wait ─► ASK, ASK_WAIT ─► TRACK ─► CHECK ─► REFUSED ─► STOP         http-request
 *                                 └──► NO_VERDICT ─────────┘
 *   wait ─► ANSWER ─► SETTLED, UNSETTLED ─► its status                             http-response
 *
 * A step is found by its words; one with another condition is not the step: it would leave requests out. */
#include "domain/hacheck_inner.h"

#include <string.h>

#define CLEAN_BOTH "http-request del-header ^once[-_] -m reg"
/* In the order of enum hacheck_gate_step. */
static const struct step {
    const char *words;
    const char *condition; /* besides once_gated; NULL: any */
    const char *words2;    /* another way to say it; may be NULL */
    int anchor;            /* step at whose line it is missed, -1: the frontend's */
} steps[] = {
    [STEP_CLEAN] = {"http-request del-header once- -m beg",                                       "",                      CLEAN_BOTH,          -1            },
    [STEP_CLEAN_LOW] = {"http-request del-header once_ -m beg",                                       "",                      CLEAN_BOTH,          -1            },
    [STEP_RID] = {"http-request set-var(txn.once_rid) uuid()",                                  "",                      NULL,                STEP_ASK      },
    [STEP_PROCESS] = {"http-request set-var-fmt(txn.once_process) %pid.%[var(proc.once_start)].%H", "",                      NULL,
                    STEP_ASK                                                                                                                                  },
    [STEP_WAIT] = {"http-request wait-for-body",                                                 "",                      NULL,                STEP_ASK      },
    [STEP_ASK] = {"http-request send-spoe-group once once-request",                             "!once_waits",           NULL,                -1            },
    [STEP_AGAIN] = {"http-request send-spoe-group once once-request",                             "once_again",            NULL,                STEP_ASK      },
    [STEP_ASK_WAIT] = {"http-request send-spoe-group once-wait once-request",                        "once_waits",            NULL,                STEP_ASK      },
    [STEP_TRACK] = {"http-request track-sc2 var(txn.once.token) table once_inflight",             "once_go",               NULL,
                    STEP_ASK                                                                                                                                  },
    [STEP_NO_VERDICT] = {"http-request set-var(txn.once_refused) bool(true)",                          "!once_verdict",         NULL,
                    STEP_ASK                                                                                                                                  },
    [STEP_CHECK] = {"http-request set-var(txn.once_refused) bool(true)",                          "once_go !once_tracked", NULL,
                    STEP_TRACK                                                                                                                                },
    [STEP_REFUSED] = {"http-request send-spoe-group once-response once-refused",                    "once_refused",          NULL,
                    STEP_ASK                                                                                                                                  },
    [STEP_STOP] = {"http-request return",                                                        "once_refused",          "http-request deny", STEP_ASK      },
    [STEP_DENY] = {"http-request return",                                                        "once_deny",             "http-request deny", STEP_ASK      },
    [STEP_REPLAY_ID] = {"http-request set-header Once-Replay %[var(txn.once.replay)]",                "once_replay",           NULL,
                    STEP_ASK                                                                                                                                  },
    [STEP_ANSWER_WAIT] = {"http-response wait-for-body",                                                NULL,                    NULL,                STEP_ANSWER   },
    [STEP_ANSWER] = {"http-response send-spoe-group once-response once-response",                  "once_go",               NULL,                -1            },
    [STEP_ANSWER_AGAIN] = {"http-response send-spoe-group once-response once-response",                  "once_untold",           NULL,
                    STEP_ANSWER                                                                                                                               },
    [STEP_SETTLED] = {"http-response sc-set-gpt0(2) 1000",                                          "once_settled",          NULL,                STEP_ANSWER   },
    [STEP_UNSETTLED] = {"http-response track-sc1 var(txn.once.token) table once_unsettled",
                    "once_go !{ var(txn.once.recorded) -m bool }",                                                         NULL,                STEP_ANSWER   },
    [STEP_UNSETTLED_STATUS] = {"http-response sc-set-gpt0(1) status",                                        NULL,                    NULL,                STEP_UNSETTLED},
};

/* What comes before what. */
static const struct {
    enum hacheck_gate_step first, then;
} orders[] = {
    {STEP_CLEAN,        STEP_ASK             },
    {STEP_CLEAN_LOW,    STEP_ASK             },
    {STEP_RID,          STEP_ASK             },
    {STEP_PROCESS,      STEP_ASK             },
    {STEP_WAIT,         STEP_ASK             },
    {STEP_WAIT,         STEP_ASK_WAIT        },
    {STEP_ASK_WAIT,     STEP_TRACK           },
    {STEP_ASK_WAIT,     STEP_NO_VERDICT      },
    {STEP_ASK,          STEP_AGAIN           },
    {STEP_AGAIN,        STEP_NO_VERDICT      },
    {STEP_ASK,          STEP_TRACK           },
    {STEP_ASK,          STEP_NO_VERDICT      },
    {STEP_TRACK,        STEP_CHECK           },
    {STEP_NO_VERDICT,   STEP_REFUSED         },
    {STEP_CHECK,        STEP_REFUSED         },
    {STEP_REFUSED,      STEP_STOP            },
    {STEP_ASK,          STEP_DENY            },
    {STEP_ASK,          STEP_REPLAY_ID       },
    {STEP_ANSWER_WAIT,  STEP_ANSWER          },
    {STEP_ANSWER,       STEP_SETTLED         },
    {STEP_ANSWER,       STEP_ANSWER_AGAIN    },
    {STEP_ANSWER_AGAIN, STEP_UNSETTLED       },
    {STEP_ANSWER,       STEP_UNSETTLED       },
    {STEP_UNSETTLED,    STEP_UNSETTLED_STATUS},
};

/* The names that the conditions use, as frontend.cfg defines them. */
static const struct {
    const char *name, *definition;
} acls[] = {
    {"once_gated",   "acl once_gated var(txn.once_policy) -m found"                           },
    {"once_go",      "acl once_go var(txn.once.verdict) -m str go"                            },
    {"once_deny",    "acl once_deny var(txn.once.verdict) -m str deny"                        },
    {"once_replay",  "acl once_replay var(txn.once.verdict) -m str replay"                    },
    {"once_verdict", "acl once_verdict var(txn.once.verdict) -m str go pass deny replay"      },
    {"once_tracked", "acl once_tracked var(txn.once.token),table_conn_cur(once_inflight) gt 0"},
    {"once_refused", "acl once_refused var(txn.once_refused) -m bool"                         },
    {"once_settled", "acl once_settled var(txn.once.settled) -m bool"                         },
    {"once_waits",   "acl once_waits var(txn.once_wait) -m bool"                              },
    {"once_open",    "acl once_open var(txn.once_open) -m bool"                               },
    {"once_nobody",  "acl once_nobody var(txn.once.err),lower,add(0) -m int 1 2 256 257 258"  },
};

/* Words that end a request's way, and are no part of the gate. */
static const char *const refusals[] = {"auth",   "deny",        "reject",      "return", "redirect",
                                       "tarpit", "silent-drop", "use-service", NULL};

static bool is_step(const struct haconf_line *l, const struct step *s)
{
    if (!haconf_matches(l, s->words) && !(s->words2 && haconf_matches(l, s->words2)))
        return false;
    return s->condition ? hacheck_condition_is(l, s->condition) : !hacheck_has_word(l, "once_fills");
}

const struct haconf_line *hacheck_find_step(const struct hacheck *k, const struct haconf_section *gate,
                                            enum hacheck_gate_step step)
{
    struct haconf_walk w = haconf_walk(k->site, gate);
    const struct haconf_line *perhaps = NULL;
    for (const struct haconf_line *l; (l = haconf_next(&w));) {
        if (!is_step(l, &steps[step]))
            continue;
        if (!l->perhaps)
            return l;
        perhaps = perhaps ? perhaps : l;
    }
    return perhaps;
}

void hacheck_step(struct hacheck *k)
{
    const struct step *s = &steps[k->rule->which];
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        const struct haconf_line *found = hacheck_find_step(k, gate, k->rule->which), *at = NULL;
        if (found && found->perhaps)
            hacheck_say_perhaps(k, found);
        if (found)
            continue;
        if (s->anchor >= 0)
            at = hacheck_find_step(k, gate, (enum hacheck_gate_step)s->anchor);
        hacheck_say(k, at ? at : haconf_head(k->site, gate), "%s '%s' lacks the rule '%s%s%s'", gate->type,
                    gate->name, s->words, s->condition && *s->condition ? " .. if " : "",
                    s->condition ? s->condition : "");
    }
}

/* A wait for the body that may end before its end, and none that does not. */
void hacheck_part(struct hacheck *k)
{
    const struct step *s = &steps[k->rule->which];
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_line *part = NULL, *whole = NULL;
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));)
            if (is_step(l, s))
                *(hacheck_has_word(l, "at-least") ? &part : &whole) = l;
        if (part && !whole)
            hacheck_say(k, part, "'%s' has at-least", s->words);
    }
}

void hacheck_gate(struct hacheck *k)
{
    if (k->gates.n == 0)
        hacheck_say(k, hacheck_top(k), "no frontend sends the SPOE group once-request");
}

void hacheck_acl(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        for (size_t a = 0; a < sizeof acls / sizeof *acls; a++) {
            bool found = false;
            struct haconf_walk w = haconf_walk(k->site, gate);
            for (const struct haconf_line *l; (l = haconf_next(&w));) {
                if (l->n < 2 || strcmp(l->word[0], "acl") != 0 || strcmp(l->word[1], acls[a].name) != 0)
                    continue;
                found = true;
                /* Nothing before the last word may be left out, and nothing be behind it. */
                unsigned words = 1;
                for (const char *c = acls[a].definition; *c; c++)
                    words += *c == ' ';
                if (l->n != words || !haconf_matches(l, acls[a].definition))
                    hacheck_say(k, l, "'%s' means something else than '%s'", acls[a].name,
                                acls[a].definition);
            }
            if (!found)
                hacheck_say(k, haconf_head(k->site, gate), "'%s' is missing", acls[a].definition);
        }
    }
}

void hacheck_order(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
            const struct haconf_line *first = hacheck_find_step(k, k->gates.at[i], orders[o].first);
            const struct haconf_line *then = hacheck_find_step(k, k->gates.at[i], orders[o].then);
            if (first && then && then < first)
                hacheck_say(k, then, "'%s %s' stands above '%s %s' of line %u", then->word[0], then->word[1],
                            first->word[0], first->word[1], first->number);
        }
    }
}

/* Calls fn for each http-request rule behind the question to the agent. */
static void behind_ask(struct hacheck *k, void (*fn)(struct hacheck *, const struct haconf_line *))
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_line *ask = hacheck_find_step(k, k->gates.at[i], STEP_ASK);
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; ask && (l = haconf_next(&w));) {
            if (l > ask && l->n > 1 && strcmp(l->word[0], "http-request") == 0)
                fn(k, l);
        }
    }
}

static void late_fact(struct hacheck *k, const struct haconf_line *l)
{
    if (haconf_matches(l, "http-request set-var(txn.once_policy*") ||
        haconf_matches(l, "http-request set-var(txn.once_principal*") ||
        haconf_matches(l, "http-request set-var(txn.once_cache)") ||
        haconf_matches(l, "http-request set-var(txn.once_json*"))
        hacheck_say(k, l, "'%s' stands behind the question to the agent", l->word[1]);
}

void hacheck_late_facts(struct hacheck *k)
{
    behind_ask(k, late_fact);
}

static bool names_any(const struct haconf_line *l, const char *const *acl)
{
    for (unsigned i = haconf_condition(l); i < l->n; i++)
        for (const char *const *a = acl; *a; a++)
            if (strcmp(l->word[i], *a) == 0)
                return true;
    return false;
}

static void late_refusal(struct hacheck *k, const struct haconf_line *l)
{
    static const char *const ours[] = {"once_refused", "once_deny", NULL};
    if (names_any(l, ours) || hacheck_excludes_gated(l))
        return;
    for (const char *const *r = refusals; *r; r++)
        if (strcmp(l->word[1], *r) == 0)
            hacheck_say(k, l, "'http-request %s' stands behind the question to the agent", l->word[1]);
}

void hacheck_late_refusal(struct hacheck *k)
{
    behind_ask(k, late_refusal);
}

void hacheck_allow(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_line *stop = hacheck_find_step(k, k->gates.at[i], STEP_DENY);
        struct haconf_walk w = haconf_walk(k->site, k->gates.at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            if (haconf_matches(l, "http-request allow") && (!stop || l < stop) && !hacheck_excludes_gated(l))
                hacheck_say(k, l, "'http-request allow' stands above the gate's last rule");
        }
    }
}

/* The word of a rule that takes a tracking slot or writes its gpt0; NULL: none. */
static const char *slot_word(const struct haconf_line *l, char slot)
{
    const char track[] = {'t', 'r', 'a', 'c', 'k', '-', 's', 'c', slot, '\0'};
    const char tail[] = {slot, ')', '\0'}; /* of sc-set-gpt0(2), sc-set-gpt(0,2) */
    for (unsigned i = 1; i < l->n && i < 4; i++) {
        const char *word = l->word[i];
        size_t len = strlen(word);
        if (strcmp(word, track) == 0 ||
            (strncmp(word, "sc-set-gpt", 10) == 0 && len > 12 && strcmp(word + len - 2, tail) == 0))
            return word;
    }
    return NULL;
}

static void foreign_slot(struct hacheck *k, const struct hacheck_list *list, char slot,
                         const char *const *ours)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct haconf_walk w = haconf_walk(k->site, list->at[i]);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            const char *word = slot_word(l, slot);
            const char *const *o = ours;
            while (*o && !haconf_matches(l, *o))
                o++;
            if (word && !*o)
                hacheck_say(k, l, "'%s %s' uses tracking slot %c", l->word[0], word, slot);
        }
    }
}

void hacheck_slot2(struct hacheck *k)
{
    static const char *const ours[] = {"http-request track-sc2 var(txn.once.token) table once_inflight",
                                       "http-response sc-set-gpt0(2) status",
                                       "http-response sc-set-gpt0(2) 1000 if once_settled",
                                       "http-response track-sc2 var(txn.once_page) table once_hot", NULL};
    foreign_slot(k, &k->gates, '2', ours);
    foreign_slot(k, &k->backends, '2', ours);
}

void hacheck_slot1(struct hacheck *k)
{
    static const char *const ours[] = {"http-response track-sc1 var(txn.once.token) table once_unsettled",
                                       "http-response sc-set-gpt0(1) status", NULL};
    foreign_slot(k, &k->gates, '1', ours);
    foreign_slot(k, &k->backends, '1', ours);
}

/* Routes of the hop and of the cache: no gated request goes there. */
static bool leads_aside(const struct haconf_line *l)
{
    return haconf_matches(l, "use_backend once_hop*") || haconf_matches(l, "use_backend once_cold*") ||
           (haconf_matches(l, "use_backend once_replay") &&
            hacheck_condition_is(l, "once_cached once_replay")) ||
           ((haconf_matches(l, "use_backend once_fill*") || haconf_matches(l, "use_backend once_stale*")) &&
            hacheck_has_word(l, "once_refills"));
}

void hacheck_replay_route(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        struct haconf_walk w = haconf_walk(k->site, gate);
        const struct haconf_line *l, *other = NULL;
        while ((l = haconf_next(&w))) {
            if (strcmp(l->word[0], "use_backend") != 0)
                continue;
            if (haconf_matches(l, "use_backend once_replay") && hacheck_condition_is(l, "once_replay"))
                break;
            if (!other && !hacheck_excludes_gated(l) && !leads_aside(l))
                other = l;
        }
        if (!l)
            hacheck_say(k, haconf_head(k->site, gate),
                        "%s '%s' lacks 'use_backend once_replay if once_replay'", gate->type, gate->name);
        else if (other)
            hacheck_say(k, other, "'use_backend %s' stands above 'use_backend once_replay' of line %u",
                        other->n > 1 ? other->word[1] : "", l->number);
    }
}
