// SPDX-License-Identifier: MIT
/* Limits on what is in flight (ACCEPTANCE R17), on a real Redis: who gets a slot, how long it counts, and that every
 * word of PROTOCOL's table gives it back exactly when nothing runs any more, with a key and without one. Time is
 * Redis' own, so an entry is made old by planting it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lua/word_rows.h"
#include "tests/support/gate_fixture.h"

enum { PLANTED_MS = 5000000, FENCE = 1000000, LOCK_US = LOCK_S * 1000000, STAY_MS = LOCK_S * 1000 / 3 * 5 };

/* An entry of a set: fence, rid, lock in ms. */
static void entry_of(uint64_t fence, uint8_t rid, uint8_t out[20])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(fence >> (8 * i));
    memset(out + 8, rid, 8);
    memcpy(out + 16, "\x30\x75\0\0", 4);
}

static void plant_entry(struct gate *g, unsigned slot, uint64_t fence, uint8_t rid, uint64_t until_us)
{
    uint8_t entry[20];
    entry_of(fence, rid, entry);
    redis_server_do(&g->redis, "ZADD %s %llu %b", gate_slot_key(g, slot), (unsigned long long)until_us, entry,
                    sizeof entry);
    redis_server_do(&g->redis, "PEXPIRE %s %u", gate_slot_key(g, slot), PLANTED_MS);
}

/* Until when an entry counts; 0: it is not there. */
static uint64_t score(struct gate *g, unsigned slot, uint64_t fence, uint8_t rid)
{
    uint8_t entry[20];
    entry_of(fence, rid, entry);
    redisReply *r = redisCommand(g->redis.c, "ZSCORE %s %b", gate_slot_key(g, slot), entry, sizeof entry);
    uint64_t until_us = r->type == REDIS_REPLY_STRING ? strtoull(r->str, NULL, 10) : 0;
    freeReplyObject(r);
    return until_us;
}

static long long size(struct gate *g, unsigned slot)
{
    return redis_server_int(&g->redis, "ZCARD %s", gate_slot_key(g, slot));
}

/* A claim of another request, with a key of its own. */
static char another(struct gate *g, uint8_t rid)
{
    g->plan.id.digest[0] = rid;
    return gate_claim_as(g, rid);
}

static char end(struct gate *g, struct token t, char proof)
{
    struct word w = {.script = SCRIPT_RELEASE, .token = t, .letter = proof, .ttl_s = TTL_S};
    return gate_say(g, &w);
}

static bool live(char state)
{
    return state == 'R' || state == 'A';
}

static void two_run_the_third_waits(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 2, 1);
    assert_int_equal(another(g, 'a'), 'G');
    assert_int_equal(g->outcome.in_use[0], 1);
    struct token a = gate_token(g);
    assert_int_equal(score(g, 0, a.fence, 'a'), g->outcome.now_us + LOCK_US / 3 * 4);
    assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_slot_key(g, 0)), STAY_MS - 3000, STAY_MS);
    assert_int_equal(another(g, 'b'), 'G');
    assert_int_equal(g->outcome.in_use[0], 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(another(g, 'c'), 'L');
        assert_int_equal(g->outcome.in_use[0], 2);
        assert_true(outcome_full(&g->plan, &g->outcome, 0));
    }
    struct record r;
    assert_false(gate_look(g, &r)); /* R7: a refusal takes no lock */
    assert_int_equal(end(g, a, 'c'), 'S');
    assert_int_equal(another(g, 'c'), 'G');
    assert_int_equal(g->outcome.in_use[0], 2);
    g->plan.id = a.id;
    assert_int_equal(end(g, a, 'c'), 'N'); /* said again: it gives back nobody else's */
    assert_int_equal(size(g, 0), 2);
    assert_int_equal(another(g, 'd'), 'L');
}

