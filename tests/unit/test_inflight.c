// SPDX-License-Identifier: MIT
/* rooms/inflight and what stands under it, against a real HAProxy with the tables of PROTOCOL: requests carry
 * their token in a header, a backend answers when the test says so, and Redis is a book in which each word is
 * taken down.
 *
 *   client ──x-token──► HAProxy (once_inflight, once_unsettled) ──► backend (held until answered or closed)
 *                          ▲ runtime socket
 *                       inflight ──extend, resolve, ..──► fake Redis
 */
#include "tests/unit/fake_redis.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "domain/listing.h"
#include "rooms/inflight.h"
#include "rooms/monotonic.h"
#include "tests/support/haproxy_server.h"

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
static struct {
    int listening;
    ev_io io;
    unsigned n;
    int fd[HELD_MAX];
} backend;
static unsigned nclients;
static int clients[HELD_MAX];
static uint64_t fences;

static void stop(struct ev_loop *l, ev_timer *t, int revents)
{
    (void)t;
    (void)revents;
    ev_break(l, EVBREAK_ALL);
}

static void run_for(double seconds)
{
    ev_timer t;
    ev_timer_init(&t, stop, seconds, 0.);
    ev_now_update(loop);
    ev_timer_start(loop, &t);
    ev_run(loop, 0);
    ev_timer_stop(loop, &t);
}

/* Runs until the condition holds, at most that long; the seconds that it took, or a failure. */
#define run_until(condition, longest)                                                                        \
    do {                                                                                                     \
        double run_began_ = monotonic_now();                                                                 \
        while (!(condition) && monotonic_now() - run_began_ < (longest))                                     \
            run_for(0.005);                                                                                  \
        assert_true(condition);                                                                              \
    } while (0)

static void on_accept(struct ev_loop *l, ev_io *io, int revents)
{
    (void)l;
    (void)revents;
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        backend.fd[backend.n++] = fd;
}

static void backend_open(void)
{
    char address[128], err[128];
    snprintf(address, sizeof address, "unix@%s/be.sock", haproxy.dir);
    backend.listening = listener_stream(address, 0600, err, sizeof err);
    assert_true(backend.listening >= 0);
    ev_io_init(&backend.io, on_accept, backend.listening, EV_READ);
    ev_io_start(loop, &backend.io);
}

static void backend_close(void)
{
    ev_io_stop(loop, &backend.io);
    close(backend.listening);
    for (unsigned i = 0; i < backend.n; i++)
        close(backend.fd[i]);
    backend.n = 0;
}

