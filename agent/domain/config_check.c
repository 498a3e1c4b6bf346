// SPDX-License-Identifier: MIT
/* What one option cannot know: values that follow from others, and rules between values (PROTOCOL, Timing
 * rules). A value that is missing or was refused is empty here and passed over: it has been reported already.
 *
 *   lock     >= redis.deadline + 3 polls + 1s    a claim outlives its own decision and a missed poll
 *   lock / 3 >  redis.reconnect                  an agent is back before a claim is anybody's
 *                                                (both: lease of a policy with slots and no idempotency too)
 *   record   >  lock + lock / 3                  a lapsed claim is still a known key
 *   2 * ack_timeout < redis.deadline             only with ack_replicas: two groups, one after another
 *   sentinels <=> sentinel_name                  whom to ask, and for what
 *
 * Those of limits are in config_limits.c, those of the cache in config_cache.c. */
#include "domain/config_inner.h"

#include <string.h>

#include "domain/policy.h"
#include "domain/token.h"
#include "domain/units.h"

enum { POLLS = 3, MARGIN_MS = 1000 };

struct text *check_begin(struct check *k, const char *option)
{
    k->at.option = option;
    text_init(&k->text, k->memory, sizeof k->memory);
    return &k->text;
}

void check_report(struct check *k)
{
    k->mistakes++;
    k->fn(k->arg, &k->at, k->memory);
}

void check_say(struct check *k, const char *option, const char *text)
{
    text_str(check_begin(k, option), text);
    check_report(k);
}

static void put_ms(struct text *t, const char *before, uint64_t ms)
{
    text_str(t, before);
    text_dec(t, (int64_t)ms);
    text_str(t, "ms");
}

static void put_seconds(struct text *t, const char *before, uint64_t s)
{
    text_str(t, before);
    text_dec(t, (int64_t)s);
    text_str(t, "s");
}

/* wait_ms: how long a request may wait before it is claimed. */
static void check_lock(struct check *k, const char *option, uint32_t lock_s, uint32_t wait_ms)
{
    const struct config *c = k->config;
    uint64_t polls = POLLS * (uint64_t)c->inflight.poll_ms;
    uint64_t need = wait_ms + c->redis.deadline_ms + polls + MARGIN_MS;
    if ((uint64_t)lock_s * 1000 >= need)
        return;
    struct text *t = check_begin(k, option);
    put_seconds(t, "", lock_s);
    text_str(t, " is too short: ");
    if (wait_ms > 0)
        put_ms(t, "idempotency.wait (", wait_ms);
    put_ms(t, wait_ms > 0 ? "), redis.deadline (" : "redis.deadline (", c->redis.deadline_ms);
    put_ms(t, "), three times inflight.poll (", polls);
    put_seconds(t, ") and 1s must fit: at least ", (need + 999) / 1000);
    check_report(k);
}

/* Only a polled claim has a heartbeat that could come too late. */
static void check_heartbeat(struct check *k, const char *option, uint32_t lock_s)
{
    uint64_t pause = k->config->redis.reconnect_ms;
    if (pause * 3 < (uint64_t)lock_s * 1000)
        return;
    struct text *t = check_begin(k, option);
    put_seconds(t, "", lock_s);
    put_ms(t, " is too short: a third of it must be longer than redis.reconnect (", pause);
    put_seconds(t, "): at least ", pause * 3 / 1000 + 1);
    check_report(k);
}

static void check_record(struct check *k, const struct idempotency *i)
{
    uint64_t lapse = (uint64_t)i->lock_s * 4; /* thirds of a second: lock and heartbeat */
    if ((uint64_t)i->record_s * 3 > lapse)
        return;
    struct text *t = check_begin(k, "idempotency.record");
    put_seconds(t, "", i->record_s);
    put_seconds(t, " is too short: a record must outlive its lock (", i->lock_s);
    put_seconds(t, ") and a third of it: at least ", lapse / 3 + 1);
    check_report(k);
}

static void check_definite(struct check *k, const struct idempotency *i)
{
    for (unsigned status = 100; status < 600; status++) {
        if (status_in(&i->known, status) && !status_may_be_unknown(status)) {
            text_dec(check_begin(k, "idempotency.definite"), status);
            text_str(&k->text, ": only 5xx, but not 501 and 505, can be unknown, so only they can be listed");
            check_report(k);
            return;
        }
    }
}

