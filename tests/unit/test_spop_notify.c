// SPDX-License-Identifier: MIT
/* spop/notify: the NOTIFY of a real HAProxy argument by argument, several messages, and every cut. */
#include "tests/unit/spop_bytes.h"
#include "spop/frame.h"
#include "spop/notify.h"
#include "tests/unit/spop_captured.h"

struct expected {
    const char *name;
    enum spop_type type;
    int64_t integer;
    const char *bytes;
    size_t len;
};

#define TEXT(t)   0, t, sizeof(t) - 1
#define NUMBER(n) n, NULL, 0

/* sha: of {"amount":5} */
static const struct expected request[] = {
    {"policy",         SPOP_STR,   TEXT("payments")                                },
    {"rid",            SPOP_STR,   TEXT("e61fdc79-03af-4945-8187-4d478b13cfbf")    },
    {"process",        SPOP_STR,   TEXT("8607.1795258716350030.gateway")           },
    {"sent",           SPOP_INT64, NUMBER(1795258717560782)                        },
    {"timeout",        SPOP_INT64, NUMBER(800)                                     },
    {"method",         SPOP_STR,   TEXT("POST")                                    },
    {"host",           SPOP_STR,   TEXT("127.0.0.1:25391")                         },
    {"path",           SPOP_STR,   TEXT("/payments")                               },
    {"query",          SPOP_STR,   TEXT("a=b")                                     },
    {"type",           SPOP_STR,   TEXT("application/json")                        },
    {"key",            SPOP_STR,   TEXT("\"k-1\"")                                 },
    {"keys",           SPOP_INT64, NUMBER(1)                                       },
    {"key2",           SPOP_NULL,  TEXT("")                                        },
    {"sha",            SPOP_BIN,
     TEXT("\x7e\x84\xcb\xf0\xf7\xa7\xc9\x2c\x03\x70\x58\x66\x5d\x66\x15\x2f"
          "\x8e\xb8\x58\x0a\xb2\x53\x4e\x52\xc8\x77\xbc\xcc\xeb\x9c\xc7\xbf")      },
    {"body_len",       SPOP_INT64, NUMBER(12)                                      },
    {"content_length", SPOP_INT64, NUMBER(12)                                      },
    {"head_len",       SPOP_INT64, NUMBER(139)                                     },
    {"src",            SPOP_IPV4,  TEXT("\x7f\0\0\x01")                            },
    {"six",            SPOP_IPV6,  TEXT("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"minus",          SPOP_INT64, NUMBER(-5)                                      },
    {"yes",            SPOP_BOOL,  NUMBER(1)                                       },
    {"no",             SPOP_BOOL,  NUMBER(0)                                       },
};

static const struct expected response[] = {
    {"token",          SPOP_STR,   TEXT("go")                                                           },
    {"status",         SPOP_INT64, NUMBER(201)                                                          },
    {"method",         SPOP_STR,   TEXT("POST")                                                         },
    {"headers",        SPOP_BIN,
     TEXT("\010location\013/payments/1\016content-length\00212\014content-type\020application/json\0\0")},
    {"body",           SPOP_BIN,   TEXT("{\"charge\":1}")                                               },
    {"body_len",       SPOP_INT64, NUMBER(12)                                                           },
    {"content_length", SPOP_INT64, NUMBER(12)                                                           },
    {"waited",         SPOP_BOOL,  NUMBER(1)                                                            },
};

static struct spop_cursor payload_of(const uint8_t *bytes, size_t len)
{
    struct spop_frame f;
    assert_int_equal(spop_frame_open(bytes, len, &f), SPOP_OK);
    return f.payload;
}

static void assert_args(struct spop_cursor *c, struct spop_message *m, const struct expected *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct spop_arg arg;
        assert_int_equal(spop_next_arg(c, m, &arg), 1);
        assert_slice(arg.name, want[i].name);
        assert_int_equal(arg.value.type, want[i].type);
        assert_true(arg.value.integer == want[i].integer);
        assert_int_equal(arg.value.bytes.len, want[i].len);
        if (want[i].len > 0)
            assert_memory_equal(arg.value.bytes.ptr, want[i].bytes, want[i].len);
    }
}

static void test_captured_request(void **state)
{
    struct guard g = guard_new();
    const uint8_t *at = guard_put(g, captured_request, sizeof captured_request);
    struct spop_cursor c = payload_of(at, sizeof captured_request);
    struct spop_message m;
    struct spop_arg arg;
    assert_int_equal(spop_next_message(&c, &m), 1);
    assert_slice(m.name, "once-request");
    assert_int_equal(m.args_left, 23);
    assert_args(&c, &m, request, sizeof request / sizeof *request);
    assert_int_equal(spop_next_arg(&c, &m, &arg), 1);
    assert_slice(arg.name, "xxh");
    assert_int_equal(arg.value.type, SPOP_INT64);
    assert_true(arg.value.integer == 969455307165391237);
    assert_int_equal(spop_next_arg(&c, &m, &arg), 0);
    assert_int_equal(spop_next_message(&c, &m), 0);
    guard_free(g);
    (void)state;
}

static void test_captured_response(void **state)
{
    struct spop_cursor c = payload_of(captured_response, sizeof captured_response);
    struct spop_message m;
    assert_int_equal(spop_next_message(&c, &m), 1);
    assert_slice(m.name, "once-response");
    assert_int_equal(m.args_left, 8);
    assert_args(&c, &m, response, 8);
    assert_int_equal(spop_next_message(&c, &m), 0);
    (void)state;
}

/* Walks everything: arguments seen, or -1 where it is malformed. */
static int walk(struct spop_cursor c)
{
    struct spop_message m;
    struct spop_arg arg;
    int found, args = 0;
    while ((found = spop_next_message(&c, &m)) > 0) {
        while ((found = spop_next_arg(&c, &m, &arg)) > 0)
            args++;
        if (found < 0)
            return -1;
    }
    return found < 0 ? -1 : args;
}

/* The payload of a message that is cut is malformed, but for the empty one: it has no message. */
static void test_captured_cut_anywhere(void **state)
{
    struct guard g = guard_new();
    struct spop_cursor whole = payload_of(captured_request, sizeof captured_request);
    size_t size = (size_t)(whole.end - whole.at);
    for (size_t len = 0; len < size; len++)
        assert_int_equal(walk(cursor_of(guard_put(g, whole.at, len), len)), len == 0 ? 0 : -1);
    assert_int_equal(walk(whole), 23);
    guard_free(g);
    (void)state;
}

static void test_several_messages(void **state)
{
    const char bytes[] = "\001a\002\001x\003\005\001y\000\001b\000\000\001\001z\021";
    struct spop_cursor c = cursor_of(bytes, sizeof bytes - 1);
    struct spop_message m;
    struct spop_arg arg;
    assert_int_equal(spop_next_message(&c, &m), 1);
    assert_slice(m.name, "a");
    assert_int_equal(spop_next_arg(&c, &m, &arg), 1);
    assert_int_equal(arg.value.integer, 5);
    assert_int_equal(spop_next_arg(&c, &m, &arg), 1);
    assert_slice(arg.name, "y");
    assert_int_equal(spop_next_arg(&c, &m, &arg), 0);
    assert_int_equal(spop_next_message(&c, &m), 1);
    assert_slice(m.name, "b");
    assert_int_equal(spop_next_arg(&c, &m, &arg), 0);
    assert_int_equal(spop_next_message(&c, &m), 1);
    assert_int_equal(m.name.len, 0);
    assert_int_equal(spop_next_arg(&c, &m, &arg), 1);
    assert_int_equal(arg.value.integer, 1);
    assert_int_equal(spop_next_message(&c, &m), 0);
    (void)state;
}

static void test_most_arguments(void **state)
{
    uint8_t bytes[3 + 255 * 2] = {1, 'm', 255};
    assert_int_equal(walk(cursor_of(bytes, sizeof bytes)), 255);
    assert_int_equal(walk(cursor_of(bytes, sizeof bytes - 1)), -1);
    assert_int_equal(walk(cursor_of(bytes, sizeof bytes - 2)), -1);
    (void)state;
}

/* A malformed item leaves cursor and count where they were. */
static void test_malformed_moves_nothing(void **state)
{
    const char bytes[] = "\001m\001\001x\012";
    struct spop_cursor c = cursor_of(bytes, sizeof bytes - 1);
    struct spop_message m;
    struct spop_arg arg;
    assert_int_equal(spop_next_message(&c, &m), 1);
    const uint8_t *at = c.at;
    assert_int_equal(spop_next_arg(&c, &m, &arg), -1);
    assert_ptr_equal(c.at, at);
    assert_int_equal(m.args_left, 1);

    c = cursor_of("\002m", 2);
    at = c.at;
    assert_int_equal(spop_next_message(&c, &m), -1);
    assert_ptr_equal(c.at, at);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_request),      cmocka_unit_test(test_captured_response),
        cmocka_unit_test(test_captured_cut_anywhere), cmocka_unit_test(test_several_messages),
        cmocka_unit_test(test_most_arguments),        cmocka_unit_test(test_malformed_moves_nothing),
    };
    return cmocka_run_group_tests_name("spop_notify", tests, NULL, NULL);
}
