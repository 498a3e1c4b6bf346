// SPDX-License-Identifier: MIT
/* Looking: at one record, at all of them step by step.
 *
 *   since   when a record came into its state: its TTL began then (docs/wire.md, Record); while it runs, its claim,
 *           whose time the fence is, but where the clock was behind an older fence
 */
#include "rooms/admin_inner.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "domain/policy.h"
#include "domain/text.h"
#include "domain/units.h"

/* Bytes of each value: head and process of a record; and Location, where one is looked at. */
enum { LIST_BYTES = 512, SHOW_BYTES = 4096 };

static const struct {
    uint8_t letter;
    const char *word;
} states[] = {
    {RECORD_FREE,     "free"    },
    {RECORD_RUNNING,  "running" },
    {RECORD_ANSWERED, "answered"},
    {RECORD_HELD,     "held"    },
    {RECORD_DONE,     "done"    },
    {RECORD_TOMB,     "tomb"    },
};

enum { STATES = sizeof states / sizeof *states };

static const struct {
    uint8_t letter;
    const char *word;
} whys[] = {
    {'c', "cut"              },
    {'n', "never sent"       },
    {'0', "no answer"        },
    {'s', "status not stored"},
    {'l', "lapsed"           },
    {'o', "operator"         },
};

const char *record_state_word(uint8_t state)
{
    for (size_t i = 0; i < STATES; i++)
        if (states[i].letter == state)
            return states[i].word;
    return "foreign";
}

static json_t *why_of(const struct record *r)
{
    for (size_t i = 0; i < sizeof whys / sizeof *whys; i++)
        if (whys[i].letter == r->why)
            return json_string(whys[i].word);
    return json_null();
}

/* Letters of the states named by a list of words: "held, done"; false: one is unknown. out has room for all. */
static bool read_states(const char *text, char *out)
{
    struct spop_slice word;
    size_t n = 0;
    while (text && *text && unit_next_word(&text, &word)) {
        size_t i = 0;
        while (i < STATES && !slice_is(word, states[i].word))
            i++;
        if (i == STATES)
            return false;
        if (!memchr(out, states[i].letter, n))
            out[n++] = (char)states[i].letter;
    }
    out[n] = '\0';
    return true;
}

/* Wire text may be no UTF-8, and JSON must be. */
static json_t *json_text(struct spop_slice s)
{
    if (s.len == 0)
        return json_string("");
    json_t *json = json_stringn(s.ptr, s.len);
    char *text = json ? NULL : malloc(s.len);
    for (size_t i = 0; text && i < s.len; i++)
        text[i] = (unsigned char)s.ptr[i] < 0x80 ? s.ptr[i] : '?';
    if (text)
        json = json_stringn(text, s.len);
    free(text);
    return json;
}

static bool is_live(const struct record *r)
{
    return r->state == RECORD_RUNNING || r->state == RECORD_ANSWERED;
}

static uint64_t since_us(const struct record *r, const struct look_row *row, uint64_t now_us)
{
    uint64_t stay_ms = (uint64_t)r->ttl_s * 1000, ago_ms = stay_ms > row->ttl_ms ? stay_ms - row->ttl_ms : 0;
    if (is_live(r))
        return r->fence < now_us ? r->fence : now_us;
    return now_us - ago_ms * 1000;
}

static json_t *who_of(const struct record *r)
{
    static const uint8_t nobody[RECORD_WHO];
    char text[2 * RECORD_WHO + 1];
    return memcmp(r->who, nobody, sizeof nobody) == 0
               ? json_null()
               : json_string(sodium_bin2hex(text, sizeof text, r->who, sizeof r->who));
}

static json_t *foreign_json(const struct look_row *row)
{
    char name[LOOK_NAME + 1];
    look_name_write(&row->id, name);
    return json_pack("{s:s,s:s,s:I,s:I}", "id", name, "state", "foreign", "ttl_ms", (json_int_t)row->ttl_ms,
                     "bytes", (json_int_t)row->len);
}

