// SPDX-License-Identifier: MIT
/* Cache-Status (RFC 9211): what the cache did with a request, as a structured field.
 *
 *   once; hit; ttl=30           once; hit; ttl=-3                        fresh; stale while it is fetched anew
 *   once; fwd=miss; stored      once; fwd=miss; collapsed; ttl=30        fetched; waited for another one's answer
 *   once; fwd=stale; fwd-status=503; ttl=-3; detail="stale-if-error"     stale because the backend failed
 */
#ifndef CACHESTATUS_H
#define CACHESTATUS_H

#include "domain/text.h"
#include "spop/slice.h"

/* X(symbol, parameter): RFC 9211, sections 2.1 and 2.2. */
#define CACHESTATUS_TABLE(X)                                                                                 \
    X(HIT, "hit")                                                                                            \
    X(BYPASS, "fwd=bypass")                                                                                  \
    X(METHOD, "fwd=method")                                                                                  \
    X(URI_MISS, "fwd=uri-miss")                                                                              \
    X(VARY_MISS, "fwd=vary-miss")                                                                            \
    X(MISS, "fwd=miss")                                                                                      \
    X(REQUEST, "fwd=request")                                                                                \
    X(STALE, "fwd=stale")

enum cachestatus_how {
#define X(symbol, parameter) CACHESTATUS_##symbol,
    CACHESTATUS_TABLE(X)
#undef X
};

struct cachestatus {
    enum cachestatus_how how;
    unsigned fwd_status; /* 0: not said */
    bool has_ttl, stored, collapsed;
    int64_t ttl_s;
    struct spop_slice
        detail; /* any bytes: written as a string; those that it cannot have become `?`. Empty: none */
};

enum { CACHESTATUS_TEXT = 256 }; /* bytes with the NUL; without a detail always enough */

/* Into a text that the caller began. A parameter that does not fit is left out whole. */
void cachestatus_write(struct text *t, const struct cachestatus *s);

#endif
