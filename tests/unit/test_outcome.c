// SPDX-License-Identifier: MIT
/* The claim's reply: each outcome read field by field; every reply that is one byte short or long is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/buf.h"
#include "domain/outcome.h"

static const double NOW = 1763720000123456.0;

static struct buf begin(char kind)
{
    struct buf b = {0};
    buf_u8(&b, (uint8_t)kind);
    buf_f64(&b, NOW);
    return b;
}

static int read_exact(const uint8_t *bytes, size_t len, const struct plan *p, struct outcome *o)
{
    char *copy = malloc(len ? len : 1);
    if (len)
        memcpy(copy, bytes, len);
    int result = outcome_read(copy, len, p, o);
    free(copy);
    return result;
}

/* Reads the reply, then every shorter one and one that is a byte longer; tail: the outcome ends in text of
 * any length, so that only its fixed part cannot be cut. */
static void check(struct buf *b, const struct plan *p, struct outcome *o, size_t tail)
{
    struct outcome ignored;
    for (size_t len = 0; len < b->len - tail; len++)
        assert_int_equal(read_exact(b->data, len, p, &ignored), -1);
    if (tail == 0) {
        buf_u8(b, 0);
        assert_int_equal(read_exact(b->data, b->len, p, &ignored), -1);
        b->len--;
    }
    assert_int_equal(outcome_read((const char *)b->data, b->len, p, o), 0);
    assert_int_equal(o->now_us, (uint64_t)NOW);
    assert_int_equal(o->kind, b->data[0]);
}

static struct plan plan_with(bool has_record, unsigned limits)
{
    static const struct limit bucket;
    struct plan p = {.kind = PLAN_CLAIM, .has_record = has_record, .nlimits = limits};
    for (unsigned i = 0; i < limits; i++)
        p.limits[i].limit = &bucket;
    return p;
}

static void go(void **state)
{
    (void)state;
    struct plan p = plan_with(true, 2);
    struct outcome o;
    struct buf b = begin('G');
    buf_f64(&b, 1e8);
    buf_f64(&b, 0);
    buf_le(&b, 7, 8);
    check(&b, &p, &o, 0);
    assert_int_equal(o.fence, 7);
    assert_true(o.has_levels && o.level[0] == 1e8 && o.level[1] == 0);
    p = plan_with(false, 2); /* a fence, but no record */
    assert_int_equal(read_exact(b.data, b.len, &p, &o), -1);
    buf_free(&b);
    b = begin('G');
    buf_le(&b, 0, 8);
    p = plan_with(true, 0); /* a record, but no fence */
    assert_int_equal(read_exact(b.data, b.len, &p, &o), -1);
    p = plan_with(false, 0);
    assert_int_equal(read_exact(b.data, b.len, &p, &o), 0);
    assert_false(o.has_levels);
    buf_free(&b);
}

static void yours_and_late(void **state)
{
    (void)state;
    struct plan p = plan_with(true, 1);
    struct outcome o;
    struct buf b = begin('Y');
    buf_le(&b, 9, 8);
    check(&b, &p, &o, 0);
    assert_int_equal(o.fence, 9);
    assert_false(o.has_levels);
    buf_free(&b);
    b = begin('P');
    check(&b, &p, &o, 0);
    buf_free(&b);
}

static void replay(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        size_t seen;
        int result;
    } cases[] = {
        {100,   100,  0 },
        {100,   99,   -1},
        {100,   101,  -1},
        {66,    66,   -1},
        {67,    67,   0 },
        {4096,  4096, 0 },
        {4097,  4096, 0 },
        {4097,  4097, -1},
        {60000, 4096, 0 },
        {60000, 4095, -1}
    };
    struct plan p = plan_with(true, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o;
        struct buf b = begin('D');
        buf_f64(&b, 86400000);
        buf_le(&b, cases[i].len, 4);
        for (size_t k = 0; k < cases[i].seen; k++)
            buf_u8(&b, (uint8_t)k);
        assert_int_equal(outcome_read((const char *)b.data, b.len, &p, &o), cases[i].result);
        if (cases[i].result == 0) {
            assert_int_equal(o.ttl_ms, 86400000);
            assert_int_equal(o.record_len, cases[i].len);
            assert_int_equal(o.record.len, cases[i].seen);
            assert_ptr_equal(o.record.ptr, b.data + 21);
        }
        buf_free(&b);
    }
}

static void busy(void **state)
{
    (void)state;
    struct plan p = plan_with(true, 0);
    struct outcome o;
    struct buf b = begin('B');
    buf_le(&b, 5, 8);
    buf_str(&b, "rridrrid");
    buf_f64(&b, NOW + 40000000);
    buf_u8(&b, 3);
    buf_str(&b, "1.2");
    check(&b, &p, &o, 0);
    assert_int_equal(o.fence, 5);
    assert_memory_equal(o.rid, "rridrrid", sizeof o.rid);
    assert_int_equal(o.until_us, (uint64_t)NOW + 40000000);
    assert_int_equal(o.process.len, 3);
    assert_memory_equal(o.process.ptr, "1.2", 3);
    buf_free(&b);
}

