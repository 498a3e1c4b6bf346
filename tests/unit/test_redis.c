// SPDX-License-Identifier: MIT
/* Calls to a real Redis: what a reply becomes, order, one write for each turn, limits, deadlines, NOSCRIPT,
 * and everything that may be done inside a callback. Losing the connection: test_redis_link.c. */
#include "adapters/redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/script.h"
#include "tests/support/redis_fixture.h"

/* hiredis 0.14 writes with write(), 1.x with send(): both are counted on their way. */
static unsigned writes;
ssize_t write(int fd, const void *bytes, size_t len)
{
    writes++;
    return syscall(SYS_write, fd, bytes, len);
}
ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    writes++;
    return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

static struct redis_fixture f;

/* One call and what became of it. */
struct seen {
    unsigned told; /* how often */
    enum redis_status status;
    char bytes[128];
    size_t len;
    int64_t integer;
    double at;
    unsigned order;
};
static unsigned orders;

/* Texts of an array, parted by commas; nil is `-`. */
static void join(const struct redis_reply *reply, char out[128])
{
    for (unsigned i = 0; i < reply->nitems; i++) {
        struct spop_slice item = redis_item(reply, i);
        out += sprintf(out, "%s%.*s", i ? "," : "", item.ptr ? (int)item.len : 1, item.ptr ? item.ptr : "-");
    }
    assert_null(redis_item(reply, reply->nitems).ptr);
}

static void see(void *arg, const struct redis_reply *reply)
{
    struct seen *s = arg;
    s->told++;
    s->status = reply->status;
    s->integer = reply->integer;
    s->len = reply->bytes.len < sizeof s->bytes ? reply->bytes.len : sizeof s->bytes - 1;
    if (s->len)
        memcpy(s->bytes, reply->bytes.ptr, s->len);
    s->bytes[s->len] = '\0';
    if (s->status == REDIS_ITEMS)
        join(reply, s->bytes);
    s->at = ev_time();
    s->order = ++orders;
}

static bool was_told(void *arg)
{
    return ((struct seen *)arg)->told > 0;
}

static size_t resp(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Words separated by blanks to RESP. */
static size_t resp(char *out, const char *format, ...)
{
    char line[256], tail[300] = "", one[80];
    unsigned n = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " "), n++) {
        snprintf(one, sizeof one, "$%zu\r\n%s\r\n", strlen(word), word);
        strcat(tail, one);
    }
    return (size_t)sprintf(out, "*%u\r\n%s", n, tail);
}

/* deadline: seconds from now; 0: none. */
static struct redis_call *ask(const char *command, double deadline, redis_reply_fn *fn, void *arg)
{
    char out[400];
    size_t len = resp(out, "%s", command);
    return redis_submit(f.redis, out, len, deadline, fn, arg);
}

static void ask_and_wait(const char *command, struct seen *s)
{
    *s = (struct seen){0};
    assert_non_null(ask(command, 0, see, s));
    assert_int_equal(s->told, 0);
    redis_fixture_until(&f, was_told, s);
}

/* A word that finds nothing: its reply is N. */
static void put_evalsha(struct buf *out)
{
    struct word w = {.script = SCRIPT_RELEASE_RID, .ttl_s = 60};
    buf_reset(out);
    script_word(out, &w);
}

static int begin(void **state)
{
    (void)state;
    redis_fixture_begin(&f);
    return 0;
}

static int end(void **state)
{
    (void)state;
    redis_fixture_stop(&f);
    return 0;
}

