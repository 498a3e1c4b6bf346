// SPDX-License-Identifier: MIT
/* READY=1, then WATCHDOG=1 again and again; RELOADING=1 and READY=1 around a reload; STOPPING=1 at the end. */
#include "supervisor.h"

#include <stdint.h>
#include <systemd/sd-daemon.h>

enum { SAYS_ALIVE = 3 }; /* times in the watchdog's time */

static void on_alive(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)t;
    (void)revents;
    sd_notify(0, "WATCHDOG=1");
}

void supervisor_ready(struct supervisor *s, struct ev_loop *loop)
{
    uint64_t us = 0;
    s->loop = loop;
    ev_timer_init(&s->alive, on_alive, 0., 0.);
    if (sd_watchdog_enabled(0, &us) > 0 && us > 0) {
        s->alive.repeat = (double)us / 1e6 / SAYS_ALIVE;
        ev_timer_again(loop, &s->alive);
    }
    sd_notify(0, "READY=1");
}

void supervisor_reloading(void)
{
    sd_notify(0, "RELOADING=1");
}

void supervisor_reloaded(void)
{
    sd_notify(0, "READY=1");
}

void supervisor_stopping(double patience)
{
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu", (unsigned long long)(patience * 1e6));
}

void supervisor_free(struct supervisor *s)
{
    ev_timer_stop(s->loop, &s->alive);
}
