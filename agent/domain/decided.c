// SPDX-License-Identifier: MIT
/* One text for each way; a limit whose tiers lend differently says the most of them. */
#include "domain/decided.h"

static const char apart[] = "by a call of its own before the gate's";

static uint32_t lent_at_most(const struct limit *l)
{
    uint32_t most = l->pace.lent;
    for (unsigned i = 0; i < l->ntiers; i++)
        if (l->tiers[i].pace.lent > most)
            most = l->tiers[i].pace.lent;
    return most;
}

static void put_leased(struct buf *out, const struct limit *l, const char *otherwise)
{
    buf_str(out, "leased, up to ");
    buf_dec(out, lent_at_most(l));
    buf_str(out, " tokens at a time; else ");
    buf_str(out, otherwise);
}

static void put_decided(struct buf *out, const struct limit *l)
{
    switch (l->decided) {
    case DECIDED_GATE: buf_str(out, "in the gate's call"); break;
    case DECIDED_LEASED: put_leased(out, l, "in the gate's call"); break;
    case DECIDED_LEASED_APART: put_leased(out, l, apart); break;
    case DECIDED_APART: buf_str(out, apart); break;
    }
}

void decided_print(struct buf *out, const struct config *c)
{
    for (const struct policy *p = c->policies; p < c->policies + c->npolicies; p++)
        for (const struct limit *l = p->limits; l < p->limits + p->nlimits; l++) {
            buf_str(out, "policy ");
            buf_str(out, p->name);
            buf_str(out, ", limit ");
            buf_str(out, l->name);
            buf_str(out, ": ");
            put_decided(out, l);
            buf_str(out, "\n");
        }
}
