// SPDX-License-Identifier: MIT
/* Redis' clock, and since when this agent has been served.
 *
 *   sent ──────── Redis answers: T ──────── read        Redis' time when read: at least T, at most T + trip
 *
 * T counts as of the moment it was read, so that the clock is never ahead of Redis': a deadline made from it
 * is early, never late.
 *
 * Contact begins with a command that was sent after the last gap was over. A reply that lay in a socket
 * through the gap would name a time before it, and a claim that trusts it could take over what another agent
 * had no chance to extend (PROTOCOL, claim).
 *
 * TIME is answered by a Redis that refuses all writes too (CLUSTERDOWN, NOREPLICAS ..). While it does, contact is as young
 * as can be: what it grants again first is new, and takes nothing over. */
#include "adapters/redis_inner.h"

#include "adapters/log.h"
#include "adapters/slots.h"

enum { GAP_US = 1000000, STEP_US = 1000000 };

/* Redis' time at `at_us` as far as we knew until now. */
static int64_t expected(const struct redis *r, uint64_t at_us)
{
    return (int64_t)r->clock.seen_us + (int64_t)at_us - (int64_t)r->clock.at_us;
}

/* µs by which the clock was set forward (or back: negative); 0: it was not. */
static int64_t step_of(const struct redis *r, uint64_t us, uint64_t sent_us, uint64_t now_us)
{
    int64_t back = (int64_t)us - expected(r, sent_us), ahead = (int64_t)us - expected(r, now_us);
    if (r->clock.seen_us == 0)
        return 0;
    if (back < -STEP_US)
        return back;
    return ahead > STEP_US ? ahead : 0;
}

void redis_clock_start(struct redis *r)
{
    r->clock.fresh_us = r->clock.reply_us = redis_now_us();
    r->clock.contact_us = 0;
    r->clock.refused = false;
}

void redis_clock_stop(struct redis *r)
{
    r->clock.contact_us = 0;
    r->clock.asked = false;
}

void redis_clock_reply(struct redis *r, uint64_t sent_us, uint64_t now_us)
{
    r->clock.answered_us = sent_us;
    if (now_us - r->clock.reply_us > GAP_US) {
        r->clock.contact_us = 0;
        r->clock.fresh_us = now_us;
    }
    r->clock.reply_us = now_us;
}

void redis_clock_saw(struct redis *r, uint64_t us, uint64_t sent_us)
{
    uint64_t now_us = r->clock.answered_us ? r->clock.reply_us : redis_now_us();
    int64_t step = step_of(r, us, sent_us, now_us);
    if (step != 0) {
        LOG(LOG_WARNING, "redis-clock-stepped", log_int("by_ms", step / 1000));
        r->clock.contact_us = 0;
    }
    r->clock.seen_us = us;
    r->clock.at_us = now_us;
    if (r->clock.contact_us == 0 && !r->clock.refused && sent_us >= r->clock.fresh_us && r->link != LINK_DOWN)
        r->clock.contact_us = us;
}

void redis_clock_refused(struct redis *r)
{
    r->clock.refused = true;
    r->clock.contact_us = 0;
    r->clock.fresh_us = redis_now_us();
}

void redis_clock_served(struct redis *r, uint64_t sent_us)
{
    if (!r->clock.refused || sent_us < r->clock.fresh_us)
        return;
    r->clock.refused = false;
    r->clock.contact_us = redis_clock_us(r);
}

uint64_t redis_clock_us(const struct redis *r)
{
    const struct redis *one = redis_is_router(r) ? slots_some(r->slots) : r;
    r = one ? one : r;
    return r->clock.seen_us ? (uint64_t)expected(r, redis_now_us()) : 0;
}

uint64_t redis_clock_at(const struct redis *r, double moment)
{
    return r->clock.seen_us ? (uint64_t)expected(r, (uint64_t)(moment * 1e6)) : 0;
}

void redis_saw_clock(struct redis *r, uint64_t us)
{
    if (us != 0)
        redis_clock_saw(r, us, r->clock.answered_us ? r->clock.answered_us : redis_now_us());
}

/* The moment may lie before the last reply. */
static uint64_t contact(const struct redis *r, uint64_t at_us)
{
    bool served = r->link == LINK_READY && (int64_t)(at_us - r->clock.reply_us) <= GAP_US;
    if (served && r->clock.refused)
        return r->clock.seen_us ? (uint64_t)expected(r, at_us) : 0;
    return served ? r->clock.contact_us : 0;
}

uint64_t redis_contact_us(const struct redis *r)
{
    return contact(r, redis_now_us());
}

uint64_t redis_contact_at(const struct redis *r, double moment)
{
    return contact(r, (uint64_t)(moment * 1e6));
}
