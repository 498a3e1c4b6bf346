// SPDX-License-Identifier: MIT
/* rooms/view: the last listing of each list of each process, and no more of them than there is room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rooms/view.h"

static struct view v;
static char text[400000];

/* A listing of n tokens with these fences. */
static struct listing listing_of(unsigned n, uint64_t fence)
{
    struct listing l;
    size_t len = (size_t)sprintf(text, "# table: once_inflight, type: string, size:100000, used:%u\n", n);
    for (unsigned i = 0; i < n; i++) {
        struct token t = {.fence = fence + i, .policy = 7, .ttl = 30};
        char name[TOKEN_TEXT + 1];
        token_write(&t, name);
        len +=
            (size_t)sprintf(text + len, "0x55ca164cd6f8: key=%s use=1 exp=701 gpt0=200 conn_cur=1\n", name);
    }
    assert_int_equal(listing_open((struct spop_slice){text, len}, "once_inflight", 100000, &l), LISTING_OK);
    return l;
}

static unsigned count(uint64_t pid, enum worker_list list)
{
    unsigned n = 0;
    for (unsigned i = 0; i < v.n; i++)
        n += v.entry[i].process.pid == pid && v.entry[i].list == list;
    return n;
}

static void each_list_is_replaced_alone(void **state)
{
    const struct process one = {1, 10}, two = {2, 20};
    (void)state;
    v = (struct view){0};
    view_listed(&v, &one, WORKER_RUNNING, listing_of(3, 100), 1);
    view_listed(&v, &two, WORKER_RUNNING, listing_of(2, 200), 2);
    view_listed(&v, &one, WORKER_ENDED, listing_of(1, 300), 3);
    assert_int_equal(v.n, 6);
    view_listed(&v, &one, WORKER_RUNNING, listing_of(1, 400), 4);
    assert_int_equal(count(1, WORKER_RUNNING), 1);
    assert_int_equal(count(2, WORKER_RUNNING), 2);
    assert_int_equal(count(1, WORKER_ENDED), 1);
    const struct view_entry *last = &v.entry[v.n - 1];
    assert_int_equal(last->token.fence, 400);
    assert_int_equal(last->gpt0, 200);
    assert_true(last->at == 4);
    view_listed(&v, &two, WORKER_RUNNING, listing_of(0, 0), 5);
    assert_int_equal(count(2, WORKER_RUNNING), 0);
}

static void full(void **state)
{
    const struct process one = {1, 10}, two = {2, 20};
    (void)state;
    v = (struct view){0};
    for (unsigned n = VIEW_MAX - 1; n <= VIEW_MAX + 1; n++) {
        view_listed(&v, &one, WORKER_RUNNING, listing_of(n, 100), 1);
        assert_int_equal(v.n, n < VIEW_MAX ? n : VIEW_MAX);
        assert_int_equal(v.left_out, n < VIEW_MAX ? 0 : n - VIEW_MAX);
    }
    view_listed(&v, &two, WORKER_RUNNING, listing_of(5, 1), 1);
    assert_int_equal(v.left_out, 6);
    view_listed(&v, &one, WORKER_RUNNING, listing_of(0, 0), 2);
    assert_int_equal(v.n, 0);
    assert_int_equal(v.left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_list_is_replaced_alone), cmocka_unit_test(full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
