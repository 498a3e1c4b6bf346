// SPDX-License-Identifier: MIT
/* What is left behind when the process dies of its own mistake, so that it is seen and counted.
 *
 *   fault ──► log: crashed signal= address= pid=     ──► the same signal again: core, exit status,
 *             backtrace, one line for each frame          and the supervisor starts anew
 *             file: count + 1, signal, address, time ──► next start: log: crashed-before, metric
 *
 * SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT; whoever handled one before (a sanitizer) is asked afterwards.
 * The process has at most one such watch. */
#ifndef CRASH_H
#define CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads what the last run left in `file`, logs it, and takes the signals. "" is no file: crashes are logged
 * and not counted. The file (made with mode 600) is opened now, for a dying process cannot; it stays open
 * until the end. False, with a message in err, if it cannot be opened or holds something else: it is not
 * touched then. */
bool crash_watch(const char *file, char *err, size_t errlen);

/* Crashes that the file has counted, those of all runs; 0 without a file. */
uint64_t crash_count(void);

#endif
