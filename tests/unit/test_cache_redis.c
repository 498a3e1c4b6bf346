// SPDX-License-Identifier: MIT
/* Cached answers in a Redis of their own, its comings and goings, and what is remembered of URLs (cache.redis, cache.max_resources). */
#include "tests/unit/cache_world.h"

#include <signal.h>

static struct redis_server second;
static char more[256];

static bool up(void *arg)
{
    (void)arg;
    return redis_ready(cache_redis(w.gate.cache)) && cache_now_us(w.gate.cache) != 0;
}

static int setup_own(void **state)
{
    (void)state;
    redis_server_start(&second);
    snprintf(more, sizeof more,
             "cache = { deadline = \"150ms\"; max_resources = 16; redis = { address = \"unix@%s\"; reconnect "
             "= \"100ms\"; }; };\n",
             second.socket);
    setup_with(more);
    redis_fixture_until(&w.redis, up, NULL);
    return 0;
}

static int teardown_own(void **state)
{
    kill(second.pid, SIGCONT);
    assert_int_equal(redis_server_immortals(&second), 0);
    teardown(state);
    redis_server_stop(&second);
    return 0;
}

static void reconfigure(const char *text)
{
    struct config *c = room_config(&w, text);
    config_drop(w.redis.config);
    w.redis.config = w.gate.config = c;
    assert_true(cache_reconfigure(w.gate.cache, c));
}

static void test_answers_lie_there_and_limits_do_not(void **state)
{
    (void)state;
    fetch((struct question){.policy = "metered"}, NULL, "hello");
    ask((struct question){.policy = "metered"});
    expect("replay", "hit");
    assert_int_equal(redis_server_int(&second, "DBSIZE"), 2); /* with the URL's state */
    assert_int_equal(redis_server_int(&w.redis.server, "EXISTS once:mark"), 1);
    redisReply *r = redisCommand(w.redis.server.c, "KEYS once:*:e:*");
    assert_int_equal(r->elements, 0);
    freeReplyObject(r);
    expect_served("hello");
}

/* Served from memory, or from the cache's Redis. */
static void test_listener_fetches_it_there(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    ask((struct question){0});
    struct cacheid id;
    const char *text = text_of("replay");
    assert_int_equal(cacheid_read(text, strlen(text), &id), 0);
    replay_forget(w.gate.replay, &id.entry);
    expect_served("hello");
    assert_int_equal(room_counted(&w, METRIC_REPLAY_FETCHED), 1);
    char later[CACHEID_TEXT + 1], request[256];
    id.asked_us++;
    cacheid_write(&id, later); /* decided upon an entry that is newer than this one */
    snprintf(request, sizeof request, "GET /a HTTP/1.1\r\nHost: a\r\nOnce-Replay: %s\r\n\r\n", later);
    assert_true(raw_send_text(&client, request));
    assert_int_equal(raw_reply(&client, false, &reply), 0);
    assert_int_equal(reply.status, 503);
    redis_server_do(&second, "FLUSHALL");
    replay_forget(w.gate.replay, &id.entry);
    serve_as("GET", "");
    assert_int_equal(reply.status, 503);
}

static void test_waiting_there(void **state)
{
    (void)state;
    ask((struct question){0});
    char token[512];
    strcpy(token, text_of("fill"));
    ask_with(&p, (struct question){.wait = true, .stream = 11});
    room_turn(&w, 0.1);
    cache_show(w.gate.cache);
    assert_int_equal(room_counted(&w, METRIC_CACHE_PARKED), 1);
    assert_int_equal(room_counted(&w, METRIC_PARKED), 0);
    fill_with((struct filled){.token = token});
    peer_ack(&p, 11, &f);
    expect("replay", "collapsed");
}

