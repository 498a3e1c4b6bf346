// SPDX-License-Identifier: MIT
/* RESP by template: what does not change of a command is one string, made by the preprocessor; keys have a
 * fixed length; so only the lengths of a few arguments are written at run time.
 *
 *   *N $7 EVALSHA $40 <sha> $1 <keys>   $46 once:{TAG}:r:DIGEST ..   $44 <token> ..
 *   `------- template ---------------'  `- key, in place ---------'  `- arguments, packed
 */
#include "domain/script.h"

#include <string.h>

#include "domain/le.h"
#include "domain/policy.h"
#include "domain/record.h"
#include "domain/resp_put.h"
#include "domain/text.h"
#include "scripts_lua.h"

_Static_assert(LUA_FILES == SCRIPTS, "each file of redis-lua/ but lib.lua has a row in SCRIPT_TABLE");

enum {
    CLAIM_FIXED = 66, /* bytes of the claim's first argument without the process and the digits of a time */
    GROUP_FIXED = 2,  /* of one group without the digits of its ttl */
    LIMIT_FIXED = 29, /* of one limit in it */
    LIMIT_BUCKET = 1, /* kinds */
    LIMIT_WINDOW = 2,
    LIMIT_SHADOW = 16, /* marks on them */
    LIMIT_EACH = 32,
    SLOT_FIXED = 23,   /* of one slot */
    APART_REFUSED = 2, /* the claim's flags */
    APART_REFUSED_ALL = 4,
    TELL_ME = 8,
    COUNT_ONLY = 16,
    COUNTS_ALL = 32,
    CLAIM_BARE = 64,
    CLAIM_MARKED = 128,
    MARK_BYTES = 16, /* of the mark in the claim's first argument */
    TICKS_PER_MS = 10000,
    TICKS_PER_S = 10000000,
    PENDING_MS = 60000, /* a pending value that is renamed at once */
};

const struct script scripts[SCRIPTS] = {
#define X(symbol, file) {#file, lua_##file, sizeof lua_##file - 1, LUA_SHA_##file},
    SCRIPT_TABLE(X)
#undef X
};

/* Behind `*N`. */
#define EVALSHA(file) "\r\n$7\r\nEVALSHA\r\n$40\r\n" LUA_SHA_##file "\r\n$1\r\n"

#define MARK_KEY "$9\r\nonce:mark\r\n"

/* What each word says behind its token; N in the template counts EVALSHA, sha, the number of keys, the key,
 * the token, the rest. None names the pending key, though most touch it (lib_record.lua). */
enum { SAYS_STATUS = 1, SAYS_LETTER = 2, SAYS_LOCATION = 4, LETTER_FIRST = 8 };

static const struct {
    const char *head;
    uint8_t says;
} words[SCRIPTS] = {
    [SCRIPT_ANSWERED] = {"*8" EVALSHA(answered) "1\r\n",    SAYS_STATUS | SAYS_LOCATION},
    [SCRIPT_COMPLETE] = {"*8" EVALSHA(complete) "1\r\n",    SAYS_STATUS | SAYS_LOCATION},
    [SCRIPT_UNSTORABLE] = {"*8" EVALSHA(unstorable) "1\r\n",  SAYS_STATUS | SAYS_LETTER  },
    [SCRIPT_RELEASE] = {"*7" EVALSHA(release) "1\r\n",     SAYS_LETTER | LETTER_FIRST },
    [SCRIPT_RESOLVE] = {"*8" EVALSHA(resolve) "1\r\n",     SAYS_STATUS | SAYS_LETTER  },
    [SCRIPT_RELEASE_RID] = {"*6" EVALSHA(release_rid) "1\r\n", 0                          },
};

/* How many limits from the i-th on share its subject: one group, one key. */
static unsigned group_size(const struct plan *p, unsigned i)
{
    unsigned n = 1;
    while (i + n < p->nlimits &&
           memcmp(&p->limits[i + n].subject, &p->limits[i].subject, sizeof p->limits[i].subject) == 0)
        n++;
    return n;
}

