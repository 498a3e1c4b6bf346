// SPDX-License-Identifier: MIT
/* What the supervisor is told: sd_notify(3), by which systemd knows a start that has ended, a reload, a drain, and that the loop
 * still turns. Under another supervisor, or none, NOTIFY_SOCKET is not set and nothing is said. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <ev.h>

struct supervisor {
    struct ev_loop *loop;
    ev_timer alive;
};

/* The agent serves. From now on, where a watchdog waits (WATCHDOG_USEC: microseconds), it hears three times in that time, as long
 * as the loop turns. */
void supervisor_ready(struct supervisor *s, struct ev_loop *loop);
void supervisor_reloading(void);
void supervisor_reloaded(void);
/* patience: seconds that the end may take from now on, whatever the unit's TimeoutStopSec says. */
void supervisor_stopping(double patience);
void supervisor_free(struct supervisor *s);

#endif
