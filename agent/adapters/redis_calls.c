// SPDX-License-Identifier: MIT
/* Calls: which reply is whose, when it is too late, and what NOSCRIPT asks for.
 *
 *   sent       in the order of the commands, which is the order of the replies
 *   deadlines  sorted; a new one is nearly always the last: callers share a few budgets
 *   healing    answered NOSCRIPT: nothing has run; sent again, in order, when the scripts are loaded
 *
 * Calls come from a free list: once warm, a call allocates nothing here. */
#include "adapters/redis_inner.h"

#include <stdlib.h>
#include <string.h>
#include "adapters/slots.h"
#include "domain/rights.h"

enum { HEALS_MAX = 3, COPY_KEPT = 4096 }; /* COPY_KEPT: bytes of memory that a free call keeps */

static const enum metric status_metrics[] = {
    [REDIS_BYTES] = METRIC_REDIS_COMMANDS, [REDIS_INT] = METRIC_REDIS_COMMANDS,
    [REDIS_ITEMS] = METRIC_REDIS_COMMANDS, [REDIS_NIL] = METRIC_REDIS_COMMANDS,
    [REDIS_ERROR] = METRIC_REDIS_ERRORS,   [REDIS_LATE] = METRIC_REDIS_LATE,
    [REDIS_LOST] = METRIC_REDIS_LOST,
};

