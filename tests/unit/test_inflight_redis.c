// SPDX-License-Identifier: MIT
/* rooms/inflight with nothing faked: HAProxy's tables on one side, Redis with the real scripts on the other.
 * A claim is made, its request runs and ends, and the record in Redis tells what became of it. */
#include "rooms/inflight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "domain/record.h"
#include "rooms/monotonic.h"
#include "tests/support/haproxy_server.h"
#include "tests/support/loop.h"
#include "tests/support/redis_server.h"

enum { POLL_MS = 50, LOCK_S = 2 };

static const char proxies[] = "frontend fe\n"
                              "    bind unix@@D@/fe.sock\n"
                              "    http-request track-sc2 req.hdr(x-token) table once_inflight\n"
                              "    default_backend app\n"
                              "backend app\n"
                              "    http-response sc-set-gpt0(2) status\n"
                              "    server s unix@@D@/be.sock\n";

static struct ev_loop *loop;
static struct haproxy_server haproxy;
static struct redis_server server;
static struct redis *redis;
static struct completion *completion;
static struct config *config;
static struct metrics metrics;
static struct inflight *agent;
static int backend;

static void on_ready(void *arg, struct redis *link)
{
    (void)arg;
    if (agent)
        inflight_redis_ready(agent, link);
}

static void on_lost(void *arg)
{
    (void)arg;
}

static int open_backend(void)
{
    char address[128], err[128];
    snprintf(address, sizeof address, "unix@%s/be.sock", haproxy.dir);
    return listener_stream(address, 0600, err, sizeof err);
}

static void make_config(void)
{
    struct spop_slice bad;
    config = config_new();
    config->inflight.poll_ms = POLL_MS;
    config->nhaproxy = 1;
    strcpy(config->haproxy[0].socket, haproxy.socket);
    snprintf(config->redis.address, sizeof config->redis.address, "unix@%s", server.socket);
    config->policies = calloc(1, sizeof *config->policies);
    config->npolicies = 1;
    struct policy *p = config->policies;
    strcpy(p->name, "pay");
    p->hash = policy_hash("pay");
    p->idempotency.enabled = true;
    p->idempotency.lock_s = LOCK_S;
    p->idempotency.record_s = 3600;
    assert_int_equal(status_set_parse("default", &p->idempotency.stored, &bad), 0);
}

static int setup(void **state)
{
    (void)state;
    static const struct redis_events events = {on_ready, on_lost};
    const char *const parts[] = {haproxy_server_tables, proxies};
    loop = ev_default_loop(0);
    redis_server_start(&server);
    redis_server_load(&server);
    if (haproxy_server_init(&haproxy) != 0 || haproxy_server_start(&haproxy, false, parts, 2) != 0)
        return -1;
    backend = open_backend();
    make_config();
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    completion = completion_new(loop, redis, config, &metrics);
    agent = inflight_new(loop, redis, completion, config, &metrics);
    for (unsigned i = 0; i < 100 && !(redis_ready(redis) && metrics.value[METRIC_POLLER]); i++)
        loop_run(loop, 0.02);
    return redis_ready(redis) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    inflight_free(agent);
    agent = NULL;
    completion_free(completion);
    redis_free(redis);
    config_drop(config);
    close(backend);
    haproxy_server_clear(&haproxy);
    redis_server_stop(&server);
    return 0;
}

/* Makes the gate's claim by hand. */
static struct token claim(uint8_t n, bool hold)
{
    struct plan p = {.kind = PLAN_CLAIM, .policy = config->policies, .has_record = true};
    struct outcome o;
    struct buf out;
    struct token t;
    config->policies->idempotency.on_unknown = hold ? ON_UNKNOWN_HOLD : ON_UNKNOWN_RELEASE;
    memset(p.id.digest, n, sizeof p.id.digest);
    memset(p.rid, n, sizeof p.rid);
    strcpy(p.process, "1.2.host");
    buf_init(&out);
    script_claim(&out, &p, 0, 0, false, NULL);
    redisReply *r = redis_server_send(&server, out.data, out.len, 1);
    assert_int_equal(outcome_read(r->str, (size_t)r->len, &p, &o), 0);
    assert_int_equal(o.kind, OUTCOME_GO);
    script_token(&p, o.fence, &t);
    freeReplyObject(r);
    buf_free(&out);
    return t;
}

