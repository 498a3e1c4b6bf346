// SPDX-License-Identifier: MIT
/* spop/hello: the hellos of a real HAProxy, every way a hello can be wrong, and both disconnects. */
#include "tests/unit/spop_bytes.h"
#include "spop/hello.h"
#include "tests/unit/spop_captured.h"

#define S(text) text, sizeof(text) - 1

#define VERSIONS     "\022supported-versions\010"
#define SIZE         "\016max-frame-size"
#define CAPABILITIES "\014capabilities\010"
#define CHECK        "\013healthcheck"
#define ENGINE       "\011engine-id"

#define V20   VERSIONS "\0032.0"
#define S16K  SIZE "\x03\xfc\xf0\x06"
#define NOCAP CAPABILITIES "\x00"

static enum spop_status open_hello(const uint8_t *bytes, size_t len, struct spop_hello *h)
{
    struct spop_frame f;
    assert_int_equal(spop_frame_open(bytes, len, &f), SPOP_OK);
    return spop_hello_read(f.payload, h);
}

static void test_captured_hello(void **state)
{
    struct spop_hello h;
    assert_int_equal(open_hello(captured_hello, sizeof captured_hello, &h), SPOP_OK);
    assert_int_equal(h.max_frame, 16380);
    assert_false(h.healthcheck);
    assert_true(h.pipelining);
    assert_slice(h.engine_id, "d988b3e0-721b-43cd-b13c-9c159b3dff77");
    (void)state;
}

static void test_captured_healthcheck(void **state)
{
    struct spop_hello h;
    assert_int_equal(open_hello(captured_healthcheck, sizeof captured_healthcheck, &h), SPOP_OK);
    assert_int_equal(h.max_frame, 16380);
    assert_true(h.healthcheck);
    assert_false(h.pipelining);
    assert_int_equal(h.engine_id.len, 0);
    (void)state;
}

static const struct {
    const char *payload;
    size_t len;
    enum spop_status status;
} hellos[] = {
    {S(V20 S16K NOCAP),                                                SPOP_OK             },
    {S(NOCAP S16K V20),                                                SPOP_OK             },
    {S(""),                                                            SPOP_NO_VERSION     },
    {S(S16K NOCAP),                                                    SPOP_NO_VERSION     },
    {S(V20 NOCAP),                                                     SPOP_NO_FRAME_SIZE  },
    {S(V20 S16K),                                                      SPOP_NO_CAPABILITIES},
    {S(VERSIONS "\0031.0" S16K NOCAP),                                 SPOP_BAD_VERSION    },
    {S(VERSIONS "\0033.0" S16K NOCAP),                                 SPOP_BAD_VERSION    },
    {S(VERSIONS "\00412.0" S16K NOCAP),                                SPOP_BAD_VERSION    },
    {S(VERSIONS "\x00" S16K NOCAP),                                    SPOP_BAD_VERSION    },
    {S(VERSIONS "\0022." S16K NOCAP),                                  SPOP_BAD_VERSION    },
    {S(VERSIONS "\0032.x" S16K NOCAP),                                 SPOP_BAD_VERSION    },
    {S(VERSIONS "\0012" S16K NOCAP),                                   SPOP_BAD_VERSION    },
    {S(VERSIONS "\001," S16K NOCAP),                                   SPOP_BAD_VERSION    },
    {S(VERSIONS "\0032.1" S16K NOCAP),                                 SPOP_OK             },
    {S(VERSIONS "\0101.5, 2.0" S16K NOCAP),                            SPOP_OK             },
    {S(VERSIONS "\013 2.0 , 1.5," S16K NOCAP),                         SPOP_OK             },
    {S(V20 SIZE "\x03\xff\x00" NOCAP),                                 SPOP_BAD_FRAME_SIZE }, /* 255 */
    {S(V20 SIZE "\x03\xf0\x01" NOCAP),                                 SPOP_OK             }, /* 256 */
    {S(V20 SIZE "\x03\xf1\x01" NOCAP),                                 SPOP_OK             }, /* 257 */
    {S(V20 SIZE "\x03\x00" NOCAP),                                     SPOP_BAD_FRAME_SIZE },
    {S(V20 SIZE "\x03\xff\xf0\xfe\xfe\x7e" NOCAP),                     SPOP_OK             }, /* 2^32 - 1 */
    {S(V20 SIZE "\x04\xf0\xf1\xfe\xfe\x7e" NOCAP),                     SPOP_BAD_FRAME_SIZE }, /* 2^32 */
    {S(V20 SIZE "\x02\xff\xf0\xfe\xfe\x7e" NOCAP),                     SPOP_BAD_FRAME_SIZE }, /* -1 */
    {S(V20 SIZE "\x05\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e" NOCAP), SPOP_BAD_FRAME_SIZE },
    {S(V20 SIZE "\x05\xfc\xf0\x06" NOCAP),                             SPOP_OK             },
    {S(V20 SIZE "\010\003256" NOCAP),                                  SPOP_INVALID        },
    {S("\022supported-versions\003\002" S16K NOCAP),                   SPOP_INVALID        },
    {S(V20 S16K "\014capabilities\000"),                               SPOP_INVALID        },
    {S(V20 S16K NOCAP CHECK "\x03\x01"),                               SPOP_INVALID        },
    {S(V20 S16K NOCAP ENGINE "\011\001e"),                             SPOP_INVALID        },
    {S(V20 S16K NOCAP CHECK "\x01"),                                   SPOP_OK             },
    {S(V20 S16K NOCAP "\005other\0070123456789abcdef"),                SPOP_OK             },
    {S(V20 "\005other\014" S16K NOCAP),                                SPOP_INVALID        },
    {S(V20 S16K NOCAP "\x00"),                                         SPOP_INVALID        },
    {S(V20 S16K NOCAP "\x00\x00"),                                     SPOP_OK             },
};

