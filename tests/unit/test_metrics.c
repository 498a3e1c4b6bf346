// SPDX-License-Identifier: MIT
/* The exposition: every row, HELP and TYPE once for each name, the histogram's bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "domain/metrics.h"

static struct metrics m;
static struct buf out;

static const char *written(void)
{
    buf_reset(&out);
    metrics_write(&m, &out);
    buf_u8(&out, 0);
    assert_false(out.failed);
    return (const char *)out.data;
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    buf_init(&out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void test_rows(void **state)
{
    (void)state;
    metrics_add(&m, METRIC_CLAIM_GO);
    metrics_add(&m, METRIC_CLAIM_GO);
    metrics_add(&m, METRIC_CLAIM_YOURS);
    metrics_set(&m, METRIC_POLLER, 7);
    m.value[METRIC_RELOADS_BAD] = UINT64_MAX;
    const char *text = written();
    const char *head = "# HELP spoa_once_claims_total Decisions of the gate by outcome.\n"
                       "# TYPE spoa_once_claims_total counter\n"
                       "spoa_once_claims_total{outcome=\"go\"} 2\n"
                       "spoa_once_claims_total{outcome=\"yours\"} 1\n"
                       "spoa_once_claims_total{outcome=\"replay\"} 0\n";
    assert_memory_equal(text, head, strlen(head));
    assert_non_null(strstr(text, "\n# TYPE spoa_once_poller gauge\nspoa_once_poller 7\n"));
    assert_non_null(strstr(text, "\nspoa_once_reloads_total{result=\"bad\"} 18446744073709551615\n"));
}

/* Each row of the table has its line; a name's rows stand together under one HELP and one TYPE. */
static void test_every_row_once(void **state)
{
    static const struct {
        const char *name, *labels;
    } rows[] = {
#define X(symbol, kind, name, labels, help) {name, labels},
        METRIC_TABLE(X)
#undef X
    };
    (void)state;
    const char *text = written();
    for (unsigned i = 0; i < METRICS; i++) {
        char line[256];
        snprintf(line, sizeof line, rows[i].labels[0] ? "\n%s{%s} 0\n" : "\n%s%s 0\n", rows[i].name,
                 rows[i].labels);
        assert_int_equal(count(text, line), 1);
        snprintf(line, sizeof line, "# HELP %s ", rows[i].name);
        assert_int_equal(count(text, line), 1);
        snprintf(line, sizeof line, "# TYPE %s ", rows[i].name);
        assert_int_equal(count(text, line), 1);
    }
    assert_int_equal(count(text, "# HELP "), count(text, "# TYPE "));
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_null(strstr(text, "\n\n"));
}

static void test_spop_errors(void **state)
{
    (void)state;
    m.spop_errors[SPOP_IO] = 1;
    m.spop_errors[SPOP_TOO_BIG] = 2;
    m.spop_errors[SPOP_UNKNOWN] = 3;
    const char *text = written();
    assert_non_null(strstr(text, "# TYPE spoa_once_spop_errors_total counter\n"
                                 "spoa_once_spop_errors_total{status=\"io\"} 1\n"
                                 "spoa_once_spop_errors_total{status=\"timeout\"} 0\n"
                                 "spoa_once_spop_errors_total{status=\"too-big\"} 2\n"));
    assert_non_null(strstr(text, "\nspoa_once_spop_errors_total{status=\"unknown\"} 3\n"));
    assert_null(strstr(text, "status=\"normal\""));
}

static void test_latency_buckets(void **state)
{
    static const uint64_t us[] = {50,    100,   250,   500,    1000,   2500,   5000,
                                  10000, 25000, 50000, 100000, 250000, 1000000};
    (void)state;
    for (unsigned i = 0; i < METRIC_LATENCY_BUCKETS - 1; i++) {
        memset(&m, 0, sizeof m);
        metrics_latency(&m, us[i] - 1);
        metrics_latency(&m, us[i]);
        assert_int_equal(m.latency[i], 2);
        metrics_latency(&m, us[i] + 1);
        assert_int_equal(m.latency[i], 2);
        assert_int_equal(m.latency[i + 1], 1);
    }
    memset(&m, 0, sizeof m);
    metrics_latency(&m, 0);
    metrics_latency(&m, UINT64_MAX / 2);
    assert_int_equal(m.latency[0], 1);
    assert_int_equal(m.latency[METRIC_LATENCY_BUCKETS - 1], 1);
}

static void test_histogram_is_cumulated(void **state)
{
    (void)state;
    metrics_latency(&m, 50);
    metrics_latency(&m, 51);
    metrics_latency(&m, 1000);
    metrics_latency(&m, 2000000);
    const char *tail =
        "# HELP spoa_once_redis_latency_seconds Time from a decision's command to Redis' reply.\n"
        "# TYPE spoa_once_redis_latency_seconds histogram\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.00005\"} 1\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.0001\"} 2\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.00025\"} 2\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.0005\"} 2\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.001\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.0025\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.005\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.01\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.025\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.05\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.1\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"0.25\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"1\"} 3\n"
        "spoa_once_redis_latency_seconds_bucket{le=\"+Inf\"} 4\n"
        "spoa_once_redis_latency_seconds_sum 2.001101\n"
        "spoa_once_redis_latency_seconds_count 4\n";
    const char *text = written();
    assert_true(strlen(text) > strlen(tail));
    assert_string_equal(text + strlen(text) - strlen(tail), tail);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_every_row_once),
        TEST(test_spop_errors),
        TEST(test_latency_buckets),
        TEST(test_histogram_is_cumulated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
