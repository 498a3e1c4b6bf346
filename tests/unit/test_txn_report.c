// SPDX-License-Identifier: MIT
/* What HAProxy reports after the verdict, on a real Redis: responses (settled, recorded, neither in time) and
 * refused claims; and the bound of what waits on one connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/token.h"
#include "rooms/monotonic.h"
#include "tests/support/room_fixture.h"

enum { RESPONSE_MS = 150, PENDING = 2, WORDS = 10 };

static struct room w;
static struct peer p;
static struct peer_frame f;
static char token[TOKEN_TEXT + 1]; /* of the last grant */
static bool waited = true;         /* as HAProxy does for the body of a key's answer */

static int setup(void **state)
{
    (void)state;
    room_start(&w,
               "spop = { max_pending = 2; };\ncompletion = { max_entries = 10; response = \"150ms\"; };\n");
    room_dial(&w, &p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    room_stop(&w);
    return 0;
}

static void grant(const char *policy, const char *rid)
{
    struct spop_value v;
    room_request(&p, 1, policy, "k", rid);
    peer_ack(&p, 1, &f);
    assert_true(ack_value(&f, "token", &v));
    snprintf(token, sizeof token, "%.*s", (int)v.bytes.len, v.bytes.ptr);
}

/* body NULL: chunked, and longer than what came. */
static void respond(uint64_t stream, unsigned status, const char *body)
{
    static const char headers[] = "\x0c"
                                  "content-type\x0a"
                                  "text/plain\x08location\x0b/payments/7\0\0";
    peer_notify(&p, stream, "once-response");
    peer_str(&p, "token", token);
    peer_int(&p, "status", status);
    peer_str(&p, "method", "POST");
    peer_bin(&p, "headers", headers, sizeof headers - 1);
    peer_bin(&p, "body", body ? body : "piece", body ? strlen(body) : 5);
    peer_int(&p, "body_len", body ? (int64_t)strlen(body) : 5);
    if (body)
        peer_int(&p, "content_length", (int64_t)strlen(body));
    peer_bool(&p, "waited", waited);
    peer_end(&p);
    peer_send(&p);
}

static void expect(uint64_t stream, bool settled, bool recorded)
{
    peer_ack(&p, stream, &f);
    assert_int_equal(ack_is_true(&f, "settled"), settled);
    assert_int_equal(ack_is_true(&f, "recorded"), recorded);
}

/* What follows from each kind of answer. */
static void settled_or_recorded(void **state)
{
    static const struct {
        const char *policy;
        unsigned status;
        const char *body;
        bool settled;
        char becomes;
    } cases[] = {
        {"payments", 201, "paid", true,  RECORD_DONE    },
        {"payments", 200, "",     true,  RECORD_DONE    },
        {"payments", 500, "oops", true,  RECORD_FREE    },
        {"held",     500, "oops", true,  RECORD_HELD    },
        {"payments", 201, NULL,   false, RECORD_ANSWERED},
        {"payments", 101, "",     false, RECORD_ANSWERED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grant(cases[i].policy, "rid-1");
        respond(2, cases[i].status, cases[i].body);
        expect(2, cases[i].settled, true);
        assert_int_equal(room_state(&w), cases[i].becomes);
        redis_server_do(&w.redis.server, "FLUSHALL");
    }
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_COMPLETE), 2);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_UNSTORABLE), 2);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_ANSWERED), 2);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_UNCONFIRMED), 0);
}

/* A request that only holds a slot: given back before the client has its whole answer, kept while it goes on,
 * which is said to HAProxy without asking Redis; and never a body in Redis. */
static void slots_without_a_key(void **state)
{
    (void)state;
    grant("slots", "rid-1");
    room_request(&p, 2, "slots", "k", "rid-2");
    peer_ack(&p, 2, &f);
    assert_int_equal(ack_integer(&f, "status"), 429);
    uint64_t commands = room_counted(&w, METRIC_REDIS_COMMANDS);
    waited = false;
    respond(3, 201, NULL);
    expect(3, false, true);
    assert_int_equal(room_counted(&w, METRIC_REDIS_COMMANDS), commands);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
    for (unsigned i = 0; i < 2; i++) { /* said twice: the second finds its work done */
        respond(4 + i, 201, "paid");
        expect(4 + i, true, true);
        assert_int_equal(room_state(&w), '-');
    }
    waited = true;
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_SLOT), 2);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_SLOT_KEPT), 1);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_COMPLETE) + room_counted(&w, METRIC_RESPONSE_ANSWERED),
                     0);
    grant("slots", "rid-2");
}

