// SPDX-License-Identifier: MIT
/* The agent's own commands.
 *
 *   connected ──AUTH, SELECT, ROLE, SCRIPT LOAD .., rights, INFO .., TIME in one write──► all accepted: ready
 *                                                                └─ one refused: logged, dropped, tried again
 *
 * Rights are tried before anything depends on them: a user who may claim but not complete would let a key run twice.
 *
 * TIME is the last step, so that its reply means that everything before it was accepted. The same steps serve
 * later: SCRIPT LOAD heals NOSCRIPT, TIME keeps the clock. No text that could carry the password is logged.
 */
#include "adapters/redis_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "adapters/log.h"
#include "domain/rights.h"
#include "domain/slotmap.h"

struct redis_step {
    const char *name;
    unsigned count; /* how many commands; each has an item number */
    bool (*wanted)(const struct redis *r);
    void (*write)(struct redis *r, unsigned item);
    bool (*accept)(struct redis *r, unsigned item, const redisReply *reply);
};

/* Settings under which records or purges can be lost (facts: settings users must have). */
static const struct advice {
    unsigned holds; /* of a Redis that holds all of these */
    unsigned lacks; /* and none of these */
    const char *section, *field, *wanted, *as_good, *setting, *why;
    enum log_level level;
} advices[] = {
    {REDIS_HOLDS_RECORDS,                        0,                   "memory",      "\nmaxmemory_policy:", "noeviction",   NULL,
     "maxmemory-policy noeviction",                                                                                                                         "locks and records can be evicted: a key may run twice",                            LOG_WARNING},
    {REDIS_HOLDS_RECORDS,                        0,                   "persistence", "\naof_enabled:",      "1",            NULL,         "appendonly yes",
     "a restart of Redis forgets records: a key may run twice",                                                                                                                                                                                 LOG_NOTICE },
    {REDIS_HOLDS_RECORDS | REDIS_BESIDE_ANSWERS, 0,                   "memory",      "\nmaxmemory:",        "0",            NULL,
     "a cache.redis of its own",                                                                                                                            "cached answers can fill this Redis, and then it takes no lock, or evicts one",     LOG_WARNING},
    {REDIS_HOLDS_ANSWERS,                        REDIS_HOLDS_RECORDS, "memory",      "\nmaxmemory_policy:", "volatile-ttl", "noeviction",
     "maxmemory-policy volatile-ttl",                                                                                                                       "a purge can be evicted before the answers that it purged: these are served again", LOG_WARNING},
};
enum { ADVICES = sizeof advices / sizeof *advices };

static void begin(struct redis *r, unsigned args)
{
    buf_reset(&r->out);
    buf_str(&r->out, "*");
    buf_dec(&r->out, args);
    buf_str(&r->out, "\r\n");
}

static void arg(struct redis *r, const void *bytes, size_t len)
{
    buf_str(&r->out, "$");
    buf_dec(&r->out, len);
    buf_str(&r->out, "\r\n");
    buf_put(&r->out, bytes, len);
    buf_str(&r->out, "\r\n");
}

static void text(struct redis *r, const char *s)
{
    arg(r, s, strlen(s));
}

static bool always(const struct redis *r)
{
    (void)r;
    return true;
}

static bool accept_ok(struct redis *r, unsigned item, const redisReply *reply)
{
    (void)r;
    (void)item;
    return reply->type == REDIS_REPLY_STATUS;
}

static bool wants_auth(const struct redis *r)
{
    return *r->password != '\0';
}

static void write_auth(struct redis *r, unsigned item)
{
    (void)item;
    begin(r, *r->username ? 3 : 2);
    text(r, "AUTH");
    if (*r->username)
        text(r, r->username);
    text(r, r->password);
}

static bool wants_select(const struct redis *r)
{
    return r->db != 0;
}

static void write_select(struct redis *r, unsigned item)
{
    char db[16];
    (void)item;
    snprintf(db, sizeof db, "%u", (unsigned)r->db);
    begin(r, 2);
    text(r, "SELECT");
    text(r, db);
}

static void write_role(struct redis *r, unsigned item)
{
    (void)item;
    begin(r, 1);
    text(r, "ROLE");
}

static bool accept_role(struct redis *r, unsigned item, const redisReply *reply)
{
    (void)item;
    bool primary = redis_primary_role(r, reply) == NULL;
    if (!primary)
        metrics_add(r->metrics, METRIC_REDIS_NOT_PRIMARY);
    return primary;
}

/* Not CONFIG: many an ACL and many a provider forbid it. Asked behind the scripts, so that a server that
 * refuses them (LOADING, NOAUTH) is not advised at every try. */
