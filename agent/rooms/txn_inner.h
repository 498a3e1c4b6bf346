// SPDX-License-Identifier: MIT
/* What the files of the transaction room share: the object, and how it ends.
 *
 *   txn.c         the object, the message's dispatch     txn_request.c   request messages: up to the claim
 *   txn_claim.c   the claim, its reply                   txn_wait.c      busy keys, duplicates that wait
 *   txn_shield.c  what is said without Redis             txn_shared.c    one claim for all that ask at once
 *   txn_report.c  response and refused messages          txn_counts.c    outcomes and limits, counted
 *   txn_cache.c   what the cache says of a request       txn_cache_look.c  how it finds that out
 *   txn_cache_wait.c  waiting for another one's answer   txn_fill.c      what a fetch has brought; unsafe methods
 *   txn_loans.c   what is on loan here, and limits that a cluster decides apart */
#ifndef TXN_INNER_H
#define TXN_INNER_H

#include "domain/cachestatus.h"
#include "domain/facts.h"
#include "domain/outcome.h"
#include "domain/plan.h"
#include "rooms/parking.h"
#include "rooms/sharing.h"
#include "rooms/txn.h"
#include "spop/writer.h"

enum { TXN_ACK_MAX = 4096 };

/* What an agent finds out about a request's cached answer. */
enum cache_seen {
    SEEN_ERROR, /* Redis did not say */
    SEEN_NONE,  /* nothing that this request may have */
    SEEN_FRESH,
    SEEN_TAKEN, /* stale, and this client takes it as it is */
    SEEN_STALE, /* stale, to be served while one request fetches */
    SEEN_504,   /* nothing, and it must not be fetched */
};
enum cache_fill { FILL_FREE, FILL_BUSY, FILL_NOT_STORABLE, FILL_FAILED };

/* Of a request that asks for a cached answer. */
struct txn_cache {
    struct txn_cache *next; /* spare ones */
    bool again;             /* it was told to wait: its limits have counted it */
    bool usable;            /* a request that the cache may answer */
    bool may_fill;          /* and whose answer may be stored for others */
    bool plain;             /* it takes what is fresh; else it wants more, and never waits for another one */
    bool authorization;
    bool admitted, unprotected,
        has_outcome; /* its limits have said yes, could not be asked, what they said is in txn.seen */
    bool looked;
    enum cachestatus_how how; /* why it is forwarded, as far as that is known */
    const struct policy *policy;
    struct cachecontrol directives;
    uint8_t url[CACHEKEY_DIGEST], scope[CACHEKEY_DIGEST];
    uint8_t values[VARY_MAX][VARY_VALUE];
    struct buf where; /* scheme, host and path, one after another */
    size_t scheme_len, host_len;
    unsigned mask,
        looks; /* names that are part of `entry`; how often Redis was asked since it came, or was woken */
    struct record_id entry;
    unsigned ntags;
    struct buf tags; /* ntags of CACHETAGS_DIGEST */
    double asked;    /* monotonic_now() */
    enum cache_seen seen;
    enum cache_fill fill;
    bool on_error;     /* what was found may be served if the backend fails */
    uint64_t found_us; /* asked_us of what was found */
    uint8_t lease[CACHEFILL_LEASE];
    uint8_t busy[CACHEFILL_LEASE]; /* another one's, as seen last; zeros: none */
    double lease_over;             /* monotonic_now(): until then at the most */
    struct record_id awaited;      /* the entry for which it is parked */
};

/* Limits that loans cover, or that are asked apart: out of the plan while its claim is made. */
struct lent {
    struct lent *next;             /* spare ones */
    unsigned n, waits;             /* waits: so many of them have not been answered yet */
    bool failed;                   /* one could not be asked */
    double asked;                  /* monotonic_now(): when those were */
    uint8_t at[CONFIG_LIMITS_MAX]; /* where each one stands in the plan */
    struct plan_limit limits[CONFIG_LIMITS_MAX];
    struct loans_slip slips[CONFIG_LIMITS_MAX];
    struct loans_wish wishes[CONFIG_LIMITS_MAX];
    double level[CONFIG_LIMITS_MAX];   /* ticks, as Redis said; negative: it was not asked */
    double wait_us[CONFIG_LIMITS_MAX]; /* of those that refuse: until they would pass */
};

struct txn {
    struct gate *gate;
    struct txn_owner *owner; /* NULL: the connection has gone */
    struct txn *next, *prev; /* the owner's list; next also the free list */
    uint64_t stream_id, frame_id;
    struct config *config;               /* held */
    ev_tstamp began;                     /* ev_now() */
    bool full;                           /* spop.max_pending others wait already: it must not wait */
    char correlation[CORRELATION_BYTES]; /* for the log; cut, `-`: none was told */
    /* request */
    struct plan plan;
    double came;         /* monotonic_now(): when it wanted to claim */
    double asked;        /* monotonic_now(): when its claim was sent */
    double deadline;     /* monotonic_now(): until when a `go` may be said */
    bool looked;         /* HAProxy's table has been asked about what keeps the key busy */
    uint64_t fence;      /* of the record whose rest is being fetched */
    struct outcome seen; /* the grant that replicas must have, or what is looked up; without slices */
    struct redis *from;  /* who has granted: whose replicas are asked */
    struct acks_waiter waiter;
    struct share share;
    struct lent *lent; /* NULL: no limit of it is lent */
    struct parked parked;
    double wait_until; /* monotonic_now(): how long it may wait for another one's outcome; 0: not at all */
    double gives_up;   /* with wait_until: when HAProxy stops waiting for this ACK */
    bool waited;       /* it has been parked: something else ran under this key then */
    /* response */
    struct completion_ticket *ticket;
    bool settles; /* a confirmed word settles the execution; else it is only recorded */
    ev_timer patience;
    struct txn_cache *cache; /* NULL: it does not ask for a cached answer */
    struct redis_call *cache_call;
    const struct policy *filled; /* whose answer is being stored; NULL: it is a purge */
    enum store_reason stored;
};

