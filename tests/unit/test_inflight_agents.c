// SPDX-License-Identifier: MIT
/* rooms/inflight over time: HAProxy that comes, goes and reloads, a process that is looked for, and two
 * agents of which one is elected. */
#include "tests/unit/inflight_redis.h"

static struct {
    unsigned n;
    bool known;
    double at;
} told;

static void on_known(void *arg, bool known)
{
    (void)arg;
    told.n++;
    told.known = known;
    told.at = monotonic_now();
}

static void test_find(void **state)
{
    (void)state;
    char name[128];
    snprintf(name, sizeof name, "%s", process_name());
    memset(&told, 0, sizeof told);
    without_agent();
    agent = new_agent();
    assert_false(inflight_knows(agent, name));
    inflight_find(agent, name, on_known, NULL);
    inflight_find(agent, name, on_known, NULL);
    inflight_forget(inflight_find(agent, name, on_known, NULL));
    assert_int_equal(told.n, 0);
    loop_until(loop, told.n == 2, 0.1);
    assert_true(told.known);
    assert_true(inflight_knows(agent, name));
    assert_false(inflight_knows(agent, "1.2.host"));
    assert_false(inflight_knows(agent, "nonsense"));
    double began = monotonic_now();
    inflight_find(agent, "1.2.host", on_known, NULL);
    loop_until(loop, told.n == 3, 0.6);
    assert_false(told.known);
    assert_true(told.at - began < 0.415);
    inflight_find(agent, "1.2.host", on_known, NULL);
    without_agent(); /* whoever still waits is told */
    assert_int_equal(told.n, 4);
}

static void test_haproxy_comes_later_and_again(void **state)
{
    (void)state;
    agent = new_agent();
    loop_run(loop, 3 * POLL);
    assert_int_equal(metrics.value[METRIC_WORKERS], 0);
    assert_int_equal(haproxy_server_start(&haproxy, false, config_parts, 2), 0);
    loop_until(loop, metrics.value[METRIC_WORKERS] == 1, 4 * POLL);
    loop_until(loop, strcmp(process_name(), "none") != 0, 1);
    char first[128];
    snprintf(first, sizeof first, "%s", process_name());
    haproxy_server_stop(&haproxy);
    loop_until(loop, metrics.value[METRIC_WORKERS] == 0, 4 * POLL);
    assert_false(inflight_knows(agent, first));
    assert_int_equal(haproxy_server_start(&haproxy, false, config_parts, 2), 0);
    loop_until(loop, metrics.value[METRIC_WORKERS] == 1, 4 * POLL);
    struct token t = request(false);
    backend_ends(0, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_false(inflight_knows(agent, first));
}

static void test_tables_are_missing(void **state)
{
    (void)state;
    static const char bare[] =
        "global\n    stats socket @D@/sock level operator\n    set-var proc.once_start date(0,us)\n";
    const char *const parts[] = {
        bare, "frontend fe\n    mode http\n    timeout client 1s\n    bind unix@@D@/fe.sock\n"};
    assert_int_equal(haproxy_server_start(&haproxy, false, parts, 2), 0);
    agent = new_agent();
    loop_until(loop, metrics.value[METRIC_POLL_FAILED] > 0, 4 * POLL);
    loop_run(loop, 4 * POLL);
    assert_string_equal(process_name(), "none");
    memset(&told, 0, sizeof told);
    haproxy_server_stop(&haproxy);
}

/* Master-worker: the old worker's last request is resolved through the old connection, which is then let go.
 */
static void test_reload(void **state)
{
    (void)state;
    assert_int_equal(haproxy_server_start(&haproxy, true, config_parts, 2), 0);
    agent = new_agent();
    loop_until(loop, strcmp(process_name(), "none") != 0, 2);
    pid_t old = (pid_t)strtol(process_name(), NULL, 10);
    assert_true(old != haproxy.pid);
    struct token slow = request(false);
    haproxy_server_reload(&haproxy);
    loop_until(loop, metrics.value[METRIC_WORKERS] == 2, 3);
    struct token fresh = request(false);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 3 * POLL);
    assert_true(book_count(&book, SCRIPT_EXTEND, &slow) >= 1);
    assert_true(book_count(&book, SCRIPT_EXTEND, &fresh) >= 1);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL),
                     0); /* absence from the new table proves nothing */
    loop_run(loop, 1.5);
    assert_true(process_lives(old));
    backend_ends(0, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &slow) == 1, 4 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &fresh), 0);
    loop_until(loop, metrics.value[METRIC_WORKERS] == 1, 3);
    loop_until(loop, !process_lives(old), 2);
    backend_ends(1, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &fresh) == 1, 4 * POLL);
}

static void test_two_agents(void **state)
{
    (void)state;
    struct metrics other_metrics = {0};
    struct inflight *other = inflight_new(loop, redis, completion, config, &other_metrics);
    char name[128];
    snprintf(name, sizeof name, "%s", process_name());
    loop_run(loop, 4 * POLL);
    assert_int_equal(metrics.value[METRIC_POLLER], 1);
    assert_int_equal(other_metrics.value[METRIC_POLLER], 0);
    assert_int_equal(other_metrics.value[METRIC_WORKERS], 1); /* it keeps the connection */
    assert_true(inflight_knows(agent, name));
    assert_true(inflight_knows(other, name));
    uint64_t polls = other_metrics.value[METRIC_POLLS];
    struct token t = request(false);
    loop_run(loop, 4 * POLL);
    assert_int_equal(other_metrics.value[METRIC_POLLS], polls);
    backend_ends(0, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    without_agent();
    struct token u = request(false);
    loop_until(loop, other_metrics.value[METRIC_POLLER] == 1, 4 * POLL);
    backend_ends(1, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &u) == 1, 4 * POLL);
    inflight_free(other);
}

/* HAProxy's log comes to the agent that is not elected: it looks by itself. */
static void test_two_agents_and_a_notice(void **state)
{
    (void)state;
    struct metrics other_metrics = {0};
    struct inflight *other = inflight_new(loop, redis, completion, config, &other_metrics);
    loop_run(loop, 4 * POLL);
    assert_int_equal(other_metrics.value[METRIC_POLLER], 0);
    struct token t = request(false), quiet = request(false);
    backend_ends(0, ANSWER("200", ""));
    backend_ends(1, ANSWER("200", ""));
    loop_run(loop, 0.005);
    struct notice n = notice_of(&t, "--", 3, 200, process_name());
    inflight_notice(other, &n); /* came to the one that is not elected */
    loop_run(loop, 3 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_COMPLETE, &t), 1);
    assert_true(book_count(&book, SCRIPT_RESOLVE, &t) <=
                1); /* the elected one may have been first: does no harm */
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &quiet), 1); /* by the elected one alone */
    inflight_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_haproxy_comes_later_and_again, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_tables_are_missing, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_two_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_agents_and_a_notice, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
