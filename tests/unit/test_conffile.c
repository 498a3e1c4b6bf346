// SPDX-License-Identifier: MIT
/* Whole files, good and bad: what comes out, and for each kind of mistake its line and its words. */
#include "adapters/conffile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "domain/decided.h"
#include "domain/policy.h"
#include "domain/seal.h"

static char dir[] = "/tmp/test-conffile-XXXXXX";
static char path[128], secret[128];

/* Two lines that every good file needs; the section under test stands behind them, from line 3 on. */
#define HAPROXY "haproxy = ( { socket = \"/run/h.sock\"; } );\n"
#define POLICY(inside)                                                                                       \
    "policies = ( { name = \"p\"; idempotency = {\n principal = \"none\";\n" inside " }; } );\n"
#define GOOD HAPROXY "policies = ( { name = \"p\"; idempotency = { principal = \"none\"; }; } );\n"

/* libconfig (1.5) loses the text of a string that a syntax error cuts off. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

struct told {
    unsigned n;
    char text[8192]; /* "LINE: message\n" for each mistake */
};

static void on_mistake(void *arg, const char *file, unsigned line, const char *text)
{
    struct told *t = arg;
    size_t at = strlen(t->text);
    assert_string_equal(file, path);
    assert_null(strchr(text, '\n'));
    t->n++;
    snprintf(t->text + at, sizeof t->text - at, "%u: %s\n", line, text);
}

static void put_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static struct config *load(const char *text, struct told *t)
{
    *t = (struct told){0};
    put_file(path, text, strlen(text), 0600);
    return conffile_read(path, on_mistake, t);
}

static struct config *good(const char *text)
{
    struct told t;
    struct config *c = load(text, &t);
    if (!c)
        fail_msg("%s", t.text);
    assert_int_equal(t.n, 0);
    assert_int_equal(c->refs, 1);
    assert_string_equal(c->file, path);
    return c;
}

/* Exactly these mistakes: `want` holds the beginning of each, in their order. */
static void bad(const char *text, const char *const *want)
{
    struct told t;
    struct config *c = load(text, &t);
    const char *at = t.text;
    if (c)
        fail_msg("this is taken:\n%s", text);
    for (; *want; want++) {
        if (strncmp(at, *want, strlen(*want)) != 0)
            fail_msg("wanted\n%s\nin\n%s", *want, t.text);
        at = strchr(at, '\n') + 1;
    }
    if (*at)
        fail_msg("one more:\n%s", at);
}
#define BAD(text, ...) bad(text, (const char *const[]){__VA_ARGS__, NULL})

static void test_smallest(void **state)
{
    struct config *c = good(GOOD);
    (void)state;
    assert_int_equal(c->npolicies, 1);
    const struct policy *p = &c->policies[0];
    assert_string_equal(p->name, "p");
    assert_int_equal(p->hash, policy_hash("p"));
    assert_true(p->idempotency.enabled);
    assert_false(p->idempotency.required);
    assert_int_equal(p->idempotency.lock_s, 30);
    assert_int_equal(p->idempotency.record_s, CONFIG_RECORD_DEFAULT_S);
    assert_string_equal(p->idempotency.methods, "POST, PATCH");
    assert_true(status_in(&p->idempotency.stored, 201));
    assert_false(status_in(&p->idempotency.stored, 500));
    assert_int_equal(c->redis.deadline_ms, 300);
    config_drop(c);
}

static void test_everything(void **state)
{
    struct config *c = good(
        "log = { format = \"json\"; level = \"debug\"; };\n"
        "spop = { listen = [\"unix@/run/a.sock\", \"127.0.0.1:9000\"]; mode = \"0666\"; max_connections = 7; "
        "};\n"
        "replay = { listen = \"unix@/run/r.sock\"; memory = \"12k\"; drop = (\"X-Id\", \"X-B3-*\"); };\n"
        "http = { listen = \"\"; };\n"
        "notices = { listen = \"unix@/run/n.sock\"; };\n"
        "redis = { address = \"unix@/run/redis.sock\"; db = 3; deadline = \"200ms\"; };\n"
        "haproxy = ( { socket = \"/run/a\"; }, { socket = \"/run/b\"; } );\n"
        "policies = ( { name = \"payments\"; idempotency = { principal = \"user\"; required = true;\n"
        "  lock = \"33s\"; record = \"7d\"; fingerprint = \"headers\"; store = \"stripe\"; definite = "
        "\"503\";\n"
        "  on_unknown = \"hold\"; inflight = \"lease\"; max_stored = 100; methods = \"any\"; };\n"
        "  limits = ( { name = \"a\"; rate = \"6/min\"; key = \"ip\"; },\n"
        "             { name = \"b\"; rate = \"7/s\"; burst = 20; key = \"global, user\"; } ); },\n"
        " { name = \"quotes\"; limits = ( { name = \"a\"; rate = \"1/30d\"; key = \"policy\"; } ); } );\n");
    (void)state;
    assert_int_equal(c->log.format, LOG_JSON);
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->spop.listen.n, 2);
    assert_string_equal(c->spop.listen.item[1], "127.0.0.1:9000");
    assert_int_equal(c->spop.mode, 0666);
    assert_int_equal(c->spop.max_connections, 7);
    assert_int_equal(c->replay.memory, 12288);
    assert_int_equal(c->replay.drop.n, 2);
    assert_string_equal(c->replay.drop.item[1], "x-b3-*");
    assert_string_equal(c->http.listen, "");
    assert_int_equal(c->redis.db, 3);
    assert_int_equal(c->nhaproxy, 2);
    assert_string_equal(c->haproxy[1].socket, "/run/b");
    assert_int_equal(c->npolicies, 2);
    const struct idempotency *i = &c->policies[0].idempotency;
    assert_int_equal(i->lock_s, 34); /* 33 has no code in a token */
    assert_int_equal(i->on_unknown, ON_UNKNOWN_HOLD);
    assert_int_equal(i->inflight, INFLIGHT_LEASE);
    assert_int_equal(i->fingerprint, FINGERPRINT_HEADERS);
    assert_true(status_in(&i->stored, 500) && status_in(&i->known, 503));
    assert_false(c->policies[1].idempotency.enabled);
    const struct limit *l = c->policies[0].limits;
    assert_int_equal(l[0].pace.burst, 6);
    assert_int_equal(l[0].pace.quota, 6);
    assert_int_equal(l[0].pace.window_s, 60);
    assert_true(l[0].pace.increment == 100000000.0 && l[0].pace.capacity == 600000000.0);
    assert_true(l[1].pace.increment == 1428572.0 &&
                l[1].pace.capacity == 20 * 1428572.0); /* 10^7 / 7 rounded up */
    assert_int_equal(l[1].nterms, 2);
    assert_string_equal(l[1].terms[0], "global");
    assert_string_equal(l[1].terms[1], "user");
    config_drop(c);
}

