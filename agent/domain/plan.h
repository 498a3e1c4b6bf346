// SPDX-License-Identifier: MIT
/* From facts and policy to what is to be done: pass by, refuse, or ask Redis. Pure;
 * borrows nothing from the frame.
 *
 *   facts + config ──► plan ──► claim (domain/script) ──► outcome ──► verdict
 *
 *   policy unknown                        deny unavailable
 *   idempotency, and the method is protected:
 *       key, principal, rid and process,
 *       fingerprint, in this order        deny with the problem of the first that is wrong; where a limit
 *                                         counts all requests, it is asked before (count_only)
 *       no key, none required             no record
 *   limits: subject, pace, cost           deny unavailable if an argument that one counts by was not sent, or
 *                                         a cost is no whole number; a shadow is left out, or only looks
 *   a slot, and no record                rid and process, then a bare record: it only holds slots
 *   record or limits                      claim
 *   neither                               pass
 *
 * Limits (token bucket): a limit keeps one time, the theoretical arrival time (TAT), in ticks of 100 ns. Used
 * are level = max(0, TAT - now) ticks of capacity = burst * increment; a request adds one increment (window /
 * quota) and passes if level + increment <= capacity. The level is a time, no count: after a reload with
 * another rate the same time is still used up, floor((capacity - level) / increment) requests remain, and a
 * level over a smaller capacity counts as that capacity. */
#ifndef PLAN_H
#define PLAN_H

#include "domain/config.h"
#include "domain/facts.h"
#include "domain/idemkey.h"
#include "domain/problem.h"
#include "domain/subject.h"
#include "domain/token.h"

enum { PLAN_KEY_MAX = IDEMKEY_MAX, PLAN_PROCESS_MAX = 128 };

enum plan_kind { PLAN_PASS, PLAN_DENY, PLAN_CLAIM };

struct plan_limit {
    const struct limit *limit;
    const struct pace *pace; /* of the request's tier */
    uint32_t cost;           /* at most one more than the pace lets through at once */
    struct record_id subject;
};

struct plan {
    enum plan_kind kind;
    /* With PLAN_DENY. UNAVAILABLE: the site's configuration is wrong, detail says where; log it. */
    enum problem problem;
    const char *lacks;  /* the argument of a limit that was not sent, or that is no number, or NULL */
    const char *detail; /* with PLAN_DENY: static text for the problem's detail, NULL: none */
    const struct policy *policy;
    bool has_record; /* idempotency applies, or there are slots */
    bool bare;       /* no idempotency: the record only holds slots, and ends with them */
    bool count_only; /* it is not forwarded, whatever Redis says: only counted by limits that count all */
    struct record_id id;
    uint8_t who[SUBJECT_WHO]; /* the principal, as records keep it */
    uint8_t fingerprint[16];
    uint8_t rid[8];
    bool has_lost; /* it has asked before, and the connection was lost: that claim is nobody's */
    uint8_t lost[8];
    struct record_id lost_id;
    char key[PLAN_KEY_MAX + 1]; /* as understood (ACCEPTANCE I17) */
    size_t key_len;
    char process[PLAN_PROCESS_MAX + 1];
    bool counts_all; /* a limit counts all requests, whatever becomes of them */
    bool refused,
        refused_all; /* by a limit that was asked apart (rooms/txn_loans); by one that counts all requests */
    unsigned nlimits;
    struct plan_limit limits[CONFIG_LIMITS_MAX]; /* rates; those with the same subject follow each other */
    unsigned nslots;
    struct plan_limit slots[CONFIG_LIMITS_MAX]; /* limits on what is in flight */
};

/* buffer_limit: bytes of headers and body that HAProxy can hold: bufsize (max frame + 4) less
 * tune.maxrewrite, or less where that is not known. */
void plan_request(const struct config *c, const struct request_facts *f, size_t buffer_limit,
                  struct plan *out);
/* A request that HAProxy refuses itself (once-charge): CLAIM and count_only, or PASS: nothing counts it. */
void plan_charge(const struct config *c, const struct request_facts *f, struct plan *out);
/* A request whose answer may be cached (once-cache): CLAIM, its limits are asked; PASS, there are none; or DENY. again: its limits
 * have counted it already. */
void plan_cache(const struct config *c, const struct request_facts *f, bool again, struct plan *out);
/* The TAG in whose slot its gate decides: that of the record; where there is none, of the first limit that can be decided nowhere
 * else, or is about a client, or the first. Only if there is a record or a limit. */
const uint8_t *plan_home(const struct plan *p);
/* The request costs more than this limit ever lets through. */
bool plan_never_passes(const struct plan_limit *l);

/* The record that a refused request may have claimed, by id and rid: what else it said does not matter any
 * more. False: it has none. */
bool plan_refused(const struct config *c, const struct request_facts *f, struct plan *out);

/* May it pass when Redis cannot decide? Everything that would have been decided must say so. */
bool plan_fails_open(const struct plan *p);

#endif
