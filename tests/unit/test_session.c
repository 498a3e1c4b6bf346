// SPDX-License-Identifier: MIT
/* SPOP sessions over a real socket: what HAProxy may rightly say, and what anybody may wrongly say.
 *
 *   test (plays HAProxy) ──unix socket──► sessions ──► txn ──► no Redis there: every claim is refused
 *
 * Each wrong beginning must end in its own status, and must not touch another connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "rooms/session.h"
#include "rooms/txn.h"
#include "spop/frame.h"
#include "spop/hello.h"
#include "spop/notify.h"
#include "spop/writer.h"

struct room {
    struct ev_loop *loop;
    struct config *config;
    struct metrics metrics;
    struct gate gate;
    struct sessions *sessions;
    char dir[64], address[128];
};

static int setup(void **state)
{
    struct room *r = calloc(1, sizeof *r);
    char err[256];
    assert_int_equal(sodium_init() < 0, 0);
    snprintf(r->dir, sizeof r->dir, "/tmp/once-session-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->address, sizeof r->address, "unix@%s/spop.sock", r->dir);
    log_setup(LOG_TEXT, LOG_ERROR);
    r->loop = ev_loop_new(0);
    r->config = config_new();
    snprintf(r->config->redis.address, sizeof r->config->redis.address, "unix@%s/no-redis", r->dir);
    r->config->policies = calloc(1, sizeof *r->config->policies);
    r->config->npolicies = 1;
    struct policy *p = r->config->policies;
    strcpy(p->name, "quotes");
    p->hash = policy_hash(p->name);
    p->nlimits = 1;
    strcpy(p->limits[0].name, "all");
    strcpy(p->limits[0].terms[0], "global");
    p->limits[0].nterms = 1;
    p->limits[0].pace.increment = 1e8;
    p->limits[0].pace.capacity = 6e8;
    r->gate = (struct gate){.loop = r->loop, .config = r->config, .metrics = &r->metrics};
    static const struct redis_events events;
    r->gate.redis = redis_new(r->loop, &r->config->redis, &events, NULL, &r->metrics);
    r->gate.guard = guard_new(r->loop, r->gate.redis, r->config, &r->metrics);
    r->gate.completion = completion_new(r->loop, r->gate.redis, r->config, &r->metrics);
    r->gate.shield = shield_new(r->config, &r->metrics);
    r->gate.sharing = sharing_new(r->config, &r->metrics);
    int fd = listener_stream(r->address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    r->sessions = sessions_new(&r->gate, &fd, 1);
    assert_non_null(r->sessions);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct room *r = *state;
    sessions_free(r->sessions);
    guard_free(r->gate.guard);
    redis_free(r->gate.redis);
    completion_free(r->gate.completion);
    shield_free(r->gate.shield);
    sharing_free(r->gate.sharing);
    txn_free_spare(&r->gate);
    listener_remove(r->address);
    rmdir(r->dir);
    config_drop(r->config);
    ev_loop_destroy(r->loop);
    free(r);
    return 0;
}

static int dial(struct room *r)
{
    char err[256];
    int fd = listener_connect(r->address, err, sizeof err);
    assert_true(fd >= 0);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static void turn(struct room *r)
{
    for (int i = 0; i < 20; i++) {
        ev_run(r->loop, EVRUN_NOWAIT);
        usleep(500);
    }
}

/* One frame from the agent; its type, 0 at end of file. The payload is left in `bytes`. */
static int receive(struct room *r, int fd, uint8_t bytes[4096], struct spop_frame *f)
{
    turn(r);
    uint8_t *at = bytes;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t n = read(fd, at, SPOP_PREFIX);
    if (n == 0)
        return 0;
    assert_int_equal(n, SPOP_PREFIX);
    size_t len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    assert_true(len < 4000);
    assert_int_equal(read(fd, at + SPOP_PREFIX, len), len);
    assert_int_equal(spop_frame_open(bytes, len + SPOP_PREFIX, f), SPOP_OK);
    return f->type;
}

static void send_all(int fd, const void *bytes, size_t len)
{
    assert_int_equal(write(fd, bytes, len), len);
}

static size_t hello(uint8_t *out, size_t cap, bool check)
{
    struct spop_writer w;
    spop_writer_init(&w, out, cap);
    spop_frame_begin(&w, SPOP_HAPROXY_HELLO, 0, 0);
    spop_put_string(&w, "supported-versions", 18);
    spop_put_typed_str(&w, "2.0", 3);
    spop_put_string(&w, "max-frame-size", 14);
    spop_put_typed_uint(&w, 16380);
    spop_put_string(&w, "capabilities", 12);
    spop_put_typed_str(&w, check ? "" : "pipelining,async", check ? 0 : 16);
    if (check) {
        spop_put_string(&w, "healthcheck", 11);
        w.buf[w.len++] = 0x11;
    }
    return spop_frame_end(&w);
}

