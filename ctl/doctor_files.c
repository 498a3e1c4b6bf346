// SPDX-License-Identifier: MIT
/* HAProxy's files, by the program that knows them: spoa-once -c -f AGENT'S --haproxy FILE.., with the environment, the user
 * and the groups that the agent has: it may have been taken over, and what it may not read it cannot check either. The files are those that are given, else those that the running HAProxy was started with. Each line that is said is a finding. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/doctor.h"
#include "ctl/peer.h"

enum { ARGS_MOST = 128, PROC_BYTES = 1 << 17, PROC_MOST = 1024, LINE_BYTES = 4096 };

static const char *const beside[] = {"/spoa-once", "/../sbin/spoa-once"};

/* The program that lies with this one, or the one that PATH finds. */
static void find_program(char out[PATH_MAX])
{
    char self[PATH_MAX / 2];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < sizeof beside / sizeof *beside; i++) {
        *slash = '\0';
        snprintf(out, PATH_MAX, "%s%s", self, beside[i]);
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, PATH_MAX, "spoa-once");
}

/* A file of /proc/PID whose texts end with NUL (cmdline, environ) as a list, which ends with NULL; how many. */
static size_t list_of(long pid, const char *name, char bytes[PROC_BYTES], char *list[PROC_MOST])
{
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(bytes, 1, PROC_BYTES - 1, f) : 0;
    if (f)
        fclose(f);
    bytes[len] = '\0';
    for (size_t at = 0; at < len && n < PROC_MOST - 1; at += strlen(bytes + at) + 1)
        list[n++] = bytes + at;
    list[n] = NULL;
    return n;
}

/* What the configuration names as ${NAME} stands in the agent's environment; without a right to see it, ours must do. With root's rights
 * whatever is loaded by it (LD_PRELOAD) would be root's: those are gone behind this. */
static void take_place(const struct doctor *d)
{
    static char bytes[PROC_BYTES], *list[PROC_MOST];
    struct peer agent;
    const char *failed = NULL;
    if (!peer_of(d->c->socket, &agent))
        failed = d->c->socket;
    else if (peer_stands(&agent) && list_of(agent.pid, "environ", bytes, list) > 0)
        environ = list;
    if (!failed)
        failed = peer_become(&agent);
    if (!failed)
        return;
    dprintf(STDERR_FILENO,
            "oncectl: HAProxy's files are not checked, the agent's user is not taken on: %s: %s\n", failed,
            strerror(errno));
    _exit(127);
}

/* The program as it is run: ARGS_MOST words at the most; the last is NULL. */
static void run_check(const struct doctor *d, int out, const char *program, char *const *files)
{
    static char *argv[ARGS_MOST];
    const char *head[] = {"spoa-once", "-c", "-q", "-f", json_string_value(json_object_get(d->site, "file")),
                          "--haproxy"};
    size_t n = sizeof head / sizeof *head;
    memcpy(argv, head, sizeof head); /* execvp() changes none of them */
    while (*files && n < ARGS_MOST - 1)
        argv[n++] = *files++;
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    take_place(d);
    execvp(program, argv);
    fprintf(stderr, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static void read_lines(struct doctor *d, FILE *said)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, said)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line)
            doctor_pass_on(d, FINDING_FILES, strstr(line, ": warning [") != NULL, line);
    }
}

/* files: ends with NULL. */
static void check(struct doctor *d, char *const *files)
{
    char program[PATH_MAX];
    int ends[2];
    find_program(program);
    if (pipe(ends) != 0)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_check(d, ends[1], program, files);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    if (said) {
        read_lines(d, said);
        fclose(said);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

/* The files behind -f on the command line of a HAProxy, moved to the front of its words; how many. */
static size_t files_of(char **words)
{
    size_t n = 0;
    for (char **w = words; *w; w++)
        if (strcmp(*w, "-f") == 0 && w[1])
            words[n++] = *++w;
    words[n] = NULL;
    return n;
}

void doctor_files(struct doctor *d)
{
    static char bytes[PROC_BYTES], *words[PROC_MOST], file[] = "/etc/haproxy/haproxy.cfg";
    char *const by_default[] = {file, NULL};
    if (d->c->nargs > 0) {
        check(d, d->c->args);
        return;
    }
    for (unsigned i = 0; i < d->npids; i++) {
        list_of(d->pids[i], "cmdline", bytes, words);
        if (files_of(words) > 0)
            check(d, words);
        else
            fprintf(
                stderr,
                "oncectl: which files HAProxy %ld has read cannot be seen here: name them behind doctor\n",
                d->pids[i]);
    }
    if (d->npids == 0 && access(file, R_OK) == 0)
        check(d, by_default);
}
