// SPDX-License-Identifier: MIT
/* The queue of words, against a real Redis that is killed, refuses writes and has foreign values: what was
 * put is confirmed once, in its order; bounds exactly full and one over. */
#include "rooms/completion.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/record.h"
#include "tests/support/logged.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture f;
static struct completion *queue;

struct told {
    unsigned times;
    enum completion_result result;
    unsigned order;
};
static unsigned orders;

static void tell(void *arg, enum completion_result result)
{
    struct told *t = arg;
    t->times++;
    t->result = result;
    t->order = ++orders;
}

static bool was_told(void *arg)
{
    return ((struct told *)arg)->times > 0;
}

static bool is_idle(void *arg)
{
    (void)arg;
    return completion_idle(queue);
}

static void flush(struct redis_fixture *g)
{
    (void)g;
    if (queue)
        completion_flush(queue);
}

/* Everything but the connection. */
static int begin_down(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(&f);
    f.on_ready = flush;
    return 0;
}

static void make_queue(void)
{
    redis_fixture_connect(&f);
    queue = completion_new(f.loop, f.redis, f.config, &f.metrics);
    assert_non_null(queue);
}

static int begin(void **state)
{
    begin_down(state);
    make_queue();
    redis_fixture_until_ready(&f, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (queue)
        completion_free(queue);
    queue = NULL;
    redis_fixture_stop(&f);
    return 0;
}

/* The key's digest begins with `key`. */
static struct token token_of(uint8_t key, uint64_t fence)
{
    struct token t = {.fence = fence, .ttl = token_ttl_code(30)};
    t.id.digest[0] = key;
    memset(t.rid, (int)fence, sizeof t.rid);
    return t;
}

static struct word word_of(enum script_id script, uint8_t key, uint64_t fence)
{
    struct word w = {.script = script, .token = token_of(key, fence), .status = 200, .ttl_s = 600};
    w.letter = script == SCRIPT_RELEASE ? 'n' : 'F';
    w.location = (struct spop_slice){"/x", script == SCRIPT_ANSWERED || script == SCRIPT_COMPLETE ? 2 : 0};
    return w;
}

/* With a stored response of so many bytes, NUL and newlines among them. */
static void put_stored(struct word *w, struct buf *stored, size_t len)
{
    static const char headers[] = {0, 0};
    char *body = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        body[i] = "\r\n$\0*"[i % 5];
    struct response r = {
        .status = 200, .headers = {headers, sizeof headers},
             .body = {body,    len           }
    };
    buf_init(stored);
    assert_int_equal(record_pack_done(stored, &r, NULL, 0), 0);
    w->pending = (struct spop_slice){(const char *)stored->data, stored->len};
    free(body);
}

/* The record as Redis has it: its state, or '-'. */
static char state_of(uint8_t key)
{
    char name[64];
    char state = '-';
    snprintf(name, sizeof name, "once:{0000}:r:%02x%030d", key, 0);
    redisReply *r = redisCommand(f.server.c, "GET %s", name);
    if (r->type == REDIS_REPLY_STRING && r->len > 1)
        state = r->str[1];
    freeReplyObject(r);
    return state;
}

static void put_and_wait(const struct word *w, struct told *t)
{
    *t = (struct told){0};
    assert_non_null(completion_put(queue, w, 0, tell, t));
    assert_int_equal(t->times, 0);
    redis_fixture_until(&f, was_told, t);
    assert_int_equal(t->times, 1);
}

static void confirmed(void **state)
{
    (void)state;
    struct told t;
    struct buf stored;
    struct word w = word_of(SCRIPT_COMPLETE, 1, 7);
    put_stored(&w, &stored, 3000);
    assert_true(completion_idle(queue));
    assert_non_null(completion_put(queue, &w, 0, NULL, NULL));
    assert_false(completion_idle(queue));
    assert_int_equal(f.metrics.value[METRIC_COMPLETIONS], 1);
    assert_true(f.metrics.value[METRIC_COMPLETION_BYTES] > 3000);
    redis_fixture_until(&f, is_idle, NULL);
    assert_int_equal(state_of(1), 'D');
    assert_int_equal(f.metrics.value[METRIC_COMPLETIONS], 0);
    assert_int_equal(f.metrics.value[METRIC_COMPLETION_BYTES], 0);
    put_and_wait(&w, &t); /* N */
    assert_int_equal(t.result, COMPLETION_ALREADY);
    w.token.fence = 6;
    put_and_wait(&w, &t); /* L */
    assert_int_equal(t.result, COMPLETION_LOST);
    assert_int_equal(f.metrics.value[METRIC_LOST_LOCK], 1);
    assert_int_equal(f.metrics.value[METRIC_COMPLETION_RETRIES], 0);
    buf_free(&stored);
}

/* The body comes with `answered`, `complete` commits it: DONE only in that order. Many records at once. */
static void order_of_one_record(void **state)
{
    (void)state;
    enum { N = 100 };
    struct told answered[N] = {{0}}, complete[N] = {{0}};
    struct buf stored;
    for (unsigned i = 0; i < N; i++) {
        struct word a = word_of(SCRIPT_ANSWERED, (uint8_t)i, 7), c = word_of(SCRIPT_COMPLETE, (uint8_t)i, 7);
        put_stored(&a, &stored, 100);
        assert_non_null(completion_put(queue, &a, 0, tell, &answered[i]));
        assert_non_null(completion_put(queue, &c, 0, tell, &complete[i]));
        buf_free(&stored);
    }
    redis_fixture_until(&f, is_idle, NULL);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(state_of((uint8_t)i), 'D');
        assert_int_equal(answered[i].times + complete[i].times, 2);
        assert_true(answered[i].order < complete[i].order);
    }
}

