// SPDX-License-Identifier: MIT
/* Cached answers through the agent's rooms and a real redis-server: lookup, fill, store, serve (ACCEPTANCE C1 to C6). */
#include "tests/unit/cache_world.h"

#include <unistd.h>

static void test_miss_then_hit(void **state)
{
    (void)state;
    ask((struct question){0});
    expect_fill();
    assert_string_equal(text_of("cache_status"), "once; fwd=uri-miss");
    fill_with((struct filled){.token = text_of("fill")});
    assert_int_equal(stored("pages", STORE_YES), 1);
    ask((struct question){0});
    expect("replay", "hit");
    expect_served("hello");
    expect_head("Age: 0\n");
    expect_head("Cache-Status: once; hit; ttl=30\n");
    expect_head("content-type: text/plain\n");
    assert_int_equal(result("pages", CACHE_HIT), 1);
    assert_int_equal(result("pages", CACHE_MISS), 1);
}

static void test_head_is_served_from_get(void **state)
{
    (void)state;
    ask((struct question){.method = "HEAD"});
    expect_pass("bypass");
    fetch((struct question){0}, NULL, "hello");
    ask((struct question){.method = "HEAD"});
    expect("replay", "hit");
    serve_as("HEAD", "");
    assert_int_equal(reply.status, 200);
    expect_head("Content-Length: 5\n");
}

static void test_copy_of_the_client_is_good(void **state)
{
    (void)state;
    fetch((struct question){0}, "etag: \"v1\"\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\nx-other: 1\n",
          "hello");
    ask((struct question){0});
    serve_as("GET", "If-None-Match: W/\"v1\"\r\n");
    assert_int_equal(reply.status, 304);
    assert_int_equal(reply.body.len, 0);
    expect_head("etag: \"v1\"\n");
    assert_null(strstr(reply.head, "x-other"));
    serve_as("GET", "If-None-Match: \"v0\"\r\nIf-None-Match: \"v2\"\r\n");
    assert_int_equal(reply.status, 200);
    serve_as("GET", "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n");
    assert_int_equal(reply.status, 304);
}

static void test_variants_stand_side_by_side(void **state)
{
    (void)state;
    struct question gzip = {.headers = "accept-encoding: gzip\n"}, plain = {.headers = "accept: */*\n"};
    fetch(gzip, "vary: Accept-Encoding\ncontent-encoding: gzip\n", "zipped");
    fetch(plain, "vary: Accept-Encoding\n", "plain");
    ask(gzip);
    expect("replay", "hit");
    expect_served("zipped");
    ask(plain);
    expect("replay", "hit");
    expect_served("plain");
    ask((struct question){.headers = "accept-encoding: br\n"});
    expect_fill();
    assert_string_equal(text_of("cache_status"), "once; fwd=vary-miss");
}

static void expect_one_question(struct question a)
{
    uint64_t before = room_counted(&w, METRIC_CACHE_LOOKUPS);
    ask(a);
    expect("replay", "hit");
    assert_int_equal(room_counted(&w, METRIC_CACHE_LOOKUPS), before + 1);
}

/* Also where it varies, once that is remembered. */
static void test_a_hit_is_one_question(void **state)
{
    (void)state;
    struct question plain = {.path = "/plain"}, gzip = {.path = "/v", .headers = "accept-encoding: gzip\n"};
    fetch(plain, NULL, "hello");
    expect_one_question(plain);
    fetch(gzip, "vary: Accept-Encoding\n", "zipped");
    ask(gzip);
    expect("replay", "hit");
    expect_one_question(gzip);
    expect_served("zipped");
}

static void test_other_names_are_not_stored(void **state)
{
    (void)state;
    fetch((struct question){0}, "vary: x-forwarded-host\n", "poison");
    assert_int_equal(stored("pages", STORE_VARY), 1);
    ask((struct question){0});
    expect_pass("bypass"); /* and nobody waits for the next one */
}

