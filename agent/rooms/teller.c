// SPDX-License-Identifier: MIT
/* A list of the calls that are on their way, newest first; each leaves it with its reply, late or lost. The
 * age of the last one of the list, and the last failure, say whether Redis hears us. */
#include "rooms/teller.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "rooms/monotonic.h"

/* Seconds: a reply later than this counts as no confirmation. */
#define PATIENCE 1.0

struct said {
    struct said *next, **prev;
    struct teller *teller;
    struct redis_call *call; /* NULL: replied, replicas are waited for */
    bool safely;
    char letter; /* the reply meanwhile */
    struct acks_waiter waiter;
    double at;
    teller_fn *fn;
    void *arg;
};

struct teller {
    struct ev_loop *loop;
    struct redis *redis;
    struct acks *acks;
    struct said *first; /* newest first */
    double failed_at;   /* last word that was not confirmed; 0: confirmed since */
    struct log_gate gate;
};

struct teller *teller_new(struct ev_loop *loop, struct redis *redis)
{
    struct teller *t = calloc(1, sizeof *t);
    if (t)
        *t = (struct teller){.loop = loop, .redis = redis};
    return t;
}

static void forget(struct said *s)
{
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    free(s);
}

void teller_free(struct teller *t)
{
    if (!t)
        return;
    while (t->first) {
        if (t->first->call)
            redis_detach(t->first->call);
        forget(t->first);
    }
    free(t);
}

static void log_failure(struct teller *t, const struct redis_reply *reply)
{
    if (reply->status == REDIS_ERROR && log_gate_open(&t->gate, 1, monotonic_now()))
        LOG(LOG_WARNING, "word-refused-by-redis", log_bytes("error", reply->bytes),
            log_int("left_out", t->gate.left_out));
}

static void finish(struct said *s, struct spop_slice reply)
{
    struct said said = *s;
    forget(s);
    said.fn(said.arg, reply);
}

static void on_acked(void *arg, bool acknowledged)
{
    struct said *s = arg;
    char letter = s->letter;
    finish(s, acknowledged ? (struct spop_slice){&letter, 1} : (struct spop_slice){0});
}

/* Silent replicas do not make a poller that is not heard: what it extends is extended. */
static void on_reply(void *arg, const struct redis_reply *reply)
{
    struct said *s = arg;
    struct teller *t = s->teller;
    bool good = reply->status == REDIS_BYTES && reply->bytes.len > 0;
    t->failed_at = good ? 0 : monotonic_now();
    s->call = NULL;
    if (!good)
        log_failure(t, reply);
    if (!good || !s->safely || !acks_wanted(t->acks)) {
        finish(s, good ? reply->bytes : (struct spop_slice){0});
        return;
    }
    s->letter = *reply->bytes.ptr;
    if (!acks_wait(t->acks, reply->from, &s->waiter, on_acked, s))
        finish(s, (struct spop_slice){0});
}

static struct said *say(struct teller *t, const struct buf *command, teller_fn *fn, void *arg)
{
    struct said *s = command->failed ? NULL : malloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct said){.next = t->first, .prev = &t->first, .teller = t, .fn = fn, .arg = arg};
    s->at = monotonic_now();
    s->call = redis_submit(t->redis, command->data, command->len, PATIENCE, on_reply, s);
    if (!s->call) {
        free(s);
        return NULL;
    }
    if (s->next)
        s->next->prev = &s->next;
    t->first = s;
    return s;
}

bool teller_say(struct teller *t, const struct buf *command, teller_fn *fn, void *arg)
{
    return say(t, command, fn, arg) != NULL;
}

bool teller_say_safely(struct teller *t, const struct buf *command, teller_fn *fn, void *arg)
{
    struct said *s = say(t, command, fn, arg);
    if (s)
        s->safely = true;
    return s != NULL;
}

bool teller_by_tag(const struct teller *t)
{
    return redis_is_cluster(t->redis);
}

void teller_set_acks(struct teller *t, struct acks *acks)
{
    t->acks = acks;
}

static double oldest(const struct teller *t)
{
    double at = monotonic_now();
    for (const struct said *s = t->first; s; s = s->next)
        at = s->at;
    return at;
}

bool teller_confirmed(const struct teller *t, double poll)
{
    double now = monotonic_now();
    if (!redis_whole(t->redis))
        return false;
    if (now - oldest(t) > poll)
        return false;
    return t->failed_at == 0 || now - t->failed_at > 4 * poll;
}