static bool has_three_errors(void *arg)
{
    (void)arg;
    return f.metrics.value[METRIC_REDIS_ERRORS] >= 3;
}

/* The first word of a record fails for a while: the second one waits for it. */
static void order_through_errors(void **state)
{
    (void)state;
    struct told answered = {0}, complete = {0}, other = {0};
    struct buf stored;
    struct word a = word_of(SCRIPT_ANSWERED, 1, 7), c = word_of(SCRIPT_COMPLETE, 1, 7);
    struct word o = word_of(SCRIPT_RELEASE, 2, 7);
    put_stored(&a, &stored, 100);
    redis_server_do(&f.server, "REPLICAOF 127.0.0.1 1"); /* READONLY from now on */
    assert_non_null(completion_put(queue, &a, 0, tell, &answered));
    assert_non_null(completion_put(queue, &c, 0, tell, &complete));
    assert_non_null(completion_put(queue, &o, 0, tell, &other));
    redis_fixture_until(&f, has_three_errors, NULL);
    assert_int_equal(f.metrics.value[METRIC_REDIS_ERRORS],
                     3); /* SET, answered, release: complete was not sent */
    redis_fixture_run(&f, 0.5);
    assert_int_equal(answered.times + complete.times + other.times, 0);
    assert_int_equal(f.metrics.value[METRIC_COMPLETIONS], 3);
    assert_in_range(f.metrics.value[METRIC_COMPLETION_RETRIES], 2, 8); /* two words, with growing pauses */
    redis_server_do(&f.server, "REPLICAOF NO ONE");
    redis_fixture_until(&f, is_idle, NULL);
    assert_int_equal(state_of(1), 'D');
    assert_int_equal(answered.result + complete.result + other.result, COMPLETION_DONE);
    assert_true(answered.order < complete.order);
    buf_free(&stored);
}

/* Tried again all the while, and said once for each word. */
static void error_is_said_once(void **state)
{
    (void)state;
    enum { WORDS = 3 };
    struct told t[WORDS] = {{0}};
    redis_server_do(&f.server, "CONFIG SET min-replicas-to-write 1");
    logged_begin();
    for (uint8_t i = 0; i < WORDS; i++) {
        struct word w = word_of(SCRIPT_COMPLETE, i, 7);
        assert_non_null(completion_put(queue, &w, 0, tell, &t[i]));
    }
    redis_fixture_run(&f, 1.5);
    logged_end();
    assert_true(f.metrics.value[METRIC_COMPLETION_RETRIES] >= 2 * WORDS);
    assert_int_equal(logged_count("completion-error"), WORDS);
    redis_server_do(&f.server, "CONFIG SET min-replicas-to-write 0");
    redis_fixture_until(&f, is_idle, NULL);
}

