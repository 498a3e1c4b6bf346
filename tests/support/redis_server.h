// SPDX-License-Identifier: MIT
/* A private redis-server: unix socket in a directory of its own, no TCP, no files. It dies with the test.
 *
 *   redis_server_start ──► c (synchronous hiredis) ──► redis_server_stop (by pid; the directory goes too)
 *
 * Everything that goes wrong here ends the test program with a message: a test without its server proves
 * nothing. */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct redis_server {
    char dir[64];
    char socket[80];
    pid_t pid;
    redisContext *c;
};

void redis_server_start(struct redis_server *s);
void redis_server_stop(struct redis_server *s);
/* One more connection to it. */
redisContext *redis_server_connect(const struct redis_server *s);

/* Loads all scripts; their SHA-1 must be the one that was embedded. */
void redis_server_load(struct redis_server *s);
/* Sends RESP that holds n commands; the last reply, to be freed. */
redisReply *redis_server_send(struct redis_server *s, const void *resp, size_t len, unsigned n);
/* A command whose reply does not matter, but must not be an error. */
void redis_server_do(struct redis_server *s, const char *format, ...);
/* A command whose reply is an integer. */
long long redis_server_int(struct redis_server *s, const char *format, ...);
/* How many keys have no TTL: none may (ACCEPTANCE R14). */
unsigned redis_server_immortals(struct redis_server *s);

#endif
