// SPDX-License-Identifier: MIT
/* Replies whole, cut at every byte, and wrong; the bounds exactly reached and passed by one. */
#include "domain/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct resp r;

static long read_text(const char *text)
{
    return resp_read(slice_of(text), &r);
}

/* Every beginning of it is "later", whatever follows does not count. */
static void whole(const char *text, enum resp_kind kind, unsigned n, const char *first)
{
    static char longer[512]; /* r points into it after the return */
    size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(resp_read((struct spop_slice){text, cut}, &r), 0);
    snprintf(longer, sizeof longer, "%s+next\r\n", text);
    assert_int_equal(read_text(longer), len);
    assert_int_equal(r.kind, kind);
    assert_int_equal(r.n, n);
    if (n)
        assert_true(slice_is(r.item[0], first));
}

static void good(void **state)
{
    (void)state;
    whole("+OK\r\n", RESP_STATUS, 1, "OK");
    whole("-ERR no\r\n", RESP_ERROR, 1, "ERR no");
    whole(":-7\r\n", RESP_INT, 1, "-7");
    whole("$4\r\nonce\r\n", RESP_BULK, 1, "once");
    whole("$0\r\n\r\n", RESP_BULK, 1, "");
    whole("$3\r\n\r\n:\r\n", RESP_BULK, 1, "\r\n:");
    whole("$-1\r\n", RESP_NIL, 0, NULL);
    whole("*-1\r\n", RESP_NIL, 0, NULL);
    whole("*0\r\n", RESP_ARRAY, 0, NULL);
    whole("*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", RESP_ARRAY, 2, "127.0.0.1");
    whole("*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n", RESP_ARRAY, 3, "subscribe");
    assert_null(r.item[1].ptr);
    assert_true(slice_is(r.item[2], "1"));
}

static void bad(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "$x\r\n",
        "$\r\n",
        "$-2\r\n",
        "$1000000\r\n",
        "$9999999\r\n",
        "*129\r\n",
        "*1\r\n*0\r\n",
        "$1\r\nabc",
        "+OK\rx",
        "*1\r\n!\r\n",
        "%1\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (read_text(texts[i]) != -1)
            fail_msg("%s", texts[i]);
}

static void bounds(void **state)
{
    static char text[8192];
    (void)state;
    for (int over = 0; over <= 1; over++) {
        int n = RESP_BULK_MAX + over, head = snprintf(text, sizeof text, "$%d\r\n", n);
        memset(text + head, 'x', (size_t)n);
        strcpy(text + head + n, "\r\n");
        assert_int_equal(read_text(text), over ? -1 : head + n + 2);
        n = RESP_ITEMS_MAX + over;
        head = snprintf(text, sizeof text, "*%d\r\n", n);
        for (int i = 0; i < n; i++)
            strcpy(text + head + i * 4, ":1\r\n");
        assert_int_equal(read_text(text), over ? -1 : head + n * 4);
        n = 512 + over; /* a line */
        memset(text, '+', (size_t)n);
        strcpy(text + n, "\r\n");
        assert_int_equal(read_text(text), over ? -1 : n + 2);
        assert_int_equal(resp_read((struct spop_slice){text, (size_t)n}, &r), over ? -1 : 0);
    }
}

static void command(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out);
    resp_command(&out, (const char *const[]){"AUTH", ""}, 2);
    buf_u8(&out, 0);
    assert_string_equal((const char *)out.data, "*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(bounds),
        cmocka_unit_test(command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