/* R5: nothing is taken and nothing charged unless all limits pass. */
static void all_or_nothing(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 2, 60, 9);
    gate_slot(g, 1, 1);
    gate_slot(g, 5, 2);
    assert_int_equal(another(g, 'a'), 'G');
    struct token a = gate_token(g);
    double charged = g->outcome.level[0];
    assert_int_equal(g->outcome.in_use[1], 1);
    assert_int_equal(another(g, 'b'), 'L'); /* slot 0 is full */
    assert_true(g->outcome.level[0] <= charged);
    assert_true(g->outcome.wait_us[0] == 0);
    assert_true(outcome_full(&g->plan, &g->outcome, 0));
    assert_false(outcome_full(&g->plan, &g->outcome, 1));
    assert_int_equal(size(g, 1), 1);
    assert_int_equal(end(g, a, 'c'), 'S');
    assert_int_equal(size(g, 0) + size(g, 1), 0);
    assert_int_equal(another(g, 'b'), 'G');
    assert_int_equal(end(g, gate_token(g), 'c'), 'S');
    assert_int_equal(another(g, 'c'), 'L'); /* now the rate is */
    assert_true(g->outcome.wait_us[0] > 0);
    assert_false(outcome_full(&g->plan, &g->outcome, 0));
    assert_int_equal(size(g, 0) + size(g, 1), 0);
}

/* R7: what is refused because of its record, or replayed, takes no slot. */
static void only_a_grant_takes_one(void **state)
{
    struct gate *g = *state;
    static const char states[] = "RAHDT";
    gate_slot(g, 5, 1);
    for (unsigned i = 0; states[i]; i++) {
        struct record r = {.state = (uint8_t)states[i], .fence = FENCE, .ttl_s = TTL_S, .status = 200};
        r.lock_ms = LOCK_S * 1000;
        r.lease_until_us = live(states[i]) ? gate_now_us(g) + LOCK_US : 0;
        memset(r.rid, 'x', 8);
        memset(r.fingerprint, 'f', 16);
        for (unsigned other = 0; other < 2; other++) {
            memset(g->plan.fingerprint, other ? 'g' : 'f', 16);
            gate_plant(g, &r, PLANTED_MS);
            assert_int_not_equal(gate_claim(g), 'G');
            assert_int_equal(size(g, 0), 0);
        }
    }
}

static void the_same_request_holds_one(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 2, 1);
    assert_int_equal(another(g, 'a'), 'G');
    uint64_t fence = g->outcome.fence;
    plant_entry(g, 0, fence, 'a', gate_now_us(g) + 5000000);
    assert_int_equal(another(g, 'a'), 'Y');
    assert_int_equal(size(g, 0), 1);
    assert_int_equal(score(g, 0, fence, 'a'), g->outcome.now_us + LOCK_US / 3 * 4);
}

/* An entry counts until its lease and the grace after it are over; a grant clears it away then. */
static void a_lapsed_one_is_free(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 2, 1);
    plant_entry(g, 0, FENCE, 'x', gate_now_us(g) + 60000000);
    plant_entry(g, 0, FENCE, 'y', gate_now_us(g) + 300000);
    assert_int_equal(another(g, 'a'), 'L');
    plant_entry(g, 0, FENCE, 'y', gate_now_us(g) - 1);
    assert_int_equal(another(g, 'a'), 'G');
    assert_int_equal(g->outcome.in_use[0], 2);
    assert_int_equal(size(g, 0), 2);
    assert_true(score(g, 0, FENCE, 'x') > 0);
}

/* For a heartbeat after an outage everything counts, however old: who runs could not extend. */
static void after_an_outage_all_count(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 1, 1);
    plant_entry(g, 0, FENCE, 'x', 1000);
    uint64_t now = gate_now_us(g);
    g->plan.id.digest[0] = 'a';
    assert_int_equal(gate_claim_with(g, 0, now, false), 'L');
    assert_int_equal(gate_claim_with(g, 0, now + 3600000000, false), 'L'); /* a clock that stepped back */
    assert_int_equal(gate_claim_with(g, 0, now - LOCK_US / 3 + 500000, false), 'L');
    assert_int_equal(size(g, 0), 1);
    assert_int_equal(gate_claim_with(g, 0, now - LOCK_US / 3, false), 'G');
    assert_int_equal(size(g, 0), 1);
}

