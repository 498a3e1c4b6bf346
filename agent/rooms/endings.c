// SPDX-License-Identifier: MIT
/* A table of executions that have ended, by token: what a notice said, which status an answer had, and
 * whether the word about it has been confirmed. HAProxy lists the same entry at each poll for a second; this
 * is what keeps the word from being said each time. */
#include "rooms/endings.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "rooms/monotonic.h"

enum { BUCKETS = 4096, WORDS_MOST = 1000 };
/* HAProxy lists an ended entry for `expire` (1 s); what was not listed for so long never will be again. */
#define FORGET_AFTER 3.0
/* A timer's jitter must not make a wait of one poll two. */
#define ONE_POLL_LEAST 0.8
/* HAProxy writes the notice before its table shows the end: by the next turn of the loop it is here. */
#define NOTICE_TRAVEL 0.004

enum state { WAITING, SAID, CONFIRMED };

struct ended {
    struct ended *next;
    struct endings *endings;
    uint8_t key[TOKEN_BYTES];
    enum state state;
    enum ending ending, said; /* what a notice said; and what the word was chosen by */
    bool listed, mine;        /* HAProxy's table has proved the end; to us, or to another agent as well */
    unsigned status;          /* of an answer that began, from whichever table knew it; 0: none */
    double first_at, last_at;
    char letter; /* what it becomes: T, F, H, or C for committed */
    struct completion_ticket *ticket;
};

struct endings {
    struct teller *teller;
    struct completion *completion;
    struct metrics *metrics;
    const struct config *config;
    unsigned n;
    unsigned words; /* said in this poll: claims need room beside the words of an outage's end */
    struct ended *bucket[BUCKETS];
    struct buf command;
    struct log_gate full_gate, strange_gate;
};

static struct ended **bucket_of(struct endings *e, const struct token *t)
{
    uint32_t random;
    memcpy(&random, t->rid, sizeof random);
    return &e->bucket[(random ^ (uint32_t)t->fence) % BUCKETS];
}

static struct ended *find(struct endings *e, const struct token *t, const uint8_t key[TOKEN_BYTES])
{
    for (struct ended *d = *bucket_of(e, t); d; d = d->next)
        if (memcmp(d->key, key, TOKEN_BYTES) == 0)
            return d;
    return NULL;
}

/* The entry of a token, made if there is none; NULL: no room. */
static struct ended *entry(struct endings *e, const struct token *t, double now)
{
    uint8_t key[TOKEN_BYTES];
    token_pack(t, key);
    struct ended *d = find(e, t, key);
    if (d)
        return d;
    d = e->n < e->config->inflight.max_entries ? calloc(1, sizeof *d) : NULL;
    if (!d) {
        if (log_gate_open(&e->full_gate, 1, now))
            LOG(LOG_WARNING, "endings-full", log_int("entries", e->n),
                log_text("way_out", "raise inflight.max_entries, or find out why Redis does not confirm"));
        return NULL;
    }
    struct ended **b = bucket_of(e, t);
    d->next = *b;
    d->endings = e;
    memcpy(d->key, key, TOKEN_BYTES);
    d->ending = ENDING_UNSAID;
    d->first_at = d->last_at = now;
    *b = d;
    e->n++;
    return d;
}

static void count(struct endings *e, char letter)
{
    static const struct {
        char letter;
        enum metric metric;
    } rows[] = {
        {'F', METRIC_RESOLVED_FREE  },
        {'H', METRIC_RESOLVED_HELD  },
        {'T', METRIC_RESOLVED_TOMB  },
        {'C', METRIC_RESOLVED_COMMIT}
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].letter == letter)
            metrics_add(e->metrics, rows[i].metric);
}

static void on_resolved(void *arg, struct spop_slice reply)
{
    struct ended *d = arg;
    struct endings *e = d->endings;
    /* A notice that came meanwhile may know more. */
    d->state = reply.ptr && d->said == d->ending ? CONFIRMED : WAITING;
    if (!reply.ptr)
        return;
    if (*reply.ptr == 'S')
        count(e, d->letter);
    else if (*reply.ptr == 'L')
        metrics_add(e->metrics, METRIC_LOST_LOCK);
    else if (*reply.ptr != 'N' && log_gate_open(&e->strange_gate, 1, monotonic_now()))
        LOG(LOG_WARNING, "resolve-refused", log_bytes("reply", reply),
            log_int("left_out", e->strange_gate.left_out));
}

static void on_completed(void *arg, enum completion_result result)
{
    struct ended *d = arg;
    d->ticket = NULL;
    d->state = result == COMPLETION_DROPPED ? WAITING : CONFIRMED;
    if (result == COMPLETION_DONE || result == COMPLETION_BARE)
        count(d->endings, result == COMPLETION_BARE ? 'T' : d->letter);
}

static char letter_of(const struct word *w)
{
    switch (w->script) {
    case SCRIPT_COMPLETE: return 'C';
    case SCRIPT_RELEASE: return 'F';
    default: return w->letter;
    }
}

