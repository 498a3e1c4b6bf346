// SPDX-License-Identifier: MIT
/* Names become numbers beside the loop; what is forgotten calls nobody. */
#include "adapters/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/loop.h"

static struct seen {
    unsigned told;
    char address[64], why[128];
} seen;

static void see(void *arg, const char *address, const char *why)
{
    struct seen *s = arg;
    s->told++;
    snprintf(s->address, sizeof s->address, "%s", address ? address : "none");
    snprintf(s->why, sizeof s->why, "%s", why);
}

static void wanted(void **state)
{
    (void)state;
    assert_true(resolve_wanted("redis:6379"));
    assert_true(resolve_wanted("localhost:6379"));
    assert_true(resolve_wanted("1.2.3.4.example:1"));
    assert_true(resolve_wanted("a-name-that-is-longer-than-any-number:1"));
    assert_false(resolve_wanted("127.0.0.1:6379"));
    assert_false(resolve_wanted("[::1]:6379"));
    assert_false(resolve_wanted("unix@/run/redis.sock"));
}

static void names(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    (void)state;
    seen = (struct seen){0};
    assert_non_null(resolve_new(loop, "localhost:6379", see, &seen));
    assert_int_equal(seen.told, 0);
    loop_until(loop, seen.told == 1, 5);
    assert_string_equal(seen.address, "127.0.0.1:6379");
    assert_non_null(resolve_new(loop, "no-such-host.invalid:6379", see, &seen));
    loop_until(loop, seen.told == 2, 30);
    assert_string_equal(seen.address, "none");
    assert_true(strlen(seen.why) > 0);
    ev_loop_destroy(loop);
}

static void forgotten(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    (void)state;
    seen = (struct seen){0};
    for (unsigned i = 0; i < 20; i++)
        resolve_free(resolve_new(loop, i % 2 ? "localhost:1" : "no-such-host.invalid:1", see, &seen));
    resolve_free(NULL);
    ev_run(loop, 0); /* ends when glibc is done with all of them */
    assert_int_equal(seen.told, 0);
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted),
        cmocka_unit_test(names),
        cmocka_unit_test(forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