/* No memory: the answer cannot be kept, that there was one can. */
static void out_of_memory(void **state)
{
    (void)state;
    struct told t;
    struct buf stored;
    struct word w = word_of(SCRIPT_COMPLETE, 1, 7);
    put_stored(&w, &stored, 1000);
    redis_server_do(&f.server, "CONFIG SET maxmemory 1");
    put_and_wait(&w, &t);
    assert_int_equal(t.result, COMPLETION_BARE);
    assert_int_equal(f.metrics.value[METRIC_COMPLETION_BARE], 1);
    redis_server_do(&f.server, "CONFIG SET maxmemory 0");
    assert_int_equal(state_of(1), 'T');
    buf_free(&stored);
}

/* Something else lies under the key: told at once, and untouched. */
static void foreign_value(void **state)
{
    (void)state;
    struct told t;
    struct word w = word_of(SCRIPT_RELEASE, 1, 7);
    redis_server_do(&f.server, "RPUSH once:{0000}:r:01%030d x", 0);
    put_and_wait(&w, &t);
    assert_int_equal(t.result, COMPLETION_REFUSED);
    w.token = token_of(2, 7);
    redis_server_do(&f.server, "SET once:{0000}:r:02%030d %b", 0, "\x02Rsomething", (size_t)11);
    put_and_wait(&w, &t);
    assert_int_equal(t.result, COMPLETION_REFUSED);
    assert_int_equal(redis_server_int(&f.server, "LLEN once:{0000}:r:01%030d", 0), 1);
    assert_true(completion_idle(queue));
}

/* Redis dies with words on their way, comes back empty: each is told once, and is there. */
static void killed(void **state)
{
    (void)state;
    enum { N = 20 };
    struct told t[N] = {{0}}, first = {0};
    struct buf stored;
    struct word w = word_of(SCRIPT_COMPLETE, 0, 7);
    put_stored(&w, &stored, 500);
    kill(f.server.pid, SIGSTOP);
    for (unsigned i = 0; i < N; i++) {
        w.token = token_of((uint8_t)i, 7);
        assert_non_null(completion_put(queue, &w, 0, tell, &t[i]));
    }
    redis_fixture_run(&f, 0.1);
    redis_fixture_kill(&f);
    redis_fixture_run(&f, 0.2);
    assert_int_equal(f.lost, 1);
    w.token = token_of(N, 7);
    assert_non_null(completion_put(queue, &w, 0, tell, &first)); /* while it is down */
    redis_fixture_run(&f, 0.1);
    assert_int_equal(first.times + t[0].times, 0);
    redis_fixture_revive(&f);
    redis_fixture_until(&f, is_idle, NULL);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(t[i].times, 1);
        assert_int_equal(t[i].result, COMPLETION_DONE);
        assert_int_equal(state_of((uint8_t)i), 'D');
        assert_true(t[i].order < first.order);
    }
    assert_int_equal(f.metrics.value[METRIC_COMPLETION_RETRIES], N);
    buf_free(&stored);
}

/* Redis hangs for less than a connection's life: the words are not sent a second time. */
static void hangs(void **state)
{
    (void)state;
    struct told t = {0};
    struct word w = word_of(SCRIPT_RELEASE, 1, 7);
    redis_server_do(&f.server, "CONFIG RESETSTAT");
    kill(f.server.pid, SIGSTOP);
    assert_non_null(completion_put(queue, &w, 0, tell, &t));
    redis_fixture_run(&f, 1);
    assert_int_equal(t.times, 0);
    kill(f.server.pid, SIGCONT);
    redis_fixture_until(&f, was_told, &t);
    redisReply *r = redisCommand(f.server.c, "INFO commandstats");
    assert_non_null(strstr(r->str, "cmdstat_evalsha:calls=1,"));
    freeReplyObject(r);
}

/* After a reconnect: the queue first, whatever is asked later second. */
static unsigned set_order;
static void on_set(void *arg, const struct redis_reply *reply)
{
    (void)arg;
    (void)reply;
    set_order = ++orders;
}

static void flush_then_ask(struct redis_fixture *g)
{
    completion_flush(queue);
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    assert_non_null(redis_submit(g->redis, ping, sizeof ping - 1, 0, on_set, NULL));
}

