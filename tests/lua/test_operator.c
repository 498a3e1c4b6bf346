// SPDX-License-Identifier: MIT
/* The operator's words, cell by cell, and what he sees, on a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/look.h"
#include "domain/usage.h"
#include "tests/support/gate_fixture.h"

enum { PLANTED_MS = 5000000, FENCE = 1000000, SEEN = 202, keep = 'k' };

/* from: a state, '-' no record, 'f' FREE of another fence. to: keep, or the state that it is then. */
static const struct row {
    char word;
    bool forced;
    unsigned status;
    char from;
    const char *reply;
    char to;
} rows[] = {
    {'f', false, 0,   'R', "RRR", keep},
    {'f', true,  0,   'R', "SRF", 'F' },
    {'f', false, 0,   'A', "NAA", keep},
    {'f', true,  0,   'A', "NAA", keep},
    {'f', false, 0,   'H', "SHF", 'F' },
    {'f', true,  0,   'H', "SHF", 'F' },
    {'f', true,  0,   'F', "NFF", keep},
    {'f', true,  0,   'D', "NDD", keep},
    {'f', true,  0,   'T', "NTT", keep},
    {'f', true,  0,   '-', "L",   '-' },
    {'f', true,  0,   'f', "L",   keep},
    {'c', false, 0,   'R', "RRR", keep},
    {'c', true,  0,   'R', "SRT", 'T' },
    {'c', true,  201, 'R', "SRT", 'T' },
    {'c', false, 201, 'A', "RAA", keep},
    {'c', true,  0,   'A', "SAT", 'T' },
    {'c', true,  201, 'A', "SAT", 'T' },
    {'c', false, 0,   'H', "SHT", 'T' },
    {'c', false, 201, 'H', "SHT", 'T' },
    {'c', false, 201, 'F', "SFT", 'T' },
    {'c', true,  201, 'D', "NDD", keep},
    {'c', true,  201, 'T', "NTT", keep},
    {'c', true,  201, '-', "L",   '-' },
    {'c', true,  201, 'f', "L",   keep},
    {'d', false, 0,   'R', "RRR", keep},
    {'d', true,  0,   'R', "SRF", 'F' },
    {'d', false, 0,   'A', "RAA", keep},
    {'d', true,  0,   'A', "SAF", 'F' },
    {'d', false, 0,   'H', "SHF", 'F' },
    {'d', false, 0,   'F', "NFF", keep},
    {'d', false, 0,   'D', "SDF", 'F' },
    {'d', false, 0,   'T', "STF", 'F' },
    {'d', true,  0,   '-', "L",   '-' },
    {'d', true,  0,   'f', "L",   keep},
};

static const char seen_location[] = "/seen";

static bool live(char state)
{
    return state == 'R' || state == 'A';
}

static struct record planted(const struct gate *g, char from)
{
    struct record r = {.state = (uint8_t)(from == 'f' ? 'F' : from),
                       .fence = from == 'f' ? FENCE + 1 : FENCE};
    memset(r.rid, 'r', sizeof r.rid);
    memset(r.fingerprint, 'f', sizeof r.fingerprint);
    r.policy = g->policy.hash;
    memset(r.who, 'w', sizeof r.who);
    r.lock_ms = LOCK_S * 1000;
    r.ttl_s = TTL_S;
    r.flags = RECORD_HOLD | (live(from) ? RECORD_WAITERS : 0);
    if (from == 'A' || from == 'T' || from == 'H')
        r.status = SEEN;
    if (from == 'A' || from == 'T')
        r.payload = (struct spop_slice){seen_location, sizeof seen_location - 1};
    if (from == 'D')
        r.payload = (struct spop_slice){"a payment", 9};
    if (from != 'D' && from != 'T')
        r.process = (struct spop_slice){g->plan.process, strlen(g->plan.process)};
    return r;
}

static redisReply *send(struct gate *g)
{
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    return r;
}

static void say(struct gate *g, const struct row *row)
{
    buf_reset(&g->out);
    script_operator(&g->out, &g->plan.id, FENCE, row->word, row->forced, row->status);
    redisReply *r = send(g);
    assert_string_equal(r->str, row->reply);
    freeReplyObject(r);
}

