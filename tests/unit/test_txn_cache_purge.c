// SPDX-License-Identifier: MIT
/* What makes cached answers count no more: unsafe methods, and purges of a URL, a tag, a prefix, a policy (ACCEPTANCE C7). */
#include "tests/unit/cache_world.h"

#include "domain/policy.h"

static void unsafe(const char *path, int status, const char *location)
{
    peer_notify(&q, 7, "once-unsafe");
    peer_str(&q, "scheme", "https");
    peer_str(&q, "host", "shop.example");
    peer_str(&q, "path", path);
    peer_int(&q, "status", status);
    if (location)
        peer_str(&q, "location", location);
    peer_end(&q);
    peer_send(&q);
    static struct peer_frame ack;
    peer_ack(&q, 7, &ack);
}

static void expect_hit(const char *path)
{
    ask((struct question){.path = path});
    expect("replay", "hit");
}

/* And its lease is given back, so that the next one fetches too. */
static void expect_gone(const char *path)
{
    ask((struct question){.path = path});
    expect_fill();
    fill_with((struct filled){.token = text_of("fill"), .status = 304});
}

static void send_purge(struct buf *resp)
{
    freeReplyObject(redis_server_send(&w.redis.server, resp->data, resp->len, 1));
    buf_free(resp);
}

static void test_unsafe_method_that_succeeds(void **state)
{
    (void)state;
    fetch((struct question){.path = "/a"}, NULL, "a");
    fetch((struct question){.path = "/b"}, NULL, "b");
    fetch((struct question){.path = "/c"}, NULL, "c");
    unsafe("/a", 500, NULL);
    unsafe("/a", 404, NULL);
    expect_hit("/a");
    unsafe("/a", 201, "/b");
    expect_gone("/a");
    expect_gone("/b");
    expect_hit("/c");
    fetch((struct question){.host = "other.example"}, NULL, "other");
    unsafe("/x", 303, "https://other.example/a");
    ask((struct question){.host = "other.example"});
    expect("replay", "hit");
    unsafe("/x", 303, "https://shop.example/c");
    expect_gone("/c");
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED), 3);
}

/* Forwarded before the purge, answered behind it: the backend may have said what was true before. */
static void test_answer_that_was_on_its_way(void **state)
{
    (void)state;
    ask((struct question){0});
    expect_fill();
    char token[512];
    strcpy(token, text_of("fill"));
    unsafe("/a", 200, NULL);
    fill_with((struct filled){.token = token});
    expect_gone("/a");
    fetch((struct question){0}, NULL, "new");
    expect_hit("/a");
}

static void test_tag(void **state)
{
    (void)state;
    fetch((struct question){.path = "/1"}, "surrogate-key: item-1 list\n", "1");
    fetch((struct question){.path = "/2"}, "surrogate-key: item-2 list\n", "2");
    fetch((struct question){.path = "/3"}, "surrogate-key: item-3\n", "3");
    expect_hit("/1");
    uint64_t before = room_counted(&w, METRIC_CACHE_LOOKUPS);
    expect_hit("/1"); /* its tags are remembered: one question */
    assert_int_equal(room_counted(&w, METRIC_CACHE_LOOKUPS), before + 1);
    uint8_t digest[1][CACHETAGS_DIGEST];
    struct buf resp = {0};
    cachetags_digest(policy_hash("pages"), slice_of("list"), digest[0]);
    cachescript_purge_tags(&resp, (const uint8_t(*)[CACHETAGS_DIGEST])digest, 1, 86400000);
    send_purge(&resp);
    expect_gone("/1");
    expect_gone("/2");
    expect_hit("/3");
}

