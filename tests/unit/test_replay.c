// SPDX-License-Identifier: MIT
/* The replay listener over a real unix socket, with Redis played by the test: redis_submit() and
 * redis_detach() below stand in for the adapter, so that each reply comes when the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "domain/token.h"
#include "rooms/replay.h"
#include "tests/support/rawhttp.h"

enum { CALLS = 128, MEMORY = 64 * 1024, KEEP_MS = 300, DEADLINE_MS = 250, FENCE_AT = 4 };

struct redis_call {
    redis_reply_fn *fn;
    void *arg;
    char command[256];
    size_t len;
    ev_tstamp deadline;
};

static struct world {
    struct ev_loop *loop;
    struct replay *replay;
    struct metrics metrics;
    struct config config;
    struct raw client;
    char path[64];
    bool redis_down;
    struct redis_call calls[CALLS];
    unsigned ncalls, detached;
} w;

static struct raw_reply reply;

struct redis_call *redis_submit(struct redis *r, const void *resp, size_t len, ev_tstamp deadline,
                                redis_reply_fn *fn, void *arg)
{
    assert_ptr_equal(r, &w);
    if (w.redis_down)
        return NULL;
    struct redis_call *call = &w.calls[w.ncalls++];
    *call = (struct redis_call){.fn = fn, .arg = arg, .len = len, .deadline = deadline};
    assert_true(len <= sizeof call->command);
    memcpy(call->command, resp, len);
    return call;
}

void redis_detach(struct redis_call *call)
{
    assert_non_null(call->fn);
    call->fn = NULL;
    w.detached++;
}

static void redis_says(unsigned call, enum redis_status status, const void *bytes, size_t len)
{
    const struct redis_reply r = {
        .status = status, .bytes = {bytes, len}
    };
    redis_reply_fn *fn = w.calls[call].fn;
    w.calls[call].fn = NULL;
    fn(w.calls[call].arg, &r);
}

static const char plain_headers[] = "\x0c"
                                    "content-type\x0a"
                                    "text/plain\0\0";

static void record_make(struct buf *b, unsigned status, const char *headers, size_t headers_len,
                        const void *body, size_t len, uint64_t fence)
{
    const struct response r = {
        status, {headers, headers_len},
         {body,    len        }
    };
    buf_reset(b);
    assert_int_equal(record_pack_done(b, &r, NULL, 0), 0);
    for (unsigned i = 0; i < 8; i++)
        b->data[FENCE_AT + i] = (uint8_t)(fence >> (8 * i));
}

static void plain_record(struct buf *b, const char *body, uint64_t fence)
{
    record_make(b, 201, plain_headers, sizeof plain_headers - 1, body, strlen(body), fence);
}

static struct record_id id_of(unsigned n)
{
    struct record_id id = {
        {1, 2},
        {0}
    };
    memcpy(id.digest + 4, &n, sizeof n);
    return id;
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.loop = ev_loop_new(0);
    w.config.replay.memory = MEMORY;
    w.config.replay.keep_ms = KEEP_MS;
    w.config.redis.deadline_ms = DEADLINE_MS;
    strcpy(w.config.problems.base, "https://example.org/problems#");
    w.replay = replay_new(w.loop, raw_listen_unix(w.path), (struct redis *)&w, &w.config, &w.metrics);
    raw_connect_unix(&w.client, w.loop, w.path);
    return w.replay ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&w.client);
    if (w.replay)
        replay_free(w.replay);
    ev_loop_destroy(w.loop);
    raw_unlisten(w.path);
    buf_free(&reply.body);
    return 0;
}

static void ask(struct raw *c, const char *method, unsigned n, uint64_t fence)
{
    const struct record_id id = id_of(n);
    char text[REPLAY_TEXT + 1], request[256];
    replay_id_write(&id, fence, text);
    snprintf(request, sizeof request,
             "%s /pay?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nOnce-Replay: %s\r\n\r\nhello", method,
             text);
    assert_true(raw_send_text(c, request));
}

static void wait_for_call(unsigned n)
{
    for (int i = 0; i < 2000 && w.ncalls < n; i++)
        raw_turn(w.loop, 0.001);
    assert_int_equal(w.ncalls, n);
}

static void expect_status(unsigned status)
{
    assert_int_equal(raw_reply(&w.client, false, &reply), 0);
    assert_int_equal(reply.status, status);
}

static void expect_body(const void *bytes, size_t len)
{
    assert_int_equal(reply.body.len, len);
    assert_memory_equal(reply.body.data, bytes, len);
}

static void expect_refusal(void)
{
    char head[256];
    expect_status(503);
    snprintf(head, sizeof head,
             "HTTP/1.1 503 Service Unavailable\n"
             "Content-Type: application/problem+json\n"
             "Cache-Control: no-store\n"
             "Retry-After: 1\n"
             "Content-Length: %zu\n",
             reply.body.len);
    assert_string_equal(reply.head, head);
    json_t *j = json_loadb((const char *)reply.body.data, reply.body.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "type")),
                        "https://example.org/problems#unavailable");
    assert_int_equal(json_integer_value(json_object_get(j, "status")), 503);
    json_decref(j);
}

static uint64_t counted(enum metric id)
{
    return w.metrics.value[id];
}

static bool is_kept(unsigned n)
{
    uint64_t before = counted(METRIC_REPLAY_SERVED);
    w.redis_down = true;
    ask(&w.client, "POST", n, 1);
    assert_int_equal(raw_reply(&w.client, false, &reply), 0);
    w.redis_down = false;
    return counted(METRIC_REPLAY_SERVED) > before;
}

static void keep(unsigned n, const char *body)
{
    struct buf b;
    const struct record_id id = id_of(n);
    buf_init(&b);
    plain_record(&b, body, 1);
    replay_keep(w.replay, &id, b.data, b.len);
    buf_free(&b);
}

/* Keeps a record of exactly so many bytes in all. */
static void keep_bytes(unsigned n, size_t len)
{
    struct buf b;
    const struct record_id id = id_of(n);
    char *body = calloc(1, len);
    memset(body, 'x', len - 1);
    buf_init(&b);
    plain_record(&b, body, 1);
    size_t extra = b.len - (len - 1);
    body[len - extra] = '\0';
    plain_record(&b, body, 1);
    assert_int_equal(b.len, len);
    replay_keep(w.replay, &id, b.data, b.len);
    buf_free(&b);
    free(body);
}