/* Says the word that follows; a word that may wait goes to the room that keeps it. */
static void say(struct endings *e, struct ended *d, const struct token *t)
{
    struct word w = {0};
    evidence_of_end(policy_by_hash(e->config, t->policy), t, d->status, d->ending, &w);
    d->letter = letter_of(&w);
    d->said = d->ending;
    e->words++;
    if (w.script == SCRIPT_RESOLVE) {
        buf_reset(&e->command);
        script_word(&e->command, &w);
        if (teller_say_safely(e->teller, &e->command, on_resolved, d))
            d->state = SAID;
        return;
    }
    d->ticket = completion_put(e->completion, &w, 0, on_completed, d);
    if (d->ticket)
        d->state = SAID;
}

static double one_poll(const struct endings *e)
{
    return e->config->inflight.poll_ms / 1000.0;
}

/* Is the word due, or may a notice still come that knows more? */
static bool due(const struct endings *e, const struct ended *d, bool mine, double now)
{
    if (d->state != WAITING || e->words >= WORDS_MOST)
        return false;
    if (d->ending != ENDING_UNSAID)
        return true;
    if (!mine)
        return false;
    return !*e->config->notices.listen || now - d->first_at >= ONE_POLL_LEAST * one_poll(e);
}

bool endings_seen(struct endings *e, const struct token *t, unsigned gpt0, bool mine, double now)
{
    struct ended *d = entry(e, t, now);
    if (!d)
        return false;
    d->last_at = now;
    d->listed = true;
    d->mine = mine;
    d->status = gpt0 ? gpt0 : d->status;
    if (due(e, d, mine, now))
        say(e, d, t);
    return d->state == CONFIRMED;
}

/* Without a notice only an end without an answer, and without hold, can mean but one thing, and still not in
 * the moment in which it is seen first: the notice may lie in our socket. */
static bool clear(const struct endings *e, const struct ended *d, const struct token *t, double now)
{
    if (d->ending != ENDING_UNSAID || !*e->config->notices.listen)
        return true;
    return d->status == 0 && !(t->flags & TOKEN_HOLD) && now - d->first_at >= NOTICE_TRAVEL;
}

bool endings_wanted(struct endings *e, const struct token *t, unsigned gpt0, double now)
{
    struct ended *d = entry(e, t, now);
    if (!d)
        return false;
    d->last_at = now;
    d->listed = true;
    d->status = gpt0 ? gpt0 : d->status;
    if (d->state == WAITING && e->words < WORDS_MOST && clear(e, d, t, now))
        say(e, d, t);
    return d->state != WAITING;
}

/* HAProxy logs a status for its own error pages too: only in these phases of the stream had an answer of the
 * backend begun (doc/configuration.txt, section 8.5, second letter). */
static unsigned status_seen(const struct notice *n)
{
    return strchr("DL-", n->ts[1]) && n->ts[1] ? n->status : 0;
}

void endings_notice(struct endings *e, const struct notice *n, bool gone, double now)
{
    struct ended *d = entry(e, &n->token, now);
    if (!d)
        return;
    d->last_at = now;
    /* It came after all: the word that it gives may say more than the one that was said without it. */
    if (d->state == CONFIRMED && d->ending == ENDING_UNSAID)
        d->state = WAITING;
    d->ending = notice_ending(n);
    if (d->state != WAITING || (!gone && d->ending != ENDING_NEVER_SENT))
        return;
    if (gone && d->status == 0)
        d->status = status_seen(n);
    say(e, d, &n->token);
}

/* One listing is proof for good: the wait for a notice must not need another one. A worker that a reload
 * replaces sweeps its ended entries out once a second, however young they are. */
static void say_late(struct endings *e, struct ended *d, double now)
{
    struct token t;
    if (d->listed && due(e, d, d->mine, now) && token_unpack(d->key, &t) == 0)
        say(e, d, &t);
}

void endings_sweep(struct endings *e, double now)
{
    e->words = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct ended **at = &e->bucket[i]; *at;) {
            struct ended *d = *at;
            say_late(e, d, now);
            if (d->state == SAID || now - d->last_at <= FORGET_AFTER) {
                at = &d->next;
                continue;
            }
            *at = d->next;
            free(d);
            e->n--;
        }
    }
}

struct endings *endings_new(struct teller *teller, struct completion *completion, struct metrics *metrics)
{
    struct endings *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->teller = teller;
    e->completion = completion;
    e->metrics = metrics;
    buf_init(&e->command);
    return e;
}

void endings_free(struct endings *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (e->bucket[i]) {
            struct ended *d = e->bucket[i];
            e->bucket[i] = d->next;
            if (d->ticket)
                completion_forget(d->ticket);
            free(d);
        }
    }
    buf_free(&e->command);
    free(e);
}

void endings_configure(struct endings *e, const struct config *config)
{
    e->config = config;
}