static void test_example(void **state)
{
    struct told t = {0};
    (void)state;
    FILE *f = fopen("docs/spoa-once.example.conf", "r");
    if (!f)
        skip();
    char text[16384];
    size_t len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    struct config *c = load(text, &t);
    if (!c)
        fail_msg("%s", t.text);
    assert_int_equal(c->npolicies, 6);
    config_drop(c);
}

static void test_files_that_are_none(void **state)
{
    struct told t;
    char nul[] = "log = { };\0 x";
    char *large = calloc(1, (1 << 20) + 2);
    (void)state;
    BAD("", "0: the file is empty");
    BAD("# nothing\n", "0: the file is empty");
    memset(large, '\n', (1 << 20) + 1);
    BAD(large, "0: the file is longer than 1048576 bytes");
    large[1 << 20] = '\0';
    BAD(large, "0: the file is empty");
    free(large);
    t = (struct told){0};
    put_file(path, nul, sizeof nul, 0600);
    assert_null(conffile_read(path, on_mistake, &t));
    assert_string_equal(t.text, "0: the file is not a text: it has a NUL byte\n");
    unlink(path);
    t = (struct told){0};
    assert_null(conffile_read(path, on_mistake, &t));
    assert_string_equal(t.text, "0: the file cannot be opened: No such file or directory\n");
    assert_int_equal(mkdir(path, 0700), 0);
    t = (struct told){0};
    assert_null(conffile_read(path, on_mistake, &t));
    assert_string_equal(t.text, "0: the file is not a regular file\n");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    t = (struct told){0};
    assert_null(conffile_read(path, on_mistake, &t));
    assert_string_equal(t.text, "0: the file is not a regular file\n");
    unlink(path);
}

static void test_syntax(void **state)
{
    (void)state;
    BAD(GOOD "log = { level = \"info\";\n", "4: syntax error: ");
    BAD(GOOD "log = { level = \"info };\n", "4: ");
    BAD("log = { level = info; };\n", "1: syntax error: ");
    BAD(GOOD "log = { };\nlog = { };\n", "4: duplicate setting name: each option and section stands once");
    BAD(GOOD "\n  @include \"/etc\"\n", "4: '@include' is not possible");
}

static void test_unknown_names(void **state)
{
    (void)state;
    BAD(GOOD "redis = {\n dedline = \"1s\"; };\n",
        "4: unknown option 'redis.dedline': did you mean 'redis.deadline'?");
    BAD(GOOD "reids = { };\n", "3: unknown option 'reids': did you mean 'redis'?");
    BAD(GOOD "level = \"info\";\n",
        "3: unknown option 'level': known here: log, spop, replay, http, admin, notices, traffic, redis, "
        "cache, breaker, problems, inflight, completion, wait, shield, loans, stop, crash, haproxy, "
        "policies\n");
    BAD(HAPROXY POLICY(" locks = \"30s\";"),
        "4: policy 'p': unknown option 'idempotency.locks': did you mean 'lock'?");
    BAD("policies = ( {\n name = \"p\"; limit = ( ); } );\n",
        "2: policy 'p': unknown option 'limit': did you mean 'limits'?", "1: policy 'p': has neither");
    BAD(GOOD "log = { level = { }; };\n", "3: option 'log.level': a value is wanted, not a group");
    BAD(GOOD "redis = 3;\n", "3: 'redis': a group is wanted: redis = { option = value; };");
    BAD(GOOD "log.level = \"info\";\n", "3: syntax error");
}

static void test_wrong_values(void **state)
{
    (void)state;
    BAD(GOOD "redis = {\n deadline = \"3 parsecs\"; };\n",
        "4: option 'redis.deadline': value '3 parsecs': a time is wanted, such as \"250ms\", \"30s\", "
        "\"5m\"; at "
        "least 10ms, at most 10s\n");
    BAD(GOOD "redis = { deadline = 300; };\n", "3: option 'redis.deadline': value '300': a time is wanted");
    BAD(GOOD "redis = { deadline = \"9ms\"; };\n", "3: option 'redis.deadline': value '9ms': a time");
    BAD(GOOD "redis = { db = \"x\"; };\n",
        "3: option 'redis.db': value 'x': a whole number is wanted; at least 0");
    BAD(GOOD "redis = { db = 1.5; };\n", "3: option 'redis.db': value '1.5': a whole number");
    BAD(GOOD "redis = { db = -1; };\n", "3: option 'redis.db': value '-1': a whole number");
    BAD(GOOD "redis = { db = 99999999999L; };\n",
        "3: option 'redis.db': value '99999999999': a whole number");
    BAD(GOOD "redis = { db = true; };\n", "3: option 'redis.db': value 'true': a whole number");
    BAD(GOOD "redis = { username = 5; };\n", "3: option 'redis.username': value '5': a text in quotes");
    BAD(GOOD "redis = { address = [\"a:1\"]; };\n",
        "3: option 'redis.address': value 'a:1': an address is wanted");
    /* Without quotes it is 660 to one libconfig and 432 to the next. */
    BAD(GOOD "spop = { mode = 0660; };\n", "3: option 'spop.mode': value '");
    BAD(GOOD "spop = { mode = 660; };\n", "3: option 'spop.mode': value '660': permissions in octal digits");
    BAD(GOOD "spop = { listen = [ ]; };\n", "3: option 'spop.listen': value '': addresses are wanted");
    BAD(GOOD "spop = { listen = [ 1, 2 ]; };\n",
        "3: option 'spop.listen': a list of texts in quotes is wanted");
    BAD(GOOD "spop = { listen = [ \"unix@/a\", \"b\" ]; };\n",
        "3: option 'spop.listen': value 'unix@/a,b': 'b': addresses");
    BAD(GOOD "log = { level = \"loud\"; };\n",
        "3: option 'log.level': value 'loud': one of these words is wanted: \"error\"");
    BAD(HAPROXY POLICY(" required = 1;"),
        "4: policy 'p': option 'idempotency.required': value '1': true or false");
    BAD(HAPROXY POLICY(" store = \"2xx, 9\";"),
        "4: policy 'p': option 'idempotency.store': value '2xx, 9': '9': statuses");
}

