// SPDX-License-Identifier: MIT
/* The link to Redis: greeting, refusals, loss and silence. Against a real redis-server, and where
 * Redis would have to misbehave against a peer that says one prepared thing. */
#include "adapters/redis.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "domain/script.h"
#include "tests/support/logged.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture f;

static struct seen {
    unsigned told;
    enum redis_status status;
    int64_t integer;
} seen;

static void see(void *arg, const struct redis_reply *reply)
{
    struct seen *s = arg;
    s->told++;
    s->status = reply->status;
    s->integer = reply->integer;
}

static bool was_told(void *arg)
{
    return ((struct seen *)arg)->told > 0;
}

static struct redis_call *incr(double deadline, struct seen *s)
{
    static const char out[] = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    *s = (struct seen){0};
    return redis_submit(f.redis, out, sizeof out - 1, deadline, see, s);
}

/* A peer that accepts, and says `words` as soon as it hears something. */
static struct peer {
    ev_io accept, read;
    const char *words;
    char address[100];
    unsigned connections;
} peer;

static void peer_heard(struct ev_loop *loop, ev_io *w, int revents)
{
    char bytes[65536];
    (void)revents;
    ssize_t n = read(w->fd, bytes, sizeof bytes);
    if (n <= 0) {
        ev_io_stop(loop, w);
        close(w->fd);
        return;
    }
    if (peer.words)
        assert_int_equal(write(w->fd, peer.words, strlen(peer.words)), strlen(peer.words));
    peer.words = NULL;
}

static void peer_called(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    int fd = accept(w->fd, NULL, NULL);
    if (fd < 0)
        return;
    peer.connections++;
    if (ev_is_active(&peer.read)) {
        close(peer.read.fd);
        ev_io_stop(loop, &peer.read);
    }
    ev_io_init(&peer.read, peer_heard, fd, EV_READ);
    ev_io_start(loop, &peer.read);
}

