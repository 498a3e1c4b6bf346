// SPDX-License-Identifier: MIT
/* Records and stored responses: what is written is read again, what is cut or foreign is refused. Every input
 * lies in memory of exactly its size, so that AddressSanitizer sees one byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/record.h"

#define LITERAL(s)                                                                                           \
    {                                                                                                        \
        (s), sizeof(s) - 1                                                                                   \
    }

static const uint8_t head_bytes[] = {
    1,    'A', 9,   0,   8,   7,   6,   5,   4,   3,    2,    1,    'r', 'i', 'd',  '-',  'r', 'i',
    'd',  '-', 1,   0,   0,   0,   0,   0,   0,   0x80, 0x30, 0x75, 0,   0,   0x58, 0x1b, 0,   0,
    0xc9, 0,   'f', 'f', 'f', 'f', 'f', 'f', 'f', 'f',  'f',  'f',  'f', 'f', 'f',  'f',  'f', 'f',
    4,    3,   2,   1,   'w', 'w', 'w', 'w', 'w', 'w',  'w',  'w',  3,   '1', '.',  '2',  '/', 'p'};

/* A copy that ends where its memory ends. */
static struct spop_slice exact(const void *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    return (struct spop_slice){copy, len};
}

static void drop(struct spop_slice s)
{
    free((void *)(uintptr_t)s.ptr);
}

static bool is(struct spop_slice s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || memcmp(s.ptr, text, s.len) == 0);
}

static void opens_every_field(void **state)
{
    (void)state;
    struct record r;
    assert_int_equal(record_open(head_bytes, sizeof head_bytes, &r), 0);
    assert_int_equal(r.state, RECORD_ANSWERED);
    assert_int_equal(r.flags, RECORD_HOLD | RECORD_WAITERS);
    assert_int_equal(r.why, 0);
    assert_int_equal(r.fence, 0x0102030405060708);
    assert_memory_equal(r.rid, "rid-rid-", 8);
    assert_int_equal(r.lease_until_us, 0x8000000000000001);
    assert_int_equal(r.lock_ms, 30000);
    assert_int_equal(r.ttl_s, 7000);
    assert_int_equal(r.status, 201);
    assert_memory_equal(r.fingerprint, "ffffffffffffffff", 16);
    assert_int_equal(r.policy, 0x01020304);
    assert_memory_equal(r.who, "wwwwwwww", 8);
    assert_true(is(r.process, "1.2"));
    assert_true(is(r.payload, "/p"));
}

static void refuses_cut_and_foreign_records(void **state)
{
    (void)state;
    struct record r;
    const size_t least = RECORD_HEAD + 1 + 3; /* head, np, process */
    for (size_t len = 0; len <= sizeof head_bytes; len++) {
        struct spop_slice s = exact(head_bytes, len);
        assert_int_equal(record_open(s.ptr, s.len, &r), len >= least ? 0 : -1);
        drop(s);
    }
    uint8_t bytes[sizeof head_bytes];
    for (unsigned v = 0; v < 256; v++) {
        memcpy(bytes, head_bytes, sizeof bytes);
        bytes[0] = (uint8_t)v;
        assert_int_equal(record_open(bytes, sizeof bytes, &r), v == 1 ? 0 : -1);
        bytes[0] = 1;
        bytes[1] = (uint8_t)v;
        assert_int_equal(record_open(bytes, sizeof bytes, &r), v && strchr("FRAHDT", (int)v) ? 0 : -1);
        bytes[1] = 'R';
        bytes[RECORD_HEAD] = (uint8_t)v;
        assert_int_equal(record_open(bytes, sizeof bytes, &r), v <= 5 ? 0 : -1);
    }
}

/* Headers as HAProxy writes them; lengths below 240 are one byte. */
static void put_header(struct buf *b, const char *name, const char *value)
{
    buf_u8(b, (uint8_t)strlen(name));
    buf_str(b, name);
    buf_u8(b, (uint8_t)strlen(value));
    buf_str(b, value);
}

static const char *const sample[][2] = {
    {"content-type",      "image/png"               },
    {"set-cookie",        "a=1"                     },
    {"x-multi",           "one"                     },
    {"connection",        "close, X-Named ,\tx-also"},
    {"x-named",           "1"                       },
    {"x-also",            "1"                       },
    {"x-name",            "stays"                   },
    {"set-cookie",        "b=2"                     },
    {"X-Multi",           "two"                     },
    {"content-length",    "5"                       },
    {"keep-alive",        "timeout=5"               },
    {"proxy-connection",  "close"                   },
    {"te",                "trailers"                },
    {"trailer",           "x"                       },
    {"transfer-encoding", "chunked"                 },
    {"upgrade",           "h2c"                     },
    {"x-ratelimit-limit", "5"                       },
    {"x-ratelimit-",      "prefix itself"           },
    {"x-ratelimit",       "stays"                   },
    {"empty",             ""                        },
};
static const char *const sample_drop[] = {"set-cookie", "x-ratelimit-*"};
static const char *const sample_kept[][2] = {
    {"content-type", "image/png"},
    {"x-multi",      "one"      },
    {"x-name",       "stays"    },
    {"X-Multi",      "two"      },
    {"x-ratelimit",  "stays"    },
    {"empty",        ""         },
};
enum { KEPT = sizeof sample_kept / sizeof *sample_kept };

