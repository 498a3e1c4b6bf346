// SPDX-License-Identifier: MIT
/* Which answer counts when Sentinels differ, lie, know nothing or talk nonsense. Three peers in this loop say
 * what real ones would not: everything that real ones say is in test_sentinel.c. */
#include "adapters/sentinel.h"

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
#include "tests/support/loop.h"

enum { PEERS = 3 };

static struct ev_loop *loop;
static struct metrics metrics;
static struct config *config;
static struct sentinel *sentinel;
static char dir[64];
static char primary[256];
static unsigned named;

static struct peer {
    ev_io accept, read;
    char address[100], words[1024];
    unsigned asked, called;
} peers[PEERS];

static void peer_heard(struct ev_loop *l, ev_io *w, int revents)
{
    struct peer *p = w->data;
    char bytes[4096];
    (void)revents;
    ssize_t n = read(w->fd, bytes, sizeof bytes);
    if (n <= 0) {
        ev_io_stop(l, w);
        close(w->fd);
        return;
    }
    p->asked++;
    send(w->fd, p->words, strlen(p->words), MSG_NOSIGNAL);
}

static void peer_called(struct ev_loop *l, ev_io *w, int revents)
{
    struct peer *p = w->data;
    (void)revents;
    int fd = accept(w->fd, NULL, NULL);
    assert_true(fd >= 0);
    p->called++;
    if (ev_is_active(&p->read)) {
        ev_io_stop(l, &p->read);
        close(p->read.fd);
    }
    ev_io_init(&p->read, peer_heard, fd, EV_READ);
    p->read.data = p;
    ev_io_start(l, &p->read);
}

#define UNSUBSCRIBED "*3\r\n$11\r\nunsubscribe\r\n$14\r\n+switch-master\r\n:0\r\n"
#define SUBSCRIBED   "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"

static void says(unsigned i, const char *host, unsigned port, uint64_t epoch)
{
    char number[24], digits[24];
    snprintf(number, sizeof number, "%u", port);
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)epoch);
    snprintf(peers[i].words, sizeof peers[i].words,
             UNSUBSCRIBED
             "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n"
             "*4\r\n$4\r\nname\r\n$4\r\nonce\r\n$12\r\nconfig-epoch\r\n$%zu\r\n%s\r\n" SUBSCRIBED,
             strlen(host), host, strlen(number), number, strlen(digits), digits);
}

static void says_nil(unsigned i)
{
    strcpy(peers[i].words, UNSUBSCRIBED "*-1\r\n-ERR No such master with that name\r\n" SUBSCRIBED);
}

static void tells(unsigned i, const char *message)
{
    char words[300];
    snprintf(words, sizeof words, "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
             strlen(message), message);
    send(peers[i].read.fd, words, strlen(words), MSG_NOSIGNAL);
}

static void on_primary(void *arg, const char *address)
{
    (void)arg;
    named++;
    snprintf(primary, sizeof primary, "%s", address);
}

static int begin(void **state)
{
    char err[200];
    (void)state;
    log_setup(LOG_TEXT, LOG_ERROR);
    signal(SIGPIPE, SIG_IGN);
    loop = ev_loop_new(EVFLAG_AUTO);
    config = config_new();
    metrics = (struct metrics){0};
    named = 0;
    primary[0] = '\0';
    strcpy(dir, "/tmp/sentinels-XXXXXX");
    assert_non_null(mkdtemp(dir));
    strcpy(config->redis.sentinel_name, "once");
    config->redis.sentinels.n = PEERS;
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = (struct peer){0};
        snprintf(peers[i].address, sizeof peers[i].address, "unix@%s/s%u", dir, i);
        strcpy(config->redis.sentinels.item[i], peers[i].address);
        int fd = listener_stream(peers[i].address, 0600, err, sizeof err);
        assert_true(fd >= 0);
        ev_io_init(&peers[i].accept, peer_called, fd, EV_READ);
        peers[i].accept.data = &peers[i];
        ev_io_start(loop, &peers[i].accept);
        says(i, "10.0.0.1", 6379, 5);
    }
    return 0;
}

static void peer_dies(unsigned i)
{
    if (ev_is_active(&peers[i].accept)) {
        ev_io_stop(loop, &peers[i].accept);
        close(peers[i].accept.fd);
        listener_remove(peers[i].address);
    }
    if (ev_is_active(&peers[i].read)) {
        ev_io_stop(loop, &peers[i].read);
        close(peers[i].read.fd);
    }
}

