// SPDX-License-Identifier: MIT
/* HAProxy's files, by the program that knows them: spoa-once -c -f AGENT'S --haproxy FILE.., with the environment that the agent has. Each
 * line that it says is a finding. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/doctor.h"

enum { ARGS_MOST = 80, ENV_BYTES = 1 << 17, ENV_MOST = 1024, LINE_BYTES = 4096 };

static const char default_file[] = "/etc/haproxy/haproxy.cfg";
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

/* What the configuration names as ${NAME} stands in the agent's environment; without a right to see it, ours must do. */
static char **environment_of(json_int_t pid, char *bytes, char **list)
{
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%" JSON_INTEGER_FORMAT "/environ", pid);
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(bytes, 1, ENV_BYTES - 1, f) : 0;
    if (f)
        fclose(f);
    bytes[len] = '\0';
    for (size_t at = 0; at < len && n < ENV_MOST - 1; at += strlen(bytes + at) + 1)
        list[n++] = bytes + at;
    list[n] = NULL;
    return n > 0 ? list : environ;
}

static void run_check(const struct doctor *d, int out, const char *program)
{
    static char bytes[ENV_BYTES], *list[ENV_MOST];
    char *argv[ARGS_MOST + 8];
    const struct command *c = d->c;
    const char *args[ARGS_MOST + 8] = {
        "spoa-once", "-c", "-q", "-f", json_string_value(json_object_get(d->site, "file")), "--haproxy"};
    size_t n = 6;
    for (int i = 0; i < c->nargs && i < ARGS_MOST; i++)
        args[n++] = c->args[i];
    if (c->nargs == 0)
        args[n++] = default_file;
    environ = environment_of(json_integer_value(json_object_get(d->site, "pid")), bytes, list);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    memcpy(argv, args, sizeof argv); /* execvp() changes none of them */
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

void doctor_files(struct doctor *d)
{
    char program[PATH_MAX];
    int ends[2];
    if (d->c->nargs == 0 && access(default_file, R_OK) != 0)
        return;
    find_program(program);
    if (pipe(ends) != 0)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_check(d, ends[1], program);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    if (said) {
        read_lines(d, said);
        fclose(said);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}
