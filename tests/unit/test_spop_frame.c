// SPDX-License-Identifier: MIT
/* spop/frame: frames found in pieces of a stream, the length's limits, and every head that must be refused.
 */
#include "tests/unit/spop_bytes.h"
#include "spop/frame.h"
#include "tests/unit/spop_captured.h"

enum { MAX_FRAME = 16380 };

static const struct {
    const uint8_t *bytes;
    size_t len;
    enum spop_frame_type type;
    uint64_t frame_id;
} captured[] = {
    {captured_healthcheck, sizeof captured_healthcheck, SPOP_HAPROXY_HELLO,      0},
    {captured_hello,       sizeof captured_hello,       SPOP_HAPROXY_HELLO,      0},
    {captured_request,     sizeof captured_request,     SPOP_NOTIFY,             1},
    {captured_response,    sizeof captured_response,    SPOP_NOTIFY,             1},
    {captured_disconnect,  sizeof captured_disconnect,  SPOP_HAPROXY_DISCONNECT, 0},
};

static void test_captured_frames_open(void **state)
{
    for (size_t i = 0; i < sizeof captured / sizeof *captured; i++) {
        struct spop_frame f;
        assert_int_equal(spop_frame_find(captured[i].bytes, captured[i].len, MAX_FRAME), captured[i].len);
        assert_int_equal(spop_frame_open(captured[i].bytes, captured[i].len, &f), SPOP_OK);
        assert_int_equal(f.type, captured[i].type);
        assert_int_equal(f.flags, SPOP_FLAG_FIN);
        assert_int_equal(f.stream_id, 0);
        assert_int_equal(f.frame_id, captured[i].frame_id);
        assert_ptr_equal(f.payload.at, captured[i].bytes + 11);
        assert_ptr_equal(f.payload.end, captured[i].bytes + captured[i].len);
    }
    (void)state;
}

/* Each prefix ends at an unmapped page, as when the bytes come one by one. */
static void test_find_on_every_prefix(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof captured / sizeof *captured; i++)
        for (size_t len = 0; len < captured[i].len; len++)
            assert_int_equal(spop_frame_find(guard_put(g, captured[i].bytes, len), len, MAX_FRAME), 0);
    guard_free(g);
    (void)state;
}

static void test_find_takes_one_frame_of_many(void **state)
{
    uint8_t stream[sizeof captured_hello + sizeof captured_request + sizeof captured_response + 3];
    uint8_t *p = stream;
    p = (uint8_t *)memcpy(p, captured_hello, sizeof captured_hello) + sizeof captured_hello;
    p = (uint8_t *)memcpy(p, captured_request, sizeof captured_request) + sizeof captured_request;
    p = (uint8_t *)memcpy(p, captured_response, sizeof captured_response) + sizeof captured_response;
    memcpy(p, captured_hello, 3);

    const size_t sizes[] = {sizeof captured_hello, sizeof captured_request, sizeof captured_response, 0};
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(spop_frame_find(stream + at, sizeof stream - at, MAX_FRAME), sizes[i]);
        at += sizes[i];
    }
    assert_int_equal(sizeof stream - at, 3);
    (void)state;
}

