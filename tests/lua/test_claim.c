// SPDX-License-Identifier: MIT
/* The gate's rules about records (PROTOCOL, claim): who gets the key, who is told what, and when a lease has
 * lapsed. Time is Redis' own, so a lease is moved by planting a record with another lease_until.
 *
 *                lease_until            + heartbeat
 *   ---- busy ----|---- busy (grace) ------|---- may change hands
 *              or contact, if later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/gate_fixture.h"

enum { SECOND_US = 1000000, PLANTED_MS = 5000000 };

/* A record of another request's owner, its lease ended `ago` (negative: to come). */
static struct record other_owner(struct gate *g, char state, uint8_t flags, int64_t ago_us)
{
    struct record r = {.state = (uint8_t)state, .flags = flags, .fence = 1000000, .ttl_s = TTL_S};
    memset(r.rid, 'x', sizeof r.rid);
    memset(r.fingerprint, 'f', sizeof r.fingerprint);
    r.lock_ms = LOCK_S * 1000;
    r.lease_until_us = (uint64_t)((int64_t)gate_now_us(g) - ago_us);
    r.process = (struct spop_slice){"1.2.other", 9};
    return r;
}

static struct record look(struct gate *g)
{
    struct record r;
    assert_true(gate_look(g, &r));
    return r;
}

static void grants_a_new_key(void **state)
{
    struct gate *g = *state;
    uint64_t before = gate_now_us(g);
    assert_int_equal(gate_claim_with(g, 0, 0, true), 'G');
    struct record r = look(g);
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_int_equal(r.flags, 0);
    assert_int_equal(r.fence, g->outcome.fence);
    assert_in_range(r.fence, before, gate_now_us(g));
    assert_int_equal(r.lease_until_us, g->outcome.now_us + LOCK_S * (uint64_t)SECOND_US);
    assert_memory_equal(r.rid, g->plan.rid, 8);
    assert_memory_equal(r.fingerprint, g->plan.fingerprint, 16);
    assert_int_equal(r.policy, g->policy.hash);
    assert_memory_equal(r.who, g->plan.who, sizeof r.who);
    assert_int_equal(r.process.len, strlen(g->plan.process));
    assert_memory_equal(r.process.ptr, g->plan.process, r.process.len);
    assert_int_equal(r.ttl_s, TTL_S);
    assert_int_equal(r.lock_ms, LOCK_S * 1000);
    assert_in_range(gate_pttl(g), TTL_S * 1000 - 3000, TTL_S * 1000);
}

static void same_rid_is_yours(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 6, 60, 1);
    assert_int_equal(gate_claim(g), 'G');
    uint64_t fence = g->outcome.fence;
    assert_int_equal(gate_claim(g), 'Y');
    assert_int_equal(g->outcome.fence, fence);
    g->plan.id.digest[0]++; /* another key: the limit was charged once so far */
    assert_int_equal(gate_claim_as(g, 'q'), 'G');
    assert_in_range((uint64_t)(g->outcome.level[0] / g->policy.limits[0].pace.increment * 1000), 1900, 2000);
}

/* What an agent tells those who have asked for the same key meanwhile is what the gate would tell them. */
static void behind_a_grant(void **state)
{
    struct gate *g = *state;
    struct outcome behind;
    struct plan granted = g->plan;
    assert_int_equal(gate_claim(g), 'G');
    outcome_behind(&granted, &g->outcome, &behind);
    uint64_t until = behind.until_us - behind.now_us;
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
    assert_int_equal(behind.kind, g->outcome.kind);
    assert_int_equal(behind.fence, g->outcome.fence);
    assert_memory_equal(behind.rid, g->outcome.rid, sizeof behind.rid);
    assert_int_equal(behind.until_us, g->outcome.until_us);
    assert_int_equal(until, LOCK_S * (uint64_t)SECOND_US + HEARTBEAT_US);
    assert_int_equal(behind.process.len, g->outcome.process.len);
    assert_memory_equal(behind.process.ptr, g->outcome.process.ptr, behind.process.len);
    assert_false(behind.has_levels);
}

/* It asks again when its lease has lapsed: no other claim may be granted beside it. */
static void same_rid_has_a_new_lease(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, -60 * SECOND_US);
    memcpy(r.rid, g->plan.rid, sizeof r.rid);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'Y');
    assert_int_equal(g->outcome.fence, r.fence);
    assert_int_equal(gate_claim_as(g, 'q'), 'B');
}

/* A record whose TTL somebody has taken away is still a record. */
static void no_ttl(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'T', 0, 0);
    gate_plant(g, &r, PLANTED_MS);
    redis_server_do(&g->redis, "PERSIST %s", gate_record_key(g));
    assert_int_equal(gate_claim(g), 'T');
    redis_server_do(&g->redis, "DEL %s", gate_record_key(g)); /* teardown wants a TTL for every key */
}

