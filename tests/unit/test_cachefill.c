// SPDX-License-Identifier: MIT
/* What HAProxy carries for the cache: tokens of fills and cache ids, there and back, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/cachefill.h"

static struct cachefill sample(unsigned n)
{
    struct cachefill f = {
        .fetch = {.authorization = true, .policy = 0x11223344},
        .names = 0xaabbccdd,
        .asked_us = 1700000000000000,
        .n = (uint8_t)n
    };
    memset(f.url, 1, sizeof f.url);
    memset(f.scope, 2, sizeof f.scope);
    memset(f.fetch.lease, 3, sizeof f.fetch.lease);
    memset(&f.fetch.entry, 4, sizeof f.fetch.entry);
    for (unsigned i = 0; i < n; i++)
        memset(f.values[i], (int)(10 + i), VARY_VALUE);
    return f;
}

static void there_and_back(void **state)
{
    (void)state;
    char text[CACHEFILL_TEXT_MAX + 1];
    for (unsigned n = 0; n <= VARY_MAX; n++) {
        struct cachefill f = sample(n), g;
        memset(&g, 0, sizeof g);
        cachefill_write(&f, text);
        assert_int_equal(strlen(text), CACHEFETCH_TEXT + 1 + BASE64URL_TEXT(CACHEFILL_REST + n * VARY_VALUE));
        assert_int_equal(cachefill_read(slice_of(text), &g), 0);
        assert_true(g.fetch.authorization);
        assert_int_equal(g.fetch.policy, f.fetch.policy);
        assert_memory_equal(&g.fetch.entry, &f.fetch.entry, sizeof f.fetch.entry);
        assert_int_equal(g.names, f.names);
        assert_int_equal(g.asked_us, f.asked_us);
        assert_int_equal(g.n, n);
        assert_memory_equal(g.url, f.url, sizeof f.url);
        assert_memory_equal(g.scope, f.scope, sizeof f.scope);
        assert_memory_equal(g.fetch.lease, f.fetch.lease, sizeof f.fetch.lease);
        assert_memory_equal(g.values, f.values, n * (size_t)VARY_VALUE);
    }
    assert_true(strlen(text) <= 255);
}

/* HAProxy's table and log have the first word alone. */
static void what_names_a_fetch(void **state)
{
    (void)state;
    char text[CACHEFILL_TEXT_MAX + 1], other[CACHEFILL_TEXT_MAX + 1];
    struct cachefill f = sample(3), g = f;
    struct cachefetch named;
    cachefill_write(&f, text);
    assert_int_equal(strcspn(text, "."), CACHEFETCH_TEXT);
    assert_true(CACHEFETCH_TEXT < 64); /* what the table has room for */
    assert_int_equal(cachefetch_read((struct spop_slice){text, CACHEFETCH_TEXT}, &named), 0);
    assert_int_equal(named.policy, f.fetch.policy);
    assert_memory_equal(&named.entry, &f.fetch.entry, sizeof named.entry);
    assert_memory_equal(named.lease, f.fetch.lease, sizeof named.lease);
    assert_int_equal(cachefetch_read(slice_of(text), &named), -1);
    for (size_t n = 0; n < CACHEFETCH_TEXT; n++)
        assert_int_equal(cachefetch_read((struct spop_slice){text, n}, &named), -1);
    g.fetch.lease[7]++;
    cachefill_write(&g, other);
    assert_memory_not_equal(text, other, CACHEFETCH_TEXT);
    text[0] = (char)(text[0] + 4); /* another version */
    assert_int_equal(cachefetch_read((struct spop_slice){text, CACHEFETCH_TEXT}, &named), -1);
}