static void test_length_limits(void **state)
{
    static const struct {
        uint8_t prefix[4];
        long found; /* of four bytes only */
    } cases[] = {
        {{0, 0, 0, 0},             -SPOP_INVALID},
        {{0, 0, 0, 6},             -SPOP_INVALID},
        {{0, 0, 0, 7},             0            },
        {{0, 0, 0x3f, 0xfb},       0            },
        {{0, 0, 0x3f, 0xfc},       0            }, /* 16380 */
        {{0, 0, 0x3f, 0xfd},       -SPOP_TOO_BIG},
        {{0x7f, 0xff, 0xff, 0xff}, -SPOP_TOO_BIG},
        {{0x80, 0, 0, 0},          -SPOP_TOO_BIG},
        {{0xff, 0xff, 0xff, 0xff}, -SPOP_TOO_BIG},
        {{'G', 'E', 'T', ' '},     -SPOP_TOO_BIG}, /* HTTP at the wrong door */
        {{'P', 'O', 'S', 'T'},     -SPOP_TOO_BIG},
        {{0x16, 3, 1, 2},          -SPOP_TOO_BIG}, /* TLS */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(spop_frame_find(cases[i].prefix, 4, MAX_FRAME), cases[i].found);
    (void)state;
}

/* One byte under, exactly, one over: the frame is there from its last byte on. */
static void test_smallest_and_largest_frame(void **state)
{
    static uint8_t largest[SPOP_PREFIX + MAX_FRAME + 1] = {0, 0, 0x3f, 0xfc};
    const uint8_t smallest[] = {0, 0, 0, 7, 103, 0, 0, 0, 1, 9, 1, 0};
    assert_int_equal(spop_frame_find(smallest, 10, MAX_FRAME), 0);
    assert_int_equal(spop_frame_find(smallest, 11, MAX_FRAME), 11);
    assert_int_equal(spop_frame_find(smallest, 12, MAX_FRAME), 11);
    assert_int_equal(spop_frame_find(largest, SPOP_PREFIX + MAX_FRAME - 1, MAX_FRAME), 0);
    assert_int_equal(spop_frame_find(largest, SPOP_PREFIX + MAX_FRAME, MAX_FRAME), SPOP_PREFIX + MAX_FRAME);
    assert_int_equal(spop_frame_find(largest, sizeof largest, MAX_FRAME), SPOP_PREFIX + MAX_FRAME);
    (void)state;
}

enum { FIN = SPOP_FLAG_FIN, ABORT = 2 };

static const struct {
    uint8_t type, flags, stream_id, frame_id;
    enum spop_status status;
} heads[] = {
    {SPOP_NOTIFY,             FIN,         0, 1, SPOP_OK         },
    {SPOP_NOTIFY,             FIN,         9, 1, SPOP_OK         },
    {SPOP_NOTIFY,             FIN | ABORT, 9, 1, SPOP_OK         }, /* may be ignored: doc/SPOE.txt 3.2 */
    {SPOP_NOTIFY,             0,           9, 1, SPOP_FRAGMENTED },
    {SPOP_NOTIFY,             ABORT,       9, 1, SPOP_FRAGMENTED },
    {SPOP_NOTIFY,             0xfe,        9, 1, SPOP_FRAGMENTED },
    {SPOP_NOTIFY,             FIN,         9, 0, SPOP_NO_FRAME_ID},
    {SPOP_ACK,                FIN,         9, 1, SPOP_OK         },
    {SPOP_ACK,                FIN,         9, 0, SPOP_NO_FRAME_ID},
    {SPOP_ACK,                0,           9, 1, SPOP_FRAGMENTED },
    {SPOP_FRAME_UNSET,        0,           9, 1, SPOP_FRAGMENTED },
    {SPOP_FRAME_UNSET,        FIN,         9, 1, SPOP_FRAGMENTED },
    {SPOP_FRAME_UNSET,        FIN | ABORT, 9, 1, SPOP_FRAGMENTED },
    {SPOP_HAPROXY_HELLO,      FIN,         0, 0, SPOP_OK         },
    {SPOP_HAPROXY_HELLO,      FIN,         1, 0, SPOP_INVALID    },
    {SPOP_HAPROXY_HELLO,      FIN,         0, 1, SPOP_INVALID    },
    {SPOP_HAPROXY_HELLO,      0,           0, 0, SPOP_FRAGMENTED },
    {SPOP_HAPROXY_DISCONNECT, FIN,         0, 0, SPOP_OK         },
    {SPOP_HAPROXY_DISCONNECT, FIN,         0, 1, SPOP_INVALID    },
    {SPOP_HAPROXY_DISCONNECT, 0,           0, 0, SPOP_FRAGMENTED },
    {SPOP_AGENT_HELLO,        FIN,         0, 0, SPOP_OK         },
    {SPOP_AGENT_HELLO,        FIN,         2, 0, SPOP_INVALID    },
    {SPOP_AGENT_DISCONNECT,   FIN,         0, 0, SPOP_OK         },
    {SPOP_AGENT_DISCONNECT,   0,           0, 0, SPOP_FRAGMENTED },
    {4,                       FIN,         9, 1, SPOP_OK         }, /* unknown: the caller's */
    {4,                       0,           0, 0, SPOP_OK         },
    {255,                     FIN,         0, 0, SPOP_OK         },
};

static void test_every_head(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const uint8_t bytes[] = {
            0, 0, 0, 7, heads[i].type, 0, 0, 0, heads[i].flags, heads[i].stream_id, heads[i].frame_id};
        struct spop_frame f;
        const uint8_t *at = guard_put(g, bytes, sizeof bytes);
        assert_int_equal(spop_frame_open(at, sizeof bytes, &f), heads[i].status);
        assert_int_equal(f.type, heads[i].type);
        assert_int_equal(f.flags, heads[i].flags);
        assert_int_equal(f.stream_id, heads[i].stream_id);
        assert_int_equal(f.frame_id, heads[i].frame_id);
    }
    guard_free(g);
    (void)state;
}

