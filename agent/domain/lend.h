// SPDX-License-Identifier: MIT
/* The question for a loan, and Redis' answer (docs/wire.md, Loans; redis-lua/lend.lua). Pure.
 *
 *   lend_ask ── lend_write ──► EVALSHA lend ──► reply ── lend_read ──► lend_said
 *
 * One question is about one token bucket at one rate: it gives back what is left of earlier loans, and takes a new one.
 * Said twice it gives back once, and lends once: a loan has the number that its agent gave it. */
#ifndef LEND_H
#define LEND_H

#include "domain/buf.h"
#include "domain/token.h"
#include "spop/slice.h"

enum { LEND_BACKS_MAX = 8, LEND_AGENT = 8, LEND_LASTS_MAX_MS = 30000 };

/* A loan that ends now: so many of its tokens were not spent. */
struct lend_back {
    uint32_t number, tokens;
};

struct lend_ask {
    struct record_id subject; /* of the limits group */
    uint32_t limit;           /* limit_hash() */
    double increment, capacity,
        most; /* ticks of 100 ns: of one token, of the burst, the largest of the limit's tiers */
    uint8_t agent[LEND_AGENT]; /* random, a process' own */
    uint64_t deadline_us;      /* Redis' time behind which nothing is done; 0: none */
    uint32_t number;           /* of the loan that is wanted; of one agent and limit each only once */
    uint32_t wanted;           /* tokens, to spend later */
    uint32_t needed;           /* tokens, for requests that wait; both 0: only give back */
    uint32_t lasts_ms;         /* 1 to LEND_LASTS_MAX_MS, from when Redis makes it */
    unsigned nbacks;
    struct lend_back backs[LEND_BACKS_MAX];
};

/* Appends one command. */
void lend_write(struct buf *out, const struct lend_ask *a);

enum lend_kind { LEND_SAID = 'S', LEND_LATE = 'P', LEND_FOREIGN = 'X' };

struct lend_said {
    enum lend_kind kind;
    uint64_t now_us; /* Redis' time */
    /* With LEND_SAID */
    uint32_t tokens; /* lent, 0 to wanted or needed, whichever is more */
    uint64_t ends_us;
    double level, on_loan; /* ticks: used now, of that on loan to all agents */
    unsigned closed;       /* of what was given back: open until now */
};

/* 0, or -1: that is no reply of this script. */
int lend_read(struct spop_slice reply, struct lend_said *out);

#endif