static void test_every_hello(void **state)
{
    struct guard g = guard_new();
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        struct spop_hello h;
        const uint8_t *at = guard_put(g, hellos[i].payload, hellos[i].len);
        enum spop_status status = spop_hello_read(cursor_of(at, hellos[i].len), &h);
        if (status != hellos[i].status)
            fail_msg("hello %zu: %s, expected %s", i, spop_status_word(status),
                     spop_status_word(hellos[i].status));
    }
    guard_free(g);
    (void)state;
}

/* A hello that ends early is either an item cut in two or lacks an item; a cut one is never taken for whole
 * before its last mandatory item. */
static void test_hello_cut_anywhere(void **state)
{
    struct guard g = guard_new();
    const char whole[] = V20 S16K NOCAP;
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        struct spop_hello h;
        const uint8_t *at = guard_put(g, whole, len);
        enum spop_status want = len == 0                                ? SPOP_NO_VERSION
                                : len == sizeof(V20) - 1                ? SPOP_NO_FRAME_SIZE
                                : len == sizeof(V20) + sizeof(S16K) - 2 ? SPOP_NO_CAPABILITIES
                                                                        : SPOP_INVALID;
        assert_int_equal(spop_hello_read(cursor_of(at, len), &h), want);
    }
    guard_free(g);
    (void)state;
}

static void test_capabilities(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
        bool pipelining;
    } cases[] = {
        {S(V20 S16K CAPABILITIES "\012pipelining"),          true },
        {S(V20 S16K CAPABILITIES "\014 pipelining "),        true },
        {S(V20 S16K CAPABILITIES "\021async, pipelining"),   true },
        {S(V20 S16K CAPABILITIES "\011pipelinin"),           false},
        {S(V20 S16K CAPABILITIES "\013pipelining2"),         false},
        {S(V20 S16K CAPABILITIES "\023async,fragmentation"), false},
        {S(V20 S16K CAPABILITIES "\002,,"),                  false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spop_hello h;
        assert_int_equal(spop_hello_read(cursor_of(cases[i].payload, cases[i].len), &h), SPOP_OK);
        assert_int_equal(h.pipelining, cases[i].pipelining);
    }
    (void)state;
}

/* Only a healthcheck that says true is one. */
static void test_healthcheck_flag(void **state)
{
    struct spop_hello h;
    const char no[] = V20 S16K NOCAP CHECK "\001", yes[] = V20 S16K NOCAP CHECK "\021";
    assert_int_equal(spop_hello_read(cursor_of(no, sizeof no - 1), &h), SPOP_OK);
    assert_false(h.healthcheck);
    assert_int_equal(spop_hello_read(cursor_of(yes, sizeof yes - 1), &h), SPOP_OK);
    assert_true(h.healthcheck);
    (void)state;
}

static void assert_written(const struct spop_writer *w, const char *bytes, size_t len)
{
    assert_int_equal(w->len, len);
    assert_memory_equal(w->buf, bytes, len);
}

