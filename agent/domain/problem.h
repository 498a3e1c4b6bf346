// SPDX-License-Identifier: MIT
/* Why a request is refused, and the body that tells the client: application/problem+json (RFC 9457).
 *
 *   {"type":"https://.../problems.md#rate-limited","title":"Too many requests","status":429,"detail":"...",
 *    "retry_ms":1500,"limits":["per-user"]}
 *
 * ASCII only, so that it travels as a string variable; under PROBLEM_BODY bytes. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include "spop/cursor.h"
#include "domain/text.h"

/* X(symbol, HTTP status, word of the problem type, title). Also for what Redis says; docs/problems.md has a
 * section for each word, `make check` holds it against this. */
#define PROBLEM_TABLE(X)                                                                                     \
    X(KEY_MISSING, 400, "key-missing", "An idempotency key is required here")                                \
    X(KEY_INVALID, 400, "key-invalid", "The idempotency key cannot be used")                                 \
    X(KEY_CONFLICT, 400, "key-conflict", "Several idempotency keys were sent")                               \
    X(PRINCIPAL_MISSING, 400, "principal-missing", "The request has no principal")                           \
    X(BODY_TOO_LARGE, 413, "body-too-large", "The body is too large to be compared")                         \
    X(IN_PROGRESS, 409, "in-progress", "A request with this key is in progress")                             \
    X(MISMATCH, 422, "mismatch", "This key was used with another request")                                   \
    X(NOT_STORED, 409, "outcome-not-stored", "The request was answered, the answer was not kept")            \
    X(OUTCOME_UNKNOWN, 409, "outcome-unknown", "The outcome of the request is unknown")                      \
    X(LIMITED, 429, "rate-limited", "Too many requests")                                                     \
    X(UNAVAILABLE, 503, "unavailable", "The request cannot be protected now")                                \
    X(NOT_CACHED, 504, "not-cached", "Nothing is cached that answers this request")                          \
    X(DATA_LOST, 503, "data-lost", "Records of earlier requests are gone")

enum problem {
    PROBLEM_NONE,
#define X(symbol, status, word, title) PROBLEM_##symbol,
    PROBLEM_TABLE(X)
#undef X
};

/* PROBLEM_NONE: 0 and empty texts. */
unsigned problem_status(enum problem p);
const char *problem_word(enum problem p);
const char *problem_title(enum problem p);

enum { PROBLEM_BODY = 1024 }; /* bytes with the NUL */

/* begin, members in any number, end. A member that would not fit is left out whole: the body is always
 * well-formed. type = base + word; detail NULL: none. */
void problem_begin(struct text *t, char memory[PROBLEM_BODY], const char *base, enum problem p,
                   const char *detail);
void problem_integer(struct text *t, const char *name, int64_t v);
/* Bytes over 0x7e are written as the Latin-1 characters that header values are made of (RFC 9110, 5.5). */
void problem_string(struct text *t, const char *name, struct spop_slice value);
/* item i of n; NULL: left out. */
typedef const char *problem_item_fn(const void *arg, unsigned i);
void problem_list(struct text *t, const char *name, problem_item_fn *item, const void *arg, unsigned n);
void problem_end(struct text *t);

#endif
