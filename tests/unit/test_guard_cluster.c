// SPDX-License-Identifier: MIT
/* The guard before two primaries of a cluster, stood in for here: which marks are theirs, what they still have, and when
 * they answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/buf.h"
#include "rooms/guard.h"
#include "tests/support/loop.h"

enum { MARKS = 8 };

struct redis {
    unsigned number;
    uint64_t marks; /* which lie there */
    bool ready;
};
struct redis_call {
    redis_reply_fn *fn;
    void *arg;
    unsigned mark;
};

static struct redis router, primary[3]; /* [1] and [2] */
static bool settled;
static unsigned named;        /* the mark whose name was asked for last */
static uint64_t epoch[MARKS]; /* of each mark; 0: it is gone */
static unsigned number[MARKS];
static struct redis_call call[3]; /* on its way to each primary; fn NULL: none */
static struct ev_loop *loop;
static struct config *config;
static struct metrics metrics;
static struct guard *guard;

struct redis_call *redis_submit(struct redis *r, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg)
{
    (void)resp;
    (void)len;
    (void)within;
    assert_null(call[r->number].fn);
    call[r->number] = (struct redis_call){fn, arg, named};
    return &call[r->number];
}

void redis_detach(struct redis_call *c)
{
    c->fn = NULL;
}

bool redis_ready(const struct redis *r)
{
    return r->ready;
}

bool redis_is_cluster(const struct redis *r)
{
    (void)r;
    return true;
}

bool redis_settled(const struct redis *r)
{
    (void)r;
    return settled;
}

unsigned redis_number(const struct redis *r)
{
    return r->number;
}

unsigned redis_links(struct redis *r, struct redis *out[REDIS_LINKS])
{
    (void)r;
    out[0] = &primary[1];
    out[1] = &primary[2];
    return 2;
}

uint64_t redis_marks(const struct redis *r)
{
    return r->marks;
}

void redis_mark_name(const struct redis *r, unsigned mark, char out[REDIS_MARK_NAME])
{
    (void)r;
    named = mark % MARKS;
    snprintf(out, REDIS_MARK_NAME, "once:{%04x}:mark", mark);
}

struct redis_site redis_site(const struct redis *r)
{
    (void)r;
    return (struct redis_site){"", "", ""};
}

static void answer_one(struct redis *at)
{
    struct redis_call c = call[at->number];
    bool there = epoch[c.mark] != 0, own = at->marks >> c.mark & 1;
    struct redis_reply r = {
        .status = REDIS_ERROR, .bytes = {"MOVED", 5},
             .from = at
    };
    struct buf reply;
    buf_init(&reply);
    buf_u8(&reply, there ? 'K' : 'W');
    buf_le(&reply, there ? epoch[c.mark] : 0, 8);
    buf_le(&reply, there ? ++number[c.mark] : 0, 8);
    if (own) {
        r.status = REDIS_BYTES;
        r.bytes = (struct spop_slice){(const char *)reply.data, reply.len};
    }
    call[at->number].fn = NULL;
    c.fn(c.arg, &r);
    buf_free(&reply);
}

static bool is_asked(void)
{
    return call[1].fn || call[2].fn;
}

/* Every question that is on its way, and those that follow from its answer. */
static void answer(void)
{
    while (is_asked())
        answer_one(&primary[call[1].fn ? 1 : 2]);
}

/* Until the guard has asked by itself, and was answered. */
static void next_question(void)
{
    loop_until(loop, is_asked(), 2);
    answer();
}

static int setup(void **state)
{
    (void)state;
    loop = ev_default_loop(0);
    memset(&metrics, 0, sizeof metrics);
    memset(call, 0, sizeof call);
    settled = true;
    primary[1] = (struct redis){1, 0x0f, true};
    primary[2] = (struct redis){2, 0, false};
    for (unsigned i = 0; i < MARKS; i++) {
        epoch[i] = 1000;
        number[i] = 1;
    }
    config = config_new();
    config->redis.on_data_loss = ON_DATA_LOSS_REFUSE;
    log_setup(LOG_TEXT, LOG_ERROR);
    guard = guard_new(loop, &router, config, &metrics);
    assert_non_null(guard);
    guard_ready(guard, &primary[1]);
    answer();
    assert_int_equal(guard_trusts(guard, &primary[1]), GUARD_TRUSTED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guard_free(guard);
    config_drop(config);
    return 0;
}

/* The replica takes over: ready first, and its slots come with the map. */
static void promote(void)
{
    settled = false;
    primary[1].ready = false;
    primary[2].ready = true;
    guard_ready(guard, &primary[2]);
    answer();
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_UNKNOWN);
    primary[2].marks = primary[1].marks;
    primary[1].marks = 0;
    settled = true;
}

/* Its marks were good where they lay before: that says nothing of the one that was promoted. */
static void a_promoted_primary_is_not_trusted_unseen(void **state)
{
    (void)state;
    promote();
    for (unsigned i = 0; i < MARKS; i++)
        epoch[i] = 0;
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_UNKNOWN);
    next_question();
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_LOST);
    assert_int_equal(metrics.value[METRIC_DATA_LOSS], 1);
}

static void a_promoted_primary_that_has_all_is_trusted(void **state)
{
    (void)state;
    promote();
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_UNKNOWN);
    next_question();
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_TRUSTED);
    assert_int_equal(metrics.value[METRIC_DATA_LOSS], 0);
}

/* Too small for a mark: trusted while the map is believed. */
static void without_marks(void **state)
{
    (void)state;
    primary[2] = (struct redis){2, 0, true};
    guard_ready(guard, &primary[2]);
    answer();
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_TRUSTED);
    settled = false;
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_UNKNOWN);
}

/* One loss for each primary, whatever the other one has lost, and a word for all marks of both. */
static void a_loss_is_counted_for_each_primary(void **state)
{
    (void)state;
    primary[2] = (struct redis){2, 0xf0, true};
    guard_ready(guard, &primary[2]);
    answer();
    assert_int_equal(guard_trusts_all(guard), GUARD_TRUSTED);
    epoch[1] = 0;
    for (unsigned i = 0; i < 20 && metrics.value[METRIC_DATA_LOSS] == 0; i++)
        next_question();
    assert_int_equal(metrics.value[METRIC_DATA_LOSS], 1);
    assert_int_equal(guard_trusts(guard, &primary[2]), GUARD_TRUSTED);
    assert_int_equal(guard_lost_marks(guard), 0x0f);
    memset(epoch + 4, 0, 4 * sizeof *epoch);
    for (unsigned i = 0; i < 20 && metrics.value[METRIC_DATA_LOSS] == 1; i++)
        next_question();
    for (unsigned i = 0; i < 6; i++)
        next_question();
    assert_int_equal(metrics.value[METRIC_DATA_LOSS], 2);
    assert_int_equal(guard_lost_marks(guard), 0xff);
    for (unsigned i = 0; i < MARKS; i++)
        epoch[i] = 2000; /* an operator has said go */
    for (unsigned i = 0; i < 6; i++)
        next_question();
    assert_int_equal(guard_trusts_all(guard), GUARD_TRUSTED);
    assert_int_equal(metrics.value[METRIC_DATA_LOSS], 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_promoted_primary_is_not_trusted_unseen),
        CASE(a_promoted_primary_that_has_all_is_trusted),
        CASE(without_marks),
        CASE(a_loss_is_counted_for_each_primary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