static void check_idempotency(struct check *k, struct idempotency *i)
{
    if (i->ignore.n > 0 && i->fingerprint != FINGERPRINT_JSON)
        check_say(k, "idempotency.ignore", "means nothing without fingerprint = \"json\"");
    struct spop_slice bad;
    i->lock_s = token_ttl_seconds(token_ttl_code(i->lock_s));
    status_set_parse(i->store, &i->stored, &bad);
    status_set_parse(i->definite, &i->known, &bad);
    check_lock(k, "idempotency.lock", i->lock_s, i->wait_ms);
    if (i->inflight == INFLIGHT_POLL)
        check_heartbeat(k, "idempotency.lock", i->lock_s);
    check_record(k, i);
    check_definite(k, i);
    if (i->inflight == INFLIGHT_POLL && k->config->nhaproxy == 0)
        check_say(k, "idempotency.inflight",
                  "\"poll\" needs HAProxy's runtime socket: haproxy = ( { socket = "
                  "\"/run/spoa-once/haproxy.sock\"; } "
                  "); "
                  "without one, \"lease\"");
    if (!*k->config->replay.listen)
        check_say(k, "idempotency",
                  "stored answers are served by the replay listener: replay.listen must not be empty");
}

/* Slots without idempotency: HAProxy's table alone keeps them. */
static void check_lease(struct check *k, struct policy *p)
{
    p->lease_s = token_ttl_seconds(token_ttl_code(p->lease_s));
    if (p->idempotency.enabled || !policy_has_slots(p))
        return;
    check_lock(k, "lease", p->lease_s, 0);
    check_heartbeat(k, "lease", p->lease_s);
    if (k->config->nhaproxy == 0)
        check_say(
            k, "limits",
            "\"concurrent\" needs HAProxy's runtime socket, or a slot would be given back by its lease only: "
            "haproxy = ( { socket = \"/run/spoa-once/haproxy.sock\"; } );");
}

/* Each of these means nothing without another one. section: "redis." or "cache.redis." */
static void check_redis(struct check *k, const char *section, const struct redis_settings *s)
{
    bool asked = s->sentinels.n > 0, cluster = s->mode == REDIS_MODE_CLUSTER;
    const struct {
        bool wrong;
        const char *option, *text;
    } rules[] = {
        {asked && !*s->sentinel_name,                                           "sentinel_name",
         "is wanted with redis.sentinels: what the Sentinels call this Redis (sentinel monitor NAME ..)"                                      },
        {!asked && *s->sentinel_name,                                           "sentinel_name",     "means nothing without redis.sentinels"  },
        {!asked && *s->sentinel_password,                                       "sentinel_password", "means nothing without redis.sentinels"  },
        {*s->sentinel_username && !*s->sentinel_password,                       "sentinel_username",
         "a user needs redis.sentinel_password or its file"                                                                                   },
        {*s->username && !*s->password,                                         "username",          "a user needs redis.password or its file"},
        {cluster != (s->seeds.n > 0),                                           "seeds",
         "and redis.mode = \"cluster\" go together: the mode says what to ask, the seeds whom"                                                },
        {asked && s->mode != REDIS_MODE_AUTO && s->mode != REDIS_MODE_SENTINEL, "sentinels",
         "mean nothing in this redis.mode"                                                                                                    },
        {!asked && s->mode == REDIS_MODE_SENTINEL,                              "mode",              "\"sentinel\" wants redis.sentinels"     },
        {cluster && s->db != 0,                                                 "db",                "a Redis Cluster has only the database 0"},
    };
    char path[64];
    struct text t;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        text_init(&t, path, sizeof path);
        text_str(&t, section);
        text_str(&t, rules[i].option);
        if (rules[i].wrong)
            check_say(k, path, rules[i].text);
    }
}

/* Tokens name a policy by its hash, so two names must not share one. */
static void check_policy_name(struct check *k, unsigned n)
{
    const struct policy *all = k->config->policies;
    for (unsigned i = 0; i < n; i++) {
        if (!*all[n].name || !*all[i].name || all[i].hash != all[n].hash)
            continue;
        if (strcmp(all[i].name, all[n].name) == 0) {
            check_say(k, "name", "there is a policy of that name already");
        } else {
            text_str(check_begin(k, "name"), "has the same hash as '");
            text_str(&k->text, all[i].name);
            text_str(&k->text, "': one of them must be called otherwise");
            check_report(k);
        }
        return;
    }
}

static void check_policy(struct check *k, unsigned n)
{
    struct policy *p = &k->config->policies[n];
    k->at = (struct config_place){.policy = (int)n, .limit = -1, .tier = -1};
    p->hash = policy_hash(p->name);
    check_policy_name(k, n);
    if (p->idempotency.enabled)
        check_idempotency(k, &p->idempotency);
    check_lease(k, p);
    if (p->cache.enabled)
        check_cache_policy(k, p);
    if (*p->name && !p->idempotency.enabled && p->nlimits == 0 && !p->cache.enabled)
        check_say(k, NULL, "has neither idempotency nor limits nor a cache: it would do nothing");
    check_split(k, p);
    for (unsigned i = 0; i < p->nlimits; i++) {
        k->at.limit = (int)i;
        check_limit(k, n, i);
        p->counts_all = p->counts_all || p->limits[i].charge == CHARGE_ALL;
    }
}

