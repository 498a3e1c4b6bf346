// SPDX-License-Identifier: MIT
/* A bucket's level is in ticks of 100 ns that it takes to drain, a window's in requests; what the client reads
 * is in requests and seconds:
 *
 *   |##### level #####|.......|  capacity       r = floor((capacity - level) / increment)    t = ceil(back)
 *
 * Rounded so that the client is never promised more than it gets. The field shows the tightest limit: the
 * longest wait, then the fewest left, then the fullest. */
#include "domain/ratelimit_fields.h"

static const double TICKS_PER_SECOND = 1e7, US_PER_MS = 1e3, US_PER_S = 1e6;
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

uint64_t ratelimit_remaining(const struct pace *p, double level)
{
    return round_down((p->capacity - level) / p->increment);
}

static bool shows(const struct limit *l, enum limit_fields family)
{
    return !l->shadow && (l->fields == family || l->fields == FIELDS_BOTH);
}

static bool tighter(const struct plan *p, const struct outcome *o, unsigned a, unsigned b)
{
    uint64_t left_a = ratelimit_remaining(p->limits[a].pace, o->level[a]);
    uint64_t left_b = ratelimit_remaining(p->limits[b].pace, o->level[b]);
    if (o->wait_us[a] != o->wait_us[b])
        return o->wait_us[a] > o->wait_us[b];
    if (left_a != left_b)
        return left_a < left_b;
    return o->back[a] > o->back[b];
}

/* The tightest limit of those that show this family; p->nlimits: none does. */
static unsigned tightest(const struct plan *p, const struct outcome *o, enum limit_fields family)
{
    unsigned best = p->nlimits;
    for (unsigned i = 0; i < p->nlimits; i++)
        if (shows(p->limits[i].limit, family) && (best == p->nlimits || tighter(p, o, i, best)))
            best = i;
    return best;
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

/* The slots of which the fewest are left, if those are fewer than `rate` has (p->nlimits: there is none).
 * p->nslots: the rate is tighter, or none is shown. */
static unsigned tightest_slots(const struct plan *p, const struct outcome *o, unsigned rate)
{
    unsigned best = p->nslots;
    bool known = o->kind == OUTCOME_GO || o->kind == OUTCOME_LIMITED;
    for (unsigned i = 0; known && i < p->nslots; i++)
        if (shows(p->slots[i].limit, FIELDS_IETF) &&
            (best == p->nslots || slots_left(p, o, i) < slots_left(p, o, best)))
            best = i;
    if (best == p->nslots || rate == p->nlimits)
        return best;
    uint64_t left = ratelimit_remaining(p->limits[rate].pace, o->level[rate]);
    return o->wait_us[rate] > 0 || slots_left(p, o, best) >= left ? p->nslots : best;
}

void ratelimit_write(struct text *t, const struct plan *p, const struct outcome *o)
{
    unsigned i = tightest(p, o, FIELDS_IETF), slot = tightest_slots(p, o, i);
    if (slot < p->nslots) {
        put_name(t, p->slots[slot].limit);
        put_number(t, ";r=", slots_left(p, o, slot));
        return;
    }
    if (i == p->nlimits)
        return;
    put_name(t, p->limits[i].limit);
    put_number(t, ";r=", ratelimit_remaining(p->limits[i].pace, o->level[i]));
    put_number(t, ";t=", round_up(o->back[i] / TICKS_PER_SECOND));
}

void ratelimit_policy_write(struct text *t, const struct plan *p)
{
    for (unsigned i = 0; i < p->nlimits; i++) {
        if (!shows(p->limits[i].limit, FIELDS_IETF))
            continue;
        if (t->len > 0)
            text_str(t, ", ");
        put_name(t, p->limits[i].limit);
        put_number(t, ";q=", p->limits[i].pace->quota);
        put_number(t, ";w=", p->limits[i].pace->window_s);
    }
    for (unsigned i = 0; i < p->nslots; i++) {
        if (!shows(p->slots[i].limit, FIELDS_IETF))
            continue;
        if (t->len > 0)
            text_str(t, ", ");
        put_name(t, p->slots[i].limit);
        put_number(t, ";q=", p->slots[i].limit->concurrent);
        text_str(t, ";qu=\"concurrent-requests\"");
    }
}

bool ratelimit_x(const struct plan *p, const struct outcome *o, struct ratelimit_x *x)
{
    unsigned i = tightest(p, o, FIELDS_X);
    if (i == p->nlimits)
        return false;
    x->limit = p->limits[i].pace->quota;
    x->remaining = ratelimit_remaining(p->limits[i].pace, o->level[i]);
    x->reset = round_up((double)o->now_us / US_PER_S + o->back[i] / TICKS_PER_SECOND);
    return true;
}

bool ratelimit_hit(const struct plan *p, const struct outcome *o, unsigned i)
{
    return o->wait_us[i] > 0 && !p->limits[i].limit->shadow;
}

uint64_t ratelimit_wait_ms(const struct plan *p, const struct outcome *o)
{
    double longest = 0;
    for (unsigned i = 0; i < p->nlimits; i++) {
        if (!ratelimit_hit(p, o, i))
            continue;
        if (plan_never_passes(&p->limits[i]))
            return 0;
        if (o->wait_us[i] > longest)
            longest = o->wait_us[i];
    }
    for (unsigned i = 0; i < p->nslots; i++)
        if (outcome_full(p, o, i) && longest < SLOT_WAIT_US)
            longest = SLOT_WAIT_US;
    return round_up(longest / US_PER_MS);
}
