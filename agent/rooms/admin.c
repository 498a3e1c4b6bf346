// SPDX-License-Identifier: MIT
/* Routes, and the life of a job: request ──► what it means ──► one or two calls to Redis ──► answer. */
#include "rooms/admin_inner.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/log.h"
#include "domain/policy.h"
#include "rooms/monotonic.h"
#include "version.h"

/* No options: operators are few, and who is not served at once asks again. */
static const struct httpd_bounds bounds = {.connections = 16, .idle_s = 30, .head = 65536};
/* Seconds: an operator waits longer than a request. */
#define PATIENCE 5.0

static void job_free(struct job *j)
{
    LIST_REMOVE(j, link);
    purge_free(j);
    nodes_free(j);
    free(j->shown);
    json_decref(j->answer);
    free(j);
}

void job_send(struct job *j, unsigned status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    httpd_begin(j->request, text ? status : 500, text, text ? strlen(text) : 0);
    httpd_add_text(j->request, "Content-Type", "application/json");
    httpd_send(j->request);
    free(text);
    json_decref(json);
    job_free(j);
}

void job_refuse(struct job *j, unsigned status, const char *word, const char *detail)
{
    job_send(j, status, json_pack("{s:s,s:s}", "error", word, "detail", detail));
}

typedef struct redis_call *submit_fn(struct redis *r, const void *resp, size_t len, ev_tstamp within,
                                     redis_reply_fn *fn, void *arg);

static void ask(struct job *j, struct redis *r, submit_fn *submit, redis_reply_fn *fn)
{
    struct admin *a = j->admin;
    if (!a->command.failed && redis_room(r, REDIS_CLAIMS))
        j->call = submit(r, a->command.data, a->command.len, PATIENCE, fn, j);
    if (!j->call)
        job_refuse(j, 503, "redis-unavailable", "Redis cannot be asked now");
}

void job_ask(struct job *j, redis_reply_fn *fn)
{
    ask(j, j->admin->gate->redis, redis_submit, fn);
}

void job_ask_at(struct job *j, struct redis *link, redis_reply_fn *fn)
{
    ask(j, link, redis_submit_asking, fn);
}

void job_ask_cache(struct job *j, redis_reply_fn *fn)
{
    ask(j, cache_redis(j->admin->gate->cache), redis_submit, fn);
}

bool job_heard(struct job *j, const struct redis_reply *reply)
{
    char text[300];
    j->call = NULL;
    switch (reply->status) {
    case REDIS_BYTES:
    case REDIS_NIL:
    case REDIS_ITEMS:
    case REDIS_INT: return true;
    case REDIS_ERROR:
        snprintf(text, sizeof text, "Redis says: %.*s", (int)reply->bytes.len, reply->bytes.ptr);
        job_refuse(j, 503, "redis-error", text);
        return false;
    default:
        job_refuse(j, 503, "redis-unavailable",
                   "Redis has not answered: what was asked for may have been done");
        return false;
    }
}

static const char *trust_word(enum guard_trust trust)
{
    static const char *const words[] = {
        [GUARD_TRUSTED] = "trusted", [GUARD_UNKNOWN] = "unknown", [GUARD_LOST] = "lost"};
    return words[trust];
}

static void status(struct job *j)
{
    const struct gate *g = j->admin->gate;
    const uint64_t *value = g->metrics->value;
    json_t *policies = json_array();
    for (unsigned i = 0; i < g->config->npolicies; i++)
        json_array_append_new(policies, json_string(g->config->policies[i].name));
    job_send(j, 200,
             json_pack("{s:s,s:i,s:s,s:b,s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "version", SPOA_ONCE_VERSION,
                       "pid", (int)getpid(), "file", g->config->file, "redis_ready", redis_ready(g->redis),
                       "breaker_open", !guard_admits_all(g->guard), "data",
                       trust_word(guard_trusts_all(g->guard)), "haproxy_workers",
                       (json_int_t)value[METRIC_WORKERS], "polled_sockets", (json_int_t)value[METRIC_POLLER],
                       "inflight", (json_int_t)value[METRIC_INFLIGHT], "deciding", (json_int_t)g->live,
                       "unconfirmed", (json_int_t)value[METRIC_COMPLETIONS], "policies", policies));
}

