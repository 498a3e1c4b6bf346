// SPDX-License-Identifier: MIT
/* rooms/inflight and what stands under it, between a real HAProxy and a real Redis: what is said about a
 * request that runs, ends, answers, or of which a notice tells. Several processes, several agents:
 * test_inflight_agents.c. Redis late or away: test_inflight_late.c. What stands in Redis then:
 * test_inflight_redis.c. */
#include "tests/unit/inflight_redis.h"

static void test_running_is_extended(void **state)
{
    (void)state;
    struct token t = request(false);
    loop_run(loop, 1.5);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, &t), 0); /* lock 30 s: the next is due in 5 s */
    assert_int_equal(metrics.value[METRIC_INFLIGHT], 1);
    inflight_redis_ready(agent, redis); /* but at once when Redis is back */
    loop_run(loop, 0.05);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, &t), 1);
    assert_int_equal(metrics.value[METRIC_EXTENDED], 1);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 0);
}

static void test_more_than_a_batch(void **state)
{
    (void)state;
    enum { MANY = 12 };
    for (unsigned i = 0; i < MANY; i++)
        request(false);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 0.1);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, NULL), MANY);
    assert_int_equal(metrics.value[METRIC_EXTENDED], MANY);
}

static void test_ended_without_answer(void **state)
{
    (void)state;
    struct token t = request(false), h = request(true);
    loop_run(loop, 2 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 0);
    backend_ends(0, NULL);
    backend_ends(1, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1 && book_count(&book, SCRIPT_RESOLVE, &h) == 1,
               4 * POLL);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->status, 0);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->letter, 'F');
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &h)->letter, 'H');
    loop_run(loop, 0.5); /* still listed, but said once */
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 2);
    assert_int_equal(metrics.value[METRIC_RESOLVED_FREE], 1);
    assert_int_equal(metrics.value[METRIC_RESOLVED_HELD], 1);
}

static void test_answered(void **state)
{
    (void)state;
    struct token good = request(false), bad = request(false), settled = request(false);
    backend_ends(0, ANSWER("201", ""));
    backend_ends(1, ANSWER("500", ""));
    backend_ends(2, ANSWER("201", "X-Settled: yes\r\n"));
    loop_until(loop,
               book_count(&book, SCRIPT_RESOLVE, &good) == 1 && book_count(&book, SCRIPT_RESOLVE, &bad) == 1,
               4 * POLL);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &good)->status, 201);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &good)->letter, 'T');
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &bad)->status, 500);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &bad)->letter, 'F');
    loop_run(loop, 0.2);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &settled), 0);
}

/* A body that is still on its way: the answer has begun, but nothing has ended. */
static void test_answer_that_goes_on(void **state)
{
    (void)state;
    struct token t = request(false);
    static const char head[] = "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n12345";
    assert_int_equal(send(backend.fd[0], head, sizeof head - 1, 0), sizeof head - 1);
    loop_run(loop, 4 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &t), 0);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 2 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, &t), 1);
    shutdown(backend.fd[0], SHUT_RDWR);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->status, 200);
}

/* All agents were away for longer than an ended entry stays; once_unsettled still knows. */
static void test_unsettled_outlives_the_agents(void **state)
{
    (void)state;
    struct token t = request(false);
    without_agent();
    backend_ends(0, ANSWER("201", "X-Unsettled: yes\r\n"));
    loop_run(loop, 1.6);
    agent = new_agent();
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 1);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->status, 201);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->letter, 'T');
    loop_run(loop, 4 * POLL);
    inflight_free(agent); /* it has been cleared: another agent finds nothing */
    agent = new_agent();
    loop_run(loop, 4 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &t), 1);
}

static void with_notices(struct config *c)
{
    strcpy(c->notices.listen, "unixdgram@/somewhere");
}