static void kinds_of_reply(void **state)
{
    (void)state;
    struct seen s;
    ask_and_wait("SET k v", &s);
    assert_int_equal(s.status, REDIS_BYTES);
    assert_string_equal(s.bytes, "OK");
    redis_server_do(&f.server, "SET z %b", "a\0b\xff", (size_t)4);
    ask_and_wait("GET z", &s);
    assert_int_equal(s.status, REDIS_BYTES);
    assert_int_equal(s.len, 4);
    assert_memory_equal(s.bytes, "a\0b\xff", 4);
    ask_and_wait("INCRBY n -7", &s);
    assert_int_equal(s.status, REDIS_INT);
    assert_int_equal(s.integer, -7);
    ask_and_wait("GET nothing", &s);
    assert_int_equal(s.status, REDIS_NIL);
    ask_and_wait("INCR k", &s);
    assert_int_equal(s.status, REDIS_ERROR);
    assert_non_null(strstr(s.bytes, "not an integer"));
    ask_and_wait("MGET k nothing z", &s);
    assert_int_equal(s.status, REDIS_ITEMS);
    assert_string_equal(s.bytes, "v,-,a"); /* up to z's NUL */
    assert_int_equal(s.told, 1);
    assert_int_equal(f.metrics.value[METRIC_REDIS_COMMANDS], 5);
    assert_int_equal(f.metrics.value[METRIC_REDIS_ERRORS], 1);
}

static void order_and_one_write(void **state)
{
    (void)state;
    enum { N = 200 };
    struct seen s[N] = {{0}};
    char command[32];
    redis_fixture_run(&f, 0.26); /* just after a TIME: the next one is a quarter of a second away */
    unsigned before = writes;
    for (unsigned i = 0; i < N; i++) {
        snprintf(command, sizeof command, "APPEND k %c", 'a' + i % 26);
        assert_non_null(ask(command, 0, see, &s[i]));
    }
    assert_int_equal(writes, before);
    redis_fixture_until(&f, was_told, &s[N - 1]);
    assert_in_range(writes - before, 1, 2); /* 2: a TIME of the tick */
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(s[i].told, 1);
        assert_int_equal(s[i].integer, i + 1);
        if (i > 0)
            assert_true(s[i].order > s[i - 1].order);
    }
}

/* Exactly full, one over; and a late call is on its way until its reply has come. */
static void max_pending(void **state)
{
    (void)state;
    enum { N = 8 };
    struct seen s[N] = {{0}}, over = {0};
    f.config->redis.max_pending = N;
    redis_reconfigure(f.redis, &f.config->redis);
    assert_int_equal(f.ready, 1);
    assert_true(redis_ready(f.redis)); /* not connected anew for that */
    kill(f.server.pid, SIGSTOP);
    for (unsigned i = 0; i < N; i++)
        assert_non_null(ask("INCR n", 0.05, see, &s[i]));
    assert_null(ask("INCR n", 0, see, &over));
    assert_int_equal(f.metrics.value[METRIC_REDIS_FULL], 1);
    redis_fixture_until(&f, was_told, &s[N - 1]);
    assert_int_equal(s[N - 1].status, REDIS_LATE);
    assert_null(ask("INCR n", 0, see, &over));
    kill(f.server.pid, SIGCONT);
    redis_fixture_run(&f, 0.1);
    assert_non_null(ask("INCR n", 0, see, &over));
    redis_fixture_until(&f, was_told, &over);
    assert_int_equal(over.integer, N + 1);
    assert_int_equal(over.told, 1);
}

/* Late in the order of the deadlines, each in its time; those without one are not touched. */
static void deadlines(void **state)
{
    (void)state;
    static const double budget[] = {0.20, 0.05, 0, 0.10, 0.05, 1.50};
    enum { N = sizeof budget / sizeof *budget };
    struct seen s[N] = {{0}}, after = {0};
    kill(f.server.pid, SIGSTOP);
    double start = ev_time();
    for (unsigned i = 0; i < N; i++)
        assert_non_null(ask("INCR n", budget[i], see, &s[i]));
    redis_fixture_until(&f, was_told, &s[0]);
    assert_int_equal(s[5].told, 0);
    assert_int_equal(s[2].told, 0);
    assert_true(s[1].order < s[3].order && s[4].order < s[3].order && s[3].order < s[0].order);
    for (unsigned i = 0; i < 5; i++) {
        if (i == 2)
            continue;
        assert_int_equal(s[i].status, REDIS_LATE);
        assert_true(s[i].at - start >= budget[i] - 0.001);
        assert_true(s[i].at - start < budget[i] + 0.5);
    }
    kill(f.server.pid, SIGCONT);
    redis_fixture_until(&f, was_told, &s[5]);
    assert_int_equal(s[5].integer, 6); /* all six have run */
    assert_int_equal(s[2].integer, 3);
    ask_and_wait("INCR n", &after);
    assert_int_equal(after.integer, 7);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(s[i].told, 1);
    assert_int_equal(f.lost, 0);
    assert_int_equal(f.metrics.value[METRIC_REDIS_LATE], 4);
    assert_int_equal(f.metrics.value[METRIC_REDIS_COMMANDS], 3); /* each call counts once */
    uint64_t measured = 0;
    for (unsigned i = 0; i < METRIC_LATENCY_BUCKETS; i++)
        measured += f.metrics.latency[i];
    assert_int_equal(measured, 5); /* those with a deadline, late or not */
}

