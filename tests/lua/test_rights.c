// SPDX-License-Identifier: MIT
/* Rights that are missing, on a real Redis: the self-test finds each, leaves nothing, and takes no other trouble
 * for one; a word that meets one is not done by half. Which commands there are is read from the script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/gate_fixture.h"

/* The next command that the script tries, in `command`; false: there are no more. Starts with *at NULL. */
static bool next_tried(const char **at, char command[32])
{
    static const char call[] = "may('";
    *at = strstr(*at ? *at : scripts[SCRIPT_SELFTEST].text, call);
    if (!*at)
        return false;
    *at += sizeof call - 1;
    size_t len = strcspn(*at, "'");
    assert_in_range(len, 1, 31);
    memcpy(command, *at, len);
    command[len] = '\0';
    return true;
}

static void acl(struct gate *g, const char *rules, const char *command)
{
    redis_server_do(&g->redis, "ACL SETUSER default %s%s", rules, command);
}

/* What the self-test says must begin with this. */
static void finds(struct gate *g, const char *wanted)
{
    static const uint8_t tag[2];
    buf_reset(&g->out);
    script_selftest(&g->out, REDIS_HOLDS_RECORDS | REDIS_HOLDS_ANSWERS, tag, false);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    if (strncmp(r->str, wanted, strlen(wanted)) != 0)
        fail_msg("wanted %s, got %s", wanted, r->str);
    freeReplyObject(r);
}

static void each_command(void **state)
{
    struct gate *g = *state;
    const char *at = NULL;
    char command[32], wanted[40];
    unsigned n = 0;
    finds(g, "OK");
    for (; next_tried(&at, command); n++) {
        acl(g, "-", command);
        snprintf(wanted, sizeof wanted, "%s ERR ", command);
        finds(g, wanted);
        acl(g, "+", command);
    }
    assert_in_range(n, 13, 64);
    finds(g, "OK");
}

static void keys_and_channels(void **state)
{
    struct gate *g = *state;
    static const struct {
        const char *rules, *finding;
    } cases[] = {
        {"~once:* &once:*",                   "OK"          },
        {"~once:{* ~once:mark &once:w:*",     "OK"          },
        {"&once:*",                           "NOPERM "     },
        {"~once:{* &once:*",                  "NOPERM "     },
        {"~once:{????}:r:* ~once:m* &once:*", "NOPERM "     },
        {"~once:{* %%R~once:mark &once:*",    "NOPERM "     },
        {"~once:*",                           "PUBLISH ERR "},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char rules[100];
        snprintf(rules, sizeof rules, "ACL SETUSER once reset on nopass +@all %s", cases[i].rules);
        redis_server_do(&g->redis, rules);
        redis_server_do(&g->redis, "AUTH once any");
        finds(g, cases[i].finding);
        redis_server_do(&g->redis, "AUTH default any");
    }
}

static void leaves_nothing(void **state)
{
    struct gate *g = *state;
    finds(g, "OK");
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 0);
    redis_server_do(&g->redis, "SET once:mark %s EX 100", "1000 7");
    finds(g, "OK");
    assert_int_equal(redis_server_int(&g->redis, "DBSIZE"), 1);
    assert_int_equal(redis_server_int(&g->redis, "STRLEN once:mark"), 6);
    assert_in_range(redis_server_int(&g->redis, "TTL once:mark"), 90, 100);
    acl(g, "-", "unlink");
    finds(g, "UNLINK ERR ");
    acl(g, "+", "unlink"); /* what stays then has a TTL: gate_end() looks */
}

static bool saving(struct gate *g)
{
    redisReply *r = redisCommand(g->redis.c, "INFO persistence");
    bool still = strstr(r->str, "rdb_bgsave_in_progress:1") != NULL;
    freeReplyObject(r);
    return still;
}

/* A directory where the dump would be: it cannot be written, and Redis refuses writes. */
static void misconf(struct gate *g, bool on)
{
    char path[100];
    snprintf(path, sizeof path, "%s/dump.rdb", g->redis.dir);
    assert_int_equal(on ? mkdir(path, 0700) : rmdir(path), 0);
    redis_server_do(&g->redis, "CONFIG SET save %s", on ? "3600 1000000" : "");
    redis_server_do(&g->redis, "BGSAVE");
    while (saving(g))
        usleep(10000);
    if (!on)
        unlink(path);
}

static void oom(struct gate *g, bool on)
{
    redis_server_do(&g->redis, "CONFIG SET maxmemory %d", on);
}

static void noreplicas(struct gate *g, bool on)
{
    redis_server_do(&g->redis, "CONFIG SET min-replicas-to-write %d", on);
}