static struct buf sample_headers(void)
{
    struct buf b = {0};
    for (size_t i = 0; i < sizeof sample / sizeof *sample; i++)
        put_header(&b, sample[i][0], sample[i][1]);
    put_header(&b, "", "");
    return b;
}

static struct spop_slice slice(const struct buf *b)
{
    return (struct spop_slice){(const char *)b->data, b->len};
}

static void drops_what_must_not_be_stored(void **state)
{
    (void)state;
    struct buf headers = sample_headers(), out = {0};
    struct response resp = {201, slice(&headers), LITERAL("\0\xff body")};
    struct record r;
    struct stored s;
    struct spop_slice name, value;
    assert_int_equal(record_pack_done(&out, &resp, sample_drop, 2), 0);
    assert_int_equal(record_open(out.data, out.len, &r), 0);
    assert_int_equal(r.state, RECORD_DONE);
    for (size_t i = 2; i <= RECORD_HEAD; i++)
        assert_int_equal(out.data[i], 0);
    assert_int_equal(stored_open(r.payload, &s), 0);
    assert_int_equal(s.status, 201);
    assert_int_equal(s.nheaders, KEPT);
    assert_int_equal(s.body.len, 7);
    assert_memory_equal(s.body.ptr, "\0\xff body", 7);
    struct spop_slice at = s.headers;
    for (size_t i = 0; i < KEPT; i++) {
        assert_int_equal(stored_header(&at, &name, &value), 1);
        assert_true(is(name, sample_kept[i][0]));
        assert_true(is(value, sample_kept[i][1]));
    }
    assert_int_equal(stored_header(&at, &name, &value), 0);
    buf_free(&headers);
    buf_free(&out);
}

/* A prefix is not looked for behind the name's end: there a value of 101 bytes begins, and 101 is `e`. */
static void prefix_longer_than_the_name(void **state)
{
    (void)state;
    static const char *const drop_te[] = {"te*"};
    char value['e' + 1] = {0};
    struct buf headers = {0}, out = {0};
    memset(value, 'v', 'e');
    put_header(&headers, "t", value);
    put_header(&headers, "", "");
    struct response resp = {
        200, slice(&headers), {NULL, 0}
    };
    assert_int_equal(record_pack_done(&out, &resp, drop_te, 1), 0);
    assert_memory_equal(out.data + RECORD_HEAD + 1, "\x93\xcc\xc8\x92\xc4\1t\xc4\145", 9);
    buf_free(&headers);
    buf_free(&out);
}

/* Appended, not put in place of what the buffer holds. */
static void appends(void **state)
{
    (void)state;
    struct buf out = {0};
    struct response resp = {
        204, LITERAL("\0\0"), {NULL, 0}
    };
    struct record r;
    struct stored s;
    buf_str(&out, "xyz");
    assert_int_equal(record_pack_done(&out, &resp, NULL, 0), 0);
    assert_memory_equal(out.data, "xyz", 3);
    assert_int_equal(record_open(out.data + 3, out.len - 3, &r), 0);
    assert_int_equal(stored_open(r.payload, &s), 0);
    assert_int_equal(s.nheaders, 0);
    assert_int_equal(s.body.len, 0);
    buf_free(&out);
}

static void refuses_malformed_headers(void **state)
{
    (void)state;
    struct buf headers = sample_headers(), out = {0};
    for (size_t len = 0; len < headers.len; len++) {
        struct spop_slice cut = exact(headers.data, len);
        struct response resp = {
            200, cut, {NULL, 0}
        };
        assert_int_equal(record_pack_done(&out, &resp, NULL, 0), -1);
        drop(cut);
    }
    static const struct spop_slice bad[] = {LITERAL("\0\0\0"), LITERAL("\0\1x\0\0"), LITERAL("\0\1x")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct response resp = {
            200, bad[i], {NULL, 0}
        };
        assert_int_equal(record_pack_done(&out, &resp, NULL, 0), -1);
    }
    assert_int_equal(out.len, 0);
    buf_free(&headers);
    buf_free(&out);
}

/* Around each change of msgpack's length formats. */
static void bodies_of_every_length_class(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 255, 256, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *body = calloc(1, lengths[i] + 1);
        struct buf out = {0};
        struct response resp = {
            200, LITERAL("\0\0"), {body, lengths[i]}
        };
        struct stored s;
        assert_int_equal(record_pack_done(&out, &resp, NULL, 0), 0);
        struct spop_slice payload = {(const char *)out.data + RECORD_HEAD + 1, out.len - RECORD_HEAD - 1};
        assert_int_equal(stored_open(payload, &s), 0);
        assert_int_equal(s.body.len, lengths[i]);
        buf_free(&out);
        free(body);
    }
}

