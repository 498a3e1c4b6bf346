// SPDX-License-Identifier: MIT
/* One reader for each outcome, driven by a table. A reply is taken only if every byte of it is accounted for:
 *
 *   kind now(8) levels                                      rest
 *   1    8      of each limit: level(8), wait(8)*, back(8)*  as the table says
 *
 *   * wait: where the limit refuses or is a shadow; back: of a sliding window */
#include "domain/outcome.h"

#include <string.h>

#include "domain/policy.h"
#include "domain/record.h"

enum { REPLY_HEAD = 9, RECORD_WINDOW = 4096, GRACE = 3 };

/* Largest number that a double says exactly: Redis' times and fences stay below. */
static const double EXACT_MAX = 9007199254740992.0;

struct reader {
    const uint8_t *at;
    size_t left;
};

static bool take(struct reader *r, void *out, size_t n)
{
    if (n > r->left)
        return false;
    memcpy(out, r->at, n);
    r->at += n;
    r->left -= n;
    return true;
}

static bool take_uint(struct reader *r, unsigned bytes, uint64_t *out)
{
    uint8_t raw[8] = {0};
    if (!take(r, raw, bytes))
        return false;
    *out = 0;
    for (unsigned i = 0; i < bytes; i++)
        *out |= (uint64_t)raw[i] << (8 * i);
    return true;
}

/* A double that must not be negative, infinite or no number. */
static bool take_double(struct reader *r, double *out)
{
    uint64_t bits;
    if (!take_uint(r, 8, &bits))
        return false;
    memcpy(out, &bits, sizeof bits);
    return *out >= 0 && *out <= EXACT_MAX;
}

static bool take_whole(struct reader *r, uint64_t *out)
{
    double d;
    if (!take_double(r, &d))
        return false;
    *out = (uint64_t)d;
    return true;
}

static struct spop_slice take_rest(struct reader *r)
{
    struct spop_slice s = {(const char *)r->at, r->left};
    r->at += r->left;
    r->left = 0;
    return s;
}

static bool take_slots(struct reader *r, const struct plan *p, struct outcome *o)
{
    for (unsigned i = 0; i < p->nslots; i++) {
        uint64_t in_use;
        if (!take_uint(r, 4, &in_use))
            return false;
        o->in_use[i] = (uint32_t)in_use;
    }
    return true;
}

bool outcome_full(const struct plan *p, const struct outcome *o, unsigned slot)
{
    const struct limit *l = p->slots[slot].limit;
    return o->kind == OUTCOME_LIMITED && !l->shadow && o->in_use[slot] >= l->concurrent;
}

/* As redis-lua/claim.lua has it: GRACE of a lock after the lease. */
void outcome_behind(const struct plan *p, const struct outcome *go, struct outcome *busy)
{
    uint64_t lock_us = (uint64_t)policy_lock_s(p->policy) * 1000000;
    *busy = (struct outcome){
        .kind = OUTCOME_BUSY,
        .now_us = go->now_us,
        .fence = go->fence,
        .until_us = go->now_us + lock_us + lock_us / GRACE,
        .process = slice_of(p->process),
    };
    memcpy(busy->rid, p->rid, sizeof busy->rid);
}

static bool read_level(struct reader *r, const struct limit *l, struct outcome *o, unsigned i)
{
    if (!take_double(r, &o->level[i]))
        return false;
    if ((o->kind == OUTCOME_LIMITED || l->shadow) && !take_double(r, &o->wait_us[i]))
        return false;
    o->back[i] = o->level[i];
    return l->algorithm != ALGORITHM_WINDOW || take_double(r, &o->back[i]);
}

static bool read_levels(struct reader *r, const struct plan *p, struct outcome *o)
{
    bool slots = o->kind == OUTCOME_GO || o->kind == OUTCOME_LIMITED;
    o->has_levels = p->nlimits > 0 || (slots && p->nslots > 0);
    for (unsigned i = 0; i < p->nlimits; i++)
        if (!read_level(r, p->limits[i].limit, o, i))
            return false;
    return !slots || take_slots(r, p, o);
}

static bool read_go(struct reader *r, const struct plan *p, struct outcome *o)
{
    return take_uint(r, 8, &o->fence) && (o->fence != 0) == p->has_record;
}

