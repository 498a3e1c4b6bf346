// SPDX-License-Identifier: MIT
/* The HTTP adapter on real sockets: what is on the wire byte for byte, late answers, bounds, bad clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/httpd.h"
#include "tests/support/loop.h"
#include "tests/support/rawhttp.h"

enum { LATE_MAX = 128, CONNECTIONS = 128, IDLE_S = 1, HEAD = 65536 };

static const uint8_t odd_body[] = {0, 255, '\r', '\n', '\r', '\n', 0, 0x80};
static const char GET[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/* What the handler does is said by the path. */
static struct world {
    struct ev_loop *loop;
    struct httpd *httpd;
    char path[64];
    struct httpd_request *late[LATE_MAX];
    unsigned nlate, requests, refused;
    char method[16], seen[64], header[64];
    struct spop_slice big;
} w;

static struct raw_reply reply;

static bool add(struct httpd_request *q, const char *name, const char *value)
{
    return httpd_add(q, (struct spop_slice){name, strlen(name)}, (struct spop_slice){value, strlen(value)});
}

static void answer_odd(struct httpd_request *q)
{
    httpd_begin(q, 201, odd_body, sizeof odd_body);
    assert_true(add(q, "Location", "/payments/7"));
    assert_true(add(q, "X-Twice", "one"));
    assert_true(add(q, "x-between", "a\tb  c=\"d\""));
    assert_true(add(q, "X-Twice", "two"));
    assert_true(add(q, "X-Empty", ""));
    assert_true(add(q, "X-High", "\xc3\xa9\xff\x80"));
    assert_true(add(q, "Set-Cookie", "a=1"));
    assert_true(add(q, "Set-Cookie", "b=2"));
}

