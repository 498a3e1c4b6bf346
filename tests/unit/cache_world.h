// SPDX-License-Identifier: MIT
/* What the tests of the cache share: a room, HAProxy played by hand on two connections (p, q), a client of the replay listener.
 *
 *   ask ──once-cache──► pass + fill ──► fill ──once-fill──► Redis ──► ask ──► replay ──► serve ──HTTP──► reply */
#ifndef CACHE_WORLD_H
#define CACHE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/cacheentry.h"
#include "domain/cachefill.h"
#include "rooms/monotonic.h"
#include "tests/support/rawhttp.h"
#include "tests/support/room_fixture.h"

enum { TIMEOUT_MS = 3000 };

static struct room w;
static struct peer p, q;
static struct peer_frame f;
static struct raw client;
static struct raw_reply reply;

static inline int setup_with(const char *more)
{
    room_start(&w, more);
    room_dial(&w, &p);
    room_dial(&w, &q);
    raw_connect_unix(&client, w.redis.loop, w.replay_address + 5);
    return 0;
}

static inline int setup(void **state)
{
    (void)state;
    return setup_with("");
}

static inline int teardown(void **state)
{
    (void)state;
    raw_close(&client);
    buf_free(&reply.body);
    peer_close(&p);
    peer_close(&q);
    room_stop(&w);
    return 0;
}

/* "name: value\n.." as req.hdrs_bin; static memory. */
static inline struct spop_slice hdrs(const char *lines)
{
    static uint8_t memory[4096];
    struct spop_writer writer;
    spop_writer_init(&writer, memory, sizeof memory);
    while (*lines) {
        const char *colon = strchr(lines, ':'), *end = strchr(lines, '\n');
        assert_true(colon && end && colon < end);
        spop_put_string(&writer, lines, (size_t)(colon - lines));
        spop_put_string(&writer, colon + 2, (size_t)(end - colon - 2));
        lines = end + 1;
    }
    spop_put_string(&writer, "", 0);
    spop_put_string(&writer, "", 0);
    return (struct spop_slice){(const char *)memory, writer.len};
}

struct question {
    const char *policy, *method, *host, *path, *query, *headers, *user;
    bool wait, body_follows;
    uint64_t stream;
    int64_t content_length, body_len; /* 0: not sent */
};

static inline void ask_with(struct peer *peer, struct question a)
{
    struct spop_slice headers = hdrs(a.headers ? a.headers : "accept: */*\n");
    peer_notify(peer, a.stream ? a.stream : 1, "once-cache");
    peer_str(peer, "policy", a.policy ? a.policy : "pages");
    peer_int(peer, "timeout", TIMEOUT_MS);
    peer_bool(peer, "wait", a.wait);
    peer_str(peer, "method", a.method ? a.method : "GET");
    peer_str(peer, "scheme", "https");
    peer_str(peer, "host", a.host ? a.host : "shop.example");
    peer_str(peer, "path", a.path ? a.path : "/a");
    if (a.query)
        peer_str(peer, "query", a.query);
    peer_bin(peer, "headers", headers.ptr, headers.len);
    if (a.content_length)
        peer_int(peer, "content_length", a.content_length);
    if (a.body_len)
        peer_int(peer, "body_len", a.body_len);
    peer_bool(peer, "body_follows", a.body_follows);
    if (a.user)
        peer_str(peer, "user", a.user);
    peer_end(peer);
    peer_send(peer);
}

/* Asks on p, and takes the answer into f. */
static inline void ask(struct question a)
{
    ask_with(&p, a);
    peer_ack(&p, a.stream ? a.stream : 1, &f);
}

static inline const char *text_of(const char *name)
{
    static char memory[4][512];
    static unsigned turn;
    struct spop_value v;
    char *out = memory[turn++ % 4];
    if (!ack_value(&f, name, &v))
        return "";
    snprintf(out, sizeof memory[0], "%.*s", (int)v.bytes.len, v.bytes.ptr);
    return out;
}

static inline void expect(const char *verdict, const char *reason)
{
    assert_string_equal(text_of("verdict"), verdict);
    assert_string_equal(text_of("reason"), reason);
}

