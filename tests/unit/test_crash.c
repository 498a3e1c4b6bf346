// SPDX-License-Identifier: MIT
/* Children that die of each fault, and starts that find what they left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/crash.h"
#include "adapters/log.h"

enum { OUTPUT = 65536 };

static char dir[] = "/tmp/test-crash.XXXXXX", file[64], out[OUTPUT], err[512];

/* The sanitizers' own handlers would end the child in their way. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0";
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test-crash.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(file, sizeof file, "%s/crash", dir);
    log_setup(LOG_TEXT, LOG_ERROR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir);
}

/* What a run did with stderr in `out`; its wait status. */
static int run(const char *record, void (*fn)(void))
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        for (int number = 1; number < SIGRTMIN; number++)
            signal(number, SIG_DFL); /* cmocka has handlers of its own */
        if (!crash_watch(record, err, sizeof err)) {
            fprintf(stderr, "%s\n", err);
            _exit(2);
        }
        fprintf(stderr, "count %d\n", (int)crash_count());
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(ends[0], out + len, sizeof out - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void nothing(void)
{
}
static void sent_segv(void)
{
    kill(getpid(), SIGSEGV);
}
__attribute__((no_sanitize("undefined", "address"))) static void null_read(void)
{
    volatile char *volatile p = (volatile char *)0x10;
    (void)*p;
}
static void bus(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open(file, O_RDONLY), 0x10000);
    (void)*(volatile char *)page;
}
static void illegal(void)
{
    raise(SIGILL);
}
static void divided(void)
{
    raise(SIGFPE);
}
/* Volatile, so that no compiler makes a loop of it. */
__attribute__((noinline)) static int endless(volatile int depth)
{
    volatile char room[4096];
    room[0] = (char)depth;
    return depth < 0 ? 0 : endless(depth + 1) + room[0];
}
static void overflow(void)
{
    setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
    endless(0);
}

static void expect_signal(int status, int number)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number)
        fail_msg("status %x: %s", (unsigned)status, out);
}

static void test_each_fault_is_logged_and_stays_deadly(void **state)
{
    static const struct {
        void (*fn)(void);
        int number;
        const char *line;
    } cases[] = {
        {sent_segv, SIGSEGV, "error crashed signal=SIGSEGV address=0x0 code=0 sender="   },
        {null_read, SIGSEGV, "error crashed signal=SIGSEGV address=0x10 code=1 sender=0 "},
        {bus,       SIGBUS,  "error crashed signal=SIGBUS address=0x"                    },
        {illegal,   SIGILL,  "error crashed signal=SIGILL address=0x0"                   },
        {divided,   SIGFPE,  "error crashed signal=SIGFPE address=0x0"                   },
        {abort,     SIGABRT, "error crashed signal=SIGABRT address=0x0"                  },
        {overflow,  SIGSEGV, "error crashed signal=SIGSEGV address=0x"                   },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        close(open(file, O_CREAT | O_WRONLY, 0600));
        expect_signal(run("", cases[i].fn), cases[i].number);
        assert_non_null(strstr(out, cases[i].line));
        /* The backtrace: the handler, and this program below it. */
        const char *frame = strstr(out, "test_crash(");
        assert_non_null(frame);
        assert_non_null(strstr(frame + 1, "test_crash("));
    }
}

static void test_the_next_start_says_what_it_finds_once(void **state)
{
    char line[256];
    (void)state;
    assert_int_equal(run(file, nothing), 0);
    assert_string_equal(out, "count 0\n");
    expect_signal(run(file, null_read), SIGSEGV);
    assert_int_equal(run(file, nothing), 0);
    assert_non_null(strstr(out, "error crashed-before signal=SIGSEGV address=0x10 pid="));
    snprintf(line, sizeof line, " crashes=1 file=%s\ncount 1\n", file);
    assert_non_null(strstr(out, line));
    assert_int_equal(run(file, nothing), 0);
    assert_string_equal(out, "count 1\n");
}

static void test_crashes_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++)
        expect_signal(run(file, i % 2 ? abort : sent_segv), i % 2 ? SIGABRT : SIGSEGV);
    assert_int_equal(run(file, nothing), 0);
    assert_non_null(strstr(out, "crashed-before signal=SIGABRT"));
    assert_non_null(strstr(out, "count 12\n"));
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 128);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void put(const char *text)
{
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_a_file_of_something_else_stays(void **state)
{
    static const char *const texts[] = {"root:x:0:0\n", "crashes\n", "crashes x\n", "crashes 1 SIGSEGV\n",
                                        "\n"};
    char now[64] = "";
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(texts[i]);
        assert_int_equal(WEXITSTATUS(run(file, nothing)), 2);
        assert_non_null(strstr(out, "is not a file of crashes: name another one, or remove it"));
        FILE *f = fopen(file, "re");
        assert_non_null(f);
        now[fread(now, 1, sizeof now - 1, f)] = '\0';
        fclose(f);
        assert_string_equal(now, texts[i]);
    }
}

static void test_a_file_that_cannot_be_opened_is_said(void **state)
{
    char path[96];
    (void)state;
    snprintf(path, sizeof path, "%s/none/crash", dir);
    assert_int_equal(WEXITSTATUS(run(path, nothing)), 2);
    assert_non_null(strstr(out, "No such file or directory"));
    snprintf(path, sizeof path, "%s/elsewhere", dir);
    assert_int_equal(symlink(path, file), 0);
    assert_int_equal(WEXITSTATUS(run(file, nothing)), 2);
    assert_non_null(strstr(out, "Too many levels of symbolic links"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(WEXITSTATUS(run(dir, nothing)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_fault_is_logged_and_stays_deadly, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_next_start_says_what_it_finds_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashes_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_something_else_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_opened_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
