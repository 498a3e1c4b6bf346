// SPDX-License-Identifier: MIT
/* spop/writer: bytes as doc/SPOE.txt has them, every room from none to enough, and what is written read back.
 */
#include "tests/unit/spop_bytes.h"
#include "spop/frame.h"
#include "spop/writer.h"

static struct spop_writer writer_on(uint8_t *buf, size_t cap)
{
    struct spop_writer w;
    spop_writer_init(&w, buf, cap);
    return w;
}

static void test_varint_read_back(void **state)
{
    static const struct {
        uint64_t value;
        size_t len;
    } cases[] = {
        {0,          1 },
        {239,        1 },
        {240,        2 },
        {2287,       2 },
        {2288,       3 },
        {264431,     3 },
        {264432,     4 },
        {33818863,   4 },
        {33818864,   5 },
        {4328786159, 5 },
        {4328786160, 6 },
        {UINT32_MAX, 5 },
        {INT64_MAX,  10},
        {UINT64_MAX, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t out[10];
        struct spop_writer w = writer_on(out, sizeof out);
        spop_put_varint(&w, cases[i].value);
        assert_int_equal(w.len, cases[i].len);
        struct spop_cursor c = cursor_of(out, w.len);
        uint64_t v;
        assert_int_equal(spop_get_varint(&c, &v), 0);
        assert_true(v == cases[i].value);
        assert_ptr_equal(c.at, c.end);
    }
    (void)state;
}

/* Every bit alone, and its neighbours. */
static void test_varint_of_every_bit(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) {
            uint8_t out[10];
            struct spop_writer w = writer_on(out, sizeof out);
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)d, v = 77;
            spop_put_varint(&w, value);
            struct spop_cursor c = cursor_of(out, w.len);
            assert_int_equal(spop_get_varint(&c, &v), 0);
            assert_true(v == value && c.at == c.end && !w.overflow);
        }
    (void)state;
}

static const uint8_t ack[] = {
    0,    0,    0,    58,   103,  0,   0,   0,   1,   0xf0, 0,    7, /* head: stream 240, frame 7 */
    1,    3,    2,    7,    'v',  'e', 'r', 'd', 'i', 'c',  't',  8,
    2,    'g',  'o', /* txn.verdict = "go" */
    1,    3,    1,    5,    'f',  'e', 'n', 'c', 'e', 4,    0xfb, 0xf0,
    0xfe, 0xfe, 0xfe, /* sess.fence = -5 */
    0xfe, 0xfe, 0xfe, 0xfe, 0x0e, 1,   3,   4,   3,   'y',  'e',  's',
    0x11, 1,    3,    0, /* res.yes = true */
    2,    'n',  'o',  1, /* proc.no = false */
};

static void write_ack(struct spop_writer *w)
{
    spop_ack_begin(w, 240, 7);
    spop_set_str(w, SPOP_TXN, "verdict", "go", 2);
    spop_set_int(w, SPOP_SESS, "fence", -5);
    spop_set_bool(w, SPOP_RES, "yes", true);
    spop_set_bool(w, SPOP_PROC, "no", false);
}

enum { ACK_LEN = sizeof ack };

static void test_ack_bytes(void **state)
{
    uint8_t out[128];
    struct spop_writer w = writer_on(out, sizeof out);
    write_ack(&w);
    assert_int_equal(spop_frame_end(&w), ACK_LEN);
    assert_int_equal(w.len, ACK_LEN);
    assert_memory_equal(out, ack, ACK_LEN);
    (void)state;
}

/* Every room that is too small, up to one byte: nothing is left behind, nothing behind the room is touched.
 */
static void test_every_room(void **state)
{
    struct guard g = guard_new();
    for (size_t cap = 0; cap <= ACK_LEN + 1; cap++) {
        struct spop_writer w = writer_on(guard_end(g, cap), cap);
        write_ack(&w);
        assert_int_equal(w.overflow, cap < ACK_LEN);
        assert_int_equal(spop_frame_end(&w), cap < ACK_LEN ? 0 : ACK_LEN);
        assert_int_equal(w.len, cap < ACK_LEN ? 0 : ACK_LEN);
        assert_false(w.overflow);
    }
    guard_free(g);
    (void)state;
}

static void test_nothing_slips_in_behind_overflow(void **state)
{
    uint8_t out[32] = {0};
    struct spop_writer w = writer_on(out, sizeof out);
    spop_ack_begin(&w, 1, 1);
    spop_put_string(&w, "0123456789012345678901234567890", 31);
    assert_true(w.overflow);
    size_t len = w.len;
    spop_put_varint(&w, 1);
    assert_int_equal(w.len, len);
    assert_int_equal(spop_frame_end(&w), 0);
    (void)state;
}

/* A frame that does not fit leaves those before it whole, and a smaller one still finds its place. */
static void test_several_frames(void **state)
{
    uint8_t out[2 * ACK_LEN + 11];
    struct spop_writer w = writer_on(out, sizeof out);
    for (int i = 0; i < 2; i++) {
        write_ack(&w);
        assert_int_equal(spop_frame_end(&w), ACK_LEN);
    }
    write_ack(&w);
    assert_int_equal(spop_frame_end(&w), 0);
    spop_ack_begin(&w, 1, 2);
    assert_int_equal(spop_frame_end(&w), 11);
    assert_int_equal(w.len, sizeof out);

    const size_t sizes[] = {ACK_LEN, ACK_LEN, 11};
    const uint8_t *at = out;
    for (int i = 0; i < 3; i++) {
        struct spop_frame f;
        assert_int_equal(spop_frame_find(at, (size_t)(out + w.len - at), 16380), sizes[i]);
        assert_int_equal(spop_frame_open(at, sizes[i], &f), SPOP_OK);
        assert_int_equal(f.stream_id, i < 2 ? 240 : 1);
        assert_int_equal(f.frame_id, i < 2 ? 7 : 2);
        at += sizes[i];
    }
    (void)state;
}

static void test_empty_and_binary_values(void **state)
{
    uint8_t out[64];
    struct spop_writer w = writer_on(out, sizeof out);
    spop_put_typed_str(&w, NULL, 0);
    spop_put_typed_str(&w, "a\0\xff", 3);
    spop_put_typed_uint(&w, UINT32_MAX);
    struct spop_cursor c = cursor_of(out, w.len);
    struct spop_value v;
    assert_int_equal(spop_get_value(&c, &v), 0);
    assert_int_equal(v.type, SPOP_STR);
    assert_int_equal(v.bytes.len, 0);
    assert_int_equal(spop_get_value(&c, &v), 0);
    assert_int_equal(v.bytes.len, 3);
    assert_memory_equal(v.bytes.ptr, "a\0\xff", 3);
    assert_int_equal(spop_get_value(&c, &v), 0);
    assert_int_equal(v.type, SPOP_UINT32);
    assert_int_equal(v.integer, UINT32_MAX);
    assert_ptr_equal(c.at, c.end);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_read_back),
        cmocka_unit_test(test_varint_of_every_bit),
        cmocka_unit_test(test_ack_bytes),
        cmocka_unit_test(test_every_room),
        cmocka_unit_test(test_nothing_slips_in_behind_overflow),
        cmocka_unit_test(test_several_frames),
        cmocka_unit_test(test_empty_and_binary_values),
    };
    return cmocka_run_group_tests_name("spop_writer", tests, NULL, NULL);
}
