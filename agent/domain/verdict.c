// SPDX-License-Identifier: MIT
/* From an outcome to the variables of the ACK, by two tables: the variables (verdict.h) and the answers
 * below, which say of each outcome which word it is and which problem, if it is a refusal.
 *
 *   outcome ──answers──┬─ no problem: verdict go or pass, token, fence, key, execution
 *                      ├─ replay:     the id that the replay listener understands
 *                      └─ problem:    verdict deny, status, JSON body, retry_after
 */
#include "domain/verdict.h"

#include "domain/digest.h"
#include "domain/problem.h"
#include "domain/ratelimit_fields.h"
#include "domain/record.h"
#include "domain/script.h"

#include <string.h>

enum { EXECUTION_BYTES = 16 }; /* of the digest that names an execution */

enum variable {
#define X(symbol, name, type) VARIABLE_##symbol,
    VARIABLE_TABLE(X)
#undef X
};

static const char *const variables[] = {
#define X(symbol, name, type) name,
    VARIABLE_TABLE(X)
#undef X
};

/* One row for each outcome. retry_s 0: waiting does not help, or (LIMITED) the outcome says how long. A busy
 * key may be answered at any moment, its lease says nothing about that: ask again soon. */
static const struct answer {
    enum outcome_kind kind;
    const char *word;
    enum problem problem; /* NONE: not a refusal */
    unsigned retry_s;
    const char *detail;
} answers[] = {
    {OUTCOME_GO,        "go",        PROBLEM_NONE,            0, NULL                                             },
    {OUTCOME_YOURS,     "yours",     PROBLEM_NONE,            0, NULL                                             },
    {OUTCOME_REPLAY,    "replay",    PROBLEM_NONE,            0, NULL                                             },
    {OUTCOME_MISMATCH,  "mismatch",  PROBLEM_MISMATCH,        0, "Use a new key for a new request."               },
    {OUTCOME_BUSY,      "busy",      PROBLEM_IN_PROGRESS,     1, "Repeat the request later to get its answer."    },
    {OUTCOME_TOMB,      "tombstone", PROBLEM_NOT_STORED,      0, "It was carried out once, and will not be again."},
    {OUTCOME_UNKNOWN,   "unknown",   PROBLEM_OUTCOME_UNKNOWN, 0,
     "It may have been carried out; nobody repeats it."                                                           },
    {OUTCOME_LIMITED,   "limited",   PROBLEM_LIMITED,         0, NULL                                             },
    {OUTCOME_LATE,      "late",      PROBLEM_UNAVAILABLE,     1, "The decision came too late."                    },
    {OUTCOME_DATA_LOST, "data-lost", PROBLEM_DATA_LOST,       1,
     "The store has forgotten earlier requests; an operator must look."                                           },
    {OUTCOME_FOREIGN,   "foreign",   PROBLEM_UNAVAILABLE,     0, "What is stored under this key cannot be read."  },
};

static const char detail_never[] = "The request costs more than its limit allows at once: it never passes.";

static const struct answer *answer_of(enum outcome_kind k)
{
    const size_t n = sizeof answers / sizeof *answers;
    for (size_t i = 0; i < n; i++)
        if (answers[i].kind == k)
            return &answers[i];
    return &answers[n - 1];
}

const char *outcome_word(enum outcome_kind k)
{
    return answer_of(k)->word;
}

static void set_bytes(struct spop_writer *w, enum variable v, const char *ptr, size_t len)
{
    spop_set_str(w, SPOP_TXN, variables[v], ptr, len);
}

static void set_text(struct spop_writer *w, enum variable v, const char *text)
{
    set_bytes(w, v, text, strlen(text));
}

static void set_integer(struct spop_writer *w, enum variable v, uint64_t n)
{
    spop_set_int(w, SPOP_TXN, variables[v], (int64_t)n);
}

static void set_verdict(struct spop_writer *w, const char *verdict, const char *reason)
{
    set_text(w, VARIABLE_VERDICT, verdict);
    set_text(w, VARIABLE_REASON, reason);
}

/* `unprotected`: the policy has idempotency, this request does without (no key, or another method). */
void verdict_pass(struct spop_writer *w, const struct plan *p)
{
    set_verdict(w, "pass", p->policy->idempotency.enabled ? "unprotected" : "pass");
}

void verdict_fail_open(struct spop_writer *w)
{
    set_verdict(w, "pass", "fail-open");
    spop_set_bool(w, SPOP_TXN, variables[VARIABLE_UNPROTECTED], true);
}

static void set_refusal(struct spop_writer *w, enum problem p, struct text *body, uint64_t retry_s,
                        const char *reason)
{
    problem_end(body);
    set_verdict(w, "deny", reason);
    set_integer(w, VARIABLE_STATUS, problem_status(p));
    set_bytes(w, VARIABLE_PROBLEM, body->at, body->len);
    if (retry_s > 0)
        set_integer(w, VARIABLE_RETRY_AFTER, retry_s);
}

void verdict_deny(struct spop_writer *w, const char *base, enum problem p, const char *detail,
                  unsigned retry_s)
{
    char memory[PROBLEM_BODY];
    struct text body;
    problem_begin(&body, memory, base, p, detail);
    set_refusal(w, p, &body, retry_s, problem_word(p));
}