static void test_prefix_and_policy(void **state)
{
    (void)state;
    fetch((struct question){.path = "/shop/a"}, NULL, "1");
    fetch((struct question){.path = "/shopping"}, NULL, "2");
    fetch((struct question){.policy = "lenient"}, NULL, "3");
    struct buf resp = {0};
    cachescript_purge_policies(&resp, &(uint32_t){policy_hash("pages")}, 1, slice_of("shop.example/shop"),
                               86400000);
    send_purge(&resp);
    expect_gone("/shop/a");
    expect_hit("/shopping");
    fetch((struct question){.path = "/shop/a"}, NULL, "1");
    expect_hit("/shop/a");
    for (unsigned i = 0; i < CACHE_PREFIXES; i++) { /* the last one finds no room: the policy as a whole */
        char prefix[64];
        snprintf(prefix, sizeof prefix, "shop.example/other%u", i);
        if (i + 1 == CACHE_PREFIXES)
            expect_hit("/shopping");
        cachescript_purge_policies(&resp, &(uint32_t){policy_hash("pages")}, 1, slice_of(prefix), 86400000);
        send_purge(&resp);
    }
    expect_gone("/shopping");
    ask((struct question){.policy = "lenient"});
    expect("replay", "hit");
    cachescript_purge_policies(&resp, &(uint32_t){policy_hash("lenient")}, 1, (struct spop_slice){0},
                               86400000);
    send_purge(&resp);
    ask((struct question){.policy = "lenient"});
    expect_fill();
}

/* What is of a time to come counts no more: Redis' clock has stepped back, and no purge would reach it. */
static void test_beyond_all_purges(void **state)
{
    (void)state;
    fetch((struct question){0}, "cache-control: max-age=604800\n", "hello");
    make_older(-5);
    expect_hit("/a");
    make_older(-60);
    expect_gone("/a");
}

static long long ttl_of(const char *pattern)
{
    return redis_server_int(&w.redis.server, "EVAL %s 0 %s",
                            "return redis.call('PTTL', redis.call('KEYS', ARGV[1])[1])", pattern);
}

/* Also one that is stored long behind it; and what ends first is what a Redis in want of memory gives up first. */
static void test_purge_outlives_entries(void **state)
{
    (void)state;
    fetch((struct question){0}, "cache-control: max-age=31536000\n", "hello");
    unsafe("/a", 200, NULL);
    long long life = ttl_of("once:*:e:*"), purge = ttl_of("once:*:u:*");
    assert_true(life > 43000000 && life <= 43200000);
    assert_true(purge >= life && purge <= 43200000);
}

/* Thousands of POSTs a second to URLs that nobody GETs. */
static void test_unsafe_method_leaves_nothing(void **state)
{
    (void)state;
    unsafe("/new/1", 201, "/new/2");
    assert_int_equal(
        redis_server_int(&w.redis.server, "EVAL %s 0", "return #redis.call('KEYS', 'once:*:u:*')"), 0);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGED), 1);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGE_FAILED), 0);
}

/* Redis has given up what it kept of the URL, and keeps the answer: a purge in between has left no trace. */
static void test_url_that_is_forgotten(void **state)
{
    (void)state;
    static const char forget[] =
        "for _, k in ipairs(redis.call('KEYS', 'once:*:u:*')) do redis.call('DEL', k) end";
    fetch((struct question){0}, NULL, "old");
    expect_hit("/a");
    redis_server_do(&w.redis.server, "EVAL %s 0", forget);
    unsafe("/a", 200, NULL);
    ask((struct question){0});
    expect_fill();
    char token[512];
    strcpy(token, text_of("fill"));
    redis_server_do(&w.redis.server, "EVAL %s 0", forget);
    unsafe("/a", 200, NULL);
    fill_with((struct filled){.token = token});
    expect_gone("/a");
    fetch((struct question){0}, NULL, "new");
    expect_hit("/a");
    expect_served("new");
}

/* A purge keeps what is known of the URL's Vary, and a new answer keeps the purge. */
static void test_names_and_purges_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct question gzip = {.headers = "accept-encoding: gzip\n"}, plain = {.headers = "accept: */*\n"};
    fetch(gzip, "vary: accept-encoding\n", "zipped");
    fetch(plain, "vary: accept-encoding\n", "plain");
    unsafe("/a", 200, NULL);
    fetch(gzip, "vary: accept-encoding\n", "new");
    ask(plain);
    expect_fill();
    ask(gzip);
    expect("replay", "hit");
    expect_served("new");
}

