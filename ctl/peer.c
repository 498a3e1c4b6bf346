// SPDX-License-Identifier: MIT
#include "ctl/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GROUPS_MOST = 64, LINE_BYTES = 1024 };

bool peer_of(const char *socket_path, struct peer *p)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct ucred who;
    socklen_t len = sizeof who;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", socket_path);
    bool known = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0;
    if (known)
        *p = (struct peer){.pid = who.pid, .uid = who.uid, .gid = who.gid};
    if (fd >= 0)
        close(fd);
    return known;
}

/* What stands behind a name in /proc/PID/status (proc(5)): "Uid:\t1180\t1180\t1180\t1180"; "": no such process. */
static void read_status(const struct peer *p, const char *name, char value[LINE_BYTES])
{
    char path[64], line[LINE_BYTES];
    size_t len = strlen(name);
    snprintf(path, sizeof path, "/proc/%ld/status", (long)p->pid);
    FILE *f = p->pid > 0 ? fopen(path, "re") : NULL;
    value[0] = '\0';
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, len) == 0)
            snprintf(value, LINE_BYTES, "%s", line + len);
    if (f)
        fclose(f);
}

bool peer_stands(const struct peer *p)
{
    char value[LINE_BYTES];
    unsigned real, effective, saved, files;
    if (geteuid() != 0)
        return true;
    read_status(p, "Uid:", value);
    return sscanf(value, "%u %u %u %u", &real, &effective, &saved, &files) == 4 && real == p->uid &&
           effective == p->uid && saved == p->uid && files == p->uid;
}

/* Those beside its own; none of a process that is another one by now. */
static size_t groups_of(const struct peer *p, gid_t groups[GROUPS_MOST])
{
    char value[LINE_BYTES], *at = value, *end;
    size_t n = 0;
    if (!peer_stands(p))
        return 0;
    read_status(p, "Groups:", value);
    for (gid_t group; n < GROUPS_MOST; at = end) {
        group = (gid_t)strtoul(at, &end, 10);
        if (end == at)
            break;
        groups[n++] = group;
    }
    return n;
}

/* Through root's terminal a program could type for root (ioctl_tty(2), TIOCSTI). */
static const char *let_go(void)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return "/dev/null";
    setsid();
    return close_range(STDERR_FILENO + 1, ~0U, 0) == 0 ? NULL : "close_range";
}

const char *peer_become(const struct peer *p)
{
    gid_t groups[GROUPS_MOST];
    if (geteuid() != 0 || p->uid == 0)
        return NULL;
    size_t n = groups_of(p, groups);
    if (setgroups(n, groups) != 0)
        return "setgroups";
    if (setresgid(p->gid, p->gid, p->gid) != 0)
        return "setresgid";
    if (setresuid(p->uid, p->uid, p->uid) != 0)
        return "setresuid";
    return let_go();
}
