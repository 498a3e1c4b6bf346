// SPDX-License-Identifier: MIT
/* spop/cursor: every item whole, cut at every byte, and with its last byte against an unmapped page. */
#include "tests/unit/spop_bytes.h"

/* Format: HAProxy doc/SPOE.txt 3.1, the limits of its table of varints. */
static const struct {
    uint64_t value;
    size_t len;
    uint8_t bytes[10];
} varints[] = {
    {0,          1,  {0}                                                         },
    {1,          1,  {1}                                                         },
    {239,        1,  {0xef}                                                      },
    {240,        2,  {0xf0, 0}                                                   },
    {241,        2,  {0xf1, 0}                                                   },
    {2287,       2,  {0xff, 0x7f}                                                },
    {2288,       3,  {0xf0, 0x80, 0}                                             },
    {264431,     3,  {0xff, 0xff, 0x7f}                                          },
    {264432,     4,  {0xf0, 0x80, 0x80, 0}                                       },
    {33818863,   4,  {0xff, 0xff, 0xff, 0x7f}                                    },
    {33818864,   5,  {0xf0, 0x80, 0x80, 0x80, 0}                                 },
    {UINT32_MAX, 5,  {0xff, 0xf0, 0xfe, 0xfe, 0x7e}                              },
    {4328786159, 5,  {0xff, 0xff, 0xff, 0xff, 0x7f}                              },
    {4328786160, 6,  {0xf0, 0x80, 0x80, 0x80, 0x80, 0}                           },
    {INT64_MAX,  10, {0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x06}},
    {UINT64_MAX, 10, {0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e}},
};

static void test_varint_limits(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) {
        const uint8_t *at = guard_put(g, varints[i].bytes, varints[i].len);
        struct spop_cursor c = cursor_of(at, varints[i].len);
        uint64_t v = 77;
        assert_int_equal(spop_get_varint(&c, &v), 0);
        assert_true(v == varints[i].value);
        assert_ptr_equal(c.at, c.end);
    }
    guard_free(g);
    (void)state;
}

static void test_varint_cut_anywhere(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++)
        for (size_t len = 0; len < varints[i].len; len++) {
            const uint8_t *at = guard_put(g, varints[i].bytes, len);
            struct spop_cursor c = cursor_of(at, len);
            uint64_t v = 77;
            assert_int_equal(spop_get_varint(&c, &v), -1);
            assert_ptr_equal(c.at, at);
            assert_int_equal(v, 77);
        }
    guard_free(g);
    (void)state;
}

static void test_varint_stops_at_its_end(void **state)
{
    const uint8_t two[] = {0xf0, 0, 5};
    struct spop_cursor c = cursor_of(two, sizeof two);
    uint64_t v;
    assert_int_equal(spop_get_varint(&c, &v), 0);
    assert_int_equal(v, 240);
    assert_int_equal(spop_get_varint(&c, &v), 0);
    assert_int_equal(v, 5);
    (void)state;
}

