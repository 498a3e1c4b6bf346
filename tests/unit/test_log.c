// SPDX-License-Identifier: MIT
/* Lines as they come out of stderr: format, escapes, bounds, and readers that do not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "adapters/log.h"

enum { LINE = 4096, TIME = 24 };

static int ends[2], real_stderr;
static char out[8 * LINE];

/* stderr is a pipe during a test. */
static int setup(void **state)
{
    (void)state;
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return -1;
    real_stderr = dup(STDERR_FILENO);
    return dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *taken(void)
{
    ssize_t n = read(ends[0], out, sizeof out - 1);
    out[n > 0 ? n : 0] = '\0';
    return out;
}

/* The line behind its time, which is checked for its form. */
static const char *text_line(void)
{
    const char *line = taken(), *form = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], form[i]);
    return line + TIME + 1;
}

static json_t *json_line(void)
{
    json_error_t error;
    const char *line = taken();
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    json_t *j = json_loads(line, 0, &error);
    if (!j)
        fail_msg("%s: %s", error.text, line);
    return j;
}

static const char *text_of(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void test_text(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    LOG(LOG_NOTICE, "redis-ready", log_text("address", "127.0.0.1:6379"), log_int("ms", 3));
    assert_string_equal(text_line(), "notice redis-ready address=127.0.0.1:6379 ms=3\n");
    LOG(LOG_ERROR, "e", log_int("a", -5), log_int("b", 0), log_int("max", 9223372036854775807LL),
        log_int("min", -9223372036854775807LL - 1));
    assert_string_equal(text_line(), "error e a=-5 b=0 max=9223372036854775807 min=-9223372036854775808\n");
    LOG(LOG_WARNING, "w", log_text("none", NULL), log_text("empty", ""), log_text("blank", "a b"),
        log_text("assign", "a=b"), log_bytes("nothing", (struct spop_slice){NULL, 0}));
    assert_string_equal(text_line(),
                        "warning w none=- empty=\"\" blank=\"a b\" assign=\"a=b\" nothing=\"\"\n");
}

static void test_time_is_now(void **state)
{
    struct tm tm = {0};
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    time_t before = time(NULL);
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    assert_non_null(strptime(taken(), "%Y-%m-%dT%H:%M:%S", &tm));
    assert_in_range(timegm(&tm), before, before + 2);
}

/* Stands before the library's: a clock at any time, or the real one. */
static time_t pretended;
int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id == CLOCK_REALTIME && pretended) {
        *t = (struct timespec){.tv_sec = pretended, .tv_nsec = 7999999};
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, id, t);
}

/* Where a month begins and ends, from 1970 to 2130 and over the leap year that 2400 is. */
static void test_time_of_every_month(void **state)
{
    char want[sizeof "0000-00-00T00:00:00.007Z"];
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    for (int day = 0; day < 435 * 366; day++) {
        struct tm tm;
        time_t at = (time_t)day * 86400 + 1 + day % 86399;
        gmtime_r(&at, &tm);
        if ((tm.tm_mday > 1 && tm.tm_mday < 28) || (tm.tm_year > 230 && tm.tm_year < 498))
            continue;
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        pretended = at;
        LOG(LOG_NOTICE, "e", log_int("a", 1));
        pretended = 0;
        if (strncmp(taken(), want, TIME) != 0)
            fail_msg("%s instead of %s", out, want);
    }
}