static inline void expect_fill(void)
{
    expect("pass", "miss");
    assert_string_not_equal(text_of("fill"), "");
}

static inline void expect_pass(const char *reason)
{
    expect("pass", reason);
    assert_string_equal(text_of("fill"), "");
}

struct filled {
    const char *token, *headers, *body;
    int status;
    size_t body_len;        /* 0: the body's */
    int64_t content_length; /* 0: the body's; -1: none */
    bool whole;             /* HAProxy has seen its end */
};

/* The answer of a fill; its ACK is taken. */
static inline void fill_with(struct filled a)
{
    const char *body = a.body ? a.body : "hello";
    size_t len = a.body_len ? a.body_len : strlen(body);
    struct spop_slice headers = hdrs(a.headers ? a.headers : "content-type: text/plain\n");
    peer_notify(&q, 9, "once-fill");
    peer_str(&q, "token", a.token);
    peer_int(&q, "status", a.status ? a.status : 200);
    peer_str(&q, "method", "GET");
    peer_bin(&q, "headers", headers.ptr, headers.len);
    peer_bin(&q, "body", body, len);
    peer_int(&q, "body_len", (int64_t)len);
    if (a.content_length >= 0)
        peer_int(&q, "content_length", a.content_length ? a.content_length : (int64_t)len);
    peer_bool(&q, "waited", true);
    peer_bool(&q, "whole", a.whole);
    peer_end(&q);
    peer_send(&q);
    static struct peer_frame ack;
    peer_ack(&q, 9, &ack);
}

/* Asks, must fetch, and is answered so. */
static inline void fetch(struct question a, const char *headers, const char *body)
{
    ask(a);
    expect_fill();
    fill_with((struct filled){.token = text_of("fill"), .headers = headers, .body = body});
}

/* The replay listener's answer to what f names; more: further lines of the request. */
static inline void serve_as(const char *method, const char *more)
{
    char request[1024];
    snprintf(request, sizeof request, "%s /a HTTP/1.1\r\nHost: a\r\nOnce-Replay: %s\r\n%s\r\n", method,
             text_of("replay"), more);
    assert_true(raw_send_text(&client, request));
    assert_int_equal(raw_reply(&client, strcmp(method, "HEAD") == 0, &reply), 0);
}

static inline void expect_served(const char *body)
{
    serve_as("GET", "");
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, strlen(body));
    assert_memory_equal(reply.body.data, body, reply.body.len);
}

static inline void expect_head(const char *line)
{
    if (!strstr(reply.head, line))
        fail_msg("no '%s' in\n%s", line, reply.head);
}

/* Moves all entries back in time, and what is kept of their URLs. */
static inline void make_older(int seconds)
{
    char script[768];
    snprintf(
        script, sizeof script,
        "for _, k in ipairs(redis.call('KEYS', 'once:*:e:*')) do local v = redis.call('GET', k) "
        "local asked, us = struct.unpack('<I8I8', v, 25) local by = %d * 1000000 "
        "redis.call('SET', k, string.sub(v, 1, 24) .. struct.pack('<I8I8', asked - by, us - by) .. "
        "string.sub(v, 41), 'KEEPTTL') end "
        "for _, k in ipairs(redis.call('KEYS', 'once:*:u:*')) do local v = redis.call('GET', k) "
        "local us = struct.unpack('<I8', string.sub(v, 1, 7) .. '\\0') - %d * 1000000 "
        "redis.call('SET', k, string.sub(struct.pack('<I8', us), 1, 7) .. string.sub(v, 8), 'KEEPTTL') end",
        seconds, seconds);
    redis_server_do(&w.redis.server, "EVAL %s 0", script);
}

static inline uint64_t result(const char *policy, enum cache_result r)
{
    for (unsigned i = 0; i < w.caches.n; i++)
        if (strcmp(w.caches.row[i].policy, policy) == 0)
            return w.caches.row[i].result[r];
    return 0;
}

static inline uint64_t stored(const char *policy, enum store_reason r)
{
    for (unsigned i = 0; i < w.caches.n; i++)
        if (strcmp(w.caches.row[i].policy, policy) == 0)
            return w.caches.row[i].store[r];
    return 0;
}

#endif
