// SPDX-License-Identifier: MIT
/* HAProxy's side of SPOP, played towards any agent: connections, transactions on them, and how long each answer took.
 *
 *   closed loop   each connection keeps `depth` transactions going     rate 0
 *   open loop     transactions begin at fixed times, whatever the agent does; one that finds no free place waits, and its
 *                 wait counts: a slow agent cannot slow the clock that measures it (coordinated omission)
 *
 *   connect ──► HAPROXY-HELLO ──► AGENT-HELLO ──► NOTIFY .. ◄── ACK ..      lost: connected again, what waited is lost
 *
 * An ACK that nothing waits for, a second one too, is no SPOP: the connection is lost.
 */
#ifndef PLAYER_H
#define PLAYER_H

#include <ev.h>
#include "tests/load/scenario.h"
#include "tests/support/histogram.h"

enum {
    PLAYER_CONNECTIONS = 1024,
    PLAYER_DEPTH = 1024,   /* the number of a place has ten bits of the stream-id */
    PLAYER_PLACES = 65536, /* connections times depth: some 300 MB */
    PLAYER_WORDS = 16,
    PLAYER_WORD = 32,
    PLAYER_REASON = 128,
};

struct player_settings {
    const char *address;
    unsigned connections, depth;
    double rate;        /* transactions a second; 0: closed loop */
    uint64_t most;      /* transactions in all; 0: no bound */
    uint32_t max_frame; /* offered */
    int count;          /* variable whose values are counted; -1: none */
};

/* What was seen since player_reset(). */
struct player_report {
    uint64_t transactions, sent, answered; /* the last two of messages */
    uint64_t lost, refused;                /* connections; by AGENT-DISCONNECT */
    const char *lost_by;                   /* why the first one was lost; NULL: none was */
    uint64_t too_large;                    /* messages that do not fit into a frame */
    unsigned status;                       /* of the first AGENT-DISCONNECT */
    char reason[PLAYER_REASON];            /* its text */
    /* At player_stop(): transactions of the open loop that were due and not begun; connections that could begin none since their
     * handshake is not done; those where the agent does not pipeline. */
    uint64_t not_begun;
    unsigned shut, single;
    unsigned nwords;
    struct {
        char text[PLAYER_WORD];
        uint64_t n;
    } word[PLAYER_WORDS];      /* the last one is all that found no room */
    struct histogram *latency; /* one for each message of the scenario: until its ACK had come */
    struct histogram *whole;   /* of whole transactions */
};

struct player;

/* NULL with the reason in err. The settings and the scenario must outlive it. */
struct player *player_new(struct ev_loop *loop, const struct player_settings *settings,
                          const struct scenario *s, char *err, size_t errlen);
void player_free(struct player *p);
/* Forgets what was seen: the warm-up is over. What is on its way counts as sent. */
void player_reset(struct player *p);
/* Begins no further transactions. */
void player_stop(struct player *p);
/* Is nothing on its way, and will nothing begin any more? */
bool player_idle(const struct player *p);
const struct player_report *player_report(const struct player *p);

/* player_hello.c. The payload of HAPROXY-HELLO, and how long it is; engine: its engine-id. */
enum { PLAYER_HELLO = 256 };
size_t player_hello(uint8_t memory[PLAYER_HELLO], uint32_t max_frame, const char *engine);
/* The payload of AGENT-HELLO; lowers *max_frame to the agent's. False: malformed. */
bool player_take_hello(struct spop_cursor payload, uint32_t *max_frame, bool *pipelines);

/* player_report.c. Texts are kept without what JSON would have to escape. */
void player_count(struct player_report *r, struct spop_slice text);
void player_refused(struct player_report *r, struct spop_cursor disconnect);
/* messages: of the scenario. */
void player_forget(struct player_report *r, unsigned messages);

#endif
