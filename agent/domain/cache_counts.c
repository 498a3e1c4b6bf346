// SPDX-License-Identifier: MIT
/* policy ──attach──► row ──► requests{policy, result}, answers{policy, result}, bytes{policy} */
#include "domain/cache_counts.h"

#include <string.h>

#define CACHE_REQUESTS_NAME "spoa_once_cache_requests_total"
#define CACHE_REQUESTS_HELP "Requests that asked for a cached answer, by policy and how that ended."
#define CACHE_ANSWERS_NAME  "spoa_once_cache_answers_total"
#define CACHE_ANSWERS_HELP  "Answers that were fetched for the cache, by policy: stored, or why not."
#define CACHE_BYTES_NAME    "spoa_once_cache_served_bytes_total"
#define CACHE_BYTES_HELP    "Bytes of bodies that were served from the cache, by policy."

static const char *const results[] = {
#define X(symbol, result) result,
    CACHE_RESULT_TABLE(X)
#undef X
};

const char *cache_result_word(enum cache_result r)
{
    return results[r];
}

static unsigned row_of(struct cache_counts *cc, const struct policy *policy)
{
    unsigned i = 0;
    while (i < cc->n && strcmp(cc->row[i].policy, policy->name) != 0)
        i++;
    if (i < cc->n || i == CACHE_COUNTS_MAX)
        return i;
    memcpy(cc->row[i].policy, policy->name, sizeof policy->name);
    cc->row[i].hash = policy->hash;
    return cc->n++;
}

void cache_counts_attach(struct cache_counts *cc, struct config *c)
{
    for (unsigned i = 0; i < c->npolicies; i++)
        if (c->policies[i].cache.enabled)
            c->policies[i].cache.counter = row_of(cc, &c->policies[i]);
}

void cache_counts_served(struct cache_counts *cc, uint32_t policy, size_t bytes)
{
    unsigned i = 0;
    while (i < cc->n && cc->row[i].hash != policy)
        i++;
    cc->row[i].bytes += bytes;
}

static void put_head(struct buf *out, const char *name, const char *help)
{
    buf_str(out, "# HELP ");
    buf_str(out, name);
    buf_str(out, " ");
    buf_str(out, help);
    buf_str(out, "\n# TYPE ");
    buf_str(out, name);
    buf_str(out, " counter\n");
}

/* result NULL: there is no such label. */
static void put_sample(struct buf *out, const char *name, const char *policy, const char *result,
                       uint64_t value)
{
    buf_str(out, name);
    buf_str(out, "{policy=\"");
    buf_str(out, policy); /* letters, digits, - _ . (OPT_NAME): nothing to escape */
    if (result) {
        buf_str(out, "\",result=\"");
        buf_str(out, result);
    }
    buf_str(out, "\"} ");
    buf_dec(out, value);
    buf_str(out, "\n");
}

void cache_counts_write(const struct cache_counts *cc, struct buf *out)
{
    unsigned n = cc->n + (cc->n == CACHE_COUNTS_MAX);
    if (n == 0)
        return;
    put_head(out, CACHE_REQUESTS_NAME, CACHE_REQUESTS_HELP);
    for (unsigned i = 0; i < n; i++)
        for (unsigned r = 0; r < CACHE_RESULTS; r++)
            put_sample(out, CACHE_REQUESTS_NAME, cc->row[i].policy, results[r], cc->row[i].result[r]);
    put_head(out, CACHE_ANSWERS_NAME, CACHE_ANSWERS_HELP);
    for (unsigned i = 0; i < n; i++)
        for (unsigned r = 0; r < STORE_REASONS; r++)
            put_sample(out, CACHE_ANSWERS_NAME, cc->row[i].policy, store_word(r), cc->row[i].store[r]);
    put_head(out, CACHE_BYTES_NAME, CACHE_BYTES_HELP);
    for (unsigned i = 0; i < n; i++)
        put_sample(out, CACHE_BYTES_NAME, cc->row[i].policy, NULL, cc->row[i].bytes);
}