static bool read_limited(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)r;
    for (unsigned i = 0; i < p->nlimits; i++)
        if (o->wait_us[i] > 0 && !p->limits[i].limit->shadow)
            return true;
    for (unsigned i = 0; i < p->nslots; i++)
        if (outcome_full(p, o, i))
            return true;
    return p->refused;
}

static bool read_yours(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)p;
    return take_uint(r, 8, &o->fence);
}

static bool read_replay(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)p;
    uint64_t len;
    if (!take_whole(r, &o->ttl_ms) || !take_uint(r, 4, &len))
        return false;
    o->record_len = len;
    o->record = take_rest(r);
    size_t seen = len < RECORD_WINDOW ? len : RECORD_WINDOW;
    return len > RECORD_HEAD && o->record.len == seen;
}

static bool read_mismatch(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)p;
    (void)o;
    uint64_t state;
    return take_uint(r, 1, &state);
}

static bool read_busy(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)p;
    uint64_t np;
    if (!take_uint(r, 8, &o->fence) || !take(r, o->rid, sizeof o->rid) || !take_whole(r, &o->until_us) ||
        !take_uint(r, 1, &np))
        return false;
    o->process = take_rest(r);
    return o->process.len == np;
}

static bool read_unknown(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)p;
    uint64_t status;
    if (!take_uint(r, 2, &status) || !take_whole(r, &o->ttl_ms))
        return false;
    o->status = (unsigned)status;
    return true;
}

static bool read_tomb(struct reader *r, const struct plan *p, struct outcome *o)
{
    if (!read_unknown(r, p, o) || !take_uint(r, 8, &o->fence))
        return false;
    o->location = take_rest(r);
    return true;
}

static bool read_nothing(struct reader *r, const struct plan *p, struct outcome *o)
{
    (void)r;
    (void)p;
    (void)o;
    return true;
}

/* needs_record: a plan of limits alone cannot get this. */
enum levels { LEVELS_NEVER, LEVELS_ALWAYS, LEVELS_IF_ALL };
static const struct {
    enum outcome_kind kind;
    bool needs_record;
    enum levels levels; /* IF_ALL: where a limit counts all requests */
    bool (*read)(struct reader *r, const struct plan *p, struct outcome *o);
} readers[] = {
    {OUTCOME_GO,        false, LEVELS_ALWAYS, read_go      },
    {OUTCOME_YOURS,     true,  LEVELS_NEVER,  read_yours   },
    {OUTCOME_REPLAY,    true,  LEVELS_IF_ALL, read_replay  },
    {OUTCOME_MISMATCH,  true,  LEVELS_IF_ALL, read_mismatch},
    {OUTCOME_BUSY,      true,  LEVELS_IF_ALL, read_busy    },
    {OUTCOME_TOMB,      true,  LEVELS_IF_ALL, read_tomb    },
    {OUTCOME_UNKNOWN,   true,  LEVELS_IF_ALL, read_unknown },
    {OUTCOME_LIMITED,   false, LEVELS_ALWAYS, read_limited },
    {OUTCOME_LATE,      false, LEVELS_NEVER,  read_nothing },
    {OUTCOME_FOREIGN,   true,  LEVELS_NEVER,  read_mismatch},
    {OUTCOME_DATA_LOST, true,  LEVELS_NEVER,  read_nothing },
};

static bool carries_levels(enum levels when, const struct plan *p)
{
    return when == LEVELS_ALWAYS || (when == LEVELS_IF_ALL && p->counts_all);
}

int outcome_read(const char *reply, size_t len, const struct plan *p, struct outcome *o)
{
    *o = (struct outcome){0};
    if (len < REPLY_HEAD)
        return -1;
    struct reader r = {(const uint8_t *)reply + 1, len - 1};
    if (!take_whole(&r, &o->now_us))
        return -1;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if ((char)readers[i].kind != reply[0])
            continue;
        o->kind = readers[i].kind;
        if (readers[i].needs_record && !p->has_record)
            return -1;
        if (carries_levels(readers[i].levels, p) && !read_levels(&r, p, o))
            return -1;
        return readers[i].read(&r, p, o) && r.left == 0 ? 0 : -1;
    }
    return -1;
}
