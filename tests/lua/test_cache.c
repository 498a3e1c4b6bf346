// SPDX-License-Identifier: MIT
/* The cache's scripts on a real redis-server: lease, filled, purge (docs/wire.md, Cache). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/cacheentry.h"
#include "domain/cachescript.h"
#include "domain/le.h"
#include "tests/support/redis_server.h"

static struct redis_server redis;
static redisContext *listener;
static struct buf out;
static redisReply *reply;

static const uint8_t url[CACHEKEY_DIGEST] = "url-of-sixteen-", lease[8] = "lease-1", other[8] = "lease-2";
static const struct record_id entry = {"ur", "entry-of-sixtee"};

static int group_setup(void **state)
{
    (void)state;
    redis_server_start(&redis);
    redis_server_load(&redis);
    listener = redis_server_connect(&redis);
    freeReplyObject(redisCommand(listener, "PSUBSCRIBE once:w:*"));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    redisFree(listener);
    redis_server_stop(&redis);
    buf_free(&out);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    redis_server_do(&redis, "FLUSHALL");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(redis_server_immortals(&redis), 0);
    freeReplyObject(reply);
    reply = NULL;
    return 0;
}

static void send_it(void)
{
    freeReplyObject(reply);
    reply = redis_server_send(&redis, out.data, out.len, 1);
    buf_reset(&out);
}

static struct cachelook look(void)
{
    struct cachelook l = {.entry = entry, .policy = 7};
    memcpy(l.url, url, sizeof url);
    return l;
}

/* True: it is ours. */
static bool take_lease(const uint8_t id[8], uint64_t *now_us)
{
    struct cachelook l = look();
    bool mine;
    cachescript_lease(&out, &l, id, 500);
    send_it();
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, 1 + CACHELOOK_TAGS);
    assert_true(cachescript_leased((struct spop_slice){reply->element[0]->str, reply->element[0]->len}, &mine,
                                   now_us));
    return mine;
}

static char key_memory[64];

static const char *key(char kind)
{
    struct buf b = {0};
    uint8_t digest[16];
    memcpy(digest, kind == 'u' ? url : entry.digest, sizeof digest);
    buf_str(&b, "once:{");
    buf_hex(&b, url, 2);
    buf_str(&b, (char[]){'}', ':', kind, ':', 0});
    buf_hex(&b, digest, sizeof digest);
    snprintf(key_memory, sizeof key_memory, "%.*s", (int)b.len, (const char *)b.data);
    buf_free(&b);
    return key_memory;
}

static struct spop_slice value(char kind)
{
    freeReplyObject(reply);
    reply = redisCommand(redis.c, "GET %s", key(kind));
    return (struct spop_slice){reply->str, reply->str ? reply->len : 0};
}

/* The URL is known since 1 us, and nothing of it was purged. */
static void know_url(void)
{
    freeReplyObject(redisCommand(redis.c, "SET %s %b PX 60500", key('u'), "\1\0\0\0\0\0\0\x80", (size_t)8));
}

/* An entry as far as the script looks: 24 bytes, then when it was asked for. */
static struct spop_slice entry_of(uint64_t asked_us)
{
    static uint8_t bytes[80];
    memset(bytes, 'x', sizeof bytes);
    le_put(bytes + 24, asked_us, 8);
    return (struct spop_slice){(const char *)bytes, sizeof bytes};
}

static struct vary_names names;

static struct cachefilled filled(uint64_t asked_us)
{
    struct cachefilled f = {.fill = entry,
                            .entry = entry,
                            .mark_ms = 400,
                            .value_ms = 5000,
                            .asked_us = asked_us,
                            .keep_ms = 90000};
    memcpy(f.lease, lease, sizeof lease);
    f.value = entry_of(asked_us);
    f.names = &names;
    return f;
}

static char say(struct cachefilled f)
{
    size_t front = cachescript_filled(&out, &f, url);
    freeReplyObject(reply);
    reply = redis_server_send(&redis, out.data, out.len, front > 0 ? 2 : 1);
    buf_reset(&out);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_int_equal(reply->len, 1);
    return reply->str[0];
}

