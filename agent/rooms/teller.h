// SPDX-License-Identifier: MIT
/* Words that go straight to Redis and are never queued: extend and resolve (PROTOCOL, Words). What is not
 * confirmed is said again by the next listing, if it is still true then. Keeps account of whether Redis
 * confirms: a poller that is not heard gives way to another. */
#ifndef TELLER_H
#define TELLER_H

#include "adapters/redis.h"
#include "domain/buf.h"
#include "rooms/acks.h"

struct teller;

/* reply: one byte for each token; ptr NULL: not confirmed. */
typedef void teller_fn(void *arg, struct spop_slice reply);

struct teller *teller_new(struct ev_loop *loop, struct redis *redis);
/* Calls that are on their way are forgotten: fn is not called. */
void teller_free(struct teller *t);

/* Sends one command; after a second it counts as not confirmed. False, and fn is not called: Redis is not there. */
bool teller_say(struct teller *t, const struct buf *command, teller_fn *fn, void *arg);
/* The same for a word that counts only when replicas have it (PROTOCOL: resolve). Its reply is one byte. */
bool teller_say_safely(struct teller *t, const struct buf *command, teller_fn *fn, void *arg);
/* Whom teller_say_safely() asks; NULL: nobody. */
void teller_set_acks(struct teller *t, struct acks *acks);
/* Must the keys of one command have one TAG (a cluster)? */
bool teller_by_tag(const struct teller *t);
/* Redis is there (of a cluster every primary: an agent that is cut off from one gives way to an agent that is not), and no word has been without confirmation for longer than a poll. A failure is forgotten
 * after four polls, or nobody would try again. */
bool teller_confirmed(const struct teller *t, double poll);

#endif