/* One more than 2^64 - 1, a tenth byte that does not fit, and varints that never end. */
static void test_varint_overflow(void **state)
{
    static const struct {
        size_t len;
        uint8_t bytes[12];
    } bad[] = {
        {10, {0xf0, 0xf1, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e}            },
        {10, {0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0f}            },
        {10, {0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x10}            },
        {11, {0xf0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}         },
        {12, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spop_cursor c = cursor_of(bad[i].bytes, bad[i].len);
        uint64_t v;
        assert_int_equal(spop_get_varint(&c, &v), -1);
        assert_ptr_equal(c.at, bad[i].bytes);
    }
    (void)state;
}

#define TEN "0123456789"

static const struct {
    const char *bytes;
    size_t len;
    enum spop_type type;
    int64_t integer;
    const char *content;
    size_t content_len;
} values[] = {
    {"\x00",                                         1,  SPOP_NULL,   0,          "",              0 },
    {"\xf0",                                         1,  SPOP_NULL,   0,          "",              0 },
    {"\x01",                                         1,  SPOP_BOOL,   0,          "",              0 },
    {"\x11",                                         1,  SPOP_BOOL,   1,          "",              0 },
    {"\x21",                                         1,  SPOP_BOOL,   0,          "",              0 },
    {"\x31",                                         1,  SPOP_BOOL,   1,          "",              0 },
    {"\x02\x05",                                     2,  SPOP_INT32,  5,          "",              0 },
    {"\x02\xff\xf0\xfe\xfe\x3e",                     6,  SPOP_INT32,  INT32_MAX,  "",              0 },
    {"\x02\xf0\xf1\xfe\xfe\x3e",                     6,  SPOP_INT32,  INT32_MIN,  "",              0 },
    {"\x02\xff\xf0\xfe\xfe\x7e",                     6,  SPOP_INT32,  -1,         "",              0 },
    {"\x02\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 11, SPOP_INT32,  -1,         "",              0 },
    {"\x02\xf0\xf1\xfe\xfe\xbe\xfe\xfe\xfe\xfe\x0e", 11, SPOP_INT32,  INT32_MIN,  "",              0 },
    {"\x03\xff\xf0\xfe\xfe\x7e",                     6,  SPOP_UINT32, UINT32_MAX, "",              0 },
    {"\x04\xfb\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 11, SPOP_INT64,  -5,         "",              0 },
    {"\x04\xff\xf0\xfe\xfe\x7e",                     6,  SPOP_INT64,  UINT32_MAX, "",              0 },
    {"\x05\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 11, SPOP_UINT64, -1,         "",              0 },
    {"\x06\x7f\x00\x00\x01",                         5,  SPOP_IPV4,   0,          "\x7f\0\0\x01",  4 },
    {"\x07" TEN "\000abcde",                         17, SPOP_IPV6,   0,          TEN "\000abcde", 16},
    {"\x08\x00",                                     2,  SPOP_STR,    0,          "",              0 },
    {"\010\003a\000b",                               5,  SPOP_STR,    0,          "a\0b",          3 },
    {"\x09\x0a" TEN,                                 12, SPOP_BIN,    0,          TEN,             10},
};

static void test_value_of_each_type(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct spop_cursor c = cursor_of(guard_put(g, values[i].bytes, values[i].len), values[i].len);
        struct spop_value v;
        assert_int_equal(spop_get_value(&c, &v), 0);
        assert_int_equal(v.type, values[i].type);
        assert_true(v.integer == values[i].integer);
        assert_int_equal(v.bytes.len, values[i].content_len);
        if (v.bytes.len > 0)
            assert_memory_equal(v.bytes.ptr, values[i].content, v.bytes.len);
        assert_ptr_equal(c.at, c.end);
    }
    guard_free(g);
    (void)state;
}

static void test_value_cut_anywhere(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (size_t len = 0; len < values[i].len; len++) {
            const uint8_t *at = guard_put(g, values[i].bytes, len);
            struct spop_cursor c = cursor_of(at, len);
            struct spop_value v;
            assert_int_equal(spop_get_value(&c, &v), -1);
            assert_ptr_equal(c.at, at);
        }
    guard_free(g);
    (void)state;
}

static void test_value_that_is_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x0a\0\0\0",                                   4 }, /* reserved types */
        {"\x0f\0\0\0",                                   4 },
        {"\x02\xf0\xf1\xfe\xfe\x7e",                     6 }, /* INT32: 2^32 */
        {"\x02\xff\xf0\xfe\xfe\xbe\xfe\xfe\xfe\xfe\x0e", 11}, /* INT32: -2^31 - 1 */
        {"\x03\xf0\xf1\xfe\xfe\x7e",                     6 }, /* UINT32: 2^32 */
        {"\x08\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 11}, /* a string of 2^64 - 1 bytes */
        {"\x09\xff\xf0\xfe\xfe\x7e" TEN,                 16},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spop_cursor c = cursor_of(bad[i].bytes, bad[i].len);
        struct spop_value v;
        assert_int_equal(spop_get_value(&c, &v), -1);
        assert_ptr_equal(c.at, bad[i].bytes);
    }
    (void)state;
}

/* Exactly what is left, one more, one less. */
static void test_string_bounds(void **state)
{
    struct guard g = guard_new();
    for (uint8_t len = 9; len <= 11; len++) {
        uint8_t *at = guard_put(g, "?" TEN, 11);
        at[0] = len;
        struct spop_cursor c = cursor_of(at, 11);
        struct spop_slice s;
        assert_int_equal(spop_get_string(&c, &s), len <= 10 ? 0 : -1);
        assert_int_equal(c.at - at, len <= 10 ? len + 1 : 0);
        if (len <= 10)
            assert_int_equal(s.len, len);
    }
    guard_free(g);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_limits),           cmocka_unit_test(test_varint_cut_anywhere),
        cmocka_unit_test(test_varint_stops_at_its_end), cmocka_unit_test(test_varint_overflow),
        cmocka_unit_test(test_value_of_each_type),      cmocka_unit_test(test_value_cut_anywhere),
        cmocka_unit_test(test_value_that_is_none),      cmocka_unit_test(test_string_bounds),
    };
    return cmocka_run_group_tests_name("spop_cursor", tests, NULL, NULL);
}