static void test_flags_in_network_order(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 7, 3, 0x12, 0x34, 0x56, 0x79, 0, 1};
    struct spop_frame f;
    assert_int_equal(spop_frame_open(bytes, sizeof bytes, &f), SPOP_OK);
    assert_int_equal(f.flags, 0x12345679);
    (void)state;
}

static void test_large_ids(void **state)
{
    const uint8_t bytes[] = {0,    0,    0,    16,   3,    0,    0,    0,    1,    0xff, 0xf0,
                             0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e, 0xf0, 0};
    struct spop_frame f;
    assert_int_equal(spop_frame_open(bytes, sizeof bytes, &f), SPOP_OK);
    assert_true(f.stream_id == UINT64_MAX);
    assert_int_equal(f.frame_id, 240);
    assert_ptr_equal(f.payload.at, f.payload.end);
    (void)state;
}

/* The frame is whole by its length, but an id runs past its end. */
static void test_ids_cut(void **state)
{
    static const struct {
        size_t len;
        uint8_t bytes[13];
        enum spop_status status;
    } cases[] = {
        {11, {0, 0, 0, 7, 3, 0, 0, 0, 1, 0xf0, 0x80},       SPOP_INVALID    },
        {11, {0, 0, 0, 7, 3, 0, 0, 0, 1, 0xf0, 0x00},       SPOP_NO_FRAME_ID},
        {11, {0, 0, 0, 7, 3, 0, 0, 0, 1, 5, 0xf0},          SPOP_NO_FRAME_ID},
        {12, {0, 0, 0, 8, 3, 0, 0, 0, 1, 0xf0, 0x00, 0xf0}, SPOP_NO_FRAME_ID},
        {12, {0, 0, 0, 8, 3, 0, 0, 0, 1, 0xf0, 0x00, 0x01}, SPOP_OK         },
        {10, {0, 0, 0, 6, 3, 0, 0, 0, 1, 1},                SPOP_INVALID    },
        {0,  {0},                                           SPOP_INVALID    },
    };
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spop_frame f;
        const uint8_t *at = guard_put(g, cases[i].bytes, cases[i].len);
        assert_int_equal(spop_frame_open(at, cases[i].len, &f), cases[i].status);
    }
    guard_free(g);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_frames_open),
        cmocka_unit_test(test_find_on_every_prefix),
        cmocka_unit_test(test_find_takes_one_frame_of_many),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_smallest_and_largest_frame),
        cmocka_unit_test(test_every_head),
        cmocka_unit_test(test_flags_in_network_order),
        cmocka_unit_test(test_large_ids),
        cmocka_unit_test(test_ids_cut),
    };
    return cmocka_run_group_tests_name("spop_frame", tests, NULL, NULL);
}