static void test_notice_says_how(void **state)
{
    (void)state;
    reconfigure(with_notices);
    loop_run(loop, 2 * POLL);
    struct token clean = request(false), cut = request(false), silent = request(false);
    backend_ends(0, ANSWER("200", ""));
    backend_ends(1, NULL);
    backend_ends(2, NULL);
    loop_run(loop, 0.01);
    struct notice n = notice_of(&clean, "--", 3, 200, process_name());
    inflight_notice(agent, &n);
    n = notice_of(&cut, "sH", 3, 504, process_name());
    inflight_notice(agent, &n);
    loop_run(loop, 0.04); /* at once, not at the next poll */
    assert_int_equal(book_count(&book, SCRIPT_COMPLETE, &clean), 1);
    assert_int_equal(book_last(&book, SCRIPT_COMPLETE, &clean)->status, 200);
    assert_int_equal(book_count(&book, SCRIPT_RELEASE, &cut), 1);
    assert_int_equal(book_last(&book, SCRIPT_RELEASE, &cut)->letter, 'c');
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &silent) == 1, 4 * POLL);
    loop_run(loop, 0.3);
    assert_int_equal(book_size(&book), 3);
    assert_int_equal(metrics.value[METRIC_RESOLVED_TOMB], 1); /* nothing of its body was ever seen */
    assert_int_equal(metrics.value[METRIC_RESOLVED_COMMIT], 0);
}

/* A notice alone proves no end: what is still listed as running runs. */
static void test_notice_of_what_runs(void **state)
{
    (void)state;
    struct token t = request(false);
    struct notice n = notice_of(&t, "--", 3, 200, process_name());
    inflight_notice(agent, &n);
    loop_run(loop, 3 * POLL);
    assert_int_equal(book_size(&book), 0);
}

static void test_one_poll_for_the_notice(void **state)
{
    (void)state;
    reconfigure(with_notices);
    loop_run(loop, 2 * POLL);
    struct token t = request(false);
    backend_ends(0, NULL);
    loop_run(loop, 0.01);
    inflight_redis_ready(agent, redis); /* a poll sees the end, */
    loop_run(loop, 0.02);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &t), 0); /* and waits for the next one */
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 3 * POLL);
}

static void test_never_sent(void **state)
{
    (void)state;
    struct token t = make_token(true);
    struct notice n = notice_of(&t, "SC", -1, 503, process_name());
    inflight_notice(agent, &n);
    loop_run(loop, 0.02);
    assert_int_equal(book_count(&book, SCRIPT_RELEASE, &t), 1);
    assert_int_equal(book_last(&book, SCRIPT_RELEASE, &t)->letter, 'n');
    loop_run(loop, 4 * POLL);
    assert_int_equal(book_size(&book), 1);
}

static void test_notice_of_a_gone_process(void **state)
{
    (void)state;
    struct token early = make_token(false), late = make_token(false), held = make_token(true);
    struct notice n = notice_of(&early, "SH", 3, 502, "1.2.host");
    inflight_notice(agent, &n);
    n = notice_of(&late, "CD", 3, 201, "1.2.host");
    inflight_notice(agent, &n);
    n = notice_of(&held, "SH", 3, 502, "1.2.host");
    inflight_notice(agent, &n);
    loop_run(loop, 0.02);
    assert_int_equal(book_size(&book), 3);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &early)->status, 0); /* the 502 was HAProxy's own */
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &early)->letter, 'F');
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &late)->status, 201);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &held)->letter, 'H');
    loop_run(loop, 2 * POLL);
}

static struct {
    unsigned n;
    bool taken;
    struct cachefetch fetch;
    char mark;
} told;

static bool on_fetched(void *arg, const struct cachefetch *f, char mark)
{
    (void)arg;
    told.n++;
    told.fetch = *f;
    told.mark = mark;
    return told.taken;
}

/* A fetch for the cache that runs. */
static struct cachefetch fetch(uint8_t lease)
{
    char text[CACHEFILL_TEXT_MAX + 1];
    struct cachefill f = {.fetch = {.policy = 7}};
    unsigned before = backend.n;
    memset(f.fetch.lease, lease, sizeof f.fetch.lease);
    cachefill_write(&f, text);
    text[CACHEFETCH_TEXT] = '\0';
    send_text(text);
    loop_until(loop, backend.n == before + 1, 2);
    return f.fetch;
}

