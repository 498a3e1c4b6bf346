// SPDX-License-Identifier: MIT
/* Misses that wait for the one that fetches, and stale answers meanwhile (ACCEPTANCE C9), through the rooms and a real redis-server. */
#include "tests/support/redis_relay.h"
#include "tests/unit/cache_world.h"

#include <sys/socket.h>

#include "rooms/notices.h"

static void expect_nothing(struct peer *peer)
{
    room_turn(&w, 0.05);
    assert_false(peer_has_frame(peer));
}

/* Those that wait ask on q with streams from 11 on; the fill's token is left in token. */
static char token[512];

static void fetch_begins(struct question a)
{
    ask(a);
    expect_fill();
    strcpy(token, text_of("fill"));
}

static void waits(uint64_t stream, struct question a)
{
    a.stream = stream;
    a.wait = true;
    ask_with(&q, a);
}

static void fill_on(struct filled a)
{
    struct spop_slice headers = hdrs(a.headers ? a.headers : "content-type: text/plain\n");
    peer_notify(&p, 5, "once-fill");
    peer_str(&p, "token", token);
    peer_int(&p, "status", a.status ? a.status : 200);
    peer_bin(&p, "headers", headers.ptr, headers.len);
    peer_bin(&p, "body", "hello", 5);
    peer_int(&p, "body_len", 5);
    peer_int(&p, "content_length", a.content_length ? a.content_length : 5);
    peer_end(&p);
    peer_send(&p);
    static struct peer_frame ack;
    peer_ack(&p, 5, &ack);
}

static void test_second_one_is_told_to_wait(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    ask((struct question){.stream = 2});
    expect("wait", "wait");
    ask((struct question){.stream = 3, .headers = "cache-control: no-cache\n"});
    expect_pass("miss"); /* it wants more than the answer that is coming */
}

static void test_all_that_wait_get_it(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    for (uint64_t i = 0; i < 20; i++)
        waits(11 + i, (struct question){0});
    room_until(&w, METRIC_PARKED, 20);
    expect_nothing(&q);
    fill_on((struct filled){0});
    for (uint64_t i = 0; i < 20; i++) {
        static bool told[20];
        assert_true(peer_take(&q, &f));
        assert_true(f.head.stream_id >= 11 && f.head.stream_id < 31 && !told[f.head.stream_id - 11]);
        told[f.head.stream_id - 11] = true;
        expect("replay", "collapsed");
    }
    expect_served("hello");
    expect_head("Cache-Status: once; fwd=miss; collapsed; ttl=");
    assert_int_equal(result("pages", CACHE_COLLAPSED), 20);
    assert_int_equal(room_counted(&w, METRIC_CACHE_LEASES), 1);
    assert_int_equal(room_counted(&w, METRIC_PARKED), 0);
    assert_true(room_counted(&w, METRIC_PARKED_CLAIMS) < 10); /* one speaks for all */
}

/* What the answer varies on is known only when it comes: the ones that want the same get it, another one fetches its own. */
static void test_those_that_wait_for_another_variant(void **state)
{
    (void)state;
    struct question gzip = {.headers = "accept-encoding: gzip\n"}, plain = {.headers = "accept: */*\n"};
    fetch_begins(gzip);
    waits(11, gzip);
    waits(12, plain);
    room_until(&w, METRIC_PARKED, 2);
    fill_on((struct filled){.headers = "vary: accept-encoding\n"});
    unsigned collapsed = 0, fetches = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        bool same = f.head.stream_id == 11;
        assert_string_equal(text_of("verdict"), same ? "replay" : "pass");
        collapsed += same;
        fetches += *text_of("fill") != 0;
    }
    assert_int_equal(collapsed, 1);
    assert_int_equal(fetches, 1);
}

static void test_not_storable_releases_them_at_once(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    double began = monotonic_now();
    fill_on((struct filled){.headers = "cache-control: private\n"});
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect_pass("bypass");
    }
    assert_true(monotonic_now() - began < 0.2);
    ask((struct question){0});
    expect_pass("bypass");
    room_turn(&w, 1.1); /* the mark is over */
    ask((struct question){0});
    expect_fill();
}

