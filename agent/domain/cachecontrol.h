// SPDX-License-Identifier: MIT
/* Cache-Control of a request or a response (RFC 9111, section 5.2; RFC 5861), and Pragma (5.4).
 *
 *   Cache-Control: max-age="60", foo="no-store, x"     said: max-age   seconds[CC_MAX_AGE] 60
 *   cache-control: No-Store                            said: max-age, no-store
 *
 * All lines count as one list; directives that are not in the table are passed over, and so are those that have no meaning on that
 * side: who asks looks at its own. Seconds may be quoted. A number that is none (missing, a sign, a fraction, blanks around `=`), and
 * a directive that comes twice with two numbers (4.2.1), counts as the table's `rubbish`: what permits least. A flag counts whatever
 * argument it has: private="x" and no-cache="x" are the bare ones, as 5.2.2.4 and 5.2.2.7 allow. */
#ifndef CACHECONTROL_H
#define CACHECONTROL_H

#include "domain/headers.h"

enum cc_kind { CC_FLAG, CC_SECONDS, CC_SECONDS_OR_ALL };

/* X(symbol, directive, kind, rubbish). CC_SECONDS_OR_ALL: without an argument it is HEADERS_DELTA_MAX. */
#define CACHECONTROL_TABLE(X)                                                                                \
    X(MAX_AGE, "max-age", CC_SECONDS, 0)                                                                     \
    X(S_MAXAGE, "s-maxage", CC_SECONDS, 0)                                                                   \
    X(MAX_STALE, "max-stale", CC_SECONDS_OR_ALL, 0)                                                          \
    X(MIN_FRESH, "min-fresh", CC_SECONDS, HEADERS_DELTA_MAX)                                                 \
    X(STALE_WHILE_REVALIDATE, "stale-while-revalidate", CC_SECONDS, 0)                                       \
    X(STALE_IF_ERROR, "stale-if-error", CC_SECONDS, 0)                                                       \
    X(NO_CACHE, "no-cache", CC_FLAG, 0)                                                                      \
    X(NO_STORE, "no-store", CC_FLAG, 0)                                                                      \
    X(PRIVATE, "private", CC_FLAG, 0)                                                                        \
    X(PUBLIC, "public", CC_FLAG, 0)                                                                          \
    X(MUST_REVALIDATE, "must-revalidate", CC_FLAG, 0)                                                        \
    X(PROXY_REVALIDATE, "proxy-revalidate", CC_FLAG, 0)                                                      \
    X(MUST_UNDERSTAND, "must-understand", CC_FLAG, 0)                                                        \
    X(ONLY_IF_CACHED, "only-if-cached", CC_FLAG, 0)

enum cc_directive {
#define X(symbol, directive, kind, rubbish) CC_##symbol,
    CACHECONTROL_TABLE(X)
#undef X
        CC_DIRECTIVES
};

struct cachecontrol {
    bool there; /* a line of Cache-Control, whatever it says */
    bool
        pragma; /* Pragma: no-cache, and no Cache-Control: means no-cache in a request, nothing in a response */
    uint32_t said;                   /* 1 << directive */
    uint32_t seconds[CC_DIRECTIVES]; /* of those that were said and have them; at most HEADERS_DELTA_MAX */
};

/* 0, or -1: headers malformed (then nothing is said). */
int cachecontrol_read(struct spop_slice hdrs_bin, struct cachecontrol *out);

static inline bool cc_said(const struct cachecontrol *c, enum cc_directive d)
{
    return c->said >> d & 1;
}

#endif
