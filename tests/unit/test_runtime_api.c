// SPDX-License-Identifier: MIT
/* adapters/runtime_api: against a real HAProxy, and against a socket that answers in pieces, too much, or not
 * at all. */
#include "adapters/runtime_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/listener.h"
#include "domain/listing.h"
#include "tests/support/haproxy_server.h"
#include "tests/support/loop.h"

static struct ev_loop *loop;
static unsigned answers, nulls, losses;
static char last[65536], reason[128];

static void on_answer(void *arg, struct spop_slice a)
{
    (void)arg;
    answers++;
    nulls += !a.ptr;
    snprintf(last, sizeof last, "%.*s", (int)a.len, a.ptr ? a.ptr : "");
}

static void on_lost(void *arg, const char *why)
{
    (void)arg;
    losses++;
    snprintf(reason, sizeof reason, "%s", why);
}

static int setup(void **state)
{
    (void)state;
    loop = ev_default_loop(0);
    answers = nulls = losses = 0;
    last[0] = reason[0] = '\0';
    return 0;
}

static void test_real_haproxy(void **state)
{
    (void)state;
    struct haproxy_server h;
    const char *const config[] = {haproxy_server_tables, "frontend fe\n    bind unix@@D@/fe.sock\n"};
    struct process_info info;
    uint64_t start;
    struct listing l;
    char err[128];
    assert_int_equal(haproxy_server_init(&h), 0);
    assert_int_equal(haproxy_server_start(&h, false, config, 2), 0);
    struct runtime_api *r = runtime_api_new(loop, h.socket, 65536, 1, on_lost, NULL, err, sizeof err);
    assert_non_null(r);
    runtime_api_ask(r, "show info", on_answer, NULL);
    assert_int_equal(answers, 0); /* never before the question has returned */
    loop_run(loop, 0.1);
    assert_int_equal(answers, 1);
    assert_int_equal(process_info_read((struct spop_slice){last, strlen(last)}, &info), 0);
    assert_int_equal(info.pid, h.pid);
    assert_false(info.stopping);
    runtime_api_ask(r, "clear table once_unsettled key nobody", on_answer, NULL);
    runtime_api_ask(r, "show table once_inflight data.conn_cur eq 0 data.gpt0 lt 1000", on_answer, NULL);
    runtime_api_ask(r, "get var proc.once_start", on_answer, NULL);
    loop_run(loop, 0.1);
    assert_int_equal(answers, 4); /* an empty answer is one too, and they come in order */
    assert_int_equal(process_start_read((struct spop_slice){last, strlen(last)}, &start), 0);
    runtime_api_ask(r, "show table once_unsettled", on_answer, NULL);
    loop_run(loop, 0.1);
    assert_int_equal(listing_open((struct spop_slice){last, strlen(last)}, "once_unsettled", 1, &l),
                     LISTING_OK);
    runtime_api_ask(r, "show table nowhere", on_answer, NULL);
    loop_run(loop, 0.1);
    assert_int_equal(listing_open((struct spop_slice){last, strlen(last)}, "nowhere", 1, &l),
                     LISTING_NO_TABLE);
    haproxy_server_stop(&h);
    loop_run(loop, 0.1);
    assert_int_equal(losses, 1);
    assert_int_equal(nulls, 0);
    runtime_api_free(r);
    assert_null(runtime_api_new(loop, h.socket, 65536, 1, on_lost, NULL, err, sizeof err));
    assert_non_null(strstr(err, h.socket));
    haproxy_server_clear(&h);
}

/* Our own end of the wire. */
struct peer {
    struct haproxy_server h; /* only its directory */
    int listening, fd;
    struct runtime_api *r;
};

static void peer_open(struct peer *p, size_t max_answer, double timeout)
{
    char address[128], err[128];
    assert_int_equal(haproxy_server_init(&p->h), 0);
    snprintf(address, sizeof address, "unix@%s", p->h.socket);
    p->listening = listener_stream(address, 0600, err, sizeof err);
    assert_true(p->listening >= 0);
    p->r = runtime_api_new(loop, p->h.socket, max_answer, timeout, on_lost, NULL, err, sizeof err);
    assert_non_null(p->r);
    p->fd = accept(p->listening, NULL, NULL);
    assert_true(p->fd >= 0);
}

static void peer_says(struct peer *p, const char *text)
{
    assert_int_equal(send(p->fd, text, strlen(text), 0), strlen(text));
    loop_run(loop, 0.01);
}