struct seen {
    json_t *list;
    const struct config *config;
};

/* A token is a bearer's right: only the record's name is shown. */
static void put_seen(void *arg, const struct view_entry *e)
{
    static const char *const states[] = {
        [WORKER_UNSETTLED] = "unconfirmed", [WORKER_ENDED] = "ended", [WORKER_RUNNING] = "running"};
    const struct seen *s = arg;
    const struct policy *p = policy_by_hash(s->config, e->token.policy);
    char name[LOOK_NAME + 1];
    look_name_write(&e->token.id, name);
    json_array_append_new(s->list, json_pack("{s:s,s:s?,s:s,s:i,s:I,s:I,s:I}", "id", name, "policy",
                                             p ? p->name : NULL, "state", states[e->list], "status",
                                             (int)(e->gpt0 < 1000 ? e->gpt0 : 0), "pid",
                                             (json_int_t)e->process.pid, "fence", (json_int_t)e->token.fence,
                                             "read_ms_ago", (json_int_t)((monotonic_now() - e->at) * 1000)));
}

static void inflight(struct job *j)
{
    const struct gate *g = j->admin->gate;
    struct seen s = {json_array(), g->config};
    unsigned left_out = inflight_seen(g->inflight, put_seen, &s);
    job_send(j, 200, json_pack("{s:o,s:i}", "inflight", s.list, "left_out", (int)left_out));
}

static void on_go(void *arg, const struct redis_reply *reply);

/* One mark after the other: in a cluster each lies in a slot of its own. */
static void go_on(struct job *j)
{
    char name[REDIS_MARK_NAME];
    unsigned mark = 0;
    while (!(j->marks >> mark & 1))
        mark++;
    j->marks &= ~((uint64_t)1 << mark);
    buf_reset(&j->admin->command);
    redis_mark_name(j->admin->gate->redis, mark, name);
    script_go(&j->admin->command, name);
    job_ask(j, on_go);
}

static void on_go(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    long uid = httpd_peer_uid(j->request);
    if (!job_heard(j, reply))
        return;
    if (j->marks) {
        go_on(j);
        return;
    }
    LOG(LOG_NOTICE, "operator-go", log_int("uid", uid));
    job_send(j, 200, json_pack("{s:s}", "data", "go"));
}

static void go(struct job *j)
{
    if (guard_trusts_all(j->admin->gate->guard) != GUARD_LOST) {
        job_refuse(j, 409, "nothing-lost", "no data is missing that an operator must say go for");
        return;
    }
    j->marks = guard_lost_marks(j->admin->gate->guard);
    go_on(j);
}

/* Whether the arguments name a record, and how much of it; of those of the cache its own files know what they mean. */
enum needs { NEEDS_NOTHING, NEEDS_RECORD, NEEDS_POLICY, NEEDS_CACHE };

static const struct route {
    const char *method, *path;
    unsigned takes; /* arguments: enum says */
    enum needs needs;
    job_fn *fn;
} routes[] = {
  /* clang-format off */
    {"GET",  "/v1/status",   0,                                                      NEEDS_NOTHING, status},
    {"GET",  "/v1/site",     0,                                                      NEEDS_NOTHING, site_show},
    {"GET",  "/v1/inflight", 0,                                                      NEEDS_NOTHING, inflight},
    {"GET",  "/v1/records",  SAYS_POLICY | SAYS_PRINCIPAL | SAYS_STATE | SAYS_CURSOR, NEEDS_NOTHING, records_list},
    {"GET",  "/v1/limits",   SAYS_CURSOR,                                            NEEDS_NOTHING, limits_list},
    {"POST", "/v1/limits",   SAYS_ID,                                                NEEDS_NOTHING, limits_reset},
    {"GET",  "/v1/slots",    SAYS_CURSOR,                                            NEEDS_NOTHING, limits_slots},
    {"GET",  "/v1/record",   SAYS_RECORD | SAYS_BODY,                                NEEDS_RECORD,  records_show},
    {"POST", "/v1/record",   SAYS_RECORD | SAYS_WORD | SAYS_FORCE | SAYS_STATUS,     NEEDS_RECORD,  word_say},
    {"POST", "/v1/purge",    SAYS_POLICY | SAYS_PRINCIPAL | SAYS_ALL | SAYS_CURSOR,  NEEDS_POLICY,  word_purge},
    {"GET",  "/v1/cache",    SAYS_URL | SAYS_POLICY | SAYS_PRINCIPAL | SAYS_HEADER,  NEEDS_CACHE,   cached_show},
    {"POST", "/v1/cache",    SAYS_URL | SAYS_TAG | SAYS_PREFIX | SAYS_POLICY | SAYS_ALL, NEEDS_CACHE, cached_purge},
    {"POST", "/v1/go",       0,                                                      NEEDS_NOTHING, go},
  /* clang-format on */
};

