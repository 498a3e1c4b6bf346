// SPDX-License-Identifier: MIT
/* spoa-once: what the command line says, signals, and one agent on one loop.
 *
 *   SIGTERM, SIGINT   drain, then end; a second one ends at once
 *   SIGHUP            reload; the old configuration stays if the new one is bad
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/conffile.h"
#include "adapters/crash.h"
#include "adapters/libraries.h"
#include "adapters/log.h"
#include "agent.h"
#include "cmdline.h"
#include "haproxy_check.h"
#include "ready.h"
#include "supervisor.h"
#include "domain/buf.h"
#include "domain/decided.h"
#include "domain/hacheck.h"
#include "domain/options.h"
#include "domain/record.h"
#include "version.h"

static void print_version(unsigned verbose)
{
    printf("spoa-once " SPOA_ONCE_VERSION "\n");
    if (verbose < 2)
        return;
    for (const struct library *l = libraries; l->name; l++)
        printf("%s %s%s", l->name, l->version(), l[1].name ? ", " : "\n");
    printf("SPOP 2.0, record version %d, compiler %s\n", RECORD_VERSION, __VERSION__);
}

static void print_table(void (*print)(struct buf *))
{
    struct buf b;
    buf_init(&b);
    print(&b);
    fwrite(b.data, 1, b.len, stdout);
    buf_free(&b);
}

static void print_limits(const struct config *c)
{
    struct buf b;
    buf_init(&b);
    decided_print(&b, c);
    if (b.len > 0) /* a file may have no limit */
        fwrite(b.data, 1, b.len, stdout);
    buf_free(&b);
}

static void say_mistake(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    if (line)
        fprintf(stderr, "%s:%u: %s\n", file, line, text);
    else
        fprintf(stderr, "%s: %s\n", file, text);
}

static void log_mistake(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    LOG(LOG_ERROR, "config", log_text("file", file), log_int("line", line), log_text("error", text));
}

static void say_warning(void *arg, const struct config_place *at, const char *text)
{
    fprintf(stderr, "%s: warning: option '%s': %s\n", (const char *)arg, at->option, text);
}

struct process {
    struct agent *agent;
    const struct command_line *line;
    struct supervisor supervisor;
    ev_signal term, intr, hup;
};

/* -q wins over the file, also after a reload. */
static void quieten(struct config *c, const struct command_line *line)
{
    if (line->quiet && c->log.level > LOG_WARNING)
        c->log.level = LOG_WARNING;
}

/* Seconds between the end of the drain and that of the process. */
static const double stop_margin = 5;

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    struct process *p = w->data;
    supervisor_stopping(agent_drain(p->agent) + stop_margin);
}

static void on_reload(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    struct process *p = w->data;
    supervisor_reloading();
    struct config *c = conffile_read(p->line->file, log_mistake, NULL);
    if (c) {
        quieten(c, p->line);
        agent_reload(p->agent, c);
        config_drop(c);
    } else {
        agent_reload_failed(p->agent, p->line->file);
    }
    supervisor_reloaded();
}

static void watch(struct ev_loop *loop, ev_signal *w, int number,
                  void (*fn)(struct ev_loop *, ev_signal *, int), struct process *p)
{
    ev_signal_init(w, fn, number);
    w->data = p;
    ev_signal_start(loop, w);
}

/* The parent of a daemon waits here until the child has started, or has not, and says so by its exit. */
static int become_daemon(void)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child > 0) {
        char started;
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &started, 1) == 1 ? 0 : 1);
    }
    close(pipe_fds[0]);
    setsid();
    return pipe_fds[1];
}

/* Tells the waiting parent, and lets go of the terminal: a log that goes to a file or a pipe goes on. */
static void daemon_started(int parent)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        if (isatty(1))
            dup2(null, 1);
        if (isatty(2))
            dup2(null, 2);
        close(null);
    }
    if (write(parent, "1", 1) != 1)
        LOG(LOG_WARNING, "daemon", log_text("error", "the parent has gone"));
    close(parent);
}

static bool write_pid(const char *file)
{
    FILE *f = fopen(file, "we");
    if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0) {
        fprintf(stderr, "spoa-once: cannot write the pid file %s: %s\n", file, strerror(errno));
        return false;
    }
    return true;
}

enum { OTHER_DESCRIPTORS = 256 }; /* Redis, listeners, HAProxy's sockets, metrics */

/* Each connection is a descriptor. Shells and services begin with 1024, and may have more. */
static void allow_descriptors(const struct config *c)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)c->spop.max_connections + c->replay.max_connections + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_max < wanted)
        LOG(LOG_WARNING, "few-descriptors", log_int("limit", (int64_t)limit.rlim_max),
            log_int("wanted", (int64_t)wanted),
            log_text("way_out", "raise LimitNOFILE or ulimit -Hn, or lower spop.max_connections"));
}

static int serve(struct config *c, const struct command_line *line)
{
    int parent = line->daemon ? become_daemon() : -1;
    if (line->daemon && parent < 0) {
        fprintf(stderr, "spoa-once: cannot go to the background: %s\n", strerror(errno));
        return 1;
    }
    char err[512];
    if (!crash_watch(c->crash.file, err, sizeof err)) {
        LOG(LOG_ERROR, "start-failed", log_text("option", "crash.file"), log_text("error", err));
        return 1;
    }
    allow_descriptors(c);
    signal(SIGPIPE, SIG_IGN);
    struct ev_loop *loop = ev_default_loop(0);
    struct process p = {.line = line};
    if (!loop || !(p.agent = agent_new(loop, c)))
        return 1;
    if (line->pidfile && !write_pid(line->pidfile)) {
        agent_free(p.agent);
        return 1;
    }
    watch(loop, &p.term, SIGTERM, on_stop, &p);
    watch(loop, &p.intr, SIGINT, on_stop, &p);
    watch(loop, &p.hup, SIGHUP, on_reload, &p);
    if (line->daemon)
        daemon_started(parent);
    supervisor_ready(&p.supervisor, loop);
    ev_run(loop, 0);
    supervisor_free(&p.supervisor);
    agent_free(p.agent);
    if (line->pidfile)
        unlink(line->pidfile);
    ev_loop_destroy(loop);
    return 0;
}

int main(int argc, char **argv)
{
    struct command_line line;
    int ended = cmdline_read(argc, argv, &line);
    if (ended >= 0)
        return ended;
    if (line.print) {
        line.print == 'v' ? print_version(line.verbose)
                          : print_table(line.print == 'O' ? options_print : hacheck_print);
        return 0;
    }
    if (sodium_init() < 0) {
        fprintf(stderr, "spoa-once: libsodium cannot be started: is /dev/urandom there?\n");
        return 1;
    }
    struct config *c = line.file ? conffile_read(line.file, say_mistake, NULL) : config_new();
    if (!c)
        return 1;
    int rc = line.nhaproxy > 0 ? haproxy_check(&line, c) : 0;
    if (line.ready) {
        rc = ready_ask(c->http.listen);
    } else if (!line.check) {
        quieten(c, &line);
        log_setup(c->log.format, c->log.level);
        rc = serve(c, &line);
    } else if (line.file) {
        config_warn(c, say_warning, c->file);
        if (!line.quiet) {
            printf("%s: the configuration is valid\n", line.file);
            print_limits(c);
        }
    }
    config_drop(c);
    return rc;
}
