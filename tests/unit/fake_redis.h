// SPDX-License-Identifier: MIT
/* Stands in for adapters/redis and rooms/completion where Redis must be late, lost or mute at a chosen word;
 * all else is tested with a redis-server (inflight_redis.h). Takes down each word that is said and answers as
 * it is told to. To be included by one test program. Everything that the two headers declare is here, used or
 * not: then the linker has no reason to take the real ones out of the library. */
#ifndef FAKE_REDIS_H
#define FAKE_REDIS_H

#include <stdlib.h>
#include <string.h>

#include "rooms/completion.h"

enum { HEARD_MAX = 4096, HEARD_ARGS = 8 + 2 * SCRIPT_EXTEND_MAX };

/* One word about one execution. */
struct heard {
    enum script_id script;
    struct token token;
    unsigned status;
    char letter;
    bool kept; /* through completion_put() */
};

static struct {
    struct ev_loop *loop;
    bool down; /* redis_submit() says no */
    bool mute; /* every call is LATE */
    bool cluster;
    bool narrow; /* there is room for so many calls only */
    unsigned room;
    char answer; /* byte of each reply; 0: S */
    unsigned n;
    struct heard heard[HEARD_MAX];
} fake;

struct redis_call {
    ev_timer timer;
    redis_reply_fn *fn;
    void *arg;
    unsigned tokens;
};

static void fake_reset(struct ev_loop *loop)
{
    memset(&fake, 0, sizeof fake);
    fake.loop = loop;
}

static void fake_hear(struct heard h)
{
    if (fake.n < HEARD_MAX)
        fake.heard[fake.n++] = h;
}

/* How often a word was said about a token; token NULL: about any. */
static unsigned fake_count(enum script_id script, const struct token *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fake.n; i++)
        if (fake.heard[i].script == script && (!t || fake.heard[i].token.fence == t->fence))
            n++;
    return n;
}

/* `*N` and N times `$len` bytes. */
static unsigned fake_args(const char *resp, size_t len, struct spop_slice args[HEARD_ARGS])
{
    const char *at = (const char *)memchr(resp, '\n', len) + 1;
    unsigned n = 0;
    while (at < resp + len && n < HEARD_ARGS) {
        char *end;
        size_t l = strtoul(at + 1, &end, 10);
        args[n++] = (struct spop_slice){end + 2, l};
        at = end + 2 + l + 2;
    }
    return n;
}

/* Takes down an EVALSHA; returns how many tokens it was about. */
static unsigned fake_take(const char *resp, size_t len)
{
    static struct spop_slice args[HEARD_ARGS];
    struct heard h = {.script = SCRIPTS};
    unsigned n = fake_args(resp, len, args);
    for (unsigned i = 0; i < SCRIPTS; i++)
        if (memcmp(args[1].ptr, scripts[i].sha, 40) == 0)
            h.script = i;
    unsigned first = 3 + (unsigned)strtoul(args[2].ptr, NULL, 10);
    struct spop_slice tokens = args[first];
    if (h.script == SCRIPT_RESOLVE) {
        h.status = (unsigned)strtoul(args[first + 1].ptr, NULL, 10);
        h.letter = *args[n - 1].ptr;
    }
    for (size_t i = 0; i + TOKEN_BYTES <= tokens.len; i += TOKEN_BYTES) {
        token_unpack((const uint8_t *)tokens.ptr + i, &h.token);
        fake_hear(h);
    }
    return (unsigned)(tokens.len / TOKEN_BYTES);
}

static void fake_reply(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct redis_call *c = t->data;
    char bytes[SCRIPT_EXTEND_MAX];
    memset(bytes, fake.answer ? fake.answer : 'S', sizeof bytes);
    struct redis_reply r = {
        .status = fake.mute ? REDIS_LATE : REDIS_BYTES, .bytes = {bytes, c->tokens}
    };
    if (fake.mute)
        r.bytes = (struct spop_slice){0};
    c->fn(c->arg, &r);
    free(c);
}