static void tomb_and_unknown(void **state)
{
    (void)state;
    struct plan p = plan_with(true, 0);
    struct outcome o;
    struct buf b = begin('T');
    buf_le(&b, 201, 2);
    buf_f64(&b, 1000);
    buf_le(&b, 77, 8);
    buf_str(&b, "/payments/7");
    check(&b, &p, &o, 11);
    assert_int_equal(o.fence, 77);
    assert_int_equal(o.status, 201);
    assert_int_equal(o.ttl_ms, 1000);
    assert_int_equal(o.location.len, 11);
    assert_memory_equal(o.location.ptr, "/payments/7", 11);
    buf_free(&b);
    b = begin('U');
    buf_le(&b, 503, 2);
    buf_f64(&b, 1000);
    check(&b, &p, &o, 0);
    assert_int_equal(o.status, 503);
    buf_free(&b);
}

static void mismatch_and_foreign(void **state)
{
    (void)state;
    static const char kinds[] = {OUTCOME_MISMATCH, OUTCOME_FOREIGN};
    struct plan p = plan_with(true, 0);
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct outcome o;
        struct buf b = begin(kinds[i]);
        buf_u8(&b, 'R');
        check(&b, &p, &o, 0);
        buf_free(&b);
    }
}

/* A window says when its newest request leaves; a shadow says its wait in each reply; where a limit counts all
 * requests, what the record says comes behind the levels too. */
static void levels_of_each_kind(void **state)
{
    (void)state;
    static const struct limit window = {.algorithm = ALGORITHM_WINDOW}, shadow = {.shadow = true};
    struct plan p = plan_with(true, 3);
    struct outcome o;
    p.limits[0].limit = &window;
    p.limits[1].limit = &shadow;
    struct buf b = begin('G');
    const double said[] = {3, 6e8, 5e8, 77, 1e8}, refused[] = {9, 5, 6e8, 5e8, 77, 1e8, 0};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        buf_f64(&b, said[i]);
    buf_le(&b, 7, 8);
    check(&b, &p, &o, 0);
    assert_true(o.level[0] == 3 && o.back[0] == 6e8 && o.wait_us[0] == 0);
    assert_true(o.level[1] == 5e8 && o.back[1] == 5e8 && o.wait_us[1] == 77);
    assert_true(o.level[2] == 1e8 && o.back[2] == 1e8 && o.wait_us[2] == 0);
    buf_free(&b);
    b = begin('L');
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        buf_f64(&b, refused[i]);
    check(&b, &p, &o, 0);
    assert_true(o.wait_us[0] == 5 && o.back[0] == 6e8 && o.wait_us[1] == 77);
    buf_free(&b);
    b = begin('L'); /* refused by a shadow only */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        buf_f64(&b, i == 1 ? 0 : refused[i]);
    assert_int_equal(read_exact(b.data, b.len, &p, &o), -1);
    buf_free(&b);
    p.counts_all = true;
    b = begin('M');
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        buf_f64(&b, said[i]);
    buf_u8(&b, 'R');
    check(&b, &p, &o, 0);
    assert_true(o.has_levels && o.level[0] == 3);
    buf_free(&b);
    b = begin('X');
    buf_u8(&b, 9);
    check(&b, &p, &o, 0);
    assert_false(o.has_levels);
    buf_free(&b);
}

static void limited(void **state)
{
    (void)state;
    struct plan p = plan_with(false, 2);
    struct outcome o;
    struct buf b = begin('L');
    buf_f64(&b, 1e8);
    buf_f64(&b, 0);
    buf_f64(&b, 6e8);
    buf_f64(&b, 250);
    check(&b, &p, &o, 0);
    assert_true(o.has_levels);
    assert_true(o.wait_us[0] == 0 && o.level[0] == 1e8 && o.wait_us[1] == 250 && o.level[1] == 6e8);
    buf_free(&b);
    b = begin('L'); /* refused by nothing */
    for (int i = 0; i < 4; i++)
        buf_f64(&b, 0);
    assert_int_equal(read_exact(b.data, b.len, &p, &o), -1);
    p.refused = true; /* but by one that was asked apart */
    assert_int_equal(read_exact(b.data, b.len, &p, &o), 0);
    buf_free(&b);
}

static void refuses_numbers_that_are_none(void **state)
{
    (void)state;
    static const double bad[] = {-1, 1e300, 0.0 / 0.0, 1.0 / 0.0};
    struct plan p = plan_with(true, 0);
    struct outcome o;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = {0};
        buf_u8(&b, 'P');
        buf_f64(&b, bad[i]);
        assert_int_equal(read_exact(b.data, b.len, &p, &o), -1);
        buf_free(&b);
    }
}

/* Every first byte that is no outcome; and those of a record, where the plan has none. */
static void refuses_other_kinds(void **state)
{
    (void)state;
    struct plan with = plan_with(true, 0), without = plan_with(false, 0);
    struct outcome o;
    for (unsigned kind = 0; kind < 256; kind++) {
        struct buf b = begin((char)kind);
        bool bare = kind == 'P' || kind == 'W';
        assert_int_equal(read_exact(b.data, b.len, &with, &o), bare ? 0 : -1);
        buf_u8(&b, 'R');
        bool one_byte = kind == 'M' || kind == 'X';
        assert_int_equal(read_exact(b.data, b.len, &with, &o), one_byte ? 0 : -1);
        assert_int_equal(read_exact(b.data, b.len, &without, &o), -1);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go),
        cmocka_unit_test(yours_and_late),
        cmocka_unit_test(replay),
        cmocka_unit_test(busy),
        cmocka_unit_test(tomb_and_unknown),
        cmocka_unit_test(mismatch_and_foreign),
        cmocka_unit_test(limited),
        cmocka_unit_test(levels_of_each_kind),
        cmocka_unit_test(refuses_numbers_that_are_none),
        cmocka_unit_test(refuses_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