static bool was_set(void *arg)
{
    (void)arg;
    return set_order > 0;
}

static void flush_comes_first(void **state)
{
    (void)state;
    enum { N = 200 };
    struct told t[N] = {{0}};
    make_queue();
    f.on_ready = flush_then_ask;
    set_order = 0;
    for (unsigned i = 0; i < N; i++) {
        struct word w = word_of(SCRIPT_RELEASE, (uint8_t)i, 7);
        assert_non_null(completion_put(queue, &w, 0, tell, &t[i]));
    }
    redis_fixture_until(&f, was_set, NULL);
    for (unsigned i = 0; i < N; i++)
        assert_true(t[i].times == 1 && t[i].order < set_order && (i == 0 || t[i].order > t[i - 1].order));
}

static void max_entries(void **state)
{
    (void)state;
    f.config->completion.max_entries = 3;
    make_queue();
    struct told over = {0};
    for (unsigned i = 0; i < 4; i++) {
        struct word w = word_of(SCRIPT_RELEASE, (uint8_t)i, 7);
        void *t = completion_put(queue, &w, 0, tell, &over);
        assert_int_equal(t != NULL, i < 3);
    }
    assert_int_equal(f.metrics.value[METRIC_COMPLETIONS], 3);
    assert_int_equal(f.metrics.value[METRIC_COMPLETION_DROPPED], 1);
    redis_fixture_until(&f, is_idle, NULL);
    assert_int_equal(over.times, 3);
}

/* The bytes that one word takes are measured; then exactly two fit, and with a byte less only one. */
static void max_bytes(void **state)
{
    (void)state;
    struct word w = word_of(SCRIPT_RELEASE, 1, 7);
    struct buf one;
    buf_init(&one);
    script_word(&one, &w);
    for (unsigned less = 0; less < 2; less++) {
        f.config->completion.max_bytes = (uint32_t)(2 * one.len - less);
        make_queue();
        assert_non_null(completion_put(queue, &w, 0, NULL, NULL));
        assert_int_equal(completion_put(queue, &w, 0, NULL, NULL) != NULL, less == 0);
        assert_null(completion_put(queue, &w, 0, NULL, NULL));
        redis_fixture_until(&f, is_idle, NULL);
        assert_non_null(completion_put(queue, &w, 0, NULL, NULL));
        completion_free(queue);
        redis_free(f.redis);
        queue = NULL;
        f.redis = NULL;
    }
    buf_free(&one);
}

/* Not before its time; and until then it holds nobody up. */
static void not_before(void **state)
{
    (void)state;
    struct told later = {0}, now = {0};
    struct word r = word_of(SCRIPT_RELEASE_RID, 1, 7), w = word_of(SCRIPT_RELEASE, 1, 7);
    ev_now_update(f.loop);
    double start = ev_now(f.loop);
    assert_non_null(completion_put(queue, &r, start + 0.3, tell, &later));
    assert_non_null(completion_put(queue, &w, 0, tell, &now));
    redis_fixture_until(&f, was_told, &now);
    assert_int_equal(later.times, 0);
    redis_fixture_until(&f, was_told, &later);
    assert_true(ev_time() - start >= 0.299);
}

/* The adapter takes one command at a time: words of two commands get through all the same. */
static void narrow_adapter(void **state)
{
    (void)state;
    enum { N = 5 };
    struct told t[N] = {{0}};
    struct buf stored;
    f.config->redis.max_pending = 1;
    make_queue();
    redis_fixture_until_ready(&f, 1);
    struct word w = word_of(SCRIPT_COMPLETE, 0, 7);
    put_stored(&w, &stored, 100);
    for (unsigned i = 0; i < N; i++) {
        w.token = token_of((uint8_t)i, 7);
        assert_non_null(completion_put(queue, &w, 0, tell, &t[i]));
    }
    redis_fixture_until(&f, is_idle, NULL);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(state_of((uint8_t)i), 'D');
    buf_free(&stored);
}