static const char odd_headers[] = "\x08location\x0b/payments/7"
                                  "\x07x-twice\x03one"
                                  "\x0d"
                                  "cache-control\x0bmax-age=600"
                                  "\x07x-empty\x00"
                                  "\x0d"
                                  "Cache-Control\x06public"
                                  "\x13idempotent-replayed\x05"
                                  "false"
                                  "\x07x-twice\x03two"
                                  "\x06x-high\x04\xc3\xa9\xff\t"
                                  "\0\0";
static const char odd_body[] = {0, (char)255, '\r', '\n', 0, 'x'};

static void expect_odd(void)
{
    expect_status(201);
    assert_string_equal(reply.head, "HTTP/1.1 201 Created\n"
                                    "location: /payments/7\n"
                                    "x-twice: one\n"
                                    "x-empty:  \n"
                                    "x-twice: two\n"
                                    "x-high: \xc3\xa9\xff\t\n"
                                    "Idempotent-Replayed: true\n"
                                    "Cache-Control: no-store\n"
                                    "Content-Length: 6\n");
    expect_body(odd_body, sizeof odd_body);
}

static void test_from_memory(void **state)
{
    struct buf b;
    const struct record_id id = id_of(1);
    (void)state;
    buf_init(&b);
    record_make(&b, 201, odd_headers, sizeof odd_headers - 1, odd_body, sizeof odd_body, 77);
    replay_keep(w.replay, &id, b.data, b.len);
    for (unsigned i = 1; i < 4; i++) {
        ask(&w.client, "POST", 1, 77);
        expect_odd();
        assert_int_equal(counted(METRIC_REPLAY_SERVED), i);
    }
    assert_int_equal(w.ncalls, 0);
    buf_free(&b);
}