static void test_places_and_people_are_kept_apart(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    ask((struct question){.host = "other.example"});
    expect_fill();
    ask((struct question){.path = "//a"});
    expect_fill();
    ask((struct question){.path = "/a", .query = "x=1"});
    expect_fill();
    ask((struct question){.policy = "lenient"});
    expect_fill();
    ask((struct question){.host = "SHOP.example:443"});
    expect("replay", "hit");
    struct question alice = {.policy = "mine", .user = "alice"}, bob = {.policy = "mine", .user = "bob"};
    fetch(alice, NULL, "alice");
    ask(alice);
    expect("replay", "hit");
    ask(bob);
    expect_fill();
    ask((struct question){.policy = "mine"});
    expect_pass("bypass");
    alice.query = "page=1&x=1";
    fetch(alice, NULL, "one");
    alice.query = "x=2&page=1";
    ask(alice);
    expect("replay", "hit");
    expect_served("one");
}

static void test_requests_that_pass_by(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    static const char *const headers[] = {"range: bytes=0-1\n", "upgrade: websocket\n",
                                          "transfer-encoding: chunked\n"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        ask((struct question){.headers = headers[i]});
        expect_pass("bypass");
    }
    ask((struct question){.content_length = 5});
    expect_pass("bypass");
    ask((struct question){.body_len = 5});
    expect_pass("bypass");
    ask((struct question){.body_follows = true});
    expect_pass("bypass");
    ask((struct question){.method = "POST"});
    expect_pass("bypass");
    assert_string_equal(text_of("cache_status"), "once; fwd=method");
    ask((struct question){.headers = "cache-control: no-store\n", .path = "/other"});
    expect_pass("bypass");
}

static void test_wishes_of_the_request(void **state)
{
    (void)state;
    ask((struct question){.headers = "cache-control: only-if-cached\n"});
    assert_string_equal(text_of("verdict"), "deny");
    assert_int_equal(ack_integer(&f, "status"), 504);
    fetch((struct question){0}, NULL, "hello");
    ask((struct question){.headers = "cache-control: only-if-cached\n"});
    expect("replay", "hit");
    static const char *const anew[] = {"cache-control: no-cache\n", "cache-control: max-age=0\n",
                                       "pragma: no-cache\n"};
    for (size_t i = 0; i < sizeof anew / sizeof *anew; i++) {
        char body[8] = {'v', (char)('0' + i), 0};
        fetch((struct question){.headers = anew[i]}, NULL, body);
        ask((struct question){0});
        expect("replay", "hit");
        expect_served(body);
    }
}

static void test_what_is_never_stored(void **state)
{
    (void)state;
    static const struct {
        struct filled answer;
        enum store_reason why;
    } rows[] = {
        {{.headers = "cache-control: no-store\n"},                          STORE_NO_STORE  },
        {{.headers = "cache-control: private\n"},                           STORE_PRIVATE   },
        {{.headers = "set-cookie: a=b\n"},                                  STORE_SET_COOKIE},
        {{.headers = "vary: *\n"},                                          STORE_VARY_ANY  },
        {{.status = 404},                                                   STORE_STATUS    },
        {{.status = 206},                                                   STORE_PARTIAL   },
        {{.status = 500},                                                   STORE_STATUS    },
        {{.content_length = 6},                                             STORE_INCOMPLETE},
        {{.content_length = -1, .headers = "transfer-encoding: chunked\n"}, STORE_INCOMPLETE},
        {{.content_length = 12289},                                         STORE_TOO_LARGE },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%zu", i);
        uint64_t before = stored("pages", rows[i].why);
        ask((struct question){.path = path});
        expect_fill();
        struct filled a = rows[i].answer;
        a.token = text_of("fill");
        fill_with(a);
        if (stored("pages", rows[i].why) != before + 1)
            fail_msg("row %zu", i);
        ask((struct question){.path = path});
        assert_string_equal(text_of("verdict"), "pass");
        bool of_request = a.status == 404 || a.status == 206; /* another one's answer may be storable */
        assert_int_equal(*text_of("fill") != 0, of_request);
    }
    assert_int_equal(stored("pages", STORE_YES), 0);
}