/* Ends the n-th request; answer NULL: by closing without a word. */
static void backend_ends(unsigned n, const char *answer)
{
    assert_true(n < backend.n);
    if (answer)
        assert_int_equal(send(backend.fd[n], answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
    shutdown(backend.fd[n], SHUT_RDWR);
}

static struct token make_token(bool hold)
{
    struct token t = {.flags = hold ? TOKEN_HOLD : 0, .fence = ++fences, .policy = policy_hash("pay")};
    memcpy(t.rid, &t.fence, sizeof t.fence);
    t.ttl = token_ttl_code(config->policies[0].idempotency.lock_s);
    return t;
}

static void send_text(const char *token)
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
static struct token request(bool hold)
{
    char text[TOKEN_TEXT + 1];
    struct token t = make_token(hold);
    unsigned before = backend.n;
    token_write(&t, text);
    send_text(text);
    run_until(backend.n == before + 1, 2);
    return t;
}

static struct inflight *new_agent(void)
{
    return inflight_new(loop, NULL, NULL, config, &metrics);
}

static struct config *make_config(uint32_t lock_s)
{
    struct config *c = config_new();
    struct spop_slice bad;
    c->inflight.poll_ms = (uint32_t)(POLL * 1000);
    c->inflight.max_entries = 1000;
    c->notices.listen[0] = '\0';
    c->nhaproxy = 1;
    strcpy(c->haproxy[0].socket, haproxy.socket);
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
    snprintf(file, sizeof file, "%s.once-poller", haproxy.socket);
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

static int setup_stopped(void **state)
{
    (void)state;
    loop = ev_default_loop(0);
    fake_reset(loop);
    memset(&metrics, 0, sizeof metrics);
    if (haproxy_server_init(&haproxy) != 0)
        return -1;
    config = make_config(30);
    backend_open();
    return 0;
}

static int setup(void **state)
{
    if (setup_stopped(state) != 0 || haproxy_server_start(&haproxy, false, config_parts, 2) != 0)
        return -1;
    agent = new_agent();
    run_until(strcmp(process_name(), "none") != 0, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    inflight_free(agent);
    agent = NULL;
    backend_close();
    for (unsigned i = 0; i < nclients; i++)
        close(clients[i]);
    nclients = 0;
    config_drop(config);
    haproxy_server_clear(&haproxy);
    return 0;
}

static void reconfigure(void (*change)(struct config *))
{
    struct config *c = make_config(30);
    change(c);
    config_drop(config);
    config = c;
    inflight_reconfigure(agent, c);
}

static void test_running_is_extended(void **state)
{
    (void)state;
    struct token t = request(false);
    run_for(1.5);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 0); /* lock 30 s: the next is due in 5 s */
    assert_int_equal(metrics.value[METRIC_INFLIGHT], 1);
    inflight_redis_ready(agent); /* but at once when Redis is back */
    run_for(0.05);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 1);
    assert_int_equal(metrics.value[METRIC_EXTENDED], 1);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, NULL), 0);
}

static void short_lock(struct config *c)
{
    c->policies[0].idempotency.lock_s = 2;
}

/* Half a heartbeat of a lock of 2 s is 333 ms. */
static void test_heartbeat(void **state)
{
    (void)state;
    reconfigure(short_lock);
    struct token t = request(false), u = request(false);
    run_for(1.6);
    unsigned n = fake_count(SCRIPT_EXTEND, &t);
    assert_in_range(n, 4, 5);
    assert_in_range(fake_count(SCRIPT_EXTEND, &u), n - 1, n);
    fake.mute = true; /* what was not confirmed is said again soon */
    run_for(1.2);
    fake.mute = false;
    n = fake_count(SCRIPT_EXTEND, &t);
    run_for(0.2);
    assert_true(fake_count(SCRIPT_EXTEND, &t) > n);
}

static void test_more_than_a_batch(void **state)
{
    (void)state;
    enum { MANY = 12 };
    for (unsigned i = 0; i < MANY; i++)
        request(false);
    inflight_redis_ready(agent);
    run_for(0.1);
    assert_int_equal(fake_count(SCRIPT_EXTEND, NULL), MANY);
    assert_int_equal(metrics.value[METRIC_EXTENDED], MANY);
}

static void test_ended_without_answer(void **state)
{
    (void)state;
    struct token t = request(false), h = request(true);
    run_for(2 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, NULL), 0);
    backend_ends(0, NULL);
    backend_ends(1, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1 && fake_count(SCRIPT_RESOLVE, &h) == 1, 4 * POLL);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &t)->status, 0);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &t)->letter, 'F');
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &h)->letter, 'H');
    run_for(0.5); /* still listed, but said once */
    assert_int_equal(fake_count(SCRIPT_RESOLVE, NULL), 2);
    assert_int_equal(metrics.value[METRIC_RESOLVED_FREE], 1);
    assert_int_equal(metrics.value[METRIC_RESOLVED_HELD], 1);
}

#define ANSWER(status, headers) "HTTP/1.1 " status " x\r\nContent-Length: 0\r\n" headers "\r\n"

