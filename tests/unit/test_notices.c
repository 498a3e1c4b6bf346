// SPDX-License-Identifier: MIT
/* rooms/notices: datagrams in, words out, to a real Redis. No HAProxy is there, so that each notice counts by
 * itself. */
#include "rooms/notices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "rooms/completion.h"
#include "tests/support/redis_book.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture f;
static struct redis_book book;
static struct completion *completion;
static struct inflight *inflight;
static struct gate gate;
static struct notices *notices;
static int haproxy;

static int setup(void **state)
{
    (void)state;
    int pair[2];
    redis_fixture_begin(&f);
    book_open(&book, &f.server);
    f.config->nhaproxy = 0;
    f.config->inflight.max_entries = 8;
    completion = completion_new(f.loop, f.redis, f.config, &f.metrics);
    inflight = inflight_new(f.loop, f.redis, completion, f.config, &f.metrics);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    haproxy = pair[0];
    gate = (struct gate){.loop = f.loop, .inflight = inflight, .metrics = &f.metrics};
    notices = notices_new(&gate, pair[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notices_free(notices);
    inflight_free(inflight);
    completion_free(completion);
    book_close(&book);
    redis_fixture_stop(&f);
    close(haproxy);
    return 0;
}

static void say(uint64_t fence, const char *rest)
{
    char text[TOKEN_TEXT + 1], line[256];
    struct token t = {.fence = fence};
    token_write(&t, text);
    int n = snprintf(line, sizeof line, "once/1 %s %s", text, rest);
    assert_int_equal(send(haproxy, line, (size_t)n, 0), n);
}

static void test_one_line(void **state)
{
    (void)state;
    say(1, "SC -1 503 1.2.host and more");
    redis_fixture_run(&f, 0.02);
    assert_int_equal(f.metrics.value[METRIC_NOTICES], 1);
    assert_int_equal(book_size(&book), 1);
    assert_int_equal(book_last(&book, SCRIPT_RELEASE, &(struct token){.fence = 1})->letter, 'n');
}

static void test_same_line_twice(void **state)
{
    (void)state;
    say(1, "-- 3 200 1.2.host");
    say(1, "-- 3 200 1.2.host");
    redis_fixture_run(&f, 0.02);
    assert_int_equal(f.metrics.value[METRIC_NOTICES], 2);
    assert_int_equal(book_size(&book), 1);
}

static void test_other_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {"Server app/s is DOWN", "once/1 ",
                                        "once/1 nonsense -- 3 200 1.2.host", ""};
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        send(haproxy, lines[i], strlen(lines[i]), 0);
    say(1, "--");
    send(haproxy, "once/1 - -- 3 200 1.2.h", 23, 0);
    redis_fixture_run(&f, 0.02);
    assert_int_equal(f.metrics.value[METRIC_NOTICES], 0);
    assert_int_equal(f.metrics.value[METRIC_NOTICES_BAD], 5);
    assert_int_equal(book_size(&book), 0);
}

/* A line that is longer than we read is still understood by its beginning. */
static void test_long_line(void **state)
{
    (void)state;
    char rest[4096], text[TOKEN_TEXT + 1], line[4300];
    memset(rest, 'x', sizeof rest - 1);
    rest[sizeof rest - 1] = '\0';
    struct token t = {.fence = 7};
    token_write(&t, text);
    int n = snprintf(line, sizeof line, "once/1 %s SC -1 503 1.2.host %s", text, rest);
    assert_int_equal(send(haproxy, line, (size_t)n, 0), n);
    redis_fixture_run(&f, 0.02);
    assert_int_equal(book_size(&book), 1);
    assert_int_equal(book.heard[0].token.fence, 7);
}

/* Exactly as many as there is room for, and one more; room comes back when they are settled. */
static void test_bound(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 9; i++)
        say(i, "SH 3 502 1.2.host");
    redis_fixture_run(&f, 0.05);
    assert_int_equal(f.metrics.value[METRIC_NOTICES], 9);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 8);
    redis_fixture_run(&f, 3.5);
    say(9, "SH 3 502 1.2.host");
    redis_fixture_run(&f, 0.05);
    assert_int_equal(book_count(&book, SCRIPT_RESOLVE, NULL), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_line_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
