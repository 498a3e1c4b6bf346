// SPDX-License-Identifier: MIT
/* Two redis-servers on loopback, the second a replica of the first, and three Sentinels that watch them under
 * the name "once". They know each other from their files, so that a failover takes a second or two.
 *
 *   sentinel_fixture_start ──► kill, revive, ask ──► sentinel_fixture_stop (by pid; the directory goes too)
 *
 * What goes wrong here ends the test program with a message. */
#ifndef SENTINEL_FIXTURE_H
#define SENTINEL_FIXTURE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>

enum { FIXTURE_REDIS = 2, FIXTURE_SENTINELS = 3 };

struct sentinel_fixture {
    char dir[64];
    int redis_port[FIXTURE_REDIS], sentinel_port[FIXTURE_SENTINELS];
    pid_t redis[FIXTURE_REDIS], sentinel[FIXTURE_SENTINELS];
};

/* conf: more lines for each Sentinel, may be "". Returns when the replica is in sync and the Sentinels see
 * it. */
void sentinel_fixture_start(struct sentinel_fixture *f, const char *conf);
void sentinel_fixture_stop(struct sentinel_fixture *f);

void sentinel_fixture_kill(pid_t *pid);
/* Again on its port, as a primary of nothing: what the Sentinels make of it is theirs. */
void sentinel_fixture_revive(struct sentinel_fixture *f, unsigned redis);

/* A word of the first line of a reply, to be compared: the command goes to that port on loopback. */
const char *sentinel_fixture_ask(int port, const char *command);
redisContext *sentinel_fixture_connect(int port);

#endif