static void none(void **state)
{
    (void)state;
    char text[CACHEFILL_TEXT_MAX + 8];
    struct cachefill f = sample(2), g;
    cachefill_write(&f, text);
    size_t len = strlen(text);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(cachefill_read((struct spop_slice){text, n}, &g), -1);
    strcat(text, "A");
    assert_int_equal(cachefill_read(slice_of(text), &g), -1);
    text[len] = 0;
    text[CACHEFETCH_TEXT] = 'A';
    assert_int_equal(cachefill_read(slice_of(text), &g), -1);
    text[CACHEFETCH_TEXT] = '.';
    text[0] = (char)(text[0] + 4); /* another version */
    assert_int_equal(cachefill_read(slice_of(text), &g), -1);
}

static void names_are_told_apart(void **state)
{
    (void)state;
    struct vary_names a = {0}, b = {0};
    assert_int_equal(cachefill_names(&a), cachefill_names(&b));
    vary_add(&a, slice_of("accept"));
    assert_true(cachefill_names(&a) != cachefill_names(&b));
    vary_add(&b, slice_of("accept-encoding"));
    assert_true(cachefill_names(&a) != cachefill_names(&b));
}

static void masks(void **state)
{
    (void)state;
    struct vary_names policy = {0}, some = {0}, back;
    vary_add(&policy, slice_of("origin"));
    vary_add(&policy, slice_of("accept"));
    vary_add(&policy, slice_of("accept-encoding"));
    assert_int_equal(cachefill_mask(&policy, &some), 0);
    vary_add(&some, slice_of("origin"));
    vary_add(&some, slice_of("accept"));
    assert_int_equal(cachefill_mask(&policy, &some), 5);
    cachefill_masked(&policy, 5, &back);
    assert_true(vary_same(&back, &some));
    vary_add(&some, slice_of("cookie"));
    assert_int_equal(cachefill_mask(&policy, &some), -1);
}

static void entries_differ_by_what_counts(void **state)
{
    (void)state;
    struct vary_names policy = {0};
    struct cachefill f = sample(2), g = f;
    struct record_id a, b;
    vary_add(&policy, slice_of("accept"));
    vary_add(&policy, slice_of("origin"));
    const uint8_t(*fv)[VARY_VALUE] = (const uint8_t(*)[VARY_VALUE])f.values,
          (*gv)[VARY_VALUE] = (const uint8_t(*)[VARY_VALUE])g.values;
    g.values[1][0]++;
    cachefill_entry(f.url, f.scope, &policy, 1, fv, &a);
    cachefill_entry(g.url, g.scope, &policy, 1, gv, &b);
    assert_memory_equal(&a, &b, sizeof a); /* origin does not count */
    cachefill_entry(f.url, f.scope, &policy, 3, fv, &a);
    cachefill_entry(g.url, g.scope, &policy, 3, gv, &b);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_equal(a.tag, f.url, 2);
}

static void ids(void **state)
{
    (void)state;
    static const char marks[] = "hcse";
    char text[CACHEID_TEXT + 1];
    struct cacheid id = {.asked_us = 1700000000000001}, back;
    memset(&id.entry, 9, sizeof id.entry);
    for (unsigned i = 0; i < 4; i++) {
        id.mark = marks[i];
        cacheid_write(&id, text);
        assert_int_equal(strlen(text), CACHEID_TEXT);
        assert_int_equal(cacheid_read(text, CACHEID_TEXT, &back), 0);
        assert_int_equal(back.mark, id.mark);
        assert_int_equal(back.asked_us, id.asked_us);
        assert_memory_equal(&back.entry, &id.entry, sizeof id.entry);
    }
    id.mark = 'x';
    cacheid_write(&id, text);
    assert_int_equal(cacheid_read(text, CACHEID_TEXT, &back), -1);
    assert_int_equal(cacheid_read(text, CACHEID_TEXT - 1, &back), -1);
    text[0] = 'Z';
    assert_int_equal(cacheid_read(text, CACHEID_TEXT, &back), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_names_a_fetch),
        cmocka_unit_test(none),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(masks),
        cmocka_unit_test(entries_differ_by_what_counts),
        cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