static int end(void **state)
{
    (void)state;
    sentinel_free(sentinel);
    sentinel = NULL;
    for (unsigned i = 0; i < PEERS; i++)
        peer_dies(i);
    rmdir(dir);
    config_drop(config);
    ev_loop_destroy(loop);
    return 0;
}

static void start(void)
{
    sentinel = sentinel_new(loop, &config->redis, on_primary, NULL, &metrics);
    assert_non_null(sentinel);
}

static void primary_is(const char *address)
{
    loop_until(loop, strcmp(primary, address) == 0, 5);
}

static void stays(const char *address)
{
    loop_run(loop, 1.3); /* more than a round of questions */
    assert_string_equal(primary, address);
}

/* The newest epoch counts, whoever says it and whenever; and only once for each change. */
static void newest(void **state)
{
    (void)state;
    says(1, "10.0.0.2", 6379, 6);
    start();
    primary_is("10.0.0.2:6379");
    sentinel_trust(sentinel);
    stays("10.0.0.2:6379");
    says(2, "::3", 7000, 7);
    tells(2, "once 10.0.0.1 6379 ::3 7000");
    primary_is("[::3]:7000");
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 3);
}

/* A message makes it ask at once; one about another Redis does not. */
static void message(void **state)
{
    (void)state;
    start();
    primary_is("10.0.0.1:6379");
    sentinel_trust(sentinel);
    loop_run(loop, 0.3);
    unsigned asked = peers[0].asked;
    tells(0, "once2 10.0.0.1 6379 10.0.0.2 6379");
    tells(0, "once");
    loop_run(loop, 0.1);
    assert_int_equal(peers[0].asked, asked);
    says(0, "10.0.0.2", 6379, 6);
    tells(0, "once 10.0.0.1 6379 10.0.0.2 6379");
    double before = ev_time();
    primary_is("10.0.0.2:6379");
    assert_true(ev_time() - before < 0.5);
}

/* One that was cut off with the old primary leads nobody back to it, even if nobody else is left. */
static void stale(void **state)
{
    (void)state;
    start();
    primary_is("10.0.0.1:6379");
    for (unsigned i = 0; i < 2; i++)
        says(i, "10.0.0.2", 6379, 6);
    primary_is("10.0.0.2:6379");
    sentinel_trust(sentinel);
    peer_dies(0);
    peer_dies(1);
    stays("10.0.0.2:6379");
    sentinel_doubt(sentinel, "10.0.0.2:6379");
    stays("10.0.0.2:6379");
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 1);
}

/* More than half say an older epoch: they were made anew. */
static void reset(void **state)
{
    (void)state;
    start();
    primary_is("10.0.0.1:6379");
    sentinel_trust(sentinel);
    says(0, "10.0.0.9", 6379, 0);
    stays("10.0.0.1:6379");
    says(1, "10.0.0.9", 6379, 0);
    stays("10.0.0.1:6379"); /* while one still knows the higher epoch */
    says(2, "10.0.0.9", 6379, 0);
    primary_is("10.0.0.9:6379");
    sentinel_trust(sentinel);
    for (unsigned i = 0; i < PEERS; i++)
        says(i, "10.0.0.1", 6379, 1); /* the first failover afterwards counts again */
    primary_is("10.0.0.1:6379");
}

/* It names a place where no primary is, with an epoch above all: tried once, then the others are believed. */
static void liar(void **state)
{
    (void)state;
    says(0, "10.6.6.6", 6379, 4000000000u);
    start();
    primary_is("10.6.6.6:6379");
    sentinel_doubt(sentinel, "10.6.6.6:6379");
    primary_is("10.0.0.1:6379");
    sentinel_trust(sentinel);
    stays("10.0.0.1:6379");
    says(1, "10.0.0.2", 6379, 6);
    says(2, "10.0.0.2", 6379, 6);
    sentinel_doubt(sentinel, "10.0.0.1:6379"); /* nothing else is left: the lie is tried once more */
    primary_is("10.6.6.6:6379");
    sentinel_doubt(sentinel, "10.6.6.6:6379");
    primary_is("10.0.0.2:6379");
}

/* All doubted: from the beginning again. */
static void only_one_choice(void **state)
{
    (void)state;
    start();
    primary_is("10.0.0.1:6379");
    for (unsigned i = 0; i < 3; i++) {
        sentinel_doubt(sentinel, "10.0.0.1:6379");
        loop_run(loop, 0.05);
    }
    assert_string_equal(primary, "10.0.0.1:6379");
    assert_int_equal(named, 1);
    unsigned asked = peers[0].asked;
    loop_run(loop, 1.05);
    assert_true(peers[0].asked - asked >= 5); /* ten times a second while the primary is missing, */
    sentinel_trust(sentinel);
    loop_run(loop, 0.2);
    asked = peers[0].asked;
    loop_run(loop, 2.05);
    assert_in_range(peers[0].asked - asked, 1, 3); /* once a second while it is there */
}

