// SPDX-License-Identifier: MIT
/* domain/listing against answers captured from HAProxy 2.6.12: whole, cut at every byte, and bent. */
#include "domain/listing.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TOKEN "EAAAAAECAwQFBgcICQoLDA0ODw8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB4"

static const char two[] = "# table: once_inflight, type: string, size:1000, used:2\n"
                          "0x7f23e8042698: key=" TOKEN " use=1 exp=800 gpt0=0 conn_cur=1\n"
                          "0x55ca164cd6f8: key=a\\ b\\=c\\\\d\\xFF use=0 exp=701 gpt0=200 conn_cur=0\n";
static const char none[] = "# table: once_inflight, type: string, size:1000, used:0\n";
/* 3.0 has a column more, and another order. */
static const char newer[] = "# table: once_inflight, type: string, size:1000, used:1\n"
                            "0x7f23e8042698: key=" TOKEN " use=0 exp=701 shard=0 gpt0=503 conn_cur=0\n";

static enum listing_status open_text(const char *text, unsigned max, struct listing *l)
{
    return listing_open(slice_of(text), "once_inflight", max, l);
}

static void test_two_entries(void **state)
{
    (void)state;
    struct listing l;
    struct listing_entry e;
    assert_int_equal(open_text(two, 10, &l), LISTING_OK);
    assert_int_equal(l.used, 2);
    assert_int_equal(l.n, 2);
    assert_true(listing_next(&l, &e));
    assert_int_equal(e.key.len, strlen(TOKEN));
    assert_memory_equal(e.key.ptr, TOKEN, e.key.len);
    assert_int_equal(e.use, 1);
    assert_int_equal(e.conn_cur, 1);
    assert_int_equal(e.gpt0, 0);
    assert_false(listing_ended(&e));
    assert_true(listing_next(&l, &e));
    assert_int_equal(e.key.len, strlen("a\\ b\\=c\\\\d\\xFF"));
    assert_int_equal(e.gpt0, 200);
    assert_true(listing_ended(&e));
    assert_false(listing_next(&l, &e));
}

static void test_empty_and_newer(void **state)
{
    (void)state;
    struct listing l;
    struct listing_entry e;
    assert_int_equal(open_text(none, 0, &l), LISTING_OK);
    assert_int_equal(l.used, 0);
    assert_false(listing_next(&l, &e));
    assert_int_equal(open_text(newer, 1, &l), LISTING_OK);
    assert_true(listing_next(&l, &e));
    assert_int_equal(e.gpt0, 503);
}

static void test_ended_needs_both(void **state)
{
    (void)state;
    assert_false(listing_ended(&(struct listing_entry){.use = 1, .conn_cur = 0}));
    assert_false(listing_ended(&(struct listing_entry){.use = 0, .conn_cur = 1}));
    assert_true(listing_ended(&(struct listing_entry){.use = 0, .conn_cur = 0, .gpt0 = 200}));
}

static void test_bound(void **state)
{
    (void)state;
    struct listing l;
    assert_int_equal(open_text(two, 2, &l), LISTING_OK);
    assert_int_equal(open_text(two, 3, &l), LISTING_OK);
    assert_int_equal(open_text(two, 1, &l), LISTING_TOO_LONG);
}

/* Cut anywhere, it is no listing; only where it ends with a whole line can nobody tell. */
static void test_every_truncation(void **state)
{
    (void)state;
    struct listing l;
    for (size_t n = 0; n < sizeof two - 1; n++) {
        char *copy = malloc(n + !n);
        memcpy(copy, two, n);
        enum listing_status got = listing_open((struct spop_slice){copy, n}, "once_inflight", 10, &l);
        bool line = n > 0 && two[n - 1] == '\n';
        assert_int_equal(got, line ? LISTING_OK : LISTING_BROKEN);
        free(copy);
    }
}

static void test_bent(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "Unknown command\n",
        "Permission denied\n",
        "# table: once_other, type: string, size:1000, used:0\n",
        "# table: once_inflight, type: ip, size:1000, used:0\n",
        "# table: once_inflight, type: string, size:1000, used:\n",
        "# table: once_inflight, type: string, size:1000, used:1 \n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1: key=a use=1 exp=1 gpt0=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1: key=a use= exp=1 gpt0=0 conn_cur=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1: key=a use=1x exp=1 gpt0=0 "
        "conn_cur=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1: key= use=1 exp=1 gpt0=0 conn_cur=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1 key=a use=1 exp=1 gpt0=0 conn_cur=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n1: key=a use=1 exp=1 gpt0=0 conn_cur=0\n",
        "# table: once_inflight, type: string, size:1000, used:1\n\n",
        "# table: once_inflight, type: string, size:1000, used:1\n0x1: key=a use=1 gpt0=18446744073709551616 "
        "conn_cur=0\n",
    };
    struct listing l;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(open_text(bad[i], 10, &l), LISTING_BROKEN);
    assert_int_equal(open_text("No such table\n", 10, &l), LISTING_NO_TABLE);
}

static void test_info(void **state)
{
    (void)state;
    struct process_info i;
    static const char captured[] =
        "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nNbproc: 1\nProcess_num: 1\nPid: 8236\n"
        "Uptime: 0d 0h00m01s\nCurrConns: 3\nCumConns: 1\nnode: vm\nStopping: 1\nJobs: 3\n";
    assert_int_equal(process_info_read(slice_of(captured), &i), 0);
    assert_int_equal(i.pid, 8236);
    assert_int_equal(i.connections, 3);
    assert_true(i.stopping);
    assert_int_equal(process_info_read(slice_of("Pid: 8236\nCurrConns: 0\nStopping: 0\n"), &i), 0);
    assert_false(i.stopping);
    assert_int_equal(process_info_read(slice_of("Pid: 8236\nCurrConns: 0\n"), &i), -1);
    assert_int_equal(process_info_read(slice_of("Pid: 8236\nCurrConns: 0\nStopping: 0"), &i), -1);
    assert_int_equal(process_info_read(slice_of("Pid: 8236x\nCurrConns: 0\nStopping: 0\n"), &i), -1);
}

static void test_start(void **state)
{
    (void)state;
    uint64_t us;
    assert_int_equal(process_start_read(slice_of("proc.once_start: type=sint value=<1795258557074782>"), &us),
                     0);
    assert_int_equal(us, 1795258557074782);
    assert_int_equal(process_start_read(slice_of("proc.once_start: type=sint value=<0>"), &us), -1);
    assert_int_equal(process_start_read(slice_of("proc.once_start: type=sint value=<17952"), &us), -1);
    assert_int_equal(process_start_read(slice_of("Variable not found.\n"), &us), -1);
}

static void test_process(void **state)
{
    (void)state;
    struct process p, q;
    assert_int_equal(process_read("12.345.web-1.example", 20, &p), 0);
    assert_int_equal(p.pid, 12);
    assert_int_equal(p.start_us, 345);
    assert_int_equal(process_read("12.345", 6, &q), 0);
    assert_true(process_same(&p, &q));
    assert_int_equal(process_read("12.346", 6, &q), 0);
    assert_false(process_same(&p, &q));
    static const char *const bad[] = {"",      "12",  "12.",     ".345",  "12.x",
                                      "12.3x", "x.3", "12..web", "0.345", "12.0"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(process_read(bad[i], strlen(bad[i]), &p), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_entries),
        cmocka_unit_test(test_empty_and_newer),
        cmocka_unit_test(test_ended_needs_both),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_bent),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
