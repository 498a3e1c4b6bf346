// SPDX-License-Identifier: MIT
/* Which Redis is the primary, as the Sentinels say.
 *
 *   Sentinel ──┐                                       ┌── sentinel_doubt(): refused, replica, gone
 *   Sentinel ──┼─ answers: address, epoch ──► choice ──┤
 *   Sentinel ──┘                                │      └── sentinel_trust(): connected, ROLE says primary
 *                                               ▼
 *                                        primary(address)
 *
 * The highest epoch is the newest truth. An older one counts only when more than half of the Sentinels say
 * it, so one that was cut off with a dead primary leads nobody back to it; one that lies alone is tried once.
 * When no Sentinel answers, the choice stays as it was. */
#ifndef SENTINEL_H
#define SENTINEL_H

#include <ev.h>
#include "domain/config.h"
#include "domain/metrics.h"

struct sentinel;

/* The choice has changed. The sentinel may be freed inside. address: valid until then or until the next one.
 */
typedef void sentinel_primary_fn(void *arg, const char *address);

/* redis is read at creation only: its sentinels and what belongs to them. NULL: out of memory. */
struct sentinel *sentinel_new(struct ev_loop *loop, const struct redis_settings *redis,
                              sentinel_primary_fn *fn, void *arg, struct metrics *metrics);
void sentinel_free(struct sentinel *s); /* NULL is allowed */

/* This address could not be reached, or is no primary: the Sentinels are asked again, more often, and another
 * answer is tried if there is one. */
void sentinel_doubt(struct sentinel *s, const char *address);
/* It is the primary: its ROLE said so. */
void sentinel_trust(struct sentinel *s);

#endif