/* Only chunks have an end of their own, and only HAProxy has seen it. */
static void test_chunks_that_are_whole(void **state)
{
    (void)state;
    static const char chunked[] = "transfer-encoding: chunked\n";
    static const struct {
        const char *headers;
        bool whole, is_stored;
    } rows[] = {
        {chunked,                      true,  true },
        {chunked,                      false, false},
        {"content-type: text/plain\n", true,  false}, /* its end is that of the connection */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%zu", i);
        ask((struct question){.path = path});
        expect_fill();
        fill_with((struct filled){.token = text_of("fill"),
                                  .headers = rows[i].headers,
                                  .content_length = -1,
                                  .whole = rows[i].whole});
        ask((struct question){.path = path});
        expect(rows[i].is_stored ? "replay" : "pass", rows[i].is_stored ? "hit" : "bypass");
    }
}

static void test_limits_are_asked_for_hits_too(void **state)
{
    (void)state;
    struct question a = {.policy = "metered"};
    fetch(a, NULL, "hello");
    for (unsigned i = 0; i < 2; i++) {
        ask(a);
        expect("replay", "hit");
        assert_string_not_equal(text_of("ratelimit"), "");
    }
    for (unsigned i = 0; i < 2; i++) {
        ask(a);
        expect("deny", "limited");
        assert_int_equal(ack_integer(&f, "status"), 429);
    }
    assert_int_equal(room_counted(&w, METRIC_SHIELD_REFUSED), 1);
    a.wait = true; /* asked again: counted already */
    ask(a);
    expect("replay", "collapsed");
}

/* Hits and misses are counted by what is on loan here, as any other request is; then they are refused. */
static void test_limits_on_loan(void **state)
{
    (void)state;
    struct question a = {.policy = "lent-pages"};
    unsigned hits = 0;
    fetch(a, NULL, "hello");
    assert_string_not_equal(text_of("ratelimit"), "");
    for (ask(a); strcmp(text_of("verdict"), "replay") == 0; ask(a), hits++) {
        expect("replay", "hit");
        assert_string_not_equal(text_of("ratelimit"), "");
        room_turn(&w, 0.002);
    }
    expect("deny", "limited");
    assert_int_equal(ack_integer(&f, "status"), 429);
    assert_int_equal(hits, 99);
    assert_int_equal(result("lent-pages", CACHE_HIT), 99);
    assert_int_equal(room_decided(&w, "lent-pages", "pool", LIMIT_ALLOWED), 100);
    assert_true(room_counted(&w, METRIC_LOANS_ALONE) > 60);
    uint64_t taken = room_counted(&w, METRIC_LOANS_TAKEN);
    a.wait = true; /* asked again: counted already */
    ask(a);
    expect("replay", "collapsed");
    assert_int_equal(room_counted(&w, METRIC_LOANS_TAKEN), taken);
}

/* While Redis is gone what is on loan lets misses pass, and not one more. */
static void test_loans_without_redis(void **state)
{
    (void)state;
    struct question a = {.policy = "lent-pages"};
    uint64_t spent = 0, lent = 0;
    teardown(NULL);
    setup_with("loans = { time = \"30s\"; };\n"); /* nothing gets old */
    fetch(a, NULL, "hello");
    for (unsigned n = 0; lent - spent < 6 && n < 90; n++) {
        ask(a);
        expect("replay", "hit");
        room_turn(&w, 0.005);
        lent = room_counted(&w, METRIC_LOANS_LENT);
        spent = room_counted(&w, METRIC_LOANS_TAKEN) - room_counted(&w, METRIC_LOANS_PUT_BACK);
    }
    assert_true(lent - spent >= 6);
    room_freeze(&w);
    for (unsigned i = 0; i < 4; i++) {
        ask(a);
        expect_pass("error");
        assert_false(ack_is_true(&f, "unprotected"));
    }
    room_thaw(&w);
}

static void test_redis_gone_is_a_miss(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    room_freeze(&w);
    ask((struct question){0});
    expect_pass("error");
    ask((struct question){.headers = "cache-control: only-if-cached\n"});
    assert_string_equal(text_of("verdict"), "deny");
    assert_int_equal(ack_integer(&f, "status"), 504);
    room_thaw(&w);
    redis_fixture_kill(&w.redis);
    room_turn(&w, 0.1);
    ask((struct question){0});
    expect_pass("error");
    ask((struct question){.policy = "lenient"});
    expect_pass("error");
    assert_true(ack_is_true(&f, "unprotected"));
    ask((struct question){.policy = "metered"});
    assert_int_equal(ack_integer(&f, "status"), 503);
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
}

