// SPDX-License-Identifier: MIT
/* For tests of the scripts: a real redis-server, one policy, one plan, and the way from a plan or a word
 * through domain/script to Redis and back through domain/outcome.
 *
 *   plan ─ script_claim ─► redis ─ outcome_read ─► outcome        word ─ script_word ─► redis ─► one byte
 *
 * Names of the lock: LOCK_S seconds; record: TTL_S seconds. Every test begins with an empty Redis and ends
 * with a look for keys without TTL. */
#ifndef GATE_FIXTURE_H
#define GATE_FIXTURE_H

#include "domain/record.h"
#include "domain/script.h"
#include "tests/support/redis_server.h"

enum { LOCK_S = 30, TTL_S = 7000, REBUILT_TTL_S = 7100, HEARTBEAT_US = 10000000 };

struct gate {
    struct redis_server redis;
    redisContext *listener; /* subscribed to once:w:* */
    struct buf out, raw;
    struct policy policy;
    struct plan plan;
    struct outcome outcome;
    const struct mark *mark; /* that a claim compares; NULL: none */
    redisReply *reply;       /* of the last claim: the outcome's slices point into it */
};

/* cmocka: group setup and teardown, test setup and teardown. */
int gate_start(void **state);
int gate_stop(void **state);
int gate_begin(void **state);
int gate_end(void **state);

/* Kind of the outcome; 'E': Redis answered with an error (g->reply has it); '?': outcome_read() refused it.
 */
char gate_claim(struct gate *g);
char gate_claim_with(struct gate *g, uint64_t deadline_us, uint64_t contact_us, bool tell_me);
/* Claims as another request: rid made of this byte. */
char gate_claim_as(struct gate *g, uint8_t rid);
/* Adds a limit to plan and policy: n requests per seconds, burst as many; subject made of this byte. Its
 * hash is 0x80000001 and how many there are before it of that subject. */
void gate_limit(struct gate *g, unsigned n, unsigned seconds, uint8_t subject);
/* The same with a sliding window; no other limit may have its subject. */
void gate_window(struct gate *g, unsigned n, unsigned seconds, uint8_t subject);

/* Adds a limit of so many in flight; subject made of this byte. */
void gate_slot(struct gate *g, unsigned most, uint8_t subject);
/* From now on claims have no key: their records only hold slots. */
void gate_bare(struct gate *g);

/* The token of the granted claim, and a word about it. */
struct token gate_token(const struct gate *g);
struct word gate_word_of(const struct gate *g, enum script_id script);
/* Reply byte of a word or of one extend; 'E' for an error. */
char gate_say(struct gate *g, const struct word *w);

/* The record as Redis has it; false: none. Slices point into g->raw. */
bool gate_look(struct gate *g, struct record *r);
/* Writes a record with this TTL. */
void gate_plant(struct gate *g, const struct record *r, unsigned ttl_ms);
void gate_plant_raw(struct gate *g, const void *bytes, size_t len, unsigned ttl_ms);
long long gate_pttl(struct gate *g);
/* Key texts; static memory, each overwritten by its next call. */
const char *gate_record_key(const struct gate *g);
const char *gate_pending_key(const struct gate *g, uint64_t fence);
const char *gate_limit_key(const struct gate *g, unsigned limit);
const char *gate_slot_key(const struct gate *g, unsigned slot);
uint64_t gate_now_us(struct gate *g);
/* How many waiters were told since the last call; *state: what the last one was told. */
unsigned gate_told(struct gate *g, char *state);

#endif
