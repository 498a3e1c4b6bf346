// SPDX-License-Identifier: MIT
/* The claim and the loan under a clock that the test sets: the product's scripts, with `TIME` replaced by a key of Redis.
 *
 *   gate_clock_start ──► gate_claim_at(us) ──► as gate_claim(), when Redis' clock says us
 *                        gate_lend_at(us)
 *   gate_clock_plant ──► the same with a mistake in one script, to see that a test finds it */
#ifndef GATE_CLOCK_H
#define GATE_CLOCK_H

#include "domain/lend.h"
#include "tests/support/gate_fixture.h"

/* Loads the scripts; once for each redis-server. */
void gate_clock_start(struct gate *g);
/* Loads one of them anew: each `from` in it is `to`; at least one must be there. */
void gate_clock_plant(struct gate *g, enum script_id script, const char *from, const char *to);
char gate_claim_at(struct gate *g, uint64_t us);
/* The reply's letter; 'E': Redis answered with an error, '?': lend_read() refused it. */
char gate_lend_at(struct gate *g, uint64_t us, const struct lend_ask *ask, struct lend_said *said);

#endif
