// SPDX-License-Identifier: MIT
/* One table of due times, one row for each TTL code that a token can carry (token.h). A listing is walked
 * once; those that are due are sorted by the record TTL that their policy has and sent in batches. */
#include "rooms/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "domain/evidence.h"
#include "domain/script.h"
#include "rooms/monotonic.h"

enum { CODES = 256 };
/* Another agent's policy may have a shorter lock than any of this file: half of the shortest that there is (options: 2 s).
 * A listing costs HAProxy some 1.3 us for each running request. */
#define LIST_EVERY 1.0
/* No listing is waited for longer (worker.c). */
#define LONGEST 5.0

struct running {
    struct token token;
    uint32_t ttl_s;
};

struct heartbeat {
    struct teller *teller;
    struct metrics *metrics;
    const struct config *config;
    double due[CODES];
    bool now_due[CODES]; /* in the listing that was asked for last; what a busy worker missed is due again */
    bool seen[CODES];    /* a policy of ours has it, or a token in the last listing */
    double list_at;
    struct running *batch; /* scratch */
    size_t cap;
    struct buf command;
    struct log_gate gate;
};

struct heartbeat *heartbeat_new(struct teller *teller, struct metrics *metrics)
{
    struct heartbeat *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->teller = teller;
    h->metrics = metrics;
    buf_init(&h->command);
    return h;
}

void heartbeat_free(struct heartbeat *h)
{
    if (!h)
        return;
    buf_free(&h->command);
    free(h->batch);
    free(h);
}

static void see_policies(struct heartbeat *h)
{
    memset(h->seen, 0, sizeof h->seen);
    for (unsigned i = 0; i < h->config->npolicies; i++) {
        const struct policy *p = &h->config->policies[i];
        if (p->idempotency.enabled || policy_has_slots(p))
            h->seen[token_ttl_code(policy_lock_s(p))] = true;
    }
}

void heartbeat_configure(struct heartbeat *h, const struct config *config)
{
    h->config = config;
    see_policies(h);
    heartbeat_again(h);
}

void heartbeat_again(struct heartbeat *h)
{
    memset(h->due, 0, sizeof h->due);
    h->list_at = 0;
}

/* Half a heartbeat. */
static double interval(unsigned code)
{
    return token_ttl_seconds((uint8_t)code) / 6.0;
}

double heartbeat_shortest(const struct heartbeat *h)
{
    double shortest = LONGEST;
    for (unsigned i = 0; i < h->config->npolicies; i++) {
        const struct policy *p = &h->config->policies[i];
        double heartbeat = 2 * interval(token_ttl_code(policy_lock_s(p)));
        if ((p->idempotency.enabled || policy_has_slots(p)) && heartbeat < shortest)
            shortest = heartbeat;
    }
    return shortest;
}

bool heartbeat_begin(struct heartbeat *h, double now)
{
    bool list = now >= h->list_at;
    for (unsigned i = 0; i < CODES; i++)
        list = list || (h->seen[i] && now >= h->due[i]);
    if (!list)
        return false;
    h->list_at = now + LIST_EVERY;
    for (unsigned i = 0; i < CODES; i++) {
        h->now_due[i] = now >= h->due[i];
        if (h->now_due[i])
            h->due[i] = now + interval(i);
    }
    see_policies(h);
    return true;
}

static void count(struct heartbeat *h, struct spop_slice reply)
{
    unsigned lost = 0;
    for (size_t i = 0; i < reply.len; i++) {
        bool gone = reply.ptr[i] == 'L' || reply.ptr[i] == 'X';
        metrics_add(h->metrics, gone ? METRIC_EXTEND_LOST : METRIC_EXTENDED);
        lost += gone;
    }
    if (lost && log_gate_open(&h->gate, 1, monotonic_now()))
        LOG(LOG_WARNING, "extend-lost", log_int("executions", lost), log_int("left_out", h->gate.left_out));
}

static void failed(struct heartbeat *h)
{
    metrics_add(h->metrics, METRIC_HEARTBEATS_FAILED);
    heartbeat_again(h);
}

static void on_extended(void *arg, struct spop_slice reply)
{
    struct heartbeat *h = arg;
    if (!reply.ptr) {
        failed(h);
        return;
    }
    metrics_add(h->metrics, METRIC_HEARTBEATS);
    count(h, reply);
}

static int by_ttl_and_tag(const void *a, const void *b)
{
    const struct running *x = a, *y = b;
    if (x->ttl_s != y->ttl_s)
        return x->ttl_s > y->ttl_s ? 1 : -1;
    return memcmp(x->token.id.tag, y->token.id.tag, sizeof x->token.id.tag);
}

/* May b be in the command of a? */
static bool go_together(const struct heartbeat *h, const struct running *a, const struct running *b)
{
    return a->ttl_s == b->ttl_s && (!teller_by_tag(h->teller) ||
                                    memcmp(a->token.id.tag, b->token.id.tag, sizeof a->token.id.tag) == 0);
}

/* One command for each batch of tokens with the same record TTL; in a cluster, and the same slot. */
static void extend(struct heartbeat *h, size_t n)
{
    struct token tokens[SCRIPT_EXTEND_MAX];
    qsort(h->batch, n, sizeof *h->batch, by_ttl_and_tag);
    for (size_t at = 0; at < n;) {
        unsigned k = 0;
        const struct running *first = &h->batch[at];
        while (at < n && k < SCRIPT_EXTEND_MAX && go_together(h, first, &h->batch[at]))
            tokens[k++] = h->batch[at++].token;
        buf_reset(&h->command);
        script_extend(&h->command, tokens, k, first->ttl_s);
        if (!teller_say(h->teller, &h->command, on_extended, h))
            failed(h);
    }
}

static bool make_room(struct heartbeat *h, size_t n)
{
    if (n <= h->cap)
        return true;
    struct running *batch = realloc(h->batch, n * sizeof *batch);
    if (!batch)
        return false;
    h->batch = batch;
    h->cap = n;
    return true;
}

unsigned heartbeat_running(struct heartbeat *h, struct listing *l)
{
    unsigned ours = 0;
    size_t n = 0;
    struct listing_entry e;
    if (!make_room(h, l->n)) {
        heartbeat_again(h);
        return 0;
    }
    while (listing_next(l, &e)) {
        struct running *r = &h->batch[n];
        if (token_read(e.key.ptr, e.key.len, &r->token) != 0)
            continue;
        ours++;
        if (e.gpt0 >= LISTING_SETTLED)
            continue; /* its record has an end already, only its bytes are still on their way */
        h->seen[r->token.ttl] = true;
        r->ttl_s = policy_record_s(policy_by_hash(h->config, r->token.policy), r->token.flags & TOKEN_BARE);
        n += h->now_due[r->token.ttl];
    }
    if (n > 0)
        extend(h, n);
    return ours;
}
