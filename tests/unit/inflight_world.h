// SPDX-License-Identifier: MIT
/* The world of rooms/inflight, for one test program: a real HAProxy with the tables of PROTOCOL. Requests
 * carry their token in a header, a backend answers when the test says so.
 *
 *   client ──x-token──► HAProxy (once_inflight, once_unsettled) ──► backend (held until answered or closed)
 *                          ▲ runtime socket
 *                        agent ──extend, resolve, ..──► redis, completion
 *
 * redis and completion: the real ones (inflight_redis.h), or NULL before a fake (fake_redis.h). */
#ifndef INFLIGHT_WORLD_H
#define INFLIGHT_WORLD_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "domain/listing.h"
#include "rooms/completion.h"
#include "rooms/inflight.h"
#include "rooms/monotonic.h"
#include "tests/support/haproxy_server.h"
#include "tests/support/loop.h"
#include "version.h"

#define POLL 0.05

static const char proxies[] =
    "frontend fe\n"
    "    bind unix@@D@/fe.sock\n"
    "    http-request set-var(txn.token) req.hdr(x-token)\n"
    "    http-request track-sc2 req.hdr(x-token) table once_inflight\n"
    "    http-response sc-set-gpt0(2) 1000 if { res.hdr(x-settled) -m found }\n"
    "    http-response track-sc1 var(txn.token) table once_unsettled if { res.hdr(x-unsettled) -m found }\n"
    "    http-response sc-set-gpt0(1) status if { res.hdr(x-unsettled) -m found }\n"
    "    default_backend app\n"
    "backend app\n"
    "    http-response sc-set-gpt0(2) status\n"
    "    server s unix@@D@/be.sock\n";
static const char *const config_parts[] = {haproxy_server_tables, proxies};

enum { HELD_MAX = 64 };

static struct ev_loop *loop;
static struct haproxy_server haproxy;
static struct metrics metrics;
static struct config *config;
static struct inflight *agent;
static struct redis *redis;
static struct completion *completion;
static const char *redis_socket = "/nowhere";
static struct {
    int listening;
    ev_io io;
    unsigned n;
    int fd[HELD_MAX];
} backend;
static unsigned nclients;
static int clients[HELD_MAX];

/* The program's own: a token of a claim, real or made up. */
static struct token make_token(bool hold);

static inline void on_accept(struct ev_loop *l, ev_io *io, int revents)
{
    (void)l;
    (void)revents;
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        backend.fd[backend.n++] = fd;
}

static inline void backend_open(void)
{
    char address[128], err[128];
    snprintf(address, sizeof address, "unix@%s/be.sock", haproxy.dir);
    backend.listening = listener_stream(address, 0600, err, sizeof err);
    assert_true(backend.listening >= 0);
    ev_io_init(&backend.io, on_accept, backend.listening, EV_READ);
    ev_io_start(loop, &backend.io);
}

static inline void backend_close(void)
{
    ev_io_stop(loop, &backend.io);
    close(backend.listening);
    for (unsigned i = 0; i < backend.n; i++)
        close(backend.fd[i]);
    backend.n = 0;
}

/* Ends the n-th request; answer NULL: by closing without a word. */
static inline void backend_ends(unsigned n, const char *answer)
{
    assert_true(n < backend.n);
    if (answer)
        assert_int_equal(send(backend.fd[n], answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
    shutdown(backend.fd[n], SHUT_RDWR);
}

static inline void send_text(const char *token)
{
    char address[128], err[128], request[256];
    snprintf(address, sizeof address, "unix@%s/fe.sock", haproxy.dir);
    int fd = listener_connect(address, err, sizeof err);
    assert_true(fd >= 0);
    int n = snprintf(request, sizeof request,
                     "POST / HTTP/1.1\r\nHost: x\r\nX-Token: %s\r\nContent-Length: 0\r\n\r\n", token);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    clients[nclients++] = fd;
}

/* A request that runs: it has reached the backend. */
static inline struct token request(bool hold)
{
    char text[TOKEN_TEXT + 1];
    struct token t = make_token(hold);
    unsigned before = backend.n;
    token_write(&t, text);
    send_text(text);
    loop_until(loop, backend.n == before + 1, 2);
    return t;
}

static inline struct inflight *new_agent(void)
{
    return inflight_new(loop, redis, completion, config, &metrics);
}

static inline void without_agent(void)
{
    struct inflight *a = agent;
    agent = NULL;
    inflight_free(a);
}

static inline struct config *make_config(uint32_t lock_s)
{
    struct config *c = config_new();
    struct spop_slice bad;
    c->inflight.poll_ms = (uint32_t)(POLL * 1000);
    c->inflight.max_entries = 1000;
    c->notices.listen[0] = '\0';
    c->nhaproxy = 1;
    strcpy(c->haproxy[0].socket, haproxy.socket);
    snprintf(c->redis.address, sizeof c->redis.address, "unix@%s", redis_socket);
    c->policies = calloc(1, sizeof *c->policies);
    c->npolicies = 1;
    strcpy(c->policies[0].name, "pay");
    c->policies[0].hash = policy_hash("pay");
    c->policies[0].idempotency.enabled = true;
    c->policies[0].idempotency.lock_s = lock_s;
    c->policies[0].idempotency.record_s = 3600;
    assert_int_equal(status_set_parse("default", &c->policies[0].idempotency.stored, &bad), 0);
    return c;
}

static const char *process_name(void)
{
    static char name[160];
    struct process p = {0};
    char file[128], line[128] = "";
    snprintf(file, sizeof file, "%s.once-poller.%d", haproxy.socket, PROTOCOL_VERSION);
    FILE *f = fopen(file, "r");
    for (unsigned i = 0; f && i < 2; i++)
        line[0] = fgets(line, sizeof line, f) ? line[0] : '\0';
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
    if (process_read(line, strlen(line), &p) != 0)
        return "none";
    snprintf(name, sizeof name, "%s.some.host", line);
    return name;
}

/* The backend is there, HAProxy and the agent are not yet. */
static inline void world_open(void)
{
    loop = ev_default_loop(0);
    memset(&metrics, 0, sizeof metrics);
    assert_int_equal(haproxy_server_init(&haproxy), 0);
    config = make_config(30);
    backend_open();
}

static inline void world_run(void)
{
    assert_int_equal(haproxy_server_start(&haproxy, false, config_parts, 2), 0);
    agent = new_agent();
    loop_until(loop, strcmp(process_name(), "none") != 0, 2);
}

/* The agent must be gone first: it speaks to redis and completion. */
static inline void world_close(void)
{
    backend_close();
    for (unsigned i = 0; i < nclients; i++)
        close(clients[i]);
    nclients = 0;
    config_drop(config);
    haproxy_server_clear(&haproxy);
}

static inline void reconfigure(void (*change)(struct config *))
{
    struct config *c = make_config(30);
    change(c);
    inflight_reconfigure(agent, c);
    redis_reconfigure(redis, &c->redis);
    completion_reconfigure(completion, c);
    config_drop(config);
    config = c;
}

static inline void short_lock(struct config *c)
{
    c->policies[0].idempotency.lock_s = 2;
}

static inline struct notice notice_of(const struct token *t, const char *ts, long tc, unsigned status,
                                      const char *process)
{
    struct notice n = {
        .token = *t, .tc = tc, .status = status, .process = {process, strlen(process)}
    };
    token_write(t, n.token_text);
    memcpy(n.ts, ts, sizeof n.ts);
    return n;
}

#define ANSWER(status, headers) "HTTP/1.1 " status " x\r\nContent-Length: 0\r\n" headers "\r\n"

#endif
