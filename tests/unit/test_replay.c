// SPDX-License-Identifier: MIT
/* The replay listener: what is served from memory, what is fetched from Redis, what is refused. */
#include "tests/support/loop.h"
#include "tests/unit/replay_world.h"

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
    replay_keep(w.replay, &id, b.data, b.len, monotonic_now());
    for (unsigned i = 1; i < 4; i++) {
        ask(&w.client, "POST", 1, 77);
        expect_odd();
        assert_int_equal(counted(METRIC_REPLAY_SERVED), i);
    }
    assert_int_equal(counted(METRIC_REDIS_COMMANDS), 0);
    buf_free(&b);
}

/* What was fetched is kept: the second one costs Redis nothing. */
static void test_from_redis(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b);
    record_make(&b, 201, odd_headers, sizeof odd_headers - 1, odd_body, sizeof odd_body, 77);
    plant(1, b.data, b.len);
    ask(&w.client, "POST", 1, 77);
    expect_odd();
    assert_int_equal(counted(METRIC_REPLAY_FETCHED), 1);
    assert_int_equal(counted(METRIC_REDIS_COMMANDS), 1);
    ask(&w.client, "POST", 1, 77);
    expect_odd();
    assert_int_equal(counted(METRIC_REPLAY_SERVED), 1);
    assert_int_equal(counted(METRIC_REDIS_COMMANDS), 1);
    buf_free(&b);
}

/* Far larger than what a claim's reply carries, and than one read of a socket. */
static void test_large_from_redis(void **state)
{
    enum { LEN = 1 << 20 };
    struct buf b;
    char *body = malloc(LEN);
    (void)state;
    for (size_t i = 0; i < LEN; i++)
        body[i] = (char)(i * 31 + i / 255);
    buf_init(&b);
    record_make(&b, 200, plain_headers, sizeof plain_headers - 1, body, LEN, 77);
    plant(1, b.data, b.len);
    ask(&w.client, "POST", 1, 77);
    expect_status(200);
    expect_body(body, LEN);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0); /* larger than all memory: not kept */
    buf_free(&b);
    free(body);
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
        replay_keep(w.replay, &id, b.data, b.len, monotonic_now());
        ask(&w.client, "POST", 1, 1);
        expect_status(statuses[i]);
        assert_non_null(strstr(reply.head, "\nIdempotent-Replayed: true\nCache-Control: no-store\n"));
        assert_int_equal(reply.body.len, 0);
        if (statuses[i] == 304) { /* its connection ends: the length of what it stands for is unknown */
            assert_true(raw_closed(&w.client, 5));
            raw_close(&w.client);
            raw_connect_unix(&w.client, w.redis.loop, w.path);
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
    assert_int_equal(counted(METRIC_REDIS_COMMANDS), 0);
    assert_int_equal(counted(METRIC_REPLAY_GONE), 0);
}

static void expect_gone(void)
{
    uint64_t gone = counted(METRIC_REPLAY_GONE);
    ask(&w.client, "POST", 9, 77);
    expect_refusal();
    assert_int_equal(counted(METRIC_REPLAY_GONE), gone + 1);
}

static void refused(const void *bytes, size_t len)
{
    plant(9, bytes, len);
    expect_gone();
}

static void test_refusals(void **state)
{
    static const char others[] = {RECORD_FREE, RECORD_RUNNING, RECORD_ANSWERED,
                                  RECORD_HELD, RECORD_TOMB,    '?'};
    struct buf b;
    (void)state;
    buf_init(&b);
    expect_gone();
    plain_record(&b, "body", 77);
    refused("", 0);
    refused("foreign value", 13);
    for (size_t len = 0; len < b.len; len++)
        if (len < 60 || len > b.len - 5)
            refused(b.data, len);
    for (size_t i = 0; i < sizeof others; i++) {
        b.data[1] = (uint8_t)others[i];
        refused(b.data, b.len);
    }
    plain_record(&b, "body", 78);
    refused(b.data, b.len);
    plain_record(&b, "body", 77);
    b.data[0] = 2;
    refused(b.data, b.len);
    redis_server_do(&w.redis.server, "FLUSHALL");
    redis_server_do(&w.redis.server, "LPUSH once:{0102}:r:00000000090000000000000000000000 x");
    expect_gone();
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    buf_free(&b);
}

/* Redis hangs: refused at the deadline, and what it says afterwards is nobody's. */
static void test_late(void **state)
{
    (void)state;
    freeze();
    ev_tstamp from = ev_time();
    expect_gone();
    double took = ev_time() - from;
    assert_true(took >= DEADLINE_MS / 1000.0 - 0.01 && took < DEADLINE_MS / 1000.0 + 0.2);
    thaw();
    loop_run(w.redis.loop, 0.02);
    assert_int_equal(counted(METRIC_REDIS_LATE), 1);
}

/* Redis goes while it is asked, and is not there when it is asked again. */
static void test_lost(void **state)
{
    (void)state;
    freeze();
    ask(&w.client, "POST", 9, 77);
    loop_run(w.redis.loop, 0.02);
    redis_fixture_kill(&w.redis);
    expect_refusal();
    assert_int_equal(counted(METRIC_REDIS_LOST), 1);
    expect_gone();
    redis_fixture_revive(&w.redis);
}