/* What was fetched is kept: the second one costs Redis nothing. */
static void test_from_redis(void **state)
{
    static const char wanted[] =
        "*2\r\n$3\r\nGET\r\n$46\r\nonce:{0102}:r:00000000010000000000000000000000\r\n";
    struct buf b;
    (void)state;
    buf_init(&b);
    record_make(&b, 201, odd_headers, sizeof odd_headers - 1, odd_body, sizeof odd_body, 77);
    ask(&w.client, "POST", 1, 77);
    wait_for_call(1);
    assert_int_equal(w.calls[0].len, sizeof wanted - 1);
    assert_memory_equal(w.calls[0].command, wanted, sizeof wanted - 1);
    double left = w.calls[0].deadline - ev_now(w.loop);
    assert_true(left > DEADLINE_MS / 1000.0 - 0.2 && left <= DEADLINE_MS / 1000.0);
    assert_int_equal(w.client.in.len, 0);
    redis_says(0, REDIS_BYTES, b.data, b.len);
    expect_odd();
    assert_int_equal(counted(METRIC_REPLAY_FETCHED), 1);
    ask(&w.client, "POST", 1, 77);
    expect_odd();
    assert_int_equal(counted(METRIC_REPLAY_SERVED), 1);
    assert_int_equal(w.ncalls, 1);
    buf_free(&b);
}

static void test_statuses(void **state)
{
    static const unsigned statuses[] = {200, 202, 204, 301, 304, 400, 404, 422, 500, 599};
    struct buf b;
    const struct record_id id = id_of(1);
    (void)state;
    buf_init(&b);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        record_make(&b, statuses[i], "\0\0", 2, "", 0, 1);
        replay_keep(w.replay, &id, b.data, b.len);
        ask(&w.client, "POST", 1, 1);
        expect_status(statuses[i]);
        assert_non_null(strstr(reply.head, "\nIdempotent-Replayed: true\nCache-Control: no-store\n"));
        assert_int_equal(reply.body.len, 0);
        if (statuses[i] == 304) { /* its connection ends: the length of what it stands for is unknown */
            assert_true(raw_closed(&w.client, 5));
            raw_close(&w.client);
            raw_connect_unix(&w.client, w.loop, w.path);
        }
    }
    assert_int_equal(counted(METRIC_REPLAY_SERVED), sizeof statuses / sizeof *statuses);
    buf_free(&b);
}

static void test_head_request(void **state)
{
    (void)state;
    keep(1, "body");
    ask(&w.client, "HEAD", 1, 1);
    assert_int_equal(raw_reply(&w.client, true, &reply), 0);
    assert_int_equal(reply.status, 201);
    assert_non_null(strstr(reply.head, "\nIdempotent-Replayed: true\n"));
    ask(&w.client, "POST", 1, 1);
    expect_status(201);
    expect_body("body", 4);
}

static void test_bad_ids(void **state)
{
    static const char *const bad[] = {
        "",
        "Once-Replay: \r\n",
        "Once-Replay: x\r\n",
        "Once-Replay: AQIAAAAAAQAAAAAAAAAAAAAAAAEAAAAAAAAA\r\n",
        "Once-Replay: !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!\r\n",
    };
    char request[256];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", bad[i]);
        raw_send_text(&w.client, request);
        expect_status(400);
        assert_non_null(strstr(reply.head, "\nContent-Type: application/problem+json\n"));
        assert_null(strstr(reply.head, "Retry-After"));
    }
    assert_int_equal(w.ncalls, 0);
    assert_int_equal(counted(METRIC_REPLAY_GONE), 0);
}

static void refused_by(enum redis_status status, const void *bytes, size_t len)
{
    uint64_t gone = counted(METRIC_REPLAY_GONE);
    unsigned call = w.ncalls;
    ask(&w.client, "POST", 9, 77);
    wait_for_call(call + 1);
    redis_says(call, status, bytes, len);
    expect_refusal();
    assert_int_equal(counted(METRIC_REPLAY_GONE), gone + 1);
}

