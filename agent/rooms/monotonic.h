// SPDX-License-Identifier: MIT
/* Seconds on a clock that nobody sets: ages and intervals must survive a step of the wall clock, which the
 * loop's own time does not. */
#ifndef MONOTONIC_H
#define MONOTONIC_H

#include <time.h>

static inline double monotonic_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#endif
