// SPDX-License-Identifier: MIT
/* rooms/lookup in its place, between a real HAProxy and a real Redis: what is told to those whose key is
 * busy, how fast, and what Redis has been told before. */
#include "tests/unit/inflight_redis.h"

enum { ASKERS = 8 };

static struct {
    unsigned told, ended;
    double at;
} seen;

static void on_looked(void *arg, bool ended)
{
    (void)arg;
    seen.told++;
    seen.ended += ended;
    seen.at = monotonic_now();
}

static bool look(const struct token *t)
{
    const char *name = process_name();
    return inflight_look(agent, t, (struct spop_slice){name, strlen(name)}, on_looked, NULL);
}

static int setup_look(void **state)
{
    memset(&seen, 0, sizeof seen);
    setup(state);
    loop_run(loop, 2 * POLL); /* the file names the process by now */
    return 0;
}

static void with_notices(struct config *c)
{
    c->inflight.poll_ms = 300; /* what is said before is said by the lookup */
    strcpy(c->notices.listen, "unix@/nowhere");
}

static void slow_poll(struct config *c)
{
    c->inflight.poll_ms = 300;
}

static void no_lookups(struct config *c)
{
    c->inflight.lookups = 0;
}

static void three_lookups(struct config *c)
{
    c->inflight.lookups = 3;
}

/* Said at the second look, never before this returned, and nothing follows for what runs. */
static void test_running(void **state)
{
    (void)state;
    struct token t = request(false);
    double began = monotonic_now();
    assert_true(look(&t));
    assert_int_equal(seen.told, 0);
    loop_until(loop, seen.told == 1, 0.5);
    assert_true(seen.at - began >= 0.005);
    assert_int_equal(seen.ended, 0);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 0);
    assert_int_equal(metrics.value[METRIC_LOOKUP_RUNNING], 1);
}

/* Its word is in Redis before anything that is sent behind it. */
static void test_ended(void **state)
{
    (void)state;
    struct token t = request(false);
    reconfigure(slow_poll);
    loop_run(loop, POLL);
    backend_ends(0, NULL);
    loop_run(loop, 0.02);
    assert_true(look(&t));
    loop_until(loop, seen.told == 1, 0.5);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(metrics.value[METRIC_LOOKUP_ENDED], 1);
    loop_until(loop, book_count(&book, SCRIPT_RESOLVE, &t) == 1, 0.5);
    assert_int_equal(book_last(&book, SCRIPT_RESOLVE, &t)->letter, 'F');
}

/* It ends while it is looked at. */
static void test_ends_meanwhile(void **state)
{
    (void)state;
    struct token t = request(false);
    assert_true(look(&t));
    backend_ends(0, NULL);
    loop_until(loop, seen.told == 1, 0.5);
    assert_int_equal(seen.ended, 1);
}

/* Without a notice only an end without an answer means but one thing, and not under hold. */
static void test_waits_for_the_notice(void **state)
{
    (void)state;
    struct token silent = request(false), answered = request(false), held = request(true);
    reconfigure(with_notices);
    loop_run(loop, POLL);
    backend_ends(0, NULL);
    backend_ends(1, ANSWER("201", ""));
    backend_ends(2, NULL);
    loop_run(loop, 0.02);
    assert_true(look(&silent) && look(&answered) && look(&held));
    loop_until(loop, seen.told == 3, 0.2);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &silent), 1);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &answered), 0);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, &held), 0);
}

/* All who ask for one execution share the looks: one of three that are allowed. */
static void test_shared(void **state)
{
    (void)state;
    struct token t = request(false);
    reconfigure(three_lookups);
    for (unsigned i = 0; i < ASKERS; i++)
        assert_true(look(&t));
    loop_until(loop, seen.told == ASKERS, 0.5);
    assert_int_equal(seen.ended, 0);
    assert_true(look(&t) && metrics.value[METRIC_LOOKUP_REFUSED] == 0);
    loop_until(loop, seen.told == ASKERS + 1, 0.5);
}

/* An answer to a question that was asked before he came says nothing to him. */
static void test_joins(void **state)
{
    (void)state;
    struct token t = request(false);
    double began = monotonic_now();
    kill(haproxy.pid, SIGSTOP);
    assert_true(look(&t));
    loop_run(loop, 0.005);
    assert_true(look(&t));
    kill(haproxy.pid, SIGCONT);
    loop_until(loop, seen.told >= 1, 0.5);
    if (monotonic_now() - began > 0.05)
        skip(); /* a busy machine: by now both have waited for long enough */
    assert_int_equal(seen.told, 1);
    backend_ends(0, NULL);
    loop_until(loop, seen.told == 2, 0.5);
    assert_int_equal(seen.ended, 1);
}

/* Not in the table: no proof of anything, 409 after the last look. */
static void test_unseen(void **state)
{
    (void)state;
    struct token t = make_token(false);
    double began = monotonic_now();
    assert_true(look(&t));
    loop_until(loop, seen.told == 1, 0.2);
    assert_int_equal(seen.ended, 0);
    assert_true(seen.at - began >= 0.05);
    assert_int_equal(metrics.value[METRIC_LOOKUP_UNSEEN], 1);
}

static void test_nobody_to_ask(void **state)
{
    (void)state;
    struct token t = request(false);
    static const char *const names[] = {"1.2.host", "", "nonsense"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(
            inflight_look(agent, &t, (struct spop_slice){names[i], strlen(names[i])}, on_looked, NULL));
    reconfigure(no_lookups);
    loop_run(loop, 1.1); /* what this second has left */
    assert_false(look(&t));
    assert_int_equal(metrics.value[METRIC_LOOKUP_REFUSED], 1);
    loop_run(loop, 0.1);
    assert_int_equal(seen.told, 0);
}

/* A HAProxy that hangs, an agent that goes: everybody is told. */
static void test_hangs(void **state)
{
    (void)state;
    struct token t = request(false);
    kill(haproxy.pid, SIGSTOP);
    assert_true(look(&t) && look(&t));
    loop_until(loop, seen.told == 2, 0.2);
    assert_int_equal(seen.ended, 0);
    assert_true(look(&t));
    kill(haproxy.pid, SIGCONT);
    loop_until(loop, seen.told == 3, 2.0);
    /* A listing that was on its way for too long costs the connection: then the next one is asked. */
    bool asked = false;
    loop_until(loop, asked || (asked = look(&t)), 2.0);
    without_agent();
    assert_int_equal(seen.told, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_running, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_ended, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_ends_meanwhile, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_notice, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_joins, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_unseen, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_to_ask, setup_look, teardown),
        cmocka_unit_test_setup_teardown(test_hangs, setup_look, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
