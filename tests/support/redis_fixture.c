// SPDX-License-Identifier: MIT
/* A timer bounds until(): ten seconds. A killed server is started
 * again on its old socket, with its old directory and an empty memory. */
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "tests/support/loop.h"

enum { PATIENCE = 10 };

static void on_ready(void *arg, struct redis *link)
{
    struct redis_fixture *f = arg;
    (void)link;
    f->ready++;
    if (f->on_ready)
        f->on_ready(f);
}

static void on_lost(void *arg)
{
    struct redis_fixture *f = arg;
    f->lost++;
    if (f->on_lost)
        f->on_lost(f);
}

void redis_fixture_start(struct redis_fixture *f)
{
    *f = (struct redis_fixture){0};
    signal(SIGPIPE, SIG_IGN);
    redis_server_start(&f->server);
    f->loop = ev_loop_new(EVFLAG_AUTO);
    f->config = config_new();
    assert_non_null(f->loop);
    assert_non_null(f->config);
    snprintf(f->config->redis.address, sizeof f->config->redis.address, "unix@%s", f->server.socket);
    f->config->redis.reconnect_ms = 100;
}

void redis_fixture_connect(struct redis_fixture *f)
{
    static const struct redis_events events = {on_ready, on_lost};
    ev_now_update(f->loop);
    f->redis = redis_new(f->loop, &f->config->redis, &events, f, &f->metrics);
    assert_non_null(f->redis);
}

void redis_fixture_stop(struct redis_fixture *f)
{
    if (f->redis)
        redis_free(f->redis);
    config_drop(f->config);
    ev_loop_destroy(f->loop);
    redis_server_stop(&f->server);
}

static void on_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)revents;
    *(bool *)t->data = true;
    ev_break(loop, EVBREAK_ONE);
}

void redis_fixture_until(struct redis_fixture *f, bool (*done)(void *arg), void *arg)
{
    bool over = false;
    ev_timer t;
    ev_now_update(f->loop);
    ev_timer_init(&t, on_over, PATIENCE, 0.);
    t.data = &over;
    ev_timer_start(f->loop, &t);
    while (!done(arg) && !over)
        ev_run(f->loop, EVRUN_ONCE);
    ev_timer_stop(f->loop, &t);
    assert_true(done(arg));
}

struct times {
    const struct redis_fixture *f;
    unsigned ready;
};
static bool is_ready(void *arg)
{
    const struct times *t = arg;
    return t->f->ready >= t->ready;
}

void redis_fixture_until_ready(struct redis_fixture *f, unsigned times)
{
    redis_fixture_until(f, is_ready, &(struct times){f, times});
}

void redis_fixture_begin(struct redis_fixture *f)
{
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(f);
    redis_fixture_connect(f);
    redis_fixture_until_ready(f, 1);
}

void redis_fixture_run(struct redis_fixture *f, double seconds)
{
    loop_run(f->loop, seconds);
}

void redis_fixture_kill(struct redis_fixture *f)
{
    kill(f->server.pid, SIGKILL);
    waitpid(f->server.pid, NULL, 0);
    redisFree(f->server.c);
    f->server.c = NULL;
}

void redis_fixture_revive(struct redis_fixture *f)
{
    f->server.pid = fork();
    assert_true(f->server.pid >= 0);
    if (f->server.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", f->server.socket, "--dir",
               f->server.dir, "--save", "", "--loglevel", "warning", "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
    f->server.c = redis_server_connect(&f->server);
}
