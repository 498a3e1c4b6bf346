// SPDX-License-Identifier: MIT
/* The agent's rooms around a private redis-server, without HAProxy: a test plays it with spop_peer.
 *
 *   peer ──unix socket──► sessions ──► txn ──► redis ──► redis-server
 *                                        └───► completion, inflight, replay (all real)
 *
 * The configuration is a file as an operator writes it (room_config below), then what the test adds.
 * Policies: payments (release), held (hold), both (a key and a limit), each (a key, limits of each kind), quotes (a
 * limit only), slots (one in flight; only a PUT has a key), waits (a duplicate waits for 1 s; two in an hour, four with those that wait; fails
 * open), patient (the same without limits), costly (a key; three in an hour, by the argument cost),
 * lent, lent-open (100 an hour, lent in loans of 20), lent-key (a key; nine in an hour, and two limits that are lent, one counts all), lent-sole (a
 * key, and one that is lent), two (five in an hour for each address, three for all),
 * seats (a key; one in flight for each argument seat). None asks for a poller. Caches: pages (public, stale for an hour, tags), mine (for
 * each user; only the parameter page counts), metered (three in an hour), lenient (the same, fails open). */
#ifndef ROOM_FIXTURE_H
#define ROOM_FIXTURE_H

#include "domain/record.h"
#include "rooms/session.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/spop_peer.h"

enum { ROOM_DEADLINE_MS = 200, ROOM_RECORD_S = 7200 };

struct room {
    struct redis_fixture redis; /* server, loop, config, metrics, adapter */
    struct gate gate;
    struct limit_counts limits; /* by policy and limit */
    struct cache_counts caches; /* by policy */
    struct sessions *sessions;
    char address[128];        /* of the sessions' listener, as in a configuration */
    char replay_address[128]; /* of the replay listener */
    struct buf raw;           /* the record that room_record() opened */
};

/* Everything runs, Redis is ready. `more`: text of further sections, "" for none. */
void room_start(struct room *r, const char *more);
/* From now on limits are decided as in a cluster, on this one Redis: those that lie apart from the record are asked before it. */
void room_split(struct room *r);
/* A configuration as room_start() makes it, to be dropped by the caller. */
struct config *room_config(struct room *r, const char *more);
/* Nothing may be left, and no key in Redis without a TTL. */
void room_stop(struct room *r);

/* A connection that has said HELLO; frames of 16380 bytes. */
void room_dial(struct room *r, struct peer *p);
/* A request as HAProxy's once-request says it; sent. */
void room_request(struct peer *p, uint64_t stream, const char *policy, const char *key, const char *rid);
/* The same up to its arguments: more of them may follow, then peer_end(). content_length: what another payload would have. */
void room_begin(struct peer *p, uint64_t stream, const char *message, const char *policy, const char *key,
                const char *rid, int64_t content_length);
/* The same, made and not yet sent. */
void room_request_of(struct peer *p, uint64_t stream, const char *message, const char *policy,
                     const char *key, const char *rid, int64_t content_length);
/* Asked again, by policy payments, since the connection was lost with the message of rid `lost`; sent. */
void room_again(struct peer *p, uint64_t stream, const char *message, const char *key, const char *rid,
                const char *lost);

/* The only record in Redis; false: there is none. */
bool room_record(struct room *r, struct record *out);
/* Its state, or '-'. */
char room_state(struct room *r);
/* Turns the loop until it is in this state. */
void room_until_state(struct room *r, char state);
/* Turns the loop until the counter or gauge has this value. */
void room_until(struct room *r, enum metric m, uint64_t value);
void room_turn(struct room *r, double seconds);
uint64_t room_counted(const struct room *r, enum metric m);
/* Decisions of the limit of that name in that policy. */
uint64_t room_decided(const struct room *r, const char *policy, const char *limit, enum limit_decision d);
/* Stops and wakes the redis-server. */
void room_freeze(struct room *r);
void room_thaw(struct room *r);

#endif
