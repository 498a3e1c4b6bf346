// SPDX-License-Identifier: MIT
/* The operator's words for the cache, on a real Redis that agents have filled: what a purge reaches and what it leaves alone, what is
 * refused, and how an entry is explained (ACCEPTANCE C7). */
#include "tests/unit/cache_world.h"

#include "rooms/admin.h"

static struct admin *admin;
static struct raw operator_;
static struct raw_reply said;
static char path[64];

static int begin(void **state)
{
    setup(state);
    admin = admin_new(&w.gate, raw_listen_unix(path));
    assert_non_null(admin);
    raw_connect_unix(&operator_, w.gate.loop, path);
    return 0;
}

static int end(void **state)
{
    raw_close(&operator_);
    admin_free(admin);
    raw_unlisten(path);
    buf_free(&said.body);
    said.body = (struct buf){0};
    return teardown(state);
}

/* Wants a status, and that the answer holds a text. */
static void say(const char *line, unsigned status, const char *holds)
{
    char text[600];
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n\r\n", line);
    assert_true(raw_send_text(&operator_, text));
    assert_int_equal(raw_reply(&operator_, false, &said), 0);
    buf_u8(&said.body, 0);
    if (said.status != status || !strstr((const char *)said.body.data, holds))
        fail_msg("%s: %u %s", line, said.status, (const char *)said.body.data);
}

static void hit(struct question a)
{
    ask(a);
    expect("replay", "hit");
}

static void gone(struct question a)
{
    ask(a);
    expect_fill();
    fill_with((struct filled){.token = text_of("fill"), .status = 304});
}

static void test_by_url(void **state)
{
    (void)state;
    struct question red = {.query = "x=1&y=2", .headers = "accept: red\n"}, blue = red,
                    alice = {.policy = "mine", .user = "alice", .query = "page=2"};
    blue.headers = "accept: blue\n";
    fetch(red, "vary: accept\n", "red");
    fetch(blue, "vary: accept\n", "blue");
    fetch((struct question){0}, NULL, "plain");
    fetch(alice, NULL, "alice");
    say("POST /v1/cache?url=https%3A%2F%2FSHOP.example%3A443%2Fa%3Fy%3D2%26x%3D1", 200,
        "{\"by\":\"url\",\"policies\":[\"pages\",\"mine\",\"metered\",\"lenient\",\"lent-pages\"],\"at_"
        "us\":");
    gone(red);
    gone(blue);
    hit((struct question){0});
    say("POST /v1/cache?url=http://shop.example/a", 200, "at_us"); /* another scheme */
    say("POST /v1/cache?url=https://shop.example/a/", 200, "at_us");
    say("POST /v1/cache?url=https://shop.example/a&policy=metered", 200, "\"policies\":[\"metered\"]");
    hit((struct question){0});
    hit(alice);
    say("POST /v1/cache?url=https://shop.example/a", 200, "at_us");
    gone((struct question){0});
    hit(alice);
    say("POST /v1/cache?url=https%3A%2F%2Fshop.example%2Fa%3Futm%3D1%26page%3D2", 200, "at_us");
    gone(alice);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED_URL), 6);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED), 0);
}

static void test_by_tag(void **state)
{
    (void)state;
    struct question a = {.path = "/a"}, b = {.path = "/b"}, c = {.path = "/c"};
    fetch(a, "surrogate-key: item-5 list\n", "a");
    fetch(b, "surrogate-key: list\n", "b");
    fetch(c, "surrogate-key: item-50\n", "c");
    say("POST /v1/cache?tag=item-5", 200, "{\"by\":\"tag\",\"policies\":[\"pages\"],");
    gone(a);
    hit(b);
    say("POST /v1/cache?tag=list&policy=pages", 200, "at_us");
    gone(b);
    hit(c);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED_TAG), 2);
}

