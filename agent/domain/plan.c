// SPDX-License-Identifier: MIT
/* What one request asks for, decided before Redis is asked; each step may end it with a refusal:
 *
 *   policy ──► method ──► key ──► principal ──► owner ──► fingerprint ──► limits, grouped by subject
 *   unknown:   other:     none:   none: deny    none:     not whole:      none and no key: PASS
 *   deny       no record  deny*                 deny      deny            else: CLAIM
 *
 *   * only if the policy requires one; else the request has no record */
#include "domain/plan.h"

#include "domain/digest.h"
#include "domain/fingerprint.h"
#include "domain/policy.h"
#include "domain/subject.h"

#include <string.h>

/* What a client reads; where the site is wrong, the log repeats it. */
static const char detail_policy[] = "HAProxy named a policy that the agent does not have.";
static const char detail_rid[] = "HAProxy did not send the argument rid.";
static const char detail_lost[] = "HAProxy asks again under the same rid.";
static const char detail_process[] = "HAProxy did not send the argument process, or one over 128 bytes.";
static const char detail_term[] = "HAProxy did not send an argument by which a limit counts.";
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
    bool polled = out->policy->idempotency.inflight == INFLIGHT_POLL;
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
    if (f->process.len > 0)
        memcpy(out->process, f->process.ptr, f->process.len);
    out->process[f->process.len] = '\0';
    return true;
}

/* false: denied. */
static bool plan_record(struct plan *out, const struct request_facts *f, size_t buffer_limit)
{
    const struct policy *p = out->policy;
    const char *detail = NULL;
    if (!p->idempotency.enabled || !policy_protects(&p->idempotency, f->method))
        return true;
    if (!plan_key(out, f))
        return false;
    if (!out->has_record)
        return true;
    if (!subject_record(p, f, (struct spop_slice){out->key, out->key_len}, &out->id))
        return deny(out, PROBLEM_PRINCIPAL_MISSING, NULL);
    if (!plan_owner(out, f))
        return false;
    enum problem problem =
        fingerprint_make(p->idempotency.fingerprint, f, buffer_limit, out->fingerprint, &detail);
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
    out->nlimits++;
}

/* false: denied. One bucket for all whose argument is not sent would be a limit that nobody meant. */
static bool plan_limits(struct plan *out, const struct request_facts *f)
{
    for (unsigned i = 0; i < out->policy->nlimits; i++) {
        struct plan_limit l = {.limit = &out->policy->limits[i]};
        out->lacks = subject_lacks(l.limit, f);
        if (out->lacks)
            return deny(out, PROBLEM_UNAVAILABLE, detail_term);
        subject_limit(out->policy, l.limit, f, &l.subject);
        plan_limit(out, &l);
    }
    return true;
}

void plan_request(const struct config *c, const struct request_facts *f, size_t buffer_limit,
                  struct plan *out)
{
    memset(out, 0, sizeof *out);
    out->policy = policy_find(c, f->policy);
    if (!out->policy) {
        deny(out, PROBLEM_UNAVAILABLE, detail_policy);
        return;
    }
    if (!plan_record(out, f, buffer_limit) || !plan_limits(out, f))
        return;
    out->kind = out->has_record || out->nlimits > 0 ? PLAN_CLAIM : PLAN_PASS;
}

bool plan_fails_open(const struct plan *p)
{
    bool open = !p->has_record || p->policy->idempotency.fail_open;
    for (unsigned i = 0; i < p->nlimits; i++)
        open = open && p->limits[i].limit->fail_open;
    return open;
}
