// SPDX-License-Identifier: MIT
/* domain/facts: every argument of the table, each type it may and may not have, what is missing, and what the
 * table does not name. */
#include "tests/unit/heart.h"
#include "spop/writer.h"

/* A message, written argument by argument. */
struct wire {
    uint8_t bytes[4096];
    struct spop_writer w;
    size_t count_at;
};

static void begin(struct wire *s, const char *name)
{
    spop_writer_init(&s->w, s->bytes, sizeof s->bytes);
    spop_put_string(&s->w, name, strlen(name));
    s->count_at = s->w.len;
    s->bytes[s->w.len++] = 0;
}

static void name(struct wire *s, const char *text)
{
    spop_put_string(&s->w, text, strlen(text));
    s->bytes[s->count_at]++;
}

static void type(struct wire *s, enum spop_type t)
{
    s->bytes[s->w.len++] = (uint8_t)t;
}

static void put_null(struct wire *s, const char *arg)
{
    name(s, arg);
    type(s, SPOP_NULL);
}

static void put_bytes(struct wire *s, const char *arg, enum spop_type t, const void *bytes, size_t len)
{
    name(s, arg);
    type(s, t);
    spop_put_string(&s->w, bytes, len);
}

static void put_text(struct wire *s, const char *arg, const char *text)
{
    put_bytes(s, arg, SPOP_STR, text, strlen(text));
}

static void put_int(struct wire *s, const char *arg, enum spop_type t, uint64_t v)
{
    name(s, arg);
    type(s, t);
    spop_put_varint(&s->w, v);
}

static void put_bool(struct wire *s, const char *arg, bool yes)
{
    name(s, arg);
    s->bytes[s->w.len++] = (uint8_t)(SPOP_BOOL | (yes ? 0x10 : 0));
}

static void put_ip(struct wire *s, const char *arg, enum spop_type t, const void *address)
{
    name(s, arg);
    type(s, t);
    memcpy(s->bytes + s->w.len, address, t == SPOP_IPV4 ? 4 : 16);
    s->w.len += t == SPOP_IPV4 ? 4 : 16;
}

static struct spop_cursor open_wire(struct wire *s, struct spop_message *m)
{
    struct spop_cursor c = {s->bytes, s->bytes + s->w.len};
    assert_int_equal(spop_next_message(&c, m), 1);
    return c;
}

static int read_request(struct wire *s, struct request_facts *f, struct facts_error *bad)
{
    struct spop_message m;
    struct spop_cursor c = open_wire(s, &m);
    int r = facts_read_request(&c, &m, f, bad);
    if (r != -1)
        assert_ptr_equal(c.at, c.end);
    return r;
}

static int read_response(struct wire *s, struct response_facts *f, struct facts_error *bad)
{
    struct spop_message m;
    struct spop_cursor c = open_wire(s, &m);
    int r = facts_read_response(&c, &m, f, bad);
    if (r != -1)
        assert_ptr_equal(c.at, c.end);
    return r;
}

static void test_kinds(void **state)
{
    assert_int_equal(message_kind(S("once-request")), MESSAGE_REQUEST);
    assert_int_equal(message_kind(S("once-refused")), MESSAGE_REFUSED);
    assert_int_equal(message_kind(S("once-response")), MESSAGE_RESPONSE);
    assert_int_equal(message_kind(S("once-reques")), MESSAGE_UNKNOWN);
    assert_int_equal(message_kind(S("once-requests")), MESSAGE_UNKNOWN);
    assert_int_equal(message_kind((struct spop_slice){0}), MESSAGE_UNKNOWN);
    (void)state;
}

static void put_request(struct wire *s)
{
    static const uint8_t sha[32] = {1, 2, 3, [31] = 32};
    put_text(s, "policy", "payments");
    put_text(s, "rid", "9f0c");
    put_text(s, "lost", "9f0b");
    put_text(s, "process", "77.1700000000000000.gw");
    put_int(s, "sent", SPOP_INT64, 1700000000123456);
    put_int(s, "timeout", SPOP_INT32, 800);
    put_text(s, "method", "POST");
    put_text(s, "host", "shop.example");
    put_text(s, "path", "/payments");
    put_text(s, "query", "a=1");
    put_text(s, "type", "application/json");
    put_text(s, "key", "k1");
    put_bytes(s, "key2", SPOP_BIN, "k\0z", 3);
    put_int(s, "keys", SPOP_UINT32, 1);
    put_int(s, "keys2", SPOP_UINT64, 2);
    put_bytes(s, "sha", SPOP_BIN, sha, sizeof sha);
    put_int(s, "body_len", SPOP_INT64, 1000);
    put_int(s, "content_length", SPOP_INT64, 1001);
    put_int(s, "head_len", SPOP_INT64, 300);
    put_ip(s, "src", SPOP_IPV4, "\xc0\x00\x02\x07");
    put_text(s, "correlation", "c-1");
}

