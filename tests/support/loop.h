// SPDX-License-Identifier: MIT
/* Turning a test's loop: for a time, or until something is true.
 *
 *   loop_run(loop, 0.2)                    0.2 s, whatever happens
 *   loop_until(loop, metrics.n == 3, 2)    as soon as it is true; not within 2 s: the test fails
 */
#ifndef LOOP_H
#define LOOP_H

#include <ev.h>
#include <stdbool.h>

void loop_run(struct ev_loop *loop, double seconds);

/* A macro, so that the condition is looked at again after each turn and stands in the message. */
#define loop_until(loop, condition, longest)                                                                 \
    do {                                                                                                     \
        for (ev_tstamp loop_end_ = ev_time() + (longest); !(condition) && ev_time() < loop_end_;)            \
            loop_run(loop, 0.005);                                                                           \
        assert_true(condition);                                                                              \
    } while (0)

#endif
