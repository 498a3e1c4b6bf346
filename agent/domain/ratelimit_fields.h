// SPDX-License-Identifier: MIT
/* What a client is told about its limits: RateLimit and RateLimit-Policy, structured fields of the IETF draft
 * (draft-ietf-httpapi-ratelimit-headers-10), and how long it has to wait.
 *
 *   RateLimit:        "per-user";r=5;t=10                  the tightest limit only
 *   RateLimit-Policy: "per-user";q=6;w=60, "all";q=100;w=1  every limit that was looked at
 *
 *   "inflight";r=3        "inflight";q=10;qu="concurrent-requests"   a limit on what is in flight: no t, no w
 *
 * r: requests that pass now, floor((capacity - level) / increment). t: seconds until the whole quota is back,
 * rounded up. q, w: the rate, as configured. Tightest: the longest wait, then the fewest left, then the
 * longest t; of two with as few left the rate. */
#ifndef RATELIMIT_FIELDS_H
#define RATELIMIT_FIELDS_H

#include "domain/outcome.h"
#include "domain/text.h"

/* Eight limits with names of 63 characters and numbers of ten digits fit. */
enum { RATELIMIT_FIELD = 768 };

uint64_t ratelimit_remaining(const struct limit *l, double level);

/* p has limits or slots, o has levels. */
void ratelimit_write(struct text *t, const struct plan *p, const struct outcome *o);
void ratelimit_policy_write(struct text *t, const struct plan *p);

/* Longest wait of all limits in ms, rounded up: waiting it passes; a second where a slot is wanted, because nobody
 * knows when one is given back. */
uint64_t ratelimit_wait_ms(const struct plan *p, const struct outcome *o);

#endif
