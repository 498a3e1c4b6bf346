// SPDX-License-Identifier: MIT
/* One array: the old entries of a list are taken out, the new ones are put behind the rest. */
#include "rooms/view.h"

static void take_out(struct view *v, const struct process *p, enum worker_list list)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < v->n; i++)
        if (v->entry[i].list != list || !process_same(&v->entry[i].process, p))
            v->entry[kept++] = v->entry[i];
    if (kept < v->n)
        v->left_out = 0;
    v->n = kept;
}

void view_listed(struct view *v, const struct process *p, enum worker_list list, struct listing l, double now)
{
    struct listing_entry e;
    struct token t;
    take_out(v, p, list);
    while (v->n < VIEW_MAX && listing_next(&l, &e)) {
        l.n--;
        if (token_read(e.key.ptr, e.key.len, &t) == 0)
            v->entry[v->n++] = (struct view_entry){t, *p, e.gpt0, list, now};
    }
    v->left_out += v->n == VIEW_MAX ? l.n : 0;
}
