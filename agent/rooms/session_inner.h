// SPDX-License-Identifier: MIT
/* What the files of the session room share: the connection, and the room.
 *
 *   sessions.c   accepts, flushes at the end of each turn, sweeps        session.c   frames of one connection
 *
 *   sessions ──first──► session ◄──► session ◄──► ..      all of them
 *            └─dirty──► session ───► ..                   those that have bytes to write in this turn */
#ifndef SESSION_INNER_H
#define SESSION_INNER_H

#include "adapters/stream.h"
#include "rooms/grants.h"
#include "rooms/session.h"
#include "rooms/wedge.h"

/* X(symbol, word for the log): why a session ended. */
#define CLOSE_TABLE(X)                                                                                       \
    X(EOF, "eof")                                                                                            \
    X(ERROR, "error")                                                                                        \
    X(CHECKED, "checked")                                                                                    \
    X(DISCONNECT, "disconnect")                                                                              \
    X(IDLE, "idle")                                                                                          \
    X(STATUS, "protocol") /* its word is in spop/status.h */                                                 \
    X(WEDGED, "wedged")                                                                                      \
    X(STOP, "stop")

enum close_reason {
#define X(symbol, word) CLOSE_##symbol,
    CLOSE_TABLE(X)
#undef X
};

enum session_state { SESSION_HELLO, SESSION_OPEN, SESSION_ENDING };

struct session {
    struct sessions *room;
    struct session *next, *prev;
    struct session *next_dirty;
    bool dirty;
    enum session_state state;
    struct stream stream;
    struct txn_owner owner;
    struct grants grants; /* among the bytes that the stream has still to write */
    struct wedge wedge;
    ev_tstamp last_frame;
};

struct door {
    struct sessions *room;
    ev_io io;
};

struct sessions {
    struct gate *gate;
    struct session *first, *dirty;
    unsigned count;
    bool draining;
    uint32_t told_frame; /* the last one that was too small for the cache, and the log says so */
    ev_prepare turn_end;
    ev_timer sweep;
    unsigned ndoors;
    struct door doors[CONFIG_LISTEN_MAX];
};

/* session.c. fd is owned from now on. NULL: out of memory, fd is closed. */
struct session *session_new(struct sessions *room, int fd);
/* The one door out: what has not left is taken back, transactions lose their owner. */
void session_close(struct session *s, enum close_reason reason, enum spop_status status);
/* Says why in one AGENT-DISCONNECT and closes; what the socket does not take at once is lost. */
void session_disconnect(struct session *s, enum close_reason reason, enum spop_status status);
/* Writes what this turn has put; may close it. */
void session_flush(struct session *s);
/* Once a second; may close it. */
void session_sweep(struct session *s, ev_tstamp now);

/* sessions.c */
void sessions_add(struct sessions *room, struct session *s);
void sessions_remove(struct sessions *room, struct session *s);
/* It has bytes to write at the end of this turn. */
void sessions_mark(struct sessions *room, struct session *s);

#endif