/* A NOTIFY with one message and one text argument. */
static size_t notify(uint8_t *out, size_t cap, uint64_t stream, const char *message, const char *arg,
                     const char *value)
{
    struct spop_writer w;
    spop_writer_init(&w, out, cap);
    spop_frame_begin(&w, SPOP_NOTIFY, stream, 1);
    spop_put_string(&w, message, strlen(message));
    w.buf[w.len++] = 1;
    spop_put_string(&w, arg, strlen(arg));
    spop_put_typed_str(&w, value, strlen(value));
    return spop_frame_end(&w);
}

static int open_session(struct room *r)
{
    uint8_t b[4096];
    struct spop_frame f;
    int fd = dial(r);
    send_all(fd, b, hello(b, sizeof b, false));
    assert_int_equal(receive(r, fd, b, &f), SPOP_AGENT_HELLO);
    return fd;
}

static unsigned disconnect_status(struct room *r, int fd)
{
    uint8_t b[4096];
    struct spop_frame f;
    unsigned status = 0;
    struct spop_slice text;
    assert_int_equal(receive(r, fd, b, &f), SPOP_AGENT_DISCONNECT);
    assert_int_equal(spop_disconnect_read(f.payload, &status, &text), SPOP_OK);
    assert_int_equal(read(fd, b, 1), 0);
    close(fd);
    return status;
}

static void hello_is_answered(void **state)
{
    struct room *r = *state;
    int fd = open_session(r);
    assert_int_equal(r->metrics.value[METRIC_SPOP_CONNECTIONS], 1);
    close(fd);
    turn(r);
    assert_int_equal(r->metrics.value[METRIC_SPOP_CONNECTIONS], 0);
}

static void hello_in_single_bytes(void **state)
{
    struct room *r = *state;
    uint8_t b[4096], in[4096];
    struct spop_frame f;
    int fd = dial(r);
    size_t n = hello(b, sizeof b, false);
    for (size_t i = 0; i < n; i++) {
        send_all(fd, b + i, 1);
        ev_run(r->loop, EVRUN_NOWAIT);
    }
    assert_int_equal(receive(r, fd, in, &f), SPOP_AGENT_HELLO);
    close(fd);
}

static void check_is_answered_then_closed_and_fails_while_draining(void **state)
{
    struct room *r = *state;
    uint8_t b[4096];
    struct spop_frame f;
    int fd = dial(r);
    send_all(fd, b, hello(b, sizeof b, true));
    assert_int_equal(receive(r, fd, b, &f), SPOP_AGENT_HELLO);
    assert_int_equal(receive(r, fd, b, &f), 0);
    close(fd);
    assert_int_equal(r->metrics.value[METRIC_SPOP_CHECKS], 1);
    int other = open_session(r);
    sessions_drain(r->sessions);
    fd = dial(r);
    send_all(fd, b, hello(b, sizeof b, true));
    assert_int_equal(disconnect_status(r, fd), SPOP_OK);
    send_all(other, b, notify(b, sizeof b, 1, "once-request", "policy", "quotes"));
    assert_int_equal(receive(r, other, b, &f), SPOP_ACK);
    close(other);
}

/* What may come first and is wrong, and the status it ends with. */
static const struct {
    const char *what, *bytes;
    size_t len;
    unsigned status;
} wrong[] = {
    {"an HTTP request",        "GET / HTTP/1.1\r\n\r\n",         18, SPOP_TOO_BIG    },
    {"length 0",               "\0\0\0\0\1\0\0\0\1\0\0",         11, SPOP_INVALID    },
    {"length 4 GiB",           "\xff\xff\xff\xff\1\0\0\0\1\0\0", 11, SPOP_TOO_BIG    },
    {"NOTIFY before HELLO",    "\0\0\0\7\3\0\0\0\1\1\1",         11, SPOP_INVALID    },
    {"an ACK",                 "\0\0\0\7\x67\0\0\0\1\0\0",       11, SPOP_NO_FRAME_ID},
    {"HELLO without anything", "\0\0\0\7\1\0\0\0\1\0\0",         11, SPOP_NO_VERSION },
};

