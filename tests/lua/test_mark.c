// SPDX-License-Identifier: MIT
/* The mark on a real Redis: what an agent that has seen it is told when it goes on, is gone, goes back, was
 * begun anew, or is no mark; and what is written then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/gate_fixture.h"

static struct mark seen;
static enum mark_state told;

/* Asks with what was seen. */
static enum mark_state ask(struct gate *g, bool may_begin)
{
    buf_reset(&g->out);
    script_mark(&g->out, "once:mark", &seen, may_begin);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    assert_int_equal(mark_read((struct spop_slice){r->str, (size_t)r->len}, &seen, &told), 0);
    freeReplyObject(r);
    return told;
}

static void set(struct gate *g, const char *value)
{
    redis_server_do(&g->redis, "SET once:mark %b EX 100", value, strlen(value));
}

static void expect_mark(struct gate *g, const char *value)
{
    redisReply *r = redisCommand(g->redis.c, "GET once:mark");
    assert_string_equal(r->str, value);
    freeReplyObject(r);
}

static int begin(void **state)
{
    seen = (struct mark){0};
    return gate_begin(state);
}

static void first_and_on(void **state)
{
    struct gate *g = *state;
    uint64_t before = gate_now_us(g);
    assert_int_equal(ask(g, true), MARK_FIRST);
    assert_in_range(seen.epoch, before, gate_now_us(g));
    assert_int_equal(seen.number, 1);
    uint64_t epoch = seen.epoch;
    for (unsigned n = 2; n < 5; n++) {
        assert_int_equal(ask(g, n % 2), MARK_KEPT);
        assert_int_equal(seen.number, n);
        assert_int_equal(seen.epoch, epoch);
    }
    assert_true(redis_server_int(&g->redis, "TTL once:mark") > 366 * 86400);
}

/* Nobody who has seen none begins one under "refuse". */
static void none_yet_refused(void **state)
{
    struct gate *g = *state;
    assert_int_equal(ask(g, false), MARK_WAITS);
    assert_int_equal(redis_server_int(&g->redis, "EXISTS once:mark"), 0);
    set(g, "go");
    assert_int_equal(ask(g, false), MARK_KEPT);
    assert_int_equal(seen.number, 1);
}

/* Another agent moves it on. */
static void further(void **state)
{
    struct gate *g = *state;
    seen = (struct mark){1000, 7};
    set(g, "1000 7");
    assert_int_equal(ask(g, false), MARK_KEPT);
    assert_int_equal(seen.number, 8);
    set(g, "1000 500");
    assert_int_equal(ask(g, false), MARK_KEPT);
    assert_int_equal(seen.number, 501);
}

/* Gone, one smaller, an older epoch: with and without the right to begin anew. */
static void lost(void **state)
{
    struct gate *g = *state;
    static const char *const values[] = {NULL, "1000 6", "999 900"};
    for (unsigned i = 0; i < 3; i++) {
        redis_server_do(&g->redis, "DEL once:mark");
        if (values[i])
            set(g, values[i]);
        seen = (struct mark){1000, 7};
        assert_int_equal(ask(g, false), MARK_WAITS);
        assert_int_equal(seen.number, 7);
        if (values[i])
            expect_mark(g, values[i]);
        assert_int_equal(ask(g, false), MARK_WAITS); /* as long as it takes */
        assert_int_equal(ask(g, true), MARK_LOST);
        assert_true(seen.epoch > 1000000000);
        assert_int_equal(seen.number, 1);
    }
}

/* Redis' clock has gone back: the new epoch is later all the same. */
static void epochs_grow(void **state)
{
    struct gate *g = *state;
    uint64_t ahead = gate_now_us(g) + 3600ull * 1000000;
    seen = (struct mark){ahead, 7};
    assert_int_equal(ask(g, true), MARK_LOST);
    assert_int_equal(seen.epoch, ahead + 1);
}

/* What an agent sees that was away while a loss was accepted. */
static void passed(void **state)
{
    struct gate *g = *state;
    set(g, "2000 3");
    seen = (struct mark){1000, 7};
    assert_int_equal(ask(g, false), MARK_PASSED);
    assert_int_equal(seen.epoch, 2000);
    assert_int_equal(ask(g, false), MARK_KEPT);
    set(g, "go");
    assert_int_equal(ask(g, false), MARK_PASSED);
    assert_true(seen.epoch > 2000);
}

