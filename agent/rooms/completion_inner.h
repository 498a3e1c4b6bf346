// SPDX-License-Identifier: MIT
/* What the files completion*.c share, and nobody else sees.
 *
 *   completion.c        a word's way: put, pause, window, sent, reply, acknowledged
 *   completion_order.c  a word's place: the order within one record, and the lines of those whose turn it is
 *   completion_fate.c   what a reply means */
#ifndef COMPLETION_INNER_H
#define COMPLETION_INNER_H

#include "rooms/completion.h"

#include <sys/queue.h>
#include "adapters/log.h"

/* ACKED: Redis has it, its replicas are waited for. */
enum place { PLACE_PAUSED, PLACE_BEHIND, PLACE_READY, PLACE_SENT, PLACE_ACKED };

struct completion_ticket {
    struct completion *owner;
    TAILQ_ENTRY(completion_ticket) all, chain, line;
    enum place place;
    bool chained; /* has its place in the order */
    bool again;   /* is in the line of those that go ahead */
    ev_timer pause;
    struct redis_call *call;
    struct record_id id;
    enum script_id script;
    char correlation[CORRELATION_BYTES]; /* empty: of no request */
    struct buf resp;
    size_t split;    /* length of the SET in front; 0: there is none */
    bool front_sent; /* on this connection */
    unsigned tries, errors, unacked;
    enum completion_result result; /* ACKED: what it will be */
    struct acks_waiter waiter;
    completion_fn *fn;
    void *arg;
};
TAILQ_HEAD(words, completion_ticket);

struct completion {
    struct ev_loop *loop;
    struct redis *redis;
    struct metrics *metrics;
    struct acks *acks;
    uint32_t max_entries, max_bytes;
    unsigned window;
    size_t entries, bytes, sent, sent_bytes, nspare;
    ev_timer full;
    struct words all, again, fresh, spare;
    struct words *chains;
    size_t mask;
    struct log_gate dropped_gate, lost_gate, error_gate;
};

/* From the spare ones, or new; zeroed but for the capacity of resp. NULL: out of memory. */
struct completion_ticket *ticket_new(struct completion *c);
/* To the spare ones, or freed. */
void ticket_free(struct completion_ticket *t);

/* At the end of its record's order: READY if nothing is before it, else BEHIND. */
void take_place(struct completion_ticket *t);
/* Its turn has come. again: ahead of the words that were never sent. */
void make_ready(struct completion_ticket *t, bool again);
/* The word whose turn it is; NULL: none. It stays in its line until line_leave(). */
struct completion_ticket *line_first(const struct completion *c);
void line_leave(struct completion_ticket *t);
/* Out of its line and its order; whoever waited behind it has its turn. */
void leave_place(struct completion_ticket *t);

#endif