static void write_info(struct redis *r, unsigned item)
{
    begin(r, 2);
    text(r, "INFO");
    text(r, advices[item].section);
}

/* Bytes of a field's value behind `field`, or 0. */
static size_t field_of(const char *info, const char *field, const char **value)
{
    const char *at = info ? strstr(info, field) : NULL;
    *value = at ? at + strlen(field) : "";
    return strcspn(*value, "\r\n");
}

static bool concerns(const struct advice *a, const struct redis *r)
{
    return (r->holds & a->holds) == a->holds && !(r->holds & a->lacks);
}

/* A user who may not even ask is told so, and served. */
static bool accept_info(struct redis *r, unsigned item, const redisReply *reply)
{
    const struct advice *a = &advices[item];
    const char *value;
    if (!concerns(a, r))
        return true;
    size_t len = field_of(reply->type == REDIS_REPLY_ERROR ? NULL : reply->str, a->field, &value);
    struct spop_slice is = {value, len};
    if (len == 0)
        LOG(LOG_NOTICE, "redis-setting-unknown", log_text("wanted", a->setting),
            log_text("why", reply->type == REDIS_REPLY_ERROR ? reply->str : "INFO does not say"));
    else if (!slice_is(is, a->wanted) && !(a->as_good && slice_is(is, a->as_good)))
        LOG(a->level, "redis-setting", log_text("wanted", a->setting), log_bytes("is", is),
            log_text("why", a->why));
    return true;
}

static void write_load(struct redis *r, unsigned item)
{
    begin(r, 3);
    text(r, "SCRIPT");
    text(r, "LOAD");
    arg(r, scripts[item].text, scripts[item].len);
}

static bool accept_load(struct redis *r, unsigned item, const redisReply *reply)
{
    (void)r;
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, scripts[item].sha) == 0;
}

static struct spop_slice slice_of_reply(const redisReply *reply)
{
    return (struct spop_slice){reply->str, reply->str ? (size_t)reply->len : 0};
}

/* With keys that this primary has. One that has no slots yet, or has lost them since, can say nothing; its user's rights
 * to the script itself and its keys were looked at before that. */
static void write_selftest(struct redis *r, unsigned item)
{
    uint8_t tag[2];
    (void)item;
    buf_reset(&r->out);
    redis_own_tag(r, tag);
    script_selftest(&r->out, r->holds & REDIS_HOLDS, tag, r->slots != NULL);
}

static bool accept_selftest(struct redis *r, unsigned item, const redisReply *reply)
{
    struct slot_said said = {.error = SLOT_SERVED};
    (void)item;
    if (r->slots && reply->type == REDIS_REPLY_ERROR)
        slot_said_read(slice_of_reply(reply), &said);
    return said.error != SLOT_SERVED ||
           (reply->type == REDIS_REPLY_STRING && slice_is(slice_of_reply(reply), "OK"));
}

static bool wants_acks(const struct redis *r)
{
    return r->ack_replicas > 0 && r->holds & REDIS_HOLDS_RECORDS;
}

/* No script may do these. */
static const struct {
    const char *command, *argument[2];
} acks[] = {
    {"PUBLISH", {"once:ack", ""}},
    {"WAIT",    {"0", "0"}      },
};

static void write_acks(struct redis *r, unsigned item)
{
    begin(r, 3);
    text(r, acks[item].command);
    text(r, acks[item].argument[0]);
    text(r, acks[item].argument[1]);
}

static bool accept_acks(struct redis *r, unsigned item, const redisReply *reply)
{
    (void)r;
    (void)item;
    return reply->type == REDIS_REPLY_INTEGER;
}

static void write_time(struct redis *r, unsigned item)
{
    (void)item;
    begin(r, 1);
    text(r, "TIME");
}

static bool accept_time(struct redis *r, unsigned item, const redisReply *reply)
{
    (void)item;
    r->clock.asked = false;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
        !reply->element[1]->str)
        return false;
    uint64_t s = strtoull(reply->element[0]->str, NULL, 10), us = strtoull(reply->element[1]->str, NULL, 10);
    redis_clock_saw(r, s * 1000000 + us, r->clock.answered_us);
    return true;
}

static bool wants_asking(const struct redis *r)
{
    return r->slots != NULL;
}

static void write_asking(struct redis *r, unsigned item)
{
    (void)item;
    begin(r, 1);
    text(r, "ASKING");
}

enum {
    STEP_AUTH,
    STEP_SELECT,
    STEP_ROLE,
    STEP_LOAD,
    STEP_SELFTEST,
    STEP_ACKS,
    STEP_INFO,
    STEP_ASKING,
    STEP_TIME,
    STEPS
};

