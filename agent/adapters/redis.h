// SPDX-License-Identifier: MIT
/* One pipelined connection to Redis: redis*.c are the only files that know hiredis.
 *
 *   down ──connect──► greeting (AUTH, .., what its user may, TIME) ──► ready ──loss──► down ──pause──► ..
 *
 * A call completes exactly once, and never before redis_submit() has returned: with its reply, with LATE when
 * its deadline passes, or with LOST when the connection goes. All commands of one loop turn leave in one
 * write. NOSCRIPT is healed here: the scripts are loaded again and the command is sent again (nothing had
 * run). TIME is asked every 250 ms, so that the adapter knows Redis' clock and since when it has been served. A call
 * that is refused for want of a right ends the connection, because a user who may not do everything may do nothing:
 * a claim without its outcome lets a key run twice.
 *
 * A cluster is many of these behind one that has no connection of its own (adapters/slots): a call goes to the primary
 * that has its keys, and is answered by whichever that is then. What belongs to one connection (clock, contact,
 * room, replicas) is asked of that primary's, redis_home(); without a cluster it is the same struct.
 */
#ifndef REDIS_H
#define REDIS_H

#include <ev.h>
#include "domain/config.h"
#include "domain/metrics.h"
#include "spop/cursor.h"

struct redis;
struct redis_call;

enum redis_status {
    REDIS_BYTES, /* bulk or simple string */
    REDIS_INT,
    REDIS_ITEMS, /* array of bulk strings: redis_item() */
    REDIS_NIL,
    REDIS_ERROR, /* bytes: the error's text */
    REDIS_LATE,  /* deadline passed; the command may still run */
    REDIS_LOST,  /* connection lost; the command may have run */
};

struct redis_reply {
    enum redis_status status;
    struct spop_slice bytes; /* until the callback returns */
    int64_t integer;
    unsigned nitems;    /* REDIS_ITEMS */
    const void *items;  /* opaque */
    struct redis *from; /* whose reply it is: the connection */
};
/* The i-th text of an array, until the callback returns; ptr NULL: nil, no text, or there is none. */
struct spop_slice redis_item(const struct redis_reply *reply, unsigned i);
typedef void redis_reply_fn(void *arg, const struct redis_reply *reply);

struct redis_events {
    /* Connected, greeted, scripts loaded. link: r itself, or one of a cluster's. */
    void (*ready)(void *arg, struct redis *link);
    /* Was ready and is no more; all calls have completed with LOST; NULL: not told. */
    void (*lost)(void *arg);
};

/* s is read at creation and by redis_reconfigure() only. NULL: out of memory. Connecting begins at once and
 * goes on for ever. */
struct redis *redis_new(struct ev_loop *loop, const struct redis_settings *s,
                        const struct redis_events *events, void *arg, struct metrics *metrics);
/* Address, user, password or db changed: the connection is made anew. */
void redis_reconfigure(struct redis *r, const struct redis_settings *s);
/* All calls complete with LOST first; lost() is not called. Allowed inside every callback of this header. */
void redis_free(struct redis *r);

/* Of a cluster: is any of its primaries? */
bool redis_ready(const struct redis *r);
/* It is, and serves us now; a cluster: all of its primaries do, and every slot has one. */
bool redis_whole(const struct redis *r);
/* While it is not ready: the last reason that is known; valid until the loop turns. */
const char *redis_why(const struct redis *r);
/* Where it is connected to, and as whom; valid until the callback returns. */
struct redis_site {
    const char *address, *username, *password;
};
struct redis_site redis_site(const struct redis *r);
/* May callers of this rank send? Each rank may fill so many eighths of redis.max_pending: claims never crowd
 * out outcomes, nor either of them the words about what runs. Reaching the bound is counted. */
enum redis_rank { REDIS_CLAIMS = 6, REDIS_OUTCOMES = 7, REDIS_HEARTBEATS = 8 };
bool redis_room(const struct redis *r, enum redis_rank rank);
/* Sends RESP of exactly one command. within: seconds from now until it is LATE, 0 none. fn NULL: the reply is only
 * counted. NULL, and fn is not called: not ready, or redis.max_pending calls are on their way already
 * (counted). A call that was told LATE is on its way until its reply has come. */
struct redis_call *redis_submit(struct redis *r, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg);
/* The same behind ASKING, to one link of a cluster: a script without keys may then read those too whose slot is on its way there. */
struct redis_call *redis_submit_asking(struct redis *link, const void *resp, size_t len, ev_tstamp within,
                                       redis_reply_fn *fn, void *arg);
/* A claim: its times (script_claim_times()) stand at this place of its bytes. Where it is sent again they become those of
 * the link that it goes to. */
void redis_call_times(struct redis_call *call, size_t at);
/* The caller goes away: fn will not be called. Only before the call has completed. */
void redis_detach(struct redis_call *call);

/* Connections of a cluster, the router's number among them. A link keeps its number as long as the router lives, but
 * may be pointed to another primary: it is ready anew then. */
enum { REDIS_LINKS = 64 };
bool redis_is_cluster(const struct redis *r);
/* The connection that takes calls whose keys have this TAG; in a cluster without a primary for it, r, which takes none. */
struct redis *redis_home(struct redis *r, const uint8_t tag[2]);
unsigned redis_number(const struct redis *link);
/* Those of the primaries that have slots; without a cluster r. Returns how many. */
unsigned redis_links(struct redis *r, struct redis *out[REDIS_LINKS]);
/* The cluster's map is believed: every slot is served, and nobody has said otherwise since. Without a cluster always. */
bool redis_settled(const struct redis *link);
/* Seconds of CLOCK_MONOTONIC. */
double redis_ready_since(const struct redis *link);
/* A TAG whose keys this link's primary has; false: it has none. */
bool redis_own_tag(const struct redis *link, uint8_t tag[2]);

/* The marks by which data loss is noticed (docs/wire.md, The mark): one, `once:mark`; in a cluster one for each 64th part
 * of the slots, `once:{TAG}:mark`, which lies and moves with them. */
enum { REDIS_MARKS = 64, REDIS_MARK_NAME = 24 };
/* Which of them this link's primary has: bit i is mark i. */
uint64_t redis_marks(const struct redis *link);
void redis_mark_name(const struct redis *r, unsigned mark, char out[REDIS_MARK_NAME]);

/* Redis' clock in µs as of now (last time seen plus monotonic time since); 0 if it was never seen. A cluster's is that of
 * one of its primaries: where it decides, redis_home()'s is the right one. */
uint64_t redis_clock_us(const struct redis *r);
/* The same as of a moment that has been read already: seconds of CLOCK_MONOTONIC. Reading it costs as much as 200 instructions. */
uint64_t redis_clock_at(const struct redis *r, double moment);
/* A reply carried Redis' time. */
void redis_saw_clock(struct redis *r, uint64_t us);
/* Redis time since which this agent has been served without a break of a second (PROTOCOL, claim); 0: not
 * served now: no claim may be sent, for it would take over what others had no chance to extend. */
uint64_t redis_contact_us(const struct redis *r);
uint64_t redis_contact_at(const struct redis *r, double moment);

#endif
