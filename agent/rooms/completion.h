// SPDX-License-Identifier: MIT
/* What Redis must be told about an execution, and is told again until it has confirmed (PROTOCOL: complete,
 * commit, answered, unstorable and release are kept and retried; extend and resolve are not).
 *
 *   put ──► waiting ──submit──► sent ──reply S, N, L or X──► told, gone
 *              ▲                  │
 *              └── LOST, error (OOM, READONLY, LOADING, ..) and a pause ──┘
 *                  or not acknowledged by replicas (redis.ack_replicas)
 *
 * Bounded by completion.max_entries and max_bytes: what does not fit is dropped, counted and logged. Words of
 * one record keep their order: the next one is sent when Redis has confirmed the one before; a word with
 * not_before takes its place when its time has come. Words have no deadline: one that was sent is only sent
 * again when its connection is gone, so that a word is never on its way twice. */
#ifndef COMPLETION_H
#define COMPLETION_H

#include "adapters/redis.h"
#include "domain/script.h"
#include "rooms/acks.h"

struct completion;
struct completion_ticket;

enum completion_result {
    COMPLETION_DONE,    /* confirmed: S */
    COMPLETION_ALREADY, /* N: nothing was left to be done */
    COMPLETION_BARE,    /* T: confirmed, without the answer that was to be stored */
    COMPLETION_LOST,    /* another execution owns the key: logged and counted */
    COMPLETION_REFUSED, /* X: a record that we do not understand; or an error that will not go away */
    COMPLETION_DROPPED, /* never confirmed: no room */
};
/* Redis has the outcome, by this word or by an earlier one. */
static inline bool completion_confirmed(enum completion_result r)
{
    return r <= COMPLETION_BARE;
}
typedef void completion_fn(void *arg, enum completion_result result);

struct completion *completion_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                                  struct metrics *metrics);
/* Tickets are told DROPPED. Before or after redis_free(); not inside a completion_fn. */
void completion_free(struct completion *c);
/* From now on an outcome counts as confirmed only when replicas have it; releases need none. */
void completion_set_acks(struct completion *c, struct acks *acks);
void completion_reconfigure(struct completion *c, const struct config *config);

/* Takes a word: it is written out at once, nothing of w is kept. not_before: ev_now()-style seconds before
 * which it must not be sent (release by rid waits for its claim's deadline), 0: at once. fn (may be NULL) is
 * called exactly once, never before this returns. NULL: no room; fn is not called. */
struct completion_ticket *completion_put(struct completion *c, const struct word *w, ev_tstamp not_before,
                                         completion_fn *fn, void *arg);
/* The caller goes away; the word stays. Only before fn was called. */
void completion_forget(struct completion_ticket *t);

/* Redis is ready again: everything goes out in order, before anything else is claimed. */
void completion_flush(struct completion *c);
bool completion_idle(const struct completion *c);

#endif