static void test_text_escapes(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    LOG(LOG_NOTICE, "e", log_bytes("v", (struct spop_slice){"a\0\n\r\t\x1f\x7f\x80\xff\"\\~ !", 14}));
    assert_string_equal(text_line(),
                        "notice e v=\"a\\x00\\x0a\\x0d\\x09\\x1f\\x7f\\x80\\xff\\x22\\x5c~ !\"\n");
    LOG(LOG_NOTICE, "e", log_text("v", "\n2026-01-01T00:00:00.000Z"));
    assert_string_equal(text_line(), "notice e v=\\x0a2026-01-01T00:00:00.000Z\n");
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_JSON, LOG_NOTICE);
    LOG(LOG_NOTICE, "redis-ready", log_text("address", "a b"), log_int("ms", -3), log_text("none", NULL));
    json_t *j = json_line();
    assert_int_equal(strlen(text_of(j, "time")), TIME);
    assert_string_equal(text_of(j, "level"), "notice");
    assert_string_equal(text_of(j, "event"), "redis-ready");
    assert_string_equal(text_of(j, "address"), "a b");
    assert_int_equal(json_integer_value(json_object_get(j, "ms")), -3);
    assert_true(json_is_null(json_object_get(j, "none")));
    assert_int_equal(json_object_size(j), 6);
    json_decref(j);
}

static void test_json_escapes(void **state)
{
    (void)state;
    log_setup(LOG_JSON, LOG_NOTICE);
    LOG(LOG_NOTICE, "e", log_bytes("v", (struct spop_slice){"\"},\n\x01\xff\\", 7}));
    assert_non_null(strstr(taken(), "\"v\":\"\\u0022},\\u000a\\u0001\\u00ff\\u005c\"}\n"));
    LOG(LOG_NOTICE, "e", log_bytes("v", (struct spop_slice){"\"},\n\x01\x7f\\", 7}));
    json_t *j = json_line();
    assert_string_equal(text_of(j, "v"), "\"},\n\x01\x7f\\");
    json_decref(j);
}

static void test_levels(void **state)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};
    (void)state;
    for (int at = LOG_ERROR; at <= LOG_DEBUG; at++) {
        log_setup(LOG_TEXT, (enum log_level)at);
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            LOG((enum log_level)level, "e", log_int("a", 1));
            if (level > at)
                assert_string_equal(taken(), "");
            else
                assert_memory_equal(text_line(), words[level], strlen(words[level]));
            assert_int_equal(log_wants((enum log_level)level), level <= at);
        }
    }
}

/* A line whose field has n bytes; returns whether it was marked as cut. */
static bool cut_at(size_t n, char fill, const char *mark)
{
    char *long_text = malloc(n);
    memset(long_text, fill, n);
    LOG(LOG_NOTICE, "e", log_int("first", 1), log_bytes("v", (struct spop_slice){long_text, n}),
        log_int("last", 2));
    free(long_text);
    const char *line = taken();
    assert_true(strlen(line) <= LINE);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    return strstr(line, mark);
}

static size_t largest_whole(char fill, const char *mark)
{
    size_t n = 1;
    while (!cut_at(n, fill, mark))
        n++;
    return n - 1;
}

/* Every length around the limit, for bytes that take one, four and six characters. */
static void test_truncation(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    assert_in_range(largest_whole('x', " truncated=1\n"), 3900, 3990);
    assert_in_range(largest_whole('\n', " truncated=1\n"), 970, 1000);
    assert_true(cut_at(100000, 'x', " truncated=1\n"));
    assert_non_null(strstr(out, " first=1 "));
    assert_null(strstr(out, " last="));
    log_setup(LOG_JSON, LOG_NOTICE);
    assert_in_range(largest_whole('x', ",\"truncated\":1}\n"), 3800, 3960);
    size_t n = largest_whole('\n', ",\"truncated\":1}\n");
    assert_in_range(n, 630, 660);
    for (size_t more = 1; more < 12; more++) {
        assert_true(cut_at(n + more, '\n', "\"truncated\":1"));
        json_t *j = json_loads(out, 0, NULL);
        assert_non_null(j);
        assert_non_null(text_of(j, "v"));
        json_decref(j);
    }
}

