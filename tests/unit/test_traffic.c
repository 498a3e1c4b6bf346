// SPDX-License-Identifier: MIT
/* Lines of a gateway's access log, and what is counted of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "domain/traffic.h"

#define HEAD "once/1 - -- 3 200 77.1.gw "

static struct traffic *traffic;

static int setup(void **state)
{
    (void)state;
    traffic = traffic_new();
    return traffic ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    traffic_free(traffic);
    return 0;
}

static int read_text(const char *line, struct traffic_line *l)
{
    return traffic_read(line, strlen(line), l);
}

static void assert_written(const char *want, bool there)
{
    struct buf out = {0};
    traffic_write(traffic, &out);
    buf_u8(&out, 0);
    if ((strstr((const char *)out.data, want) != NULL) != there)
        fail_msg("%s in\n%s", want, (const char *)out.data);
    buf_free(&out);
}

static void count(const char *line)
{
    struct traffic_line l;
    assert_int_equal(read_text(line, &l), 0);
    assert_true(traffic_count(traffic, &l));
}

static void test_words(void **state)
{
    (void)state;
    struct traffic_line l;
    static const char plain[] = HEAD "GET /orders/{id} orders 12 345 6789 jwt good - and more\n";
    static const char json[] =
        "{\"once\":\"" HEAD "GET /orders/{id} orders 12 345 6789 jwt good -\",\"path\":\"/\"}";
    static const char *const lines[] = {plain, json};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read_text(lines[i], &l), 0);
        assert_int_equal(l.status, 200);
        assert_int_equal(l.ms, 12);
        assert_int_equal(l.in, 345);
        assert_int_equal(l.out, 6789);
        assert_true(slice_is(l.method, "GET") && slice_is(l.route, "/orders/{id}") &&
                    slice_is(l.service, "orders"));
        assert_true(slice_is(l.kind, "jwt") && slice_is(l.proof, "good") && slice_is(l.error, "-") &&
                    slice_is(l.ts, "--"));
    }
    assert_int_equal(read_text("once/1 - CH -1 -1 - GET - - -1 0 0 - - -", &l), 0);
    assert_int_equal(l.status + l.ms, 0);
}

static void test_bad_lines(void **state)
{
    (void)state;
    struct traffic_line l;
    static const char *const lines[] = {
        "",
        "once/1",
        "once/2 - -- 3 200 77.1.gw GET / s 1 1 1 - - -",
        HEAD,
        HEAD "GET / s 1 1 1 - -",
        HEAD "GET / s 1 1 - - -",
        HEAD "GET / s x 1 1 - - -",
        HEAD "GET / s 1 -2 1 - - -",
        HEAD "GET / s 1234567890123456 1 1 - - -",
        HEAD " / s 1 1 1 - - -",
        HEAD "GET  s 1 1 1 - - -",
        HEAD "GET /\" s 1 1 1 - - -",
        HEAD "GET / a\\b 1 1 1 - - -",
        HEAD "GET / s 1 1 1 - - \x7f",
        HEAD "GET / 12345678901234567890123456789012 1 1 1 - - -",
        "once/1 - -- 3 1000 77.1.gw GET / s 1 1 1 - - -",
        "{\"once\":\"" HEAD "GET / s 1 1 1 - - -",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (read_text(lines[i], &l) != -1)
            fail_msg("taken: %s", lines[i]);
    assert_int_equal(read_text(HEAD "GET / 1234567890123456789012345678901 1 1 1 - - -", &l), 0);
}

#define ROW "{method=\"GET\",route=\"/r\",service=\"s\",status=\"2xx\""

static void test_counts(void **state)
{
    (void)state;
    count(HEAD "GET /r s 1 256 257 jwt good -");
    count(HEAD "GET /r s 2 257 16384 jwt good -");
    count(HEAD "GET /r s 30001 5 2000000 - - -");
    count("once/1 - -- 3 299 p GET /r s 0 0 0 - - -");
    assert_written("spoa_once_traffic_requests_total" ROW ",code=\"200\"} 3\n", true);
    assert_written("spoa_once_traffic_requests_total" ROW ",code=\"299\"} 1\n", true);
    assert_written("spoa_once_traffic_duration_seconds_bucket" ROW ",le=\"0.001\"} 2\n", true);
    assert_written("spoa_once_traffic_duration_seconds_bucket" ROW ",le=\"0.002\"} 3\n", true);
    assert_written("spoa_once_traffic_duration_seconds_bucket" ROW ",le=\"30\"} 3\n", true);
    assert_written("spoa_once_traffic_duration_seconds_bucket" ROW ",le=\"+Inf\"} 4\n", true);
    assert_written("spoa_once_traffic_duration_seconds_sum" ROW "} 30.004\n", true);
    assert_written("spoa_once_traffic_request_bytes_bucket" ROW ",le=\"256\"} 3\n", true);
    assert_written("spoa_once_traffic_request_bytes_bucket" ROW ",le=\"1024\"} 4\n", true);
    assert_written("spoa_once_traffic_response_bytes_bucket" ROW ",le=\"16384\"} 3\n", true);
    assert_written("spoa_once_traffic_response_bytes_count" ROW "} 4\n", true);
    assert_written("spoa_once_traffic_response_bytes_sum" ROW "} 2016641\n", true);
    assert_written("spoa_once_traffic_credentials_total{kind=\"jwt\",result=\"good\"} 2\n", true);
    assert_written("spoa_once_traffic_errors_total{", false);
}

/* What the cache did is told by route; words that it does not know, and a line without one, are nothing. */
static void test_cache(void **state)
{
    (void)state;
    count(HEAD "GET /r s 1 1 1 - - -");
    count(HEAD "GET /r s 1 1 1 - - - - hit");
    count(HEAD "GET /r s 1 1 1 - - - hits");
    assert_written("spoa_once_traffic_cache_total", false);
    count(HEAD "GET /r s 1 1 1 - - - hit");
    count("{\"once\":\"" HEAD "GET /r s 1 1 1 - - - hit\",\"path\":\"/\"}");
    count(HEAD "GET /r s 1 1 1 - - - miss and more");
    count(HEAD "GET /q s 1 1 1 - - - stale");
    count(HEAD "GET /q s 1 1 1 - - - collapsed");
    count(HEAD "GET /q s 1 1 1 - - - bypass");
    assert_written("spoa_once_traffic_cache_total" ROW ",result=\"hit\"} 2\n", true);
    assert_written("spoa_once_traffic_cache_total" ROW ",result=\"miss\"} 1\n", true);
    static const char *const rare[] = {"stale", "collapsed", "bypass"};
    char want[200];
    for (size_t i = 0; i < 3; i++) {
        snprintf(want, sizeof want, "route=\"/q\",service=\"s\",status=\"2xx\",result=\"%s\"} 1\n", rare[i]);
        assert_written(want, true);
    }
    assert_written("spoa_once_traffic_requests_total" ROW ",code=\"200\"} 6\n", true);
}

