// SPDX-License-Identifier: MIT
/* What one request asks for, decided before Redis is asked; each step may end it with a refusal:
 *
 *   policy ──► method ──► key ──► principal ──► owner ──► fingerprint ──► limits, grouped by subject ──► slots: owner
 *   unknown:   other:     none:   none: deny    none:     not whole:      none and no key: PASS
 *   deny       no record  deny*                 deny      deny            else: CLAIM
 *
 *   * only if the policy requires one; else the request has no record
 *
 * A request that is refused for what it says still goes on to the limits where one of them counts all. */
#include "domain/plan.h"

#include "domain/digest.h"
#include "domain/fingerprint.h"
#include "domain/policy.h"

#include <string.h>

/* What a client reads; where the site is wrong, the log repeats it. */
static const char detail_policy[] = "HAProxy named a policy that the agent does not have.";
static const char detail_rid[] = "HAProxy did not send the argument rid.";
static const char detail_lost[] = "HAProxy asks again under the same rid.";
static const char detail_process[] = "HAProxy did not send the argument process, or one over 128 bytes.";
static const char detail_term[] = "HAProxy did not send an argument by which a limit counts.";
static const char detail_cost[] = "HAProxy sent a cost that is no whole number.";
static const char detail_missing[] = "Send a key of your choice, and the same key with every retry.";
static const char detail_invalid[] = "A key has 1 to 255 characters, no control characters, and no quotes "
                                     "unless it is a quoted string.";
static const char detail_conflict[] = "Send one key, in one header line.";
static const char detail_large[] = "The gateway could not see the whole body.";

static bool deny(struct plan *out, enum problem problem, const char *detail)
{
    out->kind = PLAN_DENY;
    out->problem = problem;
    out->detail = detail;
    return false;
}

static bool plan_key(struct plan *out, const struct request_facts *f)
{
    enum problem problem = idemkey_read(f, out->key, &out->key_len);
    if (problem == PROBLEM_NONE) {
        out->has_record = true;
        return true;
    }
    out->key[0] = '\0';
    out->key_len = 0;
    if (problem == PROBLEM_KEY_MISSING)
        return !out->policy->idempotency.required || deny(out, problem, detail_missing);
    return deny(out, problem, problem == PROBLEM_KEY_CONFLICT ? detail_conflict : detail_invalid);
}

/* Who runs it: the owner's random, and the HAProxy process that will list the execution. Who asks again needs a new
 * random: under the old one the agent that was lost may still give the key back. */
static bool plan_owner(struct plan *out, const struct request_facts *f)
{
    bool polled = policy_polls(out->policy);
    if (f->rid.len == 0)
        return deny(out, PROBLEM_UNAVAILABLE, detail_rid);
    if (f->process.len > PLAN_PROCESS_MAX || (polled && f->process.len == 0))
        return deny(out, PROBLEM_UNAVAILABLE, detail_process);
    if (f->lost.len == f->rid.len && memcmp(f->lost.ptr, f->rid.ptr, f->rid.len) == 0)
        return deny(out, PROBLEM_UNAVAILABLE, detail_lost);
    digest_short("rid", f->rid.ptr, f->rid.len, out->rid, sizeof out->rid);
    out->has_lost = f->lost.len > 0;
    if (out->has_lost)
        digest_short("rid", f->lost.ptr, f->lost.len, out->lost, sizeof out->lost);
    out->lost_id = out->id;
    if (f->process.len > 0)
        memcpy(out->process, f->process.ptr, f->process.len);
    out->process[f->process.len] = '\0';
    return true;
}

/* Which record it is, if any. false: denied. */
static bool plan_name(struct plan *out, const struct request_facts *f)
{
    const struct policy *p = out->policy;
    if (!p->idempotency.enabled || !policy_protects(&p->idempotency, f->method))
        return true;
    if (!plan_key(out, f))
        return false;
    if (!out->has_record)
        return true;
    if (!subject_record(p, f, (struct spop_slice){out->key, out->key_len}, &out->id))
        return deny(out, PROBLEM_PRINCIPAL_MISSING, NULL);
    subject_who(p, f, out->who);
    return plan_owner(out, f);
}

/* false: denied. */
static bool plan_fingerprint(struct plan *out, const struct request_facts *f, size_t buffer_limit)
{
    const char *detail;
    if (!out->has_record)
        return true;
    enum problem problem =
        fingerprint_make(&out->policy->idempotency, f, buffer_limit, out->fingerprint, &detail);
    if (problem == PROBLEM_NONE)
        return true;
    return deny(out, problem, problem == PROBLEM_BODY_TOO_LARGE ? detail_large : detail);
}

/* Behind the last limit of the same subject, else at the end: the script wants each group in one piece. */
static void plan_limit(struct plan *out, const struct plan_limit *l)
{
    unsigned at = out->nlimits;
    while (at > 0 && memcmp(&out->limits[at - 1].subject, &l->subject, sizeof l->subject) != 0)
        at--;
    if (at == 0)
        at = out->nlimits;
    memmove(&out->limits[at + 1], &out->limits[at], (out->nlimits - at) * sizeof *out->limits);
    out->limits[at] = *l;
    out->counts_all = out->counts_all || l->limit->charge == CHARGE_ALL;
    out->nlimits++;
}