void redis_queue_init(struct redis_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

void redis_queue_add(struct redis_queue *q, struct redis_call *call)
{
    call->next = NULL;
    *q->last = call;
    q->last = &call->next;
}

struct redis_call *redis_queue_take(struct redis_queue *q)
{
    struct redis_call *call = q->first;
    if (call && !(q->first = call->next))
        q->last = &q->first;
    return call;
}

static void due_arm(struct redis *r)
{
    const struct redis_call *first = r->due_first;
    if (!first || (r->due_armed_us && r->due_armed_us <= first->due_us))
        return; /* what fires too early finds nothing to do and arms again */
    uint64_t now_us = redis_now_us();
    ev_timer_stop(r->loop, &r->due);
    ev_timer_set(&r->due, first->due_us > now_us ? (double)(first->due_us - now_us) / 1e6 : 0., 0.);
    ev_timer_start(r->loop, &r->due);
    r->due_armed_us = first->due_us;
}

static void due_add(struct redis *r, struct redis_call *call, uint64_t due_us)
{
    struct redis_call *before = r->due_last;
    while (before && before->due_us > due_us)
        before = before->due_prev;
    call->due_us = due_us;
    call->due_prev = before;
    call->due_next = before ? before->due_next : r->due_first;
    *(call->due_next ? &call->due_next->due_prev : &r->due_last) = call;
    *(before ? &before->due_next : &r->due_first) = call;
    due_arm(r);
}

static void due_remove(struct redis *r, struct redis_call *call)
{
    if (call->due_us == 0)
        return;
    *(call->due_prev ? &call->due_prev->due_next : &r->due_first) = call->due_next;
    *(call->due_next ? &call->due_next->due_prev : &r->due_last) = call->due_prev;
    call->due_us = 0;
}

/* The one place where a caller is told. */
static void tell(struct redis *r, struct redis_call *call, const struct redis_reply *reply)
{
    redis_reply_fn *fn = call->fn;
    void *arg = call->arg;
    bool over = call->over;
    due_remove(r, call);
    call->fn = NULL;
    call->over = true;
    if (over)
        return;
    metrics_add(r->metrics, status_metrics[reply->status]);
    if (fn)
        fn(arg, reply);
}

static struct redis_call *call_new(struct redis *r)
{
    struct redis_call *call = r->free;
    if (call)
        r->free = call->next;
    else
        call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    struct buf copy = call->copy;
    buf_reset(&copy);
    *call = (struct redis_call){.owner = r, .copy = copy};
    return call;
}

/* The struct may be handed out again at once: what it said must have been read before. One that has come from another link is not
 * kept: that one makes a new one for each that leaves it, and a slot may be open for days. */
static void call_free(struct redis *r, struct redis_call *call)
{
    if (!call->step)
        r->pending--;
    if (call->copy.cap > COPY_KEPT || call->hops > 0)
        buf_free(&call->copy);
    if (call->hops > 0) {
        free(call);
        return;
    }
    call->next = r->free;
    r->free = call;
}

static void finish(struct redis *r, struct redis_call *call, struct redis_reply *reply)
{
    struct redis_call said = *call;
    reply->from = r;
    due_remove(r, call);
    said.due_us = 0;
    call_free(r, call);
    tell(r, &said, reply);
}

static struct redis_reply error_reply(const char *text)
{
    return (struct redis_reply){
        .status = REDIS_ERROR, .bytes = {text, strlen(text)}
    };
}

static struct redis_reply reply_of(const redisReply *from)
{
    struct redis_reply reply = {
        .bytes = {from->str, from->len}
    };
    switch (from->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: reply.status = REDIS_BYTES; return reply;
    case REDIS_REPLY_ERROR: reply.status = REDIS_ERROR; return reply;
    case REDIS_REPLY_INTEGER: return (struct redis_reply){.status = REDIS_INT, .integer = from->integer};
    case REDIS_REPLY_NIL: return (struct redis_reply){.status = REDIS_NIL};
    case REDIS_REPLY_ARRAY:
        return (struct redis_reply){
            .status = REDIS_ITEMS, .nitems = (unsigned)from->elements, .items = from->element};
    default: return error_reply("a reply of a type that no command of ours has");
    }
}

struct spop_slice redis_item(const struct redis_reply *reply, unsigned i)
{
    redisReply *const *items = reply->items;
    if (reply->status != REDIS_ITEMS || i >= reply->nitems || items[i]->type != REDIS_REPLY_STRING)
        return (struct spop_slice){0};
    return (struct spop_slice){items[i]->str, (size_t)items[i]->len};
}

static bool is_evalsha(const char *resp, size_t len)
{
    struct spop_slice rest = {resp, len};
    const char *end = memchr(resp, '\n', len);
    slice_skip(&rest, end ? (size_t)(end + 1 - resp) : len);
    return slice_starts(rest, "$7\r\nEVALSHA\r\n");
}

static bool can_heal(const struct redis_call *call, const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           slice_starts((struct spop_slice){reply->str, (size_t)reply->len}, "NOSCRIPT") &&
           call->copy.len > 0 && !call->copy.failed && call->heals < HEALS_MAX && !call->over;
}

/* A primary that was made a replica keeps its connections, and where the name or proxy before it leads to another one
 * now, only a new connection finds that (it asks for the role). */
static void note_demotion(struct redis *r, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR &&
        slice_starts((struct spop_slice){reply->str, (size_t)reply->len}, "READONLY"))
        r->broken = "READONLY: it is a replica now";
}

/* Rights were taken away. The next greeting finds out which, and waits until they are back. */
static void leave_unfit(struct redis *r, const redisReply *reply)
{
    if (r->gone || r->link != LINK_READY || reply->type != REDIS_REPLY_ERROR)
        return;
    if (rights_refused((struct spop_slice){reply->str, (size_t)reply->len}))
        redis_link_drop(r, "rights", reply->str);
}

/* Who gets one of these could write nothing at all here, nor could anybody else: no lease is extended. */
static const char *const refusals[] = {"CLUSTERDOWN ", "NOREPLICAS ", "MISCONF ", "LOADING ",
                                       "MASTERDOWN ",  "READONLY ",   "BUSY "};

static void note_service(struct redis *r, const struct redis_call *call, const redisReply *reply)
{
    struct spop_slice said = {reply->str, (size_t)reply->len};
    for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof refusals / sizeof *refusals; i++)
        if (slice_starts(said, refusals[i])) {
            redis_clock_refused(r);
            return;
        }
    redis_clock_served(r, call->sent_us);
}

