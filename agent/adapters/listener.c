// SPDX-License-Identifier: MIT
/* Addresses and sockets.
 *
 *   text ──parse──► struct address ──► socket, options, bind (a dead unix socket is replaced), listen
 *
 * The prefix tells the kind of socket; a text without prefix is a TCP address. */
#include "adapters/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { RECEIVE_BUFFER = 8 * 1024 * 1024 };

struct address {
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to;
};

static const struct prefix {
    const char *text;
    bool local, stream, datagram;
} prefixes[] = {
    {"unix@",      true,  true,  true }, /* who asks says which */
    {"unixdgram@", true,  false, true },
    {"udp@",       false, false, true },
    {"",           false, true,  false}, /* last: every text begins with it */
};

static int fail(const char *address, const char *reason, char *err, size_t errlen)
{
    snprintf(err, errlen, "%s: %s", address, reason);
    return -1;
}

static int parse_path(const char *path, struct address *a)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof a->to.un.sun_path)
        return -1;
    a->to.un.sun_family = AF_UNIX;
    memcpy(a->to.un.sun_path, path, len + 1);
    a->len = sizeof a->to.un;
    return 0;
}

static int parse_port(const char *text, in_port_t *port)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    unsigned long v = strtoul(text, &end, 10);
    if (*end || v > UINT16_MAX)
        return -1;
    *port = htons((uint16_t)v);
    return 0;
}

/* "127.0.0.1:9000" or "[::1]:9000"; the brackets are what tells the one from the other. */
static int parse_inet(const char *text, struct address *a)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    bool six = *text == '[';
    if (!colon || (six && (colon == text || colon[-1] != ']')))
        return -1;
    size_t len = (size_t)(colon - text) - (six ? 2 : 0);
    if (len == 0 || len >= sizeof host)
        return -1;
    memcpy(host, text + (six ? 1 : 0), len);
    host[len] = '\0';
    a->to.any.sa_family = six ? AF_INET6 : AF_INET;
    a->len = six ? sizeof a->to.in6 : sizeof a->to.in;
    void *to = six ? (void *)&a->to.in6.sin6_addr : (void *)&a->to.in.sin_addr;
    if (inet_pton(six ? AF_INET6 : AF_INET, host, to) != 1)
        return -1;
    return parse_port(colon + 1, six ? &a->to.in6.sin6_port : &a->to.in.sin_port);
}

static int parse(const char *text, int type, struct address *a, char *err, size_t errlen)
{
    const struct prefix *p = prefixes;
    while (strncmp(text, p->text, strlen(p->text)) != 0)
        p++;
    memset(a, 0, sizeof *a);
    a->type = type;
    const char *rest = text + strlen(p->text);
    bool right = type == SOCK_STREAM ? p->stream : p->datagram;
    if (right && (p->local ? parse_path(rest, a) : parse_inet(rest, a)) == 0)
        return 0;
    return fail(text,
                type == SOCK_STREAM
                    ? "not unix@/path, 127.0.0.1:9000 or [::1]:9000 (a path has at most 107 bytes)"
                    : "not unix@/path, udp@127.0.0.1:9001 or udp@[::1]:9001 (a path has at most 107 bytes)",
                err, errlen);
}