static void check_left(struct gate *g, const struct row *row)
{
    static const uint8_t nothing[16];
    struct record r;
    bool erased = row->to == 'F' && !live(row->from);
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, row->to);
    assert_int_equal(r.fence, FENCE);
    assert_int_equal(r.why, row->to == 'F' ? 'o' : 0);
    assert_int_equal(r.flags, RECORD_HOLD);
    assert_int_equal(r.policy, g->policy.hash);
    assert_memory_equal(r.fingerprint, erased ? nothing : (const uint8_t *)"ffffffffffffffff", 16);
    assert_memory_equal(r.who, erased ? nothing : (const uint8_t *)"wwwwwwww", sizeof r.who);
    assert_int_equal(r.process.len, row->to == 'F' && !erased ? strlen(g->plan.process) : 0);
    assert_int_equal(r.lease_until_us, 0);
    bool seen = row->from == 'A' || row->from == 'H';
    if (row->to == 'T')
        assert_int_equal(r.status, row->status ? row->status : seen ? SEEN : 0);
    assert_int_equal(r.payload.len, row->to == 'T' && row->from == 'A' ? sizeof seen_location - 1 : 0);
    assert_in_range(gate_pttl(g), TTL_S * 1000 - 3000, TTL_S * 1000);
    assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, FENCE)), 0);
}

static const struct row *current;

static void run_row(struct gate *g, const struct row *row)
{
    struct record before = planted(g, row->from), after;
    char state = 0;
    redis_server_do(&g->redis, "FLUSHALL");
    if (row->from != '-')
        gate_plant(g, &before, PLANTED_MS);
    redis_server_do(&g->redis, "SET %s seen PX 1000000", gate_pending_key(g, FENCE));
    struct buf was = {0};
    buf_put(&was, g->raw.data, g->raw.len);
    say(g, row);
    if (row->to == '-') {
        assert_false(gate_look(g, &after));
    } else if (row->to == keep) {
        assert_true(gate_look(g, &after));
        assert_int_equal(was.len, g->raw.len);
        assert_memory_equal(was.data, g->raw.data, was.len);
        assert_in_range(gate_pttl(g), PLANTED_MS - 3000, PLANTED_MS);
        assert_int_equal(redis_server_int(&g->redis, "EXISTS %s", gate_pending_key(g, FENCE)), 1);
    } else {
        check_left(g, row);
    }
    buf_free(&was);
    bool tells = row->to != keep && live(row->from);
    assert_int_equal(gate_told(g, &state), tells);
    if (tells)
        assert_int_equal(state, row->to);
    assert_int_equal(redis_server_immortals(&g->redis), 0);
}

static void every_cell(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        current = &rows[i];
        run_row(*state, current);
    }
    current = NULL;
}

static int name_row(void **state)
{
    if (current)
        print_error("row %zu: %c%s, status %u, on %c\n", (size_t)(current - rows), current->word,
                    current->forced ? " forced" : "", current->status, current->from);
    return gate_end(state);
}

static void foreign_is_untouched(void **state)
{
    struct gate *g = *state;
    static const struct row row = {'d', true, 0, 'R', "X", keep};
    gate_plant_raw(g, "something else that is longer than the head of a record of ours, by far", 70,
                   PLANTED_MS);
    say(g, &row);
    assert_int_equal(redis_server_int(&g->redis, "STRLEN %s", gate_record_key(g)), 70);
    redis_server_do(&g->redis, "DEL %s", gate_record_key(g));
    redis_server_do(&g->redis, "LPUSH %s a", gate_record_key(g));
    redis_server_do(&g->redis, "PEXPIRE %s 100000", gate_record_key(g));
    say(g, &row);
    assert_int_equal(redis_server_int(&g->redis, "LLEN %s", gate_record_key(g)), 1);
}

/* The next claim runs with a larger fence, whatever its fingerprint; `completed` never lets it run. */
static void what_a_retry_gets(void **state)
{
    struct gate *g = *state;
    static const struct row failed = {'f', false, 0, 'H', "SHF", 'F'},
                            completed = {'c', false, 201, 'H', "SHT", 'T'},
                            deleted = {'d', false, 0, 'D', "SDF", 'F'};
    struct record r = planted(g, 'H');
    gate_plant(g, &r, PLANTED_MS);
    assert_int_equal(gate_claim(g), 'U');
    say(g, &completed);
    assert_int_equal(gate_claim(g), 'T');
    assert_int_equal(g->outcome.status, 201);
    gate_plant(g, &r, PLANTED_MS);
    say(g, &failed);
    memset(g->plan.fingerprint, 'x', sizeof g->plan.fingerprint);
    assert_int_equal(gate_claim(g), 'G');
    assert_true(g->outcome.fence > FENCE);
    r = planted(g, 'D');
    r.fence = UINT64_C(4000000000000000); /* far ahead of the clock */
    gate_plant(g, &r, PLANTED_MS);
    buf_reset(&g->out);
    script_operator(&g->out, &g->plan.id, r.fence, deleted.word, false, 0);
    freeReplyObject(send(g));
    assert_int_equal(gate_claim(g), 'G');
    assert_int_equal(g->outcome.fence, r.fence + 1);
}