static void test_refusals(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b);
    plain_record(&b, "body", 77);
    refused_by(REDIS_LATE, NULL, 0);
    refused_by(REDIS_LOST, NULL, 0);
    refused_by(REDIS_NIL, NULL, 0);
    refused_by(REDIS_INT, NULL, 0);
    refused_by(REDIS_ERROR, b.data, b.len);
    refused_by(REDIS_BYTES, "", 0);
    refused_by(REDIS_BYTES, "foreign value", 13);
    for (size_t len = 0; len < b.len; len++)
        if (len < 60 || len > b.len - 5)
            refused_by(REDIS_BYTES, b.data, len), w.ncalls = 0;
    static const char others[] = {RECORD_FREE, RECORD_RUNNING, RECORD_ANSWERED,
                                  RECORD_HELD, RECORD_TOMB,    '?'};
    for (size_t i = 0; i < sizeof others; i++) {
        b.data[1] = (uint8_t)others[i];
        refused_by(REDIS_BYTES, b.data, b.len);
    }
    plain_record(&b, "body", 78);
    refused_by(REDIS_BYTES, b.data, b.len);
    plain_record(&b, "body", 77);
    b.data[0] = 2;
    refused_by(REDIS_BYTES, b.data, b.len);
    assert_int_equal(w.metrics.value[METRIC_REPLAY_BYTES], 0);
    w.redis_down = true;
    ask(&w.client, "POST", 9, 77);
    expect_refusal();
    buf_free(&b);
}

/* A header that cannot be sent makes the record one that cannot be read, not a shorter answer. */
static void test_unsendable_header(void **state)
{
    static const char headers[] = "\x03x-a\x09one\r\nx: y\0\0";
    struct buf b;
    (void)state;
    buf_init(&b);
    record_make(&b, 200, headers, sizeof headers - 1, "body", 4, 77);
    refused_by(REDIS_BYTES, b.data, b.len);
    buf_free(&b);
}

/* What is kept is another execution's: Redis has the last word. */
static void test_other_fence_in_memory(void **state)
{
    struct buf b;
    (void)state;
    keep(1, "old");
    buf_init(&b);
    plain_record(&b, "new", 2);
    ask(&w.client, "POST", 1, 2);
    wait_for_call(1);
    redis_says(0, REDIS_BYTES, b.data, b.len);
    expect_status(201);
    expect_body("new", 3);
    ask(&w.client, "POST", 1, 2);
    expect_status(201);
    assert_int_equal(w.ncalls, 1);
    buf_free(&b);
}

static void test_other_tag_is_another_record(void **state)
{
    struct record_id id = id_of(1);
    struct buf b;
    (void)state;
    id.tag[0]++;
    buf_init(&b);
    plain_record(&b, "theirs", 1);
    replay_keep(w.replay, &id, b.data, b.len);
    assert_false(is_kept(1));
    buf_free(&b);
}

static void test_memory_exact_and_one_over(void **state)
{
    enum { QUARTER = MEMORY / 4 - REPLAY_OVERHEAD };
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        keep_bytes(i, QUARTER);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_kept(i));
    keep_bytes(3, QUARTER + 1); /* takes its own place, and one byte too many: the oldest goes */
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 1);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY * 3 / 4 + 1);
    assert_false(is_kept(0));
    assert_true(is_kept(1) && is_kept(2) && is_kept(3));
}

static void test_one_as_large_as_memory(void **state)
{
    (void)state;
    keep_bytes(1, 500);
    keep_bytes(2, MEMORY - REPLAY_OVERHEAD + 1);
    assert_true(is_kept(1));
    assert_false(is_kept(2));
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 1);
    keep_bytes(3, MEMORY - REPLAY_OVERHEAD);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 2);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    assert_true(is_kept(3));
    assert_false(is_kept(1));
}

/* Kept again, the same bytes: nothing grows, and it becomes the newest. */
static void test_same_again_is_the_newest(void **state)
{
    enum { HALF = MEMORY / 2 - REPLAY_OVERHEAD };
    (void)state;
    keep_bytes(1, HALF);
    keep_bytes(2, HALF);
    keep_bytes(1, HALF);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    keep_bytes(3, HALF);
    assert_true(is_kept(1) && is_kept(3));
    assert_false(is_kept(2));
}

