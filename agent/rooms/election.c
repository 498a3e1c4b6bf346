// SPDX-License-Identifier: MIT
/* One look at the file in each poll decides: whose is it, how old is its last touch, which processes does it
 * name. A new list is written beside it and renamed over it, so that nobody reads half of one. */
#include "rooms/election.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adapters/log.h"

enum { ID_MAX = 40, PATH_BYTES = 320, TEXT_BYTES = ID_MAX + 1 + ELECTION_PROCESSES * 42 };
enum { FILE_MODE = 0644 };

struct election {
    char path[PATH_BYTES], tmp[PATH_BYTES + ID_MAX];
    char id[ID_MAX];
    char ours[TEXT_BYTES]; /* what we wrote last */
    bool won, told;
    struct timespec mtime; /* of the file when we last saw it change */
    ino_t inode;
    double changed_at;
    struct process named[ELECTION_PROCESSES]; /* by another agent, whose file is fresh */
    unsigned nnamed;
};

/* The file as one look finds it. */
struct look {
    int fd; /* -1: there is none that we can read */
    struct stat st;
    char text[TEXT_BYTES];
};

struct election *election_new(const char *socket_path, unsigned version)
{
    uint64_t random = 0;
    struct election *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)(uintptr_t)e;
    snprintf(e->id, sizeof e->id, "%ld-%016" PRIx64, (long)getpid(), random);
    snprintf(e->path, sizeof e->path, "%s.once-poller.%u", socket_path, version);
    snprintf(e->tmp, sizeof e->tmp, "%s.%s", e->path, e->id);
    return e;
}

static void look_at(const struct election *e, struct look *l)
{
    l->text[0] = '\0';
    l->fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (l->fd < 0)
        return;
    ssize_t n = fstat(l->fd, &l->st) == 0 ? read(l->fd, l->text, sizeof l->text - 1) : -1;
    l->text[n > 0 ? n : 0] = '\0';
}

static void look_away(struct look *l)
{
    if (l->fd >= 0)
        close(l->fd);
}

static bool is_ours(const struct election *e, const struct look *l)
{
    size_t len = strlen(e->id);
    return l->fd >= 0 && strncmp(l->text, e->id, len) == 0 && l->text[len] == '\n';
}

/* The file has not been touched for two polls: by the wall clock, or, as that may step and a time in the
 * future says nothing, by what we have seen ourselves. */
static bool is_stale(struct election *e, const struct look *l, double now, double poll)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    bool same = l->st.st_mtim.tv_sec == e->mtime.tv_sec && l->st.st_mtim.tv_nsec == e->mtime.tv_nsec &&
                l->st.st_ino == e->inode;
    if (!same) {
        e->mtime = l->st.st_mtim;
        e->inode = l->st.st_ino;
        e->changed_at = now;
    }
    double age =
        (double)(wall.tv_sec - l->st.st_mtim.tv_sec) + (double)(wall.tv_nsec - l->st.st_mtim.tv_nsec) / 1e9;
    return age > 2 * poll || now - e->changed_at > 2 * poll;
}

static void read_names(struct election *e, const char *text)
{
    const char *line = strchr(text, '\n');
    e->nnamed = 0;
    while (line && *++line && e->nnamed < ELECTION_PROCESSES) {
        const char *end = strchr(line, '\n');
        if (!end)
            return;
        if (process_read(line, (size_t)(end - line), &e->named[e->nnamed]) == 0)
            e->nnamed++;
        line = end;
    }
}

static void write_names(const struct election *e, const struct process *polled, unsigned n,
                        char text[TEXT_BYTES])
{
    int at = snprintf(text, TEXT_BYTES, "%s\n", e->id);
    for (unsigned i = 0; i < n && i < ELECTION_PROCESSES; i++)
        at += snprintf(text + at, TEXT_BYTES - (size_t)at, "%" PRIu64 ".%" PRIu64 "\n", polled[i].pid,
                       polled[i].start_us);
}

static int put_file(const struct election *e, const char *text)
{
    size_t len = strlen(text);
    int fd = open(e->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -1;
    bool whole = write(fd, text, len) == (ssize_t)len;
    int error = whole ? 0 : errno;
    close(fd);
    if (whole && rename(e->tmp, e->path) == 0)
        return 0;
    error = error ? error : errno;
    unlink(e->tmp);
    errno = error;
    return -1;
}

static void tell(struct election *e, int failed)
{
    if (failed && !e->told)
        LOG(LOG_WARNING, "poller-file-not-written", log_text("file", e->path),
            log_text("error", strerror(errno)),
            log_text("way_out", "polled all the same; let the agent write there, or each agent polls"));
    e->told = failed;
}

/* Says that we poll: by touching what already says so, else by a new file. */
static void claim(struct election *e, const struct look *l, const struct process *polled, unsigned n)
{
    char text[TEXT_BYTES];
    write_names(e, polled, n, text);
    if (is_ours(e, l) && strcmp(text, e->ours) == 0 && futimens(l->fd, NULL) == 0)
        return;
    int failed = put_file(e, text);
    tell(e, failed);
    if (!failed)
        memcpy(e->ours, text, sizeof text);
}

void election_poll(struct election *e, const struct process *polled, unsigned n, bool willing, double now,
                   double poll)
{
    struct look l;
    look_at(e, &l);
    bool stale = l.fd >= 0 && is_stale(e, &l, now, poll);
    bool others = l.fd >= 0 && !stale && !is_ours(e, &l);
    e->nnamed = 0;
    if (others)
        read_names(e, l.text);
    e->won = !others && willing;
    if (e->won)
        claim(e, &l, polled, n);
    look_away(&l);
}

bool election_won(const struct election *e)
{
    return e->won;
}

bool election_names(const struct election *e, const struct process *p, double now, double poll)
{
    if (now - e->changed_at > 2 * poll)
        return false;
    for (unsigned i = 0; i < e->nnamed; i++)
        if (process_same(&e->named[i], p))
            return true;
    return false;
}

void election_free(struct election *e)
{
    if (!e)
        return;
    struct look l;
    look_at(e, &l);
    if (is_ours(e, &l))
        unlink(e->path);
    look_away(&l);
    free(e);
}