/* A deadline that has passed already: late, but not before redis_submit() has returned. */
static void deadline_in_the_past(void **state)
{
    (void)state;
    struct seen s = {0};
    kill(f.server.pid, SIGSTOP);
    char out[64];
    size_t len = resp(out, "INCR n");
    assert_non_null(redis_submit(f.redis, out, len, -5, see, &s));
    assert_int_equal(s.told, 0);
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_LATE);
    kill(f.server.pid, SIGCONT);
}

static void detached(void **state)
{
    (void)state;
    struct seen s[3] = {{0}};
    assert_non_null(ask("INCR n", 0, see, &s[0]));
    struct redis_call *gone = ask("INCR n", 0.5, see, &s[1]);
    redis_detach(gone);
    assert_non_null(ask("INCR n", 0, NULL, NULL)); /* nobody listens at all */
    ask_and_wait("INCR n", &s[2]);
    assert_int_equal(s[0].integer, 1);
    assert_int_equal(s[1].told, 0);
    assert_int_equal(s[2].integer, 4);
}

/* NOSCRIPT: loaded once for all that hit it, sent again, each answered once and in order; what was not a
 * script is not sent twice. */
static void script_flush(void **state)
{
    (void)state;
    enum { N = 20 };
    struct seen s[N] = {{0}}, set = {0};
    struct buf word;
    buf_init(&word);
    put_evalsha(&word);
    for (unsigned round = 1; round <= 3; round++) {
        memset(s, 0, sizeof s);
        set = (struct seen){0};
        redis_server_do(&f.server, "SCRIPT FLUSH");
        assert_non_null(ask("INCR n", 0, see, &set));
        for (unsigned i = 0; i < N; i++)
            assert_non_null(redis_submit(f.redis, word.data, word.len, 0, see, &s[i]));
        redis_fixture_until(&f, was_told, &s[N - 1]);
        assert_int_equal(set.integer, round);
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(s[i].told, 1);
            assert_int_equal(s[i].status, REDIS_BYTES);
            assert_string_equal(s[i].bytes, "N");
            assert_true(i == 0 || s[i].order > s[i - 1].order);
        }
        assert_int_equal(f.metrics.value[METRIC_REDIS_NOSCRIPT], round);
    }
    buf_free(&word);
}

/* A script that nobody has: asked for a few times, then the error is the answer. */
static void unknown_script(void **state)
{
    (void)state;
    struct seen s;
    ask_and_wait("EVALSHA ffffffffffffffffffffffffffffffffffffffff 0", &s);
    assert_int_equal(s.status, REDIS_ERROR);
    assert_memory_equal(s.bytes, "NOSCRIPT", 8);
    assert_int_equal(f.metrics.value[METRIC_REDIS_NOSCRIPT], 3);
}

/* Waiting for the scripts does not stop the clock; the word that is late is not sent again. */
static void late_while_healing(void **state)
{
    (void)state;
    struct seen s = {0}, quiet = {0};
    struct buf word;
    buf_init(&word);
    put_evalsha(&word);
    redis_server_do(&f.server, "SCRIPT FLUSH");
    redis_server_do(&f.server, "CONFIG RESETSTAT");
    assert_non_null(redis_submit(f.redis, word.data, word.len, 0.15, see, &s));
    struct redis_call *call = redis_submit(f.redis, word.data, word.len, 0, see, &quiet);
    while (f.metrics.value[METRIC_REDIS_NOSCRIPT] == 0)
        ev_run(f.loop, EVRUN_ONCE);
    kill(f.server.pid, SIGSTOP);
    redis_detach(call);
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_LATE);
    kill(f.server.pid, SIGCONT);
    redis_fixture_run(&f, 0.1);
    redisReply *r = redisCommand(f.server.c, "INFO commandstats");
    assert_non_null(strstr(r->str, "cmdstat_evalsha:calls=2,"));
    freeReplyObject(r);
    assert_int_equal(s.told, 1);
    assert_int_equal(quiet.told, 0);
    buf_free(&word);
}

