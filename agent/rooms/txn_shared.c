// SPDX-License-Identifier: MIT
/* One claim for all that ask for the same key and payload at once (rooms/sharing).
 *
 *   claim ─┬─ it asks ──────► reply ─┬─ it is answered
 *          └─ waits behind it        └─ those behind it: told as well, where the reply holds for them,
 *                                       else they claim again: the oldest asks, the others are behind it
 *
 * Who came after the claim was sent may have seen what its reply does not know yet: the answer that another agent has
 * recorded meanwhile, the end of a limit's wait. For them only what cannot have changed since holds.
 *
 *   reply                             holds for             as
 *   replay                            all                   the same
 *   go, and it is about to be said    all                   busy: what the gate says behind that grant
 *   busy                              who was there before  the same; not for the rid that has the key, nor for
 *                                                           who has disowned that rid
 *   limited                           who was there before  the same, where the limits are
 *   tombstone, unknown, mismatch ..   who was there before  the same
 *   an error of Redis' own            who was there before  the same
 *   yours, late, data lost, no reply  nobody
 *
 * Under redis.ack_replicas a grant counts as about to be said as soon as Redis has given it: those behind it are told
 * busy before replicas have it.
 *
 * Nobody is granted anything here. Never shared: a request that a limit counts whatever becomes of it, and one without a
 * key. */
#include "rooms/txn_inner.h"

#include <stddef.h>
#include <string.h>

#include "rooms/monotonic.h"

static struct txn *txn_of(struct share *s)
{
    return (struct txn *)((char *)s - offsetof(struct txn, share));
}

bool txn_waits_behind(struct txn *t)
{
    const struct plan *p = &t->plan;
    bool charged_alone = p->count_only || p->counts_all;
    return p->has_record && !p->bare && !charged_alone && sharing_join(t->gate->sharing, &t->share, p);
}

static bool same_limit(const struct plan_limit *a, const struct plan_limit *b)
{
    return a->limit == b->limit && a->pace == b->pace && a->cost == b->cost &&
           memcmp(&a->subject, &b->subject, sizeof a->subject) == 0;
}

static bool same_limits(const struct plan *a, const struct plan *b)
{
    bool same = a->nlimits == b->nlimits && a->nslots == b->nslots;
    for (unsigned i = 0; same && i < a->nlimits; i++)
        same = same_limit(&a->limits[i], &b->limits[i]);
    for (unsigned i = 0; same && i < a->nslots; i++)
        same = same_limit(&a->slots[i], &b->slots[i]);
    return same;
}

/* A grant that will not be said is taken back: behind that the key is free. */
static bool is_said(const struct txn *t)
{
    return t->owner && monotonic_now() < t->deadline;
}

/* Would Redis wake it when that key changes? It must have been told so by a claim since the key has its owner. */
static bool would_be_woken(const struct txn *t)
{
    return !t->parked.lot;
}

/* That rid is the one it claims under, or the one it has disowned: behind the claim that is released. */
static bool is_its_own(const struct txn *t, const uint8_t rid[8])
{
    const struct plan *p = &t->plan;
    return memcmp(rid, p->rid, sizeof p->rid) == 0 ||
           (p->has_lost && memcmp(rid, p->lost, sizeof p->lost) == 0);
}

static bool holds(const struct said *s, const struct txn *t)
{
    bool there = t->came < s->asked;
    const struct outcome *o = &s->outcome;
    if (s->failed)
        return there;
    switch (o->kind) {
    case OUTCOME_REPLAY: return true;
    case OUTCOME_BUSY: return (there || s->granted) && would_be_woken(t) && !is_its_own(t, o->rid);
    case OUTCOME_LIMITED: return there && same_limits(&t->plan, &s->plan);
    case OUTCOME_TOMB:
    case OUTCOME_UNKNOWN:
    case OUTCOME_MISMATCH:
    case OUTCOME_FOREIGN: return there;
    default: return false;
    }
}

static void tell(struct txn *t, const struct said *s)
{
    metrics_add(t->gate->metrics, METRIC_SHARED);
    if (s->failed)
        txn_failed(t);
    else
        txn_told(t, &s->outcome);
}

void txn_take_behind(struct txn *t, const struct outcome *o, struct said *s)
{
    s->behind = sharing_leave(t->gate->sharing, &t->share);
    if (!s->behind)
        return;
    s->asked = t->asked;
    s->plan = t->plan;
    s->failed = !o;
    s->granted = o && o->kind == OUTCOME_GO && is_said(t);
    if (s->granted)
        outcome_behind(&s->plan, o, &s->outcome);
    else if (o)
        s->outcome = *o;
}

void txn_tell_behind(struct said *s)
{
    struct share *rest = NULL, **last = &rest, *next;
    while ((next = share_pop(&s->behind))) {
        if (holds(s, txn_of(next))) {
            tell(txn_of(next), s);
            continue;
        }
        next->next = NULL;
        *last = next;
        last = &next->next;
    }
    txn_ask_anew(rest);
}

void txn_ask_anew(struct share *list)
{
    struct share *next;
    while ((next = share_pop(&list)))
        txn_ask(txn_of(next));
}
