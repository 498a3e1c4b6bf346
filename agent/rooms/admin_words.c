// SPDX-License-Identifier: MIT
/* An operator's words. Each is said of the execution that was looked at just before (its fence): what has changed
 * since is refused, and nothing happens to it.
 *
 *   find ──► operator.lua ──► forgotten here, logged ──► (replicas have it) ──► answer
 *   walk ──► operator.lua for each finished record ──► all heard, forgotten ──► answer, with the next cursor
 */
#include "rooms/admin_inner.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "domain/units.h"

static const struct {
    const char *name;
    char letter;
    enum metric metric;
} words[] = {
    {"failed",    'f', METRIC_OPERATOR_FAILED   },
    {"completed", 'c', METRIC_OPERATOR_COMPLETED},
    {"delete",    'd', METRIC_OPERATOR_DELETED  },
};
enum { WORDS = sizeof words / sizeof *words, STATUS_LEAST = 200, STATUS_MOST = 599 };

static const char *word_name(char letter)
{
    size_t i = 0;
    while (i + 1 < WORDS && words[i].letter != letter)
        i++;
    return words[i].name;
}

static void tell(const struct job *j, const struct record_id *id, const char *said)
{
    char name[LOOK_NAME + 1];
    look_name_write(id, name);
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].letter == j->word)
            metrics_add(j->admin->gate->metrics, words[i].metric);
    LOG(LOG_NOTICE, "operator-word", log_text("word", word_name(j->word)), log_text("record", name),
        log_text("before", record_state_word((uint8_t)said[1])),
        log_text("now", record_state_word((uint8_t)said[2])),
        log_text("forced", j->says & SAYS_FORCE ? "yes" : "no"), log_int("uid", httpd_peer_uid(j->request)));
}

/* Something may have been done to it, whatever the reply is: a word that was not answered may still be carried out, and
 * what the gate has said since lies behind it on this connection. */
static void forget(const struct job *j, const struct record_id *id)
{
    if (j->admin->gate->replay)
        replay_forget(j->admin->gate->replay, id);
}

/* The reply of operator.lua: three letters, or one of them alone. */
static bool is_reply(struct spop_slice said)
{
    return said.len == 3 || (said.len == 1 && (*said.ptr == 'L' || *said.ptr == 'X'));
}

static void refuse_said(struct job *j, char letter, char before)
{
    char text[200];
    const char *state = record_state_word((uint8_t)before);
    if (letter == 'R') {
        snprintf(text, sizeof text,
                 "it is %s: what is sent to the backend cannot be called back, and its key would be free "
                 "beside it; "
                 "force says so all the same",
                 state);
        job_refuse(j, 409, "running", text);
    } else if (letter == 'N') {
        snprintf(text, sizeof text, "it is %s: there is nothing to do for '%s'", state, word_name(j->word));
        job_refuse(j, 409, "nothing-to-do", text);
    } else if (letter == 'L') {
        job_refuse(j, 409, "changed", "it has changed while it was looked at: look again");
    } else {
        job_refuse(j, 409, "foreign", "what lies there is no record of this version: it was left alone");
    }
}

static void send_said(struct job *j, bool acknowledged)
{
    json_t *answer = j->answer;
    j->answer = NULL;
    json_object_set_new(answer, "replicated", json_boolean(acknowledged));
    job_send(j, 200, answer);
}

static void on_acked(void *arg, bool acknowledged)
{
    send_said(arg, acknowledged);
}

static void on_said(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    struct acks *acks = j->admin->gate->acks;
    forget(j, &j->named.id);
    if (!job_heard(j, reply))
        return;
    const char *said = reply->bytes.ptr;
    if (reply->status != REDIS_BYTES || !is_reply(reply->bytes)) {
        job_refuse(j, 503, "redis-error", "the reply of operator.lua is not one");
        return;
    }
    if (*said != 'S') {
        refuse_said(j, *said, reply->bytes.len == 3 ? said[1] : 0);
        return;
    }
    tell(j, &j->named.id, said);
    json_object_set_new(j->answer, "word", json_string(word_name(j->word)));
    json_object_set_new(j->answer, "before", json_string(record_state_word((uint8_t)said[1])));
    json_object_set_new(j->answer, "state", json_string(record_state_word((uint8_t)said[2])));
    if (!acks_wanted(acks))
        send_said(j, true);
    else if (!acks_wait(acks, reply->from, &j->waiter, on_acked, j))
        send_said(j, false);
}

static void say_found(struct job *j)
{
    buf_reset(&j->admin->command);
    script_operator(&j->admin->command, &j->named.id, j->record.fence, j->word, j->says & SAYS_FORCE,
                    j->status);
    job_ask(j, on_said);
}