static void heal(struct redis *r, struct redis_call *call)
{
    call->heals++;
    redis_queue_add(&r->healing, call);
    if (r->loading > 0)
        return;
    metrics_add(r->metrics, METRIC_REDIS_NOSCRIPT);
    redis_greet_load(r);
}

/* In a cluster: this node has not carried it out, and another one will. */
static bool goes_on(struct redis *r, struct redis_call *call, const redisReply *reply)
{
    return call->routed && reply->type == REDIS_REPLY_ERROR &&
           slots_redirect(r->slots, r, call, (struct spop_slice){reply->str, (size_t)reply->len});
}

static void on_reply(redisAsyncContext *ac, void *from, void *data)
{
    struct redis *r = ac->data;
    struct redis_call *call = data;
    if (!r || !from)
        return; /* the end of the connection: told by redis_calls_lose() */
    uint64_t now_us = redis_now_us();
    redis_queue_take(&r->sent);
    redis_enter(r);
    redis_clock_reply(r, call->sent_us, now_us);
    if (call->timed && call->heals == 0 && call->hops == 0)
        metrics_latency(r->metrics, now_us - call->sent_us);
    if (!call->step)
        note_service(r, call, from);
    if (call->step) {
        const struct redis_step *step = call->step;
        unsigned item = call->item;
        call_free(r, call);
        redis_greet_reply(r, step, item, from);
    } else if (can_heal(call, from)) {
        heal(r, call);
    } else if (!goes_on(r, call, from)) {
        note_demotion(r, from);
        struct redis_reply reply = reply_of(from);
        finish(r, call, &reply);
        leave_unfit(r, from);
    }
    r->clock.answered_us = 0;
    redis_leave(r);
}

/* Behind all that were sent before. False: out of memory. */
static bool transmit(struct redis *r, struct redis_call *call, const void *resp, size_t len)
{
    if (redisAsyncFormattedCommand(r->ac, on_reply, call, resp, len) != REDIS_OK)
        return false;
    call->sent_us = redis_now_us();
    redis_queue_add(&r->sent, call);
    return true;
}

void redis_calls_own(struct redis *r, const struct redis_step *step, unsigned item)
{
    struct redis_call *call = r->out.failed ? NULL : call_new(r);
    if (call) {
        call->step = step;
        call->item = item;
        if (transmit(r, call, r->out.data, r->out.len))
            return;
        call_free(r, call);
    }
    r->broken = "out of memory";
}

/* A claim asks by this primary's clock and by the contact with it. False: there is none. */
static bool renew_times(const struct redis *r, struct redis_call *call)
{
    if (call->times_at == 0)
        return true;
    uint64_t now_us = redis_now_us(), clock_us = redis_clock_us(r), contact_us = redis_contact_us(r);
    if (clock_us == 0 || contact_us == 0 || call->due_us == 0)
        return false;
    script_claim_times(call->copy.data + call->times_at, clock_us + (call->due_us - now_us), contact_us);
    return true;
}

static bool transmit_copy(struct redis *r, struct redis_call *call)
{
    if (!renew_times(r, call))
        return false;
    if (call->asking)
        redis_greet_asking(r);
    return transmit(r, call, call->copy.data, call->copy.len);
}

void redis_calls_healed(struct redis *r, bool loaded)
{
    struct redis_reply failed = error_reply("NOSCRIPT the scripts could not be loaded");
    struct redis_call *call;
    while ((call = redis_queue_take(&r->healing)))
        if (!loaded || call->over || !transmit_copy(r, call))
            finish(r, call, &failed);
}

void redis_calls_end(struct redis_call *call)
{
    struct redis_reply lost = {.status = REDIS_LOST};
    finish(call->owner, call, &lost);
}