/* R15: Redis' clock stepped back. What was taken before counts no longer than if it had been taken now. */
static void clock_step_back_is_bounded(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 2, 1);
    uint64_t far = gate_now_us(g) + UINT64_C(86400000000);
    plant_entry(g, 0, FENCE, 'x', far);
    plant_entry(g, 0, FENCE, 'y', gate_now_us(g) + 20000000);
    uint64_t near = score(g, 0, FENCE, 'y');
    assert_int_equal(another(g, 'a'), 'L');
    assert_int_equal(score(g, 0, FENCE, 'x'), g->outcome.now_us + LOCK_US / 3 * 4);
    assert_int_equal(score(g, 0, FENCE, 'y'), near);
    g->policy.limits[0].concurrent = 3; /* there is room: nothing needs to be lowered */
    plant_entry(g, 0, FENCE, 'x', far);
    assert_int_equal(another(g, 'a'), 'G');
    assert_int_equal(score(g, 0, FENCE, 'x'), far);
}

/* R12: another number by reload: what runs stays counted. */
static void another_number(void **state)
{
    struct gate *g = *state;
    struct token t[3];
    gate_slot(g, 3, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(another(g, (uint8_t)('a' + i)), 'G');
        t[i] = gate_token(g);
    }
    g->policy.limits[0].concurrent = 2;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(another(g, 'd'), 'L');
        assert_int_equal(g->outcome.in_use[0], 3 - i);
        assert_int_equal(end(g, t[i], 'n'), 'S');
    }
    assert_int_equal(another(g, 'd'), 'G');
    assert_int_equal(another(g, 'e'), 'L');
    g->policy.limits[0].concurrent = 100000;
    assert_int_equal(another(g, 'e'), 'G');
    assert_int_equal(g->outcome.in_use[0], 3);
}

/* A shadow: a full one refuses nobody, and is not taken beyond its number; the other one is, and is listed alone. */
static void a_shadow_never_refuses(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 1, 1);
    gate_slot(g, 5, 2);
    g->policy.limits[0].shadow = true;
    for (unsigned i = 0; i < 3; i++) {
        g->plan.id.digest[0] = (uint8_t)i;
        assert_int_equal(gate_claim(g), 'G');
        assert_int_equal(g->outcome.in_use[0], i == 0 ? 1 : 2);
        assert_int_equal(g->outcome.in_use[1], i + 1);
        struct record record;
        assert_true(gate_look(g, &record));
        assert_int_equal(record.slots.len, i == 0 ? 37 : 19);
        assert_int_equal(record.slots.ptr[record.slots.len - 1], 2);
    }
    assert_int_equal(size(g, 0), 1);
    assert_int_equal(size(g, 1), 3);
}

/* The set lives as long as what is in it, and has a TTL again when it was gone. */
static void extend_keeps_the_set(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 1, 1);
    assert_int_equal(gate_claim(g), 'G');
    struct word extend = gate_word_of(g, SCRIPT_EXTEND);
    redis_server_do(&g->redis, "PEXPIRE %s 5000", gate_slot_key(g, 0));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gate_say(g, &extend), 'S');
        assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_slot_key(g, 0)), STAY_MS - 3000, STAY_MS);
        redis_server_do(&g->redis, "UNLINK %s", gate_slot_key(g, 0));
    }
}

/* A replay that a limit counts as every request: it needs no slot, and is refused by that limit alone. */
static void counted_replays_need_none(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 2, 60, 9);
    gate_slot(g, 1, 1);
    g->policy.limits[0].charge = CHARGE_ALL;
    g->policy.counts_all = g->plan.counts_all = true;
    struct record r = {.state = 'T', .fence = FENCE, .ttl_s = TTL_S, .status = 200};
    memset(r.fingerprint, 'f', 16);
    gate_plant(g, &r, PLANTED_MS);
    plant_entry(g, 0, FENCE, 'x', gate_now_us(g) + 60000000);
    assert_int_equal(gate_claim(g), 'T');
    assert_int_equal(gate_claim(g), 'T');
    assert_int_equal(gate_claim(g), 'L');
    assert_true(g->outcome.wait_us[0] > 0);
    assert_int_equal(g->outcome.in_use[0], 1);
    assert_int_equal(size(g, 0), 1);
}

/* A key that changes hands after a lapse: the old execution's slot has lapsed with its lease. */
static void taken_over(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 1, 1);
    assert_int_equal(gate_claim(g), 'G');
    uint64_t old = g->outcome.fence;
    struct record r;
    assert_true(gate_look(g, &r));
    struct buf bytes = g->raw;
    g->raw = (struct buf){0};
    r.lease_until_us = gate_now_us(g) - LOCK_US / 3 - 1;
    gate_plant(g, &r, PLANTED_MS);
    buf_free(&bytes);
    plant_entry(g, 0, old, 'r', r.lease_until_us + LOCK_US / 3);
    assert_int_equal(gate_claim_as(g, 'q'), 'G');
    assert_int_equal(g->outcome.in_use[0], 1);
    assert_int_equal(score(g, 0, old, 'r'), 0);
    assert_true(score(g, 0, g->outcome.fence, 'q') > 0);
}