static void set_go(struct spop_writer *w, const struct plan *p, const struct outcome *o)
{
    struct token t;
    struct text execution;
    uint8_t id[EXECUTION_BYTES];
    char token[TOKEN_TEXT + 1], memory[2 * sizeof id + 1];
    script_token(p, o->fence, &t);
    token_write(&t, token);
    digest_short("execution", token, TOKEN_TEXT, id, sizeof id);
    text_init(&execution, memory, sizeof memory);
    text_hex(&execution, id, sizeof id);
    set_bytes(w, VARIABLE_TOKEN, token, TOKEN_TEXT);
    set_bytes(w, VARIABLE_EXECUTION, execution.at, execution.len);
    if (p->bare)
        return;
    set_integer(w, VARIABLE_FENCE, o->fence);
    set_bytes(w, VARIABLE_KEY, p->key, p->key_len);
}

/* false: the record is none that we can read. */
static bool set_replay(struct spop_writer *w, const struct plan *p, const struct outcome *o)
{
    struct record r;
    char id[REPLAY_TEXT + 1];
    if (record_open(o->record.ptr, o->record.len, &r) < 0)
        return false;
    replay_id_write(&p->id, r.fence, id);
    set_verdict(w, "replay", outcome_word(OUTCOME_REPLAY));
    set_bytes(w, VARIABLE_REPLAY, id, REPLAY_TEXT);
    return true;
}

struct hits {
    const struct plan *plan;
    const struct outcome *outcome;
};

static const char *hit_name(const void *arg, unsigned i)
{
    const struct hits *h = arg;
    const struct plan *p = h->plan;
    if (i < p->nlimits)
        return ratelimit_hit(p, h->outcome, i) ? p->limits[i].limit->name : NULL;
    i -= p->nlimits;
    return outcome_full(p, h->outcome, i) ? p->slots[i].limit->name : NULL;
}

/* Returns the seconds of Retry-After; 0: it never passes, and the detail has said so. */
static uint64_t put_limited(struct text *body, const struct plan *p, const struct outcome *o)
{
    uint64_t ms = ratelimit_wait_ms(p, o);
    if (ms > 0)
        problem_integer(body, "retry_ms", (int64_t)ms);
    problem_list(body, "limits", hit_name, &(struct hits){p, o}, p->nlimits + p->nslots);
    return (ms + 999) / 1000;
}

static void set_denied(struct spop_writer *w, const char *base, const struct plan *p, const struct outcome *o,
                       const struct answer *a)
{
    char memory[PROBLEM_BODY];
    uint64_t retry_s = a->retry_s;
    struct text body;
    const char *detail = a->detail;
    if (a->kind == OUTCOME_LIMITED && ratelimit_wait_ms(p, o) == 0)
        detail = detail_never;
    problem_begin(&body, memory, base, a->problem, detail);
    if (a->kind == OUTCOME_LIMITED) {
        retry_s = put_limited(&body, p, o);
    } else if ((a->kind == OUTCOME_TOMB || a->kind == OUTCOME_UNKNOWN) && o->status > 0) {
        problem_integer(&body, "original_status", o->status);
    }
    if (a->kind == OUTCOME_TOMB && o->location.len > 0)
        problem_string(&body, "location", o->location);
    set_refusal(w, a->problem, &body, retry_s, a->word);
}

static void set_ratelimit(struct spop_writer *w, const struct plan *p, const struct outcome *o)
{
    char memory[RATELIMIT_FIELD];
    struct text t;
    text_init(&t, memory, sizeof memory);
    struct ratelimit_x x;
    ratelimit_write(&t, p, o);
    if (t.len > 0)
        set_bytes(w, VARIABLE_RATELIMIT, t.at, t.len);
    text_cut(&t, 0);
    ratelimit_policy_write(&t, p);
    if (t.len > 0)
        set_bytes(w, VARIABLE_RATELIMIT_POLICY, t.at, t.len);
    if (ratelimit_x(p, o, &x)) {
        set_integer(w, VARIABLE_X_LIMIT, x.limit);
        set_integer(w, VARIABLE_X_REMAINING, x.remaining);
        set_integer(w, VARIABLE_X_RESET, x.reset);
    }
}

void verdict_outcome(struct spop_writer *w, const char *base, const struct plan *p, const struct outcome *o)
{
    const struct answer *a = answer_of(o->kind);
    if (a->kind == OUTCOME_REPLAY && !set_replay(w, p, o))
        a = answer_of(OUTCOME_FOREIGN);
    if (a->problem != PROBLEM_NONE) {
        set_denied(w, base, p, o, a);
    } else if (a->kind != OUTCOME_REPLAY) {
        set_verdict(w, p->has_record ? "go" : "pass", a->word);
        if (p->has_record)
            set_go(w, p, o);
    }
    if (o->has_levels && p->nlimits + p->nslots > 0)
        set_ratelimit(w, p, o);
}

void verdict_cache(struct spop_writer *w, const struct plan *p, const struct outcome *o,
                   const struct verdict_cached *v)
{
    const struct {
        enum variable variable;
        const char *text;
    } texts[] = {
        {VARIABLE_REPLAY,       v->replay      },
        {VARIABLE_FILL,         v->fill        },
        {VARIABLE_CACHE_STATUS, v->cache_status},
        {VARIABLE_STALE,        v->stale       },
    };
    set_verdict(w, v->verdict, v->reason);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text)
            set_text(w, texts[i].variable, texts[i].text);
    if (v->unprotected)
        spop_set_bool(w, SPOP_TXN, variables[VARIABLE_UNPROTECTED], true);
    if (o && o->has_levels && p->nlimits > 0)
        set_ratelimit(w, p, o);
}

void verdict_response(struct spop_writer *w, bool settled, bool recorded)
{
    spop_set_bool(w, SPOP_TXN, variables[VARIABLE_SETTLED], settled);
    spop_set_bool(w, SPOP_TXN, variables[VARIABLE_RECORDED], recorded);
}
