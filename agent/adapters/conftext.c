// SPDX-License-Identifier: MIT
/* file ──load──► text      value ──expand──► value      file ──load──► one line ──► secret
 *
 * A secret's copy is wiped before its memory is given back. */
#include "adapters/conftext.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *err, size_t errlen, const char *what)
{
    snprintf(err, errlen, "%s", what);
    return -1;
}

static int read_all(int fd, size_t max, struct buf *out, char *err, size_t errlen)
{
    buf_reset(out);
    for (;;) {
        if (!buf_reserve(out, 4096))
            return fail(err, errlen, "out of memory");
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, errlen, strerror(errno));
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (out->len > max) {
            snprintf(err, errlen, "is longer than %zu bytes", max);
            return -1;
        }
    }
    if (out->len > 0 && memchr(out->data, 0, out->len))
        return fail(err, errlen, "is not a text: it has a NUL byte");
    out->data[out->len] = 0;
    return 0;
}

/* Without O_NONBLOCK a named pipe would hang a reload. */
int conftext_load(const char *path, size_t max, struct buf *out, uint32_t *mode, char *err, size_t errlen)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        snprintf(err, errlen, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    int rc;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = fail(err, errlen, "is not a regular file");
    else
        rc = read_all(fd, max, out, err, errlen);
    if (rc == 0 && mode)
        *mode = st.st_mode & 07777;
    close(fd);
    return rc;
}

/* The variable that `text` (behind "${") names; *end gets what follows the closing brace. */
static const char *variable(const char *text, const char **end, char *err, size_t errlen)
{
    char name[128];
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    if (len == 0 || len >= sizeof name || text[len] != '}') {
        fail(err, errlen, "'${' needs the name of an environment variable and '}' behind it");
        return NULL;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    *end = text + len + 1;
    const char *value = getenv(name);
    if (!value)
        snprintf(err, errlen, "the environment variable '%s' is not set", name);
    return value;
}

int conftext_expand(const char *text, struct buf *out, char *err, size_t errlen)
{
    buf_reset(out);
    while (*text) {
        size_t plain = strcspn(text, "$");
        buf_put(out, text, plain);
        text += plain;
        if (!*text)
            break;
        if (text[1] == '$') {
            buf_str(out, "$");
            text += 2;
        } else if (text[1] == '{') {
            const char *value = variable(text + 2, &text, err, errlen);
            if (!value)
                return -1;
            buf_str(out, value);
        } else {
            return fail(err, errlen, "a lone '$': write \"$$\" for a dollar, \"${NAME}\" for a variable");
        }
    }
    buf_u8(out, 0);
    return out->failed ? fail(err, errlen, "out of memory") : 0;
}

/* The secret must not stay in memory that is given back. */
static void forget(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_free(b);
}

static int one_line(struct buf *b, config_text out, char *err, size_t errlen)
{
    if (b->len > 0 && b->data[b->len - 1] == '\n')
        b->len--;
    if (b->len > 0 && b->data[b->len - 1] == '\r')
        b->len--;
    if (b->len == 0)
        return fail(err, errlen, "is empty");
    if (b->len > CONFIG_TEXT_MAX || memchr(b->data, '\n', b->len))
        return fail(err, errlen, "must be one line of at most 255 characters");
    memcpy(out, b->data, b->len);
    out[b->len] = '\0';
    return 0;
}

int conftext_secret(const char *path, config_text out, char *err, size_t errlen)
{
    struct buf b;
    uint32_t mode = 0;
    buf_init(&b);
    int rc = conftext_load(path, 4096, &b, &mode, err, errlen);
    if (rc == 0 && mode & 04) {
        snprintf(err, errlen, "may be read by everybody (mode %04o): chmod o-r", (unsigned)mode);
        rc = -1;
    }
    if (rc == 0)
        rc = one_line(&b, out, err, errlen);
    forget(&b);
    return rc;
}
