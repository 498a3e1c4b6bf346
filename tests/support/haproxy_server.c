// SPDX-License-Identifier: MIT
/* fork, exec, and waiting until the runtime socket takes a connection. */
#include "tests/support/haproxy_server.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char haproxy_server_tables[] =
    "global\n"
    "    nbthread 2\n"
    "    stats socket @D@/sock level operator\n"
    "    set-var proc.once_start date(0,us)\n"
    "defaults\n"
    "    mode http\n"
    "    timeout connect 1s\n"
    "    timeout client 20s\n"
    "    timeout server 20s\n"
    "    no option abortonclose\n"
    "backend once_inflight\n"
    "    stick-table type string len 64 size 1000 expire 1s nopurge store conn_cur,gpt0\n"
    "backend once_unsettled\n"
    "    stick-table type string len 64 size 1000 expire 10m nopurge store conn_cur,gpt0\n";

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

bool process_lives(pid_t pid)
{
    return kill(pid, 0) == 0;
}

int haproxy_server_init(struct haproxy_server *h)
{
    *h = (struct haproxy_server){0};
    strcpy(h->dir, "/tmp/once-haproxy-XXXXXX");
    if (!mkdtemp(h->dir))
        return -1;
    snprintf(h->socket, sizeof h->socket, "%s/sock", h->dir);
    return 0;
}

static void put_expanded(FILE *f, const char *text, const char *dir)
{
    for (const char *at; (at = strstr(text, "@D@")); text = at + 3)
        fprintf(f, "%.*s%s", (int)(at - text), text, dir);
    fputs(text, f);
}

static int write_config(const struct haproxy_server *h, const char *const *config, unsigned parts)
{
    char path[96];
    snprintf(path, sizeof path, "%s/haproxy.cfg", h->dir);
    FILE *f = fopen(path, "we");
    if (!f)
        return -1;
    for (unsigned i = 0; i < parts; i++)
        put_expanded(f, config[i], h->dir);
    return fclose(f);
}

static void become_haproxy(const struct haproxy_server *h)
{
    char path[96];
    snprintf(path, sizeof path, "%s/haproxy.cfg", h->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("haproxy", "haproxy", h->master ? "-W" : "-db", "-f", path, (char *)NULL);
    execl("/usr/sbin/haproxy", "haproxy", h->master ? "-W" : "-db", "-f", path, (char *)NULL);
    _exit(127);
}

/* The runtime socket is bound before the others, but answers only when all of them are. */
static bool answers(const char *path)
{
    static const char command[] = "show info\n";
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};
    char byte;
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
               setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
               write(fd, command, sizeof command - 1) > 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0)
        close(fd);
    return yes;
}

int haproxy_server_start(struct haproxy_server *h, bool master, const char *const *config, unsigned parts)
{
    h->master = master;
    if (write_config(h, config, parts) != 0)
        return -1;
    h->pid = fork();
    if (h->pid == 0)
        become_haproxy(h);
    for (unsigned i = 0; h->pid > 0 && i < 500; i++) {
        if (answers(h->socket))
            return 0;
        if (waitpid(h->pid, NULL, WNOHANG) == h->pid)
            break;
        nap_ms(10);
    }
    return -1;
}

/* Has the process a handler for this signal? (proc(5), status: SigCgt) */
static bool catches(pid_t pid, int signal)
{
    char path[32], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "SigCgt: %llx", &caught) == 1)
            break;
    if (f)
        fclose(f);
    return caught >> (signal - 1) & 1;
}

void haproxy_server_reload(const struct haproxy_server *h)
{
    for (unsigned i = 0; i < 500 && !catches(h->pid, SIGUSR2); i++)
        nap_ms(10);
    kill(h->pid, SIGUSR2);
}

void haproxy_server_stop(struct haproxy_server *h)
{
    if (h->pid <= 0)
        return;
    kill(h->pid, SIGTERM);
    for (unsigned i = 0; i < 200; i++) {
        if (waitpid(h->pid, NULL, WNOHANG) == h->pid) {
            h->pid = 0;
            return;
        }
        nap_ms(10);
    }
    kill(h->pid, SIGKILL);
    waitpid(h->pid, NULL, 0);
    h->pid = 0;
}

void haproxy_server_clear(struct haproxy_server *h)
{
    haproxy_server_stop(h);
    DIR *d = opendir(h->dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", h->dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(h->dir);
}