static void many_headers(void **state)
{
    (void)state;
    static const unsigned counts[] = {7, 8, 101}; /* 14 and 16 strings: fixarray, array 16 */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf headers = {0}, out = {0};
        struct stored s;
        for (unsigned k = 0; k < counts[i]; k++)
            put_header(&headers, "x", "y");
        put_header(&headers, "", "");
        struct response resp = {
            599, slice(&headers), {NULL, 0}
        };
        assert_int_equal(record_pack_done(&out, &resp, NULL, 0), 0);
        struct spop_slice payload = {(const char *)out.data + RECORD_HEAD + 1, out.len - RECORD_HEAD - 1};
        assert_int_equal(stored_open(payload, &s), 0);
        assert_int_equal(s.nheaders, counts[i]);
        buf_free(&headers);
        buf_free(&out);
    }
}

static void refuses_every_truncation_of_a_response(void **state)
{
    (void)state;
    struct buf headers = sample_headers(), out = {0};
    struct response resp = {201, slice(&headers), LITERAL("body")};
    struct stored s;
    assert_int_equal(record_pack_done(&out, &resp, NULL, 0), 0);
    buf_u8(&out, 0);
    const uint8_t *payload = out.data + RECORD_HEAD + 1;
    size_t whole = out.len - RECORD_HEAD - 2;
    for (size_t len = 0; len <= whole + 1; len++) { /* and one byte too many */
        struct spop_slice cut = exact(payload, len);
        assert_int_equal(stored_open(cut, &s), len == whole ? 0 : -1);
        drop(cut);
    }
    buf_free(&headers);
    buf_free(&out);
}

static void refuses_other_msgpack(void **state)
{
    (void)state;
    static const struct {
        struct spop_slice bytes;
        int result;
    } cases[] = {
        {LITERAL("\x93\xcc\xc8\x90\xc4\0"),                 0 },
        {LITERAL("\x93\xcc\xc8\x92\xc4\1a\xc4\1b\xc4\0"),   0 },
        {LITERAL("\x92\xcc\xc8\x90\xc4\0"),                 -1}, /* two elements */
        {LITERAL("\x94\xcc\xc8\x90\xc4\0"),                 -1}, /* four */
        {LITERAL("\x93\x63\x90\xc4\0"),                     -1}, /* status 99 */
        {LITERAL("\x93\x64\x90\xc4\0"),                     0 }, /* 100 */
        {LITERAL("\x93\xcd\x02\x57\x90\xc4\0"),             0 }, /* 599 */
        {LITERAL("\x93\xcd\x02\x58\x90\xc4\0"),             -1}, /* 600 */
        {LITERAL("\x93\xff\x90\xc4\0"),                     -1}, /* negative */
        {LITERAL("\x93\xcc\xc8\x91\xc4\1a\xc4\0"),          -1}, /* a name without value */
        {LITERAL("\x93\xcc\xc8\x92\xa1"
                 "a\xa1"
                 "b\xc4\0"),
         -1                                                   }, /* str, not bin */
        {LITERAL("\x93\xcc\xc8\x90\xa0"),                   -1},
        {LITERAL("\x93\xcc\xc8\x80\xc4\0"),                 -1}, /* map */
        {LITERAL("\x93\xcc\xc8\xdd\xff\xff\xff\xfe\xc4\0"), -1},
        {LITERAL("\x93\xcc\xc8\x90\xc6\xff\xff\xff\xff"),   -1},
        {LITERAL("\xc0"),                                   -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stored s;
        struct spop_slice bytes = exact(cases[i].bytes.ptr, cases[i].bytes.len);
        assert_int_equal(stored_open(bytes, &s), cases[i].result);
        drop(bytes);
    }
}

static void walks_only_whole_headers(void **state)
{
    (void)state;
    struct spop_slice at = LITERAL("\xc4\1a"), name, value;
    assert_int_equal(stored_header(&at, &name, &value), -1);
}

static void finds_headers(void **state)
{
    (void)state;
    struct buf headers = sample_headers();
    assert_true(is(headers_find(slice(&headers), "content-type"), "image/png"));
    assert_true(is(headers_find(slice(&headers), "x-multi"), "one"));
    assert_true(is(headers_find(slice(&headers), "set-cooki"), ""));
    assert_null(headers_find(slice(&headers), "missing").ptr);
    assert_non_null(headers_find(slice(&headers), "empty").ptr);
    assert_null(headers_find((struct spop_slice){NULL, 0}, "x").ptr);
    buf_free(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_every_field),
        cmocka_unit_test(refuses_cut_and_foreign_records),
        cmocka_unit_test(drops_what_must_not_be_stored),
        cmocka_unit_test(prefix_longer_than_the_name),
        cmocka_unit_test(appends),
        cmocka_unit_test(refuses_malformed_headers),
        cmocka_unit_test(bodies_of_every_length_class),
        cmocka_unit_test(many_headers),
        cmocka_unit_test(refuses_every_truncation_of_a_response),
        cmocka_unit_test(refuses_other_msgpack),
        cmocka_unit_test(walks_only_whole_headers),
        cmocka_unit_test(finds_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