/* Deleted by force while it runs: its heartbeat does not bring it back, its answer is stored all the same. */
static void forced_while_it_runs(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    struct word extend = gate_word_of(g, SCRIPT_EXTEND), complete = gate_word_of(g, SCRIPT_COMPLETE);
    char done[80] = "\1D";
    complete.pending = (struct spop_slice){done, sizeof done};
    buf_reset(&g->out);
    script_operator(&g->out, &g->plan.id, g->outcome.fence, 'd', true, 0);
    freeReplyObject(send(g));
    assert_int_equal(gate_say(g, &extend), 'L');
    assert_int_equal(gate_say(g, &complete), 'S');
    assert_int_equal(gate_claim_as(g, 'q'), 'D');
}

/* How many rows a walk has; the last one, with its bytes. */
static unsigned looked(struct gate *g, const struct script_look *how, struct look_row *last)
{
    static char bytes[USAGE_BYTES];
    struct look l;
    struct look_row row;
    unsigned n = 0;
    char cursor[LOOK_CURSOR + 1] = "0";
    struct script_look step = *how;
    do {
        step.cursor = cursor;
        buf_reset(&g->out);
        script_look(&g->out, &step);
        redisReply *r = send(g);
        assert_int_equal(look_open((struct spop_slice){r->str, (size_t)r->len}, &l), 0);
        assert_in_range(l.now_us, gate_now_us(g) - 2000000, gate_now_us(g));
        int more;
        while ((more = look_next(&l, &row)) == 1) {
            n++;
            *last = row;
            assert_true(row.bytes.len <= sizeof bytes);
            memcpy(bytes, row.bytes.ptr, row.bytes.len);
            last->bytes.ptr = bytes;
        }
        assert_int_equal(more, 0);
        strcpy(cursor, l.cursor);
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
    return n;
}

/* A walk finds each record once, and only those that are meant; it leaves all as they are. */
static void looking(void **state)
{
    enum { MANY = 3000 };
    static const uint8_t other[8] = "vvvvvvvv";
    struct gate *g = *state;
    struct look_row row;
    uint32_t hash = g->policy.hash, nobody = 1;
    struct script_look all = {.kind = 'r', .bytes = 256, .states = "", .cursor = "0"}, how = all;
    assert_int_equal(looked(g, &all, &row), 0);
    for (unsigned i = 0; i < MANY; i++) {
        memcpy(g->plan.id.digest, &i, sizeof i);
        struct record r = planted(g, i % 3 ? 'D' : 'H');
        if (i % 10 == 0)
            memcpy(r.who, other, sizeof r.who);
        r.policy = i % 5 ? hash : hash + 1;
        gate_plant(g, &r, PLANTED_MS);
    }
    redis_server_do(&g->redis, "SET once:{ab01}:l:%s 12345678 PX 100000", "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1");
    redis_server_do(&g->redis, "SET %s x PX 100000", gate_pending_key(g, FENCE));
    redis_server_do(&g->redis, "SET once:mark 1 PX 100000");
    assert_int_equal(looked(g, &all, &row), MANY);
    assert_in_range(row.ttl_ms, PLANTED_MS - 10000, PLANTED_MS);
    how.states = "H";
    assert_int_equal(looked(g, &how, &row), MANY / 3);
    how.states = "TDF";
    assert_int_equal(looked(g, &how, &row), MANY - MANY / 3);
    how = all;
    how.policy = &hash;
    assert_int_equal(looked(g, &how, &row), MANY - MANY / 5);
    how.policy = &nobody;
    assert_int_equal(looked(g, &how, &row), 0);
    how = all;
    how.who = other;
    assert_int_equal(looked(g, &how, &row), MANY / 10);
    how = all;
    how.kind = 'l';
    assert_int_equal(looked(g, &how, &row), 1);
    assert_int_equal(row.len, 8);
    /* One record: there, or not, or no string. */
    how = all;
    how.id = &g->plan.id;
    how.bytes = 10;
    assert_int_equal(looked(g, &how, &row), 1);
    assert_memory_equal(&row.id, &g->plan.id, sizeof row.id);
    assert_int_equal(row.bytes.len, 10);
    redis_server_do(&g->redis, "DEL %s", gate_record_key(g));
    assert_int_equal(looked(g, &how, &row), 0);
    redis_server_do(&g->redis, "LPUSH %s a", gate_record_key(g));
    redis_server_do(&g->redis, "PEXPIRE %s 100000", gate_record_key(g));
    assert_int_equal(looked(g, &how, &row), 0);
}

/* What is used of each kind of limit, as the claim has left it; and a word that forgets it. */
static void limits_seen(void **state)
{
    static const struct script_look limits = {.kind = 'l', .bytes = USAGE_BYTES, .states = "", .cursor = "0"},
                                    slots = {.kind = 'c', .bytes = USAGE_BYTES, .states = "", .cursor = "0"};
    struct gate *g = *state;
    struct look_row row;
    struct usage_window w;
    double seconds;
    assert_int_equal(looked(g, &limits, &row) + looked(g, &slots, &row), 0);
    gate_limit(g, 6, 60, 1);
    gate_limit(g, 100, 3600, 1);
    gate_slot(g, 2, 9);
    for (uint8_t i = 'a'; i < 'c'; i++) {
        g->plan.id.digest[0] = i;
        assert_int_equal(gate_claim_as(g, i), 'G');
    }
    assert_int_equal(looked(g, &limits, &row), 1);
    assert_int_equal(row.bytes.len, 2 * USAGE_CELL);
    assert_false(usage_window(row.bytes, gate_now_us(g), row.ttl_ms, &w));
    assert_true(usage_bucket(row.bytes.ptr, gate_now_us(g), &seconds));
    assert_true(seconds > 18 && seconds <= 20);
    assert_true(usage_bucket(row.bytes.ptr + USAGE_CELL, gate_now_us(g), &seconds));
    assert_true(seconds > 70 && seconds <= 72);
    /* Two run; an entry whose time is over does not count, and nobody clears it away by looking. */
    assert_int_equal(looked(g, &slots, &row), 1);
    assert_int_equal(row.len, 4);
    assert_memory_equal(row.bytes.ptr, "\2\0\0", 4);
    assert_in_range(row.ttl_ms, LOCK_S * 1000, LOCK_S * 2000);
    redis_server_do(&g->redis, "ZADD %s 1000 lapsed", gate_slot_key(g, 0));
    assert_int_equal(looked(g, &slots, &row), 1);
    assert_memory_equal(row.bytes.ptr, "\2\0\0", 4);
    assert_int_equal(redis_server_int(&g->redis, "ZCARD %s", gate_slot_key(g, 0)), 3);
    buf_reset(&g->out);
    script_reset(&g->out, &g->plan.limits[0].subject);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    assert_int_equal(r->integer, 1);
    freeReplyObject(r);
    assert_int_equal(looked(g, &limits, &row), 0);
    assert_int_equal(looked(g, &slots, &row), 1);
}

/* A window tells its width by its TTL, and how many of its requests still count. */
static void windows_seen(void **state)
{
    static const struct script_look limits = {.kind = 'l', .bytes = USAGE_BYTES, .states = "", .cursor = "0"};
    struct gate *g = *state;
    struct look_row row;
    struct usage_window w;
    g->plan.has_record = false;
    gate_window(g, 1000, 60, 1);
    for (unsigned i = 0; i < 70; i++) {
        g->plan.limits[0].cost = 1 + i % 3;
        assert_int_equal(gate_claim(g), 'G');
    }
    assert_int_equal(looked(g, &limits, &row), 1);
    assert_true(usage_window(row.bytes, gate_now_us(g), row.ttl_ms, &w));
    assert_int_equal(w.requests, 139);
    assert_int_equal(w.width_s, 60);
    uint64_t later_us = gate_now_us(g) + 30000000;
    assert_true(usage_window(row.bytes, later_us, row.ttl_ms - 30000, &w));
    assert_int_equal(w.requests, 139);
    assert_int_equal(w.width_s, 60);
    assert_true(usage_window(row.bytes, later_us + 31000000, row.ttl_ms - 61000, &w));
    assert_int_equal(w.requests, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, gate_begin, gate_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_cell, gate_begin, name_row),
        T(foreign_is_untouched),
        T(what_a_retry_gets),
        T(forced_while_it_runs),
        T(looking),
        T(limits_seen),
        T(windows_seen),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
