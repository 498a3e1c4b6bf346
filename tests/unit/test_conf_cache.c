// SPDX-License-Identifier: MIT
/* What a configuration says of the cache: what comes out, and what is refused, in which words. */
#include "adapters/conffile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/test-conf-cache-XXXXXX";

#define HAPROXY "haproxy = ( { socket = \"/run/h.sock\"; } );\n"
#define REPLAY  "replay = { listen = \"unix@/run/replay.sock\"; };\n"
/* more: beside `cache` in its policy. */
#define WITH(inside, more)                                                                                   \
    HAPROXY REPLAY "policies = ( { name = \"p\"; cache = { " inside " }; " more " } );\n"

static void on_mistake(void *arg, const char *file, unsigned line, const char *text)
{
    char *said = arg;
    size_t at = strlen(said);
    (void)file;
    (void)line;
    snprintf(said + at, 4096 - at, "%s\n", text);
}

static struct config *load(const char *text, char said[4096])
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    *said = '\0';
    return conffile_read(path, on_mistake, said);
}

static struct config *good(const char *text)
{
    char said[4096];
    struct config *c = load(text, said);
    if (!c)
        fail_msg("%s", said);
    return c;
}

static void bad(const char *text, const char *why)
{
    char said[4096];
    if (load(text, said))
        fail_msg("this is taken:\n%s", text);
    if (!strstr(said, why))
        fail_msg("wanted\n%s\nin\n%s", why, said);
}

static void test_what_comes_out(void **state)
{
    (void)state;
    struct config *c =
        good(WITH("ttl = \"30s\"; stale_if_error = \"2d\"; stale_while_revalidate = \"5s\"; vary = "
                  "[ \"Accept\", \"accept-encoding\" ]; query = [ \"page\" ]; per = "
                  "\"principal\"; principal = \"user\"; tags = \"Surrogate-Key\"; max_size = "
                  "\"12k\"; store = \"200, 404\";",
                  "limits = ( { name = \"l\"; rate = \"1/s\"; key = \"user\"; } );"));
    const struct cache_policy *p = &c->policies[0].cache;
    assert_true(p->enabled && c->cache.used);
    assert_int_equal(p->ttl_s, 30);
    assert_int_equal(p->stale_if_error_s, 172800);
    assert_int_equal(p->varies.n, 2);
    assert_string_equal(p->varies.name[0], "accept");
    assert_int_equal(p->query_mode, CACHE_QUERY_ONLY);
    assert_string_equal(p->tags, "surrogate-key");
    assert_int_equal(p->max_size, 12288);
    assert_int_equal(c->cache.frame, 12288 + 2048 + 1024);
    assert_int_equal(c->cache.life_ms, (172800 + 30) * 1000);
    assert_int_equal(c->cache.keep_ms, 2 * (172800 + 30) * 1000); /* a purge outlives what it concerns */
    config_drop(c);
    c = good(WITH("", ""));
    assert_int_equal(c->cache.life_ms, 43200000);
    assert_int_equal(c->cache.keep_ms, 86400000);
    assert_int_equal(c->policies[0].cache.query_mode, CACHE_QUERY_SORTED);
    config_drop(c);
    c = good(HAPROXY REPLAY "policies = ( { name = \"p\"; idempotency = { principal = \"none\"; }; } );\n");
    assert_false(c->cache.used);
    config_drop(c);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    bad(WITH("", "idempotency = { principal = \"none\"; };"), "a policy has a cache or idempotency");
    bad(WITH("", "limits = ( { name = \"l\"; concurrent = 3; key = \"ip\"; } );"), "never in flight");
    bad(WITH("per = \"principal\";", ""), "the message argument that says who it is");
    bad(WITH("principal = \"user\";", ""), "means nothing without per");
    bad(WITH("vary = [ \"x-*\" ];", ""), "x-*: at most eight names");
    bad(WITH("vary = [ \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\" ];", ""),
        "i: at most eight names");
    bad(WITH("query = [ \"page\", \"a.b\" ];", ""), "names of parameters are wanted, of letters");
    bad(WITH("store = \"200, 206\";", ""), "206 is not an answer of its own");
    bad(WITH("fill = \"100ms\";", "") "cache = { deadline = \"100ms\"; };\n",
        "must be longer than cache.deadline");
    bad(HAPROXY "replay = { listen = \"\"; };\npolicies = ( { name = \"p\"; cache = { }; } );\n",
        "replay.listen must not be empty");
    config_drop(good(WITH("fill = \"101ms\";", "") "cache = { deadline = \"100ms\"; };\n"));
}

/* What can be captured is HAProxy's buffer: a larger one is named, to the byte. */
static void test_largest_answer(void **state)
{
    (void)state;
#define FRAME(bytes) "spop = { maxrewrite = \"1k\"; max_frame = " bytes "; };\n"
    bad(WITH("max_size = \"20k\";", "") FRAME("16384"),
        "20480 bytes do not fit: spop.max_frame, and HAProxy's tune.bufsize, must be at least 23552");
    bad(WITH("max_size = \"20k\";", "") FRAME("23551"), "at least 23552");
    config_drop(good(WITH("max_size = \"20k\";", "") FRAME("23552")));
#undef FRAME
}

static void holds(const char *more, unsigned records, unsigned answers)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s", WITH("", ""), more);
    struct config *c = good(text);
    assert_int_equal(c->redis.holds, records);
    assert_int_equal(c->cache.redis.holds, answers);
    config_drop(c);
}

/* Which Redis is told that cached answers can fill it: also one that is named twice. */
static void test_one_redis_or_two(void **state)
{
    (void)state;
    const unsigned beside = REDIS_HOLDS_RECORDS | REDIS_BESIDE_ANSWERS;
    holds("", beside | REDIS_HOLDS_ANSWERS, REDIS_HOLDS_ANSWERS);
    holds("redis = { address = \"h:1\"; };\ncache = { redis = { address = \"h:1\"; db = 1; }; };\n", beside,
          REDIS_HOLDS_ANSWERS);
    holds("redis = { address = \"h:1\"; };\ncache = { redis = { address = \"h:2\"; }; };\n",
          REDIS_HOLDS_RECORDS, REDIS_HOLDS_ANSWERS);
#define SENTINELS(name) " sentinels = [ \"a:1\", \"b:1\" ]; sentinel_name = \"" name "\"; "
    holds("redis = {" SENTINELS("one") "};\ncache = { redis = {" SENTINELS("one") "}; };\n", beside,
          REDIS_HOLDS_ANSWERS);
    holds("redis = {" SENTINELS("one") "};\ncache = { redis = {" SENTINELS("two") "}; };\n",
          REDIS_HOLDS_RECORDS, REDIS_HOLDS_ANSWERS);
#undef SENTINELS
}

static int begin(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_out),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_largest_answer),
        cmocka_unit_test(test_one_redis_or_two),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