/* One request's own status, or Authorization, says nothing of the next one's: only those who wait for it go at once. */
static void not_storable_for(struct question a, int status)
{
    fetch_begins(a);
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    double began = monotonic_now();
    fill_on((struct filled){.status = status});
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect_pass("bypass");
    }
    assert_true(monotonic_now() - began < 0.2);
    fetch((struct question){0}, NULL, "hello");
    ask((struct question){0});
    expect("replay", "hit");
}

static void test_not_storable_for_one_is_no_matter_for_others(void **state)
{
    (void)state;
    not_storable_for((struct question){0}, 404);
    redis_server_do(&w.redis.server, "FLUSHALL");
    not_storable_for((struct question){0}, 401);
    redis_server_do(&w.redis.server, "FLUSHALL");
    not_storable_for((struct question){.headers = "authorization: Basic eDp5\n"}, 200);
}

static void test_dead_filler_is_succeeded(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    redis_server_do(
        &w.redis.server, "EVAL %s 0",
        "for _, k in ipairs(redis.call('KEYS', 'once:*:f:*')) do redis.call('PEXPIRE', k, 100) end");
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    assert_true(peer_take(&q, &f));
    expect_fill();
    expect_nothing(&q); /* the other one waits for this one */
    strcpy(token, text_of("fill"));
    fill_on((struct filled){0});
    assert_true(peer_take(&q, &f));
    expect("replay", "collapsed");
}

/* They came with the one that died: its lease ends, one of them fetches, the other one waits on. */
static void test_dead_filler_of_those_who_came_with_it(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    assert_true(peer_take(&q, &f));
    expect_fill();
    expect_nothing(&q);
    strcpy(token, text_of("fill"));
    fill_on((struct filled){0});
    assert_true(peer_take(&q, &f));
    expect("replay", "collapsed");
}

static void test_nobody_waits_longer_than_two_fills(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    redis_server_do(
        &w.redis.server, "EVAL %s 0",
        "for _, k in ipairs(redis.call('KEYS', 'once:*:f:*')) do redis.call('PEXPIRE', k, 9000) end");
    double began = monotonic_now();
    waits(11, (struct question){0});
    peer_ack(&q, 11, &f);
    expect_pass("miss");
    assert_true(monotonic_now() - began > 1.9 && monotonic_now() - began < 2.9);
}

/* More than wait.max_parked: they pass at once. */
static void test_more_than_may_wait(void **state)
{
    (void)state;
    teardown(NULL);
    setup_with("wait = { max_parked = 2; };\n");
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    waits(13, (struct question){0});
    peer_ack(&q, 13, &f);
    expect_pass("miss");
    assert_int_equal(room_counted(&w, METRIC_PARKED_FULL), 1);
    fill_on((struct filled){0});
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect("replay", "collapsed");
    }
}

static void test_failed_fill(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    room_until(&w, METRIC_PARKED, 1);
    fill_on((struct filled){.status = 503});
    peer_ack(&q, 11, &f);
    expect_pass("miss");
    ask((struct question){0});
    expect_pass("miss"); /* no queue behind a dead backend */
}

static void test_stale_while_one_fetches(void **state)
{
    (void)state;
    fetch((struct question){0}, NULL, "hello");
    make_older(40);
    fetch_begins((struct question){0});
    assert_string_equal(text_of("cache_status"), "once; fwd=stale");
    assert_string_not_equal(text_of("stale"), "");
    ask((struct question){0});
    expect("replay", "stale");
    expect_served("hello");
    expect_head("Cache-Status: once; hit; ttl=-1");
    expect_head("Age: 4");
    fill_on((struct filled){0});
    ask((struct question){0});
    expect("replay", "hit");
}

