// SPDX-License-Identifier: MIT
/* The world of rooms/inflight with a real Redis: claims are made by the gate's script, the words that follow
 * are done by Redis and taken down in a book (redis_book.h).
 *
 *   claim() ──► redis-server ◄── redis, completion ◄── agent          book: what was said, look(): what became of it
 */
#ifndef INFLIGHT_REDIS_H
#define INFLIGHT_REDIS_H

#include "domain/record.h"
#include "tests/support/redis_book.h"
#include "tests/unit/inflight_world.h"

static struct redis_server server;
static struct redis_book book;
static uint8_t claims;

static inline void on_ready(void *arg, struct redis *link)
{
    (void)arg;
    completion_flush(completion);
    if (agent)
        inflight_redis_ready(agent, link);
}

static inline void on_lost(void *arg)
{
    (void)arg;
}

static inline int setup_stopped(void **state)
{
    static const struct redis_events events = {on_ready, on_lost};
    (void)state;
    redis_server_start(&server);
    redis_server_load(&server);
    redis_socket = server.socket;
    world_open();
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    completion = completion_new(loop, redis, config, &metrics);
    loop_until(loop, redis_ready(redis), 2);
    book_open(&book, &server);
    claims = 0;
    return 0;
}

static inline int setup(void **state)
{
    setup_stopped(state);
    world_run();
    loop_until(loop, metrics.value[METRIC_POLLER] == 1, 2);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    assert_int_equal(redis_server_immortals(&server), 0);
    without_agent();
    redis_free(redis);
    completion_free(completion);
    book_close(&book);
    world_close();
    redis_server_stop(&server);
    return 0;
}

/* A claim as the gate makes it. */
static struct token make_token(bool hold)
{
    struct plan p = {.kind = PLAN_CLAIM, .policy = config->policies, .has_record = true};
    struct outcome o;
    struct buf out;
    struct token t;
    config->policies->idempotency.on_unknown = hold ? ON_UNKNOWN_HOLD : ON_UNKNOWN_RELEASE;
    memset(p.id.digest, ++claims, sizeof p.id.digest);
    memset(p.rid, claims, sizeof p.rid);
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

#endif
