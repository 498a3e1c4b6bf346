// SPDX-License-Identifier: MIT
/* The object of a transaction, and how it ends.
 *
 *   txn_new ──► dispatch ──► txn_request, txn_response, txn_refused ──► .. ──► txn_end ──► spare
 *
 * A transaction is in its owner's list, or its owner has gone; somebody (a call to Redis, a ticket, a wait)
 * holds it until it ends. What few of them need are parts of their own, kept in the same way. */
#include "rooms/txn_inner.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "domain/verdict.h"
#include "spop/frame.h"

enum { WHERE_KEPT = 1024 }; /* bytes of a URL's memory that a spare part keeps */

/* One ACK is written at a time, and is copied by the owner before the next. */
static uint8_t scratch[TXN_ACK_MAX];
static struct spop_writer ack;

static void link_owner(struct txn *t, struct txn_owner *owner)
{
    t->owner = owner;
    t->prev = NULL;
    t->next = owner->first;
    if (t->next)
        t->next->prev = t;
    owner->first = t;
    owner->waiting++;
}

static void unlink_owner(struct txn *t)
{
    if (!t->owner)
        return;
    if (t->prev)
        t->prev->next = t->next;
    else
        t->owner->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->owner->waiting--;
    t->owner = NULL;
}

/* Of the gate's spare ones, or new. */
bool txn_wants_cache(struct txn *t)
{
    struct gate *g = t->gate;
    t->cache = g->spare_caches;
    if (t->cache)
        g->spare_caches = t->cache->next;
    else
        t->cache = calloc(1, sizeof *t->cache);
    return t->cache != NULL;
}

bool txn_wants_lent(struct txn *t)
{
    struct gate *g = t->gate;
    if (t->lent)
        return true;
    t->lent = g->spare_lents;
    if (t->lent)
        g->spare_lents = t->lent->next;
    else
        t->lent = calloc(1, sizeof *t->lent);
    return t->lent != NULL;
}

static void give_back_parts(struct txn *t)
{
    struct gate *g = t->gate;
    if (t->cache) {
        if (t->cache->where.cap > WHERE_KEPT)
            buf_free(&t->cache->where);
        t->cache->next = g->spare_caches;
        g->spare_caches = t->cache;
    }
    if (t->lent) {
        t->lent->next = g->spare_lents;
        g->spare_lents = t->lent;
    }
}

static struct txn *txn_new(struct gate *g, struct txn_owner *owner)
{
    struct txn *t = g->spare;
    if (t)
        g->spare = t->next;
    else if (!(t = calloc(1, sizeof *t)))
        return NULL;
    t->gate = g;
    t->config = config_hold(g->config);
    t->began = ev_now(g->loop);
    t->full = owner->waiting >= g->config->spop.max_pending;
    t->ticket = NULL;
    t->fence = 0;
    strcpy(t->correlation, "-");
    t->looked = t->waited = false;
    t->cache = NULL;
    t->cache_call = NULL;
    t->lent = NULL;
    t->share.asker = NULL;
    t->parked.lot = NULL;
    t->wait_until = 0;
    ev_init(&t->patience, NULL);
    link_owner(t, owner);
    g->live++;
    return t;
}

static void txn_free(struct txn *t)
{
    struct gate *g = t->gate;
    struct share *behind = sharing_leave(g->sharing, &t->share);
    txn_stop_waiting(t, PARKED_REFUSED);
    if (t->cache_call)
        redis_detach(t->cache_call);
    give_back_parts(t);
    unlink_owner(t);
    ev_timer_stop(g->loop, &t->patience);
    config_drop(t->config);
    g->live--;
    t->next = g->spare;
    g->spare = t;
    txn_ask_anew(behind);
}

struct spop_writer *txn_ack(struct txn *t)
{
    spop_writer_init(&ack, scratch, sizeof scratch);
    spop_ack_begin(&ack, t->stream_id, t->frame_id);
    return &ack;
}

static void too_large(const struct txn *t, size_t len)
{
    static struct log_gate gate;
    if (log_gate_open(&gate, 1, t->began))
        LOG(LOG_WARNING, "ack-too-large", log_int("bytes", (long long)len),
            log_int("max_frame", t->owner->max_frame), log_text("correlation", t->correlation),
            log_int("left_out", gate.left_out));
}

void txn_end(struct txn *t, const struct grant *grant)
{
    struct txn_owner *owner = t->owner;
    size_t len = spop_frame_end(&ack);
    /* A frame that HAProxy could not take would cost the whole connection: an empty ACK is refused safely. */
    if (owner && (len == 0 || len - SPOP_PREFIX > owner->max_frame)) {
        too_large(t, len);
        if (grant)
            gate_take_back(t->gate, grant);
        grant = NULL;
        txn_ack(t);
        len = spop_frame_end(&ack);
    }
    if (owner)
        owner->answer(owner, scratch, len, grant);
    else if (grant)
        gate_take_back(t->gate, grant);
    txn_free(t);
}

void txn_end_empty(struct txn *t)
{
    txn_ack(t);
    txn_end(t, NULL);
}

void txn_deny(struct txn *t, enum problem p, const char *detail, unsigned retry_s)
{
    verdict_deny(txn_ack(t), t->config->problems.base, p, detail, retry_s);
    txn_end(t, NULL);
}

void txn_release_rid(struct txn *t, const struct record_id *id, const uint8_t rid[8], ev_tstamp not_before)
{
    struct word w = {
        .script = SCRIPT_RELEASE_RID, .ttl_s = CONFIG_RECORD_DEFAULT_S, .correlation = t->correlation};
    script_token(&t->plan, 0, &w.token);
    w.token.id = *id;
    memcpy(w.token.rid, rid, sizeof w.token.rid);
    completion_put(t->gate->completion, &w, not_before, NULL, NULL);
}