/* The cut falls into the name, the sign, the number of a later field: the line stays whole. */
static void test_truncation_anywhere(void **state)
{
    char filler[LINE];
    (void)state;
    memset(filler, 'f', sizeof filler);
    log_setup(LOG_JSON, LOG_NOTICE);
    for (size_t n = 3800; n < 4000; n++) {
        LOG(LOG_NOTICE, "e", log_bytes("v", (struct spop_slice){filler, n}), log_int("number", -123456),
            log_text("null", NULL), log_text("text", "\x01\x02"));
        json_t *j = json_line();
        json_t *number = json_object_get(j, "number");
        assert_true(!number || json_integer_value(number) == -123456);
        json_decref(j);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nobody reads: lines are lost, quickly, and counted; then all is well again. */
static void test_full_pipe_does_not_block(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    double before = seconds();
    for (int i = 0; i < 5000; i++)
        LOG(LOG_NOTICE, "flood", log_text("text", "0123456789012345678901234567890123456789"));
    assert_true(seconds() - before < 1);
    unsigned lines = 0, last = 0;
    while (taken()[0])
        for (const char *at = out; (at = strchr(at, '\n')); at++)
            lines++;
    assert_in_range(lines, 100, 4999);
    LOG(LOG_NOTICE, "after", log_int("a", 1));
    assert_int_equal(sscanf(text_line(), "notice after a=1 lost_lines=%u", &last), 1);
    assert_int_equal(lines + last, 5000);
    LOG(LOG_NOTICE, "after", log_int("a", 1));
    assert_string_equal(text_line(), "notice after a=1\n");
}

/* A reader that has gone must not kill us. */
static void test_broken_pipe(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    close(ends[0]);
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    teardown(state);
    setup(state);
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    assert_string_equal(text_line(), "notice e a=1 lost_lines=2\n");
}

/* A log line in the middle of an error path must not change what the caller says about the error. */
static void test_failed_write_leaves_errno(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_NOTICE);
    int readonly = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(readonly, STDERR_FILENO);
    close(readonly);
    errno = EDOM;
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    assert_int_equal(errno, EDOM);
    dup2(ends[1], STDERR_FILENO);
    LOG(LOG_NOTICE, "e", log_int("a", 1));
    assert_string_equal(text_line(), "notice e a=1 lost_lines=1\n");
}

static void test_gate(void **state)
{
    struct log_gate g = {0};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(log_gate_open(&g, 3, 100.0 + i * 0.1));
        assert_int_equal(g.left_out, 0);
    }
    for (unsigned i = 0; i < 5; i++)
        assert_false(log_gate_open(&g, 3, 100.9));
    assert_false(log_gate_open(&g, 3, 100.999));
    assert_true(log_gate_open(&g, 3, 101.0));
    assert_int_equal(g.left_out, 6);
    assert_true(log_gate_open(&g, 3, 101.0));
    assert_int_equal(g.left_out, 0);
    assert_true(log_gate_open(&g, 3, 101.0));
    assert_false(log_gate_open(&g, 3, 101.5));
    assert_true(log_gate_open(&g, 3, 50.0)); /* the clock stepped back */
    assert_int_equal(g.left_out, 1);
}

static void test_gate_of_one_and_none(void **state)
{
    struct log_gate one = {0}, none = {0};
    (void)state;
    for (unsigned second = 1; second < 4; second++) {
        assert_true(log_gate_open(&one, 1, second));
        assert_int_equal(one.left_out, second == 1 ? 0 : 2);
        assert_false(log_gate_open(&one, 1, second));
        assert_false(log_gate_open(&one, 1, second));
        assert_false(log_gate_open(&none, 0, second));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text),
        TEST(test_time_is_now),
        TEST(test_time_of_every_month),
        TEST(test_text_escapes),
        TEST(test_json),
        TEST(test_json_escapes),
        TEST(test_levels),
        TEST(test_truncation),
        TEST(test_truncation_anywhere),
        TEST(test_full_pipe_does_not_block),
        TEST(test_broken_pipe),
        TEST(test_failed_write_leaves_errno),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_gate_of_one_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