static unsigned group_count(const struct plan *p)
{
    unsigned groups = 0;
    for (unsigned i = 0; i < p->nlimits; i += group_size(p, i))
        groups++;
    return groups;
}

/* Ticks after which nothing is left of what the limit has counted. */
static double span_of(const struct plan_limit *l)
{
    return l->limit->algorithm == ALGORITHM_WINDOW ? (double)l->pace->window_s * TICKS_PER_S : l->limit->most;
}

/* A group's value says nothing any more when its largest bucket has refilled. */
static uint32_t group_ttl_ms(const struct plan *p, unsigned from, unsigned n)
{
    double ticks = 0;
    for (unsigned i = from; i < from + n; i++)
        if (span_of(&p->limits[i]) > ticks)
            ticks = span_of(&p->limits[i]);
    double ms = ticks / TICKS_PER_MS + SCRIPT_GROUP_SLACK_MS;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void put_limit(struct buf *out, const struct plan_limit *l)
{
    bool window = l->limit->algorithm == ALGORITHM_WINDOW;
    buf_u8(out, (uint8_t)((window ? LIMIT_WINDOW : LIMIT_BUCKET) | (l->limit->shadow ? LIMIT_SHADOW : 0) |
                          (l->limit->charge == CHARGE_ALL ? LIMIT_EACH : 0)));
    buf_le(out, l->limit->hash, 4);
    if (window) {
        buf_f64(out, span_of(l));
        buf_f64(out, l->pace->capacity);
        buf_f64(out, l->cost);
    } else {
        buf_f64(out, l->cost * l->pace->increment);
        buf_f64(out, l->pace->capacity);
        buf_f64(out, l->limit->most);
    }
}

static void put_groups(struct buf *out, const struct plan *p, unsigned groups)
{
    size_t len = (size_t)groups * GROUP_FIXED + (size_t)p->nlimits * LIMIT_FIXED;
    for (unsigned i = 0, n; i < p->nlimits; i += n) {
        n = group_size(p, i);
        len += resp_digits(group_ttl_ms(p, i, n));
    }
    resp_put_len(out, len);
    for (unsigned i = 0, n; i < p->nlimits; i += n) {
        n = group_size(p, i);
        resp_put_digits(out, group_ttl_ms(p, i, n));
        buf_u8(out, (uint8_t)n);
        for (unsigned k = i; k < i + n; k++)
            put_limit(out, &p->limits[k]);
    }
    buf_str(out, "\r\n");
}

static void put_mark(struct buf *out, const struct mark *seen)
{
    buf_f64(out, (double)seen->epoch);
    buf_f64(out, (double)seen->number);
}

static void put_slots(struct buf *out, const struct plan *p)
{
    resp_put_len(out, (size_t)p->nslots * SLOT_FIXED);
    for (unsigned i = 0; i < p->nslots; i++) {
        const struct plan_limit *s = &p->slots[i];
        buf_le(out, s->limit->concurrent, 4);
        buf_u8(out, s->limit->shadow);
        buf_put(out, s->subject.tag, sizeof s->subject.tag);
        buf_put(out, s->subject.digest, sizeof s->subject.digest);
    }
    buf_str(out, "\r\n");
}

static unsigned claim_flags(const struct plan *p)
{
    unsigned flags = (p->count_only ? COUNT_ONLY : 0) | (p->counts_all ? COUNTS_ALL : 0);
    if (p->refused)
        flags |= p->refused_all ? APART_REFUSED | APART_REFUSED_ALL : APART_REFUSED;
    if (p->bare)
        return flags | CLAIM_BARE;
    return flags | (p->policy->idempotency.on_unknown == ON_UNKNOWN_HOLD ? RECORD_HOLD : 0);
}

/* How long a granted record stays: while something may run at least a lease and the grace after it (lib_record's stay_ms()). */
static uint64_t stay_ms(uint64_t lock_ms, uint64_t ttl_s)
{
    uint64_t running = lock_ms + 2 * (lock_ms / 3);
    return ttl_s * 1000 > running ? ttl_s * 1000 : running;
}

static size_t put_claim(struct buf *out, const struct plan *p, uint64_t deadline_us, uint64_t contact_us,
                        bool tell_me, const struct mark *seen)
{
    size_t np = strlen(p->process);
    unsigned flags = claim_flags(p) | (tell_me ? TELL_ME : 0) | (seen ? CLAIM_MARKED : 0);
    uint64_t lock_ms = (uint64_t)policy_lock_s(p->policy) * 1000, ttl_s = policy_record_s(p->policy, p->bare);
    uint64_t stay = stay_ms(lock_ms, ttl_s);
    resp_put_len(out, CLAIM_FIXED + resp_digits(stay) + np + (seen ? MARK_BYTES : 0));
    buf_u8(out, p->has_record);
    buf_u8(out, (uint8_t)flags);
    size_t times = out->len;
    buf_f64(out, (double)deadline_us);
    buf_f64(out, (double)contact_us);
    buf_put(out, p->rid, sizeof p->rid);
    resp_put_digits(out, stay);
    buf_le(out, lock_ms, 4); /* from here on as the record has it behind its lease */
    buf_le(out, ttl_s, 4);
    buf_le(out, 0, 2);
    buf_put(out, p->fingerprint, sizeof p->fingerprint);
    buf_le(out, p->policy->hash, 4);
    buf_put(out, p->who, sizeof p->who);
    buf_u8(out, (uint8_t)np);
    buf_put(out, p->process, np);
    if (seen)
        put_mark(out, seen);
    buf_str(out, "\r\n");
    return times;
}

void script_claim_times(uint8_t *at, uint64_t deadline_us, uint64_t contact_us)
{
    const double times[2] = {(double)deadline_us, (double)contact_us};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t bits;
        memcpy(&bits, &times[i], sizeof bits);
        le_put_8(at + i * sizeof bits, bits);
    }
}

