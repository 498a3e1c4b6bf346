// SPDX-License-Identifier: MIT
/* One connection of ours to one server that speaks RESP, beside those of the claims.
 *
 *   down ──resp_link_to()──► pause ──► [naming] ──► ask(fresh) ──resp_link_asked()──► asked ──resp_link_answered()──► open
 *     ▲                                                                                 ▲        resp_link_again()    │
 *     │                                                                                 └────────── ask() ◄───────────┘
 *     └── failed(): no such name or no answer within `patience`, refused, closed, nonsense: from naming, asked or open
 *
 * Not hiredis: there a peer that says something that was not expected can end the process (assert), and a reply takes
 * whatever memory it announces. */
#ifndef RESP_LINK_H
#define RESP_LINK_H

#include "adapters/stream.h"
#include "domain/resp.h"

struct resolve;
struct resp_link;

/* What the owner is. No callback may free the link. */
struct resp_link_kind {
    const char *peer; /* "the Sentinel": who has closed the connection, in a text */
    double patience;  /* s: for the name, and for an answer */
    size_t max_in;    /* bytes of input that may wait to be understood */
    /* host:port or unix@path, until the callback returns; NULL: nowhere now, and the link is down. */
    const char *(*where)(struct resp_link *l);
    /* Connected (fresh), or open and the time of resp_link_again() has come: writes into l->stream.out, and says
     * resp_link_asked() if answers are owed. */
    void (*ask)(struct resp_link *l, bool fresh);
    void (*data)(struct resp_link *l); /* l->stream.in has grown */
    /* It is down now. The owner may use resp_link_to() inside. */
    void (*failed)(struct resp_link *l, const char *why);
};

struct resp_link {
    struct stream stream; /* first: the stream's callback finds us by it */
    struct ev_loop *loop;
    const struct resp_link_kind *kind;
    enum resp_link_state {
        RESP_LINK_DOWN,
        RESP_LINK_PAUSE,
        RESP_LINK_NAMING,
        RESP_LINK_ASKED,
        RESP_LINK_OPEN
    } state;
    ev_timer timer; /* pause; naming, asked: the deadline; open: the next question */
    struct resolve *lookup;
};

/* The link is down. kind: borrowed. */
void resp_link_init(struct resp_link *l, struct ev_loop *loop, const struct resp_link_kind *kind);
/* Down, without a word to the owner. */
void resp_link_close(struct resp_link *l);
/* Leaves where it is, and connects after so many seconds: failed() is not called before this has returned. */
void resp_link_to(struct resp_link *l, double after);
/* The same now: failed() may be called before this has returned. */
void resp_link_begin(struct resp_link *l);

/* AUTH, if there is a password, into l->stream.out; true: its reply comes first. */
bool resp_link_auth(struct resp_link *l, const char *username, const char *password);
/* Sends what is written; answers are due within `patience`. */
void resp_link_asked(struct resp_link *l);
/* The last answer has come: open, and nothing more is asked until resp_link_again(). */
void resp_link_answered(struct resp_link *l);
/* Open: ask(), after so many seconds instead of when it was due. */
void resp_link_again(struct resp_link *l, double after);
/* Writes what the socket takes; false: the link has failed. */
bool resp_link_flush(struct resp_link *l);

/* Closes, and says so to the owner. why: may lie in the stream. */
void resp_link_fail(struct resp_link *l, const char *why);
/* The same, for a reply that was not expected to `step` ("SUBSCRIBE"). An error may repeat what it was given: after
 * "AUTH" only its first words are shown. */
void resp_link_refused(struct resp_link *l, const char *step, const struct resp *r);

#endif