static json_t *record_json(const struct job *j, const struct look_row *row, const struct record *r,
                           uint64_t now_us)
{
    char name[LOOK_NAME + 1];
    const struct policy *p = policy_by_hash(j->admin->gate->config, r->policy);
    int64_t lease_ms = ((int64_t)r->lease_until_us - (int64_t)now_us) / 1000;
    look_name_write(&row->id, name);
    json_t *json = json_pack("{s:s,s:s?,s:s,s:o,s:i,s:b,s:I,s:I,s:I,s:I,s:o}", "id", name, "policy",
                             p ? p->name : NULL, "state", record_state_word(r->state), "why", why_of(r),
                             "status", (int)r->status, "hold", r->flags & RECORD_HOLD, "fence",
                             (json_int_t)r->fence, "since_us", (json_int_t)since_us(r, row, now_us), "ttl_ms",
                             (json_int_t)row->ttl_ms, "now_us", (json_int_t)now_us, "who", who_of(r));
    json_object_set_new(json, "process", r->process.len ? json_text(r->process) : json_null());
    json_object_set_new(json, "lease_ms", is_live(r) ? json_integer(lease_ms) : json_null());
    json_object_set_new(json, "stored_bytes",
                        r->state == RECORD_DONE ? json_integer((json_int_t)row->len - RECORD_HEAD - 1)
                                                : json_null());
    return json;
}

void records_send(struct job *j, const struct redis_reply *reply, const char *name, row_json_fn *row_json)
{
    struct look l;
    struct look_row row;
    json_t *rows = json_array();
    int more = look_open(reply->bytes, &l) == 0 ? 1 : -1;
    while (more == 1 && (more = look_next(&l, &row)) == 1)
        json_array_append_new(rows, row_json(j, &row, l.now_us));
    if (more == 0) {
        char cursor[WALK_CURSOR + 1];
        records_cursor(j, l.cursor, cursor);
        job_send(j, 200, json_pack("{s:o,s:i,s:s}", name, rows, "skipped", (int)l.skipped, "cursor", cursor));
        return;
    }
    json_decref(rows);
    job_refuse(j, 503, "redis-error", "the reply of look.lua is not one");
}

static json_t *any_json(const struct job *j, const struct look_row *row, uint64_t now_us)
{
    struct record r;
    if (record_open(row->bytes.ptr, row->bytes.len, &r) < 0)
        return foreign_json(row);
    return record_json(j, row, &r, now_us);
}

static void on_records(void *arg, const struct redis_reply *reply)
{
    if (job_heard(arg, reply))
        records_send(arg, reply, "records", any_json);
}

/* The first link with a number from `least` on; NULL: there is none. */
static struct redis *link_from(struct redis *r, unsigned least)
{
    struct redis *links[REDIS_LINKS];
    unsigned n = redis_links(r, links);
    for (unsigned i = 0; i < n; i++)
        if (redis_number(links[i]) >= least)
            return links[i];
    return NULL;
}

static void write_cursor(unsigned number, const char *own, char out[WALK_CURSOR + 1])
{
    struct text t;
    text_init(&t, out, WALK_CURSOR + 1);
    text_dec(&t, 100 + (int64_t)number);
    text_str(&t, own);
}

void records_cursor(const struct job *j, const char *said, char out[WALK_CURSOR + 1])
{
    struct redis *r = j->admin->gate->redis, *next;
    if (!redis_is_cluster(r)) {
        memcpy(out, said, strlen(said) + 1);
    } else if (strcmp(said, "0") != 0) {
        write_cursor(j->walked, said, out);
    } else if ((next = link_from(r, j->walked + 1))) {
        write_cursor(redis_number(next), said, out);
    } else {
        memcpy(out, "0", 2);
    }
}

/* Which link a cursor means, and its own part; NULL: there is none. */
static struct redis *read_cursor(struct redis *r, const char **cursor)
{
    struct redis *link;
    unsigned number = 0;
    if (!redis_is_cluster(r))
        return r;
    bool ours = strlen(*cursor) > 3 && **cursor == '1';
    if (ours)
        number = (unsigned)((*cursor)[1] - '0') * 10 + (unsigned)((*cursor)[2] - '0');
    link = link_from(r, number);
    *cursor = ours && link && redis_number(link) == number ? *cursor + 3 : "0";
    return link;
}

void records_walk(struct job *j, const struct script_look *l, redis_reply_fn *fn)
{
    struct script_look step = *l;
    const char *cursor = httpd_argument(j->request, "cursor");
    size_t longest = redis_is_cluster(j->admin->gate->redis) ? WALK_CURSOR : LOOK_CURSOR;
    cursor = cursor ? cursor : "0";
    if (strlen(cursor) > longest || cursor[strspn(cursor, "0123456789")]) {
        job_refuse(j, 400, "bad-cursor", "a cursor is what the step before has said");
        return;
    }
    struct redis *link = read_cursor(j->admin->gate->redis, &cursor);
    if (!link) {
        job_refuse(j, 503, "redis-unavailable", "no primary of the cluster is known");
        return;
    }
    step.cursor = cursor;
    j->walked = redis_number(link);
    script_look(&j->admin->command, &step);
    job_ask_at(j, link, fn);
}

