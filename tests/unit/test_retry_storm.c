// SPDX-License-Identifier: MIT
/* A storm of retries straight over SPOP (ACCEPTANCE R20): finished keys are asked for again and again at a steady pace, nothing runs
 * again, and Redis sees at most one command for ten requests.
 *
 * `make storm`: 50,000 retries of 500 keys in 10 s, and prints the figures (ONCE_STORM="keys retries seconds"); here a few. */
#include <math.h>

#include "rooms/monotonic.h"
#include "tests/unit/shared_world.h"

/* EVALSHA and GET calls that Redis has seen. */
static unsigned long commands(void)
{
    unsigned long n = 0;
    redisReply *info = redisCommand(w.redis.server.c, "INFO commandstats");
    for (const char *at = info->str; (at = strstr(at, "cmdstat_")); at++)
        if (strncmp(at, "cmdstat_evalsha:", 16) == 0 || strncmp(at, "cmdstat_get:", 12) == 0)
            n += strtoul(strstr(at, "calls=") + 6, NULL, 10);
    freeReplyObject(info);
    return n;
}

static void finish_keys(unsigned keys)
{
    char key[24];
    for (unsigned i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        request(&p, i + 1, "payments", key, 10);
        peer_send(&p);
        struct token t = granted(&p, i + 1);
        complete(&t, 200);
    }
}

/* So many until now; the rest of them waits for its time. */
static void send_due(unsigned *sent, unsigned due, unsigned keys)
{
    char key[24];
    for (; *sent < due; ++*sent) {
        snprintf(key, sizeof key, "key-%u", (unsigned)rand() % keys);
        request(&p, keys + 1 + *sent, "payments", key, 10);
    }
    peer_send(&p);
}

static void at_most_one_of_ten(void **state)
{
    unsigned keys = 20, n = 4000, sent = 0;
    double seconds = 1.5;
    const char *size = getenv("ONCE_STORM");
    (void)state;
    if (size)
        assert_int_equal(sscanf(size, "%u %u %lf", &keys, &n, &seconds), 3);
    finish_keys(keys);
    unsigned long before = commands();
    double began = monotonic_now();
    for (unsigned answered = 0; answered < n;) {
        double due = floor((monotonic_now() - began) / seconds * n) + 1;
        send_due(&sent, due < n ? (unsigned)due : n, keys);
        if (answered == sent) {
            peer_turn(&p, 0.001);
            continue;
        }
        assert_true(peer_take(&p, &f));
        assert_true(is_replay());
        answered++;
    }
    double took = monotonic_now() - began;
    unsigned long cost = commands() - before;
    if (size)
        print_message("R20 keys %u seconds %.1f retries %u commands %lu\n", keys, took, n, cost);
    assert_int_equal(room_counted(&w, METRIC_CLAIM_GO), keys);
    /* Of a key Redis is asked once in each second that has begun; ten commands in each are the agent's own. */
    unsigned long begun = (unsigned long)took + 1;
    assert_in_range(cost, keys, (keys + 10) * begun);
    if (took < 1.2 * seconds) /* else it was another pace */
        assert_true(cost * 10 <= n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(at_most_one_of_ten, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
