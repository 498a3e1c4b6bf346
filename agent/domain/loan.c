// SPDX-License-Identifier: MIT
/* Times of a part, in eighths of a loan's:
 *
 *   asked |-- spent ----------------------------|6 given back, where Redis can be asked |7 not spent |8 Redis lets it go
 */
#include "domain/loan.h"

#include <string.h>

enum { EIGHTHS = 8, GIVE_BACK_AT = 6, SPENT_UNTIL = 7, FIRST = 16, PAUSES = 16 };

void loan_init(struct loan *l, const struct loan_terms *t, double now)
{
    *l = (struct loan){.since = now - t->lasts_s / 2, .pause = now};
    l->batch = t->most / FIRST > 0 ? t->most / FIRST : 1;
}

static bool past(const struct loan_part *p, const struct loan_terms *t, double now, unsigned eighths)
{
    return now >= p->asked + t->lasts_s * eighths / EIGHTHS;
}

/* Redis' own clock as well: it may have stepped ahead. */
static bool may_spend(const struct loan_part *p, const struct loan_terms *t, struct loan_clock c)
{
    uint64_t kept_us = (uint64_t)(t->lasts_s * 1e6 * (EIGHTHS - SPENT_UNTIL) / EIGHTHS);
    return !past(p, t, c.now, SPENT_UNTIL) && c.redis_us + kept_us < p->ends_us;
}

/* The first that has so many; nparts: none. */
static unsigned part_with(const struct loan *l, const struct loan_terms *t, uint32_t tokens,
                          struct loan_clock c)
{
    unsigned i = 0;
    while (i < l->nparts && (l->parts[i].left < tokens || !may_spend(&l->parts[i], t, c)))
        i++;
    return i;
}

/* Since the last question, or, where that was longer ago than a loan's time, anew: as if there had been none for half of one. */
static void count_use(struct loan *l, const struct loan_terms *t, uint32_t tokens, double now)
{
    if (now - l->since > t->lasts_s) {
        l->use = 0;
        l->since = now - t->lasts_s / 2;
    }
    l->use += tokens;
}

bool loan_take_waited(struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c,
                      uint32_t *number)
{
    unsigned i = part_with(l, t, tokens, c);
    if (i == l->nparts)
        return false;
    l->parts[i].left -= tokens;
    l->parts[i].out += tokens;
    *number = l->parts[i].number;
    return true;
}

bool loan_take(struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c,
               uint32_t *number)
{
    if (!loan_take_waited(l, t, tokens, c, number))
        return false;
    count_use(l, t, tokens, c.now);
    return true;
}

bool loan_has(const struct loan *l, const struct loan_terms *t, uint32_t tokens, struct loan_clock c)
{
    return part_with(l, t, tokens, c) < l->nparts;
}

void loan_missed(struct loan *l, const struct loan_terms *t, uint32_t tokens, double now)
{
    count_use(l, t, tokens, now);
}

/* Of which they are not out any more; NULL: it was given back meanwhile. */
static struct loan_part *settle(struct loan *l, uint32_t number, uint32_t tokens)
{
    for (struct loan_part *p = l->parts; p < l->parts + l->nparts; p++)
        if (p->number == number) {
            p->out -= tokens;
            return p;
        }
    return NULL;
}

bool loan_put(struct loan *l, uint32_t number, uint32_t tokens)
{
    l->use -= tokens < l->use ? tokens : l->use;
    struct loan_part *p = settle(l, number, tokens);
    if (p)
        p->left += tokens;
    return p != NULL;
}

void loan_spent(struct loan *l, uint32_t number, uint32_t tokens)
{
    settle(l, number, tokens);
}

uint32_t loan_left(const struct loan *l, const struct loan_terms *t, struct loan_clock c)
{
    uint32_t left = 0;
    for (const struct loan_part *p = l->parts; p < l->parts + l->nparts; p++)
        if (may_spend(p, t, c))
            left += p->left;
    return left;
}

/* What will not be given back soon. */
static uint32_t fresh(const struct loan *l, const struct loan_terms *t, double now)
{
    uint32_t left = 0;
    for (const struct loan_part *p = l->parts; p < l->parts + l->nparts; p++)
        if (!past(p, t, now, GIVE_BACK_AT))
            left += p->left;
    return left;
}

static uint32_t use_now(const struct loan *l, const struct loan_terms *t, double now)
{
    return now - l->since <= t->lasts_s ? l->use : 0;
}

/* Has it tokens to spend later? */
static bool lends(const struct loan *l)
{
    bool any = false;
    for (unsigned i = 0; i < l->nparts; i++)
        any = any || !l->parts[i].brief;
    return any;
}

static bool wants_more(const struct loan *l, const struct loan_terms *t, double now)
{
    return t->worth != LOAN_NEVER && now >= l->pause && use_now(l, t, now) >= (lends(l) ? 1 : t->worth) &&
           fresh(l, t, now) <= l->batch / 2;
}

/* Nobody holds anything of it any more. */
static bool is_over(const struct loan_part *p)
{
    return p->brief && p->out == 0;
}

bool loan_over(const struct loan *l)
{
    bool over = false;
    for (unsigned i = 0; i < l->nparts; i++)
        over = over || is_over(&l->parts[i]);
    return over;
}

