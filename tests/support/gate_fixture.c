// SPDX-License-Identifier: MIT
/* One redis-server for the whole group, emptied before each test; each claim and word is made by
 * domain/script, so that what the tests see is what the agent would say. The keys' texts are spelled here by
 * hand: a second opinion on docs/wire.md. */
#include "tests/support/gate_fixture.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

int gate_start(void **state)
{
    static struct gate g;
    redis_server_start(&g.redis);
    redis_server_load(&g.redis);
    g.listener = redis_server_connect(&g.redis);
    freeReplyObject(redisCommand(g.listener, "PSUBSCRIBE once:w:*"));
    *state = &g;
    return 0;
}

static void drop_reply(struct gate *g)
{
    if (g->reply)
        freeReplyObject(g->reply);
    g->reply = NULL;
}

int gate_stop(void **state)
{
    struct gate *g = *state;
    drop_reply(g);
    buf_free(&g->out);
    buf_free(&g->raw);
    redisFree(g->listener);
    redis_server_stop(&g->redis);
    return 0;
}

int gate_begin(void **state)
{
    struct gate *g = *state;
    redis_server_do(&g->redis, "FLUSHALL");
    gate_told(g, NULL);
    g->mark = NULL;
    g->policy = (struct policy){.hash = 0x04030201};
    g->policy.idempotency = (struct idempotency){.enabled = true, .lock_s = LOCK_S, .record_s = TTL_S};
    g->plan = (struct plan){.kind = PLAN_CLAIM, .policy = &g->policy, .has_record = true};
    memcpy(g->plan.id.tag, "\xab\x01", 2);
    memset(g->plan.id.digest, 0xd1, sizeof g->plan.id.digest);
    memset(g->plan.fingerprint, 'f', sizeof g->plan.fingerprint);
    memset(g->plan.rid, 'r', sizeof g->plan.rid);
    memset(g->plan.who, 'w', sizeof g->plan.who);
    strcpy(g->plan.process, "4711.1700000000000000.host");
    return 0;
}

int gate_end(void **state)
{
    struct gate *g = *state;
    redis_server_do(&g->redis, "CONFIG SET maxmemory 0");
    return redis_server_immortals(&g->redis) == 0 ? 0 : -1;
}

char gate_claim_with(struct gate *g, uint64_t deadline_us, uint64_t contact_us, bool tell_me)
{
    drop_reply(g);
    buf_reset(&g->out);
    script_claim(&g->out, &g->plan, deadline_us, contact_us, tell_me, g->mark);
    g->reply = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    if (g->reply->type == REDIS_REPLY_ERROR)
        return 'E';
    if (g->reply->type != REDIS_REPLY_STRING ||
        outcome_read(g->reply->str, (size_t)g->reply->len, &g->plan, &g->outcome) < 0)
        return '?';
    return (char)g->outcome.kind;
}

char gate_claim(struct gate *g)
{
    return gate_claim_with(g, 0, 0, false);
}

char gate_claim_as(struct gate *g, uint8_t rid)
{
    memset(g->plan.rid, rid, sizeof g->plan.rid);
    return gate_claim(g);
}

/* Named by what stands before it of the same subject. */
static void put_limit(struct gate *g, struct limit *l, uint8_t subject)
{
    struct plan_limit *p = &g->plan.limits[g->plan.nlimits++];
    l->hash = 0x80000001;
    for (const struct plan_limit *o = g->plan.limits; o < p; o++)
        l->hash += o->subject.digest[0] == subject;
    *p = (struct plan_limit){.limit = l, .pace = &l->pace, .cost = 1};
    memcpy(p->subject.tag, "\xab\x01", 2);
    memset(p->subject.digest, subject, sizeof p->subject.digest);
}

void gate_limit(struct gate *g, unsigned n, unsigned seconds, uint8_t subject)
{
    struct limit *l = &g->policy.limits[g->policy.nlimits++];
    *l = (struct limit){
        .pace = {.quota = n, .window_s = seconds, .burst = n}
    };
    l->pace.increment = (double)((seconds * UINT64_C(10000000) + n - 1) / n);
    l->pace.capacity = l->most = n * l->pace.increment;
    put_limit(g, l, subject);
}

void gate_window(struct gate *g, unsigned n, unsigned seconds, uint8_t subject)
{
    struct limit *l = &g->policy.limits[g->policy.nlimits++];
    *l = (struct limit){
        .algorithm = ALGORITHM_WINDOW, .most = n, .pace = {.quota = n, .window_s = seconds, .burst = n}
    };
    l->pace.increment = 1;
    l->pace.capacity = n;
    put_limit(g, l, subject);
}

void gate_slot(struct gate *g, unsigned most, uint8_t subject)
{
    struct limit *l = &g->policy.limits[g->policy.nlimits++];
    *l = (struct limit){.concurrent = most};
    struct plan_limit *p = &g->plan.slots[g->plan.nslots++];
    p->limit = l;
    memcpy(p->subject.tag, "\xab\x01", 2);
    memset(p->subject.digest, subject, sizeof p->subject.digest);
}

