// SPDX-License-Identifier: MIT
/* A timer says when the time is over; other callbacks may break out of the loop before, it is entered again.
 */
#include "tests/support/loop.h"

static void on_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)revents;
    *(bool *)t->data = true;
    ev_break(loop, EVBREAK_ONE);
}

void loop_run(struct ev_loop *loop, double seconds)
{
    bool over = false;
    ev_timer t;
    ev_now_update(loop);
    ev_timer_init(&t, on_over, seconds, 0.);
    t.data = &over;
    ev_timer_start(loop, &t);
    while (!over)
        ev_run(loop, 0);
}