static void assert_request(const struct request_facts *f)
{
    assert_text(f->policy, "payments");
    assert_text(f->rid, "9f0c");
    assert_text(f->lost, "9f0b");
    assert_text(f->process, "77.1700000000000000.gw");
    assert_int_equal(f->sent, 1700000000123456);
    assert_int_equal(f->timeout, 800);
    assert_text(f->method, "POST");
    assert_text(f->host, "shop.example");
    assert_text(f->path, "/payments");
    assert_text(f->query, "a=1");
    assert_text(f->type, "application/json");
    assert_text(f->correlation, "c-1");
    assert_text(f->key, "k1");
    assert_int_equal(f->key2.len, 3);
    assert_memory_equal(f->key2.ptr, "k\0z", 3);
    assert_int_equal(f->keys, 1);
    assert_int_equal(f->keys2, 2);
    assert_int_equal(f->sha.len, 32);
    assert_int_equal(f->sha.ptr[31], 32);
    assert_int_equal(f->body_len, 1000);
    assert_int_equal(f->content_length, 1001);
    assert_int_equal(f->head_len, 300);
    assert_int_equal(f->src.type, SPOP_IPV4);
    assert_memory_equal(f->src.bytes.ptr, "\xc0\x00\x02\x07", 4);
}

static void test_request_whole(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    begin(&s, "once-request");
    put_request(&s);
    assert_int_equal(read_request(&s, &f, &bad), 0);
    assert_request(&f);
    assert_int_equal(f.nextra, 0);
    assert_string_equal(bad.text, "");
    (void)state;
}

/* The order is HAProxy's configuration's; `err` belongs to the message refused only. */
/* What the shipped lines carry is said to have to be there; what a site may add is not. */
static void test_wanted(void **state)
{
    const char *name;
    (void)state;
    assert_string_equal(facts_argument(MESSAGE_RESPONSE, 0), "token");
    assert_string_equal(facts_argument(MESSAGE_RESPONSE, 7), "waited");
    assert_null(facts_argument(MESSAGE_RESPONSE, 8));
    for (unsigned i = 0; (name = facts_argument(MESSAGE_REFUSED, i)); i++)
        assert_string_not_equal(name, "correlation");
}

static void test_refused_and_order(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    begin(&s, "once-refused");
    put_int(&s, "err", SPOP_INT64, 257);
    put_request(&s);
    assert_int_equal(read_request(&s, &f, &bad), 0);
    assert_request(&f);
    assert_int_equal(f.err, 257);
    assert_int_equal(f.nextra, 0);
    begin(&s, "once-request");
    put_int(&s, "err", SPOP_INT64, 257);
    put_request(&s);
    assert_int_equal(read_request(&s, &f, &bad), 0);
    assert_request(&f);
    assert_int_equal(f.err, 0);
    assert_int_equal(f.nextra, 1);
    (void)state;
}

static void test_missing(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    begin(&s, "once-request");
    put_text(&s, "policy", "payments");
    put_null(&s, "key");
    put_null(&s, "content_length");
    put_null(&s, "src");
    put_text(&s, "key2", "");
    assert_int_equal(read_request(&s, &f, &bad), 0);
    assert_null(f.key.ptr);
    assert_non_null(f.key2.ptr);
    assert_int_equal(f.key2.len, 0);
    assert_int_equal(f.content_length, -1);
    assert_int_equal(f.body_len, -1);
    assert_int_equal(f.head_len, -1);
    assert_int_equal(f.keys, 0);
    assert_int_equal(f.sent, 0);
    assert_int_equal(f.src.type, SPOP_NULL);
    begin(&s, "once-request");
    put_null(&s, "policy");
    put_text(&s, "rid", "9f0c");
    assert_int_equal(read_request(&s, &f, &bad), -2);
    assert_string_equal(bad.text, "argument policy: missing");
    begin(&s, "once-refused");
    assert_int_equal(read_request(&s, &f, &bad), -2);
    assert_string_equal(bad.text, "argument policy: missing");
    (void)state;
}