static void wrong_beginnings(void **state)
{
    struct room *r = *state;
    uint8_t b[4096];
    struct spop_frame f;
    int other = open_session(r);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int fd = dial(r);
        send_all(fd, wrong[i].bytes, wrong[i].len);
        unsigned status = disconnect_status(r, fd);
        if (status != wrong[i].status)
            fail_msg("%s: status %u, wanted %u", wrong[i].what, status, wrong[i].status);
    }
    assert_int_equal(r->metrics.spop_errors[SPOP_TOO_BIG], 2);
    assert_int_equal(r->metrics.spop_errors[SPOP_INVALID], 2);
    assert_int_equal(r->metrics.spop_errors[SPOP_NO_FRAME_ID], 1);
    assert_int_equal(r->metrics.spop_errors[SPOP_NO_VERSION], 1);
    send_all(other, b, notify(b, sizeof b, 7, "once-request", "policy", "quotes"));
    assert_int_equal(receive(r, other, b, &f), SPOP_ACK);
    assert_int_equal(f.stream_id, 7);
    close(other);
}

/* Finds a variable in an ACK: its text, or NULL. */
static bool ack_says(const struct spop_frame *f, const char *name, const char *value)
{
    struct spop_cursor c = f->payload;
    while (c.at < c.end) {
        struct spop_slice n;
        struct spop_value v;
        c.at += 3; /* set-var, three arguments, scope */
        if (spop_get_string(&c, &n) < 0 || spop_get_value(&c, &v) < 0)
            return false;
        if (n.len == strlen(name) && memcmp(n.ptr, name, n.len) == 0)
            return v.bytes.len == strlen(value) && memcmp(v.bytes.ptr, value, v.bytes.len) == 0;
    }
    return false;
}

static void wrong_messages_are_refused_alone(void **state)
{
    struct room *r = *state;
    uint8_t b[4096];
    struct spop_frame f;
    int fd = open_session(r);
    send_all(fd, b, notify(b, sizeof b, 1, "mirror", "x", "y"));
    assert_int_equal(receive(r, fd, b, &f), SPOP_ACK);
    assert_true(f.payload.at == f.payload.end);
    send_all(fd, b, notify(b, sizeof b, 2, "once-request", "method", "GET")); /* no policy */
    assert_int_equal(receive(r, fd, b, &f), SPOP_ACK);
    assert_true(ack_says(&f, "verdict", "deny"));
    send_all(fd, b, notify(b, sizeof b, 3, "once-response", "token", "forged"));
    assert_int_equal(receive(r, fd, b, &f), SPOP_ACK);
    assert_true(f.payload.at == f.payload.end);
    assert_int_equal(r->metrics.value[METRIC_SPOP_BAD_MESSAGES], 3);
    send_all(fd, b, notify(b, sizeof b, 4, "once-request", "policy", "quotes")); /* Redis is not there */
    assert_int_equal(receive(r, fd, b, &f), SPOP_ACK);
    assert_true(ack_says(&f, "verdict", "deny"));
    assert_int_equal(r->gate.live, 0);
    close(fd);
}

static void connections_are_bounded(void **state)
{
    struct room *r = *state;
    r->config->spop.max_connections = 2;
    int a = open_session(r), b = open_session(r), c = dial(r);
    uint8_t byte;
    turn(r);
    assert_int_equal(read(c, &byte, 1), 0);
    assert_int_equal(r->metrics.value[METRIC_SPOP_REJECTED], 1);
    close(a);
    close(c);
    turn(r);
    c = open_session(r);
    close(b);
    close(c);
}

static void disconnect_is_answered(void **state)
{
    struct room *r = *state;
    uint8_t b[4096];
    struct spop_writer w;
    int fd = open_session(r);
    spop_writer_init(&w, b, sizeof b);
    spop_frame_begin(&w, SPOP_HAPROXY_DISCONNECT, 0, 0);
    spop_put_string(&w, "status-code", 11);
    spop_put_typed_uint(&w, 2);
    spop_put_string(&w, "message", 7);
    spop_put_typed_str(&w, "a timeout occurred", 18);
    send_all(fd, b, spop_frame_end(&w));
    assert_int_equal(disconnect_status(r, fd), SPOP_OK);
    assert_int_equal(r->metrics.spop_errors[SPOP_TIMEOUT] + r->metrics.spop_errors[SPOP_OK], 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(hello_is_answered),
        T(hello_in_single_bytes),
        T(check_is_answered_then_closed_and_fails_while_draining),
        T(wrong_beginnings),
        T(wrong_messages_are_refused_alone),
        T(connections_are_bounded),
        T(disconnect_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
