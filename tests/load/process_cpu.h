// SPDX-License-Identifier: MIT
/* What a process has used, from the operating system's accounting. */
#ifndef PROCESS_CPU_H
#define PROCESS_CPU_H

#include <stdint.h>

struct process_cpu {
    double seconds;    /* of CPU, all its threads, user and system */
    uint64_t resident; /* bytes */
};

/* -1: there is no such process, or it may not be looked at. Linux: /proc/PID/task/TID/schedstat, its first number, ns
 * (Documentation/scheduler/sched-stats.rst), and /proc/PID/statm. */
int process_cpu_read(long pid, struct process_cpu *out);

#endif
