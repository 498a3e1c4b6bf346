// SPDX-License-Identifier: MIT
/* What makes two requests with one key the same request (ACCEPTANCE I9, I10, I12).
 *
 *   raw       method, host in lower case, path, query, content type, SHA-256 of the body
 *   headers   the same with the content length instead of the SHA-256
 *   json      the same with what the body says as JSON (domain/jsonform), or its bytes where it is none
 *   none      host and path: the least that an answer belongs to (I13)
 *
 * `raw` and `json` need the whole body: HAProxy hashes, or sends, what fits its buffer and says nothing when that was not all
 * (facts Q1). With a Content-Length the body is whole if that many bytes came; without one, if there would
 * have been room for more. */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include "domain/config.h"
#include "domain/facts.h"
#include "domain/problem.h"

/* Did the buffer have room left behind the first line? In HAProxy's buffer a header takes its name, its value
 * and 8 bytes: with the bytes kept in reserve, twice the head's length is never less (measured: facts Q1, and
 * 95 headers without a value). Negative: unknown, then no. */
bool body_fits(int64_t body_len, int64_t head_len, size_t buffer_limit);

/* PROBLEM_NONE, BODY_TOO_LARGE, or UNAVAILABLE with *detail: HAProxy did not send what it takes. */
enum problem fingerprint_make(const struct idempotency *i, const struct request_facts *f, size_t buffer_limit,
                              uint8_t out[16], const char **detail);

#endif