static void readonly(struct gate *g, bool on)
{
    redis_server_do(&g->redis, on ? "REPLICAOF 127.0.0.1 1" : "REPLICAOF NO ONE");
}

static void other_trouble(void **state)
{
    struct gate *g = *state;
    static const struct {
        void (*set)(struct gate *g, bool on);
        const char *error;
    } cases[] = {
        {oom,        "OOM"       },
        {noreplicas, "NOREPLICAS"},
        {readonly,   "READONLY"  },
        {misconf,    "MISCONF"   },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i].set(g, true);
        redisReply *r = redisCommand(g->redis.c, "SET k v");
        assert_int_equal(r->type, REDIS_REPLY_ERROR);
        assert_memory_equal(r->str, cases[i].error, strlen(cases[i].error));
        freeReplyObject(r);
        finds(g, "OK");
        acl(g, "-", "rename"); /* and is found behind it */
        finds(g, "RENAME ERR ");
        acl(g, "+", "rename");
        cases[i].set(g, false);
    }
}

static struct word complete_word(struct gate *g, struct buf *pending)
{
    struct response r = {
        201, {"\0\0", 2},
         {"done", 4}
    };
    struct word w = gate_word_of(g, SCRIPT_COMPLETE);
    buf_reset(pending);
    assert_int_equal(0, record_pack_done(pending, &r, NULL, 0));
    w.status = 201;
    w.pending = (struct spop_slice){(const char *)pending->data, pending->len};
    return w;
}

/* Refused in the middle, then said again with all rights: stored, replayed, and nobody could claim meanwhile. */
static void complete_without(struct gate *g, const char *command, bool commit)
{
    struct buf pending = {0};
    struct record r;
    redis_server_do(&g->redis, "FLUSHALL");
    assert_int_equal(gate_claim_as(g, 'r'), 'G');
    struct word w = complete_word(g, &pending), before = w;
    if (commit) {
        before.script = SCRIPT_ANSWERED;
        assert_int_equal(gate_say(g, &before), 'S');
        w.pending = (struct spop_slice){0};
    }
    acl(g, "-", command);
    char said = gate_say(g, &w);
    acl(g, "+", command);
    assert_non_null(strchr("ES", said));
    char meanwhile = gate_claim_as(g, 'q');
    if (meanwhile != (said == 'S' ? 'D' : 'B'))
        fail_msg("without %s: said %c, claim %c", command, said, meanwhile);
    char again = gate_say(g, &w);
    assert_int_equal(again, said == 'S' ? 'N' : 'S');
    assert_int_equal(gate_claim_as(g, 'q'), 'D');
    assert_true(gate_look(g, &r));
    assert_int_equal(r.state, RECORD_DONE);
    assert_int_equal(r.status, 201);
    buf_free(&pending);
}

static void complete_is_whole_or_nothing(void **state)
{
    struct gate *g = *state;
    const char *at = NULL;
    char command[32];
    while (next_tried(&at, command)) {
        complete_without(g, command, false);
        complete_without(g, command, true);
    }
}

/* What may not be read is no value of somebody else's. */
static void unreadable_is_not_foreign(void **state)
{
    struct gate *g = *state;
    assert_int_equal(gate_claim(g), 'G');
    struct word w = gate_word_of(g, SCRIPT_EXTEND);
    acl(g, "-", "getrange");
    assert_int_equal(gate_claim_as(g, 'q'), 'E');
    assert_int_equal(gate_say(g, &w), 'E');
    acl(g, "+", "getrange");
    redis_server_do(&g->redis, "SET once:mark %s EX 100", "1000 7");
    acl(g, "-", "get");
    buf_reset(&g->out);
    script_mark(&g->out, "once:mark", &(struct mark){1000, 7}, false);
    redisReply *r = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    acl(g, "+", "get");
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
}

/* The listener has heard the self-tests, which no waiter waits for. */
static int end(void **state)
{
    struct gate *g = *state;
    bool last = false;
    redis_server_do(&g->redis, "PUBLISH once:w:last %s", ".");
    while (!last) {
        redisReply *r = NULL;
        assert_int_equal(redisGetReply(g->listener, (void **)&r), REDIS_OK);
        last = strcmp(r->element[2]->str, "once:w:last") == 0;
        freeReplyObject(r);
    }
    return gate_end(state);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, gate_begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_command),
        CASE(keys_and_channels),
        CASE(leaves_nothing),
        CASE(other_trouble),
        CASE(complete_is_whole_or_nothing),
        CASE(unreadable_is_not_foreign),
    };
    return cmocka_run_group_tests(tests, gate_start, gate_stop);
}
