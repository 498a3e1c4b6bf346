// SPDX-License-Identifier: MIT
/* Redis as its INFO describes it: what must hold so that an acknowledged write stays. */
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

static void look_at_memory(struct doctor *d, const char *info)
{
    char word[WORD_MAX];
    unsigned long most = number(info, "maxmemory"), used = number(info, "used_memory"),
                  gone = number(info, "evicted_keys");
    if (field(info, "maxmemory_policy", word) && strcmp(word, "noeviction") != 0)
        doctor_say(d, FINDING_EVICTION, "maxmemory-policy is %s", word);
    if (gone > 0)
        doctor_say(d, FINDING_EVICTED, "%lu keys", gone);
    if (most > 0 && used / FULL_PERCENT >= most / 100)
        doctor_say(d, FINDING_MEMORY, "%lu of %lu bytes are used", used, most);
}

static void look_at_files(struct doctor *d, const char *info)
{
    static const char *const states[] = {"rdb_last_bgsave_status", "aof_last_write_status",
                                         "aof_last_bgrewrite_status"};
    char word[WORD_MAX];
    if (number(info, "aof_enabled") == 0)
        doctor_say(d, FINDING_AOF, "appendonly is no");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (field(info, states[i], word) && strcmp(word, "ok") != 0)
            doctor_say(d, FINDING_WRITE_FAILED, "%s is %s", states[i], word);
}

/* "slave0:ip=127.0.0.1,port=6380,state=online,offset=14,lag=1": is it a replica that keeps up? */
static bool look_at_replica(struct doctor *d, const char *line)
{
    const char *state = strstr(line, "state="), *lag = strstr(line, "lag=");
    bool good =
        state && strncmp(state, "state=online", 12) == 0 && lag && strtoul(lag + 4, NULL, 10) <= LAG_MOST_S;
    if (!good)
        doctor_say(d, FINDING_LAG, "replica %s", line);
    return good;
}

static void look_at_replicas(struct doctor *d, const char *info)
{
    unsigned long replicas = number(info, "connected_slaves"), good = 0;
    unsigned long wanted =
        (unsigned long)json_integer_value(json_object_get(json_object_get(d->site, "redis"), "ack_replicas"));
    char name[WORD_MAX], word[WORD_MAX];
    for (unsigned long i = 0; i < replicas; i++) {
        snprintf(name, sizeof name, "slave%lu", i);
        good += field(info, name, word) && look_at_replica(d, word);
    }
    if (replicas == 0 && wanted == 0)
        doctor_say(d, FINDING_ALONE, "this Redis has no replica");
    if (good < wanted)
        doctor_say(d, FINDING_REPLICAS, "%lu replicas keep up, redis.ack_replicas is %lu", good, wanted);
    if (replicas > 0 && !field(info, "min_slaves_good_slaves", word))
        doctor_say(d, FINDING_MIN_REPLICAS, "min-replicas-to-write is 0");
}

void doctor_redis(struct doctor *d)
{
    const json_t *redis = json_object_get(d->site, "redis");
    const char *info = json_string_value(json_object_get(redis, "info")),
               *why = json_string_value(json_object_get(redis, "why"));
    json_int_t sentinels = json_integer_value(json_object_get(redis, "sentinels")),
               up = doctor_counter(d, "spoa_once_sentinels_up");
    if (up < sentinels)
        doctor_say(d, FINDING_SENTINELS,
                   "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " Sentinels answer", up, sentinels);
    if (!info) {
        doctor_say(d, json_is_true(json_object_get(redis, "ready")) ? FINDING_INFO : FINDING_REDIS_AWAY, "%s",
                   why ? why : "Redis is not ready");
        return;
    }
    look_at_memory(d, info);
    look_at_files(d, info);
    look_at_replicas(d, info);
}