static int open_socket(const struct address *a)
{
    return socket(a->to.any.sa_family, a->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* What stands at the path is a socket and nobody answers there: a dead process left it. */
static bool is_leftover(const struct address *a)
{
    struct stat st;
    if (lstat(a->to.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = open_socket(a);
    if (fd < 0)
        return false;
    bool dead = connect(fd, &a->to.any, a->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return dead;
}

/* The mode is right from the first moment: nobody can slip in between bind() and a chmod(). */
static int bind_path(int fd, const struct address *a, uint32_t mode)
{
    mode_t before = umask(~(mode_t)mode & 0777);
    int rc = bind(fd, &a->to.any, a->len);
    int why = errno;
    umask(before);
    errno = why;
    return rc;
}

static int bind_address(int fd, const struct address *a, uint32_t mode)
{
    if (a->to.any.sa_family != AF_UNIX)
        return bind(fd, &a->to.any, a->len);
    if (bind_path(fd, a, mode) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    if (!is_leftover(a) || unlink(a->to.un.sun_path) != 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return bind_path(fd, a, mode);
}

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value,
                     sizeof value); /* comfort only: without it the socket works too */
}

/* A bound socket of that type, or -1. */
static int bound(const char *address, int type, uint32_t mode, char *err, size_t errlen)
{
    struct address a;
    if (parse(address, type, &a, err, errlen) != 0)
        return -1;
    int fd = open_socket(&a);
    if (fd < 0)
        return fail(address, strerror(errno), err, errlen);
    if (a.to.any.sa_family != AF_UNIX && type == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a.to.any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind_address(fd, &a, mode) == 0)
        return fd;
    fail(address, strerror(errno), err, errlen);
    close(fd);
    return -1;
}

int listener_stream(const char *address, uint32_t mode, char *err, size_t errlen)
{
    int fd = bound(address, SOCK_STREAM, mode, err, errlen);
    if (fd < 0 || listen(fd, SOMAXCONN) == 0)
        return fd;
    fail(address, strerror(errno), err, errlen);
    close(fd);
    return -1;
}

int listener_datagram(const char *address, uint32_t mode, char *err, size_t errlen)
{
    int fd = bound(address, SOCK_DGRAM, mode, err, errlen);
    if (fd >= 0)
        set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    return fd;
}

int listener_connect(const char *address, char *err, size_t errlen)
{
    struct address a;
    if (parse(address, SOCK_STREAM, &a, err, errlen) != 0)
        return -1;
    int fd = open_socket(&a);
    if (fd < 0)
        return fail(address, strerror(errno), err, errlen);
    if (a.to.any.sa_family != AF_UNIX)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (connect(fd, &a.to.any, a.len) == 0 || errno == EINPROGRESS)
        return fd;
    fail(address, strerror(errno), err, errlen);
    close(fd);
    return -1;
}

static void name_of(const struct address *a, char *out)
{
    char host[INET6_ADDRSTRLEN];
    bool six = a->to.any.sa_family == AF_INET6;
    const void *bytes = six ? (const void *)&a->to.in6.sin6_addr : &a->to.in.sin_addr;
    unsigned port = ntohs(six ? a->to.in6.sin6_port : a->to.in.sin_port);
    if (inet_ntop(a->to.any.sa_family, bytes, host, sizeof host))
        snprintf(out, LISTENER_PEER_TEXT, six ? "[%s]:%u" : "%s:%u", host, port);
}

static bool peer_of(int fd, struct ucred *who)
{
    socklen_t len = sizeof *who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &len) == 0 && who->pid != 0;
}

long listener_peer_uid(int fd)
{
    struct ucred who;
    return peer_of(fd, &who) ? (long)who.uid : -1;
}

void listener_peer(int fd, char *out)
{
    struct ucred who;
    struct address a = {.len = sizeof a.to};
    snprintf(out, LISTENER_PEER_TEXT, "-");
    if (getpeername(fd, &a.to.any, &a.len) < 0)
        return;
    if (a.to.any.sa_family != AF_UNIX)
        name_of(&a, out);
    else if (peer_of(fd, &who))
        snprintf(out, LISTENER_PEER_TEXT, "pid %d", (int)who.pid);
}

void listener_remove(const char *address)
{
    struct stat st;
    for (const struct prefix *p = prefixes; p->local; p++) {
        size_t len = strlen(p->text);
        if (strncmp(address, p->text, len) == 0 && lstat(address + len, &st) == 0 && S_ISSOCK(st.st_mode))
            unlink(address + len);
    }
}