void redis_calls_move(struct redis_call *call, struct redis *to, bool asking)
{
    uint64_t due_us = call->due_us;
    due_remove(call->owner, call);
    call->owner->pending--;
    to->pending++;
    call->owner = to;
    call->asking = asking;
    call->again = false;
    call->hops += call->hops < UINT8_MAX;
    if (due_us)
        due_add(to, call, due_us);
    if (to->link != LINK_READY)
        redis_queue_add(&to->healing, call);
    else if (call->over || !transmit_copy(to, call))
        redis_calls_end(call);
}

void redis_calls_lose(struct redis *r)
{
    struct redis_reply lost = {.status = REDIS_LOST};
    struct redis_call *call;
    r->loading = 0;
    while ((call = redis_queue_take(&r->healing)) || (call = redis_queue_take(&r->sent)))
        finish(r, call, &lost);
}

/* What waits for a slot of a cluster has not been carried out, and nobody is slow. */
static void tell_due(struct redis *r, struct redis_call *call)
{
    struct redis_reply reply = {.status = REDIS_LATE};
    if (call->again)
        reply = error_reply("TRYAGAIN until the deadline: a part of its slot lies elsewhere");
    reply.from = r;
    tell(r, call, &reply);
}

static void on_due(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct redis *r = t->data;
    uint64_t now_us = redis_now_us();
    r->due_armed_us = 0;
    redis_enter(r);
    while (r->due_first && r->due_first->due_us <= now_us)
        tell_due(r, r->due_first);
    if (!r->gone)
        due_arm(r);
    redis_leave(r);
}

void redis_calls_init(struct redis *r)
{
    redis_queue_init(&r->sent);
    redis_queue_init(&r->healing);
    ev_timer_init(&r->due, on_due, 0., 0.);
    r->due.data = r;
    ev_set_priority(&r->due, EV_MINPRI); /* what has come is read before anything is called late */
}

void redis_calls_clear(struct redis *r)
{
    ev_timer_stop(r->loop, &r->due);
    for (struct redis_call *call = r->free, *next; call; call = next) {
        next = call->next;
        buf_free(&call->copy);
        free(call);
    }
}

bool redis_room(const struct redis *r, enum redis_rank rank)
{
    if (r->pending < ((size_t)r->max_pending * rank + REDIS_HEARTBEATS - 1) / REDIS_HEARTBEATS)
        return true;
    metrics_add(r->metrics, METRIC_REDIS_FULL);
    return false;
}

struct redis_call *redis_submit(struct redis *r, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg)
{
    if (r->link != LINK_READY)
        return redis_is_router(r) ? slots_submit(r->slots, resp, len, within, fn, arg) : NULL;
    if (!redis_room(r, REDIS_HEARTBEATS))
        return NULL;
    struct redis_call *call = call_new(r);
    if (!call)
        return NULL;
    r->pending++;
    if (!transmit(r, call, resp, len)) {
        call_free(r, call);
        return NULL;
    }
    call->fn = fn;
    call->arg = arg;
    if (r->slots || is_evalsha(resp, len))
        buf_put(&call->copy, resp, len);
    if (within != 0) {
        call->timed = true;
        due_add(r, call, call->sent_us + (within > 0 ? (uint64_t)(within * 1e6) : 0));
    }
    return call;
}

struct redis_call *redis_submit_asking(struct redis *link, const void *resp, size_t len, ev_tstamp within,
                                       redis_reply_fn *fn, void *arg)
{
    bool asking = link->slots && link->link == LINK_READY && redis_room(link, REDIS_HEARTBEATS);
    if (asking)
        redis_greet_asking(link);
    struct redis_call *call = redis_submit(link, resp, len, within, fn, arg);
    if (call)
        call->asking = asking;
    return call;
}

void redis_call_times(struct redis_call *call, size_t at)
{
    call->times_at = at;
}

void redis_detach(struct redis_call *call)
{
    due_remove(call->owner, call);
    call->fn = NULL;
    call->over = true;
}