/* An answer is known: its request must not be sent again, whoever asks. */
static void same_rid_is_busy_once_answered(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    struct word w = gate_word_of(g, SCRIPT_ANSWERED);
    w.status = 200;
    assert_int_equal(gate_say(g, &w), 'S');
    assert_int_equal(gate_claim(g), 'B');
}

static void busy_names_the_owner(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, -SECOND_US);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'B');
    assert_int_equal(g->outcome.fence, r.fence);
    assert_int_equal(g->outcome.until_us, r.lease_until_us + HEARTBEAT_US);
    assert_int_equal(g->outcome.process.len, 9);
    assert_memory_equal(g->outcome.process.ptr, "1.2.other", 9);
    assert_in_range(gate_pttl(g), PLANTED_MS - 3000, PLANTED_MS);
}

/* A heartbeat of grace behind the lease, to the millisecond on both sides. */
static void lapses_after_lease_and_heartbeat(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, HEARTBEAT_US - 100000);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'B');
    r = other_owner(g, 'R', 0, HEARTBEAT_US + 1000);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'G');
    assert_true(g->outcome.fence > r.fence);
}

/* After an outage nobody may take over until the others had a heartbeat's time to extend. */
static void contact_gives_grace(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, 3600 * INT64_C(1000000));
    gate_plant(g, &r, PLANTED_MS);
    uint64_t contact = gate_now_us(g) - HEARTBEAT_US + 500000;
    assert_int_equal(gate_claim_with(g, 0, contact, false), 'B');
    assert_int_equal(g->outcome.until_us, contact + HEARTBEAT_US);
    assert_int_equal(gate_claim_with(g, 0, gate_now_us(g) - HEARTBEAT_US - 1000, false), 'G');
}

/* A contact that lies in Redis' future (its clock stepped back) protects no longer than one of now. */
static void contact_of_the_future_counts_as_now(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, 3600 * INT64_C(1000000));
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim_with(g, 0, gate_now_us(g) + 3600 * UINT64_C(1000000), false), 'B');
    assert_int_equal(g->outcome.until_us, g->outcome.now_us + HEARTBEAT_US);
}

/* Redis' clock stepped back: the lease is lowered in the record too, or it would never end. */
static void lowers_a_lease_of_the_future(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, -3600 * INT64_C(1000000));
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'B');
    uint64_t lowered = g->outcome.now_us + LOCK_S * (uint64_t)SECOND_US;
    assert_int_equal(g->outcome.until_us, lowered + HEARTBEAT_US);
    assert_int_equal(look(g).lease_until_us, lowered);
    assert_int_equal(gate_claim(g), 'B');
    assert_int_equal(look(g).lease_until_us, lowered);
}

static void lapse_under_hold_is_held(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', RECORD_HOLD, 2 * HEARTBEAT_US);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'U'); /* the claim's own policy is release: the record's flag decides */
    assert_int_equal(g->outcome.status, 0);
    struct record now = look(g);
    assert_int_equal(now.state, RECORD_HELD);
    assert_int_equal(now.flags, RECORD_HOLD | RECORD_LAPSE);
    assert_int_equal(now.why, 'l');
    assert_int_equal(now.fence, r.fence);
    assert_in_range(gate_pttl(g), TTL_S * 1000 - 3000, TTL_S * 1000);
    assert_int_equal(gate_claim_as(g, 'z'), 'U');
}

static void lapse_under_release_is_granted_to_a_hold_claim(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', 0, 2 * HEARTBEAT_US);
    g->policy.idempotency.on_unknown = ON_UNKNOWN_HOLD;
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(look(g).flags, RECORD_HOLD);
}

static void lapse_of_answered_is_a_tombstone(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'A', 0, 2 * HEARTBEAT_US);
    r.status = 201;
    r.payload = (struct spop_slice){"/payments/7", 11};
    gate_plant(g, &r, PLANTED_MS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gate_claim(g), 'T');
        assert_int_equal(g->outcome.status, 201);
        assert_int_equal(g->outcome.fence, r.fence);
        assert_int_equal(g->outcome.location.len, 11);
        assert_memory_equal(g->outcome.location.ptr, "/payments/7", 11);
        assert_in_range(g->outcome.ttl_ms, TTL_S * 1000 - 3000, TTL_S * 1000);
    }
    struct record now = look(g);
    assert_int_equal(now.state, RECORD_TOMB);
    assert_int_equal(now.process.len, 0);
    assert_int_equal(now.fence, r.fence);
}

/* Another request under the same key: told so in every state but FREE, and nothing changes. */
static void mismatch(void **state)
{
    struct gate *g = *state;
    static const char states[] = "RAHDT";
    for (const char *s = states; *s; s++) {
        struct record r = other_owner(g, *s, RECORD_HOLD, 2 * HEARTBEAT_US);
        r.fingerprint[15] ^= 1;
        gate_plant(g, &r, PLANTED_MS);
        assert_int_equal(gate_claim(g), 'M');
        assert_int_equal(look(g).state, *s);
        assert_in_range(gate_pttl(g), PLANTED_MS - 3000, PLANTED_MS);
    }
    struct record r = other_owner(g, 'F', 0, 0);
    r.fingerprint[15] ^= 1;
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(look(g).fingerprint[15], 'f');
}

