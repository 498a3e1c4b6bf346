// SPDX-License-Identifier: MIT
/* What the files of the transaction room share: the object, and how it ends.
 *
 *   txn.c         the object, the message's dispatch     txn_request.c   request messages: up to the claim
 *   txn_claim.c   the claim, its reply                   txn_wait.c      busy keys, duplicates that wait
 *   txn_shield.c  what is said without Redis             txn_shared.c    one claim for all that ask at once
 *   txn_report.c  response and refused messages          txn_counts.c    outcomes and limits, counted */
#ifndef TXN_INNER_H
#define TXN_INNER_H

#include "domain/facts.h"
#include "domain/outcome.h"
#include "domain/plan.h"
#include "rooms/parking.h"
#include "rooms/sharing.h"
#include "rooms/txn.h"
#include "spop/writer.h"

enum { TXN_ACK_MAX = 4096 };

struct txn {
    struct gate *gate;
    struct txn_owner *owner; /* NULL: the connection has gone */
    struct txn *next, *prev; /* the owner's list; next also the free list */
    uint64_t stream_id, frame_id;
    struct config *config; /* held */
    ev_tstamp began;       /* ev_now() */
    bool full;             /* spop.max_pending others wait already: it must not wait */
    /* request */
    struct plan plan;
    double came;         /* monotonic_now(): when it wanted to claim */
    double asked;        /* monotonic_now(): when its claim was sent */
    double deadline;     /* monotonic_now(): until when a `go` may be said */
    bool looked;         /* HAProxy's table has been asked about what keeps the key busy */
    uint64_t fence;      /* of the record whose rest is being fetched */
    struct outcome seen; /* the grant that replicas must have, or what is looked up; without slices */
    struct acks_waiter waiter;
    struct share share;
    struct parked parked;
    double wait_until; /* monotonic_now(): how long it may wait for another one's outcome; 0: not at all */
    double gives_up;   /* with wait_until: when HAProxy stops waiting for this ACK */
    bool waited;       /* it has been parked: something else ran under this key then */
    /* response */
    struct completion_ticket *ticket;
    bool settles; /* a confirmed word settles the execution; else it is only recorded */
    ev_timer patience;
};

/* An open ACK for t in the room's scratch memory. */
struct spop_writer *txn_ack(struct txn *t);
/* Sends it to the owner, if there is one, and frees t. grant: see txn_answer_fn; taken back where there is no
 * owner. */
void txn_end(struct txn *t, const struct grant *grant);
/* ACK without any variable: HAProxy finds no verdict and refuses. */
void txn_end_empty(struct txn *t);
/* ACK with a refusal. */
void txn_deny(struct txn *t, enum problem p, const char *detail, unsigned retry_s);

/* Whatever claim was made on that record under that rid is nobody's: released when Redis is asked next, or behind not_before
 * (ev_time()). */
void txn_release_rid(struct txn *t, const struct record_id *id, const uint8_t rid[8], ev_tstamp not_before);

/* Bytes of head and body that this HAProxy can buffer: tune.bufsize (its frames are 4 bytes smaller) less
 * tune.maxrewrite (spop.maxrewrite; half of it where that is not known). Only before the message's callback returns. */
size_t txn_buffer(const struct txn *t);

/* txn_claim.c */
/* Could a claim be sent now, and would its answer count? */
bool txn_may_claim(const struct txn *t);
void txn_claim(struct txn *t);
/* The same, for one that has waited behind another one's claim. */
void txn_ask(struct txn *t);
/* What another one was told holds for it; *o stays as it is. */
void txn_told(struct txn *t, const struct outcome *o);
/* Its claim was not sent, or Redis has answered it, or another one's that holds for it, with an error: nothing was done. */
void txn_failed(struct txn *t);
/* What Redis has decided cannot be heard out, or it must not be asked: 503, or only counted. */
void txn_error(struct txn *t, const char *detail);
/* A line in the log, with its policy; at most ten a second. */
void txn_warn(struct txn *t, const char *event, const char *why);

/* txn_wait.c */
/* Must an agent poll the HAProxy that it came from? */
bool txn_needs_poller(const struct plan *p);
/* Its key is busy: HAProxy's table is asked, once for each request, before 409 is said. False: it is not. */
bool txn_look(struct txn *t, const struct outcome *o);
/* How long it may wait; age and timeout of the message in seconds, timeout 0: not known, so it must not. */
void txn_wait_until(struct txn *t, double now, double age, double timeout);
/* Its key is busy: it waits, or waits on. False: it may not, 409 is to be said. */
bool txn_wait(struct txn *t, const struct outcome *o);
/* It waits, and could not be decided just now; nothing was done. False: it does not wait. True: t may be
 * gone. */
bool txn_wait_on(struct txn *t);
/* If it waits: what it is told holds for all that wait with it; it no longer waits. */
void txn_share(struct txn *t, const struct outcome *o);
/* If it waits: no longer. */
void txn_stop_waiting(struct txn *t, enum parked_end end);

/* txn_shield.c */
/* Is it over a limit that it is known to be over? True: it was refused, without Redis, and t is gone. */
bool txn_shielded(struct txn *t);
/* Has Redis just said that this key is finished, and does no limit count replays? True: it was replayed, without Redis, and t is
 * gone. */
bool txn_replayed(struct txn *t);
/* A refusal by limits is remembered, and what was charged since (rooms/shield). */
void txn_shield_learn(struct txn *t, const struct outcome *o);

/* txn_shared.c */
/* What one asker's reply says to those behind it, and who they are; the asker may be gone. */
struct said {
    struct share *behind; /* NULL: nobody, and nothing else is set */
    struct plan plan;     /* the asker's */
    double asked;         /* monotonic_now(): when the asker's claim was sent */
    struct outcome outcome;
    bool failed;  /* an error of Redis' own, no outcome */
    bool granted; /* it was a grant, and the outcome is what the gate says behind it */
};

/* True: another one of its kind asks already, and it waits behind that one. */
bool txn_waits_behind(struct txn *t);
/* t has its reply; NULL: an error. Before it acts on it: nobody waits behind it any more. The outcome's slices are borrowed
 * until txn_tell_behind(). */
void txn_take_behind(struct txn *t, const struct outcome *o, struct said *s);
/* It has acted: those behind it are told, as far as it holds for them, then the others ask for themselves. */
void txn_tell_behind(struct said *s);
/* Those who waited behind one that has no answer for them. */
void txn_ask_anew(struct share *list);

/* txn_counts.c */
void txn_count_outcome(struct txn *t, const struct outcome *o);
/* Counts what each limit has said; or, where Redis has said nothing and the request passes, that. */
void txn_limits_said(struct txn *t, const struct outcome *o);
void txn_limits_uncounted(struct txn *t);
/* It is refused, counted or not: for what it says itself, or by HAProxy, which gets no verdict then. */
void txn_counted(struct txn *t);
/* 503, to be tried again in a second; where it was only to be counted, txn_counted(). */
void txn_unavailable(struct txn *t, const char *detail);

void txn_request(struct txn *t, const struct request_facts *f);
void txn_charge(struct txn *t, const struct request_facts *f);
void txn_refused(struct txn *t, const struct request_facts *f);
void txn_response(struct txn *t, const struct response_facts *f);

#endif
