// SPDX-License-Identifier: MIT
/* Stored answers as a client gets them through a real HAProxy: every byte, every header line, any status.
 *
 *   client ──HTTP──► haproxy ──unix socket──► replay listener ──► kept in memory
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/token.h"
#include "rooms/monotonic.h"
#include "rooms/replay.h"
#include "tests/support/haproxy_server.h"
#include "tests/support/rawhttp.h"
#include "tests/support/redis_fixture.h"

enum { FENCE = 77, FENCE_AT = 4 };

static struct redis_fixture redis;
static struct haproxy_server haproxy;
static struct replay *replay;
static struct sealer *sealer;
static struct raw client;
static struct raw_reply reply;
static char path[64];

static const char front[] = "frontend front\n"
                            "    bind unix@@D@/front\n"
                            "    default_backend once_replay\n"
                            "backend once_replay\n";

static bool is_well(void *arg)
{
    (void)arg;
    return true;
}

static int setup(void **state)
{
    static const struct replay_health health = {is_well, NULL};
    char server[128], address[96];
    (void)state;
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(&redis);
    redis_fixture_connect(&redis);
    sealer = sealer_new(redis.loop, redis.config, &redis.metrics);
    replay = replay_new(redis.loop, raw_listen_unix(path), redis.redis, sealer, redis.config, &redis.metrics,
                        &health);
    snprintf(server, sizeof server, "    server agent unix@%s\n", path);
    const char *const config[] = {haproxy_server_tables, front, server};
    assert_non_null(replay);
    assert_int_equal(haproxy_server_init(&haproxy), 0);
    assert_int_equal(haproxy_server_start(&haproxy, false, config, 3), 0);
    snprintf(address, sizeof address, "%s/front", haproxy.dir);
    raw_connect_unix(&client, redis.loop, address);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&client);
    haproxy_server_clear(&haproxy);
    replay_free(replay);
    sealer_free(sealer);
    redis_fixture_stop(&redis);
    raw_unlisten(path);
    buf_free(&reply.body);
    return 0;
}

/* Keeps an answer under this number and asks for it. */
static void keep_and_ask(unsigned n, unsigned status, struct spop_slice headers, struct spop_slice body,
                         const char *method)
{
    const struct response r = {status, headers, body};
    struct record_id id = {
        {1, 2},
        {0}
    };
    struct buf b = {0};
    char text[REPLAY_TEXT + 1], request[256];
    memcpy(id.digest, &n, sizeof n);
    assert_int_equal(record_pack_done(&b, &r, NULL, 0), 0);
    b.data[FENCE_AT] = FENCE;
    replay_keep(replay, &id, b.data, b.len, monotonic_now());
    buf_free(&b);
    replay_id_write(&id, FENCE, text);
    snprintf(request, sizeof request,
             "%s /payments HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nOnce-Replay: %s\r\n\r\nhello", method,
             text);
    assert_true(raw_send_text(&client, request));
    assert_int_equal(raw_reply(&client, strcmp(method, "HEAD") == 0, &reply), 0);
    assert_int_equal(reply.status, status);
}

static const char odd_headers[] = "\x08location\x0b/payments/7"
                                  "\x07x-twice\x03one"
                                  "\x07x-twice\x03two"
                                  "\x06x-high\x03\xc3\xa9\xff"
                                  "\0\0";

static void test_every_byte(void **state)
{
    enum { LEN = 300000 };
    static char body[LEN];
    static const size_t lengths[] = {0, 1, 12000, 16384, LEN};
    (void)state;
    for (size_t i = 0; i < LEN; i++)
        body[i] = (char)(i * 131 + i / 251);
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        keep_and_ask(i, 201, (struct spop_slice){odd_headers, sizeof odd_headers - 1},
                     (struct spop_slice){body, lengths[i]}, "POST");
        assert_int_equal(reply.body.len, lengths[i]);
        if (lengths[i] > 0)
            assert_memory_equal(reply.body.data, body, lengths[i]);
        assert_non_null(strstr(reply.head, "\nlocation: /payments/7\nx-twice: one\nx-twice: two\n"
                                           "x-high: \xc3\xa9\xff\n"));
        assert_non_null(strstr(reply.head, "\nidempotent-replayed: true\ncache-control: no-store\n"));
    }
    assert_int_equal(redis.metrics.value[METRIC_REPLAY_SERVED], sizeof lengths / sizeof *lengths);
}

/* One client connection for all of them: also for those whose connection to the agent ends. */
static void test_statuses(void **state)
{
    static const unsigned statuses[] = {200, 202, 204, 301, 304, 404, 422, 500};
    (void)state;
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        keep_and_ask(i, statuses[i], (struct spop_slice){"\0\0", 2}, (struct spop_slice){"", 0}, "POST");
        assert_int_equal(reply.body.len, 0);
    }
    keep_and_ask(50, 200, (struct spop_slice){"\0\0", 2}, (struct spop_slice){"body", 4}, "HEAD");
    keep_and_ask(51, 200, (struct spop_slice){"\0\0", 2}, (struct spop_slice){"body", 4}, "GET");
    assert_int_equal(reply.body.len, 4);
}

/* A counter of HAProxy's about the agent: column of `show stat`. */
static unsigned long haproxy_counted(const char *column)
{
    static char csv[65536];
    struct raw r;
    raw_connect_unix(&r, redis.loop, haproxy.socket);
    assert_true(raw_send_text(&r, "show stat once_replay 4 -1\n"));
    assert_true(raw_closed(&r, 5));
    snprintf(csv, sizeof csv, "%.*s", (int)r.in.len, (const char *)r.in.data);
    raw_close(&r);
    char *names = csv, *values = strstr(csv, "\nonce_replay,agent,");
    assert_non_null(values);
    values++;
    for (char *name; (name = strsep(&names, ","));) {
        const char *value = strsep(&values, ",");
        if (strcmp(name, column) == 0)
            return strtoul(value, NULL, 10);
    }
    fail_msg("no column %s", column);
    return 0;
}

/* HAProxy keeps its connection to the agent: hundreds of replays do with very few. */
static void test_connections_are_reused(void **state)
{
    enum { N = 500 };
    (void)state;
    ev_tstamp from = ev_time();
    for (unsigned i = 0; i < N; i++)
        keep_and_ask(i % 7, 201, (struct spop_slice){odd_headers, sizeof odd_headers - 1},
                     (struct spop_slice){"body", 4}, "POST");
    print_message("%u replays one after another: %.0f us each\n", N, (ev_time() - from) * 1e6 / N);
    assert_int_equal(redis.metrics.value[METRIC_REPLAY_SERVED], N);
    assert_true(haproxy_counted("connect") <= 2);
    assert_true(haproxy_counted("reuse") >= N - 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_byte),
        T(test_statuses),
        T(test_connections_are_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