static unsigned told(void)
{
    unsigned n = 0;
    redisReply *r;
    struct timeval short_time = {0, 20000};
    redisSetTimeout(listener, short_time);
    while (redisGetReply(listener, (void **)&r) == REDIS_OK) {
        n++;
        freeReplyObject(r);
    }
    listener->err = 0;
    return n;
}

static void test_one_lease_at_a_time(void **state)
{
    (void)state;
    uint64_t now_us, then_us;
    assert_true(take_lease(lease, &now_us));
    assert_int_equal(reply->element[1 + CACHELOOK_FILL]->type, REDIS_REPLY_NIL);
    long long ms = redis_server_int(&redis, "PTTL %s", key('f'));
    assert_true(ms > 400 && ms <= 500);
    assert_false(take_lease(other, &then_us));
    assert_true(then_us > now_us);
    assert_memory_equal(reply->element[1 + CACHELOOK_FILL]->str, lease, 8);
}

static void test_lease_reads_what_is_there(void **state)
{
    (void)state;
    uint64_t now_us;
    redis_server_do(&redis, "SET %s e PX 5000", key('e'));
    redis_server_do(&redis, "SET %s u PX 5000", key('u'));
    assert_true(take_lease(lease, &now_us));
    assert_string_equal(reply->element[1 + CACHELOOK_ENTRY]->str, "e");
    assert_string_equal(reply->element[1 + CACHELOOK_URL]->str, "u");
    assert_int_equal(reply->element[1 + CACHELOOK_POLICY]->type, REDIS_REPLY_NIL);
}

static void test_stored(void **state)
{
    (void)state;
    uint64_t now_us;
    assert_true(take_lease(lease, &now_us));
    told();
    assert_int_equal(say(filled(now_us)), 'S');
    assert_int_equal(told(), 1);
    assert_null(value('f').ptr);
    assert_int_equal(value('u').len, 8); /* it varies on nothing: no names */
    assert_int_equal(value('e').len, 80);
    long long ms = redis_server_int(&redis, "PTTL %s", key('e'));
    assert_true(ms > 4000 && ms <= 5000);
}

static void test_never_over_a_later_one(void **state)
{
    (void)state;
    know_url();
    assert_int_equal(say(filled(2000)), 'S');
    assert_int_equal(say(filled(1999)), 'K');
    assert_int_equal(redis_server_int(&redis, "DBSIZE"), 2); /* nothing is left aside */
    assert_int_equal(le_get((const uint8_t *)value('e').ptr + 24, 8), 2000);
    assert_int_equal(say(filled(2000)), 'S');
    assert_int_equal(say(filled(2001)), 'S');
    assert_int_equal(le_get((const uint8_t *)value('e').ptr + 24, 8), 2001);
}

/* Nobody has asked at a time to come: it is corrupt, and must not keep its place until it expires. */
static void test_over_one_of_a_time_to_come(void **state)
{
    (void)state;
    uint64_t now_us;
    assert_true(take_lease(lease, &now_us));
    assert_int_equal(say(filled(now_us + 60000000)), 'S');
    assert_int_equal(say(filled(2000)), 'S');
    assert_int_equal(le_get((const uint8_t *)value('e').ptr + 24, 8), 2000);
    assert_int_equal(say(filled(now_us)), 'S');
    assert_int_equal(say(filled(now_us - 1)), 'K');
}

static void test_another_ones_lease_stays(void **state)
{
    (void)state;
    uint64_t now_us;
    assert_true(take_lease(other, &now_us));
    struct cachefilled f = filled(now_us);
    f.mark = 'n';
    assert_int_equal(say(f), 'S');
    assert_memory_equal(value('f').ptr, other, 8);
}

