// SPDX-License-Identifier: MIT
/* Answers sealed on their way to a real Redis, and opened on their way back: whole, with old keys, with none,
 * after somebody has changed them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/token.h"
#include "tests/support/loop.h"
#include "tests/support/rawhttp.h"
#include "tests/support/room_fixture.h"

enum { HEAD = RECORD_HEAD + 1 };

static struct room w;
static struct peer p;
static struct peer_frame f;
static struct token token; /* of the last grant */
static struct raw http;
static struct raw_reply reply;
static char dir[] = "/tmp/test-sealer-XXXXXX";
static char keys[3][64]; /* paths of three key files */

static const char headers[] = "\x08x-secret\x06hushed\x08location\x10/payments/hushed\0\0";
static const char chunked[] = "\x11transfer-encoding\x07"
                              "chunked"
                              "\x08x-secret\x06hushed\x08location\x10/payments/hushed\0\0";

static void with_keys(char out[512], unsigned n, const unsigned *which)
{
    size_t at = (size_t)snprintf(out, 512, "replay = { seal_keys = [");
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, 512 - at, "%s\"%s\"", i ? ", " : "", keys[which[i]]);
    snprintf(out + at, 512 - at, "]; keep = \"10ms\"; };\n");
}
#define KEYS(...) ((const unsigned[]){__VA_ARGS__})

/* As SIGHUP does it. */
static void rekey(unsigned n, const unsigned *which)
{
    char more[512];
    with_keys(more, n, which);
    struct config *c = room_config(&w, more);
    sealer_reconfigure(w.gate.sealer, c);
    config_drop(c);
}