void gate_bare(struct gate *g)
{
    g->policy.idempotency = (struct idempotency){.enabled = false};
    g->policy.lease_s = LOCK_S;
    g->plan.bare = true;
    memset(g->plan.fingerprint, 0, sizeof g->plan.fingerprint);
}

struct token gate_token(const struct gate *g)
{
    struct token t;
    script_token(&g->plan, g->outcome.fence, &t);
    return t;
}

struct word gate_word_of(const struct gate *g, enum script_id script)
{
    return (struct word){.script = script, .token = gate_token(g), .ttl_s = REBUILT_TTL_S};
}

char gate_say(struct gate *g, const struct word *w)
{
    unsigned n = 1;
    buf_reset(&g->out);
    if (w->script == SCRIPT_EXTEND)
        script_extend(&g->out, &w->token, 1, w->ttl_s);
    else
        n = script_word(&g->out, w);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, n);
    char said = r->type == REDIS_REPLY_STRING && r->len == 1 ? r->str[0] : 'E';
    freeReplyObject(r);
    return said;
}

static const char *key_text(const struct record_id *id, char kind, char out[80])
{
    int n = snprintf(out, 80, "once:{%02x%02x}:%c:", id->tag[0], id->tag[1], kind);
    for (unsigned i = 0; i < 16; i++)
        n += snprintf(out + n, 80 - (size_t)n, "%02x", id->digest[i]);
    return out;
}

const char *gate_record_key(const struct gate *g)
{
    static char text[80];
    return key_text(&g->plan.id, 'r', text);
}

const char *gate_pending_key(const struct gate *g, uint64_t fence)
{
    static char text[100];
    key_text(&g->plan.id, 'p', text);
    snprintf(text + strlen(text), 20, ":%016llx", (unsigned long long)fence);
    return text;
}

const char *gate_limit_key(const struct gate *g, unsigned limit)
{
    static char text[80];
    return key_text(&g->plan.limits[limit].subject, 'l', text);
}

const char *gate_slot_key(const struct gate *g, unsigned slot)
{
    static char text[80];
    return key_text(&g->plan.slots[slot].subject, 'c', text);
}

bool gate_look(struct gate *g, struct record *r)
{
    buf_reset(&g->out);
    script_get(&g->out, &g->plan.id);
    redisReply *reply = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    bool found = reply->type == REDIS_REPLY_STRING;
    if (found) {
        buf_reset(&g->raw);
        buf_put(&g->raw, reply->str, (size_t)reply->len);
        assert_int_equal(0, record_open(g->raw.data, g->raw.len, r));
    }
    freeReplyObject(reply);
    return found;
}

void gate_plant_raw(struct gate *g, const void *bytes, size_t len, unsigned ttl_ms)
{
    redis_server_do(&g->redis, "SET %s %b PX %u", gate_record_key(g), bytes, len, ttl_ms);
}

void gate_plant(struct gate *g, const struct record *r, unsigned ttl_ms)
{
    struct buf *b = &g->raw;
    buf_reset(b);
    buf_u8(b, RECORD_VERSION);
    buf_u8(b, r->state);
    buf_u8(b, r->flags);
    buf_u8(b, r->why);
    buf_le(b, r->fence, 8);
    buf_put(b, r->rid, sizeof r->rid);
    buf_le(b, r->lease_until_us, 8);
    buf_le(b, r->lock_ms, 4);
    buf_le(b, r->ttl_s, 4);
    buf_le(b, r->status, 2);
    buf_put(b, r->fingerprint, sizeof r->fingerprint);
    buf_le(b, r->policy, 4);
    buf_put(b, r->who, sizeof r->who);
    buf_u8(b, (uint8_t)r->process.len);
    buf_put(b, r->process.ptr, r->process.len);
    buf_put(b, r->slots.ptr, r->slots.len);
    buf_put(b, r->payload.ptr, r->payload.len);
    gate_plant_raw(g, b->data, b->len, ttl_ms);
}

long long gate_pttl(struct gate *g)
{
    return redis_server_int(&g->redis, "PTTL %s", gate_record_key(g));
}

uint64_t gate_now_us(struct gate *g)
{
    redisReply *r = redisCommand(g->redis.c, "TIME");
    uint64_t us = strtoull(r->element[0]->str, NULL, 10) * 1000000 + strtoull(r->element[1]->str, NULL, 10);
    freeReplyObject(r);
    return us;
}

unsigned gate_told(struct gate *g, char *state)
{
    redis_server_do(&g->redis, "PUBLISH once:w:end %s", ".");
    for (unsigned n = 0;; n++) {
        redisReply *r = NULL;
        if (redisGetReply(g->listener, (void **)&r) != REDIS_OK)
            fail_msg("the listener lost its connection");
        const char *channel = r->element[2]->str, *digest = gate_record_key(g) + 14;
        bool end = strcmp(channel, "once:w:end") == 0;
        if (!end)
            assert_string_equal(channel + 7, digest);
        if (!end && state)
            *state = r->element[3]->str[0];
        freeReplyObject(r);
        if (end)
            return n;
    }
}