size_t script_claim(struct buf *out, const struct plan *p, uint64_t deadline_us, uint64_t contact_us,
                    bool tell_me, const struct mark *seen)
{
    unsigned groups = group_count(p), keys = groups + p->has_record + p->nslots + (seen ? 1 : 0);
    buf_str(out, "*");
    buf_dec(out, 6 + keys);
    buf_str(out, EVALSHA(claim));
    buf_dec(out, keys);
    buf_str(out, "\r\n");
    for (unsigned i = 0; i < p->nlimits; i += group_size(p, i))
        resp_put_key(out, &p->limits[i].subject, 'l');
    if (p->has_record)
        resp_put_key(out, &p->id, 'r');
    for (unsigned i = 0; i < p->nslots; i++)
        resp_put_key(out, &p->slots[i].subject, 'c');
    if (seen)
        buf_str(out, MARK_KEY);
    size_t times = put_claim(out, p, deadline_us, contact_us, tell_me, seen);
    put_groups(out, p, groups);
    put_slots(out, p);
    return times;
}

/* While something runs, its pending value lives as long as a lease and its grace; extend renews it. */
static uint64_t pending_ms(const struct word *w)
{
    uint64_t lock_ms = (uint64_t)token_ttl_seconds(w->token.ttl) * 1000;
    return w->script == SCRIPT_ANSWERED ? lock_ms + 2 * (lock_ms / 3) : PENDING_MS;
}

static void put_pending(struct buf *out, const struct word *w)
{
    buf_str(out, "*5\r\n$3\r\nSET\r\n");
    resp_put_pending_key(out, &w->token.id, w->token.fence);
    resp_put_arg(out, w->pending.ptr, w->pending.len);
    buf_str(out, "$2\r\nPX\r\n");
    resp_put_number(out, pending_ms(w));
}

