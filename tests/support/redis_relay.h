// SPDX-License-Identifier: MIT
/* A relay between a room's agent and its Redis, in the test's loop; one for each test program.
 *
 *   redis adapter ──► relay ──► redis-server
 *                      └── holds replies back, or cuts the connection, when told to */
#ifndef REDIS_RELAY_H
#define REDIS_RELAY_H

#include "tests/support/room_fixture.h"

/* The room's agent connects to Redis anew, through the relay; returns when it is ready. */
void relay_start(struct room *w);
/* Before room_stop(). */
void relay_stop(void);
/* While held, commands go through and replies do not; then they come at once. */
void relay_hold(bool hold);
/* The agent's connection goes, with the replies that were held; it may connect anew, and nothing is held. */
void relay_cut(void);

#endif
