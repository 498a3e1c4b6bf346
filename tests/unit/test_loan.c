// SPDX-License-Identifier: MIT
/* What an agent does with its loans, second by second, and the question's bytes. A loan lasts 8 s here: one second is an eighth. */
#include "tests/unit/heart.h"
#include "domain/le.h"
#include "domain/loan.h"

static const struct loan_terms terms = {.most = 64, .worth = 1, .lasts_s = 8};
static struct loan l;
static struct lend_ask a;
static uint32_t next, number;

static int begin(void **state)
{
    (void)state;
    loan_init(&l, &terms, 0);
    next = 0;
    return 0;
}

static bool take(double now, uint32_t tokens)
{
    return loan_take(&l, &terms, tokens, (struct loan_clock){now, 0}, &number);
}

static void ask(double now, bool close)
{
    loan_ask(&l, &terms, now, ++next, 0, close, &a);
}

static void said(double now, uint32_t tokens)
{
    loan_said(&l, &terms, now,
              &(struct lend_said){.kind = LEND_SAID, .tokens = tokens, .ends_us = 100000000});
}

/* A loan of so many tokens, asked for and there at once. */
static void lent(double now, uint32_t tokens)
{
    l.batch = tokens;
    loan_missed(&l, &terms, 1, now);
    assert_true(loan_wants(&l, &terms, now));
    ask(now, false);
    l.wanted = tokens;
    said(now, tokens);
    l.batch = tokens;
}

static uint32_t left(double now)
{
    return loan_left(&l, &terms, (struct loan_clock){now, 0});
}

static void nothing_at_first(void **state)
{
    (void)state;
    assert_false(take(0, 1));
    assert_int_equal(left(0), 0);
    assert_false(loan_wants(&l, &terms, 0)); /* nobody wants any */
    assert_true(loan_idle(&l));
}

static void spent_to_the_last(void **state)
{
    (void)state;
    lent(0, 3);
    assert_false(take(0, 4));
    assert_true(take(0, 2));
    assert_int_equal(number, 1);
    assert_true(take(0, 1));
    assert_false(take(0, 1));
    assert_true(loan_put(&l, number, 1));
    assert_false(loan_put(&l, 77, 1)); /* of no loan that is there */
    assert_int_equal(left(0), 1);
    assert_true(take(0, 1));
}

/* The last eighth is not spent, by this agent's clock or by Redis'. */
static void never_after_its_end(void **state)
{
    (void)state;
    lent(10, 5);
    l.parts[0].ends_us = 50000000;
    assert_true(take(16.999, 1));
    assert_int_equal(left(16.999), 4);
    assert_false(take(17, 1));
    assert_int_equal(left(17), 0);
    assert_true(loan_take(&l, &terms, 1, (struct loan_clock){10, 48999999}, &number));
    assert_false(loan_take(&l, &terms, 1, (struct loan_clock){10, 49000000}, &number));
}

/* Its time counts from when it was asked for. */
static void slow_reply(void **state)
{
    (void)state;
    l.batch = 4;
    loan_missed(&l, &terms, 1, 0);
    ask(0, false);
    said(6.5, a.wanted);
    assert_true(take(6.9, 1));
    assert_false(take(7, 1));
}

static void given_back_when_old(void **state)
{
    (void)state;
    lent(0, 40);
    assert_true(take(0, 1));
    assert_false(loan_wants(&l, &terms, 5.9));
    assert_true(loan_wants(&l, &terms, 6));
    ask(6, false);
    assert_int_equal(a.nbacks, 1);
    assert_int_equal(a.backs[0].number, 1);
    assert_int_equal(a.backs[0].tokens, 39);
    assert_int_equal(a.wanted, 20); /* there was use for it: half of what it was */
    assert_false(take(6, 1));       /* what was given back is not spent */
    assert_false(loan_put(&l, 1, 1));
    assert_int_equal(left(6), 0);
    said(6, 20);
    assert_int_equal(l.nbacks, 0);
    ask(20, false);
    assert_int_equal(a.wanted, 0); /* nobody has wanted any for long */
    assert_int_equal(a.backs[0].tokens, 20);
    said(20, 0);
    assert_true(loan_idle(&l));
}