/* A rebuilt record knows four bytes of the fingerprint. */
static void partial_fingerprint(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'R', RECORD_PARTIAL, -SECOND_US);
    memset(r.fingerprint + 4, 0, 12);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'B');
    r.fingerprint[3] ^= 1;
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'M');
}

static void fence_only_grows(void **state)
{
    struct gate *g = *state;
    struct record r = other_owner(g, 'F', 0, 0);
    r.fence = gate_now_us(g) + 3600 * UINT64_C(1000000);
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(g->outcome.fence, r.fence + 1);
    r.fence = (UINT64_C(1) << 53) - 2; /* the last one that Lua can tell from its successor */
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(g->outcome.fence, r.fence + 1);
    r.fence++;
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'X');
}

static void late_does_nothing(void **state)
{
    struct gate *g = *state;
    struct record r;
    gate_limit(g, 6, 60, 1);
    assert_int_equal(gate_claim_with(g, gate_now_us(g) - 1, 0, false), 'P');
    assert_false(gate_look(g, &r));
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
    assert_int_equal(gate_claim_with(g, gate_now_us(g) + SECOND_US, 0, false), 'G');
    assert_int_equal(gate_claim_with(g, gate_now_us(g) - 1, 0, false), 'P');
}

static void waiters_are_told_of_a_lapse(void **state)
{
    struct gate *g = *state;
    static const struct {
        char state;
        uint8_t flags;
        char reply, told;
    } cases[] = {
        {'R', 0,           'G', 'R'},
        {'R', RECORD_HOLD, 'U', 'H'},
        {'A', 0,           'T', 'T'}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char told = 0;
        struct record r = other_owner(g, cases[i].state, cases[i].flags, -SECOND_US);
        gate_plant(g, &r, PLANTED_MS);
        assert_int_equal(gate_claim_with(g, 0, 0, true), 'B');
        assert_int_equal(look(g).flags, cases[i].flags | RECORD_WAITERS);
        assert_int_equal(gate_claim_with(g, 0, 0, true), 'B');
        assert_int_equal(look(g).flags, cases[i].flags | RECORD_WAITERS);
        assert_int_equal(gate_told(g, &told), 0);
        r = other_owner(g, cases[i].state, cases[i].flags | RECORD_WAITERS, 2 * HEARTBEAT_US);
        gate_plant(g, &r, PLANTED_MS);
        assert_int_equal(gate_claim(g), cases[i].reply);
        assert_int_equal(gate_told(g, &told), 1);
        assert_int_equal(told, cases[i].told);
        assert_int_equal(look(g).flags & RECORD_WAITERS, 0);
    }
}

/* Held is refused until an operator releases it; the old owner then has no word any more. */
static void held_and_free_after_words(void **state)
{
    struct gate *g = *state;
    g->policy.idempotency.on_unknown = ON_UNKNOWN_HOLD;
    assert_int_equal(gate_claim(g), 'G');
    uint64_t first = g->outcome.fence;
    struct word w = gate_word_of(g, SCRIPT_RESOLVE);
    w.letter = 'T';
    assert_int_equal(gate_say(g, &w), 'S');
    assert_int_equal(gate_claim_as(g, 'q'), 'U');
    w = gate_word_of(g, SCRIPT_RELEASE);
    w.letter = 'o';
    w.token.fence = first;
    memset(w.token.rid, 'r', sizeof w.token.rid);
    assert_int_equal(gate_say(g, &w), 'S');
    assert_int_equal(gate_claim_as(g, 'q'), 'G');
    assert_true(g->outcome.fence > first);
    assert_int_equal(gate_say(g, &w), 'L');
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, gate_begin, gate_end)
    const struct CMUnitTest tests[] = {
        T(grants_a_new_key),
        T(same_rid_is_yours),
        T(behind_a_grant),
        T(same_rid_has_a_new_lease),
        T(no_ttl),
        T(same_rid_is_busy_once_answered),
        T(busy_names_the_owner),
        T(lapses_after_lease_and_heartbeat),
        T(contact_gives_grace),
        T(contact_of_the_future_counts_as_now),
        T(lowers_a_lease_of_the_future),
        T(lapse_under_hold_is_held),
        T(lapse_under_release_is_granted_to_a_hold_claim),
        T(lapse_of_answered_is_a_tombstone),
        T(mismatch),
        T(partial_fingerprint),
        T(fence_only_grows),
        T(late_does_nothing),
        T(waiters_are_told_of_a_lapse),
        T(held_and_free_after_words),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
