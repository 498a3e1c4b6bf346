// SPDX-License-Identifier: MIT
/* spop/status: each code of the table is either made to happen here, by bytes that bring the codec to say it,
 * or names who else gives it. A code that is added to the table and not here fails the test. */
#include "tests/unit/spop_bytes.h"
#include "spop/hello.h"

/* How the bytes are read: as what the stream begins with, as a whole frame, as the payload of a hello. */
enum reader { FIND, OPEN, HELLO, ELSEWHERE };

#define B(text) text, sizeof(text) - 1

static const struct {
    enum spop_status status;
    enum reader reader;
    const char *bytes; /* or, ELSEWHERE, who gives it */
    size_t len;
} reached[] = {
    {SPOP_OK,              OPEN,      B("\0\0\0\007\003\0\0\0\001\0\001")                                     },
    {SPOP_IO,              ELSEWHERE, B("HAProxy only: after an I/O error there is nobody to tell")           },
    {SPOP_TIMEOUT,         ELSEWHERE, B("the session: no hello in time; HAProxy: timeout idle")               },
    {SPOP_TOO_BIG,         FIND,      B("GET ")                                                               },
    {SPOP_INVALID,         FIND,      B("\0\0\0\0")                                                           },
    {SPOP_NO_VERSION,      HELLO,     B("\014capabilities\010\0")                                             },
    {SPOP_NO_FRAME_SIZE,   HELLO,     B("\022supported-versions\010\0032.0")                                  },
    {SPOP_NO_CAPABILITIES, HELLO,     B("\022supported-versions\010\0032.0\016max-frame-size\003\374\360\006")},
    {SPOP_BAD_VERSION,     HELLO,     B("\022supported-versions\010\0031.0")                                  },
    {SPOP_BAD_FRAME_SIZE,  HELLO,     B("\016max-frame-size\003\377\0")                                       },
    {SPOP_FRAGMENTED,      OPEN,      B("\0\0\0\007\003\0\0\0\0\0\001")                                       },
    {SPOP_INTERLACED,      ELSEWHERE, B("nobody: fragments are refused before they could be mixed")           },
    {SPOP_NO_FRAME_ID,     OPEN,      B("\0\0\0\007\003\0\0\0\001\011\0")                                     },
    {SPOP_RESOURCE,        ELSEWHERE, B("the session: too many connections, or no memory")                    },
    {SPOP_UNKNOWN,         ELSEWHERE, B("HAProxy; what spop_disconnect_read() says without a status-code")    },
};

static enum spop_status read_as(enum reader reader, const uint8_t *bytes, size_t len)
{
    struct spop_frame f;
    struct spop_hello h;
    switch (reader) {
    case FIND: return (enum spop_status) - spop_frame_find(bytes, len, 16380);
    case OPEN: return spop_frame_open(bytes, len, &f);
    case HELLO: return spop_hello_read(cursor_of(bytes, len), &h);
    case ELSEWHERE: break;
    }
    return SPOP_UNKNOWN;
}

static void test_every_status_is_reached(void **state)
{
    struct guard g = guard_new();
    size_t i = 0;
#define X(symbol, number, word, text) assert_int_equal(reached[i++].status, SPOP_##symbol);
    SPOP_STATUS_TABLE(X)
#undef X
    assert_int_equal(i, sizeof reached / sizeof *reached);
    for (i = 0; i < sizeof reached / sizeof *reached; i++) {
        if (reached[i].reader == ELSEWHERE)
            continue;
        const uint8_t *at = guard_put(g, reached[i].bytes, reached[i].len);
        assert_int_equal(read_as(reached[i].reader, at, reached[i].len), reached[i].status);
    }
    guard_free(g);
    (void)state;
}

/* Each status goes out in a DISCONNECT and comes back the same. */
static void test_every_status_on_the_wire(void **state)
{
    for (size_t i = 0; i < sizeof reached / sizeof *reached; i++) {
        uint8_t out[128];
        struct spop_writer w;
        struct spop_frame f;
        struct spop_slice message;
        unsigned status;
        spop_writer_init(&w, out, sizeof out);
        spop_disconnect_write(&w, reached[i].status);
        assert_int_equal(spop_frame_open(out, w.len, &f), SPOP_OK);
        assert_int_equal(f.type, SPOP_AGENT_DISCONNECT);
        assert_int_equal(spop_disconnect_read(f.payload, &status, &message), SPOP_OK);
        assert_int_equal(status, reached[i].status);
        assert_slice(message, spop_status_text(reached[i].status));
    }
    (void)state;
}

static void test_words_and_texts(void **state)
{
#define X(symbol, number, word, text)                                                                        \
    assert_string_equal(spop_status_word(number), word);                                                     \
    assert_string_equal(spop_status_text(number), text);
    SPOP_STATUS_TABLE(X)
#undef X
    const unsigned outside[] = {14, 98, 100, 256, UINT32_MAX};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        assert_string_equal(spop_status_word(outside[i]), "unknown");
        assert_string_equal(spop_status_text(outside[i]), "an unknown error occurred");
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_is_reached),
        cmocka_unit_test(test_every_status_on_the_wire),
        cmocka_unit_test(test_words_and_texts),
    };
    return cmocka_run_group_tests_name("spop_status", tests, NULL, NULL);
}