/* Held by a lapse, then seen alive: it runs and counts, even where its slot has gone to another one. */
static void alive_after_all(void **state)
{
    struct gate *g = *state;
    g->policy.idempotency.on_unknown = ON_UNKNOWN_HOLD;
    gate_slot(g, 1, 1);
    assert_int_equal(gate_claim(g), 'G');
    struct token t = gate_token(g);
    struct word extend = gate_word_of(g, SCRIPT_EXTEND);
    struct record r;
    assert_true(gate_look(g, &r));
    struct buf bytes = g->raw;
    g->raw = (struct buf){0};
    r.lease_until_us = 1;
    gate_plant(g, &r, PLANTED_MS);
    buf_free(&bytes);
    assert_int_equal(gate_claim_as(g, 'q'), 'U');
    assert_int_equal(size(g, 0), 0);
    assert_int_equal(another(g, 'b'), 'G');
    g->plan.id = t.id;
    assert_int_equal(gate_say(g, &extend), 'S');
    assert_int_equal(size(g, 0), 2);
    assert_true(score(g, 0, t.fence, 'r') > gate_now_us(g) + LOCK_US);
    assert_int_equal(another(g, 'c'), 'L');
    assert_int_equal(g->outcome.in_use[0], 2);
}

/* A value of another type under the name of a set: nothing is granted or touched, and no word is kept back. */
static void wrong_type(void **state)
{
    struct gate *g = *state;
    gate_limit(g, 6, 60, 3);
    gate_slot(g, 1, 1);
    assert_int_equal(gate_claim(g), 'G');
    struct token t = gate_token(g);
    struct word extend = gate_word_of(g, SCRIPT_EXTEND);
    redis_server_do(&g->redis, "SET %s stranger PX %u", gate_slot_key(g, 0), PLANTED_MS);
    assert_int_equal(gate_say(g, &extend), 'S');
    assert_int_equal(another(g, 'b'), 'E');
    assert_non_null(strstr(g->reply->str, "WRONGTYPE"));
    struct record r;
    assert_false(gate_look(g, &r));
    g->plan.id = t.id;
    assert_int_equal(end(g, t, 'c'), 'S');
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_FREE);
    assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_slot_key(g, 0)), 8);
    assert_in_range(redis_server_int(&g->redis, "PTTL %s", gate_slot_key(g, 0)), PLANTED_MS - 3000,
                    PLANTED_MS);
}

/* At Redis' memory limit: no grant, nothing changed; what runs is extended and ends. */
static void out_of_memory(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 2, 1);
    assert_int_equal(another(g, 'a'), 'G');
    struct token t = gate_token(g);
    struct word extend = gate_word_of(g, SCRIPT_EXTEND);
    plant_entry(g, 0, FENCE, 'x', 1000);
    redis_server_do(&g->redis, "CONFIG SET maxmemory 1");
    assert_int_equal(another(g, 'b'), 'E');
    assert_int_equal(size(g, 0), 2);
    assert_int_equal(gate_say(g, &extend), 'S');
    assert_int_equal(end(g, t, 'c'), 'S');
    assert_int_equal(size(g, 0), 1);
}

/* --- every word on every state ------------------------------------------------------------------------------ */

static const char slots[] = "\2"
                            "\xab\x01\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
                            "\xab\x01\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2";