static void check_acks(struct check *k)
{
    const struct config *c = k->config;
    if (c->redis.ack_replicas == 0 || 2 * c->redis.ack_timeout_ms < c->redis.deadline_ms)
        return;
    struct text *t = check_begin(k, "redis.ack_timeout");
    put_ms(t, "", c->redis.ack_timeout_ms);
    put_ms(t, " is too long: twice that must be below redis.deadline (", c->redis.deadline_ms);
    text_str(t, ")");
    check_report(k);
}

/* One socket polled twice would be two workers of one process; one bound twice is taken the second time. */
static void check_haproxy(struct check *k)
{
    const struct config *c = k->config;
    for (unsigned i = 0; i < c->nhaproxy; i++) {
        const char *path = c->haproxy[i].socket, *wrong = NULL;
        if (strlen(path) > CONFIG_SOCKET_PATH_MAX)
            wrong = " is too long for a unix socket: at most 107 bytes";
        for (unsigned n = 0; n < i && *path; n++)
            if (strcmp(path, c->haproxy[n].socket) == 0)
                wrong = " stands there twice";
        if (!wrong)
            continue;
        text_str(check_begin(k, "haproxy"), path);
        text_str(&k->text, wrong);
        check_report(k);
    }
}

static void check_listen(struct check *k)
{
    const struct config *c = k->config;
    const struct {
        const char *option, *address;
    } others[] = {
        {"replay.listen",  c->replay.listen },
        {"http.listen",    c->http.listen   },
        {"admin.listen",   c->admin.listen  },
        {"notices.listen", c->notices.listen},
        {"traffic.listen", c->traffic.listen},
    };
    for (unsigned i = 0; i < c->spop.listen.n; i++) {
        const char *address = c->spop.listen.item[i];
        for (unsigned n = 0; n < i; n++)
            if (strcmp(address, c->spop.listen.item[n]) == 0)
                check_say(k, "spop.listen", "the same address stands there twice");
        for (size_t n = 0; n < sizeof others / sizeof *others; n++)
            if (strcmp(address, others[n].address) == 0)
                check_say(k, others[n].option, "is an address of spop.listen too: each needs its own");
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t n = 0; n < i; n++)
            if (*others[i].address && strcmp(others[i].address, others[n].address) == 0)
                check_say(k, others[i].option, "is the address of another listener too: each needs its own");
}

/* Who may connect is said by the file's permissions. */
static void check_admin(struct check *k)
{
    if (*k->config->admin.listen && strncmp(k->config->admin.listen, "unix@", 5) != 0)
        check_say(k, "admin.listen",
                  "must be a unix socket (\"unix@/path\"): its permissions say who may ask");
}

/* How many requests may wait for another one's answer at one time; 0: no policy lets any. */
static uint64_t may_wait(const struct config *c)
{
    bool duplicates = false;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct idempotency *p = &c->policies[i].idempotency;
        duplicates = duplicates || (p->enabled && p->wait_ms > 0);
    }
    unsigned rooms = (duplicates || (c->cache.used && !c->cache.apart)) + c->cache.apart;
    return (uint64_t)rooms * c->wait.max_parked;
}

/* HAProxy 3.1 and later send no other message over the connection of one that waits (README, Duplicates that wait). */
static void warn_of_waits(struct check *k)
{
    const struct config *c = k->config;
    uint64_t parked = may_wait(c);
    if (parked < c->spop.max_connections)
        return;
    struct text *t = check_begin(k, "wait.max_parked");
    text_dec(t, c->wait.max_parked);
    if (parked > c->wait.max_parked)
        text_str(t, ", twice, as cached answers have a Redis of their own,");
    text_str(t, " is not below spop.max_connections (");
    text_dec(t, c->spop.max_connections);
    text_str(
        t, "): HAProxy 3.1 and later open a connection for nearly each request that waits, and beyond "
           "spop.max_connections messages of every engine fail: raise that above all that may wait, or lower "
           "wait.max_parked. With HAProxy 2.6 and 3.0 they share connections");
    check_report(k);
}

unsigned config_warn(struct config *c, config_mistake_fn *fn, void *arg)
{
    struct check k = {
        .config = c, .fn = fn, .arg = arg, .at = {.policy = -1, .limit = -1, .tier = -1}
    };
    warn_of_waits(&k);
    return k.mistakes;
}

unsigned config_check(struct config *c, config_mistake_fn *fn, void *arg)
{
    struct check k = {
        .config = c, .fn = fn, .arg = arg, .at = {.policy = -1, .limit = -1, .tier = -1}
    };
    if (c->spop.maxrewrite >= c->spop.max_frame)
        check_say(&k, "spop.maxrewrite",
                  "must be smaller than spop.max_frame: nothing would be left for a request");
    check_acks(&k);
    check_haproxy(&k);
    check_listen(&k);
    check_admin(&k);
    check_redis(&k, "redis.", &c->redis);
    check_redis(&k, "cache.redis.", &c->cache.redis);
    check_cache(&k);
    if (c->npolicies == 0)
        check_say(&k, "policies", "at least one policy is wanted");
    for (unsigned i = 0; i < c->npolicies; i++)
        check_policy(&k, i);
    return k.mistakes;
}