static void ahead_of_need(void **state)
{
    (void)state;
    lent(0, 10);
    for (unsigned i = 0; i < 4; i++)
        assert_true(take(0.1, 1));
    assert_false(loan_wants(&l, &terms, 0.1));
    assert_true(take(0.1, 1)); /* half is left */
    assert_true(loan_wants(&l, &terms, 0.1));
    ask(0.1, false);
    assert_false(loan_wants(&l, &terms, 0.1)); /* one question at a time */
    assert_true(take(0.1, 5));                 /* and it is spent meanwhile */
    assert_int_equal(a.nbacks, 0);
}

/* From batch to batch: twice, half, the most, one. */
static void batches_follow_use(void **state)
{
    (void)state;
    assert_int_equal(l.batch, 4);
    uint32_t expected[] = {8, 16, 32, 64, 64};
    for (unsigned i = 0; i < 5; i++) {
        loan_missed(&l, &terms, 1000, i);
        ask(i, false);
        assert_int_equal(a.wanted, expected[i]);
        said(i, a.wanted);
        assert_true(take(i, a.wanted));
    }
    double now = 4;
    for (uint32_t want = 32; want > 0; want /= 2) {
        now += 9;
        loan_missed(&l, &terms, 1, now);
        ask(now, false);
        assert_int_equal(a.wanted, want);
        said(now, want);
        assert_true(take(now, want));
    }
    /* 20 in 2 s are 40 in half of a loan's time. */
    l.batch = 30;
    l.use = 20;
    l.since = now;
    ask(now + 2, false);
    assert_int_equal(a.wanted, 40);
}

static void worth_it(void **state)
{
    struct loan_terms t = terms;
    (void)state;
    t.worth = 3;
    for (unsigned i = 0; i < 20; i++) { /* two in a loan's time are not */
        loan_missed(&l, &t, 1, i * 5.0);
        assert_false(loan_wants(&l, &t, i * 5.0));
    }
    for (unsigned i = 101; i < 104; i++)
        loan_missed(&l, &t, 1, i);
    assert_true(loan_wants(&l, &t, 103));
}

/* Redis had less: not asked again at once. */
static void pauses_when_there_is_none(void **state)
{
    (void)state;
    loan_missed(&l, &terms, 1, 0);
    ask(0, false);
    said(0, a.wanted - 1);
    assert_true(take(0, a.wanted - 1));
    assert_false(loan_wants(&l, &terms, 0.49));
    assert_true(loan_wants(&l, &terms, 0.5));
}

/* What came of a question without a reply is not spent, and closed until Redis has said so. */
static void no_reply(void **state)
{
    (void)state;
    loan_missed(&l, &terms, 1, 0);
    ask(0, false);
    loan_failed(&l, &terms, 0);
    assert_int_equal(left(0), 0);
    for (unsigned i = 1; i < 4; i++) {
        assert_true(loan_wants(&l, &terms, i));
        ask(i, true);
        assert_int_equal(a.wanted, 0);
        assert_int_equal(a.nbacks, 1);
        assert_int_equal(a.backs[0].number, 1);
        assert_int_equal(a.backs[0].tokens, 2);
        if (i == 1)
            loan_failed(&l, &terms, i);
        else
            loan_said(&l, &terms, i, &(struct lend_said){.kind = i == 2 ? LEND_LATE : LEND_SAID});
    }
    assert_true(loan_idle(&l));
}

/* However often that happens: nothing new is asked for when there is no room to remember it. */
static void bounded(void **state)
{
    (void)state;
    unsigned wanted = 0;
    for (unsigned i = 0; i < 40; i++) {
        loan_missed(&l, &terms, 1, i);
        ask(i, false);
        wanted += a.wanted > 0;
        assert_true(a.nbacks <= LEND_BACKS_MAX);
        loan_failed(&l, &terms, i);
    }
    assert_int_equal(wanted, LEND_BACKS_MAX);
    begin(state);
    for (unsigned i = 0; i < 8; i++) { /* nor when all places for loans are taken */
        double now = 1 + i * 0.6;
        loan_missed(&l, &terms, 1, now);
        ask(now, false);
        said(now, a.wanted > 0);
        l.batch = 20;
    }
    assert_int_equal(l.nparts, LOAN_PARTS);
}

