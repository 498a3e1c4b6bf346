// SPDX-License-Identifier: MIT
/* What HAProxy reports after the verdict: the response (once-response), or that it refused a claim
 * (once-refused).
 *
 * The client's answer waits for the record, up to completion.response: so a retry after it is a replay, not a
 * 409 (DESIGN, decision 7). The word itself stays in the completion room however long Redis takes. */
#include "rooms/txn_inner.h"

#include "adapters/log.h"
#include "domain/evidence.h"
#include "domain/record.h"
#include "domain/verdict.h"

static struct buf stored;   /* reused: the response of one message, packed */
static struct buf location; /* reused: its Location, if that is sealed */

static void answer(struct txn *t, bool confirmed)
{
    if (!confirmed)
        metrics_add(t->gate->metrics, METRIC_RESPONSE_UNCONFIRMED);
    verdict_response(txn_ack(t), confirmed && t->settles, confirmed);
    txn_end(t, NULL);
}

static void on_told(void *arg, enum completion_result result)
{
    struct txn *t = arg;
    t->ticket = NULL;
    answer(t, completion_confirmed(result));
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct txn *t = w->data;
    completion_forget(t->ticket);
    t->ticket = NULL;
    answer(t, false);
}

/* Packs the response for the word, behind the head that the scripts fill in; without it the word leaves a
 * tombstone. */
static void pack(struct txn *t, const struct response_facts *f, struct word *w)
{
    const char *drop[CONFIG_DROP_MAX];
    const struct text_list *list = &t->config->replay.drop;
    for (unsigned i = 0; i < list->n; i++)
        drop[i] = list->item[i];
    struct response r = {.status = (unsigned)f->status, .headers = f->headers, .body = f->body};
    buf_reset(&stored);
    const struct seal_place at = {SEAL_ANSWER, &w->token.id, w->token.fence};
    int rc = record_pack_done(&stored, &r, drop, list->n);
    if (rc == 0)
        sealer_close(t->gate->sealer, &stored, RECORD_HEAD + 1, &at);
    if (rc == 0 && !stored.failed)
        w->pending = (struct spop_slice){(const char *)stored.data, stored.len};
    else
        LOG(LOG_WARNING, "response-unpacked", log_int("status", f->status),
            log_int("bytes", (long long)f->body.len), log_text("correlation", t->correlation));
}

/* It goes through the scripts and into tombstones. */
static void take_location(struct txn *t, struct spop_slice plain, struct word *w)
{
    const struct seal_place at = {SEAL_LOCATION, &w->token.id, w->token.fence};
    buf_reset(&location);
    if (plain.len == 0)
        return;
    buf_put(&location, plain.ptr, plain.len);
    sealer_close(t->gate->sealer, &location, 0, &at);
    if (!location.failed)
        w->location = (struct spop_slice){(const char *)location.data, location.len};
}

/* The word that the evidence asks for. */
static void choose_word(struct txn *t, const struct policy *p, const struct response_facts *f, struct word *w)
{
    static const enum metric metric[] = {METRIC_RESPONSE_COMPLETE, METRIC_RESPONSE_UNSTORABLE,
                                         METRIC_RESPONSE_ANSWERED};
    static const enum metric bare_metric[] = {
        [RESPONSE_UNSTORABLE] = METRIC_RESPONSE_SLOT, [RESPONSE_ANSWERED] = METRIC_RESPONSE_SLOT_KEPT};
    static const enum script_id script[] = {SCRIPT_COMPLETE, SCRIPT_UNSTORABLE, SCRIPT_ANSWERED};
    bool keep = false;
    size_t buffer = txn_buffer(t);
    bool bare = w->token.flags & TOKEN_BARE;
    enum response_word said = evidence_of_response(p, &w->token, f, buffer, &keep);
    metrics_add(t->gate->metrics, (bare ? bare_metric : metric)[said]);
    w->script = script[said];
    w->status = (unsigned)f->status;
    w->ttl_s = policy_record_s(p, bare);
    if (said == RESPONSE_UNSTORABLE)
        w->letter = evidence_letter(p, w->token.flags & TOKEN_HOLD, w->status);
    else if (!bare)
        take_location(t, headers_find(f->headers, "location"), w);
    if (said == RESPONSE_COMPLETE || keep)
        pack(t, f, w);
    t->settles = said != RESPONSE_ANSWERED;
}

void txn_response(struct txn *t, const struct response_facts *f)
{
    struct word w = {.script = SCRIPT_ANSWERED, .correlation = t->correlation};
    if (token_read(f->token.ptr, f->token.len, &w.token) < 0 || f->status < 100 || f->status > 999) {
        static struct log_gate gate;
        metrics_add(t->gate->metrics, METRIC_SPOP_BAD_MESSAGES);
        if (log_gate_open(&gate, 10, t->began))
            LOG(LOG_WARNING, "response-refused", log_text("why", "no token that we understand, or no status"),
                log_int("status", f->status), log_text("correlation", t->correlation),
                log_int("left_out", gate.left_out));
        txn_end_empty(t);
        return;
    }
    choose_word(t, policy_by_hash(t->config, w.token.policy), f, &w);
    if ((w.token.flags & TOKEN_BARE) && !t->settles) {
        /* Nothing to record: while its answer goes on it stands in HAProxy's table, and keeps its slot. */
        answer(t, true);
        return;
    }
    t->ticket = completion_put(t->gate->completion, &w, 0, on_told, t);
    if (t->full && t->ticket) {
        metrics_add(t->gate->metrics, METRIC_SPOP_FULL);
        completion_forget(t->ticket);
        t->ticket = NULL;
    }
    if (!t->ticket) {
        answer(t, false);
        return;
    }
    ev_timer_init(&t->patience, on_patience, t->config->completion.response_ms / 1000.0, 0);
    t->patience.data = t;
    ev_timer_start(t->gate->loop, &t->patience);
}

/* Where HAProxy has no verdict because of an error, the claim may still be on its way, at whatever agent: it
 * cannot be granted later than its deadline, which began when the message was read, so one budget from now is
 * late enough. Without an error HAProxy has our verdict and could not use it: nothing is on its way. */
void txn_refused(struct txn *t, const struct request_facts *f)
{
    metrics_add(t->gate->metrics, METRIC_REFUSED);
    if (plan_refused(t->config, f, &t->plan)) {
        ev_tstamp at = f->err != 0 ? ev_time() + t->config->redis.deadline_ms / 1000.0 : 0;
        txn_release_rid(t, &t->plan.id, t->plan.rid, at);
        if (t->plan.has_lost)
            txn_release_rid(t, &t->plan.lost_id, t->plan.lost, at);
    }
    txn_end_empty(t);
}
