// SPDX-License-Identifier: MIT
/* Which Redis: the configured one, or the one that the Sentinels name; and is it a primary?
 *
 *   configuration ──address──────────────────────► r->address ──connect──► ROLE ──┬── master: go on
 *        └──────── sentinels ──► sentinel ──named──────┘                           └── replica: given up
 *                                   ▲── doubt, trust ───────────────────────────────┘
 *                                       (in doubt the Sentinels are asked again)
 *
 * ROLE is asked of every Redis: a replica would take the connection and refuse each claim. Where an ACL
 * forbids ROLE a configured address is believed; one that a Sentinel named is not. */
#include "adapters/redis_inner.h"

#include <string.h>

/* The Sentinels name another primary than before. Scripts, clock and contact begin anew with the connection. */
static void on_primary(void *arg, const char *address)
{
    struct redis *r = arg;
    memcpy(r->address, address, strlen(address) + 1);
    r->said[0] = '\0';
    redis_link_leave(r, "the Sentinels name another primary");
}

static bool same_sentinels(const struct redis *r, const struct redis_settings *s)
{
    if (r->sentinels.n != s->sentinels.n)
        return false;
    for (unsigned i = 0; i < r->sentinels.n; i++)
        if (strcmp(r->sentinels.item[i], s->sentinels.item[i]) != 0)
            return false;
    return strcmp(r->sentinel_name, s->sentinel_name) == 0 &&
           strcmp(r->sentinel_username, s->sentinel_username) == 0 &&
           strcmp(r->sentinel_password, s->sentinel_password) == 0;
}

/* Without memory for it `sentinel` stays NULL, and the next reload tries again. */
static void renew_sentinel(struct redis *r, const struct redis_settings *s)
{
    sentinel_free(r->sentinel);
    r->address[0] = '\0';
    r->sentinel = sentinel_new(r->loop, s, on_primary, r, r->metrics);
    r->sentinels.n = 0;
    if (!r->sentinel)
        return;
    r->sentinels = s->sentinels;
    memcpy(r->sentinel_name, s->sentinel_name, sizeof r->sentinel_name);
    memcpy(r->sentinel_username, s->sentinel_username, sizeof r->sentinel_username);
    memcpy(r->sentinel_password, s->sentinel_password, sizeof r->sentinel_password);
}

bool redis_primary_configure(struct redis *r, const struct redis_settings *s)
{
    if (s->sentinels.n > 0) {
        bool same = r->sentinel && same_sentinels(r, s);
        if (!same)
            renew_sentinel(r, s);
        return !same;
    }
    bool same = !r->sentinel && strcmp(r->address, s->address) == 0;
    sentinel_free(r->sentinel);
    r->sentinel = NULL;
    memcpy(r->address, s->address, sizeof r->address);
    return !same;
}

void redis_primary_doubt(struct redis *r)
{
    if (r->sentinel)
        sentinel_doubt(r->sentinel, r->address);
}

const char *redis_primary_role(const struct redis *r, const redisReply *reply)
{
    bool named = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->str;
    if (named && strcmp(reply->element[0]->str, "master") == 0)
        return NULL;
    if (reply->type == REDIS_REPLY_ERROR && !r->sentinel && strncmp(reply->str, "NOPERM", 6) == 0)
        return NULL;
    return named ? "it is no primary but a replica (or a Sentinel)" : "an unexpected reply";
}
