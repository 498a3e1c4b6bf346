// SPDX-License-Identifier: MIT
/* What the files of the operator's room share: one request on its way, and how it is answered.
 *
 *   admin.c         routes, status, inflight, go       admin_arguments.c   what a request may say
 *   admin_records.c list, show                         admin_words.c       words, purge
 *   admin_site.c    site                               admin_limits.c      limits, slots, reset
 *   admin_cache.c   cached answers: purge       admin_cache_show.c  cached answers: show
 */
#ifndef ADMIN_INNER_H
#define ADMIN_INNER_H

#include <jansson.h>
#include <sys/queue.h>

#include "adapters/httpd.h"
#include "domain/look.h"
#include "domain/named.h"
#include "domain/record.h"
#include "domain/script.h"
#include "rooms/admin.h"

/* Arguments, as bits: what a route takes, what a request says. */
enum says {
    SAYS_ID = 1,
    SAYS_POLICY = 2,
    SAYS_PRINCIPAL = 4,
    SAYS_KEY = 8,
    SAYS_HOST = 16,
    SAYS_PATH = 32,
    SAYS_STATE = 64,
    SAYS_CURSOR = 128,
    SAYS_BODY = 256,
    SAYS_WORD = 512,
    SAYS_FORCE = 1024,
    SAYS_STATUS = 2048,
    SAYS_ALL = 4096,
    SAYS_URL = 8192,
    SAYS_TAG = 16384,
    SAYS_PREFIX = 32768,
    SAYS_HEADER = 65536,
    SAYS_NAME = SAYS_POLICY | SAYS_PRINCIPAL | SAYS_KEY | SAYS_HOST | SAYS_PATH,
    SAYS_RECORD = SAYS_ID | SAYS_NAME,
};

/* A cursor of ours: in a cluster 1, the number of a link in two digits, and that primary's own. */
enum { WALK_CURSOR = LOOK_CURSOR + 3 };

struct job;
typedef void job_fn(struct job *j);

/* One request. It is answered, and gone, by job_send() or job_refuse(). */
struct job {
    LIST_ENTRY(job) link;
    struct admin *admin;
    struct httpd_request *request;
    struct redis_call *call; /* on its way; several of a purge are counted in `waiting` instead */
    struct named named;      /* what the request means */
    struct record record;    /* what was found under that name; without its slices */
    job_fn *then;            /* what to do with it */
    unsigned says;           /* its arguments: enum says */
    char word;               /* 'f', 'c', 'd' */
    unsigned status;
    uint64_t marks;  /* go: that are still to be set */
    unsigned walked; /* a walk: the number of the link that is asked */
    json_t *answer;  /* while it is put together */
    struct purge *purge;
    struct nodes *nodes;
    struct cache_show *shown;
    struct acks_waiter waiter;
};

struct admin {
    struct gate *gate;
    struct httpd *httpd;
    struct buf command;
    LIST_HEAD(, job) jobs;
};

/* j is gone afterwards. json is dropped. */
void job_send(struct job *j, unsigned status, json_t *json);
/* {"error": word, "detail": text} */
void job_refuse(struct job *j, unsigned status, const char *word, const char *detail);
/* Sends admin->command; the reply comes to fn with j as arg, or j is refused. */
void job_ask(struct job *j, redis_reply_fn *fn);
/* The same, of one connection: for what names no key. Of a cluster it reads also what a slot brings that is on its way there. */
void job_ask_at(struct job *j, struct redis *link, redis_reply_fn *fn);
/* The same, of the Redis that has the cached answers. */
void job_ask_cache(struct job *j, redis_reply_fn *fn);
/* Is it a reply that can be used? Otherwise j has been refused. */
bool job_heard(struct job *j, const struct redis_reply *reply);

/* Which arguments there are, into j->says; false: one of them cannot be meant, and j has been refused. */
bool arguments_read(struct job *j, unsigned takes);

/* Asks for one step of a walk, as the request's arguments say. A cluster is walked primary by primary; the cursor says where. */
void records_walk(struct job *j, const struct script_look *l, redis_reply_fn *fn);
typedef json_t *row_json_fn(const struct job *j, const struct look_row *row, uint64_t now_us);
/* The cursor behind a step that has said this one. */
void records_cursor(const struct job *j, const char *said, char out[WALK_CURSOR + 1]);
/* Answers with that step, {name: [rows], "skipped": keys whose names are no record's, "cursor": next}. */
void records_send(struct job *j, const struct redis_reply *reply, const char *name, row_json_fn *row_json);
/* Looks at the record that the request means; then `then` is called, or j has been refused. */
void record_find(struct job *j, job_fn *then);
const char *record_state_word(uint8_t state);

job_fn records_list, records_show, limits_list, limits_slots, limits_reset, word_say, word_purge, site_show,
    cached_purge, cached_show;
void purge_free(struct job *j);
void nodes_free(struct job *j);
/* An address as it is written, into bytes; out is left alone if it is none. */
void admin_address(const char *text, struct spop_value *out, char bytes[16]);
/* The policy that was said, or NULL: none was; false: it has no cache, and j has been refused. */
bool cache_policy_said(struct job *j, const struct policy **out);

#endif