static void test_answered(void **state)
{
    (void)state;
    struct token good = request(false), bad = request(false), settled = request(false);
    backend_ends(0, ANSWER("201", ""));
    backend_ends(1, ANSWER("500", ""));
    backend_ends(2, ANSWER("201", "X-Settled: yes\r\n"));
    run_until(fake_count(SCRIPT_RESOLVE, &good) == 1 && fake_count(SCRIPT_RESOLVE, &bad) == 1, 4 * POLL);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &good)->status, 201);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &good)->letter, 'T');
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &bad)->status, 500);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &bad)->letter, 'F');
    run_for(0.2);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &settled), 0);
}

/* A body that is still on its way: the answer has begun, but nothing has ended. */
static void test_answer_that_goes_on(void **state)
{
    (void)state;
    struct token t = request(false);
    static const char head[] = "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n12345";
    assert_int_equal(send(backend.fd[0], head, sizeof head - 1, 0), sizeof head - 1);
    run_for(4 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), 0);
    inflight_redis_ready(agent);
    run_for(2 * POLL);
    assert_int_equal(fake_count(SCRIPT_EXTEND, &t), 1);
    shutdown(backend.fd[0], SHUT_RDWR);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &t)->status, 200);
}

static void test_not_confirmed_is_said_again(void **state)
{
    (void)state;
    struct token t = request(false);
    fake.down = true;
    backend_ends(0, ANSWER("201", ""));
    run_for(5 * POLL);
    assert_int_equal(fake.n, 0);
    fake.down = false;
    fake.mute = true;
    inflight_redis_ready(agent);
    run_until(fake_count(SCRIPT_RESOLVE, &t) >= 2, 4 * POLL);
    fake.mute = false;
    run_for(2 * POLL);
    unsigned n = fake_count(SCRIPT_RESOLVE, &t);
    run_for(3 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), n);
    assert_int_equal(metrics.value[METRIC_RESOLVED_TOMB], 1);
}

static struct inflight *without_agent(void)
{
    struct inflight *a = agent;
    agent = NULL;
    inflight_free(a);
    return NULL;
}

/* All agents were away for longer than an ended entry stays; once_unsettled still knows. */
static void test_unsettled_outlives_the_agents(void **state)
{
    (void)state;
    struct token t = request(false);
    without_agent();
    backend_ends(0, ANSWER("201", "X-Unsettled: yes\r\n"));
    run_for(1.6);
    agent = new_agent();
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 1);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &t)->status, 201);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &t)->letter, 'T');
    run_for(4 * POLL);
    inflight_free(agent); /* it has been cleared: another agent finds nothing */
    agent = new_agent();
    run_for(4 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), 1);
}

static void with_notices(struct config *c)
{
    strcpy(c->notices.listen, "unixdgram@/somewhere");
}

static struct notice notice_of(const struct token *t, const char *ts, long tc, unsigned status,
                               const char *process)
{
    struct notice n = {
        .token = *t, .tc = tc, .status = status, .process = {process, strlen(process)}
    };
    token_write(t, n.token_text);
    memcpy(n.ts, ts, sizeof n.ts);
    return n;
}

static void test_notice_says_how(void **state)
{
    (void)state;
    reconfigure(with_notices);
    run_for(2 * POLL);
    struct token clean = request(false), cut = request(false), silent = request(false);
    backend_ends(0, ANSWER("200", ""));
    backend_ends(1, NULL);
    backend_ends(2, NULL);
    run_for(0.01);
    struct notice n = notice_of(&clean, "--", 3, 200, process_name());
    inflight_notice(agent, &n);
    n = notice_of(&cut, "sH", 3, 504, process_name());
    inflight_notice(agent, &n);
    run_for(0.04); /* at once, not at the next poll */
    assert_int_equal(fake_count(SCRIPT_COMPLETE, &clean), 1);
    assert_true(fake_last(SCRIPT_COMPLETE, &clean)->kept);
    assert_int_equal(fake_last(SCRIPT_COMPLETE, &clean)->status, 200);
    assert_int_equal(fake_count(SCRIPT_RELEASE, &cut), 1);
    assert_int_equal(fake_last(SCRIPT_RELEASE, &cut)->letter, 'c');
    run_until(fake_count(SCRIPT_RESOLVE, &silent) == 1, 4 * POLL);
    run_for(0.3);
    assert_int_equal(fake.n, 3);
    assert_int_equal(metrics.value[METRIC_RESOLVED_COMMIT], 1);
}