/* HAProxy could not use the grant of a slot, or never saw it. */
static void refused_slots(void **state)
{
    (void)state;
    grant("slots", "rid-1");
    room_request_of(&p, 2, "once-refused", "slots", "k", "rid-2", 10);
    peer_send(&p);
    peer_ack(&p, 2, &f);
    room_turn(&w, 0.1);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
    room_request_of(&p, 3, "once-refused", "slots", "k", "rid-1", 10);
    peer_send(&p);
    peer_ack(&p, 3, &f);
    room_until_state(&w, '-');
    grant("slots", "rid-3");
}

/* The grant that came too late for its client: Redis hangs, wakes up, and the slot is free again. */
static void late_slot_is_given_back(void **state)
{
    (void)state;
    room_freeze(&w);
    room_request(&p, 2, "slots", "k", "rid-1");
    peer_ack(&p, 2, &f);
    assert_int_equal(ack_integer(&f, "status"), 503);
    room_thaw(&w);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(room_state(&w), '-');
    grant("slots", "rid-2");
}

static void stored_answer_is_replayed(void **state)
{
    struct record r;
    struct stored stored;
    (void)state;
    grant("payments", "rid-1");
    respond(2, 201, "paid");
    expect(2, true, true);
    assert_true(room_record(&w, &r));
    assert_int_equal(stored_open(r.payload, &stored), 0);
    assert_int_equal(stored.status, 201);
    assert_int_equal(stored.body.len, 4);
    assert_memory_equal(stored.body.ptr, "paid", 4);
    room_request(&p, 3, "payments", "k", "rid-2");
    peer_ack(&p, 3, &f);
    assert_true(ack_says(&f, "verdict", "replay"));
}

/* The token's flag decides, not the file of the agent that got the response: a policy may change in between.
 */
static void flags_of_the_claim_decide(void **state)
{
    (void)state;
    grant("held", "rid-1");
    w.redis.config->policies[1].idempotency.on_unknown = ON_UNKNOWN_RELEASE;
    respond(2, 503, "oops");
    expect(2, true, true);
    assert_int_equal(room_state(&w), RECORD_HELD);
}

/* A policy that is not known here: nothing is stored, nothing is settled. */
static void unknown_policy_is_answered(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    w.redis.config->policies[0].hash++;
    respond(2, 500, "oops");
    expect(2, false, true);
    assert_int_equal(room_state(&w), RECORD_ANSWERED);
}

/* Redis hangs for longer than the client's answer may wait: the ACK comes in time, the word later. */
static void word_outlives_the_patience(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    room_freeze(&w);
    double from = monotonic_now();
    respond(2, 201, "paid");
    expect(2, false, false);
    double took = monotonic_now() - from;
    assert_true(took >= RESPONSE_MS / 1000.0 - 0.02 && took < RESPONSE_MS / 1000.0 + 0.3);
    assert_int_equal(room_counted(&w, METRIC_RESPONSE_UNCONFIRMED), 1);
    assert_int_equal(w.gate.live, 0);
    room_thaw(&w);
    room_until_state(&w, RECORD_DONE);
}

static void word_outlives_the_connection(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    room_freeze(&w);
    respond(2, 201, "paid");
    room_until(&w, METRIC_RESPONSE_COMPLETE, 1);
    peer_close(&p);
    room_until(&w, METRIC_SPOP_CONNECTIONS, 0);
    room_thaw(&w);
    room_until_state(&w, RECORD_DONE);
    room_until(&w, METRIC_COMPLETIONS, 0);
    assert_int_equal(w.gate.live, 0);
    room_dial(&w, &p);
}

/* Another execution owns the key: HAProxy keeps the answer listed. */
static void word_of_a_lost_lock(void **state)
{
    struct token t;
    (void)state;
    grant("payments", "rid-1");
    assert_int_equal(token_read(token, TOKEN_TEXT, &t), 0);
    t.fence--;
    token_write(&t, token);
    respond(2, 201, "paid");
    expect(2, false, false);
    assert_int_equal(room_counted(&w, METRIC_LOST_LOCK), 1);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

/* No room for the word: said at once, and counted. */
static void no_room_for_the_word(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    room_freeze(&w);
    room_turn(&w, 0.01);
    for (unsigned i = 0; i < WORDS; i++) {
        room_request_of(&p, i, "once-refused", "payments", "k", "another", 10);
        peer_send(&p);
        peer_ack(&p, i, &f);
    }
    assert_int_equal(room_counted(&w, METRIC_COMPLETIONS), WORDS);
    double from = monotonic_now();
    respond(20, 201, "paid");
    expect(20, false, false);
    assert_true(monotonic_now() - from < RESPONSE_MS / 1000.0);
    assert_int_equal(room_counted(&w, METRIC_COMPLETION_DROPPED), 1);
    room_thaw(&w);
}

static void wrong_tokens_and_statuses(void **state)
{
    static const int64_t statuses[] = {-1, 0, 99, 1000, 70000};
    (void)state;
    grant("payments", "rid-1");
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        respond(2, (unsigned)statuses[i], "");
        peer_ack(&p, 2, &f);
        assert_true(ack_is_empty(&f));
    }
    token[0] = '!';
    respond(3, 201, "");
    peer_ack(&p, 3, &f);
    assert_true(ack_is_empty(&f));
    assert_int_equal(room_counted(&w, METRIC_SPOP_BAD_MESSAGES), 6);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
}