static void peer_start(const char *words)
{
    char err[200];
    peer = (struct peer){.words = words};
    snprintf(peer.address, sizeof peer.address, "unix@%s/peer", f.server.dir);
    int fd = listener_stream(peer.address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    ev_io_init(&peer.accept, peer_called, fd, EV_READ);
    ev_io_start(f.loop, &peer.accept);
    snprintf(f.config->redis.address, sizeof f.config->redis.address, "%s", peer.address);
}

static void peer_stop(void)
{
    ev_io_stop(f.loop, &peer.accept);
    close(peer.accept.fd);
    if (ev_is_active(&peer.read)) {
        ev_io_stop(f.loop, &peer.read);
        close(peer.read.fd);
    }
    listener_remove(peer.address);
}

static bool peer_called_twice(void *arg)
{
    (void)arg;
    return peer.connections >= 2;
}

static int begin(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(&f);
    return 0;
}

static int end(void **state)
{
    (void)state;
    redis_fixture_stop(&f);
    return 0;
}

static void ready(void **state)
{
    (void)state;
    redis_fixture_connect(&f);
    assert_false(redis_ready(f.redis));
    assert_null(incr(0, &seen));
    assert_int_equal(redis_clock_us(f.redis), 0);
    assert_int_equal(redis_contact_us(f.redis), 0);
    redis_fixture_until_ready(&f, 1);
    assert_true(redis_ready(f.redis));
    assert_int_equal(f.metrics.value[METRIC_REDIS_UP], 1);
    assert_int_equal(f.metrics.value[METRIC_REDIS_CONNECTS], 1);
    for (unsigned i = 0; i < SCRIPTS; i++) {
        redisReply *r = redisCommand(f.server.c, "SCRIPT EXISTS %s", scripts[i].sha);
        assert_int_equal(r->element[0]->integer, 1);
        freeReplyObject(r);
    }
    assert_non_null(incr(0, &seen));
    redis_fixture_until(&f, was_told, &seen);
}

/* Settings under which records get lost are told at each connect: the next server may have others. */
static void settings(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET maxmemory-policy allkeys-lru");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    redis_server_int(&f.server, "CLIENT KILL TYPE normal"); /* every connection but this one */
    redis_fixture_until_ready(&f, 2);
    logged_end();
    assert_int_equal(logged_count("is=allkeys-lru"), 2);
    assert_int_equal(logged_count("wanted=\"appendonly yes\" is=0"), 2);
}

/* Cached answers beside locks: where they can fill it that is told; a Redis of their own may evict, but no purge before its answers. */
static void settings_with_a_cache(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET maxmemory 100mb");
    f.config->redis.holds = REDIS_HOLDS_RECORDS | REDIS_BESIDE_ANSWERS;
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    logged_end();
    assert_int_equal(logged_count("wanted=\"a cache.redis of its own\" is=104857600"), 1);
    redis_server_do(&f.server, "CONFIG SET maxmemory-policy allkeys-lru");
    f.config->redis.holds = REDIS_HOLDS_ANSWERS;
    logged_begin();
    redis_reconfigure(f.redis, &f.config->redis);
    redis_server_int(&f.server, "CLIENT KILL TYPE normal");
    redis_fixture_until_ready(&f, 2);
    logged_end();
    assert_int_equal(logged_count("redis-setting"), 1);
    assert_int_equal(logged_count("wanted=\"maxmemory-policy volatile-ttl\" is=allkeys-lru"), 1);
    static const char *const good[] = {"volatile-ttl", "noeviction"};
    for (unsigned i = 0; i < 2; i++) {
        redis_server_do(&f.server, "CONFIG SET maxmemory-policy %s", good[i]);
        logged_begin();
        redis_server_int(&f.server, "CLIENT KILL TYPE normal");
        redis_fixture_until_ready(&f, 3 + i);
        logged_end();
        assert_int_equal(logged_count("redis-setting"), 0);
    }
}

/* Wrong, then right; the server's own text is logged, once, the password never. */
static void password(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET requirepass open-sesame");
    strcpy(f.config->redis.password, "hunter2");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_run(&f, 0.5);
    logged_end();
    assert_int_equal(f.ready, 0);
    assert_true(f.metrics.value[METRIC_REDIS_CONNECTS] >= 3); /* tried again, with pauses of at most 100 ms */
    assert_true(f.metrics.value[METRIC_REDIS_CONNECTS] <= 20);
    assert_int_equal(logged_count("WRONGPASS"), 1);
    assert_int_equal(logged_count("hunter2"), 0);
    strcpy(f.config->redis.password, "open-sesame");
    redis_reconfigure(f.redis, &f.config->redis);
    redis_fixture_until_ready(&f, 1);
    assert_int_equal(f.lost, 0);
}

static void password_missing(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET requirepass open-sesame");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_run(&f, 0.2);
    logged_end();
    assert_int_equal(f.ready, 0);
    assert_int_equal(logged_count("NOAUTH"), 1);
}

/* A user who may not look at the configuration hears of it all the same; one who may not even ask for INFO
 * hears that, and is served. */
static void user(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET maxmemory-policy volatile-ttl");
    redis_server_do(&f.server, "ACL SETUSER once on >secret ~* &* +@all -config -select");
    redis_server_do(&f.server, "ACL SETUSER blind on >secret ~* &* +@all -info");
    strcpy(f.config->redis.username, "once");
    strcpy(f.config->redis.password, "secret");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    strcpy(f.config->redis.username, "blind");
    redis_reconfigure(f.redis, &f.config->redis);
    redis_fixture_until_ready(&f, 2);
    logged_end();
    assert_int_equal(logged_count("is=volatile-ttl"), 1);
    assert_int_equal(logged_count("redis-setting-unknown"), 2);
    assert_int_equal(logged_count("NOPERM"), 2);
}

/* A replica is refused, whoever named it; a user who may not ask for the role is believed. */
static void replica(void **state)
{
    (void)state;
    redis_server_do(&f.server, "REPLICAOF 127.0.0.1 1");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_run(&f, 0.5);
    logged_end();
    assert_int_equal(f.ready, 0);
    assert_int_equal(logged_count("no primary but a replica"), 1);
    assert_true(f.metrics.value[METRIC_REDIS_NOT_PRIMARY] >= 2);
    redis_server_do(&f.server, "REPLICAOF NO ONE");
    redis_fixture_until_ready(&f, 1);
    redis_free(f.redis);
    redis_server_do(&f.server, "ACL SETUSER once on >secret ~* &* +@all -role");
    strcpy(f.config->redis.username, "once");
    strcpy(f.config->redis.password, "secret");
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 2);
}

/* A primary that is made a replica while we are connected is left at its first refusal: the name may lead elsewhere. */
static void demoted(void **state)
{
    (void)state;
    struct seen s;
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    redis_server_do(&f.server, "REPLICAOF 127.0.0.1 1");
    assert_non_null(incr(0, &s));
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_ERROR);
    redis_fixture_run(&f, 0.6);
    assert_false(redis_ready(f.redis));
    assert_true(f.metrics.value[METRIC_REDIS_NOT_PRIMARY] >= 1);
    redis_server_do(&f.server, "REPLICAOF NO ONE");
    redis_fixture_until_ready(&f, 2);
}

/* Redis (or what stands there) repeats what it was given. */
static void secret_in_error(void **state)
{
    (void)state;
    peer_start("-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n");
    strcpy(f.config->redis.password, "hunter2");
    logged_begin();
    redis_fixture_connect(&f);
    redis_fixture_until(&f, peer_called_twice, NULL);
    logged_end();
    assert_int_equal(logged_count("ERR unknown command"), 1);
    assert_int_equal(logged_count("hunter2"), 0);
    peer_stop();
}

