// SPDX-License-Identifier: MIT
/* What the tests of shared claims have in common: a room, two connections p and q of a HAProxy that is played by hand, and the words
 * of another agent.
 *
 *   p, q ──► sessions ──► one claim ──► redis-server      others wait behind it */
#ifndef SHARED_WORLD_H
#define SHARED_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/redis_relay.h"

enum { LONG_MS = 3000 };

static struct room w;
static struct peer p, q;
static struct peer_frame f;

static inline int setup(void **state)
{
    (void)state;
    room_start(&w, "");
    w.redis.config->redis.deadline_ms = LONG_MS;
    room_dial(&w, &p);
    room_dial(&w, &q);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    peer_close(&q);
    room_stop(&w);
    return 0;
}

static inline int setup_relay(void **state)
{
    int rc = setup(state);
    relay_start(&w);
    return rc;
}

static inline int teardown_relay(void **state)
{
    relay_stop();
    return teardown(state);
}

/* Decisions that Redis was asked for and has answered. */
static inline uint64_t asked(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < METRIC_LATENCY_BUCKETS; i++)
        n += w.redis.metrics.latency[i];
    return n;
}

static inline uint64_t shared(void)
{
    return room_counted(&w, METRIC_SHARED);
}

static inline void request(struct peer *peer, uint64_t stream, const char *policy, const char *key,
                           int64_t length)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    room_request_of(peer, stream, "once-request", policy, key, rid, length);
}

/* By a policy whose duplicates wait; timeout: HAProxy has said how long it does. Sent. */
static inline void wait_for(uint64_t stream, bool timeout)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)stream);
    peer_notify(&p, stream, "once-request");
    peer_str(&p, "policy", "patient");
    peer_str(&p, "rid", rid);
    peer_str(&p, "method", "POST");
    peer_str(&p, "path", "/payments");
    peer_str(&p, "key", "k");
    peer_int(&p, "keys", 1);
    peer_int(&p, "content_length", 10);
    if (timeout)
        peer_int(&p, "timeout", 2 * LONG_MS);
    peer_end(&p);
    peer_send(&p);
}

static inline bool is_go(void)
{
    return ack_says(&f, "verdict", "go");
}

static inline bool is_replay(void)
{
    return ack_says(&f, "verdict", "replay");
}

static inline bool is_refused(unsigned status, const char *reason)
{
    return ack_says(&f, "verdict", "deny") && ack_integer(&f, "status") == status &&
           ack_says(&f, "reason", reason);
}

static inline bool is_busy(void)
{
    return is_refused(409, "busy");
}

static inline struct token token_of_ack(void)
{
    struct spop_value v;
    struct token t;
    assert_true(ack_value(&f, "token", &v));
    assert_int_equal(token_read(v.bytes.ptr, v.bytes.len, &t), 0);
    return t;
}

static inline struct token granted(struct peer *peer, uint64_t stream)
{
    peer_ack(peer, stream, &f);
    assert_true(is_go());
    return token_of_ack();
}

/* A word of another agent. */
static inline void say(const struct word *word)
{
    struct buf resp = {0};
    unsigned n = script_word(&resp, word);
    freeReplyObject(redis_server_send(&w.redis.server, resp.data, resp.len, n));
    buf_free(&resp);
}

static inline void complete(const struct token *t, size_t body)
{
    char *bytes = calloc(1, body + 1);
    memset(bytes, 'b', body);
    struct response r = {
        201, {"\0\0", 2   },
         {bytes,  body}
    };
    struct buf packed = {0};
    assert_int_equal(record_pack_done(&packed, &r, NULL, 0), 0);
    say(&(struct word){
        .script = SCRIPT_COMPLETE,
        .token = *t,
        .status = 201,
        .ttl_s = ROOM_RECORD_S,
        .pending = {(const char *)packed.data, packed.len}
    });
    buf_free(&packed);
    free(bytes);
}

static inline void it_fails(const struct token *t)
{
    say(&(struct word){
        .script = SCRIPT_UNSTORABLE, .token = *t, .status = 500, .letter = 'F', .ttl_s = ROOM_RECORD_S});
}

static inline void share_nothing(void)
{
    w.redis.config->shield.max_shared = 0;
    sharing_reconfigure(w.gate.sharing, w.redis.config);
}

#endif
