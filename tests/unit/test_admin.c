// SPDX-License-Identifier: MIT
/* The operator's socket on a real Redis: what is asked wrongly, what lies there and is no record of ours, and who
 * goes away while something is on its way. (What the words do: tests/lua/test_operator.c, tests/e2e/operator.vtc.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "domain/look.h"
#include "domain/named.h"
#include "rooms/admin.h"
#include "rooms/monotonic.h"
#include "tests/support/rawhttp.h"
#include "tests/support/room_fixture.h"

static struct room room;
static struct admin *admin;
static char path[64];
static struct raw client;
static struct raw_reply reply;

static int setup(void **state)
{
    (void)state;
    room_start(&room, "");
    admin = admin_new(&room.gate, raw_listen_unix(path));
    assert_non_null(admin);
    raw_connect_unix(&client, room.gate.loop, path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&client);
    admin_free(admin);
    raw_unlisten(path);
    buf_free(&reply.body);
    reply.body = (struct buf){0};
    room_stop(&room);
    return 0;
}

static void send_line(const char *line)
{
    char text[600];
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n\r\n", line);
    assert_true(raw_send_text(&client, text));
}

/* Sends a line, wants a status, and that the answer holds a text. */
static void ask(const char *line, unsigned status, const char *holds)
{
    send_line(line);
    assert_int_equal(raw_reply(&client, false, &reply), 0);
    buf_u8(&reply.body, 0);
    if (reply.status != status || !strstr((const char *)reply.body.data, holds))
        fail_msg("%s: %u %s", line, reply.status, (const char *)reply.body.data);
}

static void plant(struct record_id *id, const char *key, const void *bytes, size_t len)
{
    const struct naming n = {.policy = "payments", .key = key, .address = {.type = SPOP_NULL}};
    struct named out;
    const char *why;
    char name[80];
    assert_true(named_find(room.redis.config, &n, &out, &why));
    *id = out.id;
    snprintf(name, sizeof name, "once:{%02x%02x}:r:", out.id.tag[0], out.id.tag[1]);
    for (unsigned i = 0; i < 16; i++)
        sprintf(name + strlen(name), "%02x", out.id.digest[i]);
    redis_server_do(&room.redis.server, "SET %s %b PX 100000", name, bytes, len);
}

/* A stored answer, as the scripts leave it, that was just replayed: its policy is payments. */
static struct record_id plant_done(const char *key)
{
    static const struct response r = {
        201, {"\7x-latin\1\xe9\0\0", 12},
         {"\0\xff",              2 }
    };
    struct record_id id;
    struct buf b;
    buf_init(&b);
    assert_int_equal(record_pack_done(&b, &r, NULL, 0), 0);
    b.data[4] = 1;  /* fence */
    b.data[33] = 1; /* ttl_s: 256 */
    for (unsigned i = 0; i < 4; i++)
        b.data[54 + i] = (uint8_t)(room.redis.config->policies[0].hash >> (8 * i));
    plant(&id, key, b.data, b.len);
    replay_keep(room.gate.replay, &id, b.data, b.len, monotonic_now());
    buf_free(&b);
    return id;
}

/* Is it replayed without asking Redis? */
static bool is_remembered(const struct record_id *id)
{
    static const uint8_t fingerprint[16];
    return replay_recent(room.gate.replay, id, fingerprint).ptr != NULL;
}