/* A reply to what was forgotten meanwhile, or more than was asked for, is not spent. */
static void forgotten(void **state)
{
    (void)state;
    lent(0, 10);
    loan_missed(&l, &terms, 1, 0);
    l.batch = 60;
    ask(0, false);
    loan_forget(&l);
    said(0, a.wanted);
    assert_int_equal(left(0), 0);
    loan_missed(&l, &terms, 1, 1);
    ask(1, false);
    said(1, a.wanted + 1);
    assert_int_equal(left(1), 0);
}

static void closes_all(void **state)
{
    (void)state;
    lent(0, 10);
    lent(0.1, 30);
    ask(1, true);
    assert_int_equal(a.nbacks, 2);
    assert_int_equal(a.wanted, 0);
    said(1, 0);
    assert_true(loan_idle(&l));
}

/* For requests that wait: all of it stays until none of them can put its tokens back, then all of it goes. */
static void brief(void **state)
{
    const struct loan_clock c = {0.1, 0};
    (void)state;
    assert_true(loan_may_need(&l, &terms, 0));
    loan_ask(&l, &terms, 0, ++next, 5, false, &a);
    assert_int_equal(a.needed, 5);
    assert_int_equal(a.wanted, 0);
    assert_false(loan_may_need(&l, &terms, 0));
    said(0, 5);
    assert_int_equal(l.pause > 0, 0); /* no reason to ask for less */
    assert_true(loan_take_waited(&l, &terms, 2, c, &number));
    assert_true(loan_take_waited(&l, &terms, 2, c, &number));
    assert_false(loan_take_waited(&l, &terms, 2, c, &number));
    assert_false(loan_over(&l));
    assert_false(loan_idle(&l));
    loan_spent(&l, number, 2);
    assert_false(loan_over(&l));
    assert_true(loan_put(&l, number, 2));
    assert_true(loan_over(&l) && loan_wants(&l, &terms, 0.1));
    loan_ask(&l, &terms, 0.1, ++next, 0, false, &a);
    assert_int_equal(a.nbacks, 1);
    assert_int_equal(a.backs[0].tokens, 3);
    assert_int_equal(a.wanted + a.needed, 0);
    said(0.1, 0);
    assert_true(loan_idle(&l));
}

/* No reply: whatever was lent is given back unspent; and there is no more room than for so many of these. */
static void brief_without_reply(void **state)
{
    (void)state;
    loan_ask(&l, &terms, 0, ++next, 5, false, &a);
    loan_failed(&l, &terms, 0);
    ask(1, false);
    assert_int_equal(a.nbacks, 1);
    assert_int_equal(a.backs[0].number, 1);
    assert_int_equal(a.backs[0].tokens, 5);
    said(1, 0);
    assert_true(loan_idle(&l));
    unsigned asked = 0;
    for (double now = 2; now < 3 && loan_may_need(&l, &terms, now); now += 0.01, asked++) {
        loan_ask(&l, &terms, now, ++next, 1, false, &a);
        said(now, 1);
        assert_true(loan_take_waited(&l, &terms, 1, (struct loan_clock){now, 0}, &number));
    }
    assert_int_equal(asked, LOAN_PARTS);
    begin(state);
    for (asked = 0; asked < 40 && loan_may_need(&l, &terms, 0); asked++) {
        loan_ask(&l, &terms, 0, ++next, 1, false, &a);
        loan_failed(&l, &terms, 0);
    }
    assert_int_equal(asked, LEND_BACKS_MAX);
}

