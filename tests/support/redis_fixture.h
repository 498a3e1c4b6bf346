// SPDX-License-Identifier: MIT
/* The Redis adapter in a loop, against a private redis-server that can be stopped, killed and started again.
 *
 *   redis_fixture_start ──► f.redis (not yet ready) ──until / run──► .. ──► redis_fixture_stop
 *
 * What does not come within ten seconds ends the test with an assertion. */
#ifndef REDIS_FIXTURE_H
#define REDIS_FIXTURE_H

#include <ev.h>
#include "adapters/redis.h"
#include "tests/support/redis_server.h"

struct redis_fixture {
    struct redis_server server; /* server.c: for looking at Redis directly */
    struct ev_loop *loop;
    struct config *config;
    struct metrics metrics;
    struct redis *redis;
    unsigned ready, lost;                      /* events so far */
    void (*on_ready)(struct redis_fixture *f); /* may be NULL */
    void (*on_lost)(struct redis_fixture *f);
};

/* Server, loop, configuration; the adapter is made by redis_fixture_connect(). */
void redis_fixture_start(struct redis_fixture *f);
void redis_fixture_connect(struct redis_fixture *f);
/* Both, and waits until Redis is ready; only errors are logged. */
void redis_fixture_begin(struct redis_fixture *f);
/* Frees the adapter too if f->redis is not NULL. */
void redis_fixture_stop(struct redis_fixture *f);

void redis_fixture_run(struct redis_fixture *f, double seconds);
void redis_fixture_until(struct redis_fixture *f, bool (*done)(void *arg), void *arg);
void redis_fixture_until_ready(struct redis_fixture *f, unsigned times);

/* SIGKILL; and again on the same socket, empty. */
void redis_fixture_kill(struct redis_fixture *f);
void redis_fixture_revive(struct redis_fixture *f);

#endif