/* Whole, but of another URL: nobody could have put it there but by hand. */
static void test_entry_of_another_place(void **state)
{
    (void)state;
    fetch((struct question){.path = "/a"}, NULL, "a");
    redis_server_do(&w.redis.server, "EVAL %s 0",
                    "redis.call('RENAME', redis.call('KEYS', 'once:*:e:*')[1], 'aside')");
    fetch((struct question){.path = "/b"}, NULL, "b");
    redis_server_do(&w.redis.server, "EVAL %s 0",
                    "redis.call('RENAME', 'aside', redis.call('KEYS', 'once:*:e:*')[1])");
    ask((struct question){.path = "/b"});
    expect_fill();
}

static void test_corrupt_entry_is_a_miss(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    redis_server_do(
        &w.redis.server, "EVAL %s 0",
        "for _, k in ipairs(redis.call('KEYS', 'once:*:e:*')) do redis.call('SET', k, 'x', 'PX', 9999) end");
    ask((struct question){0});
    expect_fill();
    assert_true(room_counted(&w, METRIC_CACHE_CORRUPT) > 0);
}

/* With seal keys nothing of a body lies in Redis as it is; an entry that was moved to another URL does not open. */
static void test_sealed(void **state)
{
    (void)state;
    char path[] = "/tmp/cache-seal-XXXXXX", more[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n");
    close(fd);
    snprintf(more, sizeof more, "replay = { seal_keys = [ \"%s\" ]; };\n", path);
    teardown(NULL);
    setup_with(more);
    unlink(path);
    fetch((struct question){0}, NULL, "nobody reads this");
    redisReply *r = redisCommand(w.redis.server.c, "EVAL %s 0",
                                 "return redis.call('GET', redis.call('KEYS', 'once:*:e:*')[1])");
    assert_null(memmem(r->str, r->len, "nobody", 6));
    freeReplyObject(r);
    ask((struct question){0});
    expect("replay", "hit");
    expect_served("nobody reads this");
    fetch((struct question){.path = "/b"}, NULL, "b");
    redis_server_do(&w.redis.server, "EVAL %s 0",
                    "local k = redis.call('KEYS', 'once:*:e:*') local v = redis.call('GET', k[1]) local o = "
                    "redis.call('GET', k[2]) "
                    "redis.call('SET', k[2], string.sub(o, 1, 72) .. string.sub(v, 73), 'PX', 9999)");
    unsigned hits = 0;
    for (unsigned i = 0; i < 2; i++) {
        ask((struct question){.path = i ? "/b" : "/a"});
        if (strcmp(text_of("verdict"), "replay") == 0) {
            expect_served(i ? "b" : "nobody reads this");
            hits++;
        } else {
            expect_fill();
            fill_with((struct filled){.token = text_of("fill"), .body = "anew"});
            ask((struct question){.path = i ? "/b" : "/a"});
            expect_served("anew");
        }
    }
    assert_int_equal(hits, 1);
    assert_true(room_counted(&w, METRIC_CACHE_CORRUPT) > 0);
    assert_int_equal(room_counted(&w, METRIC_REPLAY_GONE), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(miss_then_hit),
        T(head_is_served_from_get),
        T(copy_of_the_client_is_good),
        T(variants_stand_side_by_side),
        T(a_hit_is_one_question),
        T(other_names_are_not_stored),
        T(places_and_people_are_kept_apart),
        T(requests_that_pass_by),
        T(wishes_of_the_request),
        T(what_is_never_stored),
        T(chunks_that_are_whole),
        T(limits_are_asked_for_hits_too),
        T(limits_on_loan),
        T(loans_without_redis),
        T(redis_gone_is_a_miss),
        T(entry_of_another_place),
        T(corrupt_entry_is_a_miss),
        T(sealed),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
