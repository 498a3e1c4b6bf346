// SPDX-License-Identifier: MIT
/* HTTP/1.0 on a unix socket: one request, and the answer is what comes until the agent closes. No library: this is all
 * of the protocol that is needed, and an operator's machine need not have one more. */
#include "ctl/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 15, REQUEST_MAX = 16384, ANSWER_MAX = 64 << 20, CHUNK = 65536 };

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "oncectl: %s: %s\n", what, why);
    return -1;
}

static int reach(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (strlen(path) >= sizeof to.sun_path)
        return fail(path, "a socket's path has at most 107 bytes");
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail("socket", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    fail(path, errno == ENOENT || errno == ECONNREFUSED
                   ? "no agent listens there (its option is admin.listen)"
                   : strerror(errno));
    close(fd);
    return -1;
}

/* RFC 3986, section 2.3: what need not be encoded. */
static void put_encoded(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        fprintf(out, isalnum(*c) || strchr("-._~", *c) ? "%c" : "%%%02X", *c);
}

static int send_request(int fd, const char *method, const char *path, const struct query *query)
{
    char text[REQUEST_MAX];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (!out)
        return fail("request", strerror(errno));
    fprintf(out, "%s %s", method, path);
    for (char mark = '?'; query->name; query++) {
        if (!query->value)
            continue;
        fprintf(out, "%c%s=", mark, query->name);
        put_encoded(out, query->value);
        mark = '&';
    }
    fprintf(out, " HTTP/1.0\r\nHost: agent\r\n\r\n");
    long len = ftell(out);
    if (fclose(out) != 0 || len <= 0 || len >= REQUEST_MAX)
        return fail("request", "an argument is too long");
    return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len ? 0 : fail("send", strerror(errno));
}

/* Everything until the end, NUL-terminated; to be freed. NULL: said. */
static char *read_answer(int fd, size_t *len)
{
    char *text = NULL;
    for (*len = 0; *len < ANSWER_MAX;) {
        char *more = realloc(text, *len + CHUNK + 1);
        ssize_t n = more ? recv(fd, more + *len, CHUNK, 0) : -1;
        if (more)
            text = more;
        if (n < 0) {
            fail("receive",
                 more ? (errno == EAGAIN ? "the agent does not answer" : strerror(errno)) : "out of memory");
            break;
        }
        *len += (size_t)n;
        text[*len] = '\0';
        if (n == 0)
            return text;
    }
    free(text);
    return NULL;
}

static struct reply open_answer(const char *text, size_t len)
{
    struct reply r = {0};
    const char *body = strstr(text, "\r\n\r\n");
    if (!body || sscanf(text, "HTTP/1.%*d %d", &r.status) != 1) {
        fail("answer", "this is no agent");
        return (struct reply){0};
    }
    body += 4;
    r.json = json_loadb(body, len - (size_t)(body - text), 0, NULL);
    if (!r.json) {
        fail("answer", "this is no agent, or of another version");
        r.status = 0;
    }
    return r;
}

struct reply client_ask(const char *socket_path, const char *method, const char *path,
                        const struct query *query)
{
    struct reply r = {0};
    size_t len;
    int fd = reach(socket_path);
    if (fd < 0)
        return r;
    char *text = send_request(fd, method, path, query) == 0 ? read_answer(fd, &len) : NULL;
    close(fd);
    if (text)
        r = open_answer(text, len);
    free(text);
    return r;
}