static void put_token(struct buf *out, const struct token *t)
{
    uint8_t bytes[TOKEN_BYTES];
    token_pack(t, bytes);
    buf_put(out, bytes, sizeof bytes);
}

/* The arguments of a word in the order of docs/wire.md. */
static void put_word_args(struct buf *out, const struct word *w)
{
    unsigned says = words[w->script].says;
    if (w->script == SCRIPT_RELEASE_RID) {
        resp_put_arg(out, w->token.rid, sizeof w->token.rid);
    } else {
        resp_put_len(out, TOKEN_BYTES);
        put_token(out, &w->token);
        buf_str(out, "\r\n");
    }
    if (says & SAYS_STATUS)
        resp_put_number(out, w->status);
    if (says & LETTER_FIRST)
        resp_put_arg(out, &w->letter, 1);
    resp_put_number(out, w->ttl_s);
    if ((says & SAYS_LETTER) && !(says & LETTER_FIRST))
        resp_put_arg(out, &w->letter, 1);
    if (says & SAYS_LOCATION)
        resp_put_arg(out, w->location.ptr, w->location.len <= SCRIPT_LOCATION_MAX ? w->location.len : 0);
}

size_t script_front(struct buf *out, const struct word *w)
{
    size_t from = out->len;
    if ((words[w->script].says & SAYS_LOCATION) && w->pending.len > 0)
        put_pending(out, w);
    return out->len - from;
}

void script_behind(struct buf *out, const struct word *w)
{
    buf_str(out, words[w->script].head);
    resp_put_key(out, &w->token.id, 'r');
    put_word_args(out, w);
}

unsigned script_word(struct buf *out, const struct word *w)
{
    bool set = script_front(out, w) > 0;
    script_behind(out, w);
    return set ? 2 : 1;
}

void script_extend(struct buf *out, const struct token *tokens, unsigned n, uint32_t ttl_s)
{
    buf_str(out, "*");
    buf_dec(out, 5 + (uint64_t)n);
    static const char head[] = "\r\n$7\r\nEVALSHA\r\n$40\r\n" LUA_SHA_extend "\r\n";
    buf_put(out, head, sizeof head - 1);
    resp_put_number(out, n);
    for (unsigned i = 0; i < n; i++)
        resp_put_key(out, &tokens[i].id, 'r');
    resp_put_len(out, (size_t)n * TOKEN_BYTES);
    for (unsigned i = 0; i < n; i++)
        put_token(out, &tokens[i]);
    buf_str(out, "\r\n");
    resp_put_number(out, ttl_s);
}

void script_mark(struct buf *out, const char *name, const struct mark *seen, bool may_begin)
{
    buf_str(out, "*7" EVALSHA(mark) "1\r\n");
    resp_put_arg(out, name, strlen(name));
    resp_put_number(out, seen->epoch);
    resp_put_number(out, seen->number);
    resp_put_number(out, may_begin);
}

/* Keys that no principal and no key ever get: theirs are digests. */
void script_selftest(struct buf *out, unsigned holds, const uint8_t tag[2], bool cluster)
{
    struct record_id nobody = {
        .tag = {tag[0], tag[1]}
    };
    char mark[] = "once:{0000}:mark";
    hex_write(tag, 2, mark + 6);
    buf_str(out, "*8" EVALSHA(selftest) "4\r\n");
    resp_put_key(out, &nobody, 'r');
    resp_put_pending_key(out, &nobody, 0);
    resp_put_key(out, &nobody, 'c');
    if (cluster)
        resp_put_arg(out, mark, sizeof mark - 1);
    else
        buf_str(out, MARK_KEY);
    resp_put_number(out, holds);
}

/* WAIT compares replicas with the offset of its own connection's last write. PUBLISH, which is replicated, is
 * that write: so a record that was written through another connection is covered too (a word that finds its
 * work done, the same request again), and a fresh connection does not answer at once for nothing. In a cluster what is
 * published goes to all nodes beside the replication, so there it is a key's. */
