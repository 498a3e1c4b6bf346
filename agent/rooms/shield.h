// SPDX-License-Identifier: MIT
/* The retry-storm shield: who is over a limit is refused here, without Redis, until the earliest moment at which the
 * request could pass, and never longer (DESIGN, decision 9; ACCEPTANCE R16).
 *
 *   claim ──limited──► learn: of each limit its level, by Redis' clock ──► entries, bounded
 *   claim ──else─────► refresh: what it has charged of limits that are known
 *   request ──► every limit known, and one refuses? ──► 429, said here         else: Redis is asked
 *
 * A token bucket's level only falls with the time, and what others charge meanwhile raises it: so the level that is left of
 * the remembered one is the least that Redis can see, whatever the request costs and whatever its tier. Of a sliding window the wait is
 * remembered, and it holds for the same cost and quota.
 * Time that may have passed at Redis: since the command was sent (the reply was made later), or by Redis' clock if that
 * went faster. So a step of Redis' clock never makes a refusal longer. Time that has passed for sure, by which the wait
 * that is told is shorter: since the reply was read.
 *
 * The same verdict means: 429 `rate-limited`, the limits that are known to refuse, the wait until those let it pass,
 * and the fields of the tightest of them, with all that this agent has let pass meanwhile. What other agents let pass is not
 * known here: until Redis is asked again the wait is the least that it can be, and a limit that only they have used up is
 * not named.
 *
 * Of a limit with a `lease` a refusal is remembered for 100 ms at most: what another agent gives back can be had at once.
 *
 * Asked in Redis always: where slots are counted; a key, unless a limit refuses that counts all requests and no
 * other does (a replay, 409 and 422 come before the others). Whoever deletes a limit's keys in Redis by hand (not by `oncectl reset`)
 * reloads the agents as well. Agents with different rates for one limit (in the middle of a change) may refuse by the
 * stricter one for one wait more. */
#ifndef SHIELD_H
#define SHIELD_H

#include "domain/metrics.h"
#include "domain/outcome.h"

struct shield;

/* NULL: out of memory. */
struct shield *shield_new(const struct config *c, struct metrics *metrics);
void shield_free(struct shield *s);
/* What is remembered belongs to the configuration it was learned under: all is forgotten. False: out of memory, and the
 * shield is off. */
bool shield_reconfigure(struct shield *s, const struct config *c);

/* Before the two below. epoch: guard_epoch(); at: monotonic_now(); redis_us: redis_clock_us(). What was learned in another
 * epoch is forgotten, and what was learned before Redis' clock stepped back: the gate lowers what lies too far ahead of it. */
void shield_enter(struct shield *s, uint64_t epoch, double at, uint64_t redis_us);

/* The gate has refused (OUTCOME_LIMITED). sent, read: monotonic_now(), when the claim was sent and its reply read. */
void shield_learn(struct shield *s, const struct plan *p, const struct outcome *o, double sent, double read);
/* The gate has said something else: what it charged is reckoned with where the limit is known here, so that the wait that is
 * told next is the one that Redis would tell. Of a window no wait is known then: Redis is asked. */
void shield_refresh(struct shield *s, const struct plan *p, const struct outcome *o, double sent,
                    double read);
/* Would the gate refuse that plan at this moment (as above)? True: *o is what it would
 * say, at least. */
bool shield_refuses(struct shield *s, const struct plan *p, double at, uint64_t redis_us, struct outcome *o);

/* Somebody has changed what Redis keeps of this subject's limits: Redis is asked. */
void shield_forget(struct shield *s, const struct record_id *subject);

#endif