static bool read_status(const char *text, unsigned *out)
{
    uint64_t status = 0;
    *out = 0;
    if (!text)
        return true;
    if (unit_count(text, &status) || status < STATUS_LEAST || status > STATUS_MOST)
        return false;
    *out = (unsigned)status;
    return true;
}

void word_say(struct job *j)
{
    const char *word = httpd_argument(j->request, "word");
    for (size_t i = 0; word && i < WORDS; i++)
        if (strcmp(words[i].name, word) == 0)
            j->word = words[i].letter;
    if (!j->word)
        job_refuse(j, 400, "bad-word", "the words are failed, completed, delete");
    else if (j->says & SAYS_STATUS && j->word != 'c')
        job_refuse(j, 400, "bad-status", "a status goes with the word completed: leave it out");
    else if (!read_status(httpd_argument(j->request, "status"), &j->status))
        job_refuse(j, 400, "bad-status", "a status is 200 to 599");
    else
        record_find(j, say_found);
}

/* One step's records that are to be deleted. */
struct purge_call {
    struct job *job;
    struct redis_call *call;
    struct record_id id;
};

struct purge {
    unsigned n, waiting, deleted, left; /* left: changed meanwhile, or Redis could not be asked */
    unsigned skipped;                   /* keys that are no record */
    char cursor[WALK_CURSOR + 1];
    struct purge_call calls[];
};

void purge_free(struct job *j)
{
    for (unsigned i = 0; j->purge && i < j->purge->n; i++)
        if (j->purge->calls[i].call)
            redis_detach(j->purge->calls[i].call);
    free(j->purge);
}

static void purged(struct job *j)
{
    const struct purge *p = j->purge;
    if (p->waiting == 0)
        job_send(j, 200,
                 json_pack("{s:i,s:i,s:i,s:s}", "deleted", (int)p->deleted, "left", (int)p->left, "skipped",
                           (int)p->skipped, "cursor", p->cursor));
}

static void on_purged(void *arg, const struct redis_reply *reply)
{
    struct purge_call *call = arg;
    struct job *j = call->job;
    struct purge *p = j->purge;
    call->call = NULL;
    p->waiting--;
    forget(j, &call->id);
    if (reply->status == REDIS_BYTES && reply->bytes.len == 3 && *reply->bytes.ptr == 'S') {
        tell(j, &call->id, reply->bytes.ptr);
        p->deleted++;
    } else {
        p->left++;
    }
    purged(j);
}

static void purge_row(struct job *j, const struct look_row *row)
{
    struct purge *p = j->purge;
    struct redis *redis = j->admin->gate->redis;
    struct buf *command = &j->admin->command;
    struct purge_call *call = &p->calls[p->n];
    struct record r;
    if (record_open(row->bytes.ptr, row->bytes.len, &r) < 0) {
        p->skipped++;
        return;
    }
    buf_reset(command);
    script_operator(command, &row->id, r.fence, j->word, false, 0);
    *call = (struct purge_call){.job = j, .id = row->id};
    if (!command->failed && redis_room(redis_home(redis, row->id.tag), REDIS_CLAIMS))
        call->call = redis_submit(redis, command->data, command->len, 0, on_purged, call);
    p->n += call->call != NULL;
    p->waiting += call->call != NULL;
    p->left += call->call == NULL;
}

static void on_walked(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    struct look l, count;
    struct look_row row;
    unsigned rows = 0;
    if (!job_heard(j, reply))
        return;
    if (look_open(reply->bytes, &l) < 0) {
        job_refuse(j, 503, "redis-error", "the reply of look.lua is not one");
        return;
    }
    for (count = l; look_next(&count, &row) == 1;)
        rows++;
    j->purge = calloc(1, sizeof *j->purge + rows * sizeof *j->purge->calls);
    if (!j->purge) {
        job_refuse(j, 503, "no-memory", "out of memory");
        return;
    }
    records_cursor(j, l.cursor, j->purge->cursor);
    while (look_next(&l, &row) == 1)
        purge_row(j, &row);
    j->purge->skipped += l.skipped;
    purged(j);
}

void word_purge(struct job *j)
{
    static const char finished[] = {RECORD_DONE, RECORD_TOMB, '\0'};
    const struct script_look l = {.kind = 'r',
                                  .bytes = RECORD_HEAD + 1,
                                  .policy = &j->named.policy->hash,
                                  .who = j->named.has_who ? j->named.who : NULL,
                                  .states = finished};
    j->word = 'd';
    if (!(j->says & SAYS_PRINCIPAL) == !(j->says & SAYS_ALL)) {
        job_refuse(j, 400, "bad-name",
                   "say whose records: principal; or all=1, and every record of the policy goes");
        return;
    }
    records_walk(j, &l, on_walked);
}
