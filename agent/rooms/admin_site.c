// SPDX-License-Identifier: MIT
/* What `oncectl doctor` begins with: what this agent was told to use, what it counts, and Redis' own INFO; of a cluster
 * that of each primary which has slots.
 *
 *   GET /v1/site ──INFO──► each ──► {.., "redis": {.., "nodes": [{"address", "ready", "why", "info"}]}}
 *                                   of one that cannot be asked: "info": null, and why
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain/resp.h"
#include "rooms/admin_inner.h"
#include "version.h"

static const double patience = 5;

static void put_counter(void *arg, const char *name, const char *labels, uint64_t value)
{
    char key[256];
    snprintf(key, sizeof key, *labels ? "%s{%s}" : "%s", name, labels);
    json_object_set_new(arg, key, json_integer((json_int_t)value));
}

static void put_socket(json_t *list, const char *option, const char *address)
{
    if (*address)
        json_array_append_new(list, json_pack("{s:s,s:s}", "option", option, "address", address));
}

static json_t *sockets_of(const struct config *c)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < c->spop.listen.n; i++)
        put_socket(list, "spop.listen", c->spop.listen.item[i]);
    put_socket(list, "replay.listen", c->replay.listen);
    put_socket(list, "notices.listen", c->notices.listen);
    put_socket(list, "http.listen", c->http.listen);
    return list;
}

static json_t *haproxy_of(const struct config *c)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < c->nhaproxy; i++)
        json_array_append_new(list, json_string(c->haproxy[i].socket));
    return list;
}

static bool any_holds(const struct config *c)
{
    for (unsigned i = 0; i < c->npolicies; i++)
        if (c->policies[i].idempotency.enabled && c->policies[i].idempotency.on_unknown == ON_UNKNOWN_HOLD)
            return true;
    return false;
}

/* One Redis, or one primary of a cluster; what is said of it once INFO was answered, or could not be asked. */
struct node {
    struct job *job;
    struct redis_call *call;
    json_t *said;
};

struct nodes {
    unsigned n, waiting;
    struct node node[];
};

void nodes_free(struct job *j)
{
    for (unsigned i = 0; j->nodes && i < j->nodes->n; i++) {
        if (j->nodes->node[i].call)
            redis_detach(j->nodes->node[i].call);
        json_decref(j->nodes->node[i].said);
    }
    free(j->nodes);
}

static json_t *nodes_of(const struct nodes *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->n; i++)
        json_array_append(list, s->node[i].said);
    return list;
}

/* Nothing here is a secret: names, numbers, paths. */
static void send_site(struct job *j)
{
    const struct gate *g = j->admin->gate;
    const struct config *c = g->config;
    json_t *counters = json_object();
    metrics_each(g->metrics, put_counter, counters);
    json_t *redis =
        json_pack("{s:b,s:s,s:i,s:i,s:i,s:o}", "ready", redis_ready(g->redis), "why", redis_why(g->redis),
                  "ack_replicas", (int)c->redis.ack_replicas, "sentinels", (int)c->redis.sentinels.n, "seeds",
                  (int)c->redis.seeds.n, "nodes", nodes_of(j->nodes));
    job_send(j, 200,
             json_pack("{s:s,s:i,s:s,s:b,s:i,s:o,s:o,s:o,s:o}", "version", SPOA_ONCE_VERSION, "pid",
                       (int)getpid(), "file", c->file, "holds", any_holds(c), "max_entries",
                       (int)c->inflight.max_entries, "sockets", sockets_of(c), "haproxy", haproxy_of(c),
                       "redis", redis, "counters", counters));
}

/* ready: it does answer, and has refused. */
static void put_why(struct node *n, bool ready, const char *why, size_t len)
{
    json_object_set_new(n->said, "ready", json_boolean(ready));
    json_object_set_new(n->said, "why", json_stringn_nocheck(why, len));
}

static void on_info(void *arg, const struct redis_reply *reply)
{
    static const char silent[] = "it has not answered INFO";
    struct node *n = arg;
    struct nodes *s = n->job->nodes;
    n->call = NULL;
    if (reply->status == REDIS_BYTES)
        json_object_set_new(n->said, "info", json_stringn_nocheck(reply->bytes.ptr, reply->bytes.len));
    else if (reply->status == REDIS_ERROR)
        put_why(n, true, reply->bytes.ptr, reply->bytes.len);
    else
        put_why(n, false, silent, sizeof silent - 1);
    if (--s->waiting == 0)
        send_site(n->job);
}

static void ask_info(struct node *n, struct redis *link)
{
    const struct buf *command = &n->job->admin->command;
    const char *why = redis_ready(link) ? "it cannot be asked now" : redis_why(link);
    n->said =
        json_pack("{s:s,s:b,s:n,s:n}", "address", redis_site(link).address, "ready", true, "why", "info");
    if (!command->failed && redis_room(link, REDIS_CLAIMS))
        n->call = redis_submit(link, command->data, command->len, patience, on_info, n);
    if (n->call)
        n->job->nodes->waiting++;
    else
        put_why(n, false, why, strlen(why));
}

void site_show(struct job *j)
{
    static const char *const info[] = {"INFO"};
    struct redis *links[REDIS_LINKS];
    unsigned n = redis_links(j->admin->gate->redis, links);
    j->nodes = calloc(1, sizeof *j->nodes + n * sizeof *j->nodes->node);
    if (!j->nodes) {
        job_refuse(j, 503, "no-memory", "out of memory");
        return;
    }
    resp_command(&j->admin->command, info, 1);
    for (; j->nodes->n < n; j->nodes->n++) {
        j->nodes->node[j->nodes->n].job = j;
        ask_info(&j->nodes->node[j->nodes->n], links[j->nodes->n]);
    }
    if (j->nodes->waiting == 0)
        send_site(j);
}
