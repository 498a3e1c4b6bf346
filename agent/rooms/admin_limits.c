// SPDX-License-Identifier: MIT
/* Limits as Redis holds them, by subject: what is used of buckets and windows, who is in flight; and the word that forgets
 * what was counted of one. */
#include "rooms/admin_inner.h"

#include "adapters/log.h"
#include "domain/le.h"
#include "domain/usage.h"

static json_t *buckets_json(const struct look_row *row, uint64_t now_us)
{
    json_t *cells = json_array();
    double seconds;
    unsigned loans;
    size_t end = usage_cells(row->bytes, &loans);
    for (size_t at = 0; at + USAGE_CELL <= end; at += USAGE_CELL)
        json_array_append_new(cells, usage_bucket(row->bytes.ptr + at, now_us, &seconds) ? json_real(seconds)
                                                                                         : json_null());
    json_t *json = json_pack("{s:s,s:o}", "kind", "buckets", "used_s", cells);
    if (loans > 0)
        json_object_set_new(json, "loans", json_integer(loans));
    return json;
}

static json_t *limit_json(const struct job *j, const struct look_row *row, uint64_t now_us)
{
    char name[LOOK_NAME + 1];
    struct usage_window w;
    bool window = row->bytes.len == row->len && usage_window(row->bytes, now_us, row->ttl_ms, &w);
    json_t *json = window ? json_pack("{s:s,s:I,s:I}", "kind", "window", "requests", (json_int_t)w.requests,
                                      "window_s", (json_int_t)w.width_s)
                          : buckets_json(row, now_us);
    (void)j;
    look_name_write(&row->id, name);
    json_object_set_new(json, "id", json_string(name));
    json_object_set_new(json, "ttl_ms", json_integer((json_int_t)row->ttl_ms));
    return json;
}

static json_t *slot_json(const struct job *j, const struct look_row *row, uint64_t now_us)
{
    char name[LOOK_NAME + 1];
    uint64_t taken = row->bytes.len == 4 ? le_get((const uint8_t *)row->bytes.ptr, 4) : 0;
    (void)j;
    (void)now_us;
    look_name_write(&row->id, name);
    return json_pack("{s:s,s:s,s:I,s:I}", "id", name, "kind", "slots", "in_flight", (json_int_t)taken,
                     "ttl_ms", (json_int_t)row->ttl_ms);
}

static void on_limits(void *arg, const struct redis_reply *reply)
{
    if (job_heard(arg, reply))
        records_send(arg, reply, "limits", limit_json);
}

static void on_slots(void *arg, const struct redis_reply *reply)
{
    if (job_heard(arg, reply))
        records_send(arg, reply, "slots", slot_json);
}

void limits_list(struct job *j)
{
    const struct script_look l = {.kind = 'l', .bytes = USAGE_BYTES, .states = ""};
    records_walk(j, &l, on_limits);
}

void limits_slots(struct job *j)
{
    const struct script_look l = {.kind = 'c', .bytes = USAGE_BYTES, .states = ""};
    records_walk(j, &l, on_slots);
}

/* The shield forgets here: what was refused before the reset has been heard by now, on the same connection. */
static void on_reset(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    const struct gate *g = j->admin->gate;
    char name[LOOK_NAME + 1];
    shield_forget(g->shield, &j->named.id);
    loans_forget(g->loans, &j->named.id);
    if (!job_heard(j, reply))
        return;
    if (reply->status != REDIS_INT || reply->integer == 0) {
        job_refuse(j, 404, "not-found", "nothing is counted of such a subject");
        return;
    }
    look_name_write(&j->named.id, name);
    metrics_add(g->metrics, METRIC_OPERATOR_RESET);
    LOG(LOG_NOTICE, "operator-reset", log_text("subject", name), log_int("uid", httpd_peer_uid(j->request)));
    job_send(j, 200, json_pack("{s:s,s:s}", "id", name, "word", "reset"));
}

void limits_reset(struct job *j)
{
    if (!j->named.has_id) {
        job_refuse(j, 400, "bad-name", "say id: the subject's, as limits shows it");
        return;
    }
    script_reset(&j->admin->command, &j->named.id);
    job_ask(j, on_reset);
}