/* What a duplicate that waits costs, beside what its policy adds. */
_Static_assert(sizeof(struct txn) <= 2048, "docs/performance.md promises that");

/* The part that it has not yet; false: out of memory. */
bool txn_wants_cache(struct txn *t);
bool txn_wants_lent(struct txn *t);

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
/* The connection that its claim would take: clock, contact and room are asked of that one. */
struct redis *txn_home(const struct txn *t);
/* Could a claim be sent now, and would its answer count? now: monotonic_now(), here and below. */
bool txn_may_claim(const struct txn *t, double now);
void txn_claim(struct txn *t);
/* The same, for one that has waited behind another one's claim. */
void txn_ask(struct txn *t);
/* What its claim leaves out has been asked for: it is made now. failed: it could not be. */
void txn_gate(struct txn *t, bool failed);
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
bool txn_shielded(struct txn *t, double now);
/* Has Redis just said that this key is finished, and does no limit count replays? True: it was replayed, without Redis, and t is
 * gone. */
bool txn_replayed(struct txn *t, double now);
/* A refusal by limits is remembered, and what was charged since (rooms/shield). */
void txn_shield_learn(struct txn *t, const struct outcome *o);

/* txn_loans.c */
/* Do loans cover all of it? True: it passed, without Redis, and t is gone. */
bool txn_lent(struct txn *t);
/* Leaves out of the plan what loans cover, and in a cluster what does not lie in the slot of its claim, before that is written. False:
 * Redis is asked for that first, and txn_gate() comes when it has answered, or has not in time. */
bool txn_lend(struct txn *t);
/* What has become of that claim, NULL: not known, or nothing. The plan is whole again, and so is *o. */
void txn_lent_said(struct txn *t, struct outcome *o);
/* The outcome without what it says of lent limits: that is no level of Redis'. */
const struct outcome *txn_lent_unseen(const struct txn *t, const struct outcome *o, struct outcome *copy);

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

/* txn_request.c */
/* Its limits are asked: those that are known to refuse, then the cache and Redis at once. */
void txn_start_claim(struct txn *t, const struct request_facts *f);

/* txn_cache.c */
void txn_cache(struct txn *t, const struct request_facts *f);
/* Its limits let it pass; o NULL: they were not asked. unprotected: because Redis could not decide. */
void txn_cache_admitted(struct txn *t, const struct outcome *o, bool unprotected);
/* Says what follows from what was seen, once its limits let it pass; or goes on asking. */
void txn_cache_proceed(struct txn *t);
/* What another one of its lot was told, or itself: t is gone. */
struct cache_said {
    enum { SAID_PASS, SAID_REPLAY } verdict;
    enum cache_result result;
    char mark; /* of the cache id */
    struct record_id entry;
    uint64_t found_us;
};
void txn_cache_say(struct txn *t, const struct cache_said *said);
/* It goes to the backend to fetch the answer for all; asked_us: Redis' time before that. */
void txn_cache_fetch(struct txn *t, uint64_t asked_us);
/* What was seen, as it is served. */
struct cache_said txn_cache_served(const struct txn *t, char mark, enum cache_result result);

/* txn_cache_look.c */
/* Asks Redis; its answer comes to txn_cache_proceed(), with x->looked. */
void txn_cache_look(struct txn *t);
/* Asks to be the one who fetches. */
void txn_cache_lease(struct txn *t);
/* Nobody will fetch under that lease. */
void txn_cache_give_back(struct txn *t);
/* Names its entry by the names of Vary and tags that are remembered. */
void txn_cache_recall(struct txn *t);

/* txn_cache_wait.c */
/* Another one fetches: it waits for that, or waits on. False: it cannot. */
bool txn_cache_wait(struct txn *t);
/* It waits, and Redis did not say just now. False: it does not, or nobody can be fetching any more. True: t may be gone. */
bool txn_cache_wait_on(struct txn *t);
/* If it waits: the others of its lot are told the same. */
void txn_cache_share(struct txn *t, const struct cache_said *said);
/* How long it may wait, in seconds of the message's age and timeout (0: not known). */
void txn_cache_wait_until(struct txn *t, double age, double timeout);

/* txn_fill.c */
void txn_fill(struct txn *t, const struct response_facts *f);
void txn_unsafe(struct txn *t, const struct request_facts *f);

void txn_request(struct txn *t, const struct request_facts *f);
void txn_charge(struct txn *t, const struct request_facts *f);
void txn_refused(struct txn *t, const struct request_facts *f);
void txn_response(struct txn *t, const struct response_facts *f);

#endif