static void asked_wrongly(void **state)
{
    (void)state;
    ask("GET /", 404, "no-such-path");
    ask("GET /v1", 404, "no-such-path");
    ask("DELETE /v1/record", 405, "no-such-method");
    ask("GET /v1/go", 405, "no-such-method");
    ask("GET /v1/record", 400, "say policy and key, or id");
    ask("GET /v1/record?policy=payments", 400, "say policy and key, or id");
    ask("GET /v1/record?key=a", 400, "without its policy");
    ask("GET /v1/record?policy=other&key=a", 400, "no such policy");
    ask("GET /v1/record?id=order-1", 400, "a key wants its policy");
    ask("GET /v1/record?policy=payments&principal=alice&key=a", 400, "nobody");
    ask("GET /v1/record?id=0", 400, "an id is");
    ask("GET /v1/record?policy=payments&key=%0a", 400, "no client");
    ask("GET /v1/record?policy=payments&key=a", 404, "not-found");
    ask("POST /v1/record?policy=payments&key=a", 400, "the words are");
    ask("POST /v1/record?policy=payments&key=a&word=erase", 400, "the words are");
    ask("POST /v1/record?policy=payments&key=a&word=completed&status=199", 400, "a status is");
    ask("POST /v1/record?policy=payments&key=a&word=completed&status=6e2", 400, "a status is");
    ask("POST /v1/record?policy=payments&key=a&word=delete", 404, "not-found");
    ask("GET /v1/records?state=gone", 400, "states are");
    ask("GET /v1/records?state=,done", 400, "states are");
    ask("GET /v1/records?cursor=x", 400, "a cursor is");
    ask("GET /v1/records?cursor=111111111111111111111", 400, "a cursor is");
    ask("POST /v1/purge", 400, "say which policy");
    ask("POST /v1/purge?all=1", 400, "say which policy");
    ask("POST /v1/purge?policy=payments", 400, "say whose records");
    ask("POST /v1/record?policy=payments&key=a&word=failed&status=201", 400, "goes with the word completed");
    ask("POST /v1/go", 409, "nothing-lost");
    ask("GET /v1/status", 200, "\"redis_ready\":true");
    ask("GET /v1/site", 200, "\"info\":\"# Server");
    ask("GET /v1/site", 200, "\"spoa_once_claims_total{outcome=\\\"go\\\"}\":0,");
    ask("GET /v1/records", 200, "{\"records\":[],\"skipped\":0,\"cursor\":\"0\"}");
    ask("GET /v1/limits", 200, "{\"limits\":[],\"skipped\":0,\"cursor\":\"0\"}");
    ask("GET /v1/slots", 200, "{\"slots\":[],\"skipped\":0,\"cursor\":\"0\"}");
    ask("POST /v1/limits", 400, "say id");
    ask("POST /v1/limits?id=ab01", 400, "an id is");
    ask("POST /v1/limits?id=ab01:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1", 404, "nothing is counted");
    ask("GET /v1/inflight", 200, "{\"inflight\":[],\"left_out\":0}");
}

/* What each route takes, besides which nothing may be said. */
static const struct {
    const char *route, *takes[9];
} takes[] = {
    {"GET /v1/status",   {NULL}                                                                },
    {"GET /v1/site",     {NULL}                                                                },
    {"GET /v1/inflight", {NULL}                                                                },
    {"GET /v1/records",  {"policy", "principal", "state", "cursor"}                            },
    {"GET /v1/limits",   {"cursor"}                                                            },
    {"POST /v1/limits",  {"id"}                                                                },
    {"GET /v1/slots",    {"cursor"}                                                            },
    {"GET /v1/record",   {"id", "policy", "principal", "key", "host", "path", "body"}          },
    {"POST /v1/record",  {"id", "policy", "principal", "key", "host", "path", "word", "force"} },
    {"POST /v1/record",  {"id", "policy", "principal", "key", "host", "path", "word", "status"}},
    {"POST /v1/purge",   {"policy", "principal", "all", "cursor"}                              },
    {"GET /v1/cache",    {"url", "policy", "principal", "header"}                              },
    {"POST /v1/cache",   {"url", "tag", "prefix", "policy", "all"}                             },
    {"POST /v1/go",      {NULL}                                                                },
};

