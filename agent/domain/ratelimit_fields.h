// SPDX-License-Identifier: MIT
/* What a client is told about its limits: RateLimit and RateLimit-Policy, structured fields of the IETF draft
 * (draft-ietf-httpapi-ratelimit-headers-10), and how long it has to wait.
 *
 *   RateLimit:        "per-user";r=5;t=10                  the tightest limit only
 *   RateLimit-Policy: "per-user";q=6;w=60, "all";q=100;w=1  every limit that was looked at
 *
 * r: requests that pass now, floor((capacity - level) / increment). t: seconds until the whole quota is back,
 * rounded up. q, w: the rate, as configured. Tightest: the longest wait, then the fewest left, then the
 * longest t.
 *
 *   "inflight";r=3        "inflight";q=10;qu="concurrent-requests"     a limit on what is in flight
 *
 * Such a limit has no window and no t. It is shown where fewer of it are left than of the tightest rate, and the
 * rate has no wait.
 *
 * And the older family that each site spells its own way, here as GitHub does: X-RateLimit-Limit is q,
 * X-RateLimit-Remaining is r, X-RateLimit-Reset the Unix time at which the whole quota is back. A shadow
 * limit is told of nowhere, others only in the family that they choose; in flight only the first family knows. */
#ifndef RATELIMIT_FIELDS_H
#define RATELIMIT_FIELDS_H

#include "domain/outcome.h"
#include "domain/text.h"

/* Eight limits with names of 63 characters and numbers of ten digits fit. */
enum { RATELIMIT_FIELD = 768 };

uint64_t ratelimit_remaining(const struct pace *p, double level);

/* o has levels. Nothing is written where no limit shows these fields. */
void ratelimit_write(struct text *t, const struct plan *p, const struct outcome *o);
void ratelimit_policy_write(struct text *t, const struct plan *p);

struct ratelimit_x {
    uint64_t limit, remaining, reset; /* reset: Unix time, s */
};
/* false: no limit shows these fields. */
bool ratelimit_x(const struct plan *p, const struct outcome *o, struct ratelimit_x *x);

/* Does the i-th limit refuse? A shadow never does. */
bool ratelimit_hit(const struct plan *p, const struct outcome *o, unsigned i);
/* Longest wait of all limits that refuse in ms, rounded up: waiting it passes. 0: it never passes. A second where a
 * slot is wanted: nobody knows when one is given back. */
uint64_t ratelimit_wait_ms(const struct plan *p, const struct outcome *o);

#endif