/* As in test_words.c; what is in flight stands in both sets, beside somebody else. */
static struct record plant(struct gate *g, const struct row *row, bool bare)
{
    struct record r = {.why = (uint8_t)row->why, .flags = (uint8_t)row->flags};
    r.state = row->from == 'o' ? 'R' : row->from == 'f' ? 'F' : (uint8_t)row->from;
    r.fence = row->from == 'f' ? FENCE + 1 : FENCE;
    memset(r.rid, row->from == 'o' ? 'x' : 'r', sizeof r.rid);
    memset(r.fingerprint, 'f', sizeof r.fingerprint);
    r.lock_ms = LOCK_S * 1000;
    r.ttl_s = TTL_S;
    r.lease_until_us = live((char)r.state) ? gate_now_us(g) : 0;
    r.flags |= bare ? RECORD_BARE : 0;
    if (r.state != 'D' && r.state != 'T') {
        r.flags |= RECORD_SLOTS;
        r.slots = (struct spop_slice){slots, sizeof slots - 1};
        r.process = (struct spop_slice){g->plan.process, strlen(g->plan.process)};
    }
    if (row->from != '-')
        gate_plant(g, &r, PLANTED_MS);
    for (unsigned i = 0; i < 2; i++) {
        plant_entry(g, i, FENCE + 7, 'z', 5);
        if (live((char)r.state) && row->from != '-')
            plant_entry(g, i, r.fence, r.rid[0], 5);
    }
    return r;
}

static struct word word_of(const struct gate *g, const struct row *row, bool bare)
{
    struct word w = {
        .script = row->word, .status = row->status, .letter = row->letter, .ttl_s = REBUILT_TTL_S};
    script_token(&g->plan, FENCE, &w.token);
    w.token.flags = bare ? TOKEN_BARE : row->flags & HOLD ? TOKEN_HOLD : 0;
    if (!bare && (row->word == SCRIPT_COMPLETE || row->word == SCRIPT_ANSWERED))
        w.pending = (struct spop_slice){
            "\1D"
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0the response",
            79};
    return w;
}

/* untouched: the entry is as it was planted. */
static void check_entries(struct gate *g, const struct record *owner, bool there, bool untouched)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t now = gate_now_us(g), until = score(g, i, owner->fence, owner->rid[0]);
        if (!there)
            assert_int_equal(until, 0);
        else if (untouched)
            assert_int_equal(until, 5);
        else
            assert_in_range(until, now + LOCK_US / 3 * 4 - 1000000, now + LOCK_US / 3 * 4);
        assert_int_equal(score(g, i, FENCE + 7, 'z'), 5); /* nobody else's is ever touched */
        assert_int_equal(size(g, i), 1 + there);
    }
}

static void check_list(const struct record *r)
{
    bool listed = r->state != 'D' && r->state != 'T';
    assert_int_equal(!!(r->flags & RECORD_SLOTS), listed);
    assert_int_equal(r->slots.len, listed ? sizeof slots - 1 : 0);
    if (listed)
        assert_memory_equal(r->slots.ptr, slots, r->slots.len);
}

static void with_a_key(struct gate *g, const struct row *row)
{
    struct record before = plant(g, row, false), after;
    struct word w = word_of(g, row, false);
    bool was = live((char)before.state) && row->from != '-';
    assert_int_equal(gate_say(g, &w), row->reply);
    if (row->to == keep || row->to == '-') {
        check_entries(g, &before, was, true);
        return;
    }
    assert_true(gate_look(g, &after));
    assert_int_equal(after.state, row->to);
    /* Rebuilt, or it was a tombstone: nobody knows what it held. */
    bool unknown = row->from == '-' || row->from == 'T';
    if (!unknown)
        check_list(&after);
    check_entries(g, &before, live(row->to) && !unknown, false);
}

/* Its record ends with what runs, as others become DONE; of one that is gone nothing is rebuilt. */
static void without_a_key(struct gate *g, const struct row *row)
{
    struct record before = plant(g, row, true), after;
    struct word w = word_of(g, row, true);
    bool ends = live(row->from) && row->to != keep && !live(row->to);
    char reply = row->from == '-' ? 'N' : row->reply;
    if (ends && row->word == SCRIPT_COMPLETE)
        reply = 'T'; /* there is no answer to be stored */
    assert_int_equal(gate_say(g, &w), reply);
    assert_int_equal(gate_look(g, &after), row->from != '-' && !ends);
    if (row->from != '-' && !ends) {
        assert_int_equal(after.flags, RECORD_BARE | RECORD_SLOTS);
        check_list(&after);
    }
    check_entries(g, &before, row->from != '-' && !ends, row->to == keep);
}

static const struct row *current;