/* What a greeting can be answered with: each is logged in words and tried again. */
static void strange_greetings(void **state)
{
    (void)state;
    static const struct {
        const char *words, *why;
    } cases[] = {
        {"-LOADING Redis is loading the dataset in memory\r\n+x\r\n-LOADING Redis is loading\r\n", "LOADING"   },
        {"-ERR max number of clients reached\r\n+x\r\n-ERR max number of clients reached\r\n",     "max number"},
        {"*1\r\n$6\r\nmaster\r\n+x\r\n+x\r\n$40\r\nffffffffffffffffffffffffffffffffffffffff\r\n",  "SHA-1"     },
        {"HTTP/1.1 400 Bad Request\r\n\r\n",                                                       "redis-down"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_start(cases[i].words);
        logged_begin();
        redis_fixture_connect(&f);
        redis_fixture_until(&f, peer_called_twice, NULL);
        logged_end();
        assert_true(logged_count(cases[i].why) >= 1);
        assert_int_equal(f.ready, 0);
        redis_free(f.redis);
        f.redis = NULL;
        peer_stop();
    }
}

/* Connects, but never answers. */
static void silent_greeting(void **state)
{
    (void)state;
    peer_start(NULL);
    redis_fixture_connect(&f);
    double start = ev_time();
    redis_fixture_until(&f, peer_called_twice, NULL);
    assert_true(ev_time() - start > 1.9);
    peer_stop();
}

static void nobody_there(void **state)
{
    (void)state;
    static const char *const addresses[] = {"unix@/nowhere/redis", "127.0.0.1:1", "[::1]:1"};
    for (unsigned i = 0; i < 3; i++) {
        strcpy(f.config->redis.address, addresses[i]);
        logged_begin();
        redis_fixture_connect(&f);
        redis_fixture_run(&f, 0.3);
        logged_end();
        assert_int_equal(logged_count("redis-down"), 1);
        assert_int_equal(logged_count(addresses[i]), 1);
        redis_free(f.redis);
        f.redis = NULL;
    }
}

/* Killed in the middle: LOST for all, once; nothing is taken while it is down; then all is as before. */
static void restart(void **state)
{
    (void)state;
    struct seen s[3];
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    kill(f.server.pid, SIGSTOP);
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(incr(i ? 5 : 0, &s[i]));
    redis_fixture_run(&f, 0.05);
    redis_fixture_kill(&f);
    redis_fixture_until(&f, was_told, &s[2]);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s[i].told, 1);
        assert_int_equal(s[i].status, REDIS_LOST);
    }
    assert_int_equal(f.metrics.value[METRIC_REDIS_LOST], 3);
    assert_int_equal(f.metrics.value[METRIC_REDIS_UP], 0);
    assert_int_equal(f.lost, 1);
    assert_false(redis_ready(f.redis));
    assert_int_equal(redis_contact_us(f.redis), 0);
    assert_null(incr(0, &seen));
    redis_fixture_run(&f, 0.3);
    redis_fixture_revive(&f);
    redis_fixture_until_ready(&f, 2);
    assert_non_null(incr(0, &seen));
    redis_fixture_until(&f, was_told, &seen);
    assert_int_equal(seen.integer, 1);
    assert_int_equal(f.lost, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(s[i].told, 1);
}

/* Hangs for longer than two seconds: the connection is given up, and made anew when Redis wakes. */
static void hangs(void **state)
{
    (void)state;
    struct seen s, late;
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    kill(f.server.pid, SIGSTOP);
    double start = ev_time();
    assert_non_null(incr(0, &s));
    assert_non_null(incr(0.1, &late));
    redis_fixture_until(&f, was_told, &late);
    assert_int_equal(late.status, REDIS_LATE);
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_LOST);
    assert_true(ev_time() - start > 1.9 && ev_time() - start < 4);
    assert_int_equal(f.lost, 1);
    kill(f.server.pid, SIGCONT);
    redis_fixture_until_ready(&f, 2);
    assert_int_equal(late.told, 1);
    assert_non_null(incr(0.5, &s));
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_INT);
}

/* Freed from the events. */
static void free_it(struct redis_fixture *g)
{
    redis_free(g->redis);
    g->redis = NULL;
}

static void free_inside_events(void **state)
{
    (void)state;
    struct seen s;
    f.on_ready = free_it;
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    assert_null(f.redis);
    f.on_ready = NULL;
    f.on_lost = free_it;
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 2);
    assert_non_null(incr(0, &s));
    redis_fixture_kill(&f);
    redis_fixture_until(&f, was_told, &s);
    redis_fixture_run(&f, 0.3);
    assert_null(f.redis);
    redis_fixture_revive(&f);
}

/* Away for longer than Redis is given: what has come is read before anything is missed. */
static void own_pause_is_no_silence(void **state)
{
    (void)state;
    struct seen s;
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    redis_fixture_run(&f, 0.05);
    assert_non_null(incr(1, &s));
    ev_run(f.loop, EVRUN_NOWAIT); /* written */
    usleep(2500000);
    redis_fixture_until(&f, was_told, &s);
    assert_int_equal(s.status, REDIS_INT);
    assert_int_equal(f.lost, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ready),
        CASE(settings),
        CASE(settings_with_a_cache),
        CASE(password),
        CASE(password_missing),
        CASE(user),
        CASE(replica),
        CASE(demoted),
        CASE(secret_in_error),
        CASE(strange_greetings),
        CASE(silent_greeting),
        CASE(nobody_there),
        CASE(restart),
        CASE(hangs),
        CASE(free_inside_events),
        CASE(own_pause_is_no_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