struct redis_call *redis_submit(struct redis *r, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg)
{
    (void)r;
    (void)within;
    if (fake.down || (fake.narrow && fake.room == 0))
        return NULL;
    fake.room -= fake.narrow;
    struct redis_call *c = calloc(1, sizeof *c);
    c->fn = fn;
    c->arg = arg;
    c->tokens = fake_take(resp, len);
    ev_timer_init(&c->timer, fake_reply, 0.001, 0.);
    c->timer.data = c;
    ev_timer_start(fake.loop, &c->timer);
    return c;
}

void redis_call_times(struct redis_call *c, size_t at)
{
    (void)c;
    (void)at;
}

void redis_detach(struct redis_call *c)
{
    ev_timer_stop(fake.loop, &c->timer);
    free(c);
}

bool redis_ready(const struct redis *r)
{
    (void)r;
    return !fake.down;
}

uint64_t redis_contact_us(const struct redis *r)
{
    (void)r;
    return fake.down ? 0 : 1;
}

uint64_t redis_contact_at(const struct redis *r, double moment)
{
    (void)moment;
    return redis_contact_us(r);
}

struct completion_ticket {
    ev_timer timer;
    completion_fn *fn;
    void *arg;
};

static void fake_completed(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct completion_ticket *k = t->data;
    k->fn(k->arg, COMPLETION_DONE);
    free(k);
}

struct completion_ticket *completion_put(struct completion *c, const struct word *w, ev_tstamp not_before,
                                         completion_fn *fn, void *arg)
{
    (void)c;
    (void)not_before;
    fake_hear((struct heard){w->script, w->token, w->status, w->letter, true});
    struct completion_ticket *k = calloc(1, sizeof *k);
    k->fn = fn;
    k->arg = arg;
    ev_timer_init(&k->timer, fake_completed, 0.001, 0.);
    k->timer.data = k;
    ev_timer_start(fake.loop, &k->timer);
    return k;
}

void completion_forget(struct completion_ticket *k)
{
    ev_timer_stop(fake.loop, &k->timer);
    free(k);
}

struct redis *redis_new(struct ev_loop *loop, const struct redis_settings *c,
                        const struct redis_events *events, void *arg, struct metrics *metrics)
{
    (void)loop;
    (void)c;
    (void)events;
    (void)arg;
    (void)metrics;
    return NULL;
}

void redis_reconfigure(struct redis *r, const struct redis_settings *c)
{
    (void)r;
    (void)c;
}

void redis_free(struct redis *r)
{
    (void)r;
}

uint64_t redis_clock_us(const struct redis *r)
{
    (void)r;
    return 0;
}

uint64_t redis_clock_at(const struct redis *r, double moment)
{
    (void)moment;
    return redis_clock_us(r);
}

bool redis_whole(const struct redis *r)
{
    return redis_ready(r);
}

bool redis_is_cluster(const struct redis *r)
{
    (void)r;
    return fake.cluster;
}

struct redis *redis_home(struct redis *r, const uint8_t tag[2])
{
    (void)tag;
    return r;
}

unsigned redis_number(const struct redis *link)
{
    (void)link;
    return 0;
}

unsigned redis_links(struct redis *r, struct redis *out[REDIS_LINKS])
{
    out[0] = r;
    return 1;
}

bool redis_settled(const struct redis *link)
{
    (void)link;
    return true;
}

double redis_ready_since(const struct redis *link)
{
    (void)link;
    return 0;
}

bool redis_own_tag(const struct redis *link, uint8_t tag[2])
{
    (void)link;
    memset(tag, 0, 2);
    return true;
}

uint64_t redis_marks(const struct redis *link)
{
    (void)link;
    return 1;
}

void redis_mark_name(const struct redis *r, unsigned mark, char out[REDIS_MARK_NAME])
{
    (void)r;
    (void)mark;
    memcpy(out, "once:mark", sizeof "once:mark");
}

void redis_saw_clock(struct redis *r, uint64_t us)
{
    (void)r;
    (void)us;
}

struct completion *completion_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                                  struct metrics *m)
{
    (void)loop;
    (void)redis;
    (void)c;
    (void)m;
    return NULL;
}

void completion_free(struct completion *c)
{
    (void)c;
}

void completion_reconfigure(struct completion *c, const struct config *config)
{
    (void)c;
    (void)config;
}

void completion_flush(struct completion *c)
{
    (void)c;
}

bool completion_idle(const struct completion *c)
{
    (void)c;
    return true;
}

#endif