void admin_address(const char *text, struct spop_value *out, char bytes[16])
{
    out->bytes.ptr = bytes;
    if (text && inet_pton(AF_INET, text, bytes) == 1)
        *out = (struct spop_value){
            .type = SPOP_IPV4, .bytes = {bytes, 4}
        };
    else if (text && inet_pton(AF_INET6, text, bytes) == 1)
        *out = (struct spop_value){
            .type = SPOP_IPV6, .bytes = {bytes, 16}
        };
}

/* False: refused. */
static bool find_name(struct job *j, enum needs needs)
{
    char bytes[16];
    const char *why = "say policy and key, or id", *id = httpd_argument(j->request, "id");
    struct naming n = {.policy = httpd_argument(j->request, "policy"),
                       .principal = httpd_argument(j->request, "principal"),
                       .key = httpd_argument(j->request, "key"),
                       .host = httpd_argument(j->request, "host"),
                       .path = httpd_argument(j->request, "path"),
                       .address = {.type = SPOP_NULL}};
    admin_address(n.principal, &n.address, bytes);
    if (needs == NEEDS_CACHE)
        return true;
    bool right = named_find(j->admin->gate->config, &n, &j->named, &why);
    if (right && id && !j->named.has_id) {
        why = "an id is 4 hex digits, a colon and 32 hex digits; a key wants its policy";
        right = j->named.has_id = look_name_read(id, &j->named.id) == 0;
    }
    if (right && needs == NEEDS_RECORD && !j->named.has_id)
        right = false, why = "say policy and key, or id";
    if (right && needs == NEEDS_POLICY && !j->named.policy)
        right = false, why = "say which policy";
    if (!right)
        job_refuse(j, 400, "bad-name", why);
    return right;
}

static const struct route *route_of(const char *method, const char *path, bool *there)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) != 0)
            continue;
        *there = true;
        if (strcmp(method, routes[i].method) == 0)
            return &routes[i];
    }
    return NULL;
}

static void on_request(void *arg, struct httpd_request *q, const char *method, const char *path)
{
    struct admin *a = arg;
    bool there = false;
    const struct route *r = route_of(method, path, &there);
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        httpd_begin(q, 503, NULL, 0);
        httpd_send(q);
        return;
    }
    *j = (struct job){.admin = a, .request = q};
    LIST_INSERT_HEAD(&a->jobs, j, link);
    metrics_add(a->gate->metrics, METRIC_OPERATOR_ASKED);
    buf_reset(&a->command);
    if (!r)
        job_refuse(j, there ? 405 : 404, there ? "no-such-method" : "no-such-path",
                   "docs/oncectl.md has the list");
    else if (arguments_read(j, r->takes) && find_name(j, r->needs))
        r->fn(j);
}

struct admin *admin_new(struct gate *gate, int listen_fd)
{
    struct admin *a = calloc(1, sizeof *a);
    if (!a) {
        close(listen_fd);
        return NULL;
    }
    a->gate = gate;
    buf_init(&a->command);
    LIST_INIT(&a->jobs);
    a->httpd = httpd_new(gate->loop, listen_fd, &bounds, on_request, a);
    if (a->httpd)
        return a;
    free(a);
    return NULL;
}

void admin_free(struct admin *a)
{
    struct job *j;
    if (!a)
        return;
    while ((j = LIST_FIRST(&a->jobs))) {
        if (j->call)
            redis_detach(j->call);
        job_free(j);
    }
    httpd_free(a->httpd);
    buf_free(&a->command);
    free(a);
}