static void every_cell(void **state)
{
    struct gate *g = *state;
    gate_slot(g, 5, 1);
    gate_slot(g, 5, 2);
    for (size_t i = 0; i < sizeof word_rows / sizeof *word_rows; i++) {
        current = &word_rows[i];
        redis_server_do(&g->redis, "FLUSHALL");
        with_a_key(g, current);
        assert_int_equal(redis_server_immortals(&g->redis), 0);
        if (!strchr("RA-o", current->from) || current->flags)
            continue;
        redis_server_do(&g->redis, "FLUSHALL");
        without_a_key(g, current);
        assert_int_equal(redis_server_immortals(&g->redis), 0);
    }
    current = NULL;
}

static int name_row(void **state)
{
    if (current)
        print_error("row %zu: %s %c, status %u, on %c %c, flags %u\n", (size_t)(current - word_rows),
                    scripts[current->word].name, current->letter ? current->letter : '-', current->status,
                    current->from, current->why ? current->why : '-', current->flags);
    return gate_end(state);
}

/* A record that only holds slots: what a claim makes of it, and what is left at its end: nothing. */
static void without_a_key_nothing_is_left(void **state)
{
    struct gate *g = *state;
    struct record r;
    gate_bare(g);
    gate_slot(g, 1, 1);
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(g->outcome.in_use[0], 1);
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_int_equal(r.flags, RECORD_BARE | RECORD_SLOTS);
    assert_int_equal(r.slots.len, 19);
    assert_in_range(gate_pttl(g), CONFIG_SLOTS_RECORD_S * 1000 - 3000, CONFIG_SLOTS_RECORD_S * 1000);
    assert_int_equal(gate_claim(g), 'Y');
    struct token t = gate_token(g);
    assert_int_equal(t.flags, TOKEN_BARE);
    assert_int_equal(another(g, 'b'), 'L');
    struct word w = {.script = SCRIPT_UNSTORABLE, .token = t, .status = 200, .letter = 'F', .ttl_s = 1};
    assert_int_equal(gate_say(g, &w), 'S');
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
    assert_int_equal(gate_say(g, &w), 'N');
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
}

/* Random traffic against a count: never one more than there are slots, nobody refused while one is free, and
 * every end gives back exactly one, however often it is said. */
static void agrees_with_a_count(void **state)
{
    enum { STEPS = 4000, MOST = 7, KEYS = 12 };
    struct gate *g = *state;
    struct token running[KEYS], ended = {0};
    bool runs[KEYS] = {false};
    unsigned count = 0, seed = 17;
    gate_bare(g);
    gate_slot(g, MOST, 1);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned k = (seed = seed * 1103515245 + 12345) / 65536 % KEYS;
        if (!runs[k]) {
            bool room = count < MOST;
            assert_int_equal(another(g, (uint8_t)('a' + k)), room ? 'G' : 'L');
            assert_int_equal(g->outcome.in_use[0], room ? count + 1 : count);
            runs[k] = room;
            count += room;
            running[k] = gate_token(g);
        } else {
            struct word w = {.token = running[k], .status = 200, .letter = 'F', .ttl_s = 1};
            w.script = (enum script_id[]){SCRIPT_UNSTORABLE, SCRIPT_RESOLVE, SCRIPT_EXTEND, SCRIPT_ANSWERED,
                                          SCRIPT_RELEASE_RID}[seed / 65536 / KEYS % 5];
            bool stays = w.script == SCRIPT_EXTEND || w.script == SCRIPT_ANSWERED;
            char reply = gate_say(g, &w);
            stays = stays || (w.script == SCRIPT_RELEASE_RID && reply == 'N');
            if (ended.fence)
                end(g, ended, 'n');
            if (!stays)
                ended = running[k];
            runs[k] = stays;
            count -= !stays;
        }
        assert_int_equal(size(g, 0), count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, gate_begin, gate_end)
        T(two_run_the_third_waits),
        T(all_or_nothing),
        T(only_a_grant_takes_one),
        T(the_same_request_holds_one),
        T(a_lapsed_one_is_free),
        T(after_an_outage_all_count),
        T(clock_step_back_is_bounded),
        T(another_number),
        T(a_shadow_never_refuses),
        T(extend_keeps_the_set),
        T(counted_replays_need_none),
        T(taken_over),
        T(alive_after_all),
        T(wrong_type),
        T(out_of_memory),
        cmocka_unit_test_setup_teardown(every_cell, gate_begin, name_row),
        T(without_a_key_nothing_is_left),
        T(agrees_with_a_count),
#undef T
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