static void test_stale_if_the_backend_fails(void **state)
{
    (void)state;
    fetch((struct question){0}, "cache-control: max-age=30, stale-while-revalidate=0\n", "hello");
    make_older(40);
    fetch_begins((struct question){0});
    char stale[64];
    strcpy(stale, text_of("stale"));
    fill_on((struct filled){.status = 502});
    ask((struct question){0});
    expect("replay", "stale");
    char request[256];
    snprintf(request, sizeof request, "GET /a HTTP/1.1\r\nHost: a\r\nOnce-Replay: %s\r\n\r\n", stale);
    assert_true(raw_send_text(&client, request));
    assert_int_equal(raw_reply(&client, false, &reply), 0);
    assert_int_equal(reply.status, 200);
    expect_head("detail=\"stale-if-error\"");
    make_older(4000); /* beyond both windows */
    ask((struct question){0});
    expect_pass("miss");
}

/* It was stale enough when it was asked for, and is not when the backend has failed at last. */
static void test_backend_that_fails_late(void **state)
{
    (void)state;
    fetch((struct question){0}, "cache-control: max-age=30, stale-while-revalidate=0, stale-if-error=2\n",
          "hello");
    make_older(31);
    fetch_begins((struct question){0});
    char request[256];
    snprintf(request, sizeof request, "GET /a HTTP/1.1\r\nHost: a\r\nOnce-Replay: %s\r\n\r\n",
             text_of("stale"));
    for (unsigned late = 0; late < 2; late++) {
        assert_true(raw_send_text(&client, request));
        assert_int_equal(raw_reply(&client, false, &reply), 0);
        assert_int_equal(reply.status, late ? 503 : 200);
        room_turn(&w, 1.1);
    }
}

/* The notice socket, and HAProxy's end of it. */
static struct notices *notices;
static int haproxy;

static int setup_noticed(void **state)
{
    int pair[2];
    setup(state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    haproxy = pair[0];
    notices = notices_new(&w.gate, pair[1]);
    return notices ? 0 : -1;
}

static int teardown_noticed(void **state)
{
    notices_free(notices);
    close(haproxy);
    return teardown(state);
}

static void notice(const char *rest)
{
    char line[640];
    int n = snprintf(line, sizeof line, "once/1 %.*s %s 1.2.host", CACHEFETCH_TEXT, token, rest);
    assert_int_equal(send(haproxy, line, (size_t)n, 0), n);
}

static void test_failure_that_is_noticed(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    double began = monotonic_now();
    notice("SH 3 502");
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect_pass("miss");
    }
    assert_true(monotonic_now() - began < 0.2); /* not at the next look */
    ask((struct question){0});
    expect_pass("miss");
    assert_int_equal(room_counted(&w, METRIC_CACHE_FETCHES_NOTICED), 1);
    assert_int_equal(room_counted(&w, METRIC_NOTICES), 1);
}

static void test_failure_that_is_noticed_gives_what_is_stale(void **state)
{
    (void)state;
    static const char head[] = "cache-control: max-age=30, stale-while-revalidate=0\n";
    fetch((struct question){0}, head, "hello");
    make_older(40);
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    room_until(&w, METRIC_PARKED, 1);
    double began = monotonic_now();
    notice("SD 3 200");
    peer_ack(&q, 11, &f);
    expect("replay", "stale");
    assert_true(monotonic_now() - began < 0.2);
}

/* It is not the backend's fault: one of those who wait fetches. */
static void test_fetch_that_was_only_cut_off(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    double began = monotonic_now();
    notice("CD 3 200");
    assert_true(peer_take(&q, &f));
    expect_fill();
    assert_true(monotonic_now() - began < 0.2);
    expect_nothing(&q);
    notice("CD 3 200"); /* of the first one: it ends no other's lease */
    expect_nothing(&q);
    ask((struct question){0});
    expect("wait", "wait");
}

