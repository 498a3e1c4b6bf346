// SPDX-License-Identifier: MIT
/* One file for each thread; the scheduler counts in nanoseconds, where /proc/PID/stat has ticks of ten milliseconds. */
#include "tests/load/process_cpu.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static int read_number(const char *path, const char *format, unsigned long long *out)
{
    FILE *f = fopen(path, "r");
    int n = f ? fscanf(f, format, out) : 0;
    if (f)
        fclose(f);
    return n == 1 ? 0 : -1;
}

int process_cpu_read(long pid, struct process_cpu *out)
{
    char path[300];
    unsigned long long n;
    *out = (struct process_cpu){0};
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return -1;
    for (struct dirent *e; (e = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", pid, e->d_name);
        if (*e->d_name != '.' && read_number(path, "%llu", &n) == 0)
            out->seconds += (double)n / 1e9;
    }
    closedir(tasks);
    snprintf(path, sizeof path, "/proc/%ld/statm", pid);
    if (read_number(path, "%*u %llu", &n) < 0)
        return -1;
    out->resident = n * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}