static void test_marks(void **state)
{
    (void)state;
    uint64_t now_us;
    static const char marks[] = {'n', 'e'};
    for (size_t i = 0; i < sizeof marks; i++) {
        assert_true(take_lease(lease, &now_us));
        struct cachefilled f = filled(now_us);
        f.value = (struct spop_slice){0};
        f.names = NULL;
        f.mark = marks[i];
        assert_int_equal(say(f), 'N');
        struct spop_slice v = value('f');
        assert_int_equal(v.len, 1);
        assert_int_equal(v.ptr[0], marks[i]);
        long long ms = redis_server_int(&redis, "PTTL %s", key('f'));
        assert_true(ms > 300 && ms <= 400);
        assert_false(take_lease(other, &now_us));
        redis_server_do(&redis, "DEL %s", key('f'));
    }
    assert_true(take_lease(lease, &now_us));
    struct cachefilled f = filled(now_us);
    f.value = (struct spop_slice){0};
    f.names = NULL;
    f.mark = 'x'; /* for those who wait for that lease, and nobody else */
    assert_int_equal(say(f), 'N');
    assert_int_equal(value('f').len, 9);
    assert_memory_equal(value('f').ptr, "xlease-1", 9);
    assert_true(take_lease(other, &now_us));
    assert_memory_equal(value('f').ptr, other, 8);
    redis_server_do(&redis, "DEL %s", key('f'));
    assert_true(take_lease(lease, &now_us));
    f = filled(now_us);
    f.mark = 'n';
    f.mark_ms = 0; /* nothing is remembered */
    say(f);
    assert_null(value('f').ptr);
}

static void purge_url(void)
{
    uint8_t digests[1][16];
    memcpy(digests[0], url, sizeof url);
    cachescript_purge_urls(&out, (const uint8_t(*)[16])digests, 1);
    send_it();
    assert_int_equal(reply->len, 8);
}

static void test_names_and_purge_of_a_url(void **state)
{
    (void)state;
    struct vary_names read;
    know_url();
    vary_add(&names, slice_of("accept"));
    assert_int_equal(say(filled(2000)), 'S');
    assert_true(cachestate_names(value('u'), &read));
    assert_true(vary_same(&read, &names));
    assert_int_equal(cachestate_purged_us(value('u')), 0);
    assert_int_equal(cachestate_url_us(value('u')), 1);
    assert_true(redis_server_int(&redis, "PTTL %s", key('u')) > 80000);
    purge_url();
    uint64_t us = le_get((const uint8_t *)reply->str, 8);
    assert_int_equal(cachestate_purged_us(value('u')), us);
    assert_true(cachestate_names(value('u'), &read));
    names.n = 0; /* it varies on nothing any more */
    assert_int_equal(say(filled(3000)), 'S');
    assert_int_equal(cachestate_purged_us(value('u')), us);
    assert_true(cachestate_names(value('u'), &read));
    assert_int_equal(read.n, 0);
}

/* No entry of it counts, and no fetch is under way: POSTs to new URLs leave nothing. */
static void test_purge_of_nothing_known(void **state)
{
    (void)state;
    purge_url();
    assert_int_equal(redis_server_int(&redis, "DBSIZE"), 0);
}

/* From the lease on, for as long as its answer may come, and then as long as that lies here. */
static void test_url_is_known(void **state)
{
    (void)state;
    uint64_t now_us, then_us;
    assert_true(take_lease(lease, &now_us));
    assert_int_equal(cachestate_url_us(value('u')), now_us - 1);
    assert_int_equal(cachestate_purged_us(value('u')), 0);
    long long ms = redis_server_int(&redis, "PTTL %s", key('u'));
    assert_true(ms > 60000 && ms <= 60500);
    purge_url();
    assert_int_equal(cachestate_url_us(value('u')), le_get((const uint8_t *)value('u').ptr, 8));
    assert_true(cachestate_purged_us(value('u')) > now_us);
    struct cachefilled f = filled(now_us);
    f.value_ms = 70000;
    assert_int_equal(say(f), 'S');
    ms = redis_server_int(&redis, "PTTL %s", key('u'));
    assert_true(ms > 60500 && ms <= 70000);
    uint64_t purged_us = cachestate_purged_us(value('u'));
    assert_true(purged_us > now_us); /* the answer does not count */
    assert_true(take_lease(lease, &then_us));
    assert_int_equal(cachestate_purged_us(value('u')), purged_us);
    assert_true(redis_server_int(&redis, "PTTL %s", key('u')) > 60500);
}