/* A notice alone proves no end: what is still listed as running runs. */
static void test_notice_of_what_runs(void **state)
{
    (void)state;
    struct token t = request(false);
    struct notice n = notice_of(&t, "--", 3, 200, process_name());
    inflight_notice(agent, &n);
    run_for(3 * POLL);
    assert_int_equal(fake.n, 0);
}

static void test_one_poll_for_the_notice(void **state)
{
    (void)state;
    reconfigure(with_notices);
    run_for(2 * POLL);
    struct token t = request(false);
    backend_ends(0, NULL);
    run_for(0.01);
    inflight_redis_ready(agent); /* a poll sees the end, */
    run_for(0.02);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), 0); /* and waits for the next one */
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 3 * POLL);
}

static void test_never_sent(void **state)
{
    (void)state;
    struct token t = make_token(true);
    struct notice n = notice_of(&t, "SC", -1, 503, process_name());
    inflight_notice(agent, &n);
    assert_int_equal(fake_count(SCRIPT_RELEASE, &t), 1);
    assert_int_equal(fake_last(SCRIPT_RELEASE, &t)->letter, 'n');
    run_for(4 * POLL);
    assert_int_equal(fake.n, 1);
}

static void test_notice_of_a_gone_process(void **state)
{
    (void)state;
    struct token early = make_token(false), late = make_token(false), held = make_token(true);
    struct notice n = notice_of(&early, "SH", 3, 502, "1.2.host");
    inflight_notice(agent, &n);
    n = notice_of(&late, "CD", 3, 201, "1.2.host");
    inflight_notice(agent, &n);
    n = notice_of(&held, "SH", 3, 502, "1.2.host");
    inflight_notice(agent, &n);
    assert_int_equal(fake.n, 3);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &early)->status, 0); /* the 502 was HAProxy's own */
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &early)->letter, 'F');
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &late)->status, 201);
    assert_int_equal(fake_last(SCRIPT_RESOLVE, &held)->letter, 'H');
    run_for(2 * POLL);
}

static void test_foreign_keys_are_passed_over(void **state)
{
    (void)state;
    send_text("no-token-of-ours");
    send_text("a b=c\\d");
    run_until(backend.n == 2, 2);
    struct token t = request(false);
    inflight_redis_ready(agent);
    run_for(2 * POLL);
    assert_int_equal(fake_count(SCRIPT_EXTEND, NULL), 1);
    for (unsigned i = 0; i < 3; i++)
        backend_ends(i, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, NULL), 1);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
}

static void at_most_two(struct config *c)
{
    c->inflight.max_entries = 2;
}

/* More than may be listed: nothing follows, and nothing more is granted. */
static void test_too_many_entries(void **state)
{
    (void)state;
    reconfigure(at_most_two);
    request(false);
    request(false);
    inflight_redis_ready(agent);
    run_for(2 * POLL);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
    unsigned extended = fake_count(SCRIPT_EXTEND, NULL);
    assert_true(extended >= 2);
    const char *name = process_name();
    assert_true(inflight_knows(agent, name));
    request(false);
    inflight_redis_ready(agent);
    run_for(4 * POLL);
    assert_true(metrics.value[METRIC_POLL_FAILED] > 1);
    assert_int_equal(fake_count(SCRIPT_EXTEND, NULL), extended);
    assert_false(inflight_knows(agent, name));
}

