// SPDX-License-Identifier: MIT
/* What an agent has on loan of one token bucket (docs/wire.md, Loans). Pure: times and clocks are parameters.
 *
 *   loan_take ◄── parts: | oldest, 3 left | 20 left | ◄── loan_said ◄── reply
 *   none left:               │ spent, or old                            ▲
 *   loan_missed              └────► backs ──── loan_ask ──► question ───┘
 *                                     ▲                        │ no reply: whatever was lent is given back unspent
 *                                     └──────── loan_failed ◄──┘
 *
 * A part of it is one loan in Redis. It is spent for most of the time that Redis keeps it, counted from when the question left: so
 * never after Redis has let it go, however the wall clocks go. Its last eighth is never spent. What is left after three
 * quarters is given back, and new tokens are asked for if there is use for them; where Redis cannot be asked it is spent on.
 * Batches follow the use: enough for half of a loan's time, at most twice and at least half of what the batch before was.
 *
 * What was lent for requests that wait (loan_ask's `needed`) is brief: it ends as soon as none of those that took of it may still
 * put it back, so that the bucket refills. */
#ifndef LOAN_H
#define LOAN_H

#include <stdbool.h>
#include <stdint.h>

#include "domain/lend.h"

enum { LOAN_PARTS = 4 };
#define LOAN_NEVER UINT32_MAX

/* What one limit allows. */
struct loan_terms {
    uint32_t most; /* tokens of one batch; at least 1 */
    uint32_t
        worth; /* tokens wanted within a loan's time before one is asked for; 1: at once; LOAN_NEVER: only for those that wait */
    double lasts_s; /* a loan's time, seconds */
};

struct loan_part {
    uint32_t number, left, out; /* out: taken, and may be put back still */
    bool brief;
    double asked;     /* seconds, monotonic: when the question left */
    uint64_t ends_us; /* by Redis' clock */
};

struct loan {
    unsigned nparts, nbacks, said;      /* said: of backs, with the question that is on its way */
    struct loan_part parts[LOAN_PARTS]; /* oldest first */
    struct lend_back backs[LEND_BACKS_MAX];
    bool asking;
    uint32_t number, wanted, needed; /* of that question */
    double asked;
    uint32_t batch;      /* of the next question */
    uint32_t use;        /* tokens wanted since `since`, had or not */
    double since, pause; /* not before pause is more asked for */
};

/* The two clocks by which a part ends. redis_us 0: not known. */
struct loan_clock {
    double now; /* seconds, monotonic */
    uint64_t redis_us;
};

void loan_init(struct loan *l, const struct loan_terms *t, double now);

/* So many tokens of one part. False: it has not that many, and nothing is taken. *number: for loan_put(). */
bool loan_take(struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c,
               uint32_t *number);
/* Would loan_take() take them? */
bool loan_has(const struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c);
/* So many were wanted and not there. */
void loan_missed(struct loan *l, const struct loan_terms *t, uint32_t tokens, double now);
/* The same for one that has waited: that it wanted them has been counted. */
bool loan_take_waited(struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c,
                      uint32_t *number);
/* They were not spent after all. False: their loan was given back meanwhile, and they stay spent. */
bool loan_put(struct loan *l, uint32_t number, uint32_t tokens);
/* They are spent for good. */
void loan_spent(struct loan *l, uint32_t number, uint32_t tokens);
/* Tokens that could be taken now. */
uint32_t loan_left(const struct loan *l, const struct loan_terms *t, struct loan_clock c);

/* Should Redis be asked now, whoever waits: for more, or to take back? */
bool loan_wants(const struct loan *l, const struct loan_terms *t, double now);
/* Is a brief one over? Redis is to be told soon. */
bool loan_over(const struct loan *l);
/* Could the question bring tokens? Not while one is on its way, nor while all places for loans are taken. */
bool loan_may_need(const struct loan *l, const struct loan_terms *t, double now);
/* The question, as far as it is this loan's to say: number, wanted, needed, backs. number: one that the agent has not used before.
 * Only one is on its way at a time. needed: by requests that wait, 0 unless loan_may_need(). close: all is given back, and nothing
 * is wanted. */
void loan_ask(struct loan *l, const struct loan_terms *t, double now, uint32_t number, uint32_t needed,
              bool close, struct lend_ask *ask);
/* Tokens that the question on its way gives back. */
uint32_t loan_saying(const struct loan *l);
/* Its reply; LEND_LATE and LEND_FOREIGN are refusals. */
void loan_said(struct loan *l, const struct loan_terms *t, double now, const struct lend_said *said);
/* No reply that could be read: what was lent is not known. */
void loan_failed(struct loan *l, const struct loan_terms *t, double now);
/* Nothing of it is in use, on its way, or to be given back. */
bool loan_idle(const struct loan *l);
/* Redis has forgotten, or may have: nothing is spent or given back any more. */
void loan_forget(struct loan *l);

#endif
