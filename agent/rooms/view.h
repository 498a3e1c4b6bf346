// SPDX-License-Identifier: MIT
/* What the last listings of HAProxy's tables held, for an operator who asks; nothing is decided by it.
 *
 *   listing of (process, list) ──► replaces what was kept of that list of that process
 *
 * At most VIEW_MAX entries; how many more there were is counted. */
#ifndef VIEW_H
#define VIEW_H

#include "domain/token.h"
#include "rooms/worker.h"

enum { VIEW_MAX = 1000 };

struct view_entry {
    struct token token;
    struct process process;
    uint64_t gpt0;
    enum worker_list list;
    double at; /* monotonic_now() of the listing */
};

struct view {
    unsigned n, left_out; /* left_out: of the listings since the first entry did not fit */
    struct view_entry entry[VIEW_MAX];
};

/* l is walked; the caller keeps its own copy. */
void view_listed(struct view *v, const struct process *p, enum worker_list list, struct listing l,
                 double now);

#endif