/* A header that cannot be sent makes the record one that cannot be read, not a shorter answer. */
static void test_unsendable_header(void **state)
{
    static const char headers[] = "\x03x-a\x09one\r\nx: y\0\0";
    struct buf b;
    (void)state;
    buf_init(&b);
    record_make(&b, 200, headers, sizeof headers - 1, "body", 4, 77);
    refused(b.data, b.len);
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
    plant(1, b.data, b.len);
    ask(&w.client, "POST", 1, 2);
    expect_status(201);
    expect_body("new", 3);
    ask(&w.client, "POST", 1, 2);
    expect_status(201);
    assert_int_equal(counted(METRIC_REDIS_COMMANDS), 1);
    buf_free(&b);
}

static void test_parallel_fetches(void **state)
{
    enum { N = 100 };
    static struct raw c[N];
    struct buf b;
    char body[32];
    (void)state;
    buf_init(&b);
    for (unsigned i = 0; i < N; i++) {
        snprintf(body, sizeof body, "number %u", i);
        plain_record(&b, body, 1);
        plant(i, b.data, b.len);
    }
    freeze();
    for (unsigned i = 0; i < N; i++) {
        raw_connect_unix(&c[i], w.redis.loop, w.path);
        ask(&c[i], "POST", i, 1);
    }
    loop_run(w.redis.loop, 0.02);
    assert_int_equal(counted(METRIC_REPLAY_FETCHED), 0);
    thaw();
    for (unsigned i = N; i-- > 0;) {
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
    plant(1, b.data, b.len);
    freeze();
    raw_connect_unix(&c, w.redis.loop, w.path);
    ask(&c, "POST", 1, 1);
    loop_run(w.redis.loop, 0.02);
    raw_close(&c);
    loop_run(w.redis.loop, 0.02);
    thaw();
    loop_run(w.redis.loop, 0.05);
    assert_true(is_kept(1));
    buf_free(&b);
}

/* The reply comes when the room is gone. */
static void test_free_during_fetch(void **state)
{
    (void)state;
    keep(5, "kept");
    freeze();
    ask(&w.client, "POST", 1, 1);
    loop_run(w.redis.loop, 0.02);
    replay_free(w.replay);
    w.replay = NULL;
    assert_true(raw_closed(&w.client, 1));
    assert_int_equal(w.client.in.len, 0);
    thaw();
    loop_run(w.redis.loop, 0.05);
    assert_int_equal(counted(METRIC_REPLAY_FETCHED) + counted(METRIC_REPLAY_GONE), 0);
}

/* HAProxy's check: without an id only; what is kept is served however the agent is. */
static void test_health(void **state)
{
    static const char check[] = "GET " REPLAY_HEALTH " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    (void)state;
    keep(1, "body");
    raw_send_text(&w.client, check);
    expect_status(200);
    going = true;
    raw_send_text(&w.client, check);
    expect_status(503);
    ask(&w.client, "POST", 1, 1);
    expect_status(201);
    going = false;
    raw_send_text(&w.client, "GET " REPLAY_HEALTH " HTTP/1.1\r\nHost: a\r\nOnce-Replay: x\r\n\r\n");
    expect_status(400);
}

/* The agent ends: Redis goes first, what was being fetched is refused, and the room after it. */
static void test_redis_is_freed_during_fetch(void **state)
{
    (void)state;
    freeze();
    ask(&w.client, "POST", 1, 1);
    loop_run(w.redis.loop, 0.02);
    redis_free(w.redis.redis);
    w.redis.redis = NULL;
    assert_int_equal(counted(METRIC_REPLAY_GONE), 1);
    replay_free(w.replay);
    w.replay = NULL;
    thaw();
}

/* Exactly so many connections are served; the next one waits for a place. */
static void test_max_connections(void **state)
{
    struct raw c[3];
    (void)state;
    raw_close(&w.client);
    replay_free(w.replay);
    raw_unlisten(w.path);
    w.redis.config->replay.max_connections = 2;
    w.replay = replay_new(w.redis.loop, raw_listen_unix(w.path), w.redis.redis, w.sealer, w.redis.config,
                          &w.redis.metrics, &health);
    keep(1, "body");
    for (unsigned i = 0; i < 3; i++) {
        raw_connect_unix(&c[i], w.redis.loop, w.path);
        ask(&c[i], "POST", 1, 1);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(raw_reply(&c[i], false, &reply), 0);
    loop_run(w.redis.loop, 0.05);
    assert_int_equal(counted(METRIC_REPLAY_SERVED), 2);
    raw_close(&c[0]);
    assert_int_equal(raw_reply(&c[2], false, &reply), 0);
    expect_body("body", 4);
    raw_close(&c[1]);
    w.client = c[2];
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_from_memory),
        TEST(test_from_redis),
        TEST(test_large_from_redis),
        TEST(test_statuses),
        TEST(test_head_request),
        TEST(test_bad_ids),
        TEST(test_health),
        TEST(test_refusals),
        TEST(test_late),
        TEST(test_lost),
        TEST(test_unsendable_header),
        TEST(test_other_fence_in_memory),
        TEST(test_parallel_fetches),
        TEST(test_client_leaves_during_fetch),
        TEST(test_free_during_fetch),
        TEST(test_redis_is_freed_during_fetch),
        TEST(test_max_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