/* Inside a callback. */
static struct seen inner;

static void submit_again(void *arg, const struct redis_reply *reply)
{
    see(arg, reply);
    assert_non_null(ask("INCR n", 0, see, &inner));
    assert_int_equal(inner.told, 0);
}

static void free_inside(void *arg, const struct redis_reply *reply)
{
    see(arg, reply);
    redis_free(f.redis);
    f.redis = NULL;
}

static void submit_inside(void **state)
{
    (void)state;
    struct seen s = {0};
    inner = (struct seen){0};
    assert_non_null(ask("INCR n", 0, submit_again, &s));
    redis_fixture_until(&f, was_told, &inner);
    assert_int_equal(inner.integer, 2);
}

static void free_inside_reply(void **state)
{
    (void)state;
    struct seen s = {0}, rest[2] = {{0}};
    assert_non_null(ask("INCR n", 0, free_inside, &s));
    assert_non_null(ask("INCR n", 0, see, &rest[0]));
    assert_non_null(ask("INCR n", 0.5, see, &rest[1]));
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_INT);
    assert_int_equal(rest[0].status, REDIS_LOST);
    assert_int_equal(rest[1].status, REDIS_LOST);
    assert_int_equal(f.lost, 0);
    redis_fixture_run(&f, 0.3); /* no timer of it is left */
}

static void free_inside_late(void **state)
{
    (void)state;
    struct seen s = {0}, rest[2] = {{0}};
    kill(f.server.pid, SIGSTOP);
    assert_non_null(ask("INCR n", 0.02, free_inside, &s));
    assert_non_null(ask("INCR n", 0.02, see, &rest[0]));
    assert_non_null(ask("INCR n", 0, see, &rest[1]));
    redis_fixture_until(&f, was_told, &s);
    kill(f.server.pid, SIGCONT);
    assert_int_equal(s.status, REDIS_LATE);
    assert_int_equal(rest[0].told, 1);
    assert_int_equal(rest[0].status, REDIS_LOST);
    assert_int_equal(rest[1].status, REDIS_LOST);
}

static void free_with_calls_out(void **state)
{
    (void)state;
    struct seen s[3] = {{0}};
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(ask("INCR n", i ? 0.5 : 0, see, &s[i]));
    redis_free(f.redis);
    f.redis = NULL;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s[i].told, 1);
        assert_int_equal(s[i].status, REDIS_LOST);
        assert_int_equal(s[i].order, orders - 2 + i);
    }
}

static void reconfigure_inside(void *arg, const struct redis_reply *reply)
{
    see(arg, reply);
    f.config->redis.db = 3;
    redis_reconfigure(f.redis, &f.config->redis);
}

/* Another db: a new connection, everything on the old one is lost. */
static void another_db(void **state)
{
    (void)state;
    struct seen s = {0}, rest = {0};
    assert_non_null(ask("SET where 0", 0, reconfigure_inside, &s));
    assert_non_null(ask("INCR n", 0, see, &rest));
    redis_fixture_until_ready(&f, 2);
    assert_int_equal(rest.status, REDIS_LOST);
    assert_int_equal(f.lost, 1);
    ask_and_wait("SET where 3", &s);
    redis_server_do(&f.server, "SELECT 3");
    redisReply *r = redisCommand(f.server.c, "GET where");
    assert_string_equal(r->str, "3");
    freeReplyObject(r);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(kinds_of_reply),      CASE(order_and_one_write),  CASE(max_pending),
        CASE(deadlines),           CASE(deadline_in_the_past), CASE(detached),
        CASE(script_flush),        CASE(unknown_script),       CASE(late_while_healing),
        CASE(submit_inside),       CASE(free_inside_reply),    CASE(free_inside_late),
        CASE(free_with_calls_out), CASE(another_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
