// SPDX-License-Identifier: MIT
/* The words become the facts of a request that was never sent; what names a request names them. */
#include "domain/named.h"

#include <string.h>

#include "domain/idemkey.h"
#include "domain/policy.h"

static bool say_principal(const char *principal, const struct naming *n, struct request_facts *f,
                          const char **why)
{
    if (strcmp(principal, "ip") == 0) {
        f->src = n->address;
        *why = "the policy's principal is \"ip\": an address is wanted as principal";
        return n->address.type != SPOP_NULL;
    }
    *why = "the policy's principal cannot be said in words";
    return facts_say(f, principal, slice_of(n->principal));
}

/* Which scope a policy has, and what it therefore needs. */
static bool say_place(const struct idempotency *i, const struct naming *n, struct request_facts *f,
                      const char **why)
{
    if (i->scope != KEY_SCOPE_POLICY && !n->host) {
        *why = "a key of this policy belongs to a host (scope): say which";
        return false;
    }
    if (i->scope == KEY_SCOPE_PATH && !n->path) {
        *why = "a key of this policy belongs to a host and a path (scope): say which";
        return false;
    }
    f->host = slice_of(n->host ? n->host : "");
    f->path = slice_of(n->path ? n->path : "");
    return true;
}

static bool find_record(const struct policy *p, const char *text, struct request_facts *f, struct named *out,
                        const char **why)
{
    char key[IDEMKEY_MAX + 1];
    size_t len;
    f->key = slice_of(text);
    f->keys = 1;
    *why = "no client can have such a key: 1 to 255 characters, none of them a control character";
    if (idemkey_read(f, key, &len) != PROBLEM_NONE)
        return false;
    *why = "the principal is missing";
    out->has_id = subject_record(p, f, (struct spop_slice){key, len}, &out->id);
    return out->has_id;
}

bool named_find(const struct config *c, const struct naming *n, struct named *out, const char **why)
{
    struct request_facts f = {.body_len = -1};
    *out = (struct named){.policy = n->policy ? policy_find(c, slice_of(n->policy)) : NULL};
    if (!n->policy) {
        *why = "a key or a principal means nothing without its policy";
        return !n->key && !n->principal;
    }
    *why = "the agent has no such policy with idempotency; oncectl status lists them";
    if (!out->policy || !out->policy->idempotency.enabled)
        return false;
    const struct idempotency *i = &out->policy->idempotency;
    bool none = strcmp(i->principal, "none") == 0;
    *why = "the policy's principal is \"none\": its keys belong to nobody";
    if (none && n->principal)
        return false;
    if (n->principal) {
        if (!say_principal(i->principal, n, &f, why))
            return false;
        subject_who(out->policy, &f, out->who);
        out->has_who = true;
    }
    *why = "the policy's keys belong to a principal: say which";
    if (!n->key || (!none && !n->principal))
        return !n->key;
    return say_place(i, n, &f, why) && find_record(out->policy, n->key, &f, out, why);
}
