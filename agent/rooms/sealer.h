// SPDX-License-Identifier: MIT
/* Seals what is stored of answers and opens it again, with the keys of the configuration (replay.seal_keys);
 * counts, and says which key is missing.
 *
 *   response ──► txn_report ──close──► completion ──► Redis ──► replay, txn_request ──open──► client
 *
 * Without keys nothing is sealed. What is not sealed passes as it is: it was stored before there were keys.
 */
#ifndef SEALER_H
#define SEALER_H

#include <ev.h>

#include "domain/config.h"
#include "domain/metrics.h"
#include "domain/seal.h"

struct sealer;

struct sealer *sealer_new(struct ev_loop *loop, struct config *c, struct metrics *metrics);
void sealer_free(struct sealer *s);
/* Other keys from now on. */
void sealer_reconfigure(struct sealer *s, struct config *c);

/* Seals what stands in b behind `from`, if there are keys. b->failed: nothing of it may be stored. */
void sealer_close(struct sealer *s, struct buf *b, size_t from, const struct seal_place *at);
/* Makes of what was stored what it was; true, and *bytes is valid until the next call. False: it cannot be
 * opened; that is logged and counted. */
bool sealer_open(struct sealer *s, struct spop_slice *bytes, const struct seal_place *at);

#endif
