// SPDX-License-Identifier: MIT
/* Who waits for a process to become known: told once, in the order of arrival, each looked at once in a check, whatever
 * those who are told do with the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rooms/waits.h"

enum { MANY = 1000 };

static struct ev_loop *loop;
static struct waits *waits;
static struct inflight_wait *waiting[MANY];
static unsigned told[MANY + 1], ntold, looks;
static const char *known; /* "": all */
static void (*then)(unsigned who);

static bool is_known(void *arg, const char *process)
{
    (void)arg;
    looks++;
    return known && (!*known || strcmp(process, known) == 0);
}

static void seek(void *arg)
{
    (void)arg;
}

static void on_known(void *arg, bool is)
{
    unsigned who = (unsigned)((struct inflight_wait **)arg - waiting);
    assert_true(ntold < MANY);
    assert_true(is || !known);
    waiting[who] = NULL;
    told[ntold++] = who;
    if (then)
        then(who);
}

static void add(unsigned from, unsigned n)
{
    char process[32];
    for (unsigned i = from; i < from + n; i++) {
        snprintf(process, sizeof process, "%u.1.host", i + 1);
        waiting[i] = waits_add(waits, process, on_known, &waiting[i]);
        assert_non_null(waiting[i]);
    }
}

static int setup(void **state)
{
    static const struct waits_events events = {.known = is_known, .seek = seek};
    (void)state;
    loop = ev_loop_new(0);
    waits = waits_new(loop, &events, NULL);
    assert_non_null(waits);
    ntold = looks = 0;
    known = NULL;
    then = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    waits_free(waits);
    ev_loop_destroy(loop);
    return 0;
}

static void assert_told(const unsigned *who, unsigned n)
{
    assert_int_equal(ntold, n);
    assert_memory_equal(told, who, n * sizeof *who);
}

static void each_is_looked_at_once(void **state)
{
    (void)state;
    add(0, MANY);
    waits_check(waits);
    assert_int_equal(looks, MANY);
    assert_int_equal(ntold, 0);
    known = "";
    waits_check(waits);
    assert_int_equal(looks, 2 * MANY);
    assert_int_equal(ntold, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(told[i], i);
}

static void only_those_who_are_known(void **state)
{
    (void)state;
    add(0, 5);
    known = "3.1.host";
    waits_check(waits);
    assert_told((unsigned[]){2}, 1);
    inflight_forget(waiting[0]);
    inflight_forget(waiting[4]);
    known = "";
    waits_check(waits);
    assert_told((unsigned[]){2, 1, 3}, 3);
}

/* The next one, and the last one. */
static void forget_others(unsigned who)
{
    if (who != 1)
        return;
    inflight_forget(waiting[2]);
    inflight_forget(waiting[5]);
}

static void who_is_told_forgets_others(void **state)
{
    (void)state;
    add(0, 6);
    then = forget_others;
    known = "";
    waits_check(waits);
    assert_told((unsigned[]){0, 1, 3, 4}, 4);
}

static void check_again(unsigned who)
{
    if (who == 1)
        add(6, 2);
    if (who == 2)
        waits_check(waits);
}

/* Others come, and a check begins within the check. */
static void who_is_told_lets_others_in(void **state)
{
    (void)state;
    add(0, 6);
    then = check_again;
    known = "";
    waits_check(waits);
    assert_told((unsigned[]){0, 1, 2, 3, 4, 5, 6, 7}, 8);
}

/* Nobody becomes known: all are told so before 400 ms are over. */
static void told_in_the_end(void **state)
{
    double began = ev_time();
    (void)state;
    add(0, 3);
    while (ntold < 3 && ev_time() < began + 5)
        ev_run(loop, EVRUN_ONCE);
    assert_told((unsigned[]){0, 1, 2}, 3);
    assert_true(ev_time() - began >= 0.080);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_is_looked_at_once),     T(only_those_who_are_known), T(who_is_told_forgets_others),
        T(who_is_told_lets_others_in), T(told_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