static bool is_one_of(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* None is passed over: empty ones, unknown ones, those of other routes, those that are there twice. */
static void no_argument_is_passed_over(void **state)
{
    static const char *const all[] = {"id",    "policy", "principal", "key",    "host",  "path",
                                      "state", "cursor", "body",      "word",   "force", "status",
                                      "all",   "url",    "tag",       "prefix", "header"};
    static const char *const empty[] = {"=", "", "=%00", "=a%00b"};
    char line[300], why[100];
    struct record_id kept = plant_done("k");
    (void)state;
    for (size_t r = 0; r < sizeof takes / sizeof *takes; r++) {
        for (size_t i = 0; takes[r].takes[i]; i++) {
            for (size_t e = 0; e < sizeof empty / sizeof *empty; e++) {
                snprintf(line, sizeof line, "%s?%s%s", takes[r].route, takes[r].takes[i], empty[e]);
                snprintf(why, sizeof why, "the argument '%s' %s", takes[r].takes[i],
                         e < 2 ? "is empty: give it a value, or leave it out" : "has a NUL byte in it");
                ask(line, 400, why);
            }
            snprintf(line, sizeof line, "%s?%s=1&%s=1", takes[r].route, takes[r].takes[i], takes[r].takes[i]);
            ask(line, 400, "is there twice");
        }
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            snprintf(line, sizeof line, "%s?%s=1", takes[r].route, all[i]);
            snprintf(why, sizeof why, "the argument '%s' is not known here", all[i]);
            if (!is_one_of(takes[r].takes, all[i]) && strcmp(takes[r].route, "POST /v1/record") != 0)
                ask(line, 400, why);
        }
    }
    ask("POST /v1/purge?policy=payments&princpal=a", 400,
        "the argument 'princpal' is not known here: there are policy, principal, cursor, all");
    ask("GET /v1/status?%0a%ff\"=1", 400, "the argument '??\\\"' is not known here: there is none");
    ask("GET /v1/record?policy=payments&key=k&body=yes", 400, "the argument 'body' is 1, or left out");
    ask("POST /v1/record?policy=payments&key=k&word=delete&force=0", 400, "'force' is 1, or left out");
    ask("POST /v1/purge?policy=payments&all=no", 400, "'all' is 1, or left out");
    assert_int_equal(redis_server_int(&room.redis.server, "DBSIZE") > 0, 1);
    assert_true(is_remembered(&kept));
}

/* An id names a record alone. */
static void an_id_stands_alone(void **state)
{
    static const char *const others[] = {"policy=payments", "principal=a", "key=k", "host=h", "path=/", NULL};
    char line[200], name[LOOK_NAME + 1];
    struct record_id id = plant_done("k");
    (void)state;
    look_name_write(&id, name);
    for (const char *const *o = others; *o; o++) {
        snprintf(line, sizeof line, "POST /v1/record?id=%s&%s&word=delete", name, *o);
        ask(line, 400, "an id names a record alone");
    }
    snprintf(line, sizeof line, "GET /v1/record?id=%s", name);
    ask(line, 200, "\"state\":\"done\"");
}

/* Every kind, and what is none: shown, not stumbled over. */
static void limits_of_all_kinds(void **state)
{
    (void)state;
    redis_server_do(&room.redis.server,
                    "SET once:{ab01}:l:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 12345678abcdef PX 100000");
    redis_server_do(&room.redis.server, "SET once:{ab02}:l:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 %b PX 60000",
                    "\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0", (size_t)24);
    ask("GET /v1/limits", 200, "{\"kind\":\"buckets\",\"used_s\":[null],\"id\":\"ab01:d1d1");
    ask("GET /v1/limits", 200, "{\"kind\":\"window\",\"requests\":");
    redis_server_do(&room.redis.server, "LPUSH once:{ab01}:c:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 a");
    redis_server_do(&room.redis.server, "PEXPIRE once:{ab01}:c:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 100000");
    redis_server_do(&room.redis.server,
                    "ZADD once:{ab02}:c:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 9000000000000000 a");
    redis_server_do(&room.redis.server, "PEXPIRE once:{ab02}:c:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 100000");
    ask("GET /v1/slots", 200,
        "{\"slots\":[{\"id\":\"ab02:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1\",\"kind\":\"slots\",\"in_flight\":1,");
    ask("POST /v1/limits?id=ab01:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1", 200, "\"word\":\"reset\"");
    ask("POST /v1/limits?id=ab01:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1", 404, "not-found");
    assert_int_equal(room_counted(&room, METRIC_OPERATOR_RESET), 1);
    assert_int_equal(
        redis_server_int(&room.redis.server, "EXISTS once:{ab02}:l:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"), 1);
}

static void quote(struct peer *p, uint64_t stream, const char *reason)
{
    struct peer_frame f;
    room_request(p, stream, "quotes", "", "rid");
    peer_ack(p, stream, &f);
    assert_true(ack_says(&f, "reason", reason));
}