/* The tier that the request names, else the limit's own rate. */
static const struct pace *pace_of(const struct limit *l, const struct request_facts *f)
{
    char scratch[24];
    struct spop_slice name = l->ntiers > 0 ? facts_text(f, l->tier, scratch) : (struct spop_slice){0};
    for (unsigned i = 0; i < l->ntiers; i++)
        if (slice_is(name, l->tiers[i].name))
            return &l->tiers[i].pace;
    return &l->pace;
}

/* What never passes costs one more than fits at once, whatever it costs: times its increment it stays exact in a double.
 * burst: of a sliding window its quota. */
static uint32_t clipped(uint32_t cost, const struct pace *p)
{
    return cost > p->burst ? p->burst + 1 : cost;
}

/* A missing cost is 1. false: it is no whole number, and 0 is left in *cost. */
static bool cost_of(const struct limit *l, const struct request_facts *f, uint32_t *cost)
{
    char scratch[24];
    struct spop_slice text = *l->cost ? facts_text(f, l->cost, scratch) : (struct spop_slice){0};
    uint64_t v = 0;
    if (!text.ptr)
        return true;
    *cost = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
        v = v < UINT32_MAX ? v : UINT32_MAX; /* more than any limit has */
    }
    *cost = (uint32_t)v;
    return text.len > 0;
}

/* false: denied. One bucket for all whose argument is not sent would be a limit that nobody meant. */
static bool plan_limits(struct plan *out, const struct request_facts *f)
{
    for (unsigned i = 0; i < out->policy->nlimits; i++) {
        struct plan_limit l = {.limit = &out->policy->limits[i], .cost = 1};
        const char *lacks = subject_lacks(l.limit, f), *detail = detail_term;
        if (!lacks && !cost_of(l.limit, f, &l.cost)) {
            lacks = l.limit->cost;
            detail = detail_cost;
        }
        if (lacks)
            out->lacks = lacks;
        if (lacks && !l.limit->shadow)
            return deny(out, PROBLEM_UNAVAILABLE, detail);
        if (lacks && detail == detail_term)
            continue;
        l.pace = pace_of(l.limit, f);
        l.cost = clipped(l.cost, l.pace);
        subject_limit(out->policy, l.limit, f, &l.subject);
        if (l.limit->concurrent > 0)
            out->slots[out->nslots++] = l;
        else
            plan_limit(out, &l);
    }
    return true;
}

static bool plan_begin(const struct config *c, const struct request_facts *f, struct plan *out)
{
    memset(out, 0, sizeof *out);
    out->policy = policy_find(c, f->policy);
    return out->policy || deny(out, PROBLEM_UNAVAILABLE, detail_policy);
}

/* What is in flight must be named even where nothing is to be replayed: only so can its slot be given back by
 * whoever sees its end. */
static bool plan_bare(struct plan *out, const struct request_facts *f)
{
    if (out->has_record || out->nslots == 0)
        return true;
    if (!plan_owner(out, f))
        return false;
    subject_execution(&out->slots[0].subject, out->rid, &out->id);
    subject_execution(&out->slots[0].subject, out->lost, &out->lost_id);
    out->has_record = out->bare = true;
    return true;
}

void plan_request(const struct config *c, const struct request_facts *f, size_t buffer_limit,
                  struct plan *out)
{
    if (!plan_begin(c, f, out))
        return;
    bool refused = !plan_name(out, f) || !plan_fingerprint(out, f, buffer_limit);
    if (refused && (out->problem == PROBLEM_UNAVAILABLE || !out->policy->counts_all))
        return;
    if (!plan_limits(out, f))
        return;
    if (refused) {
        out->has_record = false;
        out->count_only = out->counts_all;
        out->nslots = 0; /* it will not be in flight */
    } else if (plan_bare(out, f)) {
        out->kind = out->has_record || out->nlimits > 0 ? PLAN_CLAIM : PLAN_PASS;
    }
}

void plan_charge(const struct config *c, const struct request_facts *f, struct plan *out)
{
    if (plan_begin(c, f, out) && plan_limits(out, f) && out->counts_all) {
        out->kind = PLAN_CLAIM;
        out->count_only = true;
        out->nslots = 0;
    }
}

void plan_cache(const struct config *c, const struct request_facts *f, bool again, struct plan *out)
{
    if (plan_begin(c, f, out) && !again && plan_limits(out, f) && out->nlimits > 0)
        out->kind = PLAN_CLAIM;
    out->nslots = 0; /* config_check() has none beside a cache */
}

const uint8_t *plan_home(const struct plan *p)
{
    const struct plan_limit *best = p->limits;
    if (p->has_record)
        return p->id.tag;
    for (unsigned i = 1; i < p->nlimits; i++)
        if (p->limits[i].limit->anchor > best->limit->anchor)
            best = &p->limits[i];
    return best->subject.tag;
}

bool plan_never_passes(const struct plan_limit *l)
{
    return l->cost * l->pace->increment > l->pace->capacity;
}

bool plan_refused(const struct config *c, const struct request_facts *f, struct plan *out)
{
    if (!plan_begin(c, f, out) || !plan_name(out, f))
        return false;
    return out->has_record || (plan_limits(out, f) && plan_bare(out, f) && out->has_record);
}

bool plan_fails_open(const struct plan *p)
{
    bool open = !p->has_record || p->bare || p->policy->idempotency.fail_open;
    for (unsigned i = 0; i < p->nlimits; i++)
        open = open && (p->limits[i].limit->fail_open || p->limits[i].limit->shadow);
    for (unsigned i = 0; i < p->nslots; i++)
        open = open && (p->slots[i].limit->fail_open || p->slots[i].limit->shadow);
    return open;
}
