// SPDX-License-Identifier: MIT
/* rooms/election: two agents and one lock file, by a clock that the test holds. */
#include "rooms/election.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"

#define POLL 0.25

static char dir[64], sock[80], file[96];
static const struct process polled[] = {
    {100, 5},
    {200, 6}
};

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/once-election-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    snprintf(file, sizeof file, "%s.once-poller.1", sock);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chmod(dir, 0700);
    unlink(file);
    return rmdir(dir);
}

/* Makes the file's last touch `seconds` ago by the wall clock. */
static void set_age(double seconds)
{
    struct timespec t[2];
    clock_gettime(CLOCK_REALTIME, &t[0]);
    long ns = t[0].tv_nsec - (long)((seconds - (double)(long)seconds) * 1e9);
    t[0].tv_sec -= (long)seconds + (ns < 0);
    t[0].tv_nsec = ns < 0 ? ns + 1000000000 : ns;
    if (t[0].tv_nsec >= 1000000000) {
        t[0].tv_nsec -= 1000000000;
        t[0].tv_sec++;
    }
    t[1] = t[0];
    assert_int_equal(utimensat(AT_FDCWD, file, t, 0), 0);
}

static void test_first_wins_and_names(void **state)
{
    (void)state;
    struct election *a = election_new(sock, 1), *b = election_new(sock, 1);
    election_poll(a, polled, 2, true, 10, POLL);
    election_poll(b, NULL, 0, true, 10, POLL);
    assert_true(election_won(a));
    assert_false(election_won(b));
    assert_true(election_names(b, &polled[0], 10, POLL));
    assert_true(election_names(b, &polled[1], 10.4, POLL));
    assert_false(election_names(b, &polled[1], 10.6, POLL)); /* not looked at for more than two polls */
    assert_false(election_names(b, &(struct process){100, 6}, 10, POLL));
    assert_false(election_names(a, &polled[0], 10, POLL)); /* ours, not another's */
    election_free(b);
    assert_int_equal(access(file, F_OK), 0); /* not b's to remove */
    election_free(a);
    assert_int_equal(access(file, F_OK), -1);
}

/* Neither understands what the other would have to extend. */
static void test_each_version_has_its_poller(void **state)
{
    (void)state;
    struct election *a = election_new(sock, 1), *b = election_new(sock, 2);
    election_poll(a, polled, 2, true, 10, POLL);
    election_poll(b, polled, 2, true, 10, POLL);
    assert_true(election_won(a));
    assert_true(election_won(b));
    assert_false(election_names(b, &polled[0], 10, POLL));
    election_free(b);
    election_free(a);
}

static void test_touched_each_poll(void **state)
{
    (void)state;
    struct stat before, after;
    struct election *a = election_new(sock, 1);
    election_poll(a, polled, 1, true, 10, POLL);
    set_age(0.3);
    assert_int_equal(stat(file, &before), 0);
    election_poll(a, polled, 1, true, 10.25, POLL);
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* the same list: touched, not written */
    assert_true(after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
                after.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
    election_poll(a, polled, 2, true, 10.5, POLL);
    assert_int_equal(stat(file, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino); /* another list: a whole new file */
    election_free(a);
}

static void test_takeover_by_wall_clock(void **state)
{
    (void)state;
    struct election *a = election_new(sock, 1), *b = election_new(sock, 1);
    election_poll(a, polled, 2, true, 10, POLL);
    set_age(0.4);
    election_poll(b, NULL, 0, true, 10, POLL);
    assert_false(election_won(b));
    set_age(0.6);
    election_poll(b, polled, 1, true, 10.25, POLL);
    assert_true(election_won(b));
    election_poll(a, polled, 2, true, 10.3, POLL); /* a was only asleep */
    assert_false(election_won(a));
    assert_true(election_names(a, &polled[0], 10.3, POLL));
    assert_false(election_names(a, &polled[1], 10.3, POLL));
    election_free(a);
    election_free(b);
}

/* A touch in the future proves nothing: what counts is that it does not move. */
static void test_takeover_of_a_future_touch(void **state)
{
    (void)state;
    struct election *a = election_new(sock, 1), *b = election_new(sock, 1);
    election_poll(a, polled, 2, true, 10, POLL);
    set_age(-3600);
    election_poll(b, NULL, 0, true, 10, POLL);
    election_poll(b, NULL, 0, true, 10.5, POLL);
    assert_false(election_won(b));
    election_poll(b, NULL, 0, true, 10.51, POLL);
    assert_true(election_won(b));
    election_free(a);
    election_free(b);
}

static void test_unwilling_gives_way(void **state)
{
    (void)state;
    struct stat before, after;
    struct election *a = election_new(sock, 1), *b = election_new(sock, 1);
    election_poll(a, polled, 2, true, 10, POLL);
    set_age(0.3);
    stat(file, &before);
    election_poll(a, polled, 2, false, 10.25, POLL);
    stat(file, &after);
    assert_false(election_won(a));
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    election_poll(b, NULL, 0, true, 10.3, POLL);
    assert_false(election_won(b));
    election_poll(b, NULL, 0, true, 10.81, POLL);
    assert_true(election_won(b));
    election_poll(a, polled, 2, true, 10.9, POLL); /* willing again, too late */
    assert_false(election_won(a));
    election_free(a);
    election_free(b);
}

static void test_file_that_is_not_ours_to_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "x", "x\n12", "x\n12.\n", "x\n\n\n12.3.host\nzz\n"};
    struct election *a = election_new(sock, 1);
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *f = fopen(file, "w");
        fputs(texts[i], f);
        fclose(f);
        election_poll(a, polled, 1, true, 10 + i, POLL);
        assert_false(election_won(a)); /* fresh, and of somebody */
        assert_int_equal(election_names(a, &(struct process){12, 3}, 10 + i, POLL), i == 5);
    }
    election_free(a);
}

static void test_full_list(void **state)
{
    (void)state;
    struct process many[ELECTION_PROCESSES];
    for (unsigned i = 0; i < ELECTION_PROCESSES; i++)
        many[i] = (struct process){UINT64_MAX - i, UINT64_MAX - i};
    struct election *a = election_new(sock, 1), *b = election_new(sock, 1);
    election_poll(a, many, ELECTION_PROCESSES, true, 10, POLL);
    election_poll(b, NULL, 0, true, 10, POLL);
    assert_true(election_names(b, &many[0], 10, POLL));
    assert_true(election_names(b, &many[ELECTION_PROCESSES - 1], 10, POLL));
    election_free(a);
    election_free(b);
}

static void test_directory_that_cannot_be_written(void **state)
{
    (void)state;
    rmdir(dir); /* root may write anywhere, but not where nothing is */
    struct election *a = election_new(sock, 1);
    election_poll(a, polled, 1, true, 10, POLL);
    assert_true(election_won(a));
    election_free(a);
    assert_int_equal(mkdir(dir, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_wins_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_version_has_its_poller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_touched_each_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takeover_by_wall_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takeover_of_a_future_touch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unwilling_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_that_is_not_ours_to_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_written, setup, teardown),
    };
    log_setup(LOG_TEXT, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
