// SPDX-License-Identifier: MIT
/* May an answer be stored, how long is it fresh, how old is it, and may this request have it (RFC 9111, RFC 5861).
 *
 *   asked      received                                    lifetime                      kept until
 *     |-- delay --|                                           |                              |
 *     |== initial age ==|=========== fresh ===================|-- stale_while_revalidate --| |
 *                                                             |-- stale_if_error ------------|
 *   current age = initial age + (now - received)
 *
 * Times are microseconds of one clock (that of Redis); ages and windows of HTTP are whole seconds, at most 2^31. */
#ifndef FRESHNESS_H
#define FRESHNESS_H

#include "domain/cachecontrol.h"
#include "domain/config.h"
#include "domain/vary.h"

/* X(symbol, word): why an answer is not stored. The word is the metric's label and what oncectl says. */
#define STORE_TABLE(X)                                                                                       \
    X(YES, "stored")                                                                                         \
    X(MALFORMED, "malformed")             /* headers cannot be read */                                       \
    X(METHOD, "method")                   /* not GET */                                                      \
    X(PARTIAL, "partial")                 /* 206, or Content-Range */                                        \
    X(STATUS, "status")                   /* not in the policy's list, or 1xx, 304 */                        \
    X(SET_COOKIE, "set_cookie")           /* never */                                                        \
    X(NO_STORE, "no_store")               /* of the response; a request's passes before */                   \
    X(MUST_UNDERSTAND, "must_understand") /* with a status whose rules are not known here */                 \
    X(PRIVATE, "private")                                                                                    \
    X(NO_CACHE, "no_cache")           /* would have to be validated each time */                             \
    X(AUTHORIZATION, "authorization") /* and neither public, s-maxage, must-revalidate, nor per principal */ \
    X(VARY_ANY, "vary_any")           /* Vary: * */                                                          \
    X(VARY, "vary")                   /* on what the policy does not send, or too many */                    \
    X(NO_LIFETIME, "no_lifetime")     /* no explicit lifetime, and neither public nor a status of 4.2.2 */   \
    X(STALE, "stale")                 /* too old when it came */                                             \
    X(TAGS, "tags")                   /* more tags than can be kept */                                       \
    X(TOO_LARGE, "too_large")         /* from here on: said by who stores */                                 \
    X(INCOMPLETE, "incomplete")                                                                              \
    X(FAILED, "failed")

enum store_reason {
#define X(symbol, word) STORE_##symbol,
    STORE_TABLE(X)
#undef X
        STORE_REASONS
};
const char *store_word(enum store_reason r);

/* Of a policy. */
struct freshness_rules {
    uint32_t ttl_s; /* where the answer says nothing: a heuristic (4.2.2), never instead of what it says */
    uint32_t stale_while_revalidate_s, stale_if_error_s; /* where the answer says nothing */
    bool per_principal;
    struct status_set store;
    struct vary_names vary; /* which headers a request may be told apart by */
};

struct freshness_answer {
    struct spop_slice method; /* of the request, as it came */
    bool authorization;       /* the request had an Authorization */
    unsigned status;
    struct spop_slice headers;      /* res.hdrs_bin */
    uint64_t asked_us, received_us; /* before the request went, after the answer's head came */
};

/* What an entry keeps. */
struct freshness {
    uint32_t lifetime_s;
    uint32_t stale_while_revalidate_s, stale_if_error_s; /* 0 where stale answers are forbidden */
    uint64_t initial_age_us, received_us;
    bool never_stale; /* must-revalidate, proxy-revalidate, s-maxage (4.2.4): not even for max-stale */
    bool
        dated; /* has a Date that can be read: else who stores it appends one of received_us (RFC 9110, 6.6.1) */
};

/* STORE_YES, and *f and *vary are written (vary: the names of the answer); else why not, and neither is. */
enum store_reason freshness_store(const struct freshness_rules *r, const struct freshness_answer *a,
                                  struct freshness *f, struct vary_names *vary);

/* RFC 9111, 4.2.3; a clock that went back counts as not moved. */
uint64_t freshness_age_us(const struct freshness *f, uint64_t now_us);
/* Value of Age: whole seconds, rounded down, at most 2^31. */
uint32_t freshness_age_s(const struct freshness *f, uint64_t now_us);
/* Seconds for which it is fresh yet (RFC 9211, ttl): lifetime - age_s; negative: stale for so long. */
int64_t freshness_ttl_s(const struct freshness *f, uint64_t now_us);
/* How long an entry can be of use yet, ms, rounded up; 0: it cannot. */
uint64_t freshness_keep_ms(const struct freshness *f, uint64_t now_us);

/* May the answer to this request be stored, and may others wait for it? Not with no-store (5.2.1.5). */
bool freshness_may_fill(const struct cachecontrol *request);

enum freshness_verdict {
    FRESHNESS_FRESH, /* serve it */
    FRESHNESS_STALE, /* serve it: the client takes it as it is (max-stale; or stale-while-revalidate of one that may not fetch) */
    FRESHNESS_REVALIDATE, /* serve it if another one fetches; the one that fetches may have it too */
    FRESHNESS_FETCH,
    FRESHNESS_504, /* only-if-cached and nothing that it may have */
};
/* RFC 9111, 5.2.1. f NULL: nothing is stored. */
enum freshness_verdict freshness_for(const struct freshness *f, const struct cachecontrol *request,
                                     uint64_t now_us);
/* May this request have it because the backend failed (RFC 5861, section 4)? The request's own stale-if-error can only make the
 * window shorter. */
bool freshness_on_error(const struct freshness *f, const struct cachecontrol *request, uint64_t now_us);

#endif
