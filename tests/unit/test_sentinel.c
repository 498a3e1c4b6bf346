// SPDX-License-Identifier: MIT
/* The adapter against real Redis servers and real Sentinels: who dies, comes back or is told to change roles,
 * and where the adapter is afterwards. Sentinels that lie: test_sentinel_choice.c. */
#include "adapters/redis.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/script.h"
#include "tests/support/loop.h"
#include "tests/support/sentinel_fixture.h"

enum { FAILOVER = 60 }; /* seconds: a Sentinel that was not scheduled does nothing for 30 s (TILT) */

static struct sentinel_fixture f;
static struct ev_loop *loop;
static struct config *config;
static struct metrics metrics;
static struct redis *redis;
static unsigned ready, lost, told;
static int64_t integer;

static void on_ready(void *arg, struct redis *link)
{
    (void)arg;
    (void)link;
    ready++;
}

static void on_lost(void *arg)
{
    (void)arg;
    lost++;
}

static void see(void *arg, const struct redis_reply *reply)
{
    (void)arg;
    told++;
    integer = reply->status == REDIS_INT ? reply->integer : -1;
}

static void incr_is(int64_t n)
{
    static const char out[] = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    unsigned before = told;
    assert_non_null(redis_submit(redis, out, sizeof out - 1, 0, see, NULL));
    loop_until(loop, told > before, 5);
    assert_int_equal(integer, n);
}

static void connect_to(const char *user, const char *password)
{
    static const struct redis_events events = {on_ready, on_lost};
    config->redis.sentinels.n = FIXTURE_SENTINELS;
    for (unsigned i = 0; i < FIXTURE_SENTINELS; i++)
        snprintf(config->redis.sentinels.item[i], sizeof config->redis.sentinels.item[i], "%s:%d",
                 i == 1 ? "localhost" : "127.0.0.1", f.sentinel_port[i]);
    strcpy(config->redis.sentinel_name, "once");
    strcpy(config->redis.sentinel_username, user);
    strcpy(config->redis.sentinel_password, password);
    ev_now_update(loop);
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    assert_non_null(redis);
}

static int begin_with(const char *conf)
{
    log_setup(LOG_TEXT, LOG_ERROR);
    signal(SIGPIPE, SIG_IGN);
    sentinel_fixture_start(&f, conf);
    loop = ev_loop_new(EVFLAG_AUTO);
    config = config_new();
    metrics = (struct metrics){0};
    ready = lost = told = 0;
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return begin_with("");
}

static int begin_with_password(void **state)
{
    (void)state;
    return begin_with("user default on >letmein ~* &* +@all\n"
                      "user watcher on >look -@all +auth +subscribe +unsubscribe "
                      "+sentinel|get-master-addr-by-name +sentinel|master &+switch-master\n"
                      "sentinel sentinel-pass letmein\n");
}

static int end(void **state)
{
    (void)state;
    if (redis)
        redis_free(redis);
    redis = NULL;
    config_drop(config);
    ev_loop_destroy(loop);
    sentinel_fixture_stop(&f);
    return 0;
}

static bool has_scripts(int port)
{
    redisContext *c = sentinel_fixture_connect(port);
    redisReply *r = redisCommand(c, "SCRIPT EXISTS %s", scripts[0].sha);
    bool there = r->element[0]->integer == 1;
    freeReplyObject(r);
    redisFree(c);
    return there;
}

/* Killed: the replica is the primary, what was written is there; the old one comes back and gets nothing. */
static void primary_dies(void **state)
{
    (void)state;
    connect_to("", "");
    loop_until(loop, ready == 1, 5);
    loop_until(loop, metrics.value[METRIC_SENTINELS_UP] == 3, 5);
    incr_is(1);
    loop_run(loop, 0.2); /* replicated */
    sentinel_fixture_kill(&f.redis[0]);
    double start = ev_time();
    loop_until(loop, lost == 1, 5);
    assert_false(redis_ready(redis));
    assert_null(redis_submit(redis, "*1\r\n$4\r\nPING\r\n", 14, 0, see, NULL));
    loop_until(loop, ready == 2, FAILOVER);
    print_message("served again %.2f s after the kill\n", ev_time() - start);
    assert_int_equal(redis_contact_us(redis) != 0, 1);
    assert_true(has_scripts(f.redis_port[1]));
    incr_is(2);
    assert_int_equal(metrics.value[METRIC_SENTINEL_SWITCHES], 1);

    sentinel_fixture_revive(&f, 0);
    loop_until(loop, strcmp(sentinel_fixture_ask(f.redis_port[0], "ROLE"), "slave") == 0, FAILOVER);
    loop_run(loop, 0.5);
    incr_is(3);
    assert_int_equal(ready, 2);
    assert_int_equal(lost, 1);
}

