// SPDX-License-Identifier: MIT
/* A raw HTTP client for tests: bytes out, bytes in, nothing interpreted but where an answer ends. It shares
 * the test's loop with the server: each wait turns the loop. */
#ifndef RAWHTTP_H
#define RAWHTTP_H

#include <ev.h>
#include "domain/buf.h"

struct raw {
    struct ev_loop *loop;
    int fd;
    bool eof;
    struct buf in; /* received, not yet taken */
};

struct raw_reply {
    unsigned status;
    char head[80 * 1024]; /* status line and headers without `Date`, lines end with \n */
    struct buf body;
};

/* Listening sockets, non-blocking. The path is made in a fresh directory; raw_unlisten() removes both. */
int raw_listen_unix(char path[64]);
void raw_unlisten(const char *path);
int raw_listen_tcp(uint16_t *port);

void raw_connect_unix(struct raw *r, struct ev_loop *loop, const char *path);
void raw_connect_tcp(struct raw *r, struct ev_loop *loop, uint16_t port);
void raw_close(struct raw *r);

/* All bytes; false: the peer has closed, or five seconds have passed. */
bool raw_send(struct raw *r, const void *bytes, size_t len);
bool raw_send_text(struct raw *r, const char *text);
/* One answer; bodiless: to HEAD. 0, or -1: closed or nothing for five seconds. body is reused. */
int raw_reply(struct raw *r, bool bodiless, struct raw_reply *reply);
/* True once the peer has closed; waits so long at most. */
bool raw_closed(struct raw *r, double seconds);

#endif