static void test_values_are_shown_safely(void **state)
{
    (void)state;
    BAD(GOOD "redis = { password = \"hush\\n\"; };\n", "3: option 'redis.password': value '***': a text");
    BAD(GOOD "log = { level = \"a\\nb\"; };\n", "3: option 'log.level': value 'a?b': one");
    BAD(GOOD "log = { level = "
             "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; };\n",
        "3: option 'log.level': value "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...': one");
}

static void test_all_mistakes_are_told(void **state)
{
    (void)state;
    BAD("log = { level = \"loud\"; };\n"
        "redis = {\n"
        " deadline = 1;\n"
        " colour = 2; };\n"
        "policies = (\n"
        " { name = \"a b\"; limits = (\n"
        "   { name = \"x\"; rate = \"often\"; key = \"\"; } ); },\n"
        " { name = \"q\"; idempotency = {\n"
        "    lock = \"2s\"; }; } );\n",
        "1: option 'log.level'", "3: option 'redis.deadline'", "4: unknown option 'redis.colour'",
        "6: policy 'a b': option 'name': value 'a b': a name",
        "7: policy 'a b': limit 'x': option 'rate': value 'often': a rate is wanted",
        "7: policy 'a b': limit 'x': option 'key': value '': what is counted apart",
        "8: policy 'q': option 'idempotency.principal' is missing. Whose key it is: \"none\"",
        "9: policy 'q': option 'idempotency.lock': 2s is too short: redis.deadline",
        "8: policy 'q': option 'idempotency.inflight': \"poll\" needs HAProxy's runtime socket");
}

static void test_missing(void **state)
{
    (void)state;
    BAD("log = { };\n", "0: option 'policies': at least one policy is wanted");
    BAD("policies = ( );\n", "1: option 'policies': at least one policy is wanted");
    BAD("policies = (\n { limits = ( {\n } ); } );\n", "2: policy 1: limit 1: option 'name' is missing",
        "2: policy 1: limit 1: option 'key' is missing", "2: policy 1: option 'name' is missing");
    BAD("policies = ( { name = \"p\"; } );\n", "1: policy 'p': has neither idempotency nor limits");
    BAD("haproxy = ( { } );\n"
        "policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"1/s\"; key = \"ip\"; } ); } );\n",
        "1: option 'haproxy.socket' is missing");
}

static void test_lists(void **state)
{
    (void)state;
    BAD(GOOD "http = { };\nspop = ( );\n", "4: 'spop': a group is wanted");
    BAD("haproxy = { socket = \"/a\"; };\npolicies = ( \"p\" );\n",
        "1: 'haproxy': a list is wanted: haproxy = ( {", "2: 'policies': every element must be a group");
    BAD("policies = { };\n", "1: 'policies': a list is wanted", "1: option 'policies': at least one");
    BAD("policies = ( { name = \"p\"; limits = ( 1 ); }, { name = \"q\"; idempotency = 1; } );\n" HAPROXY,
        "1: policy 'p': 'limits': every element", "1: policy 'q': 'idempotency': a group is wanted");
}

/* n elements in a list of groups. */
static char *many(const char *before, const char *element, unsigned n, const char *after)
{
    char *out = calloc(1, 64 + strlen(before) + strlen(after) + (strlen(element) + 16) * n);
    size_t at = (size_t)sprintf(out, "%s", before);
    for (unsigned i = 0; i < n; i++) {
        at += (size_t)sprintf(out + at, "%s", i ? ",\n" : "");
        at += (size_t)sprintf(out + at, element, i);
    }
    sprintf(out + at, "%s", after);
    return out;
}

static void at_most(const char *before, const char *element, unsigned n, const char *after, const char *want)
{
    char *fits = many(before, element, n, after), *over = many(before, element, n + 1, after);
    config_drop(good(fits));
    BAD(over, want);
    free(fits);
    free(over);
}

static void test_too_many(void **state)
{
    (void)state;
    at_most("policies = (",
            "{ name = \"p%u\"; limits = ( { name = \"l\"; rate = \"1/s\"; key = \"ip\"; } ); }",
            CONFIG_POLICIES_MAX, ");\n", "65: 'policies': there are 65, at most 64 are possible");
    at_most("policies = ( { name = \"p\"; limits = (", "{ name = \"l%u\"; rate = \"1/s\"; key = \"ip\"; }",
            CONFIG_LIMITS_MAX, "); } );\n", "9: policy 'p': 'limits': there are 9, at most 8 are possible");
}

static void test_too_many_sockets(void **state)
{
    (void)state;
    at_most("policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"1/s\"; key = \"ip\"; } ); } "
            ");\nhaproxy = (",
            "{ socket = \"/run/%u\"; }", CONFIG_HAPROXY_MAX, ");\n",
            "10: 'haproxy': there are 9, at most 8 are possible");
}

#define LIMIT(name) "{ name = \"" name "\"; rate = \"1/s\"; key = \"ip\"; }"

#define SHARED(policy, limit, more)                                                                          \
    ",\n{ name = \"" policy "\"; limits = ( { name = \"" limit "\"; key = \"global, ip\"; " more " } ); }"
#define CLASH(line, policy, limit, other)                                                                    \
    line ": policy '" policy "': limit '" limit "': option 'name': policy '" other                           \
         "' has a global limit of that name and key, counted together with this one, of another rate, "      \
         "burst or tiers: give both the same, or one of them another name"

/* What is counted together has one size; what has another name, kind or key is counted by itself. */
static void test_shared_limits(void **state)
{
    (void)state;
    BAD("policies = ( { name = \"o\"; limits = (" LIMIT("a") "); }" SHARED("p", "a", "rate = \"1/s\";")
            SHARED("q", "a", "rate = \"2/s\";") SHARED("r", "a", "rate = \"1/s\"; burst = 2;") SHARED(
                "s", "a", "rate = \"1/s\"; burst = 1;") SHARED("t", "b", "rate = \"2/s\";")
                SHARED("v", "a", "rate = \"9/s\"; algorithm = \"sliding-window\";") SHARED(
                    "w", "b",
                    "rate = \"2/s\"; tier = \"x\"; tiers = ( { name = \"y\"; rate = \"3/s\"; } );") ");\n",
        CLASH("3", "q", "a", "p"), CLASH("4", "r", "a", "p"), CLASH("8", "w", "b", "t"));
}

static void test_names_that_clash(void **state)
{
    (void)state;
    BAD("policies = (\n{ name = \"p\"; limits = (" LIMIT("a") ",\n" LIMIT(
            "a") "); },\n"
                 "{ name = \"p\"; limits = (" LIMIT("a") "); } );\n",
        "3: policy 'p': limit 'a': option 'name': this policy has a limit of that name already",
        "4: policy 'p': option 'name': there is a policy of that name already");
    BAD("policies = ( { name = \"policy-150965\"; limits = (" LIMIT(
            "a") "); },\n"
                 "{ name = \"policy-191511\"; limits = (" LIMIT("a") "); } );\n",
        "2: policy 'policy-191511': option 'name': has the same hash as 'policy-150965'");
    BAD("policies = ( { name = \"p\"; limits = (" LIMIT("limit-15842") ",\n" LIMIT("limit-56631") "); } );\n",
        "2: policy 'p': limit 'limit-56631': option 'name': has the same hash as 'limit-15842'");
}

#define SLOTS(policy, limit)                                                                                 \
    "policies = ( { name = \"p\";" policy " limits = (\n { name = \"l\"; key = \"ip\";" limit " } ); } );\n"

/* Limits on what is in flight: either a rate or a number; lease and runtime socket as a lock needs them. */
static void test_slots(void)
{
    struct config *c = good(HAPROXY SLOTS(" lease = \"33s\";", " concurrent = 10; fail_open = true;"));
    assert_int_equal(c->policies[0].limits[0].concurrent, 10);
    assert_true(c->policies[0].limits[0].fail_open);
    assert_int_equal(c->policies[0].lease_s, 34);
    config_drop(c);
    BAD(HAPROXY SLOTS("", ""), "3: policy 'p': limit 'l': rate (\"100/min\") or concurrent (10) is wanted");
    BAD(HAPROXY SLOTS("", " concurrent = 0;"), "3: policy 'p': limit 'l': rate (\"100/min\") or concurrent");
    BAD(HAPROXY SLOTS("", " concurrent = 1; rate = \"1/s\";"),
        "3: policy 'p': limit 'l': only one of rate and concurrent is possible");
    BAD(HAPROXY SLOTS("", " concurrent = 100001;"),
        "3: policy 'p': limit 'l': option 'concurrent': value '100001'");
    BAD(HAPROXY SLOTS("", " concurrent = 1; burst = 5;"),
        "3: policy 'p': limit 'l': option 'burst': belongs to a rate");
    BAD(HAPROXY SLOTS("", " concurrent = 1; charge = \"all\"; cost = \"c\"; algorithm = \"sliding-window\";"),
        "3: policy 'p': limit 'l': option 'algorithm': belongs to a rate",
        "3: policy 'p': limit 'l': option 'cost': belongs to a rate",
        "3: policy 'p': limit 'l': option 'charge': belongs to a rate");
    BAD(HAPROXY SLOTS("", " concurrent = 1; tier = \"t\"; tiers = ( { name = \"x\"; rate = \"1/s\"; } );"),
        "3: policy 'p': limit 'l': option 'tier': belongs to a rate");
    BAD(SLOTS("", " concurrent = 1;"),
        "1: policy 'p': option 'limits': \"concurrent\" needs HAProxy's runtime socket");
    BAD(HAPROXY SLOTS(" lease = \"2s\";", " concurrent = 1;"),
        "2: policy 'p': option 'lease': 2s is too short");
    BAD(HAPROXY "redis = { reconnect = \"1s\"; };\n" SLOTS(" lease = \"3s\";", " concurrent = 1;"),
        "3: policy 'p': option 'lease': 3s is too short: a third of it must be longer");
    config_drop(good(SLOTS(" lease = \"2s\";", " rate = \"1/s\";"))); /* a rate holds nothing */
}

static void test_rules_between_values(void **state)
{
    (void)state;
    /* 300 ms + 3 * 250 ms + 1 s = 2050 ms */
    BAD(HAPROXY "redis = { reconnect = \"100ms\"; };\n" POLICY(" lock = \"2s\";"),
        "5: policy 'p': option 'idempotency.lock': 2s is too short: redis.deadline "
        "(300ms), three times "
        "inflight.poll (750ms) and 1s must fit: at least 3s\n");
    config_drop(good(HAPROXY "redis = { deadline = \"250ms\"; };\n" POLICY(" lock = \"2s\";")));
    /* a third of the lock, against the pause between two attempts */
    BAD(HAPROXY "redis = { reconnect = \"1s\"; };\n" POLICY(" lock = \"3s\";"),
        "5: policy 'p': option 'idempotency.lock': 3s is too short: a third of it must be longer than "
        "redis.reconnect (1000ms): at least 4s\n");
    config_drop(good(HAPROXY "redis = { reconnect = \"999ms\"; };\n" POLICY(" lock = \"3s\";")));
    config_drop(
        good(HAPROXY "redis = { reconnect = \"1m\"; };\n" POLICY(" lock = \"3s\"; inflight = \"lease\";")));
    /* 30 s and a third of it */
    BAD(HAPROXY POLICY(" record = \"40s\";"),
        "4: policy 'p': option 'idempotency.record': 40s is too short: a record "
        "must outlive its lock (30s) and a third of it: at least 41s\n");
    config_drop(good(HAPROXY POLICY(" record = \"41s\";")));
    config_drop(good(HAPROXY POLICY(" lock = \"4s\"; record = \"6s\";"))); /* 4 s and a third of it: 5.33 s */
    BAD(HAPROXY POLICY(" lock = \"4s\"; record = \"5s\";"),
        "4: policy 'p': option 'idempotency.record': 5s is too short");
    BAD(HAPROXY POLICY(" definite = \"500, 501\";"),
        "4: policy 'p': option 'idempotency.definite': 501: only 5xx, but not 501");
    config_drop(good(HAPROXY POLICY(" definite = \"500, 502, 503, 504, 520\";")));
    BAD(HAPROXY POLICY(" ignore = [ \"timestamp\" ];"),
        "4: policy 'p': option 'idempotency.ignore': means nothing without fingerprint = \"json\"");
    BAD(HAPROXY POLICY(" fingerprint = \"json\"; ignore = [ \"a..b\" ];"),
        "4: policy 'p': option 'idempotency.ignore': value 'a..b': paths of fields are wanted, at most 64, "
        "such as [\"timestamp\", \"meta.sent_at\"]");
    struct config *c =
        good(HAPROXY POLICY(" fingerprint = \"json\"; ignore = [ \"A\", \"b.c\" ]; scope = \"path\";"));
    assert_int_equal(c->policies[0].idempotency.ignore.n, 2);
    assert_string_equal(c->policies[0].idempotency.ignore.item[0], "A");
    assert_string_equal(c->policies[0].idempotency.ignore.item[1], "b.c");
    assert_int_equal(c->policies[0].idempotency.scope, KEY_SCOPE_PATH);
    config_drop(c);
    test_slots();
    BAD(HAPROXY POLICY("") "replay = { listen = \"\"; };\n",
        "2: policy 'p': option 'idempotency': stored answers");
    BAD(POLICY(""), "1: policy 'p': option 'idempotency.inflight': \"poll\" needs");
    config_drop(good(POLICY(" inflight = \"lease\";")));
    BAD(GOOD "spop = { max_frame = \"4k\"; maxrewrite = 4096; };\n",
        "3: option 'spop.maxrewrite': must be smaller");
    config_drop(good(GOOD "spop = { max_frame = \"4k\"; maxrewrite = 4095; };\n"));
    BAD(GOOD "redis = { ack_replicas = 1; ack_timeout = \"150ms\"; };\n",
        "3: option 'redis.ack_timeout': 150ms is too long: twice that must be below redis.deadline (300ms)");
    config_drop(good(GOOD "redis = { ack_replicas = 1; ack_timeout = \"149ms\"; };\n"));
    config_drop(good(GOOD "redis = { ack_timeout = \"500ms\"; };\n"));
}

static void test_sockets(void **state)
{
    char longer[400];
    (void)state;
    BAD("haproxy = ( { socket = \"/run/h\"; },\n { socket = \"/run/h\"; } );\n" POLICY(""),
        "1: option 'haproxy': /run/h stands there twice");
    snprintf(longer, sizeof longer, "haproxy = ( { socket = \"/%0107d\"; } );\n" POLICY(""), 0);
    BAD(longer, "1: option 'haproxy': /0000");
    snprintf(longer, sizeof longer, "haproxy = ( { socket = \"/%0106d\"; } );\n" POLICY(""), 0);
    config_drop(good(longer));
    BAD(GOOD "spop = { listen = [ \"unix@/run/a\", \"unix@/run/a\" ]; };\n",
        "3: option 'spop.listen': the same address stands there twice");
    BAD(GOOD "spop = { listen = \"unix@/run/a\"; };\nreplay = { listen = \"unix@/run/a\"; };\n",
        "4: option 'replay.listen': is an address of spop.listen too");
    BAD(GOOD "replay = { listen = \"unix@/run/a\"; };\nnotices = { listen = \"unix@/run/a\"; };\n",
        "4: option 'notices.listen': is the address of another listener too");
}

static void test_a_limit_comes_back(void **state)
{
    (void)state;
    config_drop(good("policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"7/30d\"; key = "
                     "\"ip\"; } ); } );\n"));
    config_drop(good("policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"1/day\"; burst = 30; "
                     "key = \"ip\"; } ); } );\n"));
    BAD("policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"1/day\";\n burst = 31; key = "
        "\"ip\"; } ); } );\n",
        "2: policy 'p': limit 'l': option 'burst': 31 is too large: at 1/day it takes more than 30 days");
}

#define IN_LIMIT(text)                                                                                       \
    "policies = ( { name = \"p\"; limits = ( { name = \"l\"; key = \"ip\";\n" text " } ); } );\n"

static void test_limits_of_each_kind(void **state)
{
    (void)state;
    struct config *c = good(IN_LIMIT(
        "rate = \"6/min\"; burst = 3; tier = \"plan\"; cost = \"weight\"; shadow = true; fields = \"both\";\n"
        "ipv4_prefix = 24; ipv6_prefix = 48; charge = \"all\";\n"
        "tiers = ( { name = \"gold\"; rate = \"1000/min\"; }, { name = \"free\"; rate = \"6/hour\"; burst = "
        "2; } );"));
    const struct limit *l = &c->policies[0].limits[0];
    assert_true(c->policies[0].counts_all && l->shadow);
    assert_int_equal(l->algorithm, ALGORITHM_BUCKET);
    assert_int_equal(l->charge, CHARGE_ALL);
    assert_int_equal(l->fields, FIELDS_BOTH);
    assert_string_equal(l->tier, "plan");
    assert_string_equal(l->cost, "weight");
    assert_true(l->ipv4_prefix == 24 && l->ipv6_prefix == 48);
    assert_int_equal(l->ntiers, 2);
    assert_string_equal(l->tiers[1].name, "free");
    assert_true(l->tiers[0].pace.increment == 600000 && l->tiers[0].pace.capacity == 6e8);
    assert_true(l->tiers[1].pace.increment == 6e9 && l->tiers[1].pace.capacity == 12e9);
    assert_true(l->most == 12e9 && l->pace.capacity == 3e8);
    config_drop(c);
    c = good(IN_LIMIT("algorithm = \"sliding-window\"; rate = \"6/min\"; tier = \"plan\";\n"
                      "tiers = ( { name = \"gold\"; rate = \"100/60s\"; } );"));
    l = &c->policies[0].limits[0];
    assert_int_equal(l->algorithm, ALGORITHM_WINDOW);
    assert_true(l->pace.increment == 1 && l->pace.capacity == 6 && l->tiers[0].pace.capacity == 100);
    assert_false(c->policies[0].counts_all);
    assert_true(l->ipv4_prefix == 32 && l->ipv6_prefix == 64 && l->fields == FIELDS_IETF);
    config_drop(c);
}

/* Tokens of one loan: of the limit's own rate, and of its tier's. */
static void assert_lent(const char *text, uint32_t own, uint32_t tier)
{
    char file[512];
    snprintf(file, sizeof file,
             IN_LIMIT("%s tier = \"plan\"; tiers = ( { name = \"gold\"; rate = \"3200/min\"; } );"), text);
    struct config *c = good(file);
    assert_int_equal(c->policies[0].limits[0].pace.lent, own);
    assert_int_equal(c->policies[0].limits[0].tiers[0].pace.lent, tier);
    config_drop(c);
}

static void test_lent_limits(void **state)
{
    (void)state;
    assert_lent("rate = \"1000/min\";", 0, 0);
    assert_lent("rate = \"1000/min\"; lease = \"off\";", 0, 0);
    assert_lent("rate = \"63/min\"; lease = \"auto\";", 0, 200);
    assert_lent("rate = \"64/min\"; lease = \"auto\";", 4, 200);
    assert_lent("rate = \"1000/min\"; burst = 63; lease = \"auto\";", 0, 200);
    assert_lent("rate = \"1000/min\"; lease = 50;", 50, 50);
    assert_lent("rate = \"1000/min\"; lease = 2000;", 500, 1600);
    assert_lent("rate = \"1000/min\"; burst = 1; lease = 50;", 0, 50);
    assert_lent("rate = \"1000/min\"; lease = 50; shadow = true;", 0, 0);
    config_drop(good(IN_LIMIT("rate = \"100/s\"; algorithm = \"sliding-window\"; lease = \"auto\";")));
    BAD(IN_LIMIT("rate = \"100/s\"; algorithm = \"sliding-window\";\n lease = 10;"),
        "3: policy 'p': limit 'l': option 'lease': a sliding window cannot be lent");
    BAD(HAPROXY SLOTS("", " concurrent = 1; lease = \"auto\";"),
        "3: policy 'p': limit 'l': option 'lease': belongs to a rate");
    BAD(IN_LIMIT("rate = \"100/s\"; lease = 0;"), "2: policy 'p': limit 'l': option 'lease': value '0'");
}

static void test_limits_that_cannot_be(void **state)
{
    (void)state;
    BAD(IN_LIMIT("algorithm = \"sliding-window\"; rate = \"6/min\";\n burst = 2;"),
        "3: policy 'p': limit 'l': option 'burst': means nothing with algorithm = \"sliding-window\"");
    BAD(IN_LIMIT("algorithm = \"sliding-window\"; rate = \"6/min\"; tier = \"t\";\n"
                 "tiers = ( { name = \"a\";\nrate = \"6/hour\"; } );"),
        "4: policy 'p': limit 'l': tier 'a': option 'rate': a sliding window has one time");
    BAD(IN_LIMIT("rate = \"6/min\"; tier = \"t\";"),
        "2: policy 'p': limit 'l': option 'tier': chooses one of `tiers`");
    BAD(IN_LIMIT("rate = \"6/min\"; tiers = ( { name = \"a\"; rate = \"1/s\"; },\n"
                 "{ name = \"a\"; rate = \"1/day\"; burst = 31; },\n { name = \"b\"; }, { rate = \"1/x\"; "
                 "name = \"c\"; } );"),
        "4: policy 'p': limit 'l': tier 'b': option 'rate' is missing",
        "4: policy 'p': limit 'l': tier 'c': option 'rate': value '1/x'",
        "2: policy 'p': limit 'l': option 'tiers': `tier` is wanted too",
        "3: policy 'p': limit 'l': tier 'a': option 'name': this limit has a tier of that name already",
        "3: policy 'p': limit 'l': tier 'a': option 'burst': 31 is too large");
    BAD(IN_LIMIT("rate = \"6/min\"; ipv6_prefix = 32;"), "2: policy 'p': limit 'l': option 'ipv6_prefix'");
    BAD("policies = ( { name = \"p\"; limits = ( { name = \"l\"; rate = \"6/min\"; key = \"global, user\";\n"
        "ipv4_prefix = 24;\nipv6_prefix = 56; } ); } );\n",
        "2: policy 'p': limit 'l': option 'ipv4_prefix': says how many bits of an address count, and `key` "
        "has no \"ip\"",
        "3: policy 'p': limit 'l': option 'ipv6_prefix': says how many bits");
    BAD(IN_LIMIT("rate = \"6/min\"; tiers = 1;"), "2: policy 'p': limit 'l': 'tiers': a list is wanted");
    BAD(IN_LIMIT("rate = \"6/min\"; tier = \"t\"; tiers = ( 1 );"),
        "2: policy 'p': limit 'l': 'tiers': every element");
}

#define CLUSTER "redis = { mode = \"cluster\"; seeds = [ \"10.0.0.7:6379\" ]; };\n"
/* A policy with idempotency for a principal, and limits, from line 2 on. */
#define SPLIT(principal, limits)                                                                             \
    "policies = ( { name = \"p\"; idempotency = { principal = \"" principal                                  \
    "\"; inflight = \"lease\"; }; limits = (\n" limits " ); } );\n"

/* Of each limit the number of its line. */
static void assert_decided(const char *text, const char *lines)
{
    struct config *c = good(text);
    struct buf b;
    buf_init(&b);
    decided_print(&b, c);
    buf_u8(&b, '\0');
    assert_string_equal(b.data, lines);
    buf_free(&b);
    config_drop(c);
}

static void test_how_limits_are_decided(void **state)
{
    (void)state;
    static const char limits[] = SPLIT(
        "user", "{ name = \"own\"; rate = \"9/min\"; key = \"user\"; },\n"
                "{ name = \"lent\"; rate = \"900/min\"; key = \"user, ip\"; lease = \"auto\"; },\n"
                "{ name = \"few\"; rate = \"9/min\"; key = \"global\"; },\n"
                "{ name = \"all\"; rate = \"1000/min\"; key = \"global\"; },\n"
                "{ name = \"net\"; rate = \"1000/min\"; key = \"ip\"; shadow = true; },\n"
                "{ name = \"slid\"; rate = \"5/s\"; key = \"ip, user\"; algorithm = \"sliding-window\"; }");
    char text[2048];
    assert_decided(limits,
                   "policy p, limit own: in the gate's call\n"
                   "policy p, limit lent: leased, up to 56 tokens at a time; else in the gate's call\n"
                   "policy p, limit few: in the gate's call\n"
                   "policy p, limit all: in the gate's call\n"
                   "policy p, limit net: in the gate's call\n"
                   "policy p, limit slid: in the gate's call\n");
    snprintf(text, sizeof text, "%s%s", CLUSTER, limits);
    assert_decided(text, "policy p, limit own: in the gate's call\n"
                         "policy p, limit lent: leased, up to 56 tokens at a time; else in the gate's call\n"
                         "policy p, limit few: by a call of its own before the gate's\n"
                         "policy p, limit all: leased, up to 62 tokens at a time; else by a call of its own "
                         "before the gate's\n"
                         "policy p, limit net: by a call of its own before the gate's\n"
                         "policy p, limit slid: in the gate's call\n");
    /* No record: the first limit about a client is at home. */
    assert_decided(
        CLUSTER
        "policies = ( { name = \"p\"; limits = ( { name = \"all\"; rate = \"9/min\"; key = \"policy\"; },\n"
        "{ name = \"each\"; rate = \"9/min\"; key = \"ip\"; } ); } );\n",
        "policy p, limit all: by a call of its own before the gate's\n"
        "policy p, limit each: in the gate's call\n");
    assert_decided(CLUSTER "policies = ( { name = \"p\"; limits = ( { name = \"all\"; rate = \"9/min\"; key "
                           "= \"global\"; } ); } );\n",
                   "policy p, limit all: in the gate's call\n");
    assert_decided(
        CLUSTER SPLIT("none", "{ name = \"l\"; rate = \"9/min\"; key = \"ip\"; lease = 4; }"),
        "policy p, limit l: leased, up to 4 tokens at a time; else by a call of its own before the gate's\n");
    /* A net is not its first address. */
    assert_decided(
        CLUSTER SPLIT(
            "ip",
            "{ name = \"l\"; rate = \"9/min\"; key = \"ip\"; }, { name = \"net\"; rate = \"9/min\"; key = "
            "\"ip\"; ipv4_prefix = 24; }"),
        "policy p, limit l: in the gate's call\npolicy p, limit net: by a call of its own before the "
        "gate's\n");
}

static void test_what_a_cluster_cannot_decide(void **state)
{
    (void)state;
    BAD(CLUSTER SPLIT("user",
                      "{ name = \"l\"; rate = \"9/min\"; algorithm = \"sliding-window\";\nkey = \"ip\"; }"),
        "4: policy 'p': limit 'l': option 'key': a sliding window is decided where the request's record "
        "lies: in a cluster its key must "
        "have the policy's principal");
    BAD(CLUSTER HAPROXY SPLIT("none", "{ name = \"l\"; concurrent = 9; key = \"ip\"; }"),
        "4: policy 'p': limit 'l': option 'key': what is in flight is decided where the request's record "
        "lies");
    BAD(CLUSTER SPLIT("ip", "{ name = \"l\"; rate = \"9/min\"; algorithm = \"sliding-window\"; ipv4_prefix = "
                            "24; key = \"ip\"; }"),
        "3: policy 'p': limit 'l': option 'key'");
    BAD(CLUSTER HAPROXY
        "policies = ( { name = \"p\"; limits = ( { name = \"a\"; concurrent = 9; key = \"ip\"; },\n"
        "{ name = \"b\"; concurrent = 9; key = \"global\"; }, { name = \"c\"; rate = \"9/min\"; key = "
        "\"user\";\n"
        "algorithm = \"sliding-window\"; }, { name = \"d\"; concurrent = 5; key = \"ip, user\"; } ); } );\n",
        "4: policy 'p': limit 'b': option 'key': what is in flight is decided where the request's other "
        "limits lie",
        "4: policy 'p': limit 'c': option 'key': a sliding window is decided where the request's other "
        "limits lie");
}

static void test_environment(void **state)
{
    (void)state;
    setenv("TEST_HOST", "10.0.0.7", 1);
    setenv("TEST_DB", "5", 1);
    setenv("TEST_EMPTY", "", 1);
    unsetenv("TEST_UNSET");
    struct config *c =
        good(GOOD "redis = { address = \"${TEST_HOST}:6379\"; db = \"${TEST_DB}\"; password = \"a$$b$$\"; "
                  "username = \"${TEST_EMPTY}\"; };\n");
    assert_string_equal(c->redis.address, "10.0.0.7:6379");
    assert_int_equal(c->redis.db, 5);
    assert_string_equal(c->redis.password, "a$b$");
    assert_string_equal(c->redis.username, "");
    config_drop(c);
    BAD(GOOD "redis = {\n password = \"${TEST_UNSET}\"; };\n",
        "4: option 'redis.password': the environment variable 'TEST_UNSET' is not set");
    BAD(GOOD "redis = { password = \"a$b\"; };\n", "3: option 'redis.password': a lone '$': write \"$$\"");
    BAD(GOOD "redis = { password = \"a$\"; };\n", "3: option 'redis.password': a lone '$'");
    BAD(GOOD "redis = { password = \"${TEST_HOST\"; };\n", "3: option 'redis.password': '${' needs the name");
    BAD(GOOD "redis = { password = \"${}\"; };\n", "3: option 'redis.password': '${' needs the name");
    BAD(GOOD "spop = { listen = [\"${TEST_UNSET}\"]; };\n",
        "3: option 'spop.listen': the environment variable");
}

static void secret_is(const char *content, mode_t mode, const char *want)
{
    char text[512], message[512];
    put_file(secret, content, strlen(content), mode);
    snprintf(text, sizeof text, GOOD "redis = { password_file = \"%s\"; };\n", secret);
    snprintf(message, sizeof message, "3: option 'redis.password_file': value '%s': the file %s", secret,
             want);
    BAD(text, message);
}

static void secret_gives(const char *content, const char *want)
{
    char text[512];
    put_file(secret, content, strlen(content), 0640);
    snprintf(text, sizeof text, GOOD "redis = { password_file = \"%s\"; };\n", secret);
    struct config *c = good(text);
    assert_string_equal(c->redis.password, want);
    config_drop(c);
}

static void test_secret_file(void **state)
{
    char text[512], word[300];
    (void)state;
    secret_gives("hush\n", "hush");
    secret_gives("hush\r\n", "hush");
    secret_gives("hu$h ", "hu$h ");
    memset(word, 'x', sizeof word);
    word[255] = '\0';
    secret_gives(word, word);
    word[255] = 'x';
    word[256] = '\0';
    secret_is(word, 0600, "must be one line");
    secret_is("a\nb\n", 0600, "must be one line");
    secret_is("\n", 0600, "is empty");
    secret_is("hush", 0644, "may be read by everybody (mode 0644): chmod o-r");
    snprintf(text, sizeof text, GOOD "redis = { password = \"a\"; password_file = \"%s\"; };\n", secret);
    BAD(text, "3: option 'redis.password_file': only one of");
    BAD(GOOD "crash = { file = \"/nowhere/at/all/crash\"; };\n",
        "3: option 'crash.file': value '/nowhere/at/all/crash': there is no directory /nowhere/at/all/: make "
        "it");
    unlink(secret);
    snprintf(text, sizeof text, GOOD "redis = { password_file = \"%s\"; };\n", secret);
    BAD(text, "3: option 'redis.password_file': value '");
}

/* A file that holds a key, in one of its two forms. */
static void key_is(const char *content, mode_t mode, const char *want)
{
    char text[512], message[512];
    put_file(secret, content, strlen(content), mode);
    snprintf(text, sizeof text, GOOD "replay = {\n seal_keys = [ \"%s\" ]; };\n", secret);
    snprintf(message, sizeof message, "4: option 'replay.seal_keys': value '%s': the file %s", secret, want);
    BAD(text, message);
}

#define KEY_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2 "00000000000000000000000000000000000000000000000000000000000000ff"
static void test_seal_keys(void **state)
{
    char second[160], text[1024], message[512];
    (void)state;
    snprintf(second, sizeof second, "%s.2", secret);
    put_file(secret, KEY_1 "\n", sizeof KEY_1, 0640);
    put_file(second, KEY_2, sizeof KEY_2 - 1, 0400);
    snprintf(text, sizeof text, GOOD "replay = { seal_keys = [ \"%s\",\n \"%s\" ]; };\n", secret, second);
    struct config *c = good(text);
    assert_int_equal(c->nseals, 2);
    assert_int_equal(c->seals[0].bytes[31], 31);
    assert_int_equal(c->seals[1].bytes[31], 255);
    config_drop(c);
    c = good(GOOD "replay = { seal_keys = []; };\n");
    assert_int_equal(c->nseals, 0);
    config_drop(c);
    /* Each of them is told, at its own line. */
    put_file(second, KEY_2, sizeof KEY_2 - 2, 0400);
    snprintf(message, sizeof message, "4: option 'replay.seal_keys': value '%s': the file holds no key",
             second);
    chmod(secret, 0644);
    BAD(text, "3: option 'replay.seal_keys': value '/tmp/", message);
    put_file(second, KEY_1, sizeof KEY_1 - 1, 0400);
    chmod(secret, 0600);
    snprintf(message, sizeof message,
             "4: option 'replay.seal_keys': value '%s': the file holds the key of a file before it", second);
    BAD(text, message);
    unlink(second);
    BAD(GOOD "replay = { seal_keys = [ \"a.key\" ]; };\n",
        "3: option 'replay.seal_keys': value 'a.key': absolute paths are wanted");
    key_is(KEY_1, 0644, "may be read by everybody (mode 0644): chmod o-r");
    key_is("", 0600, "is empty");
    key_is("password", 0600, "holds no key: 32 bytes are wanted, as base64 or 64 hex digits on one line");
    key_is(KEY_1 "\n" KEY_2 "\n", 0600, "must be one line");
    unlink(secret);
    snprintf(text, sizeof text, GOOD "replay = { seal_keys = [ \"%s\" ]; };\n", secret);
    BAD(text, "3: option 'replay.seal_keys': value '");
}

#define SENTINELS "sentinels = [\"10.0.0.1:26379\", \"[::1]:26379\", \"sentinel-3:26379\"]; "
static void test_sentinels(void **state)
{
    char text[512];
    (void)state;
    put_file(secret, "look\n", 5, 0600);
    snprintf(text, sizeof text,
             GOOD "redis = { " SENTINELS "sentinel_name = \"once\"; sentinel_password_file = \"%s\"; };\n",
             secret);
    struct config *c = good(text);
    assert_int_equal(c->redis.sentinels.n, 3);
    assert_string_equal(c->redis.sentinels.item[1], "[::1]:26379");
    assert_string_equal(c->redis.sentinel_name, "once");
    assert_string_equal(c->redis.sentinel_password, "look");
    assert_string_equal(c->redis.password, "");
    config_drop(c);
    config_drop(good(GOOD "redis = { sentinels = []; address = \"10.0.0.1:1\"; };\n"));
    BAD(GOOD "redis = { " SENTINELS "sentinel_name = \"once\";\n address = \"127.0.0.1:6379\"; };\n",
        "4: option 'redis.address': only one of address and sentinels is possible");
    BAD(GOOD "redis = { " SENTINELS "};\n",
        "3: option 'redis.sentinel_name': is wanted with redis.sentinels");
    BAD(GOOD "redis = { sentinel_name = \"once\"; sentinel_password = \"x\"; };\n",
        "3: option 'redis.sentinel_name': means nothing without",
        "3: option 'redis.sentinel_password': means nothing without");
    BAD(GOOD "redis = { username = \"u\"; };\n", "3: option 'redis.username': a user needs");
    BAD(GOOD "redis = { sentinels = [\"10.0.0.1\"]; };\n",
        "3: option 'redis.sentinels': value '10.0.0.1': addresses are wanted, at most eight, such as");
    unlink(secret);
}

/* Every beginning of a file, and every file with one byte changed: taken or refused, never more. */
static void test_broken_files(void **state)
{
    static const char whole[] =
        GOOD "redis = { address = \"${HOME}:1\"; deadline = \"1s\"; };\nspop = { listen = [\"unix@/a\"]; };\n"
             "replay = { drop = (\"a\", \"b\"); memory = 0x10; };\n";
    char text[sizeof whole];
    struct told t;
    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        memcpy(text, whole, len);
        text[len] = '\0';
        struct config *c = load(text, &t);
        assert_true((c == NULL) == (t.n > 0));
        config_drop(c);
    }
    for (size_t at = 0; at < sizeof whole - 1; at++) {
        memcpy(text, whole, sizeof whole);
        text[at] = "{}()[]\";=,$x"[at % 12];
        struct config *c = load(text, &t);
        assert_true((c == NULL) == (t.n > 0));
        config_drop(c);
    }
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/a.conf", dir);
    snprintf(secret, sizeof secret, "%s/secret", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(secret);
    return rmdir(dir);
}

#define WAITS    "policies = ( { name = \"p\"; idempotency = { principal = \"none\"; wait = \"1s\"; }; }"
#define CACHED   "{ name = \"c\"; cache = { ttl = \"30s\"; }; }"
#define APART    "cache = { redis = { address = \"h:2\"; }; };\n"
#define MOST(n)  "spop = { max_connections = " #n "; };\n"
#define PARKS(n) "wait = { max_parked = " #n "; };\n"

static void on_warning(void *arg, const struct config_place *at, const char *text)
{
    struct told *t = arg;
    assert_string_equal(at->option, "wait.max_parked");
    t->n++;
    snprintf(t->text, sizeof t->text, "%s", text);
}

/* More may wait than connections are there for. want: how the warning begins; NULL: there is none. */
static void test_warnings(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {WAITS " );\n",                                                                          NULL                                                      },
        {WAITS ", " CACHED " );\n" APART,                                                        NULL                                                      },
        {WAITS " );\n" MOST(100) PARKS(99),                                                      NULL                                                      },
        {WAITS " );\n" MOST(100) PARKS(100),                                                     "100 is not below spop.max_connections (100): HAProxy 3.1"},
        {WAITS " );\n" MOST(100) PARKS(101),                                                     "101 is not below spop.max_connections (100): HAProxy 3.1"},
        {"policies = ( " CACHED " );\n" MOST(100) PARKS(100),
         "100 is not below spop.max_connections (100): "                                                                                                   },
        {"policies = ( " CACHED " );\n" APART MOST(100) PARKS(99),                               NULL                                                      },
        {WAITS ", " CACHED " );\n" MOST(100) PARKS(99),                                          NULL                                                      },
        {WAITS ", " CACHED " );\n" APART MOST(100) PARKS(49),                                    NULL                                                      },
        {WAITS ", " CACHED " );\n" APART MOST(100) PARKS(50),
         "50, twice, as cached answers have a Redis of their own, is not below spop.max_connections (100): "                                               },
        {"policies = ( { name = \"p\"; idempotency = { principal = \"none\"; }; } );\n" MOST(1), NULL                                                      },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        struct told t = {0};
        snprintf(text, sizeof text, HAPROXY "%s", cases[i].text);
        struct config *c = good(text);
        assert_int_equal(config_warn(c, on_warning, &t), cases[i].want ? 1 : 0);
        if (cases[i].want && strncmp(t.text, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("wanted\n%s\ngot\n%s", cases[i].want, t.text);
        assert_int_equal(t.n, cases[i].want ? 1 : 0);
        config_drop(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_values_are_shown_safely),
        cmocka_unit_test(test_all_mistakes_are_told),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_too_many_sockets),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_shared_limits),
        cmocka_unit_test(test_names_that_clash),
        cmocka_unit_test(test_rules_between_values),
        cmocka_unit_test(test_a_limit_comes_back),
        cmocka_unit_test(test_limits_of_each_kind),
        cmocka_unit_test(test_lent_limits),
        cmocka_unit_test(test_limits_that_cannot_be),
        cmocka_unit_test(test_how_limits_are_decided),
        cmocka_unit_test(test_what_a_cluster_cannot_decide),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_secret_file),
        cmocka_unit_test(test_seal_keys),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
