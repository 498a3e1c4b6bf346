// SPDX-License-Identifier: MIT
/* A hash of those that ask, by the record's digest; each has the list of those behind it, in the order in which they came.
 *
 *   buckets[digest] ──► asker ──► asker ──► ..
 *                         └─ first ──► waits ──► waits ◄── last */
#include "rooms/sharing.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct sharing {
    struct metrics *metrics;
    unsigned count, most; /* those that wait */
    struct share *buckets[BUCKETS];
};

static void set_count(struct sharing *k, unsigned count)
{
    k->count = count;
    metrics_set(k->metrics, METRIC_SHARED_WAITING, count);
}

static struct share **bucket_of(struct sharing *k, const struct plan *p)
{
    return &k->buckets[(p->id.digest[0] | (unsigned)p->id.digest[1] << 8) % BUCKETS];
}

/* The policy's address: another configuration may decide otherwise. */
static bool is_same(const struct plan *a, const struct plan *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0 && a->policy == b->policy &&
           memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

static struct share *find(struct sharing *k, const struct plan *p)
{
    struct share *s = *bucket_of(k, p);
    while (s && !is_same(s->plan, p))
        s = s->next;
    return s;
}

static void ask(struct sharing *k, struct share *s)
{
    struct share **head = bucket_of(k, s->plan);
    s->asker = s;
    s->first = NULL;
    s->last = &s->first;
    s->next = *head;
    s->prev = head;
    if (s->next)
        s->next->prev = &s->next;
    *head = s;
}

static void wait_behind(struct sharing *k, struct share *s, struct share *asker)
{
    s->asker = asker;
    s->next = NULL;
    s->prev = asker->last;
    *asker->last = s;
    asker->last = &s->next;
    set_count(k, k->count + 1);
}

bool sharing_join(struct sharing *k, struct share *s, const struct plan *p)
{
    if (k->most == 0)
        return false;
    struct share *asker = find(k, p);
    s->plan = p;
    if (!asker) {
        ask(k, s);
        return false;
    }
    /* The same rid is the same claim: to that one the gate says `yours`. */
    if (memcmp(asker->plan->rid, p->rid, sizeof p->rid) == 0)
        return false;
    if (k->count >= k->most) {
        metrics_add(k->metrics, METRIC_SHARED_FULL);
        return false;
    }
    wait_behind(k, s, asker);
    return true;
}

static void unlink_from(struct share *s)
{
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else if (s->asker != s)
        s->asker->last = s->prev;
    s->asker = NULL;
}

struct share *sharing_leave(struct sharing *k, struct share *s)
{
    if (!s->asker)
        return NULL;
    bool asks = s->asker == s;
    unlink_from(s);
    if (!asks) {
        set_count(k, k->count - 1);
        return NULL;
    }
    unsigned n = 0;
    for (struct share *i = s->first; i; i = i->next, n++)
        i->asker = NULL;
    if (n > 0)
        set_count(k, k->count - n);
    return s->first;
}

struct share *share_pop(struct share **list)
{
    struct share *s = *list;
    if (s)
        *list = s->next;
    return s;
}

void sharing_reconfigure(struct sharing *k, const struct config *c)
{
    k->most = c->shield.max_shared;
}

struct sharing *sharing_new(const struct config *c, struct metrics *metrics)
{
    struct sharing *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->metrics = metrics;
    sharing_reconfigure(k, c);
    return k;
}

void sharing_free(struct sharing *k)
{
    free(k);
}