/* Where nothing is lent, nothing is asked for but what is needed. */
static void never_ahead(void **state)
{
    struct loan_terms t = {.most = 1, .worth = LOAN_NEVER, .lasts_s = 8};
    (void)state;
    loan_missed(&l, &t, 100, 0);
    assert_false(loan_wants(&l, &t, 0));
    loan_ask(&l, &t, 0, ++next, 1, false, &a);
    assert_int_equal(a.wanted, 0);
    said(0, 1);
    assert_true(loan_take_waited(&l, &t, 1, (struct loan_clock){0, 0}, &number));
    loan_missed(&l, &t, 100, 0);
    assert_false(loan_wants(&l, &t, 0));
}

static void question(void **state)
{
    struct lend_ask q = {.limit = 0x64636261,
                         .increment = 1,
                         .capacity = 2,
                         .most = 600000,
                         .number = 7,
                         .nbacks = LEND_BACKS_MAX};
    struct buf out = {0};
    (void)state;
    q.lasts_ms = 2000;
    q.wanted = 9;
    q.needed = 11;
    q.backs[LEND_BACKS_MAX - 1] = (struct lend_back){0x11223344, 5};
    lend_write(&out, &q);
    const uint8_t *end = out.data + out.len;
    assert_memory_equal(out.data, "*5\r\n$7\r\nEVALSHA\r\n$40\r\n", 22);
    assert_int_equal(le_get(end - 10, 4), 0x11223344);
    assert_int_equal(le_get(end - 6, 4), 5);
    const uint8_t *arg = end - 2 - 65 - LEND_BACKS_MAX * 8;
    assert_memory_equal(arg - 6, "$129\r\n", 6);
    assert_int_equal(le_get(arg + 16, 4), 0x64636261);
    assert_int_equal(le_get(arg + 44, 4), 60060); /* 600000 ticks are 60 ms */
    assert_int_equal(le_get(arg + 48, 4), 2000);
    assert_int_equal(le_get(arg + 52, 4), 7);
    assert_int_equal(le_get(arg + 56, 4), 9);
    assert_int_equal(le_get(arg + 60, 4), 11);
    assert_int_equal(arg[64], LEND_BACKS_MAX);
    buf_free(&out);
}

static void put_f64(uint8_t *at, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    le_put(at, bits, 8);
}

/* Each length but the right one, each letter but three, numbers that are none. */
static void replies(void **state)
{
    uint8_t r[39] = {0};
    struct lend_said s;
    (void)state;
    put_f64(r + 1, 1e15);
    le_put(r + 9, 12, 4);
    put_f64(r + 13, 2e15);
    put_f64(r + 21, 3);
    put_f64(r + 29, 4);
    r[37] = 5;
    for (unsigned letter = 0; letter < 256; letter++) {
        r[0] = (uint8_t)letter;
        for (size_t len = 0; len <= sizeof r; len++) {
            bool ok = letter == 'S' ? len == 38 : (letter == 'P' || letter == 'X') && len == 9;
            assert_int_equal(lend_read((struct spop_slice){(const char *)r, len}, &s), ok ? 0 : -1);
        }
    }
    r[0] = 'S';
    assert_int_equal(lend_read((struct spop_slice){(const char *)r, 38}, &s), 0);
    assert_true(s.kind == LEND_SAID && s.now_us == 1000000000000000 && s.tokens == 12 &&
                s.ends_us == 2000000000000000 && s.closed == 5);
    for (unsigned i = 0; i < 4; i++) {
        static const unsigned at[] = {1, 13, 21, 29};
        double kept, bad[] = {-1, 1.0 / 0.0, 0.0 / 0.0};
        memcpy(&kept, r + at[i], 8);
        for (unsigned b = 0; b < 3; b++) {
            put_f64(r + at[i], bad[b]);
            assert_int_equal(lend_read((struct spop_slice){(const char *)r, 38}, &s), -1);
        }
        memcpy(r + at[i], &kept, 8);
    }
}

#define T(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_at_first),
        T(spent_to_the_last),
        T(never_after_its_end),
        T(slow_reply),
        T(given_back_when_old),
        T(ahead_of_need),
        T(batches_follow_use),
        T(worth_it),
        T(pauses_when_there_is_none),
        T(no_reply),
        T(bounded),
        T(forgotten),
        T(closes_all),
        T(brief),
        T(brief_without_reply),
        T(never_ahead),
        T(question),
        T(replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
