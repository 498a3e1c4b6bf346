// SPDX-License-Identifier: MIT
/* What the files redis*.c share, and nobody else sees.
 *
 *   redis.c        the link: connect, lose, pause; the public verbs
 *   redis_greet.c  the agent's own commands: greeting, SCRIPT LOAD, TIME
 *   redis_calls.c  calls: order, deadlines, NOSCRIPT
 *   redis_clock.c  Redis' clock, and since when we have been served
 *   redis_wire.c   hiredis on our loop
 *   redis_primary.c  which Redis: the configured one, or the one that the Sentinels name
 *   slots.c          the primaries of a cluster: a link for each of them, behind a router
 *
 *   free ──push──► sent ──reply──► free          sent ──NOSCRIPT──► healing ──scripts loaded──► sent
 *                                                sent ──MOVED, ASK──► another link's sent, or healing until it is ready
 *
 * A call that is over (late, or its caller has gone) stays where it is until its reply has been swallowed:
 * replies are told apart by their order alone. All times are µs of the monotonic clock unless they are
 * Redis'. */
#ifndef REDIS_INNER_H
#define REDIS_INNER_H

#include "adapters/redis.h"

#include <hiredis/async.h>
#include <time.h>
#include "adapters/resolve.h"
#include "adapters/sentinel.h"
#include "domain/buf.h"
#include "domain/script.h"

struct redis_step;
struct slots;

enum { REDIS_WHY = 320 }; /* bytes of a text that says why the link went */

struct redis_call {
    struct redis_call *next;                /* in free, sent or healing */
    struct redis_call *due_prev, *due_next; /* in the list of deadlines, while due_us is not 0 */
    struct redis *owner;
    redis_reply_fn *fn;
    void *arg;
    const struct redis_step *step; /* one of our own commands; NULL: a caller's */
    unsigned item;                 /* which of the step's */
    uint64_t sent_us, due_us;      /* due_us 0: no deadline, or it is over */
    struct buf copy;               /* an EVALSHA's bytes, to be sent again; in a cluster every call's */
    size_t times_at;               /* where in it a claim's deadline and contact stand; 0: it has none */
    uint8_t heals, hops;           /* hops: how often it was sent to another node */
    bool routed;                   /* by the slot of its keys: it follows them */
    bool asking;                   /* behind ASKING: its slot is on its way there */
    bool again;                    /* TRYAGAIN was said of it, and it waits to be sent anew: nobody has it */
    bool timed;                    /* had a deadline: its latency is measured */
    bool over;                     /* nobody is told any more */
};

struct redis_queue {
    struct redis_call *first, **last;
};

struct redis {
    struct ev_loop *loop;
    struct redis_events events;
    void *arg;
    struct metrics *metrics;
    struct slots *slots;  /* NULL: there is no cluster */
    unsigned number;      /* 0: the only one, or the router of a cluster; else one of its links */
    uint64_t ready_since; /* us of the monotonic clock */
    config_text address;  /* where it connects to; empty: the Sentinels have not said yet */
    config_text username, password;
    uint32_t db, reconnect_ms, max_pending, ack_replicas;
    unsigned holds;            /* REDIS_.. of a configuration */
    struct sentinel *sentinel; /* NULL: the address is the configuration's */
    config_text sentinel_name, sentinel_username, sentinel_password;
    struct address_list sentinels; /* what `sentinel` was made from */
    struct resolve *lookup;        /* of the host name in address, while it is on its way */

    enum redis_link { LINK_DOWN, LINK_GREETING, LINK_READY } link;
    redisAsyncContext *ac; /* NULL while the link is down */
    ev_timer timer;        /* down: the pause; greeting: its deadline; ready: the tick */
    unsigned failures;     /* since it was ready */
    /* The last failure that was logged: the same is not logged again. */
    char said[REDIS_WHY + sizeof "redis: SCRIPT LOAD: "];
    unsigned depth;     /* callbacks on the stack */
    bool gone;          /* redis_free() was called; freed when depth is 0 */
    const char *broken; /* why the timer is to end the link; NULL: it is not */

