// SPDX-License-Identifier: MIT
/* Random traffic, many requests at once, with claims that are shared and with claims that are not: each single request must be told
 * the same. The batches go over one connection, so that Redis sees them in one order. */
#include "tests/unit/shared_world.h"

enum { BATCHES = 250, BATCH = 12, TOKENS = 16 };

/* One request of the random traffic, and what became of it. */
struct asked_for {
    unsigned policy, key, length, rid;
    char reason[16];
    bool go;
    struct token token;
};

static void send_batch(struct asked_for *a, unsigned n, unsigned base)
{
    static const char *const policies[] = {"payments", "held", "both"};
    for (unsigned i = 0; i < n; i++) {
        char key[32], rid[32];
        snprintf(key, sizeof key, "key-%u", a[i].key);
        snprintf(rid, sizeof rid, "rid-%u", a[i].rid);
        room_request_of(&p, base + i, "once-request", policies[a[i].policy], key, rid, a[i].length);
    }
    peer_send(&p);
    for (unsigned i = 0; i < n; i++) {
        struct spop_value v;
        assert_true(peer_take(&p, &f));
        uint64_t at = f.head.stream_id - base;
        assert_true(at < n);
        assert_true(ack_value(&f, "reason", &v));
        snprintf(a[at].reason, sizeof a[at].reason, "%.*s", (int)v.bytes.len, v.bytes.ptr);
        if ((a[at].go = is_go()))
            a[at].token = token_of_ack();
    }
}

/* Something becomes of what runs: it is told by another agent. */
static void move_on(struct token *running, unsigned *n)
{
    if (*n == 0 || rand() % 2)
        return;
    struct token t = running[rand() % *n];
    switch (rand() % 4) {
    case 0: complete(&t, 20); break;
    case 1: it_fails(&t); break;
    case 2:
        say(&(struct word){
            .script = SCRIPT_RESOLVE, .token = t, .status = 201, .letter = 'T', .ttl_s = ROOM_RECORD_S});
        break;
    default: say(&(struct word){.script = SCRIPT_RESOLVE, .token = t, .letter = 'H', .ttl_s = ROOM_RECORD_S});
    }
}

/* The traffic of one seed; what each request was told goes to `told`. */
static unsigned traffic(unsigned seed, char (*told)[16])
{
    struct token running[TOKENS] = {0};
    unsigned nrunning = 0, total = 0, rid = 0;
    srand(seed);
    for (unsigned b = 0; b < BATCHES; b++) {
        struct asked_for a[BATCH];
        unsigned n = 1 + (unsigned)rand() % BATCH, policy = (unsigned)rand() % 3;
        for (unsigned i = 0; i < n; i++)
            a[i] = (struct asked_for){.policy = rand() % 8 ? policy : (unsigned)rand() % 3,
                                      .key = b / 8 + (rand() % 6 == 0),
                                      .length = 10 + (rand() % 6 == 0),
                                      .rid = rand() % 6 ? ++rid : rid};
        send_batch(a, n, total + 1);
        for (unsigned i = 0; i < n; i++, total++) {
            strcpy(told[total], a[i].reason);
            if (a[i].go)
                running[nrunning < TOKENS ? nrunning++ : (unsigned)rand() % TOKENS] = a[i].token;
        }
        move_on(running, &nrunning);
    }
    return total;
}

/* The same traffic, with and without: each single request is told the same. */
static void same_verdicts(void **state)
{
    static char with[BATCHES * BATCH][16], without[BATCHES * BATCH][16];
    static const char *const reasons[] = {"go",   "yours",     "replay",  "mismatch",
                                          "busy", "tombstone", "unknown", "limited"};
    for (unsigned seed = 1; seed <= 2; seed++) {
        unsigned n = traffic(seed, with);
        uint64_t told = shared(), claims = asked();
        teardown(state);
        setup(state);
        share_nothing();
        assert_int_equal(traffic(seed, without), n);
        for (unsigned i = 0; i < n; i++)
            if (strcmp(with[i], without[i]) != 0)
                fail_msg("seed %u, request %u: %s with, %s without", seed, i, with[i], without[i]);
        for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++) {
            unsigned seen = 0;
            for (unsigned i = 0; i < n; i++)
                seen += strcmp(with[i], reasons[r]) == 0;
            if (seen == 0)
                fail_msg("seed %u: nothing was told %s", seed, reasons[r]);
        }
        assert_true(told > n / 5);
        assert_true(asked() > claims);
        teardown(state);
        setup(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(same_verdicts, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