bool loan_wants(const struct loan *l, const struct loan_terms *t, double now)
{
    if (l->asking)
        return false;
    bool due = l->nbacks > 0 && now >= l->pause;
    for (const struct loan_part *p = l->parts; p < l->parts + l->nparts; p++)
        due = due || is_over(p) || (p->left > 0 && past(p, t, now, GIVE_BACK_AT));
    return due || wants_more(l, t, now);
}

static uint32_t between(double v, uint32_t least, uint32_t most)
{
    if (v < least)
        return least;
    return v < most ? (uint32_t)v : most;
}

/* Enough for half of a loan's time, as it was used since the last question. */
static void follow_use(struct loan *l, const struct loan_terms *t, double now)
{
    double elapsed = now - l->since, half_life = t->lasts_s / 2, least = half_life / PAUSES;
    double fits = l->use / (elapsed > least ? elapsed : least) * half_life;
    uint32_t half = l->batch / 2 > 0 ? l->batch / 2 : 1;
    l->batch = between(fits, half, l->batch <= t->most / 2 ? l->batch * 2 : t->most);
    l->use = 0;
    l->since = now;
}

/* A brief one goes when it is over; of the others what is spent, so that a token put back to it stays spent. */
static bool goes_back(const struct loan_part *p, const struct loan_terms *t, double now)
{
    return (p->brief ? p->out == 0 : p->left == 0) || past(p, t, now, GIVE_BACK_AT);
}

/* Parts that are spent, or old, or all; as many as one question can say. */
static void move_backs(struct loan *l, const struct loan_terms *t, double now, bool all)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->nparts; i++) {
        const struct loan_part p = l->parts[i];
        if ((all || goes_back(&p, t, now)) && l->nbacks < LEND_BACKS_MAX - 1)
            l->backs[l->nbacks++] = (struct lend_back){p.number, p.left};
        else
            l->parts[kept++] = p;
    }
    l->nparts = kept;
}

bool loan_may_need(const struct loan *l, const struct loan_terms *t, double now)
{
    unsigned stay = 0, backs = l->nbacks;
    for (unsigned i = 0; i < l->nparts; i++)
        stay += !goes_back(&l->parts[i], t, now);
    backs += l->nparts - stay;
    return !l->asking && stay < LOAN_PARTS && backs < LEND_BACKS_MAX;
}

void loan_ask(struct loan *l, const struct loan_terms *t, double now, uint32_t number, uint32_t needed,
              bool close, struct lend_ask *ask)
{
    bool more = !close && wants_more(l, t, now);
    move_backs(l, t, now, close);
    if (more)
        follow_use(l, t, now);
    l->asking = true;
    l->asked = now;
    l->number = number;
    l->wanted = more && l->nparts < LOAN_PARTS && l->nbacks < LEND_BACKS_MAX ? l->batch : 0;
    l->needed = needed;
    l->said = l->nbacks;
    ask->number = number;
    ask->wanted = l->wanted;
    ask->needed = l->needed;
    ask->nbacks = l->nbacks;
    memcpy(ask->backs, l->backs, l->nbacks * sizeof *l->backs);
}

uint32_t loan_saying(const struct loan *l)
{
    uint32_t tokens = 0;
    for (unsigned i = 0; i < l->said; i++)
        tokens += l->backs[i].tokens;
    return tokens;
}

static void heard(struct loan *l)
{
    l->nbacks -= l->said;
    memmove(l->backs, l->backs + l->said, l->nbacks * sizeof *l->backs);
    l->said = 0;
}

/* Tokens that the question on its way may bring. */
static uint32_t asked_for(const struct loan *l)
{
    return l->wanted > l->needed ? l->wanted : l->needed;
}

void loan_said(struct loan *l, const struct loan_terms *t, double now, const struct lend_said *said)
{
    l->asking = false;
    bool done = said->kind == LEND_SAID;
    uint32_t tokens = done && said->tokens <= asked_for(l) ? said->tokens : 0;
    if (said->kind != LEND_LATE)
        heard(l);
    if (tokens > 0)
        l->parts[l->nparts++] = (struct loan_part){.number = l->number,
                                                   .left = tokens,
                                                   .brief = l->wanted == 0,
                                                   .asked = l->asked,
                                                   .ends_us = said->ends_us};
    if (!done || tokens < l->wanted)
        l->pause = now + t->lasts_s / PAUSES;
    l->wanted = l->needed = 0;
}

/* Said again with the next question; of what is not known nothing was spent. */
void loan_failed(struct loan *l, const struct loan_terms *t, double now)
{
    l->asking = false;
    l->said = 0;
    if (asked_for(l) > 0)
        l->backs[l->nbacks++] = (struct lend_back){l->number, asked_for(l)};
    l->wanted = l->needed = 0;
    l->pause = now + t->lasts_s / PAUSES;
}

bool loan_idle(const struct loan *l)
{
    bool open = l->asking || l->nbacks > 0;
    for (unsigned i = 0; i < l->nparts; i++)
        open = open || l->parts[i].brief || l->parts[i].left > 0;
    return !open;
}

void loan_forget(struct loan *l)
{
    l->nparts = 0;
    l->nbacks = 0;
    l->said = 0;
    l->wanted = l->needed = 0;
}
