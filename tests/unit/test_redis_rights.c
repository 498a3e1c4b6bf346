// SPDX-License-Identifier: MIT
/* A user of Redis' ACL who lacks one right: not ready, told which one, ready as soon as it is there; whether it was
 * missing from the beginning or is taken away under a living connection. */
#include "adapters/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "domain/rights.h"
#include "domain/script.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture f;

static int begin(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, LOG_ERROR);
    redis_fixture_start(&f);
    redis_server_do(&f.server, "ACL SETUSER once on >secret ~once:* &once:* +@all");
    strcpy(f.config->redis.username, "once");
    strcpy(f.config->redis.password, "secret");
    f.config->redis.ack_replicas = 1;
    return 0;
}

static int end(void **state)
{
    (void)state;
    redis_fixture_stop(&f);
    return 0;
}

static void rule(const char *sign, const char *what)
{
    redis_server_do(&f.server, "ACL SETUSER once %s%s", sign, what);
}

static bool says_why(void *arg)
{
    return strstr(redis_why(f.redis), arg) != NULL;
}

/* Without this rule it is not ready, and says the way out; with it, it is. */
static void needs(const char *what, const char *way_out)
{
    char wanted[100];
    unsigned ready = f.ready;
    snprintf(wanted, sizeof wanted, "ACL SETUSER once %s, see docs/redis.md", way_out);
    rule("-", what);
    redis_fixture_connect(&f);
    redis_fixture_until(&f, says_why, wanted);
    redis_fixture_run(&f, 0.05);
    assert_int_equal(f.ready, ready);
    assert_false(redis_ready(f.redis));
    rule("+", what);
    redis_fixture_until_ready(&f, ready + 1);
    redis_free(f.redis);
    f.redis = NULL;
}

/* What the self-test tries, read from it, and what only the agent itself sends. */
static void each_command(void **state)
{
    (void)state;
    static const char *const own[] = {"EVALSHA", "WAIT", "TIME"};
    static const char call[] = "may('";
    char command[32], way_out[40];
    unsigned n = 0;
    f.config->redis.holds = REDIS_HOLDS_RECORDS | REDIS_HOLDS_ANSWERS;
    for (const char *at = scripts[SCRIPT_SELFTEST].text; (at = strstr(at, call)); n++) {
        at += sizeof call - 1;
        snprintf(command, sizeof command, "%.*s", (int)strcspn(at, "'"), at);
        snprintf(way_out, sizeof way_out, "+%s", command);
        for (char *c = way_out; *c; c++)
            *c = text_lower(*c);
        needs(command, way_out);
    }
    assert_in_range(n, 13, 64);
    needs(own[0], "+evalsha");
    needs(own[1], "+wait");
    needs(own[2], "+time");
    needs("script|load", "+script|load");
}

static void channel_and_keys(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *wanted, *given;
    } cases[] = {
        {"resetchannels", "&once:w:* &once:ack", "&once:*"},
        {"resetkeys",     "~once:*",             "~once:*"},
    };
    for (unsigned i = 0; i < 2; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "ACL SETUSER once %s, see", cases[i].wanted);
        rule(cases[i].rule, "");
        redis_fixture_connect(&f);
        redis_fixture_until(&f, says_why, wanted);
        assert_int_equal(f.ready, i);
        rule(cases[i].given, "");
        redis_fixture_until_ready(&f, i + 1);
        redis_free(f.redis);
        f.redis = NULL;
    }
    /* Without replicas to wait for, only waiters' channels are needed. */
    f.config->redis.ack_replicas = 0;
    rule("resetchannels", "");
    rule("&once:w:*", "");
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 3);
}

/* What Redis cannot do now is no missing right: replays are served. */
static void other_trouble(void **state)
{
    (void)state;
    redis_server_do(&f.server, "CONFIG SET maxmemory 1");
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    redis_free(f.redis);
    redis_server_do(&f.server, "CONFIG SET min-replicas-to-write 1");
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 2);
}