static void test_hello_write(void **state)
{
    uint8_t out[128];
    struct spop_writer w;
    spop_writer_init(&w, out, sizeof out);
    spop_hello_write(&w, 16380, true);
    assert_written(&w,
                   S("\000\000\000\100\145\000\000\000\001\000\000\007version\010\0032.0" S16K CAPABILITIES
                     "\012pipelining"));
    spop_writer_init(&w, out, sizeof out);
    spop_hello_write(&w, 256, false);
    assert_written(&w, S("\000\000\000\065\145\000\000\000\001\000\000\007version\010\0032.0" SIZE
                         "\x03\xf0\x01" CAPABILITIES "\x00"));
    (void)state;
}

/* Exactly full, one over: the whole frame or nothing. */
static void test_write_into_little_room(void **state)
{
    uint8_t out[128];
    struct spop_writer w;
    spop_writer_init(&w, out, sizeof out);
    spop_hello_write(&w, 16380, true);
    size_t need = w.len;
    spop_writer_init(&w, out, need);
    spop_hello_write(&w, 16380, true);
    assert_int_equal(w.len, need);
    spop_writer_init(&w, out, need - 1);
    spop_hello_write(&w, 16380, true);
    assert_int_equal(w.len, 0);
    (void)state;
}

static void test_captured_disconnect(void **state)
{
    struct spop_frame f;
    struct spop_slice message;
    unsigned status = 77;
    assert_int_equal(spop_frame_open(captured_disconnect, sizeof captured_disconnect, &f), SPOP_OK);
    assert_int_equal(f.type, SPOP_HAPROXY_DISCONNECT);
    assert_int_equal(spop_disconnect_read(f.payload, &status, &message), SPOP_OK);
    assert_int_equal(status, SPOP_TIMEOUT);
    assert_slice(message, spop_status_text(SPOP_TIMEOUT));
    (void)state;
}

#define CODE    "\013status-code"
#define MESSAGE "\007message"

static void test_every_disconnect(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
        enum spop_status status;
        unsigned code;
    } cases[] = {
        {S(CODE "\x03\x00" MESSAGE "\010\002ok"),                                   SPOP_OK,      0         },
        {S(MESSAGE "\x08\x00" CODE "\x03\x0b"),                                     SPOP_OK,      11        },
        {S(CODE "\x03\xff\xf0\xfe\xfe\x7e" MESSAGE "\x08\x00"),                     SPOP_OK,      UINT32_MAX},
        {S(CODE "\x04\xf0\xf1\xfe\xfe\x7e" MESSAGE "\x08\x00"),                     SPOP_INVALID, 99        },
        {S(CODE "\x04\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e" MESSAGE "\x08\x00"), SPOP_INVALID, 99        },
        {S(""),                                                                     SPOP_INVALID, 99        },
        {S(CODE "\x03\x05"),                                                        SPOP_INVALID, 5         },
        {S(MESSAGE "\x08\x00"),                                                     SPOP_INVALID, 99        },
        {S(CODE "\010\0015" MESSAGE "\x08\x00"),                                    SPOP_INVALID, 99        },
        {S(CODE "\x03\x05" MESSAGE "\x03\x00"),                                     SPOP_INVALID, 5         },
        {S(CODE "\x03\x05" MESSAGE "\010\002o"),                                    SPOP_INVALID, 5         },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned code = 77;
        struct spop_slice message;
        struct spop_cursor c = cursor_of(cases[i].payload, cases[i].len);
        assert_int_equal(spop_disconnect_read(c, &code, &message), cases[i].status);
        assert_int_equal(code, cases[i].code);
    }
    (void)state;
}

static void test_disconnect_write(void **state)
{
    uint8_t out[128];
    struct spop_writer w;
    spop_writer_init(&w, out, sizeof out);
    spop_disconnect_write(&w, SPOP_TOO_BIG);
    assert_written(&w, S("\0\0\0\x2f\x66\0\0\0\x01\0\0" CODE "\x03\x03" MESSAGE "\010\020frame is too big"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_hello),      cmocka_unit_test(test_captured_healthcheck),
        cmocka_unit_test(test_every_hello),         cmocka_unit_test(test_hello_cut_anywhere),
        cmocka_unit_test(test_capabilities),        cmocka_unit_test(test_healthcheck_flag),
        cmocka_unit_test(test_hello_write),         cmocka_unit_test(test_write_into_little_room),
        cmocka_unit_test(test_captured_disconnect), cmocka_unit_test(test_every_disconnect),
        cmocka_unit_test(test_disconnect_write),
    };
    return cmocka_run_group_tests_name("spop_hello", tests, NULL, NULL);
}
