// SPDX-License-Identifier: MIT
/* What the second listener answers, over a real TCP socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "rooms/exporter.h"
#include "adapters/libraries.h"
#include "tests/support/rawhttp.h"
#include "version.h"

static struct world {
    struct ev_loop *loop;
    struct exporter *exporter;
    struct metrics metrics;
    struct raw client;
    const char *why;
    bool is_ready;
} w;

static struct raw_reply reply;

static bool ready(void *arg, const char **why)
{
    assert_ptr_equal(arg, &w);
    *why = w.why;
    return w.is_ready;
}

static void before(void *arg)
{
    assert_ptr_equal(arg, &w);
    metrics_set(&w.metrics, METRIC_INFLIGHT, 41);
}

static int setup(void **state)
{
    uint16_t port;
    (void)state;
    memset(&w, 0, sizeof w);
    w.loop = ev_loop_new(0);
    w.exporter = exporter_new(w.loop, raw_listen_tcp(&port), &w.metrics,
                              &(struct exporter_sources){.ready = ready, .before = before, .arg = &w});
    raw_connect_tcp(&w.client, w.loop, port);
    return w.exporter ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&w.client);
    exporter_free(w.exporter);
    ev_loop_destroy(w.loop);
    buf_free(&reply.body);
    return 0;
}

/* Leaves the body as a text. */
static const char *ask(const char *method, const char *path, unsigned status)
{
    char request[128];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method, path);
    assert_true(raw_send_text(&w.client, request));
    assert_int_equal(raw_reply(&w.client, strcmp(method, "HEAD") == 0, &reply), 0);
    assert_int_equal(reply.status, status);
    buf_u8(&reply.body, 0);
    return (const char *)reply.body.data;
}

static void expect_header(const char *line)
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (!strstr(reply.head, wanted))
        fail_msg("%s is not in\n%s", line, reply.head);
}

static json_t *ask_json(const char *path, unsigned status)
{
    json_t *j = json_loads(ask("GET", path, status), 0, NULL);
    assert_non_null(j);
    expect_header("Content-Type: application/json");
    expect_header("Cache-Control: no-store");
    return j;
}

static const char *text_of(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static double value_of(const char *text, const char *name)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *at = strstr(text, wanted);
    assert_non_null(at);
    return strtod(at + strlen(wanted), NULL);
}

static void test_metrics(void **state)
{
    (void)state;
    metrics_add(&w.metrics, METRIC_CLAIM_GO);
    const char *text = ask("GET", "/metrics?x=1", 200);
    expect_header("Content-Type: text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(text, "\nspoa_once_claims_total{outcome=\"go\"} 1\n"));
    assert_true(value_of(text, "spoa_once_inflight") == 41);
    metrics_add(&w.metrics, METRIC_CLAIM_GO);
    text = ask("GET", "/metrics", 200);
    assert_non_null(strstr(text, "\nspoa_once_claims_total{outcome=\"go\"} 2\n"));
}

static double count_fds(void)
{
    double n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* The numbers move as they should, not only exist. */
static void test_process_metrics(void **state)
{
    static const char *const names[] = {"process_start_time_seconds", "process_resident_memory_bytes",
                                        "process_cpu_seconds_total", "process_open_fds"};
    (void)state;
    const char *text = ask("GET", "/metrics", 200);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[96];
        snprintf(line, sizeof line, "\n# TYPE %s %s\n", names[i],
                 strstr(names[i], "_total") ? "counter" : "gauge");
        assert_non_null(strstr(text, line));
    }
    double started = value_of(text, names[0]), memory = value_of(text, names[1]),
           cpu = value_of(text, names[2]), fds = value_of(text, names[3]);
    assert_true(started <= (double)time(NULL) + 1 && started > (double)time(NULL) - 600);
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    assert_true(memory <= (double)usage.ru_maxrss * 1024);
    assert_true(fds == count_fds());
    char *more = malloc(32 << 20);
    for (size_t i = 0; i < 32 << 20; i++)
        more[i] = (char)(i * 7);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    text = ask("GET", "/metrics", 200);
    assert_true(value_of(text, names[0]) == started);
    assert_true(value_of(text, names[1]) >= memory + (24 << 20));
    assert_true(value_of(text, names[2]) > cpu);
    assert_true(value_of(text, names[3]) == fds + 1);
    close(fd);
    free(more);
}

static void test_liveness(void **state)
{
    (void)state;
    w.is_ready = false;
    json_t *j = ask_json("/health/liveness", 200);
    assert_string_equal(text_of(j, "status"), "alive");
    json_decref(j);
}

static void test_readiness(void **state)
{
    (void)state;
    w.is_ready = true;
    json_t *j = ask_json("/health/readiness", 200);
    assert_string_equal(text_of(j, "status"), "ready");
    assert_true(json_is_null(json_object_get(j, "reason")));
    json_decref(j);
    w.is_ready = false;
    w.why = "redis is \"down\"";
    j = ask_json("/health/readiness", 503);
    assert_string_equal(text_of(j, "status"), "unready");
    assert_string_equal(text_of(j, "reason"), "redis is \"down\"");
    json_decref(j);
    w.why = NULL;
    j = ask_json("/health/readiness", 503);
    assert_non_null(text_of(j, "reason"));
    json_decref(j);
}

static void test_version(void **state)
{
    (void)state;
    json_t *j = ask_json("/version", 200);
    assert_string_equal(text_of(j, "name"), "spoa-once");
    assert_string_equal(text_of(j, "version"), SPOA_ONCE_VERSION);
    json_t *linked = json_object_get(j, "libraries");
    for (const struct library *l = libraries; l->name; l++)
        assert_string_equal(text_of(linked, l->name), l->version());
    assert_string_equal(text_of(linked, "jansson"), jansson_version_str());
    assert_int_equal(text_of(linked, "libev")[0], '4');
    json_decref(j);
}

static void test_unknown_paths(void **state)
{
    static const char *const paths[] = {"/",       "/metric",     "/metricss", "/metrics/",
                                        "/health", "/../metrics", "/METRICS"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        json_t *j = json_loads(ask("GET", paths[i], 404), 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(j, "status")), 404);
        expect_header("Content-Type: application/problem+json");
        json_decref(j);
    }
}

static void test_methods(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "GETT"};
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        ask(methods[i], "/metrics", 405);
        expect_header("Allow: GET, HEAD");
        expect_header("Content-Type: application/problem+json");
    }
    ask("HEAD", "/health/liveness", 200);
    expect_header("Content-Type: application/json");
    ask("GET", "/health/liveness", 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_metrics), TEST(test_process_metrics), TEST(test_liveness), TEST(test_readiness),
        TEST(test_version), TEST(test_unknown_paths),   TEST(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
