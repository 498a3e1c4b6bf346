// SPDX-License-Identifier: MIT
/* One success closes it, because what follows is counted anew: a server that answers only now and then opens
 * it again after `failures` requests. */
#include "domain/breaker.h"

void breaker_set(struct breaker *b, unsigned failures, double pause, bool keep)
{
    if (!keep)
        *b = (struct breaker){0};
    b->failures = failures > 0 ? failures : 1;
    b->pause = pause;
}

bool breaker_admits(struct breaker *b, double now)
{
    if (!b->open)
        return true;
    if (now - b->probed_at < b->pause)
        return false;
    b->probed_at = now;
    return true;
}

bool breaker_good(struct breaker *b)
{
    bool was_open = b->open;
    b->bad = 0;
    b->open = false;
    return was_open;
}

bool breaker_bad(struct breaker *b, double now)
{
    b->bad += b->bad < b->failures;
    if (b->open || b->bad < b->failures)
        return false;
    b->open = true;
    b->probed_at = now;
    return true;
}
