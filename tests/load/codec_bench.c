// SPDX-License-Identifier: MIT
/* codec-bench SCENARIO: what the codec costs, without a syscall, and whether it allocates.
 *
 *   decode   find and open a NOTIFY frame, walk its message and all its arguments      libspop
 *   encode   an ACK with the variables of a grant                                      libspop
 *   facts    the same NOTIFY to the facts that a decision is made from                 agent/domain
 *
 * The frame is the first message of the scenario. Prints one JSON object: ns (median of batches, of the thread's CPU
 * time) and allocations of all rounds together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "domain/facts.h"
#include "spop/frame.h"
#include "spop/notify.h"
#include "spop/writer.h"
#include "tests/load/scenario.h"

enum { ROUNDS = 20000, BATCHES = 51, FRAME_BYTES = 65536, ACK_BYTES = 4096 };

/* glibc's own; ours counts and passes on. */
extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size),
    *__libc_realloc(void *p, size_t n);
static unsigned long allocations;

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}

static uint8_t frame[FRAME_BYTES], ack[ACK_BYTES];
static size_t frame_len;
static volatile uint64_t sink; /* what was computed is used */

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool open_frame(struct spop_frame *f, struct spop_message *m)
{
    long n = spop_frame_find(frame, frame_len, FRAME_BYTES);
    return n > 0 && spop_frame_open(frame, (size_t)n, f) == SPOP_OK && spop_next_message(&f->payload, m) == 1;
}

static bool decode(void)
{
    struct spop_frame f;
    struct spop_message m;
    struct spop_arg arg;
    uint64_t sum = 0;
    int more = -1;
    if (open_frame(&f, &m))
        while ((more = spop_next_arg(&f.payload, &m, &arg)) > 0)
            sum += arg.value.bytes.len + (uint64_t)arg.value.type;
    sink += sum;
    return more == 0;
}

static bool encode(void)
{
    static const char token[] = "EKsBdHR0dHR0dHR0dHR0dHR0dHQBAAAAAAAAAHJycnJycnJyZmZmZgQDAgEe";
    struct spop_writer w;
    spop_writer_init(&w, ack, sizeof ack);
    spop_ack_begin(&w, 12, 1);
    spop_set_str(&w, SPOP_TXN, "verdict", "go", 2);
    spop_set_str(&w, SPOP_TXN, "reason", "go", 2);
    spop_set_str(&w, SPOP_TXN, "token", token, sizeof token - 1);
    spop_set_str(&w, SPOP_TXN, "execution", token, 32);
    spop_set_int(&w, SPOP_TXN, "fence", 1790000000000000);
    spop_set_str(&w, SPOP_TXN, "key", token, 24);
    size_t len = spop_frame_end(&w);
    sink += ack[len / 2];
    return len > 0;
}

static bool codec(void)
{
    return decode() && encode();
}

static bool facts(void)
{
    struct spop_frame f;
    struct spop_message m;
    struct request_facts r;
    struct facts_error bad;
    bool good = open_frame(&f, &m) && facts_read_request(&f.payload, &m, &r, &bad) == FACTS_READ;
    sink += r.key.len;
    return good;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Median ns of one call; below 0: it failed. */
static double measure(bool (*fn)(void))
{
    static double batch[BATCHES];
    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t began = cpu_ns();
        for (unsigned n = 0; n < ROUNDS; n++)
            if (!fn())
                return -1;
        batch[i] = (double)(cpu_ns() - began) / ROUNDS;
    }
    qsort(batch, BATCHES, sizeof *batch, by_size);
    return batch[BATCHES / 2];
}

static bool make_frame(const char *path)
{
    static const struct scenario_turn turn = {
        "bench-", 4711, 1790000000000000, {1, 2}
    };
    static struct scenario_vars none;
    struct scenario s;
    struct buf payload = {0};
    struct spop_writer w;
    char err[256];
    if (scenario_read(&s, path, err, sizeof err) < 0) {
        fprintf(stderr, "codec-bench: %s\n", err);
        return false;
    }
    bool good = scenario_write(&s, 0, &turn, &none, &payload) && payload.len + 64 < sizeof frame;
    spop_writer_init(&w, frame, sizeof frame);
    spop_frame_begin(&w, SPOP_NOTIFY, 12, 1);
    if (good)
        memcpy(frame + w.len, payload.data, payload.len);
    w.len += payload.len;
    frame_len = spop_frame_end(&w);
    buf_free(&payload);
    scenario_free(&s);
    return good && frame_len > 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*fn)(void);
    } rows[] = {
        {"codec",  codec },
        {"decode", decode},
        {"encode", encode},
        {"facts",  facts },
    };
    double ns[sizeof rows / sizeof *rows];
    if (argc != 2) {
        fprintf(stderr, "usage: codec-bench SCENARIO\n");
        return 2;
    }
    if (!make_frame(argv[1]))
        return 1;
    unsigned long before = allocations;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ns[i] = measure(rows[i].fn);
    unsigned long after = allocations;
    printf("{\"frame_bytes\": %zu", frame_len);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf(", \"%s_ns\": %.1f", rows[i].name, ns[i]);
    printf(", \"allocations\": %lu}\n", after - before);
    return ns[0] < 0 || ns[3] < 0;
}