/* HAProxy hung for longer than a poll: what it says then is old, and nothing follows from it. */
static void test_late_listing(void **state)
{
    (void)state;
    struct token t = request(false);
    char name[160];
    snprintf(name, sizeof name, "%s", process_name());
    run_for(POLL / 2);
    kill(haproxy.pid, SIGSTOP);
    run_for(4 * POLL);
    backend_ends(0, NULL);
    assert_int_equal(metrics.value[METRIC_POLL_FAILED], 0);
    kill(haproxy.pid, SIGCONT);
    run_until(metrics.value[METRIC_POLL_FAILED] > 0, POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &t), 0);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_true(inflight_knows(agent, name));
}

static struct {
    unsigned n;
    bool known;
    double at;
} told;

static void on_known(void *arg, bool known)
{
    (void)arg;
    told.n++;
    told.known = known;
    told.at = monotonic_now();
}

static void test_find(void **state)
{
    (void)state;
    char name[128];
    snprintf(name, sizeof name, "%s", process_name());
    memset(&told, 0, sizeof told);
    without_agent();
    agent = new_agent();
    assert_false(inflight_knows(agent, name));
    inflight_find(agent, name, on_known, NULL);
    inflight_find(agent, name, on_known, NULL);
    inflight_forget(inflight_find(agent, name, on_known, NULL));
    assert_int_equal(told.n, 0);
    run_until(told.n == 2, 0.1);
    assert_true(told.known);
    assert_true(inflight_knows(agent, name));
    assert_false(inflight_knows(agent, "1.2.host"));
    assert_false(inflight_knows(agent, "nonsense"));
    double began = monotonic_now();
    inflight_find(agent, "1.2.host", on_known, NULL);
    run_until(told.n == 3, 0.2);
    assert_false(told.known);
    assert_true(told.at - began < 0.115);
    inflight_find(agent, "1.2.host", on_known, NULL);
    without_agent(); /* whoever still waits is told */
    assert_int_equal(told.n, 4);
}

static void test_haproxy_comes_later_and_again(void **state)
{
    (void)state;
    agent = new_agent();
    run_for(3 * POLL);
    assert_int_equal(metrics.value[METRIC_WORKERS], 0);
    assert_int_equal(haproxy_server_start(&haproxy, false, config_parts, 2), 0);
    run_until(metrics.value[METRIC_WORKERS] == 1, 4 * POLL);
    run_until(strcmp(process_name(), "none") != 0, 1);
    char first[128];
    snprintf(first, sizeof first, "%s", process_name());
    haproxy_server_stop(&haproxy);
    run_until(metrics.value[METRIC_WORKERS] == 0, 4 * POLL);
    assert_false(inflight_knows(agent, first));
    assert_int_equal(haproxy_server_start(&haproxy, false, config_parts, 2), 0);
    run_until(metrics.value[METRIC_WORKERS] == 1, 4 * POLL);
    struct token t = request(false);
    backend_ends(0, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    assert_false(inflight_knows(agent, first));
}

static void test_tables_are_missing(void **state)
{
    (void)state;
    static const char bare[] =
        "global\n    stats socket @D@/sock level admin\n    set-var proc.once_start date(0,us)\n";
    const char *const parts[] = {
        bare, "frontend fe\n    mode http\n    timeout client 1s\n    bind unix@@D@/fe.sock\n"};
    assert_int_equal(haproxy_server_start(&haproxy, false, parts, 2), 0);
    agent = new_agent();
    run_until(metrics.value[METRIC_POLL_FAILED] > 0, 4 * POLL);
    run_for(4 * POLL);
    assert_string_equal(process_name(), "none");
    memset(&told, 0, sizeof told);
    haproxy_server_stop(&haproxy);
}

/* Master-worker: the old worker's last request is resolved through the old connection, which is then let go.
 */
static void test_reload(void **state)
{
    (void)state;
    assert_int_equal(haproxy_server_start(&haproxy, true, config_parts, 2), 0);
    agent = new_agent();
    run_until(strcmp(process_name(), "none") != 0, 2);
    pid_t old = (pid_t)strtol(process_name(), NULL, 10);
    assert_true(old != haproxy.pid);
    struct token slow = request(false);
    haproxy_server_reload(&haproxy);
    run_until(metrics.value[METRIC_WORKERS] == 2, 3);
    struct token fresh = request(false);
    inflight_redis_ready(agent);
    run_for(3 * POLL);
    assert_true(fake_count(SCRIPT_EXTEND, &slow) >= 1);
    assert_true(fake_count(SCRIPT_EXTEND, &fresh) >= 1);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, NULL), 0); /* absence from the new table proves nothing */
    run_for(1.5);
    assert_true(process_lives(old));
    backend_ends(0, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &slow) == 1, 4 * POLL);
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &fresh), 0);
    run_until(metrics.value[METRIC_WORKERS] == 1, 3);
    run_until(!process_lives(old), 2);
    backend_ends(1, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &fresh) == 1, 4 * POLL);
}