/* Nobody knows the name: nothing is chosen; and a choice that was made stays. */
static void nil(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PEERS; i++)
        says_nil(i);
    start();
    loop_run(loop, 1);
    assert_int_equal(named, 0);
    assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 3);
    says(1, "10.0.0.1", 6379, 1);
    primary_is("10.0.0.1:6379");
    says_nil(1);
    stays("10.0.0.1:6379");
}

/* Nonsense of each kind costs that connection, never more. */
static void nonsense(void **state)
{
    static const char *const words[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "-NOAUTH Authentication required.\r\n",
        "+OK\r\n+OK\r\n",
        SUBSCRIBED SUBSCRIBED,
        UNSUBSCRIBED "*2\r\n$8\r\n10.0.0.1\r\n$5\r\n65536\r\n",
        UNSUBSCRIBED "*2\r\n$8\r\n10.0.0.1\r\n$1\r\n0\r\n",
        UNSUBSCRIBED "*2\r\n$8\r\n10.0.0.1\r\n$-1\r\n",
        UNSUBSCRIBED "*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n+x\r\n",
        "$100000\r\n",
    };
    (void)state;
    peer_dies(1);
    peer_dies(2);
    config->redis.sentinels.n = 1;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(peers[0].words, sizeof peers[0].words, "%s", words[i]);
        peers[0].called = named = 0;
        start();
        double before = ev_time();
        loop_until(loop, peers[0].called >= 2, 5);
        assert_true(ev_time() - before < 1.3); /* the pause, not the second that an answer may take */
        assert_int_equal(named, 0);
        assert_int_equal(metrics.value[METRIC_SENTINELS_UP], 0);
        sentinel_free(sentinel);
        sentinel = NULL;
    }
    says(0, "10.0.0.1", 6379, 1);
    strcat(peers[0].words, "+one too many\r\n");
    start();
    peers[0].called = 0;
    loop_until(loop, peers[0].called >= 2, 5);
}

/* Addresses that no Redis has. */
static void strange_addresses(void **state)
{
    static const struct {
        const char *host;
        unsigned port;
    } cases[] = {
        {"/etc/evil", 6379},
        {"unix@/x/y", 6379},
        {"a b",       6379},
        {"10.0.0.1",  0   },
    };
    (void)state;
    config->redis.sentinels.n = 1;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        says(0, cases[i].host, cases[i].port, 1);
        peers[0].called = 0;
        start();
        loop_until(loop, peers[0].called >= 2, 5);
        assert_int_equal(named, 0);
        sentinel_free(sentinel);
        sentinel = NULL;
    }
}

/* A reply without an end: the bound ends it, or the second that it is given. */
static void endless(void **state)
{
    (void)state;
    config->redis.sentinels.n = 1;
    strcpy(peers[0].words, UNSUBSCRIBED "*100\r\n$4000\r\n");
    start();
    loop_until(loop, peers[0].called == 1, 5);
    for (unsigned i = 0; i < 20000 && peers[0].called == 1; i++) {
        if (ev_is_active(&peers[0].read))
            send(peers[0].read.fd, "xxxxxxxxxxxxxxxxxxxxxxxx", 24, MSG_NOSIGNAL | MSG_DONTWAIT);
        ev_run(loop, EVRUN_NOWAIT);
    }
    loop_until(loop, peers[0].called >= 2, 5);
    assert_int_equal(named, 0);
}

/* Freed by whom it calls. */
static void free_it(void *arg, const char *address)
{
    (void)arg;
    (void)address;
    named++;
    sentinel_free(sentinel);
    sentinel = NULL;
}

static void freed_inside(void **state)
{
    (void)state;
    sentinel = sentinel_new(loop, &config->redis, free_it, NULL, &metrics);
    loop_until(loop, named == 1, 5);
    loop_run(loop, 0.2);
    assert_null(sentinel);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(newest),          CASE(message),      CASE(stale),
        CASE(reset),           CASE(liar),         CASE(nil),
        CASE(only_one_choice), CASE(nonsense),     CASE(strange_addresses),
        CASE(endless),         CASE(freed_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