static void test_connection_that_ends_while_it_waits(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    room_until(&w, METRIC_PARKED, 1);
    peer_close(&q);
    room_until(&w, METRIC_PARKED, 0);
    room_dial(&w, &q);
    fill_on((struct filled){0});
}

static void test_drain_lets_them_pass(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    room_until(&w, METRIC_PARKED, 1);
    parking_drain(w.gate.parking);
    cache_drain(w.gate.cache);
    peer_ack(&q, 11, &f);
    expect_pass("miss");
}

/* One question that Redis answers late is no reason for all of them to ask the backend. */
static void test_late_lookup_lets_nobody_go(void **state)
{
    (void)state;
    teardown(NULL);
    setup_with("cache = { deadline = \"50ms\"; };\n");
    fetch_begins((struct question){0});
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    uint64_t before = room_counted(&w, METRIC_PARKED_CLAIMS);
    redis_server_do(&w.redis.server, "CLIENT PAUSE 400 ALL");
    room_turn(&w, 0.45);
    assert_true(room_counted(&w, METRIC_PARKED_CLAIMS) > before);
    assert_int_equal(room_counted(&w, METRIC_PARKED), 2);
    fill_on((struct filled){0});
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect("replay", "collapsed");
    }
}

/* They go on as long as what they have seen may last. */
static void test_redis_goes_while_they_wait(void **state)
{
    (void)state;
    fetch_begins((struct question){0});
    double began = monotonic_now();
    waits(11, (struct question){0});
    waits(12, (struct question){0});
    room_until(&w, METRIC_PARKED, 2);
    redis_fixture_kill(&w.redis);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_take(&q, &f));
        expect_pass("error");
    }
    assert_true(monotonic_now() - began > 0.9 && monotonic_now() - began < 2);
    redis_fixture_revive(&w.redis);
    redis_fixture_until_ready(&w.redis, 2);
}

/* Another agent has stored it between the lookup and the lease. */
static void test_filled_while_the_lease_was_asked_for(void **state)
{
    (void)state;
    relay_start(&w);
    fetch((struct question){0}, NULL, "hello");
    char key[64];
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:e:*");
    assert_int_equal(keys->elements, 1);
    snprintf(key, sizeof key, "%s", keys->element[0]->str);
    freeReplyObject(keys);
    redis_server_do(&w.redis.server, "RENAME %s aside", key);
    relay_hold(true);
    ask_with(&p, (struct question){0});
    room_turn(&w, 0.05); /* Redis has said that there is nothing; nobody has heard it */
    redis_server_do(&w.redis.server, "RENAME aside %s", key);
    relay_hold(false);
    peer_ack(&p, 1, &f);
    expect("replay", "collapsed");
    room_turn(&w, 0.05);
    redisReply *r = redisCommand(w.redis.server.c, "KEYS once:*:f:*");
    assert_int_equal(r->elements, 0); /* the lease was given back */
    freeReplyObject(r);
    relay_stop();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define N(name) cmocka_unit_test_setup_teardown(test_##name, setup_noticed, teardown_noticed)
    const struct CMUnitTest tests[] = {
        T(second_one_is_told_to_wait),
        T(all_that_wait_get_it),
        T(those_that_wait_for_another_variant),
        T(not_storable_releases_them_at_once),
        T(not_storable_for_one_is_no_matter_for_others),
        T(dead_filler_is_succeeded),
        T(dead_filler_of_those_who_came_with_it),
        T(nobody_waits_longer_than_two_fills),
        T(more_than_may_wait),
        T(failed_fill),
        T(stale_while_one_fetches),
        T(stale_if_the_backend_fails),
        T(backend_that_fails_late),
        N(failure_that_is_noticed),
        N(failure_that_is_noticed_gives_what_is_stale),
        N(fetch_that_was_only_cut_off),
        T(connection_that_ends_while_it_waits),
        T(drain_lets_them_pass),
        T(late_lookup_lets_nobody_go),
        T(redis_goes_while_they_wait),
        T(filled_while_the_lease_was_asked_for),
    };
#undef N
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
