// SPDX-License-Identifier: MIT
/* Is a client's copy still good: 304 or the whole answer (RFC 9110, section 13; RFC 9111, 4.3.2).
 *
 *   If-None-Match there ──► matches (weakly, or `*`)? 304 : 200          If-Modified-Since does not count then
 *   else If-Modified-Since, one date ──► not modified since? 304 : 200
 *   neither, or not a status of 2xx ──► as stored
 *
 * If-Match, If-Unmodified-Since and If-Range are the origin's business; they change nothing here. */
#ifndef CONDITIONAL_H
#define CONDITIONAL_H

#include "domain/headers.h"

struct validators {
    unsigned status;
    struct spop_slice etag; /* value of ETag; empty: none */
    int64_t modified_s; /* Last-Modified; without it Date; without it when it was received. Epoch seconds */
};

/* Etag and dates out of the answer's headers. */
void conditional_validators(unsigned status, struct spop_slice hdrs_bin, int64_t received_s,
                            struct validators *out);

/* For GET and HEAD. True: 304. now_s: see httpdate_read(). */
bool conditional_not_modified(const struct validators *v, struct spop_slice request_hdrs_bin, int64_t now_s);

#endif
