// SPDX-License-Identifier: MIT
/* Without `prompt` HAProxy closes after one answer: what comes until then is it. */
#include "ctl/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 5, ANSWER_MAX = 16 << 20, CHUNK = 65536 };

static int reach(const char *path, char why[RUNTIME_WHY])
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (strlen(path) >= sizeof to.sun_path) {
        snprintf(why, RUNTIME_WHY, "a socket's path has at most %zu bytes", sizeof to.sun_path - 1);
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
            return fd;
    }
    snprintf(why, RUNTIME_WHY, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Everything until the end, NUL-terminated; NULL: errno says why. */
static char *read_all(int fd)
{
    char *text = NULL;
    for (size_t len = 0; len < ANSWER_MAX;) {
        char *more = realloc(text, len + CHUNK + 1);
        ssize_t n = more ? recv(fd, more + len, CHUNK, 0) : -1;
        text = more ? more : text;
        if (n < 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        if (n == 0)
            return text;
    }
    free(text);
    return NULL;
}

char *runtime_ask(const char *path, const char *command, char why[RUNTIME_WHY])
{
    char line[RUNTIME_WORD];
    int fd = reach(path, why);
    if (fd < 0)
        return NULL;
    int len = snprintf(line, sizeof line, "%s\n", command);
    char *text = send(fd, line, (size_t)len, MSG_NOSIGNAL) == len ? read_all(fd) : NULL;
    if (!text)
        snprintf(why, RUNTIME_WHY, "%s", errno == EAGAIN ? "HAProxy does not answer" : strerror(errno));
    close(fd);
    return text;
}

static void copy(char out[RUNTIME_WORD], const char *from, size_t len)
{
    snprintf(out, RUNTIME_WORD, "%.*s", (int)(len < RUNTIME_WORD ? len : RUNTIME_WORD - 1), from);
}

void runtime_field(const char *text, const char *name, char out[RUNTIME_WORD])
{
    size_t len = strlen(name);
    *out = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0) {
            copy(out, line + len + 2, strcspn(line + len + 2, "\r\n"));
            return;
        }
    }
}

bool runtime_next(struct runtime_rows *r, const char *text)
{
    if (!r->titles) {
        if (strncmp(text, "# ", 2) != 0)
            return false;
        r->titles = r->at = text + 2;
    }
    r->at = strchr(r->at, '\n');
    if (!r->at)
        return false;
    r->at++;
    return *r->at != '\0' && *r->at != '\n';
}

/* The cell number n of a line; HAProxy quotes none that is asked for here. */
static void cell_at(const char *line, unsigned n, char out[RUNTIME_WORD])
{
    size_t len;
    for (;; line += len + 1) {
        len = strcspn(line, ",\r\n");
        if (n-- == 0)
            break;
        if (line[len] != ',') {
            len = 0;
            break;
        }
    }
    copy(out, line, len);
}

void runtime_cell(const struct runtime_rows *r, const char *title, char out[RUNTIME_WORD])
{
    size_t len = strlen(title);
    unsigned n = 0;
    *out = '\0';
    for (const char *at = r->titles; *at && *at != '\n'; at += strcspn(at, ",\n"), at += *at == ',', n++)
        if (strncmp(at, title, len) == 0 && (at[len] == ',' || at[len] == '\n')) {
            cell_at(r->at, n, out);
            return;
        }
}