static void answer_refused(struct httpd_request *q)
{
    static const struct {
        struct spop_slice name, value;
    } bad[] = {
        {{"X-A", 3},                {"x\r\nX-Evil: 1", 12}},
        {{"X-A", 3},                {"x\ny", 3}           },
        {{"X-A", 3},                {"x\0y", 3}           },
        {{"X\0A", 3},               {"x", 1}              },
        {{"", 0},                   {"x", 1}              },
        {{NULL, 0},                 {NULL, 0}             },
        {{"X-A:", 4},               {"x", 1}              },
        {{"X-A: 1", 6},             {"x", 1}              },
        {{"X A", 3},                {"x", 1}              },
        {{"Content-Length", 14},    {"5", 1}              },
        {{"Transfer-encoding", 17}, {"chunked", 7}        },
        {{"connection", 10},        {"close", 5}          },
    };
    httpd_begin(q, 200, "ok", 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        w.refused += !httpd_add(q, bad[i].name, bad[i].value);
    assert_int_equal(w.refused, sizeof bad / sizeof *bad);
    assert_true(add(q, "X-Good", "1"));
}

static void on_request(void *arg, struct httpd_request *q, const char *method, const char *path)
{
    assert_ptr_equal(arg, &w);
    w.requests++;
    snprintf(w.method, sizeof w.method, "%s", method);
    snprintf(w.seen, sizeof w.seen, "%s", path);
    const char *header = httpd_header(q, "once-replay");
    snprintf(w.header, sizeof w.header, "%s", header ? header : "(none)");
    if (strcmp(path, "/late") == 0) {
        w.late[w.nlate++] = q;
        return;
    }
    if (strcmp(path, "/odd") == 0)
        answer_odd(q);
    else if (strcmp(path, "/refused") == 0)
        answer_refused(q);
    else if (strncmp(path, "/status/", 8) == 0)
        httpd_begin(q, (unsigned)atoi(path + 8), "body", 4);
    else if (strncmp(path, "/empty/", 7) == 0)
        httpd_begin(q, (unsigned)atoi(path + 7), NULL, 0);
    else if (strcmp(path, "/big") == 0)
        httpd_begin(q, 200, w.big.ptr, w.big.len);
    else if (strcmp(path, "/bighead") == 0)
        httpd_begin(q, 200, "ok", 2), assert_true(httpd_add(q, (struct spop_slice){"X-Big", 5}, w.big));
    else if (strcmp(path, "/twice") == 0)
        httpd_begin(q, 500, "no", 2), httpd_add_text(q, "X-No", "1"), httpd_begin(q, 200, "yes", 3);
    else if (strcmp(path, "/nothing") != 0)
        httpd_begin(q, 200, "ok", 2);
    httpd_send(q);
}

static void start(unsigned connections)
{
    memset(&w, 0, sizeof w);
    w.loop = ev_loop_new(0);
    const struct httpd_bounds bounds = {connections, IDLE_S, HEAD};
    w.httpd = httpd_new(w.loop, raw_listen_unix(w.path), &bounds, on_request, &w);
    assert_non_null(w.httpd);
}

static int setup(void **state)
{
    (void)state;
    start(CONNECTIONS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (w.httpd)
        httpd_free(w.httpd);
    ev_loop_destroy(w.loop);
    raw_unlisten(w.path);
    buf_free(&reply.body);
    return 0;
}

static void connect_to(struct raw *c)
{
    raw_connect_unix(c, w.loop, w.path);
}

static void expect_ok(struct raw *c)
{
    assert_int_equal(raw_reply(c, false, &reply), 0);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, 2);
    assert_memory_equal(reply.body.data, "ok", 2);
}

static void expect_odd(struct raw *c)
{
    assert_int_equal(raw_reply(c, false, &reply), 0);
    assert_string_equal(reply.head, "HTTP/1.1 201 Created\n"
                                    "Location: /payments/7\n"
                                    "X-Twice: one\n"
                                    "x-between: a\tb  c=\"d\"\n"
                                    "X-Twice: two\n"
                                    "X-Empty:  \n"
                                    "X-High: \xc3\xa9\xff\x80\n"
                                    "Set-Cookie: a=1\n"
                                    "Set-Cookie: b=2\n"
                                    "Content-Length: 8\n");
    assert_int_equal(reply.body.len, sizeof odd_body);
    assert_memory_equal(reply.body.data, odd_body, sizeof odd_body);
}

static void test_exact_bytes(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    for (int i = 0; i < 3; i++) {
        raw_send_text(&c, "GET /odd?query HTTP/1.1\r\nHost: a\r\nOnce-Replay: xyz\r\n\r\n");
        expect_odd(&c);
    }
    assert_string_equal(w.header, "xyz");
    assert_string_equal(w.seen, "/odd");
    raw_close(&c);
}

static void test_exact_bytes_over_tcp(void **state)
{
    struct raw c;
    uint16_t port;
    (void)state;
    static const struct httpd_bounds bounds = {CONNECTIONS, IDLE_S, HEAD};
    struct httpd *tcp = httpd_new(w.loop, raw_listen_tcp(&port), &bounds, on_request, &w);
    raw_connect_tcp(&c, w.loop, port);
    raw_send_text(&c, "GET /odd HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_odd(&c);
    raw_close(&c);
    httpd_free(tcp);
}

static void test_bytes_one_by_one_and_pipelined(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    for (size_t i = 0; i < sizeof GET - 1; i++) {
        raw_send(&c, GET + i, 1);
        ev_run(w.loop, EVRUN_NOWAIT);
    }
    expect_ok(&c);
    raw_send_text(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /odd HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_ok(&c);
    expect_odd(&c);
    raw_close(&c);
}

static void test_every_status(void **state)
{
    struct raw c;
    char request[64], line[32];
    (void)state;
    connect_to(&c);
    for (unsigned status = 200; status <= 599; status++) {
        bool bodiless = status == 204 || status == 304;
        snprintf(request, sizeof request, "GET /status/%u HTTP/1.1\r\nHost: a\r\n\r\n", status);
        raw_send_text(&c, request);
        assert_int_equal(raw_reply(&c, false, &reply), 0);
        snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
        assert_memory_equal(reply.head, line, strlen(line));
        assert_int_equal(reply.body.len, bodiless ? 0 : 4);
        /* One line beside the status: nothing was added. (The length of a 304 may be said or not.) */
        const char *rest = strchr(reply.head, '\n') + 1;
        if (status == 304)
            continue;
        assert_string_equal(rest, status == 204 ? "" : "Content-Length: 4\n");
    }
    raw_close(&c);
}

static void test_head(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_reply(&c, true, &reply), 0);
    assert_string_equal(reply.head, "HTTP/1.1 200 OK\nContent-Length: 2\n");
    assert_string_equal(w.method, "HEAD");
    raw_send_text(&c, GET);
    expect_ok(&c);
    raw_close(&c);
}

/* Nothing is said about a length that nobody knows. */
static void test_empty_head_and_304(void **state)
{
    static const struct {
        const char *request, *head;
    } row[] = {
        {"HEAD /empty/200 HTTP/1.1\r\nHost: a\r\n\r\n",                        "HTTP/1.1 200 OK\nConnection: close\n"          },
        {"GET /empty/304 HTTP/1.1\r\nHost: a\r\n\r\n",                         "HTTP/1.1 304 Not Modified\nConnection: close\n"},
        {"POST /empty/304 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy",
         "HTTP/1.1 304 Not Modified\nConnection: close\n"                                                                      },
    };
    struct raw c;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        connect_to(&c);
        raw_send_text(&c, row[i].request);
        assert_int_equal(raw_reply(&c, true, &reply), 0);
        assert_string_equal(reply.head, row[i].head);
        assert_true(raw_closed(&c, 5));
        assert_int_equal(c.in.len, 0);
        raw_close(&c);
    }
    connect_to(&c);
    raw_send_text(&c, "GET /empty/200 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_reply(&c, false, &reply), 0);
    assert_string_equal(reply.head, "HTTP/1.1 200 OK\nContent-Length: 0\n");
    raw_close(&c);
}

static void test_http10_is_closed(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "GET / HTTP/1.0\r\n\r\n");
    expect_ok(&c);
    assert_true(raw_closed(&c, 5));
    raw_close(&c);
}

/* The body is dropped, the connection goes on. */
static void test_request_bodies(void **state)
{
    enum { BIG = 3 * 1024 * 1024 };
    struct raw c;
    char head[128];
    char *body = malloc(BIG);
    (void)state;
    memset(body, 'x', BIG);
    connect_to(&c);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BIG);
    assert_true(raw_send_text(&c, head) && raw_send(&c, body, BIG));
    expect_ok(&c);
    raw_send_text(&c, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
    expect_ok(&c);
    assert_string_equal(w.method, "PUT");
    raw_send_text(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    expect_ok(&c);
    raw_send_text(&c, GET);
    expect_ok(&c);
    assert_int_equal(w.requests, 4);
    raw_close(&c);
    free(body);
}

static void test_expect(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(raw_reply(&c, false, &reply), 0);
    assert_int_equal(reply.status, 100);
    raw_send_text(&c, "abc");
    expect_ok(&c);
    raw_send_text(&c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\nabc");
    expect_ok(&c);
    raw_close(&c);
}

static void test_refused_headers(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "GET /refused HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_reply(&c, false, &reply), 0);
    assert_string_equal(reply.head, "HTTP/1.1 200 OK\nX-Good: 1\nContent-Length: 2\n");
    raw_close(&c);
}

static void test_begin_twice_and_never(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "GET /twice HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_reply(&c, false, &reply), 0);
    assert_string_equal(reply.head, "HTTP/1.1 200 OK\nContent-Length: 3\n");
    raw_send_text(&c, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(raw_closed(&c, 5));
    raw_close(&c);
    connect_to(&c);
    raw_send_text(&c, GET);
    expect_ok(&c);
    raw_close(&c);
}

static void ask_late(struct raw *c)
{
    unsigned before = w.nlate;
    raw_send_text(c, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    while (w.nlate == before)
        loop_run(w.loop, 0.001);
}

/* Suspended for longer than the idle time; others are served meanwhile. */
static void test_late_answer(void **state)
{
    struct raw a, b;
    (void)state;
    connect_to(&a);
    connect_to(&b);
    ask_late(&a);
    raw_send_text(&b, GET);
    expect_ok(&b);
    loop_run(w.loop, IDLE_S + 0.3);
    assert_int_equal(a.in.len, 0);
    assert_false(raw_closed(&a, 0.05));
    answer_odd(w.late[0]);
    ev_tstamp sent = ev_time();
    httpd_send(w.late[0]);
    expect_odd(&a);
    assert_true(ev_time() - sent < 0.5);
    raw_send_text(&a, GET);
    expect_ok(&a);
    raw_close(&a);
    raw_close(&b);
}

static void test_client_leaves_while_suspended(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    ask_late(&c);
    raw_close(&c);
    loop_run(w.loop, 0.05);
    httpd_begin(w.late[0], 200, "ok", 2);
    httpd_send(w.late[0]);
    loop_run(w.loop, 0.05);
    connect_to(&c);
    raw_send_text(&c, GET);
    expect_ok(&c);
    raw_close(&c);
}

static void test_client_leaves_in_mid_request(void **state)
{
    struct raw c;
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    loop_run(w.loop, 0.05);
    raw_close(&c);
    loop_run(w.loop, 0.05);
    assert_int_equal(w.requests, 0);
}

static void test_free_with_suspended(void **state)
{
    struct raw a, b, idle;
    (void)state;
    connect_to(&a);
    connect_to(&b);
    connect_to(&idle);
    ask_late(&a);
    ask_late(&b);
    httpd_begin(w.late[1], 200, "begun", 5);
    httpd_free(w.httpd);
    w.httpd = NULL;
    assert_true(raw_closed(&a, 1) && raw_closed(&b, 1) && raw_closed(&idle, 1));
    assert_int_equal(a.in.len, 0);
    raw_close(&a);
    raw_close(&b);
    raw_close(&idle);
}

static void test_idle_is_closed_slow_is_not(void **state)
{
    struct raw idle, half, slow;
    (void)state;
    connect_to(&idle);
    connect_to(&half);
    connect_to(&slow);
    raw_send_text(&half, "GET / HTTP/1.1\r\nHo");
    for (size_t i = 0; i < sizeof GET - 1; i++) {
        raw_send(&slow, GET + i, 1);
        loop_run(w.loop, (IDLE_S + 0.4) / sizeof GET);
    }
    expect_ok(&slow);
    assert_true(raw_closed(&idle, IDLE_S + 1.5));
    assert_true(raw_closed(&half, IDLE_S + 1.5));
    raw_close(&idle);
    raw_close(&half);
    raw_close(&slow);
}

static void test_hundred_in_parallel(void **state)
{
    enum { N = 100 };
    static struct raw c[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        connect_to(&c[i]);
        raw_send_text(&c[i], i % 2 ? "GET /late HTTP/1.1\r\nHost: a\r\n\r\n" : GET);
    }
    for (int i = 0; i < N; i += 2)
        expect_ok(&c[i]);
    while (w.nlate < N / 2)
        loop_run(w.loop, 0.001);
    for (unsigned i = w.nlate; i-- > 0;) {
        httpd_begin(w.late[i], 200, "ok", 2);
        httpd_send(w.late[i]);
    }
    for (int i = 1; i < N; i += 2)
        expect_ok(&c[i]);
    for (int i = 0; i < N; i++)
        raw_close(&c[i]);
    assert_int_equal(w.requests, N);
}

/* The one over the limit waits in the backlog until another one leaves. */
static void test_connection_limit(void **state)
{
    struct raw c[4];
    teardown(state);
    start(3);
    for (int i = 0; i < 4; i++) {
        connect_to(&c[i]);
        raw_send_text(&c[i], "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    loop_run(w.loop, 0.2);
    assert_int_equal(w.requests, 3);
    for (unsigned i = 0; i < 3; i++) {
        httpd_begin(w.late[i], 200, "ok", 2);
        httpd_send(w.late[i]);
    }
    expect_ok(&c[0]);
    raw_close(&c[0]);
    loop_run(w.loop, 0.2);
    assert_int_equal(w.requests, 4);
    httpd_begin(w.late[3], 200, "ok", 2);
    httpd_send(w.late[3]);
    for (int i = 1; i < 4; i++) {
        expect_ok(&c[i]);
        raw_close(&c[i]);
    }
}

static char *filled(size_t len)
{
    char *p = malloc(len);
    memset(p, 'h', len);
    w.big = (struct spop_slice){p, len};
    return p;
}

/* Heads of nearly the bound, in and out; what is too large is refused, not served. */
static void test_header_memory(void **state)
{
    enum { LARGE = 60 * 1024 };
    struct raw c;
    char *big = filled(LARGE);
    (void)state;
    connect_to(&c);
    for (int i = 0; i < 2; i++) {
        raw_send_text(&c, "GET /bighead HTTP/1.1\r\nHost: a\r\nX-Big: ");
        raw_send(&c, big, LARGE);
        raw_send_text(&c, "\r\n\r\n");
        assert_int_equal(raw_reply(&c, false, &reply), 0);
        assert_int_equal(reply.status, 200);
        assert_true(strlen(reply.head) > LARGE);
    }
    raw_send_text(&c, "GET / HTTP/1.1\r\nHost: a\r\nX-Big: ");
    for (int i = 0; i < 8 && raw_send(&c, big, LARGE); i++)
        ;
    if (raw_reply(&c, false, &reply) == 0)
        assert_int_equal(reply.status, 431);
    assert_true(raw_closed(&c, 5));
    assert_int_equal(w.requests, 2);
    raw_close(&c);
    free(big);
}

static void test_large_body_slow_reader(void **state)
{
    enum { LARGE = 4 * 1024 * 1024 };
    struct raw slow, other;
    char *big = filled(LARGE);
    (void)state;
    connect_to(&slow);
    connect_to(&other);
    raw_send_text(&slow, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    loop_run(w.loop, 0.1);
    raw_send_text(&other, GET);
    expect_ok(&other);
    assert_int_equal(raw_reply(&slow, false, &reply), 0);
    assert_int_equal(reply.body.len, LARGE);
    assert_memory_equal(reply.body.data, big, LARGE);
    raw_close(&slow);
    raw_close(&other);
    free(big);
}

static void test_reader_that_stopped_is_closed(void **state)
{
    enum { LARGE = 4 * 1024 * 1024 };
    struct raw c;
    char *big = filled(LARGE);
    (void)state;
    connect_to(&c);
    raw_send_text(&c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    loop_run(w.loop, IDLE_S + 1.5);
    assert_int_equal(raw_reply(&c, false, &reply), -1);
    assert_true(c.eof);
    assert_true(c.in.len < LARGE);
    raw_close(&c);
    free(big);
}

static void test_garbage(void **state)
{
    static const char *const lines[] = {
        "\r\n\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: minus\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x16\x03\x01\x02",
    };
    struct raw c;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        connect_to(&c);
        raw_send_text(&c, lines[i]);
        loop_run(w.loop, 0.02);
        raw_close(&c);
    }
    connect_to(&c);
    raw_send_text(&c, GET);
    expect_ok(&c);
    raw_close(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exact_bytes),
        TEST(test_exact_bytes_over_tcp),
        TEST(test_bytes_one_by_one_and_pipelined),
        TEST(test_every_status),
        TEST(test_head),
        TEST(test_empty_head_and_304),
        TEST(test_http10_is_closed),
        TEST(test_request_bodies),
        TEST(test_expect),
        TEST(test_refused_headers),
        TEST(test_begin_twice_and_never),
        TEST(test_late_answer),
        TEST(test_client_leaves_while_suspended),
        TEST(test_client_leaves_in_mid_request),
        TEST(test_free_with_suspended),
        TEST(test_idle_is_closed_slow_is_not),
        TEST(test_hundred_in_parallel),
        TEST(test_connection_limit),
        TEST(test_header_memory),
        TEST(test_large_body_slow_reader),
        TEST(test_reader_that_stopped_is_closed),
        TEST(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