/* A subject that was refused passes at once after a reset, here too where its refusal is remembered; also where
 * another agent's reset has found the key first. */
static void reset_lets_pass(void **state)
{
    struct peer p;
    char line[128], id[LOOK_NAME + 1] = "";
    (void)state;
    room_dial(&room, &p);
    for (unsigned i = 0; i < 6; i++)
        quote(&p, i, i < 3 ? "go" : "limited");
    assert_int_equal(room_counted(&room, METRIC_SHIELD_REFUSED), 2);
    ask("GET /v1/limits", 200, "\"kind\":\"buckets\"");
    memcpy(id, strstr((const char *)reply.body.data, "\"id\":\"") + 6, LOOK_NAME);
    snprintf(line, sizeof line, "POST /v1/limits?id=%s", id);
    ask(line, 200, "\"word\":\"reset\"");
    for (unsigned i = 0; i < 6; i++)
        quote(&p, 10 + i, i < 3 ? "go" : "limited");
    assert_int_equal(redis_server_int(&room.redis.server, "DEL once:{%b}:l:%s", id, (size_t)4, id + 5), 1);
    quote(&p, 20, "limited");
    ask(line, 404, "not-found");
    quote(&p, 21, "go");
    peer_close(&p);
}

static void what_is_no_record(void **state)
{
    struct record_id id;
    (void)state;
    plant(&id, "k", "\2R and so on, of another version", 32);
    ask("GET /v1/record?policy=payments&key=k", 409, "foreign");
    ask("POST /v1/record?policy=payments&key=k&word=delete&force=1", 409, "foreign");
    ask("GET /v1/records", 200, "\"state\":\"foreign\"");
    /* What lies under a name that no record has is not shown at all. */
    redis_server_do(&room.redis.server, "FLUSHALL");
    redis_server_do(&room.redis.server, "SET once:{ab01}:r:short x PX 100000");
    redis_server_do(&room.redis.server, "SET once:{ab01}:r:DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD x PX 100000");
    plant_done("k");
    ask("GET /v1/records", 200, "\"state\":\"done\""); /* beside capitals: nobody of ours wrote that */
    ask("GET /v1/records", 200, "\"skipped\":1,\"cursor\":\"0\"");
    ask("POST /v1/purge?policy=payments&all=1", 200, "\"deleted\":1");
    redis_server_do(&room.redis.server, "SET once:{ab01}:l:DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD x PX 100000");
    ask("GET /v1/limits", 200, "{\"limits\":[],\"skipped\":1,");
}

/* Bytes that are no text are shown all the same. */
static void a_stored_answer(void **state)
{
    (void)state;
    plant_done("k");
    ask("GET /v1/record?policy=payments&key=k", 200, "\"state\":\"done\"");
    ask("GET /v1/record?policy=payments&key=%22k%22", 200, "\"status\":0");
    ask("GET /v1/record?policy=payments&key=k&body=1", 200,
        "\"headers\":[[\"x-latin\",\"?\"]],\"body_base64\":\"AP8=\"");
    ask("GET /v1/records?policy=payments&state=done", 200, "\"policy\":\"payments\"");
    ask("GET /v1/records?policy=held", 200, "{\"records\":[],");
    ask("GET /v1/records?state=held,running", 200, "{\"records\":[],");
    ask("POST /v1/record?policy=payments&key=k&word=delete", 200, "\"before\":\"done\"");
    ask("GET /v1/record?policy=payments&key=k&body=1", 200, "\"state\":\"free\"");
    assert_int_equal(room_counted(&room, METRIC_OPERATOR_DELETED), 1);
    assert_int_equal(room_counted(&room, METRIC_OPERATOR_FAILED), 0);
}

