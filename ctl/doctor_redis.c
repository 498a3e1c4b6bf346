// SPDX-License-Identifier: MIT
/* Redis, or each primary of a cluster, as its INFO describes it: what must hold so that an acknowledged write stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"

enum { WORD_MAX = 128, FULL_PERCENT = 80, LAG_MOST_S = 3 };

/* Value of "name:value"; false: it is not there. */
static bool field(const char *info, const char *name, char out[WORD_MAX])
{
    char head[WORD_MAX];
    snprintf(head, sizeof head, "\n%s:", name);
    const char *at = strstr(info, head);
    *out = '\0';
    if (at)
        snprintf(out, WORD_MAX, "%.*s", (int)strcspn(at + strlen(head), "\r\n"), at + strlen(head));
    return at != NULL;
}

static unsigned long number(const char *info, const char *name)
{
    char word[WORD_MAX];
    return field(info, name, word) ? strtoul(word, NULL, 10) : 0;
}

/* One Redis, or one primary of a cluster. */
struct node {
    struct doctor *d;
    const char *address, *info;
};

static void look_at_memory(const struct node *n)
{
    char word[WORD_MAX];
    unsigned long most = number(n->info, "maxmemory"), used = number(n->info, "used_memory"),
                  gone = number(n->info, "evicted_keys");
    if (field(n->info, "maxmemory_policy", word) && strcmp(word, "noeviction") != 0)
        doctor_say(n->d, FINDING_EVICTION, "%s: maxmemory-policy is %s", n->address, word);
    if (gone > 0)
        doctor_say(n->d, FINDING_EVICTED, "%s: %lu keys", n->address, gone);
    if (most > 0 && used / FULL_PERCENT >= most / 100)
        doctor_say(n->d, FINDING_MEMORY, "%s: %lu of %lu bytes are used", n->address, used, most);
}

static void look_at_files(const struct node *n)
{
    static const char *const states[] = {"rdb_last_bgsave_status", "aof_last_write_status",
                                         "aof_last_bgrewrite_status"};
    char word[WORD_MAX];
    if (number(n->info, "aof_enabled") == 0)
        doctor_say(n->d, FINDING_AOF, "%s: appendonly is no", n->address);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (field(n->info, states[i], word) && strcmp(word, "ok") != 0)
            doctor_say(n->d, FINDING_WRITE_FAILED, "%s: %s is %s", n->address, states[i], word);
}

/* "slave0:ip=127.0.0.1,port=6380,state=online,offset=14,lag=1": is it a replica that keeps up? */
static bool look_at_replica(const struct node *n, const char *line)
{
    const char *state = strstr(line, "state="), *lag = strstr(line, "lag=");
    bool good =
        state && strncmp(state, "state=online", 12) == 0 && lag && strtoul(lag + 4, NULL, 10) <= LAG_MOST_S;
    if (!good)
        doctor_say(n->d, FINDING_LAG, "%s: replica %s", n->address, line);
    return good;
}

static void look_at_replicas(const struct node *n)
{
    const json_t *redis = json_object_get(n->d->site, "redis");
    unsigned long replicas = number(n->info, "connected_slaves"), good = 0,
                  wanted = (unsigned long)json_integer_value(json_object_get(redis, "ack_replicas"));
    char name[WORD_MAX], word[WORD_MAX];
    for (unsigned long i = 0; i < replicas; i++) {
        snprintf(name, sizeof name, "slave%lu", i);
        good += field(n->info, name, word) && look_at_replica(n, word);
    }
    if (replicas == 0 && wanted == 0)
        doctor_say(n->d, FINDING_ALONE, "%s: it has no replica", n->address);
    if (good < wanted)
        doctor_say(n->d, FINDING_REPLICAS, "%s: %lu replicas keep up, redis.ack_replicas is %lu", n->address,
                   good, wanted);
    if (replicas > 0 && !field(n->info, "min_slaves_good_slaves", word))
        doctor_say(n->d, FINDING_MIN_REPLICAS, "%s: min-replicas-to-write is 0", n->address);
}

/* before: the version of the node that was looked at before; "" at first. */
static void look_at_version(const struct node *n, char before[WORD_MAX])
{
    char version[WORD_MAX];
    if (!field(n->info, "valkey_version", version))
        field(n->info, "redis_version", version);
    if (*before && *version && strcmp(before, version) != 0)
        doctor_say(n->d, FINDING_VERSIONS, "%s: its version is %s, another primary's is %s", n->address,
                   version, before);
    if (*version)
        snprintf(before, WORD_MAX, "%s", version);
}

static const char *text_of(const json_t *from, const char *name)
{
    const char *text = json_string_value(json_object_get(from, name));
    return text ? text : "-";
}

/* True: it can be asked, whatever it says. */
static bool look_at_node(struct doctor *d, const json_t *said, char version[WORD_MAX])
{
    struct node n = {d, text_of(said, "address"), json_string_value(json_object_get(said, "info"))};
    bool ready = json_is_true(json_object_get(said, "ready"));
    if (!n.info) {
        doctor_say(d, ready ? FINDING_INFO : FINDING_REDIS_AWAY, "%s: %s", n.address, text_of(said, "why"));
        return ready;
    }
    look_at_version(&n, version);
    look_at_memory(&n);
    look_at_files(&n);
    look_at_replicas(&n);
    return true;
}

void doctor_redis(struct doctor *d)
{
    const json_t *redis = json_object_get(d->site, "redis"), *nodes = json_object_get(redis, "nodes"), *node;
    json_int_t sentinels = json_integer_value(json_object_get(redis, "sentinels")),
               up = doctor_counter(d, "spoa_once_sentinels_up");
    char version[WORD_MAX] = "";
    size_t i;
    if (up < sentinels)
        doctor_say(d, FINDING_SENTINELS,
                   "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " Sentinels answer", up, sentinels);
    bool all = json_array_size(nodes) > 0;
    if (!all)
        doctor_say(d, FINDING_REDIS_AWAY, "%s", text_of(redis, "why"));
    json_array_foreach(nodes, i, node)
    {
        all = look_at_node(d, node, version) && all;
    }
    if (all && doctor_counter(d, "spoa_once_redis_up") == 0)
        doctor_say(d, FINDING_REDIS_AWAY, "the cluster has slots without a primary");
}
