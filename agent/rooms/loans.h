// SPDX-License-Identifier: MIT
/* What this agent has on loan: one domain/loan for each token bucket and rate that its requests ask for (docs/wire.md, Loans).
 *
 *   request ── loans_take ──► a slip: so many tokens of that loan ── loans_put ──► not spent after all
 *                 │ none, or few left, or old
 *                 └──► lend ──► Redis ──► more tokens
 *
 * Asked ahead of need: while the answer is on its way, what is left is spent, and requests that find nothing claim. Bounded by
 * loans.max_entries; a bucket of which nothing is on loan gives its place to one that wants it. What is left is given back when it
 * is old, and by loans_drain(). A loss of data (rooms/guard) ends all loans: Redis does not know of them any more. */
#ifndef LOANS_H
#define LOANS_H

#include "domain/loan.h"
#include "domain/metrics.h"
#include "domain/plan.h"
#include "rooms/guard.h"

struct loans;

/* Tokens that one request has taken of one limit. entry NULL: none. */
struct loans_slip {
    struct loans_entry *entry;
    uint32_t number, tokens;
};

enum loans_word {
    LOANS_HAD,     /* the slip has them */
    LOANS_REFUSED, /* Redis has not so many: level says why */
    LOANS_FAILED,  /* Redis did not say */
};

/* What became of a wish. */
struct loans_said {
    enum loans_word word;
    struct loans_slip slip;
    double level; /* ticks of the bucket that are used, these tokens included where it has them */
};

/* One request's wish for tokens of one limit; embedded in it. on_said is called once, from the loop, unless loans_leave() came
 * first; it may end the request. */
struct loans_wish {
    struct loans_wish *next, **link; /* link NULL: it does not wait */
    uint32_t tokens;
    bool asked; /* in the question that is on its way */
    void (*on_said)(void *arg, struct loans_wish *w, const struct loans_said *said);
    void *arg;
};

/* NULL: out of memory. */
struct loans *loans_new(struct ev_loop *loop, struct redis *redis, const struct guard *guard,
                        const struct config *c, struct metrics *metrics);
/* The agent ends: who waits is told FAILED, and nothing is lent or wished for any more. Before redis_free(), and before the rooms
 * that those who are told go on to. k NULL: nothing. */
void loans_close(struct loans *k);
/* After loans_close() and redis_free(). */
void loans_free(struct loans *k);
/* Another Redis ends all loans; another loans.time counts for loans to come. */
void loans_reconfigure(struct loans *k, const struct config *c);

/* The clocks, read once for what one request asks below. */
struct loan_clock loans_clock(const struct loans *k);
/* Could loans_take() be answered with yes now? Changes nothing. */
bool loans_has(struct loans *k, const struct plan_limit *l, struct loan_clock c);
/* What the request costs, from one loan. False: not there, and nothing is taken; that it was wanted counts. */
bool loans_take(struct loans *k, const struct plan_limit *l, struct loan_clock c, struct loans_slip *slip);
void loans_put(struct loans *k, const struct loans_slip *slip);
/* They are spent for good. */
void loans_spent(struct loans *k, const struct loans_slip *slip);

/* Asks Redis for so many tokens of a token bucket, by a question that all who wish for them at once share (0: only how much is
 * used). False: loans.max_entries buckets are in use already, or loans_close() came before, and on_said is not called. */
bool loans_wish(struct loans *k, const struct plan_limit *l, uint32_t tokens, struct loans_wish *w);
/* If it waits: it does not wait any more. */
void loans_leave(struct loans_wish *w);
/* Tokens that could be taken of that bucket now. */
uint32_t loans_left(const struct loans *k, const struct plan_limit *l, struct loan_clock c);

/* Somebody has made Redis forget this subject's limits. */
void loans_forget(struct loans *k, const struct record_id *subject);
/* All is given back, and nothing is taken any more. */
void loans_drain(struct loans *k);
/* Is nothing left to be given back, as far as Redis can be told? */
bool loans_idle(const struct loans *k);

#endif