static int setup(void **state)
{
    char more[512];
    (void)state;
    with_keys(more, 1, KEYS(0));
    room_start(&w, more);
    room_dial(&w, &p);
    raw_connect_unix(&http, w.redis.loop, w.replay_address + strlen("unix@"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&http);
    peer_close(&p);
    buf_free(&reply.body);
    room_stop(&w);
    return 0;
}

/* A request, and its answer; chunked, and longer than what came, unless it is whole. */
static void run(const char *body, bool whole)
{
    struct spop_value v;
    char text[TOKEN_TEXT + 1];
    room_request(&p, 1, "payments", "k", "rid-1");
    peer_ack(&p, 1, &f);
    assert_true(ack_value(&f, "token", &v));
    snprintf(text, sizeof text, "%.*s", (int)v.bytes.len, v.bytes.ptr);
    assert_int_equal(token_read(text, TOKEN_TEXT, &token), 0);
    peer_notify(&p, 2, "once-response");
    peer_str(&p, "token", text);
    peer_int(&p, "status", 201);
    peer_str(&p, "method", "POST");
    if (whole)
        peer_bin(&p, "headers", headers, sizeof headers - 1);
    else
        peer_bin(&p, "headers", chunked, sizeof chunked - 1);
    peer_bin(&p, "body", body, strlen(body));
    peer_int(&p, "body_len", (int64_t)strlen(body));
    if (whole)
        peer_int(&p, "content_length", (int64_t)strlen(body));
    peer_bool(&p, "waited", true);
    peer_end(&p);
    peer_send(&p);
    peer_ack(&p, 2, &f);
    assert_int_equal(ack_is_true(&f, "settled"), whole);
    assert_true(ack_is_true(&f, "recorded"));
}

/* What a duplicate gets; nothing that was kept is left meanwhile. */
static void duplicate(unsigned status)
{
    char request[256];
    struct spop_value v;
    room_turn(&w, 0.03);
    room_request(&p, 3, "payments", "k", "rid-2");
    peer_ack(&p, 3, &f);
    assert_true(ack_says(&f, "verdict", "replay") && ack_value(&f, "replay", &v));
    snprintf(request, sizeof request,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nOnce-Replay: %.*s\r\n\r\n", (int)v.bytes.len,
             v.bytes.ptr);
    assert_true(raw_send_text(&http, request));
    assert_int_equal(raw_reply(&http, false, &reply), 0);
    assert_int_equal(reply.status, status);
}

static void expect_replay(const char *body)
{
    duplicate(201);
    assert_int_equal(reply.body.len, strlen(body));
    assert_memory_equal(reply.body.data, body, strlen(body));
    assert_non_null(
        strstr(reply.head, "x-secret: hushed\nlocation: /payments/hushed\nIdempotent-Replayed: true\n"));
}

static void expect_refusal(enum metric reason, uint64_t times)
{
    uint64_t gone = room_counted(&w, METRIC_REPLAY_GONE);
    duplicate(503);
    assert_non_null(memmem(reply.body.data, reply.body.len, "cannot be opened", 16));
    assert_null(memmem(reply.body.data, reply.body.len, "hush", 4));
    assert_null(strstr(reply.head, "Retry-After"));
    assert_int_equal(room_counted(&w, METRIC_REPLAY_GONE), gone + 1);
    assert_int_equal(room_counted(&w, reason), times);
}

/* No value of any key has a word of what was answered. */
static void expect_hushed(unsigned values)
{
    redisReply *all = redisCommand(w.redis.server.c, "KEYS once:{*");
    assert_int_equal(all->elements, values);
    for (size_t i = 0; i < all->elements; i++) {
        redisReply *value = redisCommand(w.redis.server.c, "GET %s", all->element[i]->str);
        assert_int_equal(value->type, REDIS_REPLY_STRING);
        assert_null(memmem(value->str, value->len, "hush", 4));
        freeReplyObject(value);
    }
    freeReplyObject(all);
}

static void stored_sealed_and_replayed_whole(void **state)
{
    struct record r;
    (void)state;
    run("a hushed body", true);
    expect_hushed(1);
    assert_true(room_record(&w, &r));
    assert_int_equal(r.state, RECORD_DONE);
    assert_int_equal(r.status, 201);
    assert_true(seal_is(r.payload));
    assert_int_equal(room_counted(&w, METRIC_SEALED), 2); /* and its Location */
    expect_replay("a hushed body");
    expect_replay("a hushed body");
    assert_int_equal(room_counted(&w, METRIC_SEAL_OPENED), 2);
}

/* A word about the execution, from wherever it comes. */
static void say(enum script_id script, unsigned status, char becomes)
{
    struct word word = {
        .script = script, .token = token, .status = status, .letter = 'T', .ttl_s = ROOM_RECORD_S};
    assert_non_null(completion_put(w.gate.completion, &word, 0, NULL, NULL));
    room_until_state(&w, becomes);
}

/* What waits for its end is sealed, and replayed once that is proved. HAProxy's table has the status of before
 * a site's own `http-response set-status`: the one that the client saw is the sealed one. */
static void committed_with_another_status(void **state)
{
    struct record r;
    (void)state;
    run("hushed, and more", false);
    expect_hushed(2);
    assert_true(room_record(&w, &r));
    assert_int_equal(r.state, RECORD_ANSWERED);
    assert_true(seal_is(r.payload));
    say(SCRIPT_COMPLETE, 200, RECORD_DONE);
    expect_hushed(1);
    expect_replay("hushed, and more");
}

static bool tomb_tells_location(void)
{
    struct spop_value v;
    room_request(&p, 3, "payments", "k", "rid-2");
    peer_ack(&p, 3, &f);
    assert_true(ack_says(&f, "reason", "tombstone") && ack_value(&f, "problem", &v));
    bool told = memmem(v.bytes.ptr, v.bytes.len, "\"/payments/hushed\"", 18) != NULL;
    assert_int_equal(memmem(v.bytes.ptr, v.bytes.len, "\"location\"", 10) != NULL, told);
    return told;
}

static void tombstone_tells_its_location(void **state)
{
    (void)state;
    run("hushed, and more", false);
    say(SCRIPT_RESOLVE, 200, RECORD_TOMB);
    redis_server_do(&w.redis.server, "EVAL %s 0",
                    "for _, k in ipairs(redis.call('KEYS', '*:p:*')) do redis.call('DEL', k) end");
    expect_hushed(1);
    assert_true(tomb_tells_location());
    rekey(1, KEYS(1));
    assert_false(tomb_tells_location());
    assert_int_equal(room_counted(&w, METRIC_SEAL_NO_KEY), 1);
    rekey(2, KEYS(1, 0));
    assert_true(tomb_tells_location());
}

static void rotation(void **state)
{
    struct record r;
    struct seal_key third;
    char text[65];
    snprintf(text, sizeof text, "%064u", 3U);
    assert_int_equal(seal_key_read(text, &third), 0);
    (void)state;
    run("hushed by the first", true);
    rekey(2, KEYS(1, 0));
    expect_replay("hushed by the first");
    rekey(1, KEYS(1));
    expect_refusal(METRIC_SEAL_NO_KEY, 1);
    expect_refusal(METRIC_SEAL_NO_KEY, 2);
    rekey(0, NULL);
    expect_refusal(METRIC_SEAL_NO_KEY, 3);
    assert_int_equal(room_state(&w), RECORD_DONE);
    rekey(3, KEYS(2, 1, 0));
    expect_replay("hushed by the first");
    redis_server_do(&w.redis.server, "FLUSHALL");
    loop_run(w.redis.loop, 1.1); /* for so long a finished key is replayed from memory */
    run("hushed by the third", true);
    assert_true(room_record(&w, &r));
    assert_memory_equal(seal_id_of(r.payload), third.id, SEAL_ID_BYTES);
    rekey(1, KEYS(2));
    expect_replay("hushed by the third");
}

static void stored_before_there_were_keys(void **state)
{
    (void)state;
    rekey(0, NULL);
    run("said in the open", true);
    rekey(1, KEYS(0));
    expect_replay("said in the open");
    assert_int_equal(room_counted(&w, METRIC_SEALED) + room_counted(&w, METRIC_SEAL_OPENED), 0);
}

static void write_at(size_t at, uint8_t byte)
{
    redisReply *all = redisCommand(w.redis.server.c, "KEYS once:*:r:*");
    redis_server_do(&w.redis.server, "SETRANGE %s %d %b", all->element[0]->str, (int)at, &byte, (size_t)1);
    freeReplyObject(all);
}

/* Refused, counted, and left as it is. */
static void changed_by_somebody(void **state)
{
    struct record r;
    (void)state;
    run("a hushed body", true);
    assert_true(room_record(&w, &r));
    size_t whole = w.raw.len;
    for (unsigned i = 0; i < 3; i++) {
        static const enum metric reason[] = {METRIC_SEAL_UNKNOWN, METRIC_SEAL_NO_KEY, METRIC_SEAL_BROKEN};
        const size_t at = (const size_t[]){HEAD + 1, HEAD + 2, whole - 1}[i];
        const uint8_t was = w.raw.data[at];
        write_at(at, was ^ 1);
        expect_refusal(reason[i], 1);
        assert_true(room_record(&w, &r));
        assert_int_equal(w.raw.len, whole);
        assert_int_equal(w.raw.data[at], was ^ 1);
        write_at(at, was);
    }
    expect_replay("a hushed body");
}

/* A sealed answer under another key's record is not that key's answer. */
static void moved_to_another_record(void **state)
{
    (void)state;
    run("hushed, of another", true);
    redisReply *from = redisCommand(w.redis.server.c, "KEYS once:*:r:*");
    redis_server_do(&w.redis.server, "RENAME %s moved", from->element[0]->str);
    run("hushed, of this", true);
    struct record r;
    assert_true(room_record(&w, &r));
    struct buf mixed = {0}; /* this one's head, the other one's answer */
    buf_put(&mixed, w.raw.data, HEAD);
    redisReply *other = redisCommand(w.redis.server.c, "GET moved");
    buf_put(&mixed, other->str + HEAD, other->len - HEAD);
    redis_server_do(&w.redis.server, "DEL moved");
    redis_server_do(&w.redis.server, "SET %s %b PX 60000", from->element[0]->str, mixed.data, mixed.len);
    expect_refusal(METRIC_SEAL_BROKEN, 1);
    buf_free(&mixed);
    freeReplyObject(other);
    freeReplyObject(from);
}

/* Two executions of one text have nothing in common: a nonce is used once. */
static void never_the_same_bytes_twice(void **state)
{
    enum { TIMES = 200 };
    static char nonces[TIMES][SEAL_NONCE_BYTES];
    struct record_id id = {{0}, {0}};
    const struct seal_place at = {SEAL_ANSWER, &id, 1};
    struct buf b = {0};
    (void)state;
    for (unsigned i = 0; i < TIMES; i++) {
        buf_reset(&b);
        buf_str(&b, "same");
        sealer_close(w.gate.sealer, &b, 0, &at);
        memcpy(nonces[i], b.data + 6, SEAL_NONCE_BYTES);
        for (unsigned n = 0; n < i; n++)
            assert_memory_not_equal(nonces[n], nonces[i], SEAL_NONCE_BYTES);
    }
    assert_int_equal(room_counted(&w, METRIC_SEALED), TIMES);
    buf_free(&b);
}

static int make_keys(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (unsigned i = 0; i < 3; i++) {
        snprintf(keys[i], sizeof keys[i], "%s/%u.key", dir, i);
        FILE *file = fopen(keys[i], "w");
        fprintf(file, "%064u\n", i + 1);
        fclose(file);
        chmod(keys[i], 0600);
    }
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        unlink(keys[i]);
    return rmdir(dir);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(stored_sealed_and_replayed_whole), T(committed_with_another_status),
        T(tombstone_tells_its_location),     T(rotation),
        T(stored_before_there_were_keys),    T(changed_by_somebody),
        T(moved_to_another_record),          T(never_the_same_bytes_twice),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
