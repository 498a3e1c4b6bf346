// SPDX-License-Identifier: MIT
/* One HTTP/1.0 request to the agent's own listener; blocking, since there is nothing else to do meanwhile. */
#include "ready.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "adapters/listener.h"

enum { PATIENCE_S = 2, ANSWER_MAX = 4096 };

static const char question[] = "GET /health/readiness HTTP/1.0\r\nHost: agent\r\n\r\n";

static int unready(const char *address, const char *why)
{
    fprintf(stderr, "spoa-once: %s: %s\n", address, why);
    return 1;
}

/* A connection that is still being made is waited for by the first send. */
static void wait_on(int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/* Until the agent closes, or the buffer is full; NUL-terminated. */
static int converse(int fd, char answer[ANSWER_MAX])
{
    size_t len = 0;
    ssize_t n = send(fd, question, sizeof question - 1, MSG_NOSIGNAL);
    if (n != (ssize_t)sizeof question - 1)
        return -1;
    while (len < ANSWER_MAX - 1 && (n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    return n < 0 ? -1 : 0;
}

int ready_ask(const char *address)
{
    char err[256], answer[ANSWER_MAX];
    int status = 0;
    if (!*address)
        return unready("http.listen", "is empty: there is nobody to ask");
    int fd = listener_connect(address, err, sizeof err);
    if (fd < 0)
        return unready("http.listen", err);
    wait_on(fd);
    int rc = converse(fd, answer);
    int why = errno;
    close(fd);
    if (rc < 0)
        return unready(address, why == EAGAIN ? "does not answer" : strerror(why));
    const char *body = strstr(answer, "\r\n\r\n");
    if (!body || sscanf(answer, "HTTP/1.%*d %d", &status) != 1)
        return unready(address, "this is no agent");
    return status == 200 ? 0 : unready(address, body + 4);
}
