// SPDX-License-Identifier: MIT
/* What the replay room keeps in memory, for how long, and what has to go first. */
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/support/loop.h"
#include "tests/unit/replay_world.h"

static time_t stepped; /* seconds: by how much the wall clock of this program was set */

/* In the C library's place: both ways in which libev may ask for the wall clock. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_REALTIME)
        ts->tv_sec += stepped;
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    *tv = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
    return rc;
}

/* Keeps a record of exactly so many bytes in all. */
static void keep_bytes(unsigned n, size_t len)
{
    struct buf b;
    const struct record_id id = id_of(n);
    char *body = calloc(1, len);
    memset(body, 'x', len - 1);
    buf_init(&b);
    plain_record(&b, body, 1);
    size_t extra = b.len - (len - 1);
    body[len - extra] = '\0';
    plain_record(&b, body, 1);
    assert_int_equal(b.len, len);
    replay_keep(w.replay, &id, b.data, b.len, monotonic_now());
    buf_free(&b);
    free(body);
}

static void test_other_tag_is_another_record(void **state)
{
    struct record_id id = id_of(1);
    struct buf b;
    (void)state;
    id.tag[0]++;
    buf_init(&b);
    plain_record(&b, "theirs", 1);
    replay_keep(w.replay, &id, b.data, b.len, monotonic_now());
    assert_false(is_kept(1));
    buf_free(&b);
}

static void test_memory_exact_and_one_over(void **state)
{
    enum { QUARTER = MEMORY / 4 - REPLAY_OVERHEAD };
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        keep_bytes(i, QUARTER);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_kept(i));
    keep_bytes(3, QUARTER + 1); /* takes its own place, and one byte too many: the oldest goes */
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 1);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY * 3 / 4 + 1);
    assert_false(is_kept(0));
    assert_true(is_kept(1) && is_kept(2) && is_kept(3));
}

static void test_one_as_large_as_memory(void **state)
{
    (void)state;
    keep_bytes(1, 500);
    keep_bytes(2, MEMORY - REPLAY_OVERHEAD + 1);
    assert_true(is_kept(1));
    assert_false(is_kept(2));
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 1);
    keep_bytes(3, MEMORY - REPLAY_OVERHEAD);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 2);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    assert_true(is_kept(3));
    assert_false(is_kept(1));
}

/* Kept again, the same bytes: nothing grows, and it becomes the newest. */
static void test_same_again_is_the_newest(void **state)
{
    enum { HALF = MEMORY / 2 - REPLAY_OVERHEAD };
    (void)state;
    keep_bytes(1, HALF);
    keep_bytes(2, HALF);
    keep_bytes(1, HALF);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), MEMORY);
    keep_bytes(3, HALF);
    assert_true(is_kept(1) && is_kept(3));
    assert_false(is_kept(2));
}

static void test_keep_time(void **state)
{
    (void)state;
    loop_run(w.redis.loop, 0.01);
    keep(1, "a");
    loop_run(w.redis.loop, 0.2);
    keep(2, "b");
    assert_true(is_kept(1));
    loop_run(w.redis.loop, 0.15);
    assert_false(is_kept(1));
    assert_true(is_kept(2));
    loop_run(w.redis.loop, 0.2);
    assert_false(is_kept(2));
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    assert_int_equal(counted(METRIC_REPLAY_EVICTED), 0);
    keep(3, "c");
    assert_true(is_kept(3));
    loop_run(w.redis.loop, 0.35);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
}

static void test_reconfigure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        keep_bytes(i, 1000);
    w.redis.config->replay.memory = 2 * (1000 + REPLAY_OVERHEAD);
    w.redis.config->replay.keep_ms = 100;
    strcpy(w.redis.config->problems.base, "about:");
    replay_reconfigure(w.replay, w.redis.config);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), w.redis.config->replay.memory);
    assert_false(is_kept(0));
    assert_non_null(memmem(reply.body.data, reply.body.len, "\"about:unavailable\"", 19));
    assert_true(is_kept(1) && is_kept(2));
    loop_run(w.redis.loop, 0.15);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    w.redis.config->replay.memory = 0;
    replay_reconfigure(w.replay, w.redis.config);
    keep_bytes(5, 100);
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
    assert_false(is_kept(5));
}

/* A record of another body each time; asked: so many seconds ago. */
static void keep_asked(unsigned n, const char *body, double ago)
{
    struct buf b;
    const struct record_id id = id_of(n);
    buf_init(&b);
    plain_record(&b, body, 1);
    replay_keep(w.replay, &id, b.data, b.len, monotonic_now() - ago);
    buf_free(&b);
}

static bool is_recent(unsigned n)
{
    static const uint8_t none[16];
    const struct record_id id = id_of(n);
    return replay_recent(w.replay, &id, none).ptr != NULL;
}

static void keep_long(void)
{
    w.redis.config->replay.keep_ms = 10000;
    replay_reconfigure(w.replay, w.redis.config);
}

/* A second after Redis was asked, whenever it has answered. */
static void test_recent_since_it_was_asked(void **state)
{
    (void)state;
    keep_long();
    keep_asked(1, "a", 0.5);
    keep_asked(2, "b", 1.01);
    assert_true(is_recent(1));
    assert_false(is_recent(2));
    keep_asked(2, "b", 0.5);
    assert_true(is_recent(2));
    keep_asked(2, "b", 1.01); /* an older question, whose reply came later */
    assert_true(is_recent(2));
    keep_asked(2, "c", 1.01);
    assert_false(is_recent(2));
    assert_true(is_kept(1) && is_kept(2));
}

/* The wall clock is stepped back: what was old stays old, and goes in time. */
static void test_wall_clock_steps_back(void **state)
{
    (void)state;
    keep_long();
    ev_tstamp before = ev_time();
    keep_asked(1, "a", 0);
    assert_true(is_recent(1));
    loop_run(w.redis.loop, 1.1);
    assert_false(is_recent(1));
    stepped = -3;
    assert_true(ev_time() < before);
    for (double from = monotonic_now(); monotonic_now() - from < 2.6;) { /* the record's age: 1.1 to 3.7 s */
        loop_run(w.redis.loop, 0.05);
        assert_false(is_recent(1));
    }
    assert_true(is_kept(1));
    w.redis.config->replay.keep_ms = 3800;
    replay_reconfigure(w.replay, w.redis.config);
    loop_run(w.redis.loop, 0.5);
    stepped = 0;
    assert_int_equal(counted(METRIC_REPLAY_BYTES), 0);
}

/* More records than buckets, so that chains are walked. */
static void test_many_records(void **state)
{
    (void)state;
    w.redis.config->replay.memory = 32 << 20;
    replay_reconfigure(w.replay, w.redis.config);
    for (unsigned i = 0; i < 1000; i++)
        keep(i, "x");
    for (unsigned i = 0; i < 1000; i += 97)
        assert_true(is_kept(i));
    assert_false(is_kept(1000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_other_tag_is_another_record),
        TEST(test_memory_exact_and_one_over),
        TEST(test_one_as_large_as_memory),
        TEST(test_same_again_is_the_newest),
        TEST(test_keep_time),
        TEST(test_recent_since_it_was_asked),
        TEST(test_wall_clock_steps_back),
        TEST(test_reconfigure),
        TEST(test_many_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