static void test_by_prefix(void **state)
{
    (void)state;
    struct question in = {.path = "/shop/1"}, beside = {.path = "/shopping"},
                    lenient = {.path = "/shop", .policy = "lenient"};
    fetch(in, NULL, "a");
    fetch(beside, NULL, "b");
    fetch(lenient, NULL, "c");
    say("POST /v1/cache?prefix=shop.example/shop&policy=pages", 200,
        "{\"by\":\"prefix\",\"policies\":[\"pages\"],");
    gone(in);
    hit(beside);
    hit(lenient);
    say("POST /v1/cache?prefix=shop.example/shop*", 200, "\"pages\",\"mine\",\"metered\",\"lenient\"");
    gone(beside);
    gone(lenient);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED_PREFIX), 2);
}

static void test_by_policy(void **state)
{
    (void)state;
    struct question a = {.path = "/a"}, other = {.policy = "lenient"};
    fetch(a, NULL, "a");
    fetch(other, NULL, "b");
    say("POST /v1/cache?policy=pages&all=1", 200, "{\"by\":\"policy\",\"policies\":[\"pages\"],");
    gone(a);
    hit(other);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED_POLICY), 1);
}

/* And nothing happens to what is cached. */
static void test_refused(void **state)
{
    (void)state;
    fetch((struct question){0}, "surrogate-key: t\n", "a");
    say("POST /v1/cache", 400, "say one of url, tag and prefix");
    say("POST /v1/cache?policy=pages", 400, "say one of url, tag and prefix");
    say("POST /v1/cache?all=1", 400, "say one of url, tag and prefix");
    say("POST /v1/cache?url=https://shop.example/a&tag=t", 400, "say one of url, tag and prefix");
    say("POST /v1/cache?url=https://shop.example/a&policy=pages&all=1", 400, "say one of url");
    say("POST /v1/cache?url=", 400, "'url' is empty");
    say("POST /v1/cache?tag=", 400, "'tag' is empty");
    say("POST /v1/cache?prefix=", 400, "'prefix' is empty");
    say("POST /v1/cache?tag=t&policy=", 400, "'policy' is empty");
    say("POST /v1/cache?tags=t", 400, "'tags' is not known here: there are policy, all, url, tag, prefix");
    say("POST /v1/cache?tag=t&policy=other", 400, "no such policy with a cache");
    say("POST /v1/cache?tag=t&policy=payments", 400, "no such policy with a cache");
    say("POST /v1/cache?tag=t&policy=mine", 400, "has cache.tags");
    say("POST /v1/cache?tag=a%20t", 400, "one at a time");
    say("POST /v1/cache?url=shop.example/a", 400, "a url is");
    say("POST /v1/cache?url=/a", 400, "a url is");
    say("POST /v1/cache?url=ftp://shop.example/a", 400, "a url is");
    say("POST /v1/cache?url=https://me@shop.example/a", 400, "a url is");
    say("POST /v1/cache?prefix=https://shop.example/", 400, "a prefix is");
    say("POST /v1/cache?prefix=/a", 400, "a prefix is");
    say("POST /v1/cache?prefix=shop.example/*/a", 400, "a prefix is");
    say("DELETE /v1/cache?tag=t", 405, "no-such-method");
    hit((struct question){0});
    for (unsigned m = METRIC_CACHE_PURGED_URL; m <= METRIC_CACHE_PURGED_POLICY; m++)
        assert_int_equal(room_counted(&w, (enum metric)m), 0);
}

static void test_redis_is_gone(void **state)
{
    (void)state;
    redis_fixture_kill(&w.redis);
    room_turn(&w, 0.05);
    say("POST /v1/cache?tag=t", 503, "redis-unavailable");
    say("GET /v1/cache?url=https://shop.example/a", 503, "redis-unavailable");
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
    say("POST /v1/cache?tag=t", 200, "at_us");
}

#define SHOW "GET /v1/cache?policy=pages&url=https://shop.example/a"

