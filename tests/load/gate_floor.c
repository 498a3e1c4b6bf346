// SPDX-License-Identifier: MIT
/* gate-floor SITE SOCKET PID SECONDS FILL [NAME..]: what one operation costs Redis itself, asked by a pipelined client with nothing
 * around it.
 *
 *   ping, noop                PING; EVALSHA of an empty script
 *   NAME of a policy of SITE  its claim, as the agent says it (domain/script)
 *   NAME complete             its claim, then SET and complete of an answer of 1 KB
 *   bare, bare complete       the same with the peers' scripts (tests/load/peers): no fence, no lease, no process
 *
 * SITE: a configuration file; of its policies those that claim anything for a POST with a key. SOCKET, PID: of Redis. FILL: completed
 * records that are there before (as many as are missing are written). NAME: only these. All variants take turns in slices, each emptied of what it wrote where FILL is not large; medians
 * of the slices. Prints one JSON object: us of Redis' CPU for each, the spread (quartiles), and how many operations there were. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/conffile.h"
#include "domain/record.h"
#include "domain/script.h"
#include "tests/load/process_cpu.h"

enum {
    DEPTH = 64,
    VARIANTS_MAX = 24,
    SLICES_MAX = 400,
    BODY = 1024,
    FILL_BYTES = 1200,
    SCRIPT_BYTES = 16384,
    FILL_AGAIN = 10000
};
static const double slice = 0.1; /* seconds */

enum what { PING, NOOP, CLAIM, COMPLETE, BARE, BARE_COMPLETE };

struct variant {
    char name[96];
    enum what what;
    const char *policy;
    unsigned slices;
    unsigned long operations;
    double us[SLICES_MAX];
};

struct floor {
    redisContext *redis;
    long pid;
    struct config *config;
    uint64_t number; /* of keys made so far */
    struct buf out, stored;
    struct plan plan[DEPTH];
    char noop[41], gate[41], complete[41];
    unsigned n;
    struct variant variant[VARIANTS_MAX];
    char **only; /* ends with NULL; none: all */
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "gate-floor: %s: %s\n", what, why);
    exit(1);
}

static redisReply *one_reply(struct floor *f)
{
    void *reply = NULL;
    if (redisGetReply(f->redis, &reply) != REDIS_OK)
        stop("Redis", f->redis->errstr);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
        stop("Redis", ((redisReply *)reply)->str);
    return reply;
}

/* Of scripts those that have done what is measured: granted (F), stored (S), or nothing. */
static void swallow(struct floor *f, unsigned n)
{
    for (; n > 0; n--) {
        redisReply *r = one_reply(f);
        if (r->type == REDIS_REPLY_STRING && r->len > 0 && *r->str != 'F' && *r->str != 'S')
            stop("a script was to grant or to store, and said", r->str);
        freeReplyObject(r);
    }
}

static void load(struct floor *f, const char *text, size_t len, char sha[41])
{
    redisAppendCommand(f->redis, "SCRIPT LOAD %b", text, len);
    redisReply *r = one_reply(f);
    memcpy(sha, r->str, 41);
    freeReplyObject(r);
}

static void load_file(struct floor *f, const char *path, char sha[41])
{
    static char text[SCRIPT_BYTES];
    FILE *file = fopen(path, "r");
    if (!file)
        stop(path, "cannot be opened (run this at the root of the source)");
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    load(f, text, len, sha);
}

static struct spop_slice text_of(char *memory, size_t size, const char *format, uint64_t n)
{
    int len = snprintf(memory, size, format, (unsigned long long)n);
    return (struct spop_slice){memory, (size_t)len};
}

/* The plan of a request that nobody made before; is there anything to claim? */
static bool plan_next(struct floor *f, const char *policy, struct plan *out)
{
    static const char sha[32] = "01234567890123456789012345678901";
    char key[40], rid[48];
    f->number++;
    struct request_facts r = {
        .policy = slice_of(policy),
        .rid = text_of(rid, sizeof rid, "00000000-0000-4000-8000-%012llx", f->number),
        .process = slice_of("1.1.bench"),
        .method = slice_of("POST"),
        .host = slice_of("bench"),
        .path = slice_of("/pay"),
        .key = text_of(key, sizeof key, "floor-%llu", f->number),
        .keys = 1,
        .sha = {sha,               sizeof sha                },
        .body_len = 200,
        .content_length = 200,
        .head_len = 160,
        .src = {.type = SPOP_IPV4, .bytes = {"\x7f\0\0\1", 4}},
    };
    plan_request(f->config, &r, 15360, out);
    return out->kind == PLAN_CLAIM;
}