static void foreign(void **state)
{
    struct gate *g = *state;
    static const char *const values[] = {"", "GO", "1000", "1000 7 ", "-1000 7", "99999999999999999999 1"};
    seen = (struct mark){1000, 7};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        set(g, values[i]);
        assert_int_equal(ask(g, true), MARK_FOREIGN);
        expect_mark(g, values[i]);
    }
    redis_server_do(&g->redis, "DEL once:mark");
    redis_server_do(&g->redis, "LPUSH once:mark x");
    redis_server_do(&g->redis, "EXPIRE once:mark 100");
    assert_int_equal(ask(g, true), MARK_FOREIGN);
    assert_int_equal(seen.number, 7);
}

/* A claim compares as the question does: what it finds, and what it has left undone if that is a loss. */
static void compared_by_claims(void **state)
{
    struct gate *g = *state;
    static const struct {
        const char *value; /* NULL: there is none */
        char kind;
    } cases[] = {
        {"1000 7",                 'G'},
        {"1000 8",                 'G'},
        {"1001 1",                 'G'},
        {"go",                     'G'},
        {NULL,                     'W'},
        {"1000 6",                 'W'},
        {"999 900",                'W'},
        {"",                       'W'},
        {"GO",                     'W'},
        {"1000",                   'W'},
        {"1000 7 ",                'W'},
        {"99999999999999999999 1", 'W'},
        {"1700000000000000 7",     'G'},
        {"1700000000000000 12",    'G'},
        {"1700000000000001 1",     'G'},
        {"1700000000000000 6",     'W'},
        {"1699999999999999 8",     'W'},
        {"1700000000000000",       'W'},
        {"1700000000000000 ",      'W'},
        {"1700000000000000 x",     'W'},
        {"xxxxxxxxxxxxxxxxxxxx",   'W'},
    };
    gate_limit(g, 6, 60, 1);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        g->mark =
            &(struct mark){strlen(cases[i].value ? cases[i].value : "") < 16 ? 1000 : 1700000000000000, 7};
        redis_server_do(&g->redis, "FLUSHALL");
        if (cases[i].value)
            set(g, cases[i].value);
        assert_int_equal(gate_claim_as(g, 'r'), cases[i].kind);
        bool granted = cases[i].kind == 'G';
        assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_record_key(g)), granted);
        assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_limit_key(g, 0)), granted);
        if (cases[i].value)
            expect_mark(g, cases[i].value);
    }
}

/* Not even a record that is there is believed; who does not compare is not kept back; what is no text is an error. */
static void compared_before_the_record(void **state)
{
    struct gate *g = *state;
    struct mark mark = {1000, 7};
    assert_int_equal(gate_claim_as(g, 'r'), 'G');
    g->mark = &mark;
    assert_int_equal(gate_claim_as(g, 'q'), 'W');
    assert_int_equal(gate_claim_with(g, 1, 0, false), 'P');
    set(g, "1000 7");
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
    redis_server_do(&g->redis, "DEL once:mark");
    redis_server_do(&g->redis, "LPUSH once:mark x");
    redis_server_do(&g->redis, "EXPIRE once:mark 100");
    assert_int_equal(gate_claim_as(g, 'q'), 'E');
    g->mark = NULL;
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
}

/* Redis is full: the mark is still kept. */
static void at_the_memory_limit(void **state)
{
    struct gate *g = *state;
    assert_int_equal(ask(g, true), MARK_FIRST);
    redis_server_do(&g->redis, "CONFIG SET maxmemory 1");
    assert_int_equal(ask(g, true), MARK_KEPT);
    redis_server_do(&g->redis, "CONFIG SET maxmemory 0");
}

static void no_such_reply(void **state)
{
    (void)state;
    static const char bytes[18] = "Kabcdefghabcdefghi", other[17] = "Zabcdefghabcdefg";
    struct mark before = {1, 2}, m = before;
    for (size_t len = 0; len < 19; len++)
        if (len != 17)
            assert_int_equal(mark_read((struct spop_slice){bytes, len}, &m, &told), -1);
    assert_int_equal(mark_read((struct spop_slice){other, 17}, &m, &told), -1);
    assert_memory_equal(&m, &before, sizeof m);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, gate_end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(first_and_on),
        CASE(none_yet_refused),
        CASE(further),
        CASE(lost),
        CASE(epochs_grow),
        CASE(passed),
        CASE(foreign),
        CASE(at_the_memory_limit),
        CASE(no_such_reply),
        CASE(compared_by_claims),
        CASE(compared_before_the_record),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