/* Nobody dies: the operator says SENTINEL FAILOVER. */
static void roles_change(void **state)
{
    (void)state;
    connect_to("", "");
    loop_until(loop, ready == 1, 5);
    incr_is(1);
    loop_run(loop, 0.2);
    assert_string_equal(sentinel_fixture_ask(f.sentinel_port[0], "SENTINEL FAILOVER once"), "OK");
    loop_until(loop, lost >= 1, FAILOVER);
    double start = ev_time();
    loop_until(loop, redis_ready(redis), FAILOVER);
    print_message("without Redis for %.0f ms\n", (ev_time() - start) * 1000);
    incr_is(2);
    assert_string_equal(sentinel_fixture_ask(f.redis_port[1], "ROLE"), "master");
    assert_true(has_scripts(f.redis_port[1]));
    loop_run(loop, 2);
    incr_is(3);
    assert_int_equal(metrics.value[METRIC_SENTINEL_SWITCHES], 1);
}

/* Hangs for ever: its connection stands, so only the Sentinels can say that it is over. */
static void primary_hangs(void **state)
{
    (void)state;
    connect_to("", "");
    loop_until(loop, ready == 1, 5);
    incr_is(1);
    loop_run(loop, 0.2);
    kill(f.redis[0], SIGSTOP);
    loop_until(loop, lost == 1, FAILOVER);
    loop_until(loop, redis_ready(redis), FAILOVER);
    incr_is(2);
    kill(f.redis[0], SIGCONT);
    loop_run(loop, 1);
    incr_is(3);
    assert_int_equal(metrics.value[METRIC_SENTINEL_SWITCHES], 1);
}

/* Without a single Sentinel: as before, also over a reconnect; and they are found again. */
static void sentinels_die(void **state)
{
    (void)state;
    connect_to("", "");
    loop_until(loop, ready == 1, 5);
    for (unsigned i = 0; i < FIXTURE_SENTINELS; i++)
        sentinel_fixture_kill(&f.sentinel[i]);
    loop_until(loop, metrics.value[METRIC_SENTINELS_UP] == 0, 5);
    loop_run(loop, 1.5);
    incr_is(1);
    assert_int_equal(lost, 0);
    redisContext *c = sentinel_fixture_connect(f.redis_port[0]);
    freeReplyObject(redisCommand(c, "CLIENT KILL TYPE normal"));
    redisFree(c);
    loop_until(loop, lost == 1, 5);
    loop_until(loop, ready == 2, 5);
    incr_is(2);
}

/* Two of three are gone before the agent starts, and the third is asleep at first. */
static void few_sentinels(void **state)
{
    (void)state;
    sentinel_fixture_kill(&f.sentinel[0]);
    sentinel_fixture_kill(&f.sentinel[1]);
    kill(f.sentinel[2], SIGSTOP);
    connect_to("", "");
    loop_run(loop, 1.5);
    assert_int_equal(ready, 0);
    kill(f.sentinel[2], SIGCONT);
    loop_until(loop, ready == 1, 5);
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 1);
    incr_is(1);
}

/* A user who may do the five things that are needed; and one with a wrong password. */
static void credentials(void **state)
{
    (void)state;
    connect_to("watcher", "wrong");
    loop_run(loop, 1);
    assert_int_equal(ready, 0);
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 0);
    strcpy(config->redis.sentinel_password, "look");
    redis_reconfigure(redis, &config->redis);
    loop_until(loop, ready == 1, 5);
    loop_until(loop, metrics.value[METRIC_SENTINELS_UP] == 3, 5);
    incr_is(1);
    loop_run(loop, 1.1); /* and asked a second time */
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 3);
}

/* From an address to Sentinels and back, without a restart. */
static void reload(void **state)
{
    static const struct redis_events events = {on_ready, on_lost};
    (void)state;
    snprintf(config->redis.address, sizeof config->redis.address, "127.0.0.1:%d", f.redis_port[0]);
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    loop_until(loop, ready == 1, 5);
    config->redis.sentinels.n = 1;
    snprintf(config->redis.sentinels.item[0], sizeof config->redis.sentinels.item[0], "127.0.0.1:%d",
             f.sentinel_port[0]);
    strcpy(config->redis.sentinel_name, "once");
    redis_reconfigure(redis, &config->redis);
    loop_until(loop, ready == 2, 5);
    redis_reconfigure(redis, &config->redis);
    assert_true(redis_ready(redis)); /* nothing has changed */
    config->redis.sentinels.n = 0;
    snprintf(config->redis.address, sizeof config->redis.address, "localhost:%d", f.redis_port[1]);
    redis_reconfigure(redis, &config->redis);
    loop_run(loop, 0.5);
    assert_false(redis_ready(redis)); /* a replica, and nobody else to ask */
    assert_true(metrics.value[METRIC_REDIS_NOT_PRIMARY] >= 1);
    snprintf(config->redis.address, sizeof config->redis.address, "localhost:%d", f.redis_port[0]);
    redis_reconfigure(redis, &config->redis);
    loop_until(loop, ready == 3, 5);
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(primary_dies),
        CASE(roles_change),
        CASE(primary_hangs),
        CASE(sentinels_die),
        CASE(few_sentinels),
        CASE(reload),
        cmocka_unit_test_setup_teardown(credentials, begin_with_password, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