void records_list(struct job *j)
{
    char letters[STATES + 1];
    if (!read_states(httpd_argument(j->request, "state"), letters)) {
        job_refuse(j, 400, "bad-state", "states are free, running, answered, held, done, tomb");
        return;
    }
    const struct script_look l = {.kind = 'r',
                                  .bytes = LIST_BYTES,
                                  .policy = j->named.policy ? &j->named.policy->hash : NULL,
                                  .who = j->named.has_who ? j->named.who : NULL,
                                  .states = letters};
    records_walk(j, &l, on_records);
}

/* Headers and body of a stored answer; false: it cannot be opened. Bodies are any bytes: base64. */
static bool put_answer(json_t *to, struct spop_slice payload)
{
    struct stored s;
    struct spop_slice at, name, value;
    if (stored_open(payload, &s) < 0)
        return false;
    json_t *headers = json_array();
    for (at = s.headers; stored_header(&at, &name, &value) > 0;)
        json_array_append_new(headers, json_pack("[o,o]", json_text(name), json_text(value)));
    size_t size = sodium_base64_encoded_len(s.body.len, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);
    if (text)
        sodium_bin2base64(text, size, (const uint8_t *)s.body.ptr, s.body.len,
                          sodium_base64_VARIANT_ORIGINAL);
    json_object_set_new(to, "headers", headers);
    json_object_set_new(to, "body_base64", text ? json_string(text) : json_null());
    free(text);
    return true;
}

static void on_whole(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    const struct seal_place at = {SEAL_ANSWER, &j->named.id, j->record.fence};
    struct record r;
    if (!job_heard(j, reply))
        return;
    if (reply->status != REDIS_BYTES || record_open(reply->bytes.ptr, reply->bytes.len, &r) < 0 ||
        r.state != RECORD_DONE || r.fence != j->record.fence) {
        job_refuse(j, 409, "changed", "it has changed while it was looked at: look again");
    } else if (!sealer_open(j->admin->gate->sealer, &r.payload, &at)) {
        job_refuse(j, 409, "sealed", "the stored answer is sealed by a key that this agent does not have");
    } else if (!put_answer(j->answer, r.payload)) {
        job_refuse(j, 409, "no-answer", "the stored answer cannot be read");
    } else {
        json_t *answer = j->answer;
        j->answer = NULL;
        job_send(j, 200, answer);
    }
}

static void shown(struct job *j)
{
    json_t *answer = j->answer;
    if (!(j->says & SAYS_BODY) || j->record.state != RECORD_DONE) {
        j->answer = NULL;
        job_send(j, 200, answer);
        return;
    }
    buf_reset(&j->admin->command);
    script_get(&j->admin->command, &j->named.id);
    job_ask(j, on_whole);
}

/* The payload of a tombstone, and of an answer whose end is not known, is its Location. */
static void put_location(struct job *j, const struct record *r)
{
    const struct seal_place at = {SEAL_LOCATION, &j->named.id, r->fence};
    struct spop_slice location = r->payload;
    if ((r->state == RECORD_TOMB || r->state == RECORD_ANSWERED) && location.len > 0 &&
        sealer_open(j->admin->gate->sealer, &location, &at))
        json_object_set_new(j->answer, "location", json_text(location));
}

static void on_found(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    struct look l;
    struct look_row row;
    struct record r;
    if (!job_heard(j, reply))
        return;
    if (look_open(reply->bytes, &l) < 0 || look_next(&l, &row) != 1) {
        job_refuse(j, 404, "not-found", "there is no such record");
        return;
    }
    if (record_open(row.bytes.ptr, row.bytes.len, &r) < 0) {
        job_refuse(j, 409, "foreign", "what lies there is no record of this version: it is left alone");
        return;
    }
    j->answer = record_json(j, &row, &r, l.now_us);
    put_location(j, &r);
    j->record = r;
    j->then(j);
}

void record_find(struct job *j, job_fn *then)
{
    const struct script_look l = {
        .id = &j->named.id, .cursor = "0", .kind = 'r', .bytes = SHOW_BYTES, .states = ""};
    j->then = then;
    script_look(&j->admin->command, &l);
    job_ask(j, on_found);
}

void records_show(struct job *j)
{
    record_find(j, shown);
}
