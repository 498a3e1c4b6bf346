// SPDX-License-Identifier: MIT
/* Non-blocking sockets; every wait is one turn of the loop and a millisecond, bounded by five seconds. An
 * answer is cut off `in` once its head and as many bytes as its Content-Length says are there. */
#include "tests/support/rawhttp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 5 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return a;
}

int raw_listen_unix(char path[64])
{
    char dir[] = "/tmp/rawhttp.XXXXXX";
    must(mkdtemp(dir), "mkdtemp");
    snprintf(path, 64, "%s/s", dir);
    struct sockaddr_un a = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 512) == 0, "listen");
    return fd;
}

void raw_unlisten(const char *path)
{
    char dir[64];
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    unlink(path);
    rmdir(dir);
}

int raw_listen_tcp(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 512) == 0, "listen");
    must(getsockname(fd, (struct sockaddr *)&a, &len) == 0, "getsockname");
    *port = ntohs(a.sin_port);
    return fd;
}

static void begin(struct raw *r, struct ev_loop *loop, int fd, const struct sockaddr *a, socklen_t len)
{
    must(fd >= 0 && connect(fd, a, len) == 0, "connect");
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
    *r = (struct raw){.loop = loop, .fd = fd};
    buf_init(&r->in);
}

void raw_connect_unix(struct raw *r, struct ev_loop *loop, const char *path)
{
    struct sockaddr_un a = unix_address(path);
    begin(r, loop, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, sizeof a);
}

void raw_connect_tcp(struct raw *r, struct ev_loop *loop, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    begin(r, loop, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, sizeof a);
}

void raw_close(struct raw *r)
{
    close(r->fd);
    buf_free(&r->in);
}

static void receive(struct raw *r)
{
    ssize_t n;
    while (!r->eof && buf_reserve(&r->in, 65536)) {
        n = read(r->fd, r->in.data + r->in.len, r->in.cap - r->in.len);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            r->eof = true;
        else
            r->in.len += (size_t)n;
    }
}

static void wait_for(struct raw *r, short events)
{
    struct pollfd p = {.fd = r->fd, .events = events};
    ev_run(r->loop, EVRUN_NOWAIT);
    poll(&p, 1, 1);
}

bool raw_send(struct raw *r, const void *bytes, size_t len)
{
    const char *at = bytes;
    for (ev_tstamp until = ev_time() + PATIENCE_S; len > 0 && ev_time() < until; wait_for(r, POLLOUT)) {
        ssize_t n = send(r->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return len == 0;
}

bool raw_send_text(struct raw *r, const char *text)
{
    return raw_send(r, text, strlen(text));
}

/* Length of the head with its empty line; 0: not whole yet. */
static size_t head_length(const struct buf *in)
{
    const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - (const char *)in->data) + 4 : 0;
}

/* Copies the head, line by line; returns the body's length as the head says. */
static size_t take_head(struct raw_reply *reply, const char *head, size_t len)
{
    size_t body = 0, out = 0;
    reply->status = (unsigned)strtoul(head + strlen("HTTP/1.1 "), NULL, 10);
    for (const char *line = head; line < head + len - 2;) {
        const char *end = strstr(line, "\r\n");
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
        if (strncmp(line, "Date:", 5) != 0) {
            must(out + (size_t)(end - line) + 2 < sizeof reply->head, "head");
            memcpy(reply->head + out, line, (size_t)(end - line));
            out += (size_t)(end - line);
            reply->head[out++] = '\n';
        }
        line = end + 2;
    }
    reply->head[out] = '\0';
    return body;
}

int raw_reply(struct raw *r, bool bodiless, struct raw_reply *reply)
{
    for (ev_tstamp until = ev_time() + PATIENCE_S; ev_time() < until; wait_for(r, POLLIN)) {
        receive(r);
        size_t head = head_length(&r->in);
        if (head > 0) {
            size_t body = take_head(reply, (const char *)r->in.data, head);
            if (bodiless || reply->status == 204 || reply->status == 304 || reply->status < 200)
                body = 0;
            if (r->in.len >= head + body) {
                buf_reset(&reply->body);
                buf_put(&reply->body, r->in.data + head, body);
                buf_shift(&r->in, head + body);
                return 0;
            }
        }
        if (r->eof)
            return -1;
    }
    return -1;
}

bool raw_closed(struct raw *r, double seconds)
{
    for (ev_tstamp until = ev_time() + seconds; !r->eof && ev_time() < until; wait_for(r, POLLIN))
        receive(r);
    return r->eof;
}
