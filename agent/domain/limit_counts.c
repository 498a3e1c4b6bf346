// SPDX-License-Identifier: MIT
/* Rows are found by name once for each configuration, and by number for each request. */
#include "domain/limit_counts.h"

#include <string.h>

#define LIMITS_NAME "spoa_once_limit_decisions_total"
#define LIMITS_HELP "What became of requests at a limit."

static const char *const outcomes[] = {
#define X(symbol, outcome) outcome,
    LIMIT_DECISION_TABLE(X)
#undef X
};

static unsigned row_of(struct limit_counts *lc, const char *policy, const char *limit)
{
    unsigned i = 0;
    while (i < lc->n && (strcmp(lc->row[i].policy, policy) != 0 || strcmp(lc->row[i].limit, limit) != 0))
        i++;
    if (i < lc->n || i == LIMIT_COUNTS_MAX)
        return i;
    memcpy(lc->row[i].policy, policy, strlen(policy) + 1);
    memcpy(lc->row[i].limit, limit, strlen(limit) + 1);
    return lc->n++;
}

void limit_counts_attach(struct limit_counts *lc, struct config *c)
{
    for (unsigned i = 0; i < c->npolicies; i++) {
        struct policy *p = &c->policies[i];
        for (unsigned k = 0; k < p->nlimits; k++)
            p->limits[k].counter = row_of(lc, p->name, p->limits[k].name);
    }
}

static void put_row(struct buf *out, const struct limit_count *row)
{
    for (unsigned d = 0; d < LIMIT_DECISIONS; d++) {
        buf_str(out, LIMITS_NAME "{policy=\"");
        buf_str(out, row->policy); /* letters, digits, - _ . (OPT_NAME): nothing to escape */
        buf_str(out, "\",limit=\"");
        buf_str(out, row->limit);
        buf_str(out, "\",outcome=\"");
        buf_str(out, outcomes[d]);
        buf_str(out, "\"} ");
        buf_dec(out, row->value[d]);
        buf_str(out, "\n");
    }
}

void limit_counts_write(const struct limit_counts *lc, struct buf *out)
{
    if (lc->n == 0)
        return;
    buf_str(out, "# HELP " LIMITS_NAME " " LIMITS_HELP "\n# TYPE " LIMITS_NAME " counter\n");
    for (unsigned i = 0; i < lc->n; i++)
        put_row(out, &lc->row[i]);
    if (lc->n == LIMIT_COUNTS_MAX)
        put_row(out, &lc->row[LIMIT_COUNTS_MAX]);
}
