// SPDX-License-Identifier: MIT
/* What became of requests at each limit: counters with the labels policy, limit and outcome. The labels are
 * names of the configuration, and bounded: rows outlive a reload (counters only grow), and a limit for which
 * there is no row left shares the last one, whose names are empty. */
#ifndef LIMIT_COUNTS_H
#define LIMIT_COUNTS_H

#include "domain/buf.h"
#include "domain/config.h"

/* X(symbol, outcome). allowed: it has charged the request. uncounted: Redis could not decide, and it passed. */
#define LIMIT_DECISION_TABLE(X)                                                                              \
    X(ALLOWED, "allowed")                                                                                    \
    X(REFUSED, "refused")                                                                                    \
    X(SHADOW_REFUSED, "shadow_refused")                                                                      \
    X(UNCOUNTED, "uncounted")

enum limit_decision {
#define X(symbol, outcome) LIMIT_##symbol,
    LIMIT_DECISION_TABLE(X)
#undef X
        LIMIT_DECISIONS
};

enum { LIMIT_COUNTS_MAX = 1024 };

struct limit_counts {
    unsigned n; /* rows in use, without the last */
    struct limit_count {
        config_name policy, limit;
        uint64_t value[LIMIT_DECISIONS];
    } row[LIMIT_COUNTS_MAX + 1];
};

/* Gives each limit of a configuration its row. */
void limit_counts_attach(struct limit_counts *lc, struct config *c);
static inline void limit_counts_add(struct limit_counts *lc, const struct limit *l, enum limit_decision d)
{
    lc->row[l->counter].value[d]++;
}
/* Appends the Prometheus text, as metrics_write(). */
void limit_counts_write(const struct limit_counts *lc, struct buf *out);

#endif
