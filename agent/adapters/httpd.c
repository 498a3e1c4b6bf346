// SPDX-License-Identifier: MIT
/* libmicrohttpd on a libev loop.
 *
 *   ev_io on the library's epoll fd ─┐
 *   ev_timer from MHD_get_timeout ───┼─► turn(): MHD_run, timer set anew
 *   httpd_send of a suspended one ───┘   (by a fed event: never inside the caller's stack)
 *
 * The library calls on_access() several times for one request: first with the headers alone (queueing an
 * answer there would refuse the body), then with pieces of the body, last with none. */
#include "adapters/httpd.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "adapters/listener.h"
#include "domain/buf.h"

enum request_state { READING, HANDLING, SUSPENDED, ANSWERED };

struct httpd_request {
    LIST_ENTRY(httpd_request) link;
    struct httpd *server;
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* begun; handed over when it is queued */
    unsigned status;
    bool head; /* method HEAD */
    enum request_state state;
};

struct httpd {
    struct ev_loop *loop;
    struct MHD_Daemon *daemon;
    ev_io readable;
    ev_timer timer;
    unsigned max_connections;
    httpd_fn *fn;
    void *arg;
    struct buf scratch; /* a header as two NUL-terminated texts */
    LIST_HEAD(, httpd_request) requests;
};

/* Headers that the library writes itself, or that would change how it frames the answer. */
static const char *const own_headers[] = {"connection", "content-length", "transfer-encoding"};

static bool is_full(const struct httpd *h)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info && info->num_connections >= h->max_connections;
}

/* The library does not listen while it is full, and begins again only in the run after the one in which a
 * connection ended: without that one those who wait would wait for somebody else's event. */