    struct redis_queue sent, healing;
    struct redis_call *free;
    struct redis_call *due_first, *due_last;
    ev_timer due;
    uint64_t due_armed_us; /* when `due` fires; 0: it is not armed */
    unsigned pending;      /* callers' calls in sent and healing */

    struct buf out;   /* where our own commands are written */
    unsigned loading; /* SCRIPT LOADs on their way for the healing */
    bool load_failed; /* one of them failed */

    struct {
        uint64_t seen_us, at_us; /* Redis' time, and when it was seen */
        uint64_t contact_us;     /* Redis' time; 0: not served */
        uint64_t fresh_us;       /* a contact begins with a command sent after this */
        uint64_t reply_us;       /* the last reply */
        uint64_t answered_us;    /* when the command was sent whose reply is being handled; 0: none is */
        bool asked;              /* TIME is on its way */
        bool refused;            /* it answers, and writes nothing for anybody */
    } clock;
};

static inline uint64_t redis_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Around everything that may call back: redis_free() is safe in between. */
void redis_enter(struct redis *r);
void redis_leave(struct redis *r);

/* redis.c */
void redis_link_ready(struct redis *r);
/* A link of a cluster, which connects to nowhere yet. NULL: out of memory. redis_free() frees it. */
struct redis *redis_link_new(struct ev_loop *loop, const struct redis_settings *s,
                             const struct redis_events *events, void *arg, struct metrics *metrics,
                             struct slots *slots, unsigned number);
/* It leaves where it is, and connects there; "": nowhere. */
void redis_link_point(struct redis *r, const char *address);
static inline bool redis_is_router(const struct redis *r)
{
    return r->slots && r->number == 0;
}
/* Ends the connection. Not inside the connect callback: hiredis 0.14 would use it after that. */
void redis_link_drop(struct redis *r, const char *step, const char *why);

/* Ends the connection without a fault of its own; connects again at once. */
void redis_link_leave(struct redis *r, const char *why);

/* redis_primary.c */
/* Takes address or Sentinels from the configuration; true if they have changed. */
bool redis_primary_configure(struct redis *r, const struct redis_settings *s);
/* The connection could not be made or has failed, or it is no primary. */
void redis_primary_doubt(struct redis *r);
/* The reply of ROLE; NULL: go on, else why not. */
const char *redis_primary_role(const struct redis *r, const redisReply *reply);

/* redis_wire.c */
/* False: out of memory. */
bool redis_wire_attach(struct ev_loop *loop, redisAsyncContext *ac);

/* redis_greet.c */
void redis_greet(struct redis *r);
void redis_greet_load(struct redis *r); /* all scripts, for the healing */
void redis_greet_time(struct redis *r);
void redis_greet_asking(struct redis *r); /* ASKING, for the next command */
void redis_greet_reply(struct redis *r, const struct redis_step *step, unsigned item,
                       const redisReply *reply);

/* redis_calls.c */
void redis_calls_init(struct redis *r);
void redis_calls_clear(struct redis *r);
/* One of our own commands, in r->out. */
void redis_calls_own(struct redis *r, const struct redis_step *step, unsigned item);
/* The scripts are loaded, or could not be: what waited goes on. */
void redis_calls_healed(struct redis *r, bool loaded);
/* All of them are told LOST. */
void redis_calls_lose(struct redis *r);
/* A call that is in no queue goes on at another link, or at the same: at once, or when that is ready. Its deadline stays. */
void redis_calls_move(struct redis_call *call, struct redis *to, bool asking);
/* A call that is in no queue is told LOST. */
void redis_calls_end(struct redis_call *call);
void redis_queue_init(struct redis_queue *q);
void redis_queue_add(struct redis_queue *q, struct redis_call *call);
struct redis_call *redis_queue_take(struct redis_queue *q);

/* redis_clock.c */
void redis_clock_start(struct redis *r);
void redis_clock_stop(struct redis *r);
void redis_clock_reply(struct redis *r, uint64_t sent_us, uint64_t now_us);
void redis_clock_saw(struct redis *r, uint64_t us, uint64_t sent_us);
/* A caller's command was refused as any other's would be; or it was not. */
void redis_clock_refused(struct redis *r);
void redis_clock_served(struct redis *r, uint64_t sent_us);

#endif
