// SPDX-License-Identifier: MIT
/* From numbers to the Prometheus text format. The table in metrics.h is the only list; here is how a row
 * looks:
 *
 *   # HELP name help
 *   # TYPE name counter
 *   name{labels} value
 *
 * Format: prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4. */
#include "domain/metrics.h"

#include <string.h>

#define LATENCY_NAME     "spoa_once_redis_latency_seconds"
#define LATENCY_HELP     "Time from a decision's command to Redis' reply."
#define SPOP_ERRORS_NAME "spoa_once_spop_errors_total"
#define SPOP_ERRORS_HELP "SPOP connections ended by us because of an error, by its status."

static const struct row {
    const char *kind, *name, *labels, *help;
} rows[METRICS] = {
#define X(symbol, kind, name, labels, help) {#kind, name, labels, help},
    METRIC_TABLE(X)
#undef X
};

static const struct {
    enum spop_status status;
    const char *labels;
} statuses[] = {
#define X(symbol, number, word, text) {SPOP_##symbol, "status=\"" word "\""},
    SPOP_STATUS_TABLE(X)
#undef X
};

/* Upper bounds, inclusive. A local Redis answers in 50 to 500 µs; the upper end is beyond every deadline. */
static const struct bound {
    uint64_t us;
    const char *seconds;
} bounds[METRIC_LATENCY_BUCKETS] = {
    {50,         "0.00005"},
    {100,        "0.0001" },
    {250,        "0.00025"},
    {500,        "0.0005" },
    {1000,       "0.001"  },
    {2500,       "0.0025" },
    {5000,       "0.005"  },
    {10000,      "0.01"   },
    {25000,      "0.025"  },
    {50000,      "0.05"   },
    {100000,     "0.1"    },
    {250000,     "0.25"   },
    {1000000,    "1"      },
    {UINT64_MAX, "+Inf"   },
};

void metrics_latency(struct metrics *m, uint64_t us)
{
    unsigned i = 0;
    while (us > bounds[i].us)
        i++;
    m->latency[i]++;
    m->latency_sum_us += us;
}

static void put_header(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_str(out, "# HELP ");
    buf_str(out, name);
    buf_str(out, " ");
    buf_str(out, help);
    buf_str(out, "\n# TYPE ");
    buf_str(out, name);
    buf_str(out, " ");
    buf_str(out, kind);
    buf_str(out, "\n");
}

static void put_sample(struct buf *out, const char *name, const char *labels, uint64_t value)
{
    buf_str(out, name);
    if (labels[0]) {
        buf_str(out, "{");
        buf_str(out, labels);
        buf_str(out, "}");
    }
    buf_str(out, " ");
    buf_dec(out, value);
    buf_str(out, "\n");
}

/* Microseconds as seconds with six decimals. */
static void put_seconds(struct buf *out, uint64_t us)
{
    char fraction[] = "000000";
    uint64_t rest = us % 1000000;
    for (unsigned i = 6; i-- > 0; rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    buf_dec(out, us / 1000000);
    buf_str(out, ".");
    buf_str(out, fraction);
}

static void put_latency(struct buf *out, const struct metrics *m)
{
    uint64_t total = 0;
    put_header(out, LATENCY_NAME, "histogram", LATENCY_HELP);
    for (unsigned i = 0; i < METRIC_LATENCY_BUCKETS; i++) {
        total += m->latency[i];
        buf_str(out, LATENCY_NAME "_bucket{le=\"");
        buf_str(out, bounds[i].seconds);
        buf_str(out, "\"} ");
        buf_dec(out, total);
        buf_str(out, "\n");
    }
    buf_str(out, LATENCY_NAME "_sum ");
    put_seconds(out, m->latency_sum_us);
    buf_str(out, "\n");
    put_sample(out, LATENCY_NAME "_count", "", total);
}

void metrics_each(const struct metrics *m, metrics_each_fn *fn, void *arg)
{
    for (unsigned i = 0; i < METRICS; i++)
        fn(arg, rows[i].name, rows[i].labels, m->value[i]);
}

/* The first one is no error. */
static void put_spop_errors(struct buf *out, const struct metrics *m)
{
    put_header(out, SPOP_ERRORS_NAME, "counter", SPOP_ERRORS_HELP);
    for (size_t i = 1; i < sizeof statuses / sizeof *statuses; i++)
        put_sample(out, SPOP_ERRORS_NAME, statuses[i].labels, m->spop_errors[statuses[i].status]);
}

void metrics_write(const struct metrics *m, struct buf *out)
{
    for (unsigned i = 0; i < METRICS; i++) {
        const struct row *r = &rows[i];
        if (i == 0 || strcmp(r->name, rows[i - 1].name) != 0)
            put_header(out, r->name, r->kind, r->help);
        put_sample(out, r->name, r->labels, m->value[i]);
    }
    put_spop_errors(out, m);
    if (m->limits)
        limit_counts_write(m->limits, out);
    if (m->caches)
        cache_counts_write(m->caches, out);
    if (m->traffic)
        traffic_write(m->traffic, out);
    put_latency(out, m);
}