static void turn(struct httpd *h)
{
    unsigned long long ms;
    bool full = is_full(h);
    MHD_run(h->daemon);
    if (full && !is_full(h))
        MHD_run(h->daemon);
    ev_timer_stop(h->loop, &h->timer);
    if (MHD_get_timeout(h->daemon, &ms) != MHD_YES)
        return;
    ev_timer_set(&h->timer, (ev_tstamp)ms / 1000, 0);
    ev_timer_start(h->loop, &h->timer);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    turn(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    turn(w->data);
}

static struct httpd_request *request_new(struct httpd *h, struct MHD_Connection *connection,
                                         const char *method)
{
    struct httpd_request *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->server = h;
    q->connection = connection;
    q->head = strcmp(method, "HEAD") == 0;
    LIST_INSERT_HEAD(&h->requests, q, link);
    return q;
}

static void request_free(struct httpd_request *q)
{
    LIST_REMOVE(q, link);
    if (q->response)
        MHD_destroy_response(q->response);
    free(q);
}

static enum MHD_Result queue_answer(struct httpd_request *q)
{
    if (!q->response)
        return MHD_NO;
    enum MHD_Result r = MHD_queue_response(q->connection, q->status, q->response);
    MHD_destroy_response(q->response);
    q->response = NULL;
    return r;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context)
{
    struct httpd *h = arg;
    struct httpd_request *q = *context;
    (void)version;
    (void)upload;
    if (!q) {
        *context = request_new(h, connection, method);
        return *context ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (q->state == READING) {
        q->state = HANDLING;
        h->fn(h->arg, q, method, url);
    }
    if (q->state == ANSWERED)
        return queue_answer(q);
    if (q->state == HANDLING) {
        q->state = SUSPENDED;
        MHD_suspend_connection(connection);
    }
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode how)
{
    (void)arg;
    (void)connection;
    (void)how;
    if (*context)
        request_free(*context);
    *context = NULL;
}

const char *httpd_header(struct httpd_request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

struct each_header {
    httpd_header_fn *fn;
    void *arg;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    const struct each_header *each = arg;
    (void)kind;
    each->fn(each->arg, (struct spop_slice){name, name_len}, (struct spop_slice){value, value_len});
    return MHD_YES;
}

void httpd_each_header(struct httpd_request *q, httpd_header_fn *fn, void *arg)
{
    MHD_get_connection_values_n(q->connection, MHD_HEADER_KIND, on_header, &(struct each_header){fn, arg});
}

const char *httpd_argument(struct httpd_request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct each_argument {
    httpd_argument_fn *fn;
    void *arg;
};

static enum MHD_Result on_argument(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    const struct each_argument *each = arg;
    (void)kind;
    return each->fn(each->arg, (struct spop_slice){name, name_len}, (struct spop_slice){value, value_len})
               ? MHD_YES
               : MHD_NO;
}

void httpd_each_argument(struct httpd_request *q, httpd_argument_fn *fn, void *arg)
{
    MHD_get_connection_values_n(q->connection, MHD_GET_ARGUMENT_KIND, on_argument,
                                &(struct each_argument){fn, arg});
}

long httpd_peer_uid(struct httpd_request *q)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? listener_peer_uid(info->connect_fd) : -1;
}

static ssize_t read_nothing(void *arg, uint64_t at, char *to, size_t max)
{
    (void)arg;
    (void)at;
    (void)to;
    (void)max;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

/* The length of what was not sent is unknown to us, and `Content-Length: 0` would be a false statement about
 * it (RFC 9110, 8.6). A length that the library does not know, and no chunks, leaves the field out; the price
 * is that the connection ends here. */
static struct MHD_Response *response_of_unknown_length(void)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, read_nothing, NULL, NULL);
    if (r)
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}

static struct MHD_Response *response_with_body(const void *body, size_t len)
{
    void *copy = malloc(len > 0 ? len : 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, body, len);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, copy, MHD_RESPMEM_MUST_FREE);
    if (!r)
        free(copy);
    return r;
}

void httpd_begin(struct httpd_request *q, unsigned status, const void *body, size_t len)
{
    if (q->response)
        MHD_destroy_response(q->response);
    q->status = status;
    q->response = len == 0 && (status == MHD_HTTP_NOT_MODIFIED || q->head) ? response_of_unknown_length()
                                                                           : response_with_body(body, len);
}

static bool is_own(const char *name)
{
    for (size_t i = 0; i < sizeof own_headers / sizeof *own_headers; i++)
        if (strcasecmp(name, own_headers[i]) == 0)
            return true;
    return false;
}

bool httpd_add_text(struct httpd_request *q, const char *name, const char *value)
{
    if (!q->response || is_own(name) || strpbrk(name, ": \t\r\n"))
        return false;
    /* The library refuses an empty value; a blank is the same on the wire (RFC 9110, 5.5). */
    return MHD_add_response_header(q->response, name, value[0] ? value : " ") == MHD_YES;
}

bool httpd_add(struct httpd_request *q, struct spop_slice name, struct spop_slice value)
{
    struct buf *b = &q->server->scratch;
    if ((name.len > 0 && memchr(name.ptr, 0, name.len)) || (value.len > 0 && memchr(value.ptr, 0, value.len)))
        return false;
    buf_reset(b);
    buf_put(b, name.ptr, name.len);
    buf_u8(b, 0);
    buf_put(b, value.ptr, value.len);
    buf_u8(b, 0);
    if (b->failed)
        return false;
    const char *text = (const char *)b->data;
    return httpd_add_text(q, text, text + name.len + 1);
}

void httpd_send(struct httpd_request *q)
{
    bool suspended = q->state == SUSPENDED;
    q->state = ANSWERED;
    if (!suspended)
        return;
    MHD_resume_connection(q->connection);
    ev_feed_event(q->server->loop, &q->server->readable, EV_READ);
}

static struct MHD_Daemon *start(struct httpd *h, int listen_fd, const struct httpd_bounds *b)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, h,
                            MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, b->connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, b->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            3 * b->head, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
}

struct httpd *httpd_new(struct ev_loop *loop, int listen_fd, const struct httpd_bounds *bounds, httpd_fn *fn,
                        void *arg)
{
    struct httpd *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->loop = loop;
    h->max_connections = bounds->connections;
    h->fn = fn;
    h->arg = arg;
    LIST_INIT(&h->requests);
    buf_init(&h->scratch);
    h->daemon = start(h, listen_fd, bounds);
    const union MHD_DaemonInfo *info =
        h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        free(h);
        return NULL;
    }
    ev_io_init(&h->readable, on_readable, info->epoll_fd, EV_READ);
    h->readable.data = h;
    ev_timer_init(&h->timer, on_timer, 0, 0);
    h->timer.data = h;
    ev_io_start(loop, &h->readable);
    return h;
}

void httpd_free(struct httpd *h)
{
    struct httpd_request *q;
    ev_io_stop(h->loop, &h->readable);
    ev_timer_stop(h->loop, &h->timer);
    /* The library must not be stopped with suspended connections in it. Without an answer they are closed. */
    LIST_FOREACH(q, &h->requests, link)
    {
        if (q->state == SUSPENDED)
            MHD_resume_connection(q->connection);
    }
    MHD_stop_daemon(h->daemon);
    buf_free(&h->scratch);
    free(h);
}
