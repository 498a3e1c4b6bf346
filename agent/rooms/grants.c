// SPDX-License-Identifier: MIT
/* Positions are counted over all bytes ever queued, so that a write needs no change to the list:
 *
 *   from >= written  waits still      from < written  its first byte has left: delivered, whatever comes */
#include "rooms/grants.h"

#include <stdlib.h>
#include <string.h>

#include "rooms/monotonic.h"

enum { GRANTS_FIRST = 64 };

bool grants_add(struct grants *g, const struct stream *s, const struct grant *grant, size_t len)
{
    if (g->n == g->cap) {
        unsigned cap = g->cap ? 2 * g->cap : GRANTS_FIRST;
        struct waiting_grant *list = realloc(g->list, cap * sizeof *list);
        if (!list)
            return false;
        g->list = list;
        g->cap = cap;
    }
    g->list[g->n++] = (struct waiting_grant){*grant, s->written + s->out.len, len};
    return true;
}

static void cut_out(struct stream *s, const struct waiting_grant *w)
{
    size_t at = (size_t)(w->from - s->written);
    memmove(s->out.data + at, s->out.data + at + w->len, s->out.len - at - w->len);
    s->out.len -= w->len;
}

void grants_drop_late(struct grants *g, struct stream *s, struct gate *gate)
{
    if (g->n == 0)
        return;
    double now = monotonic_now();
    unsigned kept = 0;
    uint64_t gap = 0; /* bytes cut out so far: what follows has moved down by so many */
    for (unsigned i = 0; i < g->n; i++) {
        struct waiting_grant w = g->list[i];
        w.from -= gap;
        if (now < w.grant.deadline) {
            g->list[kept++] = w;
            continue;
        }
        cut_out(s, &w);
        gap += w.len;
        gate_take_back(gate, &w.grant);
    }
    g->n = kept;
}

void grants_forget_delivered(struct grants *g, const struct stream *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < g->n; i++)
        if (g->list[i].from >= s->written)
            g->list[kept++] = g->list[i];
    g->n = kept;
}

void grants_clear(struct grants *g, const struct stream *s, struct gate *gate)
{
    grants_forget_delivered(g, s);
    for (unsigned i = 0; i < g->n; i++)
        gate_take_back(gate, &g->list[i].grant);
    free(g->list);
    *g = (struct grants){0};
}