static void say_claim(struct floor *f, struct plan *p)
{
    buf_reset(&f->out);
    script_claim(&f->out, p, 0, 1, false, NULL);
    redisAppendFormattedCommand(f->redis, (const char *)f->out.data, f->out.len);
}

static uint64_t fence_of(struct floor *f, const struct plan *p)
{
    struct outcome o;
    redisReply *r = one_reply(f);
    if (r->type != REDIS_REPLY_STRING || outcome_read(r->str, (size_t)r->len, p, &o) < 0 ||
        (o.kind != OUTCOME_GO && o.kind != OUTCOME_LIMITED))
        stop("claim", "was neither granted nor limited");
    freeReplyObject(r);
    return o.fence;
}

static unsigned say_complete(struct floor *f, const struct plan *p, uint64_t fence)
{
    struct word w = {.script = SCRIPT_COMPLETE, .status = 201, .ttl_s = 3600};
    w.pending = (struct spop_slice){(const char *)f->stored.data, f->stored.len};
    script_token(p, fence, &w.token);
    buf_reset(&f->out);
    unsigned commands = script_word(&f->out, &w);
    redisAppendFormattedCommand(f->redis, (const char *)f->out.data, f->out.len);
    return commands;
}

static void round_ours(struct floor *f, const struct variant *v)
{
    uint64_t fence[DEPTH];
    unsigned replies = 0;
    for (unsigned i = 0; i < DEPTH; i++) {
        if (!plan_next(f, v->policy, &f->plan[i]))
            stop(v->policy, "claims no more");
        say_claim(f, &f->plan[i]);
    }
    for (unsigned i = 0; i < DEPTH; i++)
        fence[i] = fence_of(f, &f->plan[i]);
    if (v->what != COMPLETE)
        return;
    for (unsigned i = 0; i < DEPTH; i++)
        replies += say_complete(f, &f->plan[i], fence[i]);
    swallow(f, replies);
}

struct bare {
    char key[40], pending[40], mine[33];
    size_t len;
};

static void bare_name(struct floor *f, struct bare *b)
{
    f->number++;
    b->len = text_of(b->key, sizeof b->key, "k:floor-%llu", f->number).len;
    text_of(b->pending, sizeof b->pending, "t:floor-%llu", f->number);
    memset(b->mine, 'f', sizeof b->mine);
    b->mine[0] = 'P';
    memcpy(b->mine + 17, &f->number, sizeof f->number);
}

static void round_bare(struct floor *f, const struct variant *v)
{
    static const double pace[3] = {1, 1e6, 0};
    char limits[8 + sizeof pace] = "60000\0\1\1";
    struct bare bare[DEPTH];
    memcpy(limits + 8, pace, sizeof pace);
    for (unsigned i = 0; i < DEPTH; i++) {
        struct bare *b = &bare[i];
        bare_name(f, b);
        redisAppendCommand(f->redis, "EVALSHA %s 2 l:bench %b %b %b 30000", f->gate, b->key, b->len, limits,
                           sizeof limits, b->mine, sizeof b->mine);
    }
    swallow(f, DEPTH);
    if (v->what != BARE_COMPLETE)
        return;
    for (unsigned i = 0; i < DEPTH; i++) {
        struct bare *b = &bare[i];
        redisAppendCommand(f->redis, "SET %b %b PX 60000", b->pending, b->len, f->stored.data, f->stored.len);
        redisAppendCommand(f->redis, "EVALSHA %s 2 %b %b %b 60000 %b", f->complete, b->key, b->len,
                           b->pending, b->len, b->mine, sizeof b->mine, b->mine, sizeof b->mine);
    }
    swallow(f, 2 * DEPTH);
}

