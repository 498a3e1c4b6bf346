// SPDX-License-Identifier: MIT
/* The agent: owns every room, in the order in which they need each other.
 *
 *   agent ─┬─ redis ──► completion ──► inflight ──► notices
 *          ├─ replay, exporter (HTTP)
 *          └─ gate ──► sessions (SPOP)
 *
 * It starts whole or not at all, takes a new configuration whole or not at all, and drains before it ends. */
#ifndef AGENT_H
#define AGENT_H

#include <ev.h>
#include "domain/config.h"

struct agent;

/* Opens every socket that c names; what cannot be opened is logged. NULL if anything failed. Holds c. */
struct agent *agent_new(struct ev_loop *loop, struct config *c);
/* Takes over a new configuration; false, and nothing has changed, if it needs a restart (logged, with the
 * option). */
bool agent_reload(struct agent *a, struct config *c);
/* The new configuration could not be read (its mistakes are logged): the old one stays. */
void agent_reload_failed(struct agent *a, const char *file);
/* Health checks fail, work goes on; the loop ends when nothing is left to be done, at the latest after
 * stop.drain: so many seconds are returned. A second call ends it at once. */
double agent_drain(struct agent *a);
void agent_free(struct agent *a);

#endif