/* What a word was said of is replayed from no memory of this agent; what was only looked at is. */
static void forgotten_with_the_word(void **state)
{
    struct record_id a = plant_done("a"), b = plant_done("b"), c = plant_done("c");
    (void)state;
    ask("GET /v1/record?policy=payments&key=a", 200, "\"state\":\"done\"");
    ask("POST /v1/record?policy=payments&key=c&word=failed", 409, "nothing-to-do");
    assert_true(is_remembered(&a) && is_remembered(&b));
    ask("POST /v1/record?policy=payments&key=a&word=delete", 200, "\"state\":\"free\"");
    assert_true(!is_remembered(&a) && is_remembered(&b));
    ask("POST /v1/purge?policy=held&all=1", 200, "\"deleted\":0");
    assert_true(is_remembered(&b));
    c = plant_done("c");
    ask("POST /v1/purge?policy=payments&all=1", 200, "\"deleted\":2");
    assert_false(is_remembered(&b) || is_remembered(&c));
    assert_int_equal(room_counted(&room, METRIC_REPLAY_BYTES), 0);
}

/* Redis dies behind the look, before the word is answered: it may have been carried out. Another command of the agent's own may
 * be mistaken for the look, so it is tried again. */
static void forgotten_though_not_answered(void **state)
{
    bool forgotten = false;
    (void)state;
    for (unsigned tries = 0; tries < 5 && !forgotten; tries++) {
        struct record_id id = plant_done("a");
        uint64_t before = room_counted(&room, METRIC_REDIS_COMMANDS);
        send_line("POST /v1/record?policy=payments&key=a&word=delete");
        while (room_counted(&room, METRIC_REDIS_COMMANDS) == before)
            ev_run(room.gate.loop, EVRUN_ONCE);
        room_freeze(&room);
        room_turn(&room, 0.05);
        assert_true(is_remembered(&id));
        redis_fixture_kill(&room.redis);
        assert_int_equal(raw_reply(&client, false, &reply), 0);
        assert_int_equal(reply.status, 503);
        forgotten = !is_remembered(&id);
        redis_fixture_revive(&room.redis);
        redis_fixture_until_ready(&room.redis, tries + 2);
    }
    assert_true(forgotten);
}

/* The client goes, or the agent ends, at any moment of a request: nothing is left, nothing is touched. */
static void gone_meanwhile(void **state)
{
    static const char *const lines[] = {
        "GET /v1/records", "GET /v1/site", "GET /v1/record?policy=payments&key=k3&body=1",
        "POST /v1/purge?policy=payments&all=1", "POST /v1/record?policy=payments&key=k4&word=delete"};
    (void)state;
    for (unsigned turns = 0; turns < 12; turns++) {
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            char key[16];
            for (unsigned k = 0; k < 20; k++) {
                snprintf(key, sizeof key, "k%u", k);
                plant_done(key);
            }
            send_line(lines[i]);
            for (unsigned n = 0; n < turns; n++)
                ev_run(room.gate.loop, EVRUN_NOWAIT);
            if (turns % 2) {
                raw_close(&client);
                room_turn(&room, 0.005);
            } else {
                admin_free(admin);
                raw_close(&client);
                raw_unlisten(path);
                admin = admin_new(&room.gate, raw_listen_unix(path));
            }
            raw_connect_unix(&client, room.gate.loop, path);
            ask("GET /v1/status", 200, "redis_ready");
        }
    }
}

static void redis_is_gone(void **state)
{
    (void)state;
    redis_fixture_kill(&room.redis);
    room_turn(&room, 0.05);
    ask("GET /v1/records", 503, "redis-unavailable");
    ask("POST /v1/record?policy=payments&key=k&word=delete", 503, "redis-unavailable");
    ask("POST /v1/purge?policy=payments&all=1", 503, "redis-unavailable");
    ask("GET /v1/status", 200, "\"redis_ready\":false");
    ask("GET /v1/site", 200, "\"ready\":false,\"why\":\"");
    ask("GET /v1/site", 200, "\"info\":null");
    redis_fixture_revive(&room.redis);
    redis_fixture_until_ready(&room.redis, 2);
    ask("GET /v1/records", 200, "{\"records\":[],");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(asked_wrongly),
        T(no_argument_is_passed_over),
        T(an_id_stands_alone),
        T(what_is_no_record),
        T(a_stored_answer),
        T(limits_of_all_kinds),
        T(reset_lets_pass),
        T(forgotten_with_the_word),
        T(forgotten_though_not_answered),
        T(gone_meanwhile),
        T(redis_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
