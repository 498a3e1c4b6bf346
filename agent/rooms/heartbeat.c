// SPDX-License-Identifier: MIT
/* One table of due times, one row for each TTL code that a token can carry (token.h). A listing is walked
 * once; those that are due are sorted by the record TTL that their policy has and sent in batches. */
#include "rooms/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "domain/evidence.h"
#include "domain/script.h"
#include "domain/slotmap.h"
#include "rooms/monotonic.h"

enum { CODES = 256 };
/* Another agent's policy may have a shorter lock than any of this file: half of the shortest that there is (options: 2 s).
 * A listing costs HAProxy some 1.3 us for each running request. */
#define LIST_EVERY 1.0
/* So long after a failure each token has a command of its own in a cluster: while a slot moves, a command of
 * several is refused at both ends when one key is here and one there. Seconds. */
#define APART 60.0
/* No listing is waited for longer (worker.c). */
#define LONGEST 5.0

struct running {
    struct token token;
    uint32_t ttl_s;
    unsigned slot; /* 0: no cluster */
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
    struct running from; /* the first that Redis' queue had no room for: the next round begins with it */
    double apart_until;
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
        h->apart_until = monotonic_now() + APART;
        failed(h);
        return;
    }
    metrics_add(h->metrics, METRIC_HEARTBEATS);
    count(h, reply);
}

/* By what may go together, and no two alike. */
static int by_place(const void *a, const void *b)
{
    const struct running *x = a, *y = b;
    if (x->ttl_s != y->ttl_s)
        return x->ttl_s > y->ttl_s ? 1 : -1;
    if (x->slot != y->slot)
        return x->slot > y->slot ? 1 : -1;
    return memcmp(&x->token.id, &y->token.id, sizeof x->token.id);
}

/* One command from `at` on, for those up to n with the same record TTL; in a cluster, and the same slot. How many
 * they are; said: Redis' queue had room for it. */
static size_t extend_some(struct heartbeat *h, size_t at, size_t n, unsigned most, bool *said)
{
    struct token tokens[SCRIPT_EXTEND_MAX];
    const struct running *first = &h->batch[at];
    unsigned k = 0;
    for (; k < most && at + k < n && first[k].ttl_s == first->ttl_s && first[k].slot == first->slot; k++)
        tokens[k] = first[k].token;
    buf_reset(&h->command);
    script_extend(&h->command, tokens, k, first->ttl_s);
    *said = teller_say(h->teller, &h->command, on_extended, h);
    return k;
}

/* Where the round begins: with the first that is not before `from`. */
static size_t place_of(const struct heartbeat *h, size_t n)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_place(&h->batch[middle], &h->from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* All of them, around from where Redis' queue was full the last time: who is refused is the first in the next
 * round, so more than the queue holds are extended in turns. */
static void extend(struct heartbeat *h, size_t n)
{
    bool apart = teller_by_tag(h->teller) && monotonic_now() < h->apart_until, full = false;
    qsort(h->batch, n, sizeof *h->batch, by_place);
    size_t from = place_of(h, n), begin[] = {from, 0}, end[] = {n, from};
    for (unsigned part = 0; part < 2; part++) {
        for (size_t at = begin[part], k; at < end[part]; at += k) {
            bool said;
            k = extend_some(h, at, end[part], apart ? 1 : SCRIPT_EXTEND_MAX, &said);
            if (said)
                continue;
            if (!full)
                h->from = h->batch[at];
            full = true;
            failed(h);
        }
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
        r->slot = teller_by_tag(h->teller) ? slot_of_tag(r->token.id.tag) : 0;
        r->ttl_s = policy_record_s(policy_by_hash(h->config, r->token.policy), r->token.flags & TOKEN_BARE);
        n += h->now_due[r->token.ttl];
    }
    if (n > 0)
        extend(h, n);
    return ours;
}