static void serve_again(const char *id, int status)
{
    char request[256];
    snprintf(request, sizeof request, "GET /a HTTP/1.1\r\nHost: a\r\nOnce-Replay: %s\r\n\r\n", id);
    assert_true(raw_send_text(&client, request));
    assert_int_equal(raw_reply(&client, false, &reply), 0);
    assert_int_equal(reply.status, status);
}

static void purge_tag(struct buf *resp)
{
    uint8_t digest[1][CACHETAGS_DIGEST];
    cachetags_digest(policy_hash("pages"), slice_of("list"), digest[0]);
    cachescript_purge_tags(resp, (const uint8_t(*)[CACHETAGS_DIGEST])digest, 1, 86400000);
}

static void purge_policy(struct buf *resp)
{
    cachescript_purge_policies(resp, &(uint32_t){policy_hash("pages")}, 1, (struct spop_slice){0}, 86400000);
}

static void purge_prefix(struct buf *resp)
{
    cachescript_purge_policies(resp, &(uint32_t){policy_hash("pages")}, 1, slice_of("shop.example/"),
                               86400000);
}

/* A request was told what to fall back on; then that was purged, and then its backend failed. kept: the agent has it in memory. */
static void expect_no_fallback(void (*purge)(struct buf *resp), bool kept)
{
    struct buf resp = {0};
    struct cacheid id;
    char stale[64];
    redis_server_do(&w.redis.server, "FLUSHALL");
    fetch((struct question){0}, "surrogate-key: list\ncache-control: max-age=30, stale-while-revalidate=0\n",
          "old");
    make_older(40);
    ask((struct question){0});
    expect_fill();
    strcpy(stale, text_of("stale"));
    assert_int_equal(cacheid_read(stale, strlen(stale), &id), 0);
    serve_again(stale, 200);
    if (!kept)
        replay_forget(w.gate.replay, &id.entry);
    serve_again(stale, 200);
    if (purge) {
        purge(&resp);
        send_purge(&resp);
    } else {
        unsafe("/a", 200, NULL);
    }
    if (!kept)
        replay_forget(w.gate.replay, &id.entry);
    serve_again(stale, 503);
}

static void test_purged_while_the_backend_was_asked(void **state)
{
    (void)state;
    static void (*const purges[])(struct buf * resp) = {NULL, purge_tag, purge_policy, purge_prefix};
    for (unsigned i = 0; i < sizeof purges / sizeof *purges; i++)
        for (unsigned kept = 0; kept < 2; kept++)
            expect_no_fallback(purges[i], kept);
}

/* Whether it was purged cannot be asked. */
static void test_no_fallback_without_redis(void **state)
{
    (void)state;
    char stale[64];
    fetch((struct question){0}, "cache-control: max-age=30, stale-while-revalidate=0\n", "old");
    make_older(40);
    ask((struct question){0});
    strcpy(stale, text_of("stale"));
    redis_fixture_kill(&w.redis);
    room_turn(&w, 0.05);
    serve_again(stale, 503);
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
}

static void test_redis_gone(void **state)
{
    (void)state;
    redis_fixture_kill(&w.redis);
    room_turn(&w, 0.05);
    unsafe("/a", 200, NULL);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PURGE_FAILED), 1);
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(unsafe_method_that_succeeds),
        T(answer_that_was_on_its_way),
        T(tag),
        T(prefix_and_policy),
        T(beyond_all_purges),
        T(purge_outlives_entries),
        T(unsafe_method_leaves_nothing),
        T(url_that_is_forgotten),
        T(names_and_purges_do_not_disturb_each_other),
        T(purged_while_the_backend_was_asked),
        T(no_fallback_without_redis),
        T(redis_gone),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