static struct record look(const struct token *t)
{
    struct buf out;
    struct record r;
    buf_init(&out);
    script_get(&out, &t->id);
    redisReply *reply = redis_server_send(&server, out.data, out.len, 1);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_int_equal(record_open(reply->str, (size_t)reply->len, &r), 0);
    freeReplyObject(reply);
    buf_free(&out);
    r.process = r.payload = (struct spop_slice){0};
    return r;
}

/* Sends the request; the backend's end of it is returned, the client's in *client. */
static int request(const struct token *t, int *client)
{
    char address[128], err[128], text[TOKEN_TEXT + 1], out[256];
    snprintf(address, sizeof address, "unix@%s/fe.sock", haproxy.dir);
    *client = listener_connect(address, err, sizeof err);
    token_write(t, text);
    int n = snprintf(out, sizeof out,
                     "POST / HTTP/1.1\r\nHost: x\r\nX-Token: %s\r\nContent-Length: 0\r\n\r\n", text);
    assert_int_equal(send(*client, out, (size_t)n, MSG_NOSIGNAL), n);
    int fd = -1;
    for (unsigned i = 0; i < 100 && fd < 0; i++) {
        loop_run(loop, 0.01);
        fd = accept(backend, NULL, NULL);
    }
    assert_true(fd >= 0);
    return fd;
}

static void test_lease_of_what_runs(void **state)
{
    (void)state;
    int client;
    struct token t = claim(1, false);
    uint64_t lease = look(&t).lease_until_us;
    int fd = request(&t, &client);
    loop_run(loop, 1.2 * LOCK_S);
    struct record r = look(&t);
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_true(r.lease_until_us >= lease + LOCK_S * 1000000U / 2);
    assert_true(metrics.value[METRIC_EXTENDED] >= 3);
    close(fd);
    close(client);
    loop_run(loop, 0.3);
    assert_int_equal(look(&t).state, RECORD_FREE);
}

static void test_what_becomes_of_it(void **state)
{
    (void)state;
    static const struct {
        bool hold;
        const char *answer;
        uint8_t state;
        unsigned status;
    } rows[] = {
        {false, NULL,                                          RECORD_FREE, 0  },
        {true,  NULL,                                          RECORD_HELD, 0  },
        {false, "HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n", RECORD_TOMB, 201},
        {true,  "HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n", RECORD_TOMB, 201},
        {false, "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", RECORD_FREE, 0  },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        int client;
        struct token t = claim((uint8_t)(10 + i), rows[i].hold);
        int fd = request(&t, &client);
        if (rows[i].answer)
            assert_true(send(fd, rows[i].answer, strlen(rows[i].answer), MSG_NOSIGNAL) > 0);
        close(fd);
        loop_run(loop, 6 * POLL_MS / 1000.0);
        struct record r = look(&t);
        assert_int_equal(r.state, rows[i].state);
        if (rows[i].status)
            assert_int_equal(r.status, rows[i].status);
        assert_int_equal(r.fence, t.fence);
        close(client);
    }
    assert_int_equal(redis_server_immortals(&server), 0);
}

/* Redis was away while the request ended; as soon as it is back the word is said. */
static void test_after_a_restart_of_the_link(void **state)
{
    (void)state;
    int client;
    struct token t = claim(30, false);
    int fd = request(&t, &client);
    redis_server_do(&server, "CLIENT KILL TYPE normal SKIPME yes");
    close(fd);
    double began = monotonic_now();
    while (look(&t).state != RECORD_FREE && monotonic_now() - began < 1)
        loop_run(loop, 0.02);
    assert_int_equal(look(&t).state, RECORD_FREE);
    close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lease_of_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_becomes_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_a_restart_of_the_link, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