static void round_plain(struct floor *f, const struct variant *v)
{
    for (unsigned i = 0; i < DEPTH; i++)
        if (v->what == PING)
            redisAppendCommand(f->redis, "PING");
        else
            redisAppendCommand(f->redis, "EVALSHA %s 0", f->noop);
    swallow(f, DEPTH);
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One slice of a variant: us of Redis for each operation. */
static void measure(struct floor *f, struct variant *v)
{
    struct process_cpu before, after;
    unsigned operations = 0;
    if (process_cpu_read(f->pid, &before) < 0)
        stop("PID", "no such process");
    for (double end = wall() + slice; wall() < end; operations += DEPTH) {
        switch (v->what) {
        case PING:
        case NOOP: round_plain(f, v); break;
        case CLAIM:
        case COMPLETE: round_ours(f, v); break;
        default: round_bare(f, v);
        }
    }
    process_cpu_read(f->pid, &after);
    v->operations += operations;
    if (v->slices < SLICES_MAX)
        v->us[v->slices++] = (after.seconds - before.seconds) * 1e6 / operations;
}

static bool wanted(const struct floor *f, const char *name)
{
    for (char **only = f->only; *only; only++)
        if (strcmp(*only, name) == 0)
            return true;
    return !*f->only;
}

static void add(struct floor *f, enum what what, const char *policy, const char *name)
{
    struct variant v = {.what = what, .policy = policy};
    snprintf(v.name, sizeof v.name, "%s%s", name,
             what == COMPLETE || what == BARE_COMPLETE ? " complete" : "");
    if (!wanted(f, v.name))
        return;
    if (f->n == VARIANTS_MAX)
        stop("SITE", "more policies than there is room for");
    f->variant[f->n++] = v;
}

static void add_all(struct floor *f)
{
    add(f, PING, NULL, "ping");
    add(f, NOOP, NULL, "noop");
    add(f, BARE, NULL, "bare");
    add(f, BARE_COMPLETE, NULL, "bare");
    for (unsigned i = 0; i < f->config->npolicies; i++) {
        const struct policy *p = &f->config->policies[i];
        if (!plan_next(f, p->name, &f->plan[0]))
            continue;
        add(f, CLAIM, p->name, p->name);
        if (p->idempotency.enabled)
            add(f, COMPLETE, p->name, p->name);
    }
}

/* Records as complete leaves them, so that the dictionary is as large as it would be. */
static void fill(struct floor *f, uint64_t records)
{
    char value[FILL_BYTES];
    memset(value, 'x', sizeof value);
    for (uint64_t n = 0; n < records; n += DEPTH) {
        for (unsigned i = 0; i < DEPTH; i++)
            redisAppendCommand(f->redis, "SET once:{%04llx}:r:%032llx %b EX 3600",
                               (unsigned long long)((n + i) & 0xffff), (unsigned long long)(n + i), value,
                               sizeof value);
        swallow(f, DEPTH);
    }
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print(struct floor *f)
{
    printf("{");
    for (unsigned i = 0; i < f->n; i++) {
        struct variant *v = &f->variant[i];
        qsort(v->us, v->slices, sizeof *v->us, by_size);
        printf("%s\"%s\": {\"us\": %.3f, \"low\": %.3f, \"high\": %.3f, \"operations\": %lu}", i ? ", " : "",
               v->name, v->us[v->slices / 2], v->us[v->slices / 4], v->us[v->slices * 3 / 4], v->operations);
    }
    printf("}\n");
}

static void complain(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    fprintf(stderr, "gate-floor: %s:%u: %s\n", file, line, text);
}

/* The stored answer: a head that complete fills in, and bytes. */
static void make_stored(struct floor *f)
{
    static char body[BODY];
    struct response r = {
        .status = 201, .headers = {"\0\0", 2          },
             .body = {body,   sizeof body}
    };
    memset(body, 'y', sizeof body);
    if (record_pack_done(&f->stored, &r, NULL, 0) < 0)
        stop("answer", "could not be packed");
}

int main(int argc, char **argv)
{
    static struct floor f;
    if (argc < 6) {
        fprintf(stderr, "usage: gate-floor SITE SOCKET PID SECONDS FILL [NAME..]\n");
        return 2;
    }
    f.config = conffile_read(argv[1], complain, NULL);
    f.redis = f.config ? redisConnectUnix(argv[2]) : NULL;
    f.pid = atol(argv[3]);
    if (!f.redis || f.redis->err)
        stop(argv[2], f.redis ? f.redis->errstr : "no configuration");
    double seconds = atof(argv[4]);
    uint64_t records = strtoull(argv[5], NULL, 10);
    load(&f, "return ''", 9, f.noop);
    load_file(&f, "tests/load/peers/gate/gate.lua", f.gate);
    load_file(&f, "tests/load/peers/gate/complete.lua", f.complete);
    char unused[41];
    for (unsigned i = 0; i < SCRIPTS; i++)
        load(&f, scripts[i].text, scripts[i].len, unused);
    make_stored(&f);
    f.only = argv + 6;
    add_all(&f);
    fill(&f, records);
    f.number = (uint64_t)(wall() * 1e6);
    for (double end = wall() + seconds; wall() < end;)
        for (unsigned i = 0; i < f.n; i++) {
            measure(&f, &f.variant[i]);
            if (records > FILL_AGAIN)
                continue; /* what a slice adds is little beside them */
            freeReplyObject(redisCommand(f.redis, "FLUSHDB"));
            fill(&f, records);
        }
    print(&f);
    redisFree(f.redis);
    config_drop(f.config);
    buf_free(&f.out);
    buf_free(&f.stored);
    return 0;
}
