// SPDX-License-Identifier: MIT
/* What the tests of the replay room share: the listener over a real unix socket, a real redis-server behind
 * it, and records made by hand.
 *
 *   client ──HTTP──► replay ──GET──► redis-server      planted there by the test, or stopped by it */
#ifndef REPLAY_WORLD_H
#define REPLAY_WORLD_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "adapters/log.h"
#include "domain/token.h"
#include "rooms/monotonic.h"
#include "rooms/replay.h"
#include "tests/support/rawhttp.h"
#include "tests/support/redis_fixture.h"

enum { MEMORY = 64 * 1024, KEEP_MS = 300, DEADLINE_MS = 250, FENCE_AT = 4 };

static struct world {
    struct redis_fixture redis;
    struct sealer *sealer;
    struct replay *replay;
    struct raw client;
    char path[64];
} w;

static struct raw_reply reply;

static const char plain_headers[] = "\x0c"
                                    "content-type\x0a"
                                    "text/plain\0\0";

static inline void record_make(struct buf *b, unsigned status, const char *headers, size_t headers_len,
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

static inline void plain_record(struct buf *b, const char *body, uint64_t fence)
{
    record_make(b, 201, plain_headers, sizeof plain_headers - 1, body, strlen(body), fence);
}

static inline struct record_id id_of(unsigned n)
{
    struct record_id id = {
        {1, 2},
        {0}
    };
    memcpy(id.digest + 4, &n, sizeof n);
    return id;
}

/* Puts it where the agent looks for it. */
static inline void plant(unsigned n, const void *bytes, size_t len)
{
    redis_server_do(&w.redis.server, "SET once:{0102}:r:00000000%02x%02x%02x%02x0000000000000000 %b PX 60000",
                    n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24, bytes, len);
}

static bool going; /* the agent drains */

static inline bool is_well(void *arg)
{
    (void)arg;
    return !going;
}

static const struct replay_health health = {is_well, NULL};

static inline int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(&w.redis);
    struct config *c = w.redis.config;
    c->replay.memory = MEMORY;
    c->replay.keep_ms = KEEP_MS;
    c->replay.max_connections = 200;
    c->redis.deadline_ms = DEADLINE_MS;
    strcpy(c->problems.base, "https://example.org/problems#");
    redis_fixture_connect(&w.redis);
    redis_fixture_until_ready(&w.redis, 1);
    w.sealer = sealer_new(w.redis.loop, c, &w.redis.metrics);
    w.replay = replay_new(w.redis.loop, raw_listen_unix(w.path), w.redis.redis, w.sealer, c, &w.redis.metrics,
                          &health);
    raw_connect_unix(&w.client, w.redis.loop, w.path);
    return w.replay ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    raw_close(&w.client);
    if (w.replay)
        replay_free(w.replay);
    sealer_free(w.sealer);
    redis_fixture_stop(&w.redis);
    raw_unlisten(w.path);
    buf_free(&reply.body);
    return 0;
}

static inline void ask(struct raw *c, const char *method, unsigned n, uint64_t fence)
{
    const struct record_id id = id_of(n);
    char text[REPLAY_TEXT + 1], request[256];
    replay_id_write(&id, fence, text);
    snprintf(request, sizeof request,
             "%s /pay?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nOnce-Replay: %s\r\n\r\nhello", method,
             text);
    assert_true(raw_send_text(c, request));
}

static inline void freeze(void)
{
    kill(w.redis.server.pid, SIGSTOP);
}

static inline void thaw(void)
{
    kill(w.redis.server.pid, SIGCONT);
}

static inline void expect_status(unsigned status)
{
    assert_int_equal(raw_reply(&w.client, false, &reply), 0);
    assert_int_equal(reply.status, status);
}

static inline void expect_body(const void *bytes, size_t len)
{
    assert_int_equal(reply.body.len, len);
    assert_memory_equal(reply.body.data, bytes, len);
}

static inline void expect_refusal(void)
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

static inline uint64_t counted(enum metric id)
{
    return w.redis.metrics.value[id];
}

/* Redis does not have it: what is answered was kept. */
static inline bool is_kept(unsigned n)
{
    uint64_t before = counted(METRIC_REPLAY_SERVED);
    ask(&w.client, "POST", n, 1);
    assert_int_equal(raw_reply(&w.client, false, &reply), 0);
    return counted(METRIC_REPLAY_SERVED) > before;
}

static inline void keep(unsigned n, const char *body)
{
    struct buf b;
    const struct record_id id = id_of(n);
    buf_init(&b);
    plain_record(&b, body, 1);
    replay_keep(w.replay, &id, b.data, b.len, monotonic_now());
    buf_free(&b);
}

#endif