/* Each label makes a row of its own, but for methods that nobody uses; a class is a class. */
static void test_rows(void **state)
{
    (void)state;
    count("once/1 - -- 3 404 p BREW - - 1 1 1 - - no-such-path");
    count("once/1 - -- 3 400 p PROPFIND - - 1 1 1 - - no-such-path");
    count("once/1 - SC -1 503 p GET /r s 1 1 1 - - -");
    count("once/1 - -- 1 503 p GET /r s 1 1 1 - - breaker-open");
    count("once/1 - CH -1 -1 p GET /r s 1 1 1 - - -");
    count("once/1 - -- 1 200 p HEAD /r s 1 1 1 - - -");
    count("once/1 - -- 1 200 p GET /r s2 1 1 1 - - -");
    assert_written(
        "requests_total{method=\"other\",route=\"-\",service=\"-\",status=\"4xx\",code=\"404\"} 1\n", true);
    assert_written(
        "requests_total{method=\"GET\",route=\"/r\",service=\"s\",status=\"5xx\",code=\"503\"} 2\n", true);
    assert_written(
        "requests_total{method=\"GET\",route=\"/r\",service=\"s\",status=\"none\",code=\"none\"} 1\n", true);
    assert_written(
        "requests_total{method=\"HEAD\",route=\"/r\",service=\"s\",status=\"2xx\",code=\"200\"} 1\n", true);
    assert_written(
        "requests_total{method=\"GET\",route=\"/r\",service=\"s2\",status=\"2xx\",code=\"200\"} 1\n", true);
    assert_written("errors_total{service=\"-\",kind=\"no-such-path\"} 2\n", true);
    assert_written("errors_total{service=\"s\",kind=\"SC\"} 1\n", true);
    assert_written("errors_total{service=\"s\",kind=\"breaker-open\"} 1\n", true);
    assert_written("errors_total{service=\"s\",kind=\"CH\"} 1\n", true);
}

/* A row has room for so many statuses of its class; what is no status of a class is none. */
static void test_codes(void **state)
{
    (void)state;
    char line[200];
    for (unsigned i = 0; i < TRAFFIC_CODES; i++) {
        snprintf(line, sizeof line, "once/1 - -- 3 %u p GET /r s 1 1 1 - - x", 400 + i);
        count(line);
        count(line);
    }
    assert_written("code=\"414\"} 2\n", true);
    assert_written("code=\"other\"", false);
    count("once/1 - -- 3 498 p GET /r s 1 1 1 - - x");
    count("once/1 - -- 3 499 p GET /r s 1 1 1 - - x");
    count("once/1 - -- 3 400 p GET /r s 1 1 1 - - x");
    assert_written("status=\"4xx\",code=\"other\"} 2\n", true);
    assert_written("code=\"400\"} 3\n", true);
    count("once/1 - -- 3 700 p GET /r s 1 1 1 - - x");
    count("once/1 - CH -1 -1 p GET /r s 1 1 1 - - -");
    assert_written("status=\"none\",code=\"none\"} 2\n", true);
}

static void test_full(void **state)
{
    (void)state;
    struct traffic_line l;
    char line[200];
    for (unsigned i = 0; i < TRAFFIC_ROWS; i++) {
        snprintf(line, sizeof line, HEAD "GET /r%u s 1 1 1 - - -", i);
        count(line);
    }
    count(HEAD "GET /r0 s 1 1 1 - - -");
    assert_written("{method=\"\"", false);
    assert_int_equal(read_text(HEAD "GET /one-more s 1 1 1 - - -", &l), 0);
    assert_false(traffic_count(traffic, &l));
    assert_false(traffic_count(traffic, &l));
    assert_written("requests_total{method=\"\",route=\"\",service=\"\",status=\"\",code=\"\"} 2\n", true);
    assert_written("route=\"/r1023\"", true);
    for (unsigned i = 0; i < TRAFFIC_PAIRS; i++) {
        snprintf(line, sizeof line, HEAD "GET /r0 s 1 1 1 - - e%u", i);
        count(line);
    }
    assert_int_equal(read_text(HEAD "GET /r0 s 1 1 1 - - more", &l), 0);
    assert_false(traffic_count(traffic, &l));
    assert_written("errors_total{service=\"\",kind=\"\"} 1\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