size_t txn_buffer(const struct txn *t)
{
    size_t bufsize = (size_t)t->owner->max_frame + SPOP_PREFIX;
    size_t kept = t->config->spop.maxrewrite ? t->config->spop.maxrewrite : bufsize / 2;
    return bufsize > kept ? bufsize - kept : 0;
}

static void correlate(struct txn *t, struct spop_slice id)
{
    if (id.len == 0)
        return;
    size_t len = id.len < sizeof t->correlation ? id.len : sizeof t->correlation - 1;
    memcpy(t->correlation, id.ptr, len);
    t->correlation[len] = '\0';
}

static void bad_message(struct txn *t, struct spop_slice name, const char *why)
{
    static struct log_gate gate;
    metrics_add(t->gate->metrics, METRIC_SPOP_BAD_MESSAGES);
    if (log_gate_open(&gate, 10, t->began))
        LOG(LOG_WARNING, "message-refused", log_bytes("message", name), log_text("why", why),
            log_text("correlation", t->correlation), log_int("left_out", gate.left_out));
}

static enum facts_result take_response(struct txn *t, struct spop_cursor *payload, struct spop_message *m,
                                       void (*take)(struct txn *t, const struct response_facts *f))
{
    struct response_facts f;
    struct facts_error bad;
    enum facts_result result = facts_read_response(payload, m, &f, &bad);
    correlate(t, f.correlation);
    if (result == FACTS_READ) {
        take(t, &f);
    } else if (result == FACTS_WRONG) {
        bad_message(t, m->name, bad.text);
        txn_end_empty(t);
    }
    return result;
}

static enum facts_result take_request(struct txn *t, struct spop_cursor *payload, struct spop_message *m,
                                      void (*take)(struct txn *t, const struct request_facts *f))
{
    struct request_facts f;
    struct facts_error bad;
    enum facts_result result = facts_read_request(payload, m, &f, &bad);
    correlate(t, f.correlation);
    if (result == FACTS_READ) {
        take(t, &f);
    } else if (result == FACTS_WRONG) {
        bad_message(t, m->name, bad.text);
        txn_deny(t, PROBLEM_UNAVAILABLE, "The gateway's message is incomplete", 0);
    }
    return result;
}

/* Reads one message of a kind that we know and does what it asks for; t is gone afterwards, or waits. -1:
 * malformed, and nothing was done. */
static int dispatch(struct txn *t, struct spop_cursor *payload, struct spop_message *m)
{
    enum facts_result result = FACTS_MALFORMED;
    switch (message_kind(m->name)) {
    case MESSAGE_RESPONSE: result = take_response(t, payload, m, txn_response); break;
    case MESSAGE_FILL: result = take_response(t, payload, m, txn_fill); break;
    case MESSAGE_CACHE: result = take_request(t, payload, m, txn_cache); break;
    case MESSAGE_UNSAFE: result = take_request(t, payload, m, txn_unsafe); break;
    case MESSAGE_REQUEST: result = take_request(t, payload, m, txn_request); break;
    case MESSAGE_REFUSED: result = take_request(t, payload, m, txn_refused); break;
    case MESSAGE_CHARGE: result = take_request(t, payload, m, txn_charge); break;
    case MESSAGE_UNKNOWN: break; /* find_message() has passed it over */
    }
    return result == FACTS_MALFORMED ? -1 : 0;
}

/* The first message that is ours; the others are told of and passed over. 1 found, 0 none, -1 malformed. */
static int find_message(struct txn *t, struct spop_cursor *payload, struct spop_message *m)
{
    int rc;
    while ((rc = spop_next_message(payload, m)) == 1 && message_kind(m->name) == MESSAGE_UNKNOWN) {
        bad_message(
            t, m->name,
            "no such message: once-request, once-response, once-refused, once-charge, once-cache, once-fill "
            "and once-unsafe are known");
        if (facts_skip(payload, m) < 0)
            return -1;
    }
    return rc;
}

enum spop_status txn_begin(struct gate *g, struct txn_owner *owner, uint64_t stream_id, uint64_t frame_id,
                           struct spop_cursor payload)
{
    struct txn *t = txn_new(g, owner);
    if (!t)
        return SPOP_RESOURCE;
    t->stream_id = stream_id;
    t->frame_id = frame_id;
    struct spop_message m;
    int rc = find_message(t, &payload, &m);
    if (rc == 1)
        rc = dispatch(t, &payload, &m);
    else if (rc == 0)
        txn_end_empty(t);
    if (rc < 0)
        txn_free(t);
    return rc < 0 ? SPOP_INVALID : SPOP_OK;
}

void txn_abandon(struct txn_owner *owner)
{
    while (owner->first) {
        struct txn *t = owner->first;
        unlink_owner(t);
        if (share_waits(&t->share) || (t->parked.lot && !parked_asks(&t->parked))) /* nobody else holds it */
            txn_free(t);
    }
}

void txn_free_spare(struct gate *g)
{
    while (g->spare) {
        struct txn *t = g->spare;
        g->spare = t->next;
        free(t);
    }
    while (g->spare_caches) {
        struct txn_cache *x = g->spare_caches;
        g->spare_caches = x->next;
        buf_free(&x->where);
        buf_free(&x->tags);
        free(x);
    }
    while (g->spare_lents) {
        struct lent *lent = g->spare_lents;
        g->spare_lents = lent->next;
        free(lent);
    }
}