static void test_a_fetch_that_ends(void **state)
{
    static const struct {
        const char *answer;
        char mark;
    } ends[] = {
        {NULL, 'e'},
        { ANSWER("502", ""), 'e'},
        { ANSWER("499", ""),   0},
        { ANSWER("200", ""),   0},
    };
    (void)state;
    told.taken = true;
    inflight_set_fetched(agent, on_fetched, NULL);
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct cachefetch f = fetch((uint8_t)(i + 1));
        told.n = 0;
        loop_run(loop, 4 * POLL);
        assert_int_equal(told.n, 0); /* it runs */
        backend_ends(i, ends[i].answer);
        loop_until(loop, told.n == 1, 4 * POLL);
        assert_memory_equal(told.fetch.lease, f.lease, sizeof f.lease);
        assert_int_equal(told.mark, ends[i].mark);
        loop_run(loop, 4 * POLL);
        assert_int_equal(told.n, 1); /* once, though an ended entry would stay for a second */
    }
    assert_int_equal(book_size(&book), 0);
    assert_int_equal(metrics.value[METRIC_INFLIGHT], 0);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
}

static void test_a_fetch_that_was_heard_of(void **state)
{
    (void)state;
    told.n = 0;
    inflight_set_fetched(agent, on_fetched, NULL);
    fetch(1);
    backend_ends(0, ANSWER("200", "X-Settled: yes\r\n"));
    loop_run(loop, 6 * POLL);
    assert_int_equal(told.n, 0);
}

/* Redis could not be asked: it is said at the next poll. */
static void test_a_fetch_is_told_of_again(void **state)
{
    (void)state;
    told.n = 0;
    told.taken = false;
    inflight_set_fetched(agent, on_fetched, NULL);
    fetch(1);
    backend_ends(0, NULL);
    loop_until(loop, told.n >= 2, 5 * POLL);
    told.taken = true;
    loop_run(loop, 3 * POLL);
    unsigned n = told.n;
    loop_run(loop, 4 * POLL);
    assert_int_equal(told.n, n);
}

static void test_foreign_keys_are_passed_over(void **state)
{
    (void)state;
    send_text("no-token-of-ours");
    send_text("a b=c\\d");
    loop_until(loop, backend.n == 2, 2);
    struct token t = request(false);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 2 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, NULL), 1);
    for (unsigned i = 0; i < 3; i++)
        backend_ends(i, NULL);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 1);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
}

static void at_most_two(struct config *c)
{
    c->inflight.max_entries = 2;
}

/* More than may be listed: nothing follows, and nothing more is granted. */
static void test_too_many_entries(void **state)
{
    (void)state;
    reconfigure(at_most_two);
    request(false);
    request(false);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 2 * POLL);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
    unsigned extended = book_count(&book, SCRIPT_EXTEND, NULL);
    assert_true(extended >= 2);
    const char *name = process_name();
    assert_true(inflight_knows(agent, name));
    request(false);
    inflight_redis_ready(agent, redis);
    loop_run(loop, 4 * POLL);
    assert_true(metrics.value[METRIC_POLL_FAILED] > 1);
    assert_int_equal(book_count(&book, SCRIPT_EXTEND, NULL), extended);
    assert_false(inflight_knows(agent, name));
}

/* HAProxy hung for longer than a poll: what it says then is old, and nothing follows from it. */
static void test_late_listing(void **state)
{
    (void)state;
    struct token t = request(false);
    char name[160];
    snprintf(name, sizeof name, "%s", process_name());
    loop_run(loop, POLL / 2);
    kill(haproxy.pid, SIGSTOP);
    loop_run(loop, 4 * POLL);
    backend_ends(0, NULL);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
    kill(haproxy.pid, SIGCONT);
    loop_until(loop, metrics.value[METRIC_POLL_FAILED] > 0, POLL);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &t), 0);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_true(inflight_knows(agent, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_running_is_extended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_without_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_that_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsettled_outlives_the_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_says_how, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_of_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_poll_for_the_notice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_of_a_gone_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fetch_that_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fetch_that_was_heard_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fetch_is_told_of_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_keys_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_listing, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