static const struct redis_step steps[STEPS] = {
    [STEP_AUTH] = {"AUTH",               1,                          wants_auth,   write_auth,     accept_ok      },
    [STEP_SELECT] = {"SELECT",             1,                          wants_select, write_select,   accept_ok      },
    [STEP_ROLE] = {"ROLE",               1,                          always,       write_role,     accept_role    },
    [STEP_LOAD] = {"SCRIPT LOAD",        SCRIPTS,                    always,       write_load,     accept_load    },
    [STEP_SELFTEST] = {"EVALSHA",            1,                          always,       write_selftest, accept_selftest},
    [STEP_ACKS] = {"redis.ack_replicas", sizeof acks / sizeof *acks, wants_acks,   write_acks,     accept_acks    },
    [STEP_INFO] = {"INFO",               ADVICES,                    always,       write_info,     accept_info    },
    [STEP_ASKING] = {"ASKING",             1,                          wants_asking, write_asking,   accept_ok      },
    [STEP_TIME] = {"TIME",               1,                          always,       write_time,     accept_time    },
};

static void send_step(struct redis *r, const struct redis_step *step)
{
    for (unsigned item = 0; item < step->count; item++) {
        step->write(r, item);
        redis_calls_own(r, step, item);
    }
}

void redis_greet(struct redis *r)
{
    for (unsigned i = 0; i < STEPS; i++)
        if (steps[i].wanted(r))
            send_step(r, &steps[i]);
}

void redis_greet_load(struct redis *r)
{
    r->loading = SCRIPTS;
    r->load_failed = false;
    send_step(r, &steps[STEP_LOAD]);
}

void redis_greet_asking(struct redis *r)
{
    send_step(r, &steps[STEP_ASKING]);
}

void redis_greet_time(struct redis *r)
{
    if (r->clock.asked)
        return;
    r->clock.asked = true;
    send_step(r, &steps[STEP_TIME]);
}

/* What a user may not do, said with the way out. Of a script's finding, what it tried; else what we sent. */
static bool explain_rights(const struct redis *r, const struct redis_step *step, unsigned item,
                           const redisReply *reply, char why[REDIS_WHY])
{
    struct spop_slice error = slice_of_reply(reply), command = slice_of(step->name);
    struct text said;
    if (step == &steps[STEP_SELFTEST] && reply->type == REDIS_REPLY_STRING) {
        const char *blank = memchr(error.ptr, ' ', error.len);
        command = (struct spop_slice){error.ptr, blank ? (size_t)(blank - error.ptr) : error.len};
        slice_skip(&error, blank ? command.len + 1 : error.len);
    } else if (reply->type != REDIS_REPLY_ERROR || step == &steps[STEP_AUTH] ||
               !(rights_refused(error) || slice_starts(error, "ERR unknown command"))) {
        return false;
    } else if (step == &steps[STEP_ACKS]) {
        command = slice_of(acks[item].command);
    }
    text_init(&said, why, REDIS_WHY);
    rights_advise(&said, r->username, command, error);
    return true;
}

/* An old or renamed AUTH is answered with what it was given, in quotes ("unknown command .. with args
 * beginning with: `secret'"): that part is left out. */
static void refused(struct redis *r, const struct redis_step *step, unsigned item, const redisReply *reply)
{
    char why[REDIS_WHY];
    const char *name = step->name;
    if (explain_rights(r, step, item, reply, why))
        name = "rights";
    else if (reply->type == REDIS_REPLY_ERROR)
        snprintf(why, sizeof why, "%.*s", (int)strcspn(reply->str, step == &steps[STEP_AUTH] ? "`'\"" : ""),
                 reply->str);
    else if (step == &steps[STEP_ROLE])
        snprintf(why, sizeof why, "%s", redis_primary_role(r, reply));
    else if (step == &steps[STEP_LOAD])
        snprintf(why, sizeof why, "script %s came back with another SHA-1 than the one built in",
                 scripts[item].name);
    else
        snprintf(why, sizeof why, "an unexpected reply");
    redis_link_drop(r, name, why);
}

static void loaded(struct redis *r, bool good)
{
    r->load_failed |= !good;
    if (r->loading > 0 && --r->loading == 0)
        redis_calls_healed(r, !r->load_failed);
}

void redis_greet_reply(struct redis *r, const struct redis_step *step, unsigned item, const redisReply *reply)
{
    bool good = step->accept(r, item, reply);
    if (r->link == LINK_GREETING && !good)
        refused(r, step, item, reply);
    else if (r->link == LINK_GREETING && step == &steps[STEP_TIME] && !r->broken)
        redis_link_ready(r);
    else if (r->link == LINK_READY && step == &steps[STEP_LOAD])
        loaded(r, good);
}