static void peer_hears(struct peer *p, const char *text)
{
    char got[256] = "";
    ssize_t n = recv(p->fd, got, sizeof got - 1, 0);
    got[n > 0 ? n : 0] = '\0';
    assert_string_equal(got, text);
}

static void peer_close(struct peer *p)
{
    close(p->fd);
    close(p->listening);
    haproxy_server_clear(&p->h);
}

static void test_answers_in_pieces(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 1);
    runtime_api_ask(p.r, "one", on_answer, NULL);
    runtime_api_ask(p.r, "two", on_answer, NULL);
    peer_hears(&p, "prompt\none\ntwo\n");
    static const char said[] = "\n> first\n>second > \n\n> third\n> ";
    for (const char *at = said; *at; at++) {
        peer_says(&p, (char[]){*at, '\0'});
        /* the first prompt is nobody's answer; `\n>` alone ends none */
        assert_int_equal(answers, at - said >= 30 ? 2 : at - said >= 22 ? 1 : 0);
        if (at - said == 22)
            assert_string_equal(last, "first\n>second > \n");
    }
    assert_string_equal(last, "third");
    runtime_api_free(p.r);
    peer_hears(&p, "quit\n");
    peer_close(&p);
}

static void test_longest_answer(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 10, 1);
    runtime_api_ask(p.r, "fits", on_answer, NULL);
    peer_says(&p, "\n> 0123456789\n> ");
    assert_string_equal(last, "0123456789");
    assert_int_equal(losses, 0);
    runtime_api_ask(p.r, "does not", on_answer, NULL);
    peer_says(&p, "0123456789012345\n> ");
    assert_int_equal(losses, 1);
    assert_string_equal(reason, "answer too long");
    assert_int_equal(nulls, 1);
    runtime_api_free(p.r);
    peer_close(&p);
}

static void test_no_answer_in_time(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 0.05);
    runtime_api_ask(p.r, "one", on_answer, NULL);
    runtime_api_ask(p.r, "two", on_answer, NULL);
    peer_says(&p, "\n> one");
    assert_int_equal(losses, 0);
    loop_run(loop, 0.1);
    assert_int_equal(losses, 1);
    assert_int_equal(nulls, 2);
    assert_string_equal(reason, "no answer in time");
    runtime_api_free(p.r);
    peer_close(&p);
}

/* Silence is only too long while something has been asked. */
static void test_silence_without_question(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 0.05);
    peer_says(&p, "\n> ");
    loop_run(loop, 0.15);
    assert_int_equal(losses, 0);
    runtime_api_ask(p.r, "one", on_answer, NULL);
    loop_run(loop, 0.02);
    assert_int_equal(losses, 0);
    peer_says(&p, "x\n> ");
    assert_string_equal(last, "x");
    runtime_api_free(p.r);
    peer_close(&p);
}

static void test_peer_leaves(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 1);
    runtime_api_ask(p.r, "one", on_answer, NULL);
    peer_says(&p, "\n> cut");
    shutdown(p.fd, SHUT_RDWR);
    loop_run(loop, 0.02);
    assert_int_equal(losses, 1);
    assert_int_equal(nulls, 1);
    runtime_api_free(p.r);
    peer_close(&p);
}

static void test_free_answers_what_is_open(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 1);
    runtime_api_ask(p.r, "one", on_answer, NULL);
    runtime_api_free(p.r);
    assert_int_equal(nulls, 1);
    assert_int_equal(losses, 0);
    peer_close(&p);
}

static void free_it(void *arg, struct spop_slice a)
{
    struct runtime_api **r = arg;
    answers += a.ptr != NULL;
    runtime_api_free(*r);
}

static void test_free_from_an_answer(void **state)
{
    (void)state;
    struct peer p;
    peer_open(&p, 100, 1);
    runtime_api_ask(p.r, "one", free_it, &p.r);
    runtime_api_ask(p.r, "two", on_answer, NULL);
    peer_says(&p, "\n> 1\n> 2\n> ");
    assert_int_equal(answers, 2);
    assert_int_equal(nulls, 1);
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_real_haproxy, setup),
        cmocka_unit_test_setup(test_answers_in_pieces, setup),
        cmocka_unit_test_setup(test_longest_answer, setup),
        cmocka_unit_test_setup(test_no_answer_in_time, setup),
        cmocka_unit_test_setup(test_silence_without_question, setup),
        cmocka_unit_test_setup(test_peer_leaves, setup),
        cmocka_unit_test_setup(test_free_answers_what_is_open, setup),
        cmocka_unit_test_setup(test_free_from_an_answer, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
