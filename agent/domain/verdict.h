// SPDX-License-Identifier: MIT
/* From an outcome to the variables that HAProxy gets (docs/wire.md, Variables). Pure: writes actions into an
 * open ACK.
 *
 *   outcome                     verdict   with
 *   go, yours                   go        token, fence, key, execution    (pass: the plan has only limits)
 *   replay                      replay    replay
 *   mismatch, busy, tombstone,
 *   unknown, limited, late,
 *   foreign                     deny      status, problem, retry_after
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "domain/outcome.h"
#include "spop/writer.h"

/* X(symbol, name, type): the variables, in the order of docs/wire.md. `make check` holds it against this. */
#define VARIABLE_TABLE(X)                                                                                    \
    X(VERDICT, "verdict", string)                                                                            \
    X(TOKEN, "token", string)                                                                                \
    X(FENCE, "fence", integer)                                                                               \
    X(KEY, "key", string)                                                                                    \
    X(EXECUTION, "execution", string)                                                                        \
    X(REPLAY, "replay", string)                                                                              \
    X(STATUS, "status", integer)                                                                             \
    X(PROBLEM, "problem", string)                                                                            \
    X(RETRY_AFTER, "retry_after", integer)                                                                   \
    X(RATELIMIT, "ratelimit", string)                                                                        \
    X(RATELIMIT_POLICY, "ratelimit_policy", string)                                                          \
    X(X_LIMIT, "x_limit", integer)                                                                           \
    X(X_REMAINING, "x_remaining", integer)                                                                   \
    X(X_RESET, "x_reset", integer)                                                                           \
    X(UNPROTECTED, "unprotected", boolean)                                                                   \
    X(REASON, "reason", string)                                                                              \
    X(FILL, "fill", string)                                                                                  \
    X(CACHE_STATUS, "cache_status", string)                                                                  \
    X(STALE, "stale", string)                                                                                \
    X(SETTLED, "settled", boolean)                                                                           \
    X(RECORDED, "recorded", boolean)

/* The plan passes by: no record, no limit. */
void verdict_pass(struct spop_writer *w, const struct plan *p);
/* Redis could not decide, and the policy says fail_open: passes, marked, without rate-limit fields. */
void verdict_fail_open(struct spop_writer *w);
/* Refused without Redis, or because Redis could not decide. retry_s 0: none is given. base: problems.base. */
void verdict_deny(struct spop_writer *w, const char *base, enum problem p, const char *detail,
                  unsigned retry_s);
/* What the gate said. GO, YOURS: `go` with token, fence, key, execution (or `pass` where the plan has only
 * limits); REPLAY: `replay` with the replay id; the others `deny`. Rate-limit fields where there are levels.
 */
void verdict_outcome(struct spop_writer *w, const char *base, const struct plan *p, const struct outcome *o);
/* What the cache has said of a request that its limits let pass. Texts are NUL-terminated; NULL: not set. */
struct verdict_cached {
    const char *verdict; /* replay, pass or wait */
    const char *reason;
    const char *replay, *fill, *cache_status, *stale;
    bool unprotected; /* its limits could not be asked */
};
/* o: what the gate said of its limits; NULL: it was not asked. */
void verdict_cache(struct spop_writer *w, const struct plan *p, const struct outcome *o,
                   const struct verdict_cached *v);
/* Answer to a response message. */
void verdict_response(struct spop_writer *w, bool settled, bool recorded);

/* The word that names an outcome in logs and metrics. */
const char *outcome_word(enum outcome_kind k);

#endif
