// SPDX-License-Identifier: MIT
/* Ports come from the kernel: bound, noted, given back. Each process asks for SIGKILL when the test dies. */
#include "tests/support/sentinel_fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 1000, PAUSE_US = 10000 };

static void die(const char *what)
{
    fprintf(stderr, "sentinel_fixture: %s\n", what);
    exit(99);
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, len) != 0 || getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("no free port");
    close(fd);
    return ntohs(a.sin_port);
}

static pid_t run(const char *file, const char *option)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", file, option, (char *)NULL);
    _exit(127);
}

redisContext *sentinel_fixture_connect(int port)
{
    for (int i = 0; i < TRIES; i++) {
        redisContext *c = redisConnect("127.0.0.1", port);
        if (c && !c->err)
            return c;
        if (c)
            redisFree(c);
        usleep(PAUSE_US);
    }
    die("no connection");
    return NULL;
}

const char *sentinel_fixture_ask(int port, const char *command)
{
    static char word[256];
    redisContext *c = sentinel_fixture_connect(port);
    redisReply *r = redisCommand(c, command), *first = r;
    if (r && r->type == REDIS_REPLY_ARRAY && r->elements > 0)
        first = r->element[0];
    snprintf(word, sizeof word, "%s", first && first->str ? first->str : "");
    if (r)
        freeReplyObject(r);
    redisFree(c);
    return word;
}

static FILE *conf_file(const struct sentinel_fixture *f, const char *kind, unsigned i, char *path,
                       size_t size)
{
    snprintf(path, size, "%s/%s%u.conf", f->dir, kind, i);
    FILE *file = fopen(path, "w");
    if (!file)
        die(path);
    fprintf(file, "dir %s\nbind 127.0.0.1\nloglevel warning\nlogfile %s%u.log\n", f->dir, kind, i);
    return file;
}

static void start_redis(struct sentinel_fixture *f, unsigned i, int primary_port)
{
    char path[128];
    FILE *file = conf_file(f, "redis", i, path, sizeof path);
    fprintf(file, "port %d\nsave \"\"\ndbfilename redis%u.rdb\nrepl-diskless-sync-delay 0\n",
            f->redis_port[i], i);
    if (primary_port)
        fprintf(file, "replicaof 127.0.0.1 %d\n", primary_port);
    fclose(file);
    f->redis[i] = run(path, NULL);
    redisFree(sentinel_fixture_connect(f->redis_port[i]));
}

static void start_sentinel(struct sentinel_fixture *f, unsigned i, const char *conf)
{
    char path[128];
    FILE *file = conf_file(f, "sentinel", i, path, sizeof path);
    fprintf(file,
            "port %d\n%ssentinel myid %040u\nsentinel monitor once 127.0.0.1 %d 2\n"
            "sentinel down-after-milliseconds once 1500\nsentinel failover-timeout once 3000\n"
            "sentinel known-replica once 127.0.0.1 %d\n",
            f->sentinel_port[i], conf, i + 1, f->redis_port[0], f->redis_port[1]);
    for (unsigned k = 0; k < FIXTURE_SENTINELS; k++)
        if (k != i)
            fprintf(file, "sentinel known-sentinel once 127.0.0.1 %d %040u\n", f->sentinel_port[k], k + 1);
    fclose(file);
    f->sentinel[i] = run(path, "--sentinel");
    redisFree(sentinel_fixture_connect(f->sentinel_port[i]));
}

static bool in_sync(const struct sentinel_fixture *f)
{
    bool sync = false;
    redisContext *c = sentinel_fixture_connect(f->redis_port[1]);
    redisReply *r = redisCommand(c, "ROLE");
    sync = r && r->elements > 3 && r->element[3]->str && strcmp(r->element[3]->str, "connected") == 0;
    freeReplyObject(r);
    redisFree(c);
    return sync;
}

void sentinel_fixture_start(struct sentinel_fixture *f, const char *conf)
{
    *f = (struct sentinel_fixture){.dir = "/tmp/sentinel-test.XXXXXX"};
    if (!mkdtemp(f->dir))
        die("mkdtemp");
    for (unsigned i = 0; i < FIXTURE_REDIS; i++)
        f->redis_port[i] = free_port();
    for (unsigned i = 0; i < FIXTURE_SENTINELS; i++)
        f->sentinel_port[i] = free_port();
    start_redis(f, 0, 0);
    start_redis(f, 1, f->redis_port[0]);
    for (unsigned i = 0; i < FIXTURE_SENTINELS; i++)
        start_sentinel(f, i, conf);
    for (unsigned i = 0; i < TRIES && !in_sync(f); i++)
        usleep(PAUSE_US);
    if (!in_sync(f))
        die("the replica is not in sync");
    usleep(1200000); /* a Sentinel promotes only what it has seen by INFO */
}

void sentinel_fixture_kill(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

void sentinel_fixture_revive(struct sentinel_fixture *f, unsigned redis)
{
    start_redis(f, redis, 0);
}

static void remove_file(const struct sentinel_fixture *f, const char *kind, unsigned i, const char *end)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s%u.%s", f->dir, kind, i, end);
    unlink(path);
}

void sentinel_fixture_stop(struct sentinel_fixture *f)
{
    for (unsigned i = 0; i < FIXTURE_SENTINELS; i++) {
        sentinel_fixture_kill(&f->sentinel[i]);
        remove_file(f, "sentinel", i, "conf");
        remove_file(f, "sentinel", i, "log");
    }
    for (unsigned i = 0; i < FIXTURE_REDIS; i++) {
        sentinel_fixture_kill(&f->redis[i]);
        remove_file(f, "redis", i, "conf");
        remove_file(f, "redis", i, "log");
        remove_file(f, "redis", i, "rdb");
    }
    rmdir(f->dir);
}
