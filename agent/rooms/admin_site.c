// SPDX-License-Identifier: MIT
/* What `oncectl doctor` begins with: what this agent was told to use, what it counts, and Redis' own INFO.
 *
 *   GET /v1/site ──INFO──► Redis ──► {.., "redis": {.., "info": text}}      without Redis: at once, "info": null
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

/* info: dropped. Nothing here is a secret: names, numbers, paths. */
static void send_site(struct job *j, json_t *info, const char *why)
{
    const struct gate *g = j->admin->gate;
    const struct config *c = g->config;
    json_t *counters = json_object();
    metrics_each(g->metrics, put_counter, counters);
    json_t *redis = json_pack("{s:b,s:s?,s:i,s:i,s:i,s:o}", "ready", redis_ready(g->redis), "why", why,
                              "ack_replicas", (int)c->redis.ack_replicas, "sentinels",
                              (int)c->redis.sentinels.n, "seeds", (int)c->redis.seeds.n, "info", info);
    job_send(j, 200,
             json_pack("{s:s,s:i,s:s,s:b,s:i,s:o,s:o,s:o,s:o}", "version", SPOA_ONCE_VERSION, "pid",
                       (int)getpid(), "file", c->file, "holds", any_holds(c), "max_entries",
                       (int)c->inflight.max_entries, "sockets", sockets_of(c), "haproxy", haproxy_of(c),
                       "redis", redis, "counters", counters));
}

static void on_info(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    j->call = NULL;
    if (reply->status == REDIS_BYTES) {
        send_site(j, json_stringn_nocheck(reply->bytes.ptr, reply->bytes.len), NULL);
    } else if (reply->status == REDIS_ERROR) {
        char text[300];
        snprintf(text, sizeof text, "%.*s", (int)reply->bytes.len, reply->bytes.ptr);
        send_site(j, json_null(), text);
    } else {
        send_site(j, json_null(), "Redis has not answered INFO");
    }
}

void site_show(struct job *j)
{
    static const char *const info[] = {"INFO"};
    struct admin *a = j->admin;
    struct redis *r = a->gate->redis, *links[REDIS_LINKS];
    for (unsigned n = redis_links(r, links); n > 0; n--)
        if (redis_ready(links[n - 1]))
            r = links[n - 1];
    resp_command(&a->command, info, 1);
    if (!a->command.failed && redis_room(r, REDIS_CLAIMS))
        j->call = redis_submit(r, a->command.data, a->command.len, patience, on_info, j);
    if (!j->call)
        send_site(j, json_null(), redis_ready(r) ? "Redis cannot be asked now" : redis_why(r));
}
