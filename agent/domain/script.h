// SPDX-License-Identifier: MIT
/* The commands that go to Redis: one claim, and the words about an execution (docs/wire.md, Scripts;
 * PROTOCOL, Words). Everything is written as RESP into a buffer that the caller reuses; nothing is formatted
 * on the hot path but lengths. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "domain/buf.h"
#include "domain/mark.h"
#include "domain/outcome.h"
#include "domain/plan.h"
#include "domain/token.h"

/* One row for each file of redis-lua/ that is a script. */
#define SCRIPT_TABLE(X)                                                                                      \
    X(CLAIM, claim)                                                                                          \
    X(EXTEND, extend)                                                                                        \
    X(ANSWERED, answered)                                                                                    \
    X(COMPLETE, complete)                                                                                    \
    X(UNSTORABLE, unstorable)                                                                                \
    X(RELEASE, release)                                                                                      \
    X(RESOLVE, resolve)                                                                                      \
    X(RELEASE_RID, release_rid)                                                                              \
    X(MARK, mark)                                                                                            \
    X(SELFTEST, selftest)                                                                                    \
    X(OPERATOR, operator)                                                                                    \
    X(LOOK, look)                                                                                            \
    X(LEASE, lease)                                                                                          \
    X(FILLED, filled)                                                                                        \
    X(PURGE, purge)                                                                                          \
    X(LEND, lend)

enum script_id {
#define X(symbol, file) SCRIPT_##symbol,
    SCRIPT_TABLE(X)
#undef X
        SCRIPTS
};

struct script {
    const char *name;
    const char *text; /* as it is loaded, lib.lua in front */
    size_t len;
    char sha[41]; /* SHA-1 of text, hex */
};
extern const struct script scripts[SCRIPTS];

/* EVALSHA of the gate. deadline_us and contact_us are Redis times; 0: none. seen: the mark that Redis must still
 * have for a grant (only for a plan with a record); NULL: none. One command. Returns where in `out` its times stand
 * (script_claim_times()). */
size_t script_claim(struct buf *out, const struct plan *p, uint64_t deadline_us, uint64_t contact_us,
                    bool tell_me, const struct mark *seen);
/* A claim that is sent again gets other times, written in place. */
void script_claim_times(uint8_t *at, uint64_t deadline_us, uint64_t contact_us);

/* A Location that is longer as it is written (sealed or not) is left out: the claim's reply could not carry
 * it. */
enum { SCRIPT_LOCATION_MAX = 2048 };

enum { CORRELATION_BYTES = 65 }; /* its NUL included */

struct word {
    enum script_id script; /* ANSWERED .. RELEASE_RID */
    struct token token;    /* RELEASE_RID: only id and rid */
    unsigned status;
    char letter;                /* UNSTORABLE 'H'/'F'; RELEASE 'c'/'n'/'o'; RESOLVE 'T'/'F'/'H' */
    uint32_t ttl_s;             /* record TTL for a record that must be rebuilt */
    struct spop_slice location; /* ANSWERED, COMPLETE */
    const char *correlation;    /* of the request that it comes from, for the log; NULL: of none */
    struct spop_slice
        pending; /* ANSWERED, COMPLETE: what record_pack_done() wrote, is SET first; empty: nothing to SET */
};

/* Appends the command(s) of a word; returns how many (1, or 2 with the SET in front): the last one's reply
 * counts. */
unsigned script_word(struct buf *out, const struct word *w);
/* The same in two steps: the SET in front, its bytes are returned (0: there is none), and what stands behind it. */
size_t script_front(struct buf *out, const struct word *w);
void script_behind(struct buf *out, const struct word *w);

/* Appends one `extend` for n tokens (n <= SCRIPT_EXTEND_MAX). Reply: n bytes. */
enum { SCRIPT_EXTEND_MAX = 100 };
void script_extend(struct buf *out, const struct token *tokens, unsigned n, uint32_t ttl_s);

/* The question whether Redis has forgotten (domain/mark.h), of the mark of that name. may_begin: a lost mark is begun anew. */
void script_mark(struct buf *out, const char *name, const struct mark *seen, bool may_begin);

/* The question whether Redis' user may do all that the other commands will do. holds: REDIS_HOLDS_... Reply: `OK`, or the command that
 * is refused, a blank, Redis' words. */
void script_selftest(struct buf *out, unsigned holds, const uint8_t tag[2], bool cluster);

/* Asks how many replicas have all that was written until now, through whichever connection: two commands. The
 * first one has as many bytes as are returned; the second one's reply is the number. tag: of a key that a cluster's primary
 * has; NULL: there is no cluster. */
unsigned script_wait(struct buf *out, unsigned replicas, unsigned timeout_ms, const uint8_t *tag);

/* GET of a record. */
void script_get(struct buf *out, const struct record_id *id);

/* A look at Redis (domain/look.h opens the reply): at one record, or one step of a walk through all. */
struct script_look {
    const struct record_id *id; /* NULL: a walk */
    const char *cursor;         /* of a walk: "0", or what the step before has said */
    char kind;                  /* 'r' records, 'l' limits, 'c' slots */
    unsigned bytes;             /* of each value */
    const uint32_t *policy;     /* policy_hash(); NULL: of any */
    const uint8_t *who;         /* subject_who(); NULL: of any */
    const char *states;         /* letters of enum record_state; "": any */
};
/* A limits group outlives its last use by this: the clock may step back a little. */
enum { SCRIPT_GROUP_SLACK_MS = 60000 };
enum { SCRIPT_LOOK_STEP = 500 }; /* keys, some more now and then; some 1 ms of Redis' time */
void script_look(struct buf *out, const struct script_look *l);

/* What an operator says of the execution that has this fence. Reply: letter, state before, state now; the
 * letter alone where there is no such record. */
void script_operator(struct buf *out, const struct record_id *id, uint64_t fence, char word, bool forced,
                     unsigned status);
/* An operator's word that what limits have counted of a subject is to be forgotten. Reply: the number of keys, 0 or 1. */
void script_reset(struct buf *out, const struct record_id *subject);
/* An operator's word that what Redis has forgotten may be forgotten: SET of the mark of that name (domain/mark.h). */
void script_go(struct buf *out, const char *name);

/* Token of a claim that was granted. */
void script_token(const struct plan *p, uint64_t fence, struct token *t);
/* Token of the execution that keeps this claim out (BUSY): the gate has found its fingerprint to be the same,
 * and its policy is in the record's name. Only hold and lock are our file's: where they have changed since,
 * it is nobody's token. */
void script_token_busy(const struct plan *p, const struct outcome *o, struct token *t);

#endif
