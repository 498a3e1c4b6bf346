// SPDX-License-Identifier: MIT
/* What a policy means: lookups and classes of statuses. Pure. */
#ifndef POLICY_H
#define POLICY_H

#include "domain/config.h"
#include "spop/cursor.h"

/* First four bytes of the digest of the name, little-endian: the same in every agent and every version. */
uint32_t policy_hash(const char *name);
uint32_t limit_hash(const char *name);
const struct policy *policy_find(const struct config *c, struct spop_slice name); /* NULL: none */
const struct policy *policy_by_hash(const struct config *c, uint32_t hash);       /* NULL: none */

bool status_in(const struct status_set *s, unsigned status);
/* "2xx, 3xx, 404" into the set; "default" and "stripe" are presets (ACCEPTANCE I19). 0, or -1 with the bad
 * word in *bad. */
int status_set_parse(const char *text, struct status_set *s, struct spop_slice *bad);

/* The statuses that a gateway or a dying backend may say without knowing the outcome: 500, 502, 503, 504, and what proxies have
 * made up beside them (520, 522, 524, 599 ..). Not 501 and 505: the server has not even begun (RFC 9110, 15.6). */
bool status_may_be_unknown(unsigned status);

/* How long an execution lives without a heartbeat: `lock`, or `lease` of a policy without idempotency. */
uint32_t policy_lock_s(const struct policy *p);
/* Record TTL of an execution; bare: its record only holds slots. p NULL: unknown here. */
uint32_t policy_record_s(const struct policy *p, bool bare);
/* Does HAProxy's table keep its executions alive? (A policy without idempotency has no other way.) */
bool policy_polls(const struct policy *p);
/* Does one of its limits count what is in flight? */
bool policy_has_slots(const struct policy *p);

/* Is this method protected? ("any", or in the list.) */
bool policy_protects(const struct idempotency *i, struct spop_slice method);

/* What an answer of that status means for the key. */
enum status_class {
    STATUS_STORABLE,  /* stored; where the body is not kept: tombstone, class letter 'T' */
    STATUS_RETRYABLE, /* not stored, the key is free again: 'F' */
    STATUS_UNKNOWN,   /* under hold: nobody may run it: 'H' */
};
enum status_class policy_class(const struct idempotency *i, unsigned status);

#endif
