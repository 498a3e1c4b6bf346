// SPDX-License-Identifier: MIT
/* domain/cachetags: which tags an answer has. */
#include "tests/unit/headers_bin.h"
#include "domain/cachetags.h"

static bool tags(const char *lines, struct cachetags *t)
{
    struct spop_slice h = headers_new(lines);
    bool is = cachetags_read(h, "surrogate-key", 7, t);
    headers_free(h);
    return is;
}

static void assert_tag(const struct cachetags *t, unsigned i, const char *tag)
{
    uint8_t digest[CACHETAGS_DIGEST];
    cachetags_digest(7, slice_of(tag), digest);
    assert_memory_equal(t->digest[i], digest, sizeof digest);
}

static void test_blanks_and_commas_part(void **state)
{
    (void)state;
    struct cachetags t;
    assert_true(tags("Surrogate-Key: a  b\t,c,d , \"e\nx: z\nsurrogate-KEY: f\n", &t));
    assert_int_equal(t.n, 6);
    static const char *const want[] = {"a", "b", "c", "d", "\"e", "f"};
    for (unsigned i = 0; i < 6; i++)
        assert_tag(&t, i, want[i]);
}

static void test_none(void **state)
{
    (void)state;
    struct cachetags t;
    assert_true(tags("x: y\n", &t));
    assert_int_equal(t.n, 0);
    assert_true(tags("Surrogate-Key:\nSurrogate-Key: , ,\n", &t));
    assert_int_equal(t.n, 0);
    assert_false(cachetags_read(S("\1x"), "surrogate-key", 7, &t));
}

static void test_each_once_and_bytes_count(void **state)
{
    (void)state;
    struct cachetags t;
    assert_true(tags("Surrogate-Key: a a A\nSurrogate-Key: a,\xc3\xa4\n", &t));
    assert_int_equal(t.n, 3);
    assert_tag(&t, 0, "a");
    assert_tag(&t, 1, "A");
    assert_tag(&t, 2, "\xc3\xa4");
}

static void test_policies_share_no_tag(void **state)
{
    (void)state;
    uint8_t a[CACHETAGS_DIGEST], b[CACHETAGS_DIGEST];
    cachetags_digest(7, S("a"), a);
    cachetags_digest(8, S("a"), b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_bound(void **state)
{
    (void)state;
    for (unsigned n = CACHETAGS_MAX - 1; n <= CACHETAGS_MAX + 1; n++) {
        char line[200] = "Surrogate-Key: 0 0 0", tag[3] = " A";
        struct cachetags t;
        for (unsigned i = 1; i < n; i++, tag[1]++)
            strcat(line, tag);
        strcat(line, "\n");
        assert_int_equal(tags(line, &t), n <= CACHETAGS_MAX);
        assert_int_equal(t.n, n <= CACHETAGS_MAX ? n : CACHETAGS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blanks_and_commas_part),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_each_once_and_bytes_count),
        cmocka_unit_test(test_policies_share_no_tag),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
