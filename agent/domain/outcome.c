// SPDX-License-Identifier: MIT
/* One reader for each outcome, driven by a table. A reply is taken only if every byte of it is accounted for:
 *
 *   kind now(8) rest
 *   1    8      as the table says
 */
#include "domain/outcome.h"

#include <string.h>

#include "domain/record.h"

enum { REPLY_HEAD = 9, RECORD_WINDOW = 4096 };

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

static bool read_go(struct reader *r, const struct plan *p, struct outcome *o)
{
    if (!take_uint(r, 8, &o->fence) || (o->fence == 0) == p->has_record)
        return false;
    o->has_levels = p->nlimits > 0;
    for (unsigned i = 0; i < p->nlimits; i++)
        if (!take_double(r, &o->level[i]))
            return false;
    return true;
}

static bool read_limited(struct reader *r, const struct plan *p, struct outcome *o)
{
    bool waits = false;
    o->has_levels = true;
    for (unsigned i = 0; i < p->nlimits; i++) {
        if (!take_double(r, &o->wait_us[i]) || !take_double(r, &o->level[i]))
            return false;
        waits = waits || o->wait_us[i] > 0;
    }
    return waits;
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
static const struct {
    enum outcome_kind kind;
    bool needs_record;
    bool (*read)(struct reader *r, const struct plan *p, struct outcome *o);
} readers[] = {
    {OUTCOME_GO,       false, read_go      },
    {OUTCOME_YOURS,    true,  read_yours   },
    {OUTCOME_REPLAY,   true,  read_replay  },
    {OUTCOME_MISMATCH, true,  read_mismatch},
    {OUTCOME_BUSY,     true,  read_busy    },
    {OUTCOME_TOMB,     true,  read_tomb    },
    {OUTCOME_UNKNOWN,  true,  read_unknown },
    {OUTCOME_LIMITED,  false, read_limited },
    {OUTCOME_LATE,     false, read_nothing },
    {OUTCOME_FOREIGN,  true,  read_mismatch},
};

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
        return readers[i].read(&r, p, o) && r.left == 0 ? 0 : -1;
    }
    return -1;
}