static void test_keep_time(void **state)
{
    (void)state;
    raw_turn(w.loop, 0.01);
    keep(1, "a");
    raw_turn(w.loop, 0.2);
    keep(2, "b");
    assert_true(is_kept(1));
    raw_turn(w.loop, 0.15);
    assert_false(is_kept(1));
    assert_true(is_kept(2));
    raw_turn(w.loop, 0.2);
    assert_false(is_kept(2));
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 0);
    keep(3, "c");
    assert_true(is_kept(3));
    raw_turn(w.loop, 0.35);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
}

static void test_reconfigure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        keep_bytes(i, 1000);
    w.config.replay.memory = 2 * (1000 + REPLAY_OVERHEAD);
    w.config.replay.keep_ms = 100;
    strcpy(w.config.problems.base, "about:");
    replay_reconfigure(w.replay, &w.config);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), w.config.replay.memory);
    assert_false(is_kept(0));
    assert_non_null(memmem(reply.body.data, reply.body.len, "\"about:unavailable\"", 19));
    assert_true(is_kept(1) && is_kept(2));
    raw_turn(w.loop, 0.15);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    w.config.replay.memory = 0;
    replay_reconfigure(w.replay, &w.config);
    keep_bytes(5, 100);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    assert_false(is_kept(5));
}

/* More records than buckets, so that chains are walked. */
static void test_many_records(void **state)
{
    (void)state;
    w.config.replay.memory = 32 << 20;
    replay_reconfigure(w.replay, &w.config);
    for (unsigned i = 0; i < 1000; i++)
        keep(i, "x");
    for (unsigned i = 0; i < 1000; i += 97)
        assert_true(is_kept(i));
    assert_false(is_kept(1000));
}

static void test_parallel_fetches_in_any_order(void **state)
{
    enum { N = 100 };
    static struct raw c[N];
    struct buf b;
    char body[32];
    (void)state;
    buf_init(&b);
    for (unsigned i = 0; i < N; i++) {
        raw_connect_unix(&c[i], w.loop, w.path);
        ask(&c[i], "POST", i, 1);
        wait_for_call(i + 1);
    }
    for (unsigned i = N; i-- > 0;) {
        snprintf(body, sizeof body, "number %u", i);
        plain_record(&b, body, 1);
        redis_says(i, REDIS_BYTES, b.data, b.len);
    }
    for (unsigned i = 0; i < N; i++) {
        snprintf(body, sizeof body, "number %u", i);
        assert_int_equal(raw_reply(&c[i], false, &reply), 0);
        expect_body(body, strlen(body));
        raw_close(&c[i]);
    }
    assert_int_equal(counted(METRIC_REPLAY_FETCHED), N);
    buf_free(&b);
}

static void test_client_leaves_during_fetch(void **state)
{
    struct raw c;
    struct buf b;
    (void)state;
    buf_init(&b);
    plain_record(&b, "body", 1);
    raw_connect_unix(&c, w.loop, w.path);
    ask(&c, "POST", 1, 1);
    wait_for_call(1);
    raw_close(&c);
    raw_turn(w.loop, 0.02);
    redis_says(0, REDIS_BYTES, b.data, b.len);
    raw_turn(w.loop, 0.02);
    assert_true(is_kept(1));
    buf_free(&b);
}

static void test_free_during_fetch(void **state)
{
    (void)state;
    keep(5, "kept");
    ask(&w.client, "POST", 1, 1);
    wait_for_call(1);
    replay_free(w.replay);
    w.replay = NULL;
    assert_int_equal(w.detached, 1);
    assert_true(raw_closed(&w.client, 1));
    assert_int_equal(w.client.in.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_from_memory),
        TEST(test_from_redis),
        TEST(test_statuses),
        TEST(test_head_request),
        TEST(test_bad_ids),
        TEST(test_refusals),
        TEST(test_unsendable_header),
        TEST(test_other_fence_in_memory),
        TEST(test_other_tag_is_another_record),
        TEST(test_memory_exact_and_one_over),
        TEST(test_one_as_large_as_memory),
        TEST(test_same_again_is_the_newest),
        TEST(test_keep_time),
        TEST(test_reconfigure),
        TEST(test_many_records),
        TEST(test_parallel_fetches_in_any_order),
        TEST(test_client_leaves_during_fetch),
        TEST(test_free_during_fetch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