static void test_two_agents(void **state)
{
    (void)state;
    struct metrics other_metrics = {0};
    struct inflight *other = inflight_new(loop, NULL, NULL, config, &other_metrics);
    char name[128];
    snprintf(name, sizeof name, "%s", process_name());
    run_for(4 * POLL);
    assert_int_equal(metrics.value[METRIC_POLLER], 1);
    assert_int_equal(other_metrics.value[METRIC_POLLER], 0);
    assert_int_equal(other_metrics.value[METRIC_WORKERS], 1); /* it keeps the connection */
    assert_true(inflight_knows(agent, name));
    assert_true(inflight_knows(other, name));
    uint64_t polls = other_metrics.value[METRIC_POLLS];
    struct token t = request(false);
    run_for(4 * POLL);
    assert_int_equal(other_metrics.value[METRIC_POLLS], polls);
    backend_ends(0, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &t) == 1, 4 * POLL);
    without_agent();
    struct token u = request(false);
    run_until(other_metrics.value[METRIC_POLLER] == 1, 4 * POLL);
    backend_ends(1, NULL);
    run_until(fake_count(SCRIPT_RESOLVE, &u) == 1, 4 * POLL);
    inflight_free(other);
}

/* HAProxy's log comes to the agent that is not elected: it looks by itself. */
static void test_two_agents_and_a_notice(void **state)
{
    (void)state;
    struct metrics other_metrics = {0};
    struct inflight *other = inflight_new(loop, NULL, NULL, config, &other_metrics);
    run_for(4 * POLL);
    assert_int_equal(other_metrics.value[METRIC_POLLER], 0);
    struct token t = request(false), quiet = request(false);
    backend_ends(0, ANSWER("200", ""));
    backend_ends(1, ANSWER("200", ""));
    run_for(0.005);
    struct notice n = notice_of(&t, "--", 3, 200, process_name());
    inflight_notice(other, &n); /* came to the one that is not elected */
    run_for(3 * POLL);
    assert_int_equal(fake_count(SCRIPT_COMPLETE, &t), 1);
    assert_true(fake_count(SCRIPT_RESOLVE, &t) <= 1); /* the elected one may have been first: does no harm */
    assert_int_equal(fake_count(SCRIPT_RESOLVE, &quiet), 1); /* by the elected one alone */
    inflight_free(other);
}

/* Not heard by Redis, the elected one touches the file no more. */
static void test_gives_way(void **state)
{
    (void)state;
    run_for(2 * POLL);
    assert_int_equal(metrics.value[METRIC_POLLER], 1);
    fake.down = true;
    run_until(metrics.value[METRIC_POLLER] == 0, 2 * POLL);
    fake.down = false;
    run_until(metrics.value[METRIC_POLLER] == 1, 3 * POLL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_running_is_extended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_without_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_that_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_confirmed_is_said_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsettled_outlives_the_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_says_how, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_of_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_poll_for_the_notice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notice_of_a_gone_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_keys_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_listing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_haproxy_comes_later_and_again, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_tables_are_missing, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup_stopped, teardown),
        cmocka_unit_test_setup_teardown(test_two_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_agents_and_a_notice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gives_way, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