unsigned script_wait(struct buf *out, unsigned replicas, unsigned timeout_ms, const uint8_t *tag)
{
    char key[] = "once:{0000}:ack";
    size_t from = out->len;
    if (tag) {
        hex_write(tag, 2, key + 6);
        buf_str(out, "*5\r\n$3\r\nSET\r\n");
        resp_put_arg(out, key, sizeof key - 1);
        buf_str(out, "$0\r\n\r\n$2\r\nPX\r\n");
        resp_put_number(out, PENDING_MS);
    } else {
        buf_str(out, "*3\r\n$7\r\nPUBLISH\r\n$8\r\nonce:ack\r\n$0\r\n\r\n");
    }
    size_t split = out->len - from;
    buf_str(out, "*3\r\n$4\r\nWAIT\r\n");
    resp_put_number(out, replicas);
    resp_put_number(out, timeout_ms);
    return (unsigned)split;
}

void script_get(struct buf *out, const struct record_id *id)
{
    buf_str(out, "*2\r\n$3\r\nGET\r\n");
    resp_put_key(out, id, 'r');
}

void script_look(struct buf *out, const struct script_look *l)
{
    uint8_t policy[4];
    le_put(policy, l->policy ? *l->policy : 0, sizeof policy);
    buf_str(out, l->id ? "*11" EVALSHA(look) "1\r\n" : "*10" EVALSHA(look) "0\r\n");
    if (l->id)
        resp_put_key(out, l->id, 'r');
    resp_put_arg(out, l->cursor, strlen(l->cursor));
    resp_put_number(out, SCRIPT_LOOK_STEP);
    resp_put_arg(out, &l->kind, 1);
    resp_put_number(out, l->bytes);
    resp_put_arg(out, policy, l->policy ? sizeof policy : 0);
    resp_put_arg(out, l->who, l->who ? SUBJECT_WHO : 0);
    resp_put_arg(out, l->states, strlen(l->states));
}

void script_operator(struct buf *out, const struct record_id *id, uint64_t fence, char word, bool forced,
                     unsigned status)
{
    buf_str(out, "*8" EVALSHA(operator) "1\r\n");
    resp_put_key(out, id, 'r');
    resp_put_arg(out, &word, 1);
    resp_put_len(out, 8);
    buf_le(out, fence, 8);
    buf_str(out, "\r\n");
    resp_put_number(out, forced);
    resp_put_number(out, status);
}

/* An agent that asks replaces it at once; where none asks it must not wait for a later loss. */
void script_reset(struct buf *out, const struct record_id *subject)
{
    buf_str(out, "*2\r\n$6\r\nUNLINK\r\n");
    resp_put_key(out, subject, 'l');
}

void script_go(struct buf *out, const char *name)
{
    buf_str(out, "*5\r\n$3\r\nSET\r\n");
    resp_put_arg(out, name, strlen(name));
    buf_str(out, "$2\r\ngo\r\n$2\r\nEX\r\n$2\r\n60\r\n");
}

void script_token(const struct plan *p, uint64_t fence, struct token *t)
{
    *t = (struct token){
        .flags = p->bare                                                ? TOKEN_BARE
                 : p->policy->idempotency.on_unknown == ON_UNKNOWN_HOLD ? TOKEN_HOLD
                                                                        : 0,
        .id = p->id,
        .fence = fence,
        .policy = p->policy->hash,
        .ttl = token_ttl_code(policy_lock_s(p->policy)),
    };
    memcpy(t->rid, p->rid, sizeof t->rid);
    memcpy(t->fingerprint, p->fingerprint, sizeof t->fingerprint);
}

void script_token_busy(const struct plan *p, const struct outcome *o, struct token *t)
{
    script_token(p, o->fence, t);
    memcpy(t->rid, o->rid, sizeof t->rid);
}
