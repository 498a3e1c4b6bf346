// SPDX-License-Identifier: MIT
/* Everything that the handler calls is async-signal-safe (signal-safety(7)); backtrace() is after its first
 * call, which loads a library. It runs on a stack of its own, since a stack that is used up is one of the
 * faults.
 *
 *   the file, 128 bytes, blanks before the newline       "crashes 3\n"                     seen by a start
 *                                                        "crashes 4 SIGSEGV 0x10 812 1763736435\n"  not yet
 *                                                         count     signal  address pid  time
 */
#include "adapters/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adapters/log.h"
#include "domain/text.h"

enum { RECORD_BYTES = 128, STACK_BYTES = 65536, FRAMES = 64, ADDRESS_DIGITS = 2 * sizeof(uintptr_t) };

static const struct fault {
    int number;
    const char *name;
} faults[] = {
    {SIGSEGV, "SIGSEGV"},
    {SIGBUS,  "SIGBUS" },
    {SIGILL,  "SIGILL" },
    {SIGFPE,  "SIGFPE" },
    {SIGABRT, "SIGABRT"},
};
enum { FAULTS = sizeof faults / sizeof *faults };

static struct {
    int fd; /* of the file; -1: none */
    uint64_t count;
    struct sigaction before[FAULTS];
    char stack[STACK_BYTES];
} watch = {.fd = -1};

uint64_t crash_count(void)
{
    return watch.count;
}

/* Always the whole record in one call: a reader finds the old one or the new one. */
static bool write_record(struct text *t)
{
    while (t->len < RECORD_BYTES - 1)
        text_str(t, " ");
    t->at[RECORD_BYTES - 1] = '\n';
    return pwrite(watch.fd, t->at, RECORD_BYTES, 0) == RECORD_BYTES;
}

static void begin_record(struct text *t, char memory[RECORD_BYTES], uint64_t count)
{
    text_init(t, memory, RECORD_BYTES);
    text_str(t, "crashes ");
    text_dec(t, (int64_t)count);
}

static void put_address(struct text *t, const void *address)
{
    uintptr_t v = (uintptr_t)address;
    unsigned digits = ADDRESS_DIGITS;
    while (digits > 1 && v >> 4 * (digits - 1) == 0)
        digits--;
    text_str(t, "0x");
    while (digits-- > 0)
        text_put(t, (char[]){text_hex_digit((unsigned)(v >> 4 * digits))}, 1);
}

static void count_it(const char *signal, const char *address)
{
    char memory[RECORD_BYTES];
    struct text t;
    begin_record(&t, memory, watch.count + 1);
    text_str(&t, " ");
    text_str(&t, signal);
    text_str(&t, " ");
    text_str(&t, address);
    text_str(&t, " ");
    text_dec(&t, getpid());
    text_str(&t, " ");
    text_dec(&t, time(NULL));
    write_record(&t);
}

static void say_where(void)
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

/* The signal is blocked while this runs: what is raised here arrives, with the handler of before, at the
 * return, and a core shows the place of the fault. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    char memory[ADDRESS_DIGITS + 3];
    struct text address;
    unsigned i = 0;
    (void)context;
    while (i + 1 < FAULTS && faults[i].number != number)
        i++;
    for (unsigned k = 0; k < FAULTS; k++)
        sigaction(faults[k].number, &watch.before[k], NULL);
    text_init(&address, memory, sizeof memory);
    /* A signal that was sent has a sender and no address. */
    put_address(&address, info->si_code > 0 ? info->si_addr : NULL);
    LOG(LOG_ERROR, "crashed", log_text("signal", faults[i].name), log_text("address", memory),
        log_int("code", info->si_code), log_int("sender", info->si_code > 0 ? 0 : info->si_pid),
        log_int("pid", getpid()));
    if (watch.fd >= 0)
        count_it(faults[i].name, memory);
    say_where();
    raise(number);
}

static bool take_signals(void)
{
    static const size_t size = sizeof watch.stack;
    stack_t stack = {.ss_sp = watch.stack, .ss_size = size};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    void *first[1];
    backtrace(first, 1);
    sigemptyset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) < 0)
        return false;
    for (unsigned i = 0; i < FAULTS; i++)
        if (sigaction(faults[i].number, &action, &watch.before[i]) < 0)
            return false;
    return true;
}

/* Logs what was left, if it was not seen yet. False: this is no record of ours. */
static bool take_record(const char *file, char record[RECORD_BYTES + 1])
{
    char signal[16] = "", address[ADDRESS_DIGITS + 3] = "";
    long long pid = 0, at = 0;
    int fields =
        sscanf(record, "crashes %" SCNu64 " %15s %18s %lld %lld", &watch.count, signal, address, &pid, &at);
    if (fields != 1 && fields != 5)
        return false;
    if (fields == 5)
        LOG(LOG_ERROR, "crashed-before", log_text("signal", signal), log_text("address", address),
            log_int("pid", pid), log_int("seconds_ago", time(NULL) - at),
            log_int("crashes", (long long)watch.count), log_text("file", file));
    return true;
}

static bool open_record(const char *file, char *err, size_t errlen)
{
    char record[RECORD_BYTES + 1];
    struct text t;
    struct stat st;
    watch.fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    ssize_t n = watch.fd < 0 ? -1 : pread(watch.fd, record, RECORD_BYTES, 0);
    if (n < 0) {
        snprintf(err, errlen, "cannot open %s: %s", file, strerror(errno));
        return false;
    }
    record[n] = '\0';
    if (fstat(watch.fd, &st) < 0 || !S_ISREG(st.st_mode) || (n > 0 && !take_record(file, record))) {
        snprintf(err, errlen, "%s is not a file of crashes: name another one, or remove it", file);
        return false;
    }
    begin_record(&t, record, watch.count);
    if (!write_record(&t)) {
        snprintf(err, errlen, "cannot write %s: %s", file, strerror(errno));
        return false;
    }
    return true;
}

static void close_record(void)
{
    if (watch.fd >= 0)
        close(watch.fd);
    watch.fd = -1;
}

bool crash_watch(const char *file, char *err, size_t errlen)
{
    if (file[0] != '\0' && !open_record(file, err, errlen)) {
        close_record();
        return false;
    }
    if (take_signals())
        return true;
    snprintf(err, errlen, "cannot take the signals of a crash: %s", strerror(errno));
    close_record();
    return false;
}