/* The SET has gone with one connection, its script had no room: with the next one both are sent. */
static void front_lost(void **state)
{
    (void)state;
    struct told t = {0};
    struct buf stored;
    f.config->redis.max_pending = 1;
    make_queue();
    redis_fixture_until_ready(&f, 1);
    struct word w = word_of(SCRIPT_COMPLETE, 1, 7);
    put_stored(&w, &stored, 100);
    kill(f.server.pid, SIGSTOP);
    assert_non_null(completion_put(queue, &w, 0, tell, &t));
    redis_fixture_run(&f, 0.05);
    redis_fixture_kill(&f);
    redis_fixture_revive(&f);
    redis_fixture_until(&f, was_told, &t);
    assert_int_equal(t.result, COMPLETION_DONE);
    assert_int_equal(state_of(1), 'D');
    buf_free(&stored);
}

static void forgotten(void **state)
{
    (void)state;
    struct told t = {0};
    struct word w = word_of(SCRIPT_COMPLETE, 1, 7);
    completion_forget(completion_put(queue, &w, 0, tell, &t));
    redis_fixture_until(&f, is_idle, NULL);
    assert_int_equal(t.times, 0);
    assert_int_equal(state_of(1), 'T');
}

/* Freed with a word on its way, one behind it, one paused and one that waits for its time. */
static void put_four(struct told t[4])
{
    struct word w = word_of(SCRIPT_RELEASE, 1, 7);
    struct word other = word_of(SCRIPT_RELEASE, 2, 7);
    assert_non_null(completion_put(queue, &w, 0, tell, &t[0]));
    assert_non_null(completion_put(queue, &w, 0, tell, &t[1]));
    assert_non_null(completion_put(queue, &other, 0, tell, &t[2]));
    assert_non_null(completion_put(queue, &other, ev_time() + 10, tell, &t[3]));
}

static void freed(void **state)
{
    (void)state;
    struct told t[4] = {{0}};
    redis_server_do(&f.server, "REPLICAOF 127.0.0.1 1");
    put_four(t);
    redis_fixture_run(&f, 0.05); /* errors: paused */
    kill(f.server.pid, SIGSTOP);
    redis_fixture_run(&f, 0.3); /* and on their way again */
    completion_free(queue);
    queue = NULL;
    kill(f.server.pid, SIGCONT);
    redis_fixture_run(&f, 0.1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(t[i].times, 1);
        assert_int_equal(t[i].result, COMPLETION_DROPPED);
    }
    assert_int_equal(f.metrics.value[METRIC_COMPLETIONS], 0);
}

/* The adapter goes first: nothing of it is touched afterwards. */
static void freed_after_redis(void **state)
{
    (void)state;
    struct told t[4] = {{0}};
    put_four(t);
    redis_free(f.redis);
    f.redis = NULL;
    completion_free(queue);
    queue = NULL;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(t[i].times == 1 && t[i].result == COMPLETION_DROPPED, 1);
}

/* A word put from inside a word's callback. */
static struct told inner;
static void put_inside(void *arg, enum completion_result result)
{
    struct word w = word_of(SCRIPT_COMPLETE, 2, 7);
    tell(arg, result);
    assert_non_null(completion_put(queue, &w, 0, tell, &inner));
    assert_int_equal(inner.times, 0);
}

static void put_from_callback(void **state)
{
    (void)state;
    struct told t = {0};
    struct word w = word_of(SCRIPT_COMPLETE, 1, 7);
    inner = (struct told){0};
    assert_non_null(completion_put(queue, &w, 0, put_inside, &t));
    redis_fixture_until(&f, was_told, &inner);
    assert_int_equal(state_of(1), 'T');
    assert_int_equal(state_of(2), 'T');
}

#define UP(test)   cmocka_unit_test_setup_teardown(test, begin, end)
#define DOWN(test) cmocka_unit_test_setup_teardown(test, begin_down, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        UP(confirmed),
        UP(order_of_one_record),
        UP(order_through_errors),
        UP(error_is_said_once),
        UP(out_of_memory),
        UP(foreign_value),
        UP(killed),
        UP(hangs),
        DOWN(flush_comes_first),
        DOWN(max_entries),
        DOWN(max_bytes),
        UP(not_before),
        DOWN(narrow_adapter),
        DOWN(front_lost),
        UP(forgotten),
        UP(freed),
        UP(freed_after_redis),
        UP(put_from_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
