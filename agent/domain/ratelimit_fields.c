// SPDX-License-Identifier: MIT
/* A bucket's level is in ticks of 100 ns that it takes to drain; what the client reads is in requests and
 * seconds:
 *
 *   |##### level #####|.......|  capacity       r = floor((capacity - level) / increment)    t = ceil(level)
 *
 * Rounded so that the client is never promised more than it gets. The field shows the tightest limit: the
 * longest wait, then the fewest left, then the fullest. */
#include "domain/ratelimit_fields.h"

static const double TICKS_PER_SECOND = 1e7, US_PER_MS = 1e3;
static const double SLOT_WAIT_US = 1e6;
static const double LONGEST = 1e15; /* what a reply may say at most: keeps every conversion defined */

static uint64_t round_down(double v)
{
    return v > 0 ? (uint64_t)(v < LONGEST ? v : LONGEST) : 0;
}

static uint64_t round_up(double v)
{
    uint64_t n = round_down(v);
    return n + ((double)n < v && v < LONGEST);
}

uint64_t ratelimit_remaining(const struct limit *l, double level)
{
    return round_down((l->capacity - level) / l->increment);
}

static uint64_t reset_s(double level)
{
    return round_up(level / TICKS_PER_SECOND);
}

static bool tighter(const struct plan *p, const struct outcome *o, unsigned a, unsigned b)
{
    uint64_t left_a = ratelimit_remaining(p->limits[a].limit, o->level[a]);
    uint64_t left_b = ratelimit_remaining(p->limits[b].limit, o->level[b]);
    if (o->wait_us[a] != o->wait_us[b])
        return o->wait_us[a] > o->wait_us[b];
    if (left_a != left_b)
        return left_a < left_b;
    return o->level[a] > o->level[b];
}

static void put_name(struct text *t, const struct limit *l)
{
    text_put(t, "\"", 1);
    text_str(t, l->name); /* letters, digits, - _ . (OPT_NAME): nothing to escape */
    text_put(t, "\"", 1);
}

static void put_number(struct text *t, const char *name, uint64_t v)
{
    text_str(t, name);
    text_dec(t, (int64_t)v);
}

/* More may be in flight than there are slots: the limit was lowered, or those were forgotten for a while. */
static uint64_t slots_left(const struct plan *p, const struct outcome *o, unsigned i)
{
    uint32_t most = p->slots[i].limit->concurrent;
    return most > o->in_use[i] ? most - o->in_use[i] : 0;
}

/* The slots of which the fewest are left, where those are fewer than the tightest rate has, and that has no wait.
 * false: the rate is tighter. */
static bool put_slots(struct text *t, const struct plan *p, const struct outcome *o, unsigned rate)
{
    unsigned fewest = 0;
    for (unsigned i = 1; i < p->nslots; i++)
        if (slots_left(p, o, i) < slots_left(p, o, fewest))
            fewest = i;
    if (p->nslots == 0)
        return false;
    uint64_t left = slots_left(p, o, fewest);
    if (p->nlimits > 0 &&
        (o->wait_us[rate] > 0 || left >= ratelimit_remaining(p->limits[rate].limit, o->level[rate])))
        return false;
    put_name(t, p->slots[fewest].limit);
    put_number(t, ";r=", left);
    return true;
}

void ratelimit_write(struct text *t, const struct plan *p, const struct outcome *o)
{
    unsigned tightest = 0;
    for (unsigned i = 1; i < p->nlimits; i++)
        if (tighter(p, o, i, tightest))
            tightest = i;
    if (put_slots(t, p, o, tightest))
        return;
    const struct limit *l = p->limits[tightest].limit;
    put_name(t, l);
    put_number(t, ";r=", ratelimit_remaining(l, o->level[tightest]));
    put_number(t, ";t=", reset_s(o->level[tightest]));
}

void ratelimit_policy_write(struct text *t, const struct plan *p)
{
    for (unsigned i = 0; i < p->nlimits; i++) {
        if (i > 0)
            text_str(t, ", ");
        put_name(t, p->limits[i].limit);
        put_number(t, ";q=", p->limits[i].limit->quota);
        put_number(t, ";w=", p->limits[i].limit->window_s);
    }
    for (unsigned i = 0; i < p->nslots; i++) {
        if (i + p->nlimits > 0)
            text_str(t, ", ");
        put_name(t, p->slots[i].limit);
        put_number(t, ";q=", p->slots[i].limit->concurrent);
        text_str(t, ";qu=\"concurrent-requests\"");
    }
}

uint64_t ratelimit_wait_ms(const struct plan *p, const struct outcome *o)
{
    double longest = 0;
    for (unsigned i = 0; i < p->nlimits; i++)
        if (o->wait_us[i] > longest)
            longest = o->wait_us[i];
    for (unsigned i = 0; i < p->nslots; i++)
        if (outcome_full(p, o, i) && longest < SLOT_WAIT_US)
            longest = SLOT_WAIT_US;
    return round_up(longest / US_PER_MS);
}