static void test_an_entry_explained(void **state)
{
    (void)state;
    say(SHOW, 200, "\"state\":\"none\",\"why\":\"nobody has fetched it");
    ask((struct question){0});
    expect_fill();
    say(SHOW, 200, "\"why\":\"a request is fetching it now\"");
    fill_with((struct filled){.token = text_of("fill"), .headers = "cache-control: no-store\n"});
    say(SHOW, 200, "\"why\":\"its last answer could not be stored");
    room_turn(&w, 0.01);
    redis_server_do(&w.redis.server, "FLUSHALL");
    fetch((struct question){.headers = "accept: red\n"}, "vary: accept\nsurrogate-key: a b\nage: 7\n", "red");
    say(SHOW, 200, "\"vary\":[\"accept\"],\"state\":\"none\",\"why\":\"nothing for these headers");
    say(SHOW "&header=accept:%20red", 200, "\"status\":200,\"age_s\":7,\"fresh_s\":23,");
    say(SHOW "&header=x:%201%0aAccept:red", 200, "\"state\":\"fresh\",\"why\":\"served\"");
    say(SHOW "&header=accept:%20blue", 200, "\"state\":\"none\"");
    say("POST /v1/cache?tag=b", 200, "at_us");
    say(SHOW "&header=accept:%20red", 200, "\"purged_by\":\"tag\"");
    say(SHOW "&header=accept:%20red", 200, "\"state\":\"purged\"");
}

/* Every policy is looked at where none is said; whose it is must be said where that matters. */
static void test_policies_explained(void **state)
{
    (void)state;
    struct question alice = {.policy = "mine", .user = "alice"};
    fetch((struct question){0}, "cache-control: max-age=0\n", "old");
    fetch(alice, NULL, "alice");
    say("GET /v1/cache?url=https://shop.example/a", 200, "{\"policy\":\"mine\",\"state\":\"unknown\"");
    say("GET /v1/cache?url=https://shop.example/a", 200, "{\"policy\":\"lenient\",");
    say("GET /v1/cache?policy=mine&principal=alice&url=https://shop.example/a", 200, "\"state\":\"fresh\"");
    say("GET /v1/cache?policy=mine&principal=bob&url=https://shop.example/a", 200, "\"state\":\"none\"");
    say("GET /v1/cache?policy=other&url=https://shop.example/a", 400, "no such policy with a cache");
    say("GET /v1/cache", 400, "say a url");
    say("GET /v1/cache?url=/a", 400, "say a url");
    say("GET /v1/cache?url=https://shop.example/a&tag=t", 400, "'tag' is not known here");
    say("GET /v1/cache?url=https://shop.example/a&header=accept", 400, "headers are lines");
    say("GET /v1/cache?url=https://shop.example/a&header=a%20b:c", 400, "headers are lines");
}

/* The client goes, or the agent ends, at any moment of a question: nothing is left. */
static void test_gone_meanwhile(void **state)
{
    static const char *const lines[] = {
        "GET /v1/cache?url=https://shop.example/a&header=accept:red&principal=alice", "POST /v1/cache?tag=t",
        "POST /v1/cache?policy=pages&all=1"};
    char text[200];
    (void)state;
    for (unsigned turns = 0; turns < 10; turns++) {
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n\r\n", lines[i]);
            assert_true(raw_send_text(&operator_, text));
            for (unsigned n = 0; n < turns; n++)
                ev_run(w.gate.loop, EVRUN_NOWAIT);
            raw_close(&operator_);
            if (turns % 2) {
                admin_free(admin);
                raw_unlisten(path);
                admin = admin_new(&w.gate, raw_listen_unix(path));
            }
            raw_connect_unix(&operator_, w.gate.loop, path);
            say("GET /v1/cache?url=https://shop.example/a", 200, "\"state\":\"none\"");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_by_url, begin, end),
        cmocka_unit_test_setup_teardown(test_by_tag, begin, end),
        cmocka_unit_test_setup_teardown(test_by_prefix, begin, end),
        cmocka_unit_test_setup_teardown(test_by_policy, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_redis_is_gone, begin, end),
        cmocka_unit_test_setup_teardown(test_an_entry_explained, begin, end),
        cmocka_unit_test_setup_teardown(test_policies_explained, begin, end),
        cmocka_unit_test_setup_teardown(test_gone_meanwhile, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
