// SPDX-License-Identifier: MIT
/* domain/look: the reply of look.lua, whole and cut at every byte; names of records. */
#include "tests/unit/heart.h"
#include "domain/look.h"

#include <stdlib.h>

#define DIGEST "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"

static const char reply[] = "\1\2\3\4\5\6\0\0"
                            "\2"
                            "17"
                            "ab01" DIGEST "\xe8\3\0\0\0\0\0\0"
                            "\6\0\0\0"
                            "\3\0"
                            "abc"
                            "00ff" DIGEST "\0\0\0\0\0\0\0\0"
                            "\1\0\0\0"
                            "\1\0"
                            "x";
enum { LEN = sizeof reply - 1, HEAD = 11, FIRST = HEAD + 50 + 3 };

static void whole(void **state)
{
    struct look l;
    struct look_row row;
    (void)state;
    assert_int_equal(look_open((struct spop_slice){reply, LEN}, &l), 0);
    assert_int_equal(l.now_us, 0x060504030201);
    assert_string_equal(l.cursor, "17");
    assert_int_equal(look_next(&l, &row), 1);
    assert_hex(row.id.tag, 2, "ab01");
    assert_hex(row.id.digest, 16, DIGEST);
    assert_int_equal(row.ttl_ms, 1000);
    assert_int_equal(row.len, 6);
    assert_text(row.bytes, "abc");
    assert_int_equal(look_next(&l, &row), 1);
    assert_hex(row.id.tag, 2, "00ff");
    assert_text(row.bytes, "x");
    assert_int_equal(look_next(&l, &row), 0);
}

/* A cut reply ends the walk with an error, but where a row ends. */
static void cut(void **state)
{
    (void)state;
    for (size_t n = 0; n <= LEN; n++) {
        char *copy = malloc(n ? n : 1);
        struct look l;
        struct look_row row;
        int rc, rows = 0;
        memcpy(copy, reply, n);
        rc = look_open((struct spop_slice){copy, n}, &l);
        assert_int_equal(rc, n < HEAD ? -1 : 0);
        while (rc == 0 && (rc = look_next(&l, &row)) == 1)
            rows++, rc = 0;
        assert_int_equal(rows, n < FIRST ? 0 : n < LEN ? 1 : 2);
        if (n >= HEAD)
            assert_int_equal(rc, n == HEAD || n == FIRST || n == LEN ? 0 : -1);
        free(copy);
    }
}

static void broken(void **state)
{
    char bytes[LEN];
    struct look l;
    struct look_row row;
    (void)state;
    memcpy(bytes, reply, LEN);
    bytes[9] = 'x';
    assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), -1);
    memcpy(bytes, reply, LEN);
    bytes[8] = 0;
    assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), -1);
    bytes[8] = LOOK_CURSOR + 1;
    assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), -1);
    memcpy(bytes, reply, LEN);
    bytes[HEAD + 44] = 2; /* more bytes shown than there are */
    assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), 0);
    assert_int_equal(look_next(&l, &row), -1);
}

/* A digit of another case is none of ours: that key is passed over, the next one is found. */
static void others(void **state)
{
    static const size_t at[] = {0, 3, 4, 35};
    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char bytes[LEN];
        struct look l;
        struct look_row row;
        memcpy(bytes, reply, LEN);
        bytes[HEAD + at[i]] = 'A';
        assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), 0);
        assert_int_equal(look_next(&l, &row), 1);
        assert_hex(row.id.tag, 2, "00ff");
        assert_int_equal(l.skipped, 1);
        bytes[FIRST + at[i]] = 'A';
        assert_int_equal(look_open((struct spop_slice){bytes, LEN}, &l), 0);
        assert_int_equal(look_next(&l, &row), 0);
        assert_int_equal(l.skipped, 2);
    }
}

static void names(void **state)
{
    static const char *const wrong[] = {"",
                                        "ab01" DIGEST,
                                        "ab01-" DIGEST,
                                        "ab01:" DIGEST "0",
                                        "ab0:d" DIGEST,
                                        "AB01:" DIGEST,
                                        "ab01:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1dg"};
    struct record_id id;
    char text[LOOK_NAME + 1];
    (void)state;
    assert_int_equal(look_name_read("ab01:" DIGEST, &id), 0);
    look_name_write(&id, text);
    assert_string_equal(text, "ab01:" DIGEST);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(look_name_read(wrong[i], &id), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(cut),
                                       cmocka_unit_test(broken), cmocka_unit_test(others),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