static void test_one_hangs_the_other_does_not(void **state)
{
    (void)state;
    kill(second.pid, SIGSTOP);
    double began = monotonic_now();
    ask((struct question){.policy = "metered"});
    expect_pass("error");
    assert_true(monotonic_now() - began < 0.19); /* cache.deadline, not redis.deadline */
    for (unsigned i = 0; i < 5; i++)
        ask((struct question){.path = "/b"});
    cache_show(w.gate.cache);
    assert_int_equal(room_counted(&w, METRIC_CACHE_BREAKER_OPEN), 1);
    assert_int_equal(room_counted(&w, METRIC_BREAKER_OPEN), 0);
    uint64_t before = room_counted(&w, METRIC_CACHE_LOOKUPS);
    for (unsigned i = 0; i < 10; i++) {
        ask((struct question){.path = "/c"});
        expect_pass("error");
    }
    assert_true(room_counted(&w, METRIC_CACHE_LOOKUPS) < before + 6); /* now and then one tries */
    kill(second.pid, SIGCONT);
    for (unsigned i = 0; i < 40; i++) {
        room_turn(&w, 0.05);
        ask((struct question){.path = "/d"});
    }
    cache_show(w.gate.cache);
    assert_int_equal(room_counted(&w, METRIC_CACHE_BREAKER_OPEN), 0);
}

/* Whoever waits in the room that closes passes; what lies in the other Redis is another cache. */
static void test_reload_changes_the_redis(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "there");
    ask((struct question){.path = "/w"});
    expect_fill();
    ask_with(&p, (struct question){.path = "/w", .wait = true, .stream = 11});
    room_turn(&w, 0.1);
    reconfigure("");
    peer_ack(&p, 11, &f);
    assert_string_equal(text_of("verdict"), "pass");
    fetch((struct question){0}, NULL, "here");
    ask((struct question){0});
    expect_served("here");
    reconfigure(more);
    redis_fixture_until(&w.redis, up, NULL);
    ask((struct question){0});
    expect("replay", "hit");
    expect_served("there");
}

/* Values of the old list must not be taken for those of the new one. */
static void test_reload_changes_the_names(void **state)
{
    (void)state;
    ask((struct question){0});
    char token[512];
    strcpy(token, text_of("fill"));
    struct policy *policy = w.redis.config->policies;
    while (strcmp(policy->name, "pages") != 0)
        policy++;
    policy->cache.varies.n = 0;
    vary_add(&policy->cache.varies, slice_of("accept"));
    vary_add(&policy->cache.varies, slice_of("cookie"));
    fill_with((struct filled){.token = token});
    assert_int_equal(stored("pages", STORE_YES), 0);
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct cache *k = w.gate.cache;
    uint8_t url[CACHEKEY_DIGEST] = {0}, tags[2 * CACHETAGS_DIGEST] = {1};
    for (unsigned i = 0; i < 17; i++) {
        url[0] = (uint8_t)i;
        cache_remember(k, url, 1 + i % 2, tags, i % 3);
        url[0] = 0;
        cache_recall(k, url); /* used: it stays */
    }
    cache_show(k);
    assert_int_equal(room_counted(&w, METRIC_CACHE_RESOURCES), 16);
    assert_int_equal(room_counted(&w, METRIC_CACHE_FORGOTTEN), 1);
    assert_int_equal(cache_recall(k, url).mask, 1);
    url[0] = 1;
    assert_int_equal(cache_recall(k, url).mask, 0);
    url[0] = 2;
    struct cache_resource r = cache_recall(k, url);
    assert_int_equal(r.ntags, 2);
    uint8_t third[CACHETAGS_DIGEST] = {3};
    cache_remember(k, url, 1, third, 1);
    assert_int_equal(cache_recall(k, url).ntags, 3); /* those of all variants */
    cache_remember(k, url, 0, third, 0);
    url[0] = 5;
    cache_remember(k, url, 0, NULL, 0);
    assert_int_equal(cache_recall(k, url).ntags, 2); /* tags stay: they are only asked about */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup_own, teardown_own)
    const struct CMUnitTest tests[] = {
        T(answers_lie_there_and_limits_do_not),
        T(listener_fetches_it_there),
        T(waiting_there),
        T(one_hangs_the_other_does_not),
        T(reload_changes_the_redis),
        T(reload_changes_the_names),
        T(memory_is_bounded),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
