// SPDX-License-Identifier: MIT
/* fork, execlp, and a connection tried until it is there. The child asks the kernel for SIGKILL when its
 * parent dies (PR_SET_PDEATHSIG), so that a crashed test leaves nothing behind. */
#include "tests/support/redis_server.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain/script.h"

enum { CONNECT_TRIES = 500, CONNECT_PAUSE_US = 10000 };

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "redis_server: %s: %s\n", what, detail);
    exit(99);
}

static void run_server(const struct redis_server *s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", s->socket, "--dir", s->dir,
           "--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", "redis.log",
           (char *)NULL);
    _exit(127);
}

redisContext *redis_server_connect(const struct redis_server *s)
{
    for (int i = 0; i < CONNECT_TRIES; i++) {
        redisContext *c = redisConnectUnix(s->socket);
        if (c && !c->err)
            return c;
        if (c)
            redisFree(c);
        usleep(CONNECT_PAUSE_US);
    }
    die("no connection", s->socket);
    return NULL;
}

void redis_server_start(struct redis_server *s)
{
    snprintf(s->dir, sizeof s->dir, "/tmp/redis-test.XXXXXX");
    if (!mkdtemp(s->dir))
        die("mkdtemp", s->dir);
    snprintf(s->socket, sizeof s->socket, "%s/sock", s->dir);
    s->pid = fork();
    if (s->pid < 0)
        die("fork", "redis-server");
    if (s->pid == 0)
        run_server(s);
    s->c = redis_server_connect(s);
}

void redis_server_stop(struct redis_server *s)
{
    char log[96];
    redisFree(s->c);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    snprintf(log, sizeof log, "%s/redis.log", s->dir);
    unlink(log);
    unlink(s->socket);
    rmdir(s->dir);
}

static redisReply *checked(struct redis_server *s, redisReply *r, const char *what)
{
    if (!r)
        die(what, s->c->errstr);
    return r;
}

void redis_server_load(struct redis_server *s)
{
    for (unsigned i = 0; i < SCRIPTS; i++) {
        redisReply *r = checked(s, redisCommand(s->c, "SCRIPT LOAD %b", scripts[i].text, scripts[i].len),
                                scripts[i].name);
        if (strcmp(r->str, scripts[i].sha) != 0)
            die(scripts[i].name, r->str);
        freeReplyObject(r);
    }
}

redisReply *redis_server_send(struct redis_server *s, const void *resp, size_t len, unsigned n)
{
    redisReply *r = NULL;
    if (redisAppendFormattedCommand(s->c, resp, len) != REDIS_OK)
        die("send", s->c->errstr);
    while (n-- > 0) {
        if (r)
            freeReplyObject(r);
        r = NULL;
        if (redisGetReply(s->c, (void **)&r) != REDIS_OK)
            die("reply", s->c->errstr);
    }
    return r;
}

static redisReply *command(struct redis_server *s, const char *format, va_list args)
{
    redisReply *r = checked(s, redisvCommand(s->c, format, args), format);
    if (r->type == REDIS_REPLY_ERROR)
        die(format, r->str);
    return r;
}

void redis_server_do(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    freeReplyObject(command(s, format, args));
    va_end(args);
}

long long redis_server_int(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = command(s, format, args);
    va_end(args);
    if (r->type != REDIS_REPLY_INTEGER)
        die(format, "no integer came");
    long long n = r->integer;
    freeReplyObject(r);
    return n;
}

unsigned redis_server_immortals(struct redis_server *s)
{
    unsigned n = 0;
    char cursor[24] = "0";
    do {
        redisReply *r = checked(s, redisCommand(s->c, "SCAN %s COUNT 100", cursor), "SCAN");
        snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        for (size_t i = 0; i < r->element[1]->elements; i++) {
            const redisReply *key = r->element[1]->element[i];
            n += redis_server_int(s, "PTTL %b", key->str, key->len) == -1;
        }
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
    return n;
}