static void test_wrong_types(void **state)
{
    static const struct {
        const char *name;
        enum spop_type came;
        const char *says;
    } cases[] = {
        {"key",      SPOP_INT64, "argument key: string wanted, integer came"     },
        {"sha",      SPOP_INT32, "argument sha: binary wanted, integer came"     },
        {"sha",      SPOP_STR,   "argument sha: 32 bytes wanted, 4 came"         },
        {"body_len", SPOP_STR,   "argument body_len: integer wanted, string came"},
        {"keys",     SPOP_BOOL,  "argument keys: integer wanted, boolean came"   },
        {"src",      SPOP_STR,   "argument src: ip wanted, string came"          },
        {"host",     SPOP_IPV4,  "argument host: string wanted, ip came"         },
        {"timeout",  SPOP_BIN,   "argument timeout: integer wanted, binary came" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire s;
        struct request_facts f;
        struct facts_error bad;
        begin(&s, "once-request");
        if (cases[i].came == SPOP_STR || cases[i].came == SPOP_BIN)
            put_bytes(&s, cases[i].name, cases[i].came, "text", 4);
        else if (cases[i].came == SPOP_IPV4)
            put_ip(&s, cases[i].name, SPOP_IPV4, "\1\2\3\4");
        else if (cases[i].came == SPOP_BOOL)
            put_bool(&s, cases[i].name, true);
        else
            put_int(&s, cases[i].name, cases[i].came, 5);
        put_int(&s, "path", SPOP_INT32, 1); /* the first mistake is the one that is told */
        put_text(&s, "policy", "payments");
        assert_int_equal(read_request(&s, &f, &bad), -2);
        assert_string_equal(bad.text, cases[i].says);
    }
    (void)state;
}

static void test_sha_sizes(void **state)
{
    static const char bytes[33] = {0};
    static const struct {
        size_t len;
        int result;
    } cases[] = {
        {31, -2},
        {32, 0 },
        {33, -2}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire s;
        struct request_facts f;
        struct facts_error bad;
        begin(&s, "once-request");
        put_text(&s, "policy", "payments");
        put_bytes(&s, "sha", SPOP_BIN, bytes, cases[i].len);
        assert_int_equal(read_request(&s, &f, &bad), cases[i].result);
    }
    (void)state;
}

static void test_response(void **state)
{
    struct wire s;
    struct response_facts f;
    struct facts_error bad;
    begin(&s, "once-response");
    put_text(&s, "token", "T");
    put_int(&s, "status", SPOP_INT32, 201);
    put_text(&s, "method", "POST");
    put_bytes(&s, "headers", SPOP_BIN, "\0\0", 2);
    put_bytes(&s, "body", SPOP_BIN, "a\0b", 3);
    put_int(&s, "body_len", SPOP_INT64, 3);
    put_int(&s, "content_length", SPOP_INT64, 4);
    put_bool(&s, "waited", true);
    put_text(&s, "anything", "is passed over");
    assert_int_equal(read_response(&s, &f, &bad), 0);
    assert_text(f.token, "T");
    assert_int_equal(f.status, 201);
    assert_text(f.method, "POST");
    assert_int_equal(f.headers.len, 2);
    assert_memory_equal(f.body.ptr, "a\0b", 3);
    assert_int_equal(f.body_len, 3);
    assert_int_equal(f.content_length, 4);
    assert_true(f.waited);
    (void)state;
}

static void test_response_missing(void **state)
{
    struct wire s;
    struct response_facts f;
    struct facts_error bad;
    begin(&s, "once-response");
    put_text(&s, "token", "T");
    assert_int_equal(read_response(&s, &f, &bad), -2);
    assert_string_equal(bad.text, "argument status: missing");
    put_int(&s, "status", SPOP_INT32, 200);
    put_int(&s, "waited", SPOP_INT32, 0);
    assert_int_equal(read_response(&s, &f, &bad), 0);
    assert_false(f.waited);
    assert_int_equal(f.body_len, -1);
    assert_int_equal(f.content_length, -1);
    (void)state;
}

/* Every truncation is malformed, never a mistake, never read past the end. */
static void test_truncated(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    begin(&s, "once-request");
    put_request(&s);
    for (size_t cut = s.count_at + 1; cut < s.w.len; cut++) {
        struct spop_message m;
        struct spop_cursor c = {s.bytes, s.bytes + cut};
        assert_int_equal(spop_next_message(&c, &m), 1);
        assert_int_equal(facts_read_request(&c, &m, &f, &bad), -1);
        c = (struct spop_cursor){s.bytes, s.bytes + cut};
        assert_int_equal(spop_next_message(&c, &m), 1);
        assert_int_equal(facts_skip(&c, &m), -1);
    }
    struct spop_message m;
    struct spop_cursor c = open_wire(&s, &m);
    assert_int_equal(facts_skip(&c, &m), 0);
    assert_ptr_equal(c.at, c.end);
    (void)state;
}

static void test_text(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    char scratch[24];
    begin(&s, "once-request");
    put_request(&s);
    put_text(&s, "user", "alice");
    put_int(&s, "tenant", SPOP_INT64, UINT64_MAX); /* -1 */
    put_int(&s, "least", SPOP_INT64, (uint64_t)1 << 63);
    put_bool(&s, "admin", true);
    put_ip(&s, "xff", SPOP_IPV4, "\xc6\x33\x64\x01");
    put_null(&s, "nobody");
    assert_int_equal(read_request(&s, &f, &bad), 0);
    assert_int_equal(f.nextra, 6);
    assert_text(facts_text(&f, "user", scratch), "alice");
    assert_text(facts_text(&f, "tenant", scratch), "-1");
    assert_text(facts_text(&f, "least", scratch), "-9223372036854775808");
    assert_text(facts_text(&f, "admin", scratch), "1");
    assert_text(facts_text(&f, "xff", scratch), "\xc6\x33\x64\x01");
    assert_text(facts_text(&f, "nobody", scratch), "");
    assert_text(facts_text(&f, "use", scratch), "");
    assert_text(facts_text(&f, "host", scratch), "shop.example");
    assert_text(facts_text(&f, "body_len", scratch), "1000");
    assert_text(facts_text(&f, "err", scratch), "");
    assert_int_equal(facts_text(&f, "src", scratch).len, 4);
    assert_text(facts_text(&f, "token", scratch), "");
    (void)state;
}

static void test_extra_bound(void **state)
{
    struct wire s;
    struct request_facts f;
    struct facts_error bad;
    char scratch[24];
    for (unsigned n = FACTS_EXTRA_MAX - 1; n <= FACTS_EXTRA_MAX + 1; n++) {
        begin(&s, "once-request");
        put_text(&s, "policy", "payments");
        for (unsigned i = 0; i < n; i++)
            put_text(&s, (char[]){'x', (char)('a' + i), 0}, "v");
        assert_int_equal(read_request(&s, &f, &bad), 0);
        assert_int_equal(f.nextra, n < FACTS_EXTRA_MAX ? n : FACTS_EXTRA_MAX);
        assert_text(facts_text(&f, (char[]){'x', (char)('a' + FACTS_EXTRA_MAX - 2), 0}, scratch), "v");
        assert_text(facts_text(&f, (char[]){'x', (char)('a' + FACTS_EXTRA_MAX), 0}, scratch), "");
    }
    (void)state;
}

/* What is said in words is found like what a message has brought. */
static void test_say(void **state)
{
    struct request_facts f = {0};
    char scratch[24];
    (void)state;
    assert_true(facts_say(&f, "host", S("shop")));
    assert_text(f.host, "shop");
    assert_text(facts_text(&f, "host", scratch), "shop");
    assert_true(facts_say(&f, "user", S("alice")));
    assert_text(facts_text(&f, "user", scratch), "alice");
    assert_false(facts_say(&f, "src", S("192.0.2.7")));
    assert_false(facts_say(&f, "keys", S("1")));
    while (f.nextra < FACTS_EXTRA_MAX)
        assert_true(facts_say(&f, "more", S("x")));
    assert_false(facts_say(&f, "more", S("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_say),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_request_whole),
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_refused_and_order),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_sha_sizes),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_response_missing),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_extra_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
