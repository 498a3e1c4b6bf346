// SPDX-License-Identifier: MIT
/* A chain for each hash of a record's digest holds the words in their order; only the first one of a record
 * moves. Words that were sent already, or whose turn has come by the one before, go ahead of new ones. */
#include "rooms/completion_inner.h"

#include <stdlib.h>
#include <string.h>

enum {
    SPARE_MAX = 256,         /* structs kept for the next words */
    SPARE_BYTES = 32 * 1024, /* of each at most */
};

struct completion_ticket *ticket_new(struct completion *c)
{
    struct completion_ticket *t = TAILQ_FIRST(&c->spare);
    struct buf resp = {0};
    if (t) {
        TAILQ_REMOVE(&c->spare, t, line);
        c->nspare--;
        resp = t->resp;
        buf_reset(&resp);
    } else if (!(t = malloc(sizeof *t))) {
        return NULL;
    }
    *t = (struct completion_ticket){.owner = c, .resp = resp};
    return t;
}

void ticket_free(struct completion_ticket *t)
{
    struct completion *c = t->owner;
    if (t->resp.cap > SPARE_BYTES)
        buf_free(&t->resp);
    if (c->nspare < SPARE_MAX) {
        c->nspare++;
        TAILQ_INSERT_HEAD(&c->spare, t, line);
        return;
    }
    buf_free(&t->resp);
    free(t);
}

static struct words *chain_of(struct completion *c, const struct record_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->digest, sizeof hash);
    return &c->chains[hash & c->mask];
}

static bool same_record(const struct completion_ticket *a, const struct completion_ticket *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0;
}

static bool has_before(const struct completion_ticket *t)
{
    const struct completion_ticket *p = TAILQ_PREV(t, words, chain);
    while (p && !same_record(p, t))
        p = TAILQ_PREV(p, words, chain);
    return p != NULL;
}

static struct completion_ticket *next_of(const struct completion_ticket *t)
{
    struct completion_ticket *n = TAILQ_NEXT(t, chain);
    while (n && !same_record(n, t))
        n = TAILQ_NEXT(n, chain);
    return n;
}

void make_ready(struct completion_ticket *t, bool again)
{
    t->place = PLACE_READY;
    t->again = again;
    TAILQ_INSERT_TAIL(again ? &t->owner->again : &t->owner->fresh, t, line);
}

void take_place(struct completion_ticket *t)
{
    TAILQ_INSERT_TAIL(chain_of(t->owner, &t->id), t, chain);
    t->chained = true;
    if (has_before(t))
        t->place = PLACE_BEHIND;
    else
        make_ready(t, false);
}

struct completion_ticket *line_first(const struct completion *c)
{
    struct completion_ticket *t = TAILQ_FIRST(&c->again);
    return t ? t : TAILQ_FIRST(&c->fresh);
}

void line_leave(struct completion_ticket *t)
{
    TAILQ_REMOVE(t->again ? &t->owner->again : &t->owner->fresh, t, line);
}

void leave_place(struct completion_ticket *t)
{
    struct completion_ticket *next = t->chained ? next_of(t) : NULL;
    if (t->place == PLACE_READY)
        line_leave(t);
    if (t->chained)
        TAILQ_REMOVE(chain_of(t->owner, &t->id), t, chain);
    if (next && next->place == PLACE_BEHIND)
        make_ready(next, true);
}
