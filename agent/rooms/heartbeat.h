// SPDX-License-Identifier: MIT
/* What runs is extended: all executions that HAProxy lists as running, in batches, at half a heartbeat
 * (heartbeat = lock TTL / 3; PROTOCOL, Timing rules).
 *
 *   poll:  heartbeat_begin() ──true──► list the running ones ──► heartbeat_running() ──► extend, 100 a batch
 *              due for each TTL code of a token: its lock TTL says how often
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "domain/config.h"
#include "domain/listing.h"
#include "domain/metrics.h"
#include "rooms/teller.h"

struct heartbeat;

struct heartbeat *heartbeat_new(struct teller *teller, struct metrics *metrics);
void heartbeat_free(struct heartbeat *h); /* after the teller */
/* config is borrowed until the next call. */
void heartbeat_configure(struct heartbeat *h, const struct config *config);

/* The shortest heartbeat of the configured policies, in seconds: an older listing of what runs is worth nothing. */
double heartbeat_shortest(const struct heartbeat *h);
/* A poll begins: are the running ones to be listed? Those of the TTL codes that are due now are extended by
 * the heartbeat_running() calls that follow, until it says so again. Who cannot list them all now calls
 * heartbeat_again(): a listing that is still on its way is then walked with all codes due. */
bool heartbeat_begin(struct heartbeat *h, double now);
/* A worker's listing of what runs; what is settled is left alone. Returns how many of our tokens it held. */
unsigned heartbeat_running(struct heartbeat *h, struct listing *l);
/* Something was missed (a listing failed, a worker is new, Redis is back): all are due. */
void heartbeat_again(struct heartbeat *h);

#endif