/* A payload that ends in an argument: the connection ends, with the status that says so. */
static void malformed_payload(void **state)
{
    unsigned cut;
    (void)state;
    for (cut = 1; cut < 4; cut++) {
        peer_notify(&p, 1, "once-request");
        peer_str(&p, "policy", "payments");
        p.w.len -= cut;
        peer_end(&p);
        peer_send(&p);
        assert_true(peer_take(&p, &f));
        assert_int_equal(f.head.type, SPOP_AGENT_DISCONNECT);
        assert_false(peer_take(&p, &f));
        peer_close(&p);
        room_dial(&w, &p);
    }
    assert_int_equal(w.redis.metrics.spop_errors[SPOP_INVALID], 3);
    assert_int_equal(w.gate.live, 0);
}

static void refuse(uint64_t stream, const char *rid, int64_t err)
{
    peer_notify(&p, stream, "once-refused");
    peer_str(&p, "policy", "payments");
    peer_str(&p, "rid", rid);
    peer_str(&p, "method", "POST");
    peer_str(&p, "key", "k");
    peer_int(&p, "keys", 1);
    if (err)
        peer_int(&p, "err", err);
    peer_end(&p);
    peer_send(&p);
    peer_ack(&p, stream, &f);
    assert_true(ack_is_empty(&f));
}

/* HAProxy gave up on a claim whose answer it never saw: it may still be granted until its deadline. */
static void refused_after_an_error(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    refuse(2, "rid-2", 1);
    room_turn(&w, 0.25);
    assert_int_equal(room_state(&w), RECORD_RUNNING);
    double from = monotonic_now();
    refuse(3, "rid-1", 1);
    room_until_state(&w, RECORD_FREE);
    assert_true(monotonic_now() - from >= ROOM_DEADLINE_MS / 1000.0 - 0.01);
    assert_int_equal(room_counted(&w, METRIC_REFUSED), 2);
}

/* HAProxy has the verdict and could not use it (table full, slot taken): the key is free at once. */
static void refused_with_our_verdict(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    double from = monotonic_now();
    refuse(2, "rid-1", 0);
    room_until_state(&w, RECORD_FREE);
    assert_true(monotonic_now() - from < ROOM_DEADLINE_MS / 1000.0);
}

/* Two may wait: the third claim is refused at once, a response is answered at once and its word is delivered
 * all the same, and what a refused message says is not lost. */
static void bound_of_what_waits(void **state)
{
    (void)state;
    grant("payments", "rid-1");
    room_freeze(&w);
    room_request(&p, 11, "held", "x", "rid-2");
    room_request(&p, 12, "held", "y", "rid-3");
    room_until(&w, METRIC_REQUEST_CLAIMED, 3);
    assert_int_equal(w.gate.live, PENDING);
    assert_int_equal(room_counted(&w, METRIC_SPOP_FULL), 0);
    double from = monotonic_now();
    room_request(&p, 13, "held", "z", "rid-4");
    peer_ack(&p, 13, &f);
    assert_int_equal(ack_integer(&f, "status"), 503);
    respond(14, 201, "paid");
    expect(14, false, false);
    refuse(15, "rid-9", 0);
    assert_true(monotonic_now() - from < ROOM_DEADLINE_MS / 1000.0);
    assert_int_equal(room_counted(&w, METRIC_SPOP_FULL), 2);
    room_thaw(&w);
    peer_ack(&p, 11, &f);
    peer_ack(&p, 12, &f);
    room_until(&w, METRIC_COMPLETIONS, 0);
    room_request(&p, 16, "payments", "k", "rid-5");
    peer_ack(&p, 16, &f);
    assert_true(ack_says(&f, "verdict", "replay"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(settled_or_recorded),        T(stored_answer_is_replayed),  T(flags_of_the_claim_decide),
        T(unknown_policy_is_answered), T(word_outlives_the_patience), T(word_outlives_the_connection),
        T(word_of_a_lost_lock),        T(no_room_for_the_word),       T(wrong_tokens_and_statuses),
        T(malformed_payload),          T(refused_after_an_error),     T(refused_with_our_verdict),
        T(bound_of_what_waits),        T(slots_without_a_key),        T(refused_slots),
        T(late_slot_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