static struct seen {
    unsigned told;
    enum redis_status status;
} seen[3];

static void see(void *arg, const struct redis_reply *reply)
{
    struct seen *s = arg;
    s->told++;
    s->status = reply->status;
}

static bool was_lost(void *arg)
{
    (void)arg;
    return f.lost > 0;
}

/* A command of a script; said three times at once. Who was refused is told so, the others that they are lost. */
static void taken_away(void **state)
{
    (void)state;
    struct buf out = {0};
    struct word w = {.script = SCRIPT_RELEASE_RID, .ttl_s = 60};
    script_word(&out, &w);
    redis_fixture_connect(&f);
    redis_fixture_until_ready(&f, 1);
    rule("-", "getrange");
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(redis_submit(f.redis, out.data, out.len, 0, see, &seen[i]));
    redis_fixture_until(&f, was_lost, NULL);
    assert_int_equal(seen[0].status, REDIS_ERROR);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(seen[i].told, 1);
    assert_int_equal(seen[2].status, REDIS_LOST);
    assert_false(redis_ready(f.redis));
    redis_fixture_until(&f, says_why, (char[]){"ACL SETUSER once +getrange"});
    assert_int_equal(f.ready, 1);
    rule("+", "getrange");
    redis_fixture_until_ready(&f, 2);
    redis_fixture_run(&f, 0.3);
    assert_int_equal(f.lost, 1);
    buf_free(&out);
}

/* Redis' words of several versions. */
static void words(void **state)
{
    (void)state;
    static const struct {
        const char *user, *command, *error, *said;
        bool refused;
    } cases[] = {
        {"",       "RENAME",      "ERR The user executing the script can't run this command or subcommand",
         "Redis' user may not run RENAME: ACL SETUSER default +rename, see",                                                                                                            true },
        {"monkey", "RENAME",
         "ERR ACL failure in script: User monkey has no permissions to run the 'rename' command",                    "Redis' user may not run RENAME: ACL SETUSER monkey +rename, see", true },
        {"a",      "SCRIPT LOAD", "NOPERM this user has no permissions to run the 'script|load' command",
         "Redis' user may not run SCRIPT LOAD: ACL SETUSER a +script|load, see",                                                                                                        true },
        {"a",      "PUBLISH",     "ERR ACL failure in script: No permissions to access a channel",
         "Redis' user may not use the channels once:*, tried by PUBLISH: ACL SETUSER a &once:w:* &once:ack, "
         "see",                                                                                                                                                                         true },
        {"a",      "EVALSHA",     "NOPERM this user has no permissions to access one of the keys used as arguments",
         "Redis' user may not use the keys once:*, tried by EVALSHA: ACL SETUSER a ~once:*, see",                                                                                       true },
        {"a",      "RENAME",      "ERR Unknown Redis command called from script",
         "Redis does not know RENAME, see docs/redis.md (ERR Unknown",                                                                                                                  false},
        {"a",      "WAIT",        "ERR unknown command 'WAIT'",                                                      "Redis does not know WAIT, see",                                   false},
        {"a",      "SET",         "ERR something new",                                                               "Redis refuses SET, see docs/redis.md (ERR something new)",        false},
        {"a",      "SET",         "OOM command not allowed when used memory > 'maxmemory'.",                         "Redis refuses SET",                                               false},
        {"a",      "SET",         "",                                                                                "Redis refuses SET, see docs/redis.md ()",                         false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char memory[320];
        struct text t;
        text_init(&t, memory, sizeof memory);
        rights_advise(&t, cases[i].user, slice_of(cases[i].command), slice_of(cases[i].error));
        if (strncmp(memory, cases[i].said, strlen(cases[i].said)) != 0)
            fail_msg("%s", memory);
        assert_int_equal(rights_refused(slice_of(cases[i].error)), cases[i].refused);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_command), CASE(channel_and_keys),  CASE(other_trouble),
        CASE(taken_away),   cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
