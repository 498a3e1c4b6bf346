// SPDX-License-Identifier: MIT
/* The claim under a clock that the test sets: the product's script, with `TIME` replaced by a key of Redis.
 *
 *   gate_clock_start ──► gate_claim_at(us) ──► as gate_claim(), when Redis' clock says us */
#ifndef GATE_CLOCK_H
#define GATE_CLOCK_H

#include "tests/support/gate_fixture.h"

/* Loads the script; once for each redis-server. */
void gate_clock_start(struct gate *g);
char gate_claim_at(struct gate *g, uint64_t us);

#endif