/* A purge may have found nothing: what was asked for before is not stored, and does not count. */
static void test_url_is_forgotten(void **state)
{
    (void)state;
    uint64_t now_us, then_us;
    assert_true(take_lease(lease, &now_us));
    redis_server_do(&redis, "DEL %s", key('u'));
    assert_int_equal(say(filled(now_us)), 'K');
    assert_int_equal(redis_server_int(&redis, "DBSIZE"), 0);
    assert_true(take_lease(other, &then_us));
    assert_true(cachestate_url_us(value('u')) >= now_us);
}

static uint64_t policy_us(const char *path)
{
    struct cachekey_url at = {slice_of("https"), slice_of("h"), slice_of(path), {0}};
    freeReplyObject(reply);
    reply = redisCommand(redis.c, "GET once:{0700}:b:07000000000000000000000000000000");
    return cachestate_policy_us((struct spop_slice){reply->str, reply->str ? reply->len : 0}, &at);
}

static void purge_policy(const char *prefix)
{
    cachescript_purge_policies(&out, &(uint32_t){7}, 1, slice_of(prefix), 90000);
    send_it();
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
}

static void test_prefixes(void **state)
{
    (void)state;
    char prefix[32];
    assert_int_equal(policy_us("/a"), 0);
    purge_policy("h/a");
    uint64_t first = policy_us("/a/b");
    assert_true(first > 0);
    assert_int_equal(policy_us("/b"), 0);
    purge_policy("h/a"); /* the same again takes no more room */
    assert_true(policy_us("/a") > first);
    assert_int_equal(reply->len, 8 + 10 + 3);
    for (unsigned i = 1; i < CACHE_PREFIXES; i++) {
        snprintf(prefix, sizeof prefix, "h/c%u", i);
        purge_policy(prefix);
    }
    assert_int_equal(policy_us("/b"), 0);
    purge_policy("h/last");
    assert_true(policy_us("/b") > 0);
    assert_int_equal(reply->len, 8);
    first = policy_us("/b");
    purge_policy("");
    assert_true(policy_us("/b") > first);
}

static void test_values_of_other_types(void **state)
{
    (void)state;
    uint64_t now_us;
    redis_server_do(&redis, "LPUSH %s x", key('u'));
    redis_server_do(&redis, "PEXPIRE %s 5000", key('u'));
    vary_add(&names, slice_of("accept"));
    assert_int_equal(say(filled(2000)), 'K');
    names.n = 0;
    assert_true(take_lease(lease, &now_us)); /* it takes the place of what nobody can read */
    assert_int_equal(say(filled(now_us)), 'S');
    redis_server_do(&redis, "DEL %s", key('u'));
    redis_server_do(&redis, "LPUSH %s x", key('u'));
    redis_server_do(&redis, "PEXPIRE %s 5000", key('u'));
    purge_url();
    assert_int_equal(redis_server_int(&redis, "LLEN %s", key('u')), 1);
}

/* Nothing is stored, but those who wait are told, and the lease ends. */
static void test_redis_is_full(void **state)
{
    (void)state;
    uint64_t now_us;
    assert_true(take_lease(lease, &now_us));
    told();
    redis_server_do(&redis, "CONFIG SET maxmemory 1");
    char letter = say(filled(now_us));
    unsigned messages = told();
    bool mine = take_lease(lease, &now_us);
    purge_url();
    bool purged = reply->type == REDIS_REPLY_STRING;
    redis_server_do(&redis, "CONFIG SET maxmemory 0");
    assert_int_equal(letter, 'F');
    assert_int_equal(messages, 1);
    assert_false(mine);
    assert_true(purged);
    assert_null(value('f').ptr);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_lease_at_a_time),
        T(lease_reads_what_is_there),
        T(stored),
        T(never_over_a_later_one),
        T(over_one_of_a_time_to_come),
        T(another_ones_lease_stays),
        T(marks),
        T(names_and_purge_of_a_url),
        T(purge_of_nothing_known),
        T(url_is_known),
        T(url_is_forgotten),
        T(prefixes),
        T(values_of_other_types),
        T(redis_is_full),
    };
#undef T
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
