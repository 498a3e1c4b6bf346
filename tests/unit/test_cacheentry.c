// SPDX-License-Identifier: MIT
/* Entries and states of the cache as they lie in Redis: there and back, cut at each byte, and what a purge must not lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/cacheentry.h"
#include "domain/record.h"

static uint8_t tags[2 * CACHETAGS_DIGEST];
static struct buf b;
static size_t head; /* bytes in front of the stored response */
static const struct response answer = {
    203,
    {"\x01"
     "a"
     "\x01"
     "b\0\0", 6},
    {"body",       4}
};

static struct cacheentry sample(void)
{
    struct cacheentry e = {.status = 203,
                           .policy = 0x01020304,
                           .asked_us = 5,
                           .modified_s = -7,
                           .etag = slice_of("W/\"x\""),
                           .ntags = 2,
                           .tags = tags};
    e.freshness = (struct freshness){.lifetime_s = 1,
                                     .stale_while_revalidate_s = 2,
                                     .stale_if_error_s = 3,
                                     .initial_age_us = 4,
                                     .received_us = 6,
                                     .never_stale = true};
    memset(e.url, 8, sizeof e.url);
    memset(tags, 9, sizeof tags);
    vary_add(&e.names, slice_of("accept"));
    vary_add(&e.names, slice_of("origin"));
    return e;
}

static struct spop_slice bytes(size_t len)
{
    return (struct spop_slice){(const char *)b.data, len};
}

static void write(const struct cacheentry *e)
{
    buf_reset(&b);
    assert_true(cacheentry_write(&b, e));
    head = b.len;
    assert_int_equal(stored_pack(&b, &answer, NULL, 0), 0);
}

static void there_and_back(void **state)
{
    (void)state;
    struct cacheentry e = sample(), r;
    write(&e);
    assert_int_equal(cacheentry_read(bytes(b.len), &r), 0);
    assert_int_equal(r.status, 203);
    assert_int_equal(r.policy, e.policy);
    assert_int_equal(r.asked_us, 5);
    assert_int_equal(r.modified_s, -7);
    assert_true(slice_same(r.etag, e.etag));
    assert_true(vary_same(&r.names, &e.names));
    assert_int_equal(r.ntags, 2);
    assert_memory_equal(r.tags, tags, sizeof tags);
    assert_memory_equal(r.url, e.url, sizeof e.url);
    assert_int_equal(r.freshness.lifetime_s, 1);
    assert_int_equal(r.freshness.stale_while_revalidate_s, 2);
    assert_int_equal(r.freshness.stale_if_error_s, 3);
    assert_int_equal(r.freshness.initial_age_us, 4);
    assert_int_equal(r.freshness.received_us, 6);
    assert_true(r.freshness.never_stale);
    assert_false(r.freshness.dated);
    assert_int_equal(r.payload.len, b.len - head);
}

/* Nothing behind the end is read (AddressSanitizer). */
static void cut_anywhere(void **state)
{
    (void)state;
    struct cacheentry e = sample(), r;
    write(&e);
    for (size_t n = 0; n < b.len; n++) {
        char *copy = test_malloc(n ? n : 1);
        memcpy(copy, b.data, n);
        assert_int_equal(cacheentry_read((struct spop_slice){copy, n}, &r), -1);
        test_free(copy);
    }
}

static void wrong_heads(void **state)
{
    (void)state;
    struct cacheentry e = sample(), r;
    static const struct {
        size_t at;
        uint8_t is;
    } rows[] = {
        {0,  2   }, /* version */
        {71, 33  }, /* tags */
        {70, 3   }, /* names: one more than there are */
        {69, 0xff}, /* etag */
        {77, 7   }, /* length of the first name */
        {31, 1   }, /* asked for long behind its answer: no purge would reach it */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write(&e);
        b.data[rows[i].at] = rows[i].is;
        assert_int_equal(cacheentry_read(bytes(b.len), &r), -1);
    }
}

/* Behind the last purge, and not more ahead than 10 s. */
static void counts(void **state)
{
    (void)state;
    const uint64_t now_us = UINT64_C(1763720000000000), apart_us = 10000000;
    const struct {
        uint64_t asked_us, purged_us;
        bool counts;
    } rows[] = {
        {now_us,                now_us - 1, true },
        {now_us,                now_us,     false},
        {now_us,                now_us + 1, false},
        {1,                     0,          true },
        {now_us + apart_us,     0,          true },
        {now_us + apart_us + 1, 0,          false},
        {UINT64_MAX,            0,          false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cacheentry e = {.asked_us = rows[i].asked_us};
        if (cacheentry_counts(&e, rows[i].purged_us, now_us) != rows[i].counts)
            fail_msg("row %zu", i);
    }
}

static void state_of_a_url(void **state)
{
    (void)state;
    struct vary_names names;
    assert_int_equal(cachestate_purged_us((struct spop_slice){0}), 0);
    assert_false(cachestate_names((struct spop_slice){0}, &names));
    buf_reset(&b);
    buf_le(&b, 77, 8);
    assert_int_equal(cachestate_purged_us(bytes(b.len)), 77);
    assert_int_equal(cachestate_url_us(bytes(b.len)), 77);
    assert_int_equal(cachestate_purged_us(bytes(7)), 0);
    assert_int_equal(cachestate_url_us(bytes(7)), UINT64_MAX);
    assert_false(cachestate_names(bytes(b.len), &names));
    buf_str(&b, "\x01\x06"
                "accept");
    assert_true(cachestate_names(bytes(b.len), &names));
    assert_string_equal(names.name[0], "accept");
    assert_false(cachestate_names(bytes(b.len - 1), &names));
    assert_int_equal(cachestate_purged_us(bytes(b.len - 1)), 77);
    buf_u8(&b, 0);
    assert_false(cachestate_names(bytes(b.len), &names));
}

static void put_prefix(uint64_t us, const char *prefix)
{
    buf_le(&b, us, 8);
    buf_le(&b, strlen(prefix), 2);
    buf_str(&b, prefix);
}

static void prefixes_of_a_policy(void **state)
{
    (void)state;
    const struct cachekey_url url = {slice_of("https"), slice_of("h"), slice_of("/a/b"), {0}};
    assert_int_equal(cachestate_policy_us((struct spop_slice){0}, &url), 0);
    buf_reset(&b);
    buf_le(&b, 10, 8);
    assert_int_equal(cachestate_policy_us(bytes(b.len), &url), 10);
    put_prefix(30, "h/other");
    assert_int_equal(cachestate_policy_us(bytes(b.len), &url), 10);
    put_prefix(20, "h/a");
    assert_int_equal(cachestate_policy_us(bytes(b.len), &url), 20);
    put_prefix(9, "h/a");
    assert_int_equal(cachestate_policy_us(bytes(b.len), &url), 20);
    size_t whole = b.len;
    put_prefix(40, "h/cut");
    assert_int_equal(cachestate_policy_us(bytes(b.len - 1), &url),
                     40); /* which one is not known: it may be this */
    assert_int_equal(cachestate_policy_us(bytes(whole + 5), &url), 20);
}

static int end(void **state)
{
    (void)state;
    buf_free(&b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),       cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(wrong_heads),          cmocka_unit_test(state_of_a_url),
        cmocka_unit_test(prefixes_of_a_policy), cmocka_unit_test(counts),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
