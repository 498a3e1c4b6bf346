// SPDX-License-Identifier: MIT
/* A small HTTP server on a listening socket: the only file that knows libmicrohttpd. It runs on our loop
 * (external epoll) and hands each whole request to one callback; the answer may come later.
 *
 *   request read, body dropped ──► httpd_fn ──► httpd_begin, httpd_add .., httpd_send ──► written
 *                                     └── returns before httpd_send: suspended until then
 *
 * Bounds: connections (further ones wait in the kernel's backlog), the heads of a request and of its answer,
 * idle time. A request that is suspended is not idle: its handler has a deadline of its own. */
#ifndef HTTPD_H
#define HTTPD_H

#include <ev.h>
#include "spop/cursor.h"

struct httpd;
struct httpd_request;

struct httpd_bounds {
    unsigned connections;
    unsigned idle_s; /* a connection that is silent for so long is closed */
    size_t
        head; /* bytes of a request's head, and of an answer's; a longer one is refused (431). Each connection
                        has thrice that, cleared behind each request. */
};

/* method, path: NUL-terminated. The body of the request is read and dropped. The handler must see to it that
 * httpd_send() is called once, now or later. It must not call httpd_free(). */
typedef void httpd_fn(void *arg, struct httpd_request *q, const char *method, const char *path);

/* listen_fd is owned from now on; *bounds is copied. NULL: out of memory. */
struct httpd *httpd_new(struct ev_loop *loop, int listen_fd, const struct httpd_bounds *bounds, httpd_fn *fn,
                        void *arg);
/* Requests that are not answered are cut off; they must not be touched any more. */
void httpd_free(struct httpd *h);

/* Header of the request, NULL if there is none. */
const char *httpd_header(struct httpd_request *q, const char *name);

/* Calls fn for each header line of the request. Both are borrowed. */
typedef void httpd_header_fn(void *arg, struct spop_slice name, struct spop_slice value);
void httpd_each_header(struct httpd_request *q, httpd_header_fn *fn, void *arg);

/* Argument of the request's query, decoded; NULL if there is none. */
const char *httpd_argument(struct httpd_request *q, const char *name);
/* Calls fn for each argument of the query, decoded, until it says false. Both are borrowed. */
typedef bool httpd_argument_fn(void *arg, struct spop_slice name, struct spop_slice value);
void httpd_each_argument(struct httpd_request *q, httpd_argument_fn *fn, void *arg);
/* User id of who is at the other end of a unix socket; -1: cannot be told. */
long httpd_peer_uid(struct httpd_request *q);

/* The answer: begin, headers in order, send. The body is copied. A second begin forgets the first. */
void httpd_begin(struct httpd_request *q, unsigned status, const void *body, size_t len);
/* False: this header cannot be sent (a line break or NUL in it, a name that is none, or one that the server
 * itself must write: Content-Length, Transfer-Encoding, Connection); the answer goes without it. */
bool httpd_add(struct httpd_request *q, struct spop_slice name, struct spop_slice value);
/* The same for texts. */
bool httpd_add_text(struct httpd_request *q, const char *name, const char *value);
/* Without memory for the answer the connection is closed. */
void httpd_send(struct httpd_request *q);

#endif
