// SPDX-License-Identifier: MIT
/* domain/cachekey: which requests share an entry, and which never do (ACCEPTANCE C4, C5). */
#include "tests/unit/headers_bin.h"

#include <stdio.h>

#include "domain/cachekey.h"

typedef uint8_t digest16[CACHEKEY_DIGEST];

static struct cachekey_url url(const char *scheme, const char *host, const char *path, const char *query)
{
    struct cachekey_url u = {
        slice_of(scheme), slice_of(host), slice_of(path), {NULL, 0}
    };
    if (query)
        u.query = slice_of(query);
    return u;
}

static bool same_of(uint32_t p, const struct cachekey_url *a, uint32_t q, const struct cachekey_url *b)
{
    digest16 x, y;
    cachekey_url(p, a, CACHEQUERY_SORTED, NULL, x);
    cachekey_url(q, b, CACHEQUERY_SORTED, NULL, y);
    return memcmp(x, y, sizeof x) == 0;
}

static bool same(struct cachekey_url a, struct cachekey_url b)
{
    return same_of(1, &a, 1, &b);
}

static void test_9110_4_2_3_scheme_and_host(void **state)
{
    (void)state;
    struct cachekey_url u = url("https", "example.com", "/a", NULL),
                        plain = url("http", "example.com", "/a", NULL);
    assert_true(same(u, url("HTTPS", "Example.COM", "/a", NULL)));
    assert_true(same(u, url("https", "example.com:443", "/a", NULL)));
    assert_true(same(u, url("https", "example.com:", "/a", NULL)));
    assert_true(same(plain, url("http", "example.com:80", "/a", NULL)));
    assert_false(same(u, plain));
    assert_false(same(u, url("https", "example.com:80", "/a", NULL)));
    assert_false(same(u, url("https", "example.com:0443", "/a", NULL)));
    assert_false(same(u, url("https", "example.com:4430", "/a", NULL)));
    assert_false(same(u, url("https", "example.com.", "/a", NULL)));
    assert_false(same(u, url("https", "example.com443", "/a", NULL)));
    assert_true(same(url("https", "[::1]:443", "/", NULL), url("https", "[::1]", "/", NULL)));
    assert_false(same(url("https", "[::443]", "/", NULL), url("https", "[::]", "/", NULL)));
    assert_true(same(url("https", "", "/", NULL), url("https", ":443", "/", NULL)));
}

static void test_c5_paths_count_byte_for_byte(void **state)
{
    (void)state;
    static const char *const paths[] = {"/a/b",      "/a//b",  "//a/b",  "/a/b/", "/a/./b",
                                        "/a/../a/b", "/a%2fb", "/a%2Fb", "/A/b",  "/a/%62",
                                        "/a/b%00",   "/a/b;x", "/a\\b",  "",      "/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
            assert_int_equal(same(url("http", "h", paths[i], NULL), url("http", "h", paths[k], NULL)),
                             i == k);
}

static void test_c5_no_part_reaches_into_another(void **state)
{
    (void)state;
    assert_false(same(url("http", "h", "/ab", NULL), url("http", "h/a", "b", NULL)));
    assert_false(same(url("http", "h", "/a?b", NULL), url("http", "h", "/a", "b")));
    assert_false(same(url("http", "ha", "/", NULL), url("httph", "a", "/", NULL)));
    assert_false(same(url("http", "h", "/a", ""), url("http", "h", "/a", NULL)));
    assert_false(same(url("http", "h", "/", "a&b"), url("http", "h", "/", "a%26b")));
}

static void test_c5_policies_share_nothing(void **state)
{
    (void)state;
    struct cachekey_url u = url("http", "h", "/", NULL);
    assert_false(same_of(1, &u, 2, &u));
    assert_true(same_of(2, &u, 2, &u));
}

static bool same_query(const char *a, const char *b, enum cachequery_rule rule, const struct text_list *names)
{
    digest16 x, y;
    struct spop_slice s = exact_copy(a, strlen(a)), t = exact_copy(b, strlen(b));
    struct cachekey_url u = url("http", "h", "/", ""), v = u;
    u.query = s;
    v.query = t;
    cachekey_url(1, &u, rule, names, x);
    cachekey_url(1, &v, rule, names, y);
    headers_free(s);
    headers_free(t);
    return memcmp(x, y, sizeof x) == 0;
}

static bool sorted_same(const char *a, const char *b)
{
    return same_query(a, b, CACHEQUERY_SORTED, NULL);
}

static void test_c4_query_sorted(void **state)
{
    (void)state;
    assert_true(sorted_same("b=2&a=1", "a=1&b=2"));
    assert_true(sorted_same("c&b=&a=1&d=4", "d=4&a=1&b=&c"));
    assert_true(sorted_same("ab=1&a=2", "a=2&ab=1"));
    assert_true(sorted_same("f[x]=1&a=2", "a=2&f[x]=1"));
    assert_true(sorted_same("&a=1", "a=1&"));
    assert_false(sorted_same("a=1&b=2", "a=2&b=1"));
    assert_false(sorted_same("a=1", "a=1&a=1"));
    assert_false(sorted_same("a=1", "a=1&"));
    assert_false(sorted_same("a", "a="));
    assert_false(sorted_same("a=1", "a=%31"));
    assert_false(sorted_same("a=1", "%61=1"));
    assert_false(sorted_same("ab=c", "a=bc"));
    assert_false(sorted_same("a=1&b", "a=1b"));
}

/* What some server takes for the same name keeps its order: the first or the last one counts there. */
static void test_c5_duplicate_parameters_keep_their_order(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"a=1&a=2",        "a=2&a=1"       },
        {"a=1&%61=2",      "%61=2&a=1"     },
        {"a=1&A=2",        "A=2&a=1"       },
        {"a=1&a[]=2",      "a[]=2&a=1"     },
        {"a[]=1&a[]=2",    "a[]=2&a[]=1"   },
        {"a[x]=1&a[y]=2",  "a[y]=2&a[x]=1" },
        {"a-b=1&a_b=2",    "a_b=2&a-b=1"   },
        {"a.b=1&a_b=2",    "a_b=2&a.b=1"   },
        {"a+b=1&a_b=2",    "a_b=2&a+b=1"   },
        {"a%20b=1&a_b=2",  "a_b=2&a%20b=1" },
        {"a[b=1&a_b=2",    "a_b=2&a[b=1"   },
        {"a%5Bx]=1&a=2",   "a=2&a%5Bx]=1"  },
        {"+a=1&a=2",       "a=2&+a=1"      },
        {"a%00=1&a=2",     "a=2&a%00=1"    },
        {"[a=1&_a=2",      "_a=2&[a=1"     },
        {"[a]=1&b=2",      "b=2&[a]=1"     },
        {"%6z=1&a=2",      "a=2&%6z=1"     },
        {"%2561=1&a=2",    "a=2&%2561=1"   },
        {"%zz=1&a=2",      "a=2&%zz=1"     },
        {"%6=1&a=2",       "a=2&%6=1"      },
        {"\xc3\xa4=1&b=2", "b=2&\xc3\xa4=1"},
        {"%c3%a4=1&b=2",   "b=2&%c3%a4=1"  },
        {"%=1&a=2",        "a=2&%=1"       },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (sorted_same(pairs[i][0], pairs[i][1]))
            fail_msg("%s is not %s", pairs[i][0], pairs[i][1]);
    assert_true(sorted_same("a=1&b=0&a=2", "b=0&a=1&a=2"));
}

/* Where `;` parts parameters too, x=1&a=1;x=2 has two of x. */
static void test_c5_semicolons_are_not_sorted(void **state)
{
    (void)state;
    assert_false(sorted_same("x=1&a=1;x=2", "a=1;x=2&x=1"));
    assert_true(sorted_same("x=1&a=1;x=2", "x=1&a=1;x=2"));
}

/* As it came is not the sorted form of another one. */
static void test_c5_forms_do_not_meet(void **state)
{
    (void)state;
    digest16 by[4];
    struct text_list a = {.n = 1, .item = {"a"}};
    struct cachekey_url u = url("http", "h", "/", "a=1"), raw = url("http", "h", "/", "a.=1");
    cachekey_url(1, &u, CACHEQUERY_SORTED, NULL, by[0]);
    cachekey_url(1, &u, CACHEQUERY_IGNORE, NULL, by[1]);
    cachekey_url(1, &u, CACHEQUERY_ONLY, &a, by[2]);
    cachekey_url(1, &raw, CACHEQUERY_SORTED, NULL, by[3]);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(by[i], by[k], sizeof by[i]);
}

/* n parameters, one of a name of its own, the rest of another; the odd one first or last. */
static void many(char *out, unsigned n, bool first)
{
    strcpy(out, first ? "a=1" : "b=0");
    for (unsigned i = 2; i < n; i++)
        strcat(out, "&b=0");
    strcat(out, first ? "&b=0" : "&a=1");
}

static void test_bound_of_parameters(void **state)
{
    (void)state;
    char x[1000], y[1000];
    for (unsigned n = CACHEQUERY_MAX - 1; n <= CACHEQUERY_MAX + 1; n++) {
        many(x, n, true);
        many(y, n, false);
        assert_int_equal(sorted_same(x, y), n <= CACHEQUERY_MAX);
        assert_true(sorted_same(x, x));
    }
}

static void test_c4_query_ignored(void **state)
{
    (void)state;
    struct cachekey_url with = url("http", "h", "/", "a=1"), without = url("http", "h", "/", NULL);
    digest16 x, y;
    assert_true(same_query("a=1", "b;=2", CACHEQUERY_IGNORE, NULL));
    cachekey_url(1, &with, CACHEQUERY_IGNORE, NULL, x);
    cachekey_url(1, &without, CACHEQUERY_IGNORE, NULL, y);
    assert_memory_equal(x, y, sizeof x);
}

static void test_c4_only_the_named(void **state)
{
    (void)state;
    struct text_list names =
                         {
                             .n = 2, .item = {"page", "sort"}
    },
                     none = {0};
    const enum cachequery_rule only = CACHEQUERY_ONLY;
    assert_true(same_query("page=2&utm=x", "utm=y&page=2", only, &names));
    assert_true(same_query("sort=a&page=2", "page=2&z=1&sort=a", only, &names));
    assert_true(same_query("utm=x", "", only, &names));
    assert_false(same_query("page=2", "page=3", only, &names));
    assert_false(same_query("page=2", "utm=2", only, &names));
    assert_false(same_query("pages=2", "page=2", only, &names));
    assert_false(same_query("page=2&page=3", "page=3&page=2", only, &names));
    /* what some take for a named one counts */
    assert_false(same_query("Page=2", "", only, &names));
    assert_false(same_query("page[]=2", "", only, &names));
    assert_false(same_query("p%61ge=2", "", only, &names));
    assert_false(same_query("x=1;page=2", "x=1", only, &names));
    assert_false(same_query("%70%61ge%zz=2", "x=1", only, &names));
    assert_true(same_query("a=1", "b=2", only, &none));
}

static void test_only_what_can_be_a_name(void **state)
{
    (void)state;
    assert_true(cachequery_is_name(S("page")));
    assert_true(cachequery_is_name(S("$Top_2-x")));
    assert_false(cachequery_is_name(S("")));
    assert_false(cachequery_is_name(S("a.b")));
    assert_false(cachequery_is_name(S("a[]")));
    assert_false(cachequery_is_name(S("%61")));
    assert_false(cachequery_is_name(S("a b")));
}

static void test_c5_scopes(void **state)
{
    (void)state;
    digest16 s[6];
    cachekey_scope(1, NULL, S("x"), s[0]);
    cachekey_scope(1, "user", S("x"), s[1]);
    cachekey_scope(2, "user", S("x"), s[2]);
    cachekey_scope(1, "user", S("y"), s[3]);
    cachekey_scope(1, "userx", S(""), s[4]);
    cachekey_scope(1, "user", S(""), s[5]);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(s[i], s[k], sizeof s[i]);
    cachekey_scope(2, NULL, S("y"), s[1]);
    assert_memory_equal(s[0], s[1], sizeof s[0]);
}

static void entry(uint8_t u, uint8_t scope, const char *name, uint8_t value, digest16 out)
{
    digest16 ub = {u}, sb = {scope};
    struct vary_names v = {0};
    uint8_t values[VARY_MAX][VARY_VALUE] = {{value}};
    if (name)
        assert_int_equal(vary_add(&v, slice_of(name)), VARY_READ);
    cachekey_entry(ub, sb, &v, (const uint8_t(*)[VARY_VALUE])values, out);
}

static void test_9111_4_1_variants(void **state)
{
    (void)state;
    digest16 e[7];
    entry(1, 1, NULL, 0, e[0]);
    entry(2, 1, NULL, 0, e[1]);
    entry(1, 2, NULL, 0, e[2]);
    entry(1, 1, "a", 0, e[3]);
    entry(1, 1, "a", 1, e[4]);
    entry(1, 1, "b", 1, e[5]);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(e[i], e[k], sizeof e[i]);
    entry(1, 1, NULL, 9, e[6]);
    assert_memory_equal(e[0], e[6], sizeof e[0]);
}

/* scheme|host|path|query, `-`: none; NULL: refused. */
static void assert_uri(const char *text, const struct cachekey_url *base, const char *want)
{
    static struct buf path;
    struct cachekey_url u;
    char is[200];
    struct spop_slice copy = exact_copy(text, strlen(text));
    struct text t;
    bool read = base ? cachekey_resolve(copy, base, &path, &u) : cachekey_read(copy, &u);
    if (read != (want != NULL))
        fail_msg("%s", text);
    if (read) {
        const struct spop_slice parts[] = {u.scheme, u.host, u.path, u.query.ptr ? u.query : S("-")};
        text_init(&t, is, sizeof is);
        for (int i = 0; i < 4; i++) {
            text_str(&t, i ? "|" : "");
            text_put(&t, parts[i].ptr, parts[i].len);
        }
        assert_string_equal(is, want);
    }
    buf_free(&path);
    headers_free(copy);
}

static void test_3986_uris(void **state)
{
    (void)state;
    assert_uri("http://h/a?b=c", NULL, "http|h|/a|b=c");
    assert_uri("HTTPS://H:8443/a#x?y", NULL, "HTTPS|H:8443|/a|-");
    assert_uri("http://h", NULL, "http|h|/|-");
    assert_uri("http://h?", NULL, "http|h|/|");
    assert_uri("http://h/a?b?c#d", NULL, "http|h|/a|b?c");
    assert_uri("http://h//a/../b", NULL, "http|h|//a/../b|-");
    static const char *const bad[] = {
        "",          "h/a",         "ftp://h/",     "http:/h",     "http:",         "http://",
        "http:///a", "http://u@h/", "http://h/a b", "http://h/\\", "http://h/\x7f", "httpx://h/",
        "/a",        "//h/a",       "javascript:x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_uri(bad[i], NULL, NULL);
}

static void test_3986_as_seen_from_a_base(void **state)
{
    (void)state;
    struct cachekey_url base = url("https", "b:1", "/x", "q");
    assert_uri("/a?c", &base, "https|b:1|/a|c");
    assert_uri("//h/a", &base, "https|h|/a|-");
    assert_uri("//h?a", &base, "https|h|/|a");
    assert_uri("http://h/a/../b", &base, "http|h|/b|-");
    assert_uri("HTTP://h", &base, "HTTP|h|/|-");
    static const char *const bad[] = {"//u@h/a",  "//",         "///a", "ftp://h/", "https:a",
                                      "https:/a", "mailto:a@h", "a b",  "a\\b",     "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_uri(bad[i], &base, NULL);
    base.path = slice_of("*");
    assert_uri("a", &base, NULL);
}

/* The examples of RFC 3986, sections 5.4.1 and 5.4.2; their fragments, and those that are no URL of ours, left out. */
static void test_3986_5_4_references(void **state)
{
    static const char *const rows[][2] = {
        {"g:h",           NULL             },
        {"g",             "/b/c/g|-"       },
        {"./g",           "/b/c/g|-"       },
        {"g/",            "/b/c/g/|-"      },
        {"/g",            "/g|-"           },
        {"?y",            "/b/c/d;p|y"     },
        {"g?y",           "/b/c/g|y"       },
        {"#s",            "/b/c/d;p|q"     },
        {"g#s",           "/b/c/g|-"       },
        {"g?y#s",         "/b/c/g|y"       },
        {";x",            "/b/c/;x|-"      },
        {"g;x",           "/b/c/g;x|-"     },
        {"g;x?y#s",       "/b/c/g;x|y"     },
        {"",              "/b/c/d;p|q"     },
        {".",             "/b/c/|-"        },
        {"./",            "/b/c/|-"        },
        {"..",            "/b/|-"          },
        {"../",           "/b/|-"          },
        {"../g",          "/b/g|-"         },
        {"../..",         "/|-"            },
        {"../../",        "/|-"            },
        {"../../g",       "/g|-"           },
        {"../../../g",    "/g|-"           },
        {"../../../../g", "/g|-"           },
        {"/./g",          "/g|-"           },
        {"/../g",         "/g|-"           },
        {"g.",            "/b/c/g.|-"      },
        {".g",            "/b/c/.g|-"      },
        {"g..",           "/b/c/g..|-"     },
        {"..g",           "/b/c/..g|-"     },
        {"./../g",        "/b/g|-"         },
        {"./g/.",         "/b/c/g/|-"      },
        {"g/./h",         "/b/c/g/h|-"     },
        {"g/../h",        "/b/c/h|-"       },
        {"g;x=1/./y",     "/b/c/g;x=1/y|-" },
        {"g;x=1/../y",    "/b/c/y|-"       },
        {"g?y/./x",       "/b/c/g|y/./x"   },
        {"g?y/../x",      "/b/c/g|y/../x"  },
        {"g#s/../x",      "/b/c/g|-"       },
        {"http:g",        NULL             },
 /* and beside them */
        {"g//h",          "/b/c/g//h|-"    },
        {"./g:h",         "/b/c/g:h|-"     },
        {"?",             "/b/c/d;p|"      },
        {"%2e%2e/g",      "/b/c/%2e%2e/g|-"},
    };
    struct cachekey_url base = url("http", "a", "/b/c/d;p", "q");
    char want[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(want, sizeof want, "http|a|%s", rows[i][1]);
        assert_uri(rows[i][0], &base, rows[i][1] ? want : NULL);
    }
    base = url("http", "a", "/", NULL);
    assert_uri("g", &base, "http|a|/g|-");
    assert_uri("..", &base, "http|a|/|-");
    base = url("http", "a", "//x/../y", NULL);
    assert_uri("g", &base, "http|a|//g|-");
}

static void test_9111_4_4_same_origin(void **state)
{
    (void)state;
    struct cachekey_url a = url("https", "h", "/", NULL), same_one = url("HTTPS", "H:443", "/x", NULL),
                        other = url("https", "h:444", "/", NULL), plain = url("http", "h", "/", NULL),
                        longer = url("https", "hh", "/", NULL);
    assert_true(cachekey_same_origin(&a, &same_one));
    assert_false(cachekey_same_origin(&a, &other));
    assert_false(cachekey_same_origin(&a, &plain));
    assert_false(cachekey_same_origin(&a, &longer));
}

static bool reaches(const char *prefix, const char *host, const char *path)
{
    struct spop_slice p = exact_copy(prefix, strlen(prefix)), s = exact_copy(path, strlen(path));
    struct cachekey_url u = url("https", host, "", "q=1");
    u.path = s;
    bool yes = cachekey_prefix(p, &u);
    headers_free(p);
    headers_free(s);
    return yes;
}

static void test_c7_prefix_ends_with_a_segment(void **state)
{
    (void)state;
    assert_true(reaches("h/a", "h", "/a"));
    assert_true(reaches("h/a", "h", "/a/"));
    assert_true(reaches("h/a", "h", "/a/b"));
    assert_false(reaches("h/a", "h", "/ab"));
    assert_false(reaches("h/a", "h", "/"));
    assert_false(reaches("h/a", "h", "/A"));
    assert_false(reaches("h/a", "h", "/b/a"));
    assert_true(reaches("h/a/", "h", "/a/b"));
    assert_true(reaches("h/a/", "h", "/a/"));
    assert_false(reaches("h/a/", "h", "/a"));
    assert_false(reaches("h/a", "h", "/%61"));
}

static void test_c7_prefix_with_a_star_ends_anywhere(void **state)
{
    (void)state;
    assert_true(reaches("h/a*", "h", "/ab"));
    assert_true(reaches("h/a*", "h", "/a"));
    assert_true(reaches("h/*", "h", "/"));
    assert_false(reaches("h/a*", "h", "/"));
    assert_false(reaches("h/a*b", "h", "/axb"));
    assert_false(reaches("h*", "h", "/"));
    assert_false(reaches("*", "h", "/"));
}

static void test_c7_prefix_of_a_host(void **state)
{
    (void)state;
    assert_true(reaches("h", "h", "/a"));
    assert_true(reaches("h/", "h", "/a"));
    assert_true(reaches("H:443/a", "h", "/a"));
    assert_true(reaches("h/a", "H:443", "/a"));
    assert_false(reaches("h", "hh", "/a"));
    assert_false(reaches("hh", "h", "/a"));
    assert_false(reaches("h:80/a", "h", "/a"));
    assert_false(reaches("", "h", "/a"));
}

static void test_c7_what_is_no_prefix(void **state)
{
    (void)state;
    static const char *const good[] = {"h", "h/", "h/a", "h/a*", "h/*", "h:8080/a/b", "[::1]:80/"};
    static const char *const bad[] = {
        "",    "/",     "/a",   "*",     "h*",    "https://h/a", "h:",   "u@h/", "h/a?b", "h?a",
        "h#a", "h/a#b", "h/*b", "h/a**", "h/a b", "h b/",        "h/\\", "h*/a", "*/a"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(cachekey_is_prefix(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cachekey_is_prefix(slice_of(bad[i])))
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_9110_4_2_3_scheme_and_host),
        cmocka_unit_test(test_c5_paths_count_byte_for_byte),
        cmocka_unit_test(test_c5_no_part_reaches_into_another),
        cmocka_unit_test(test_c5_policies_share_nothing),
        cmocka_unit_test(test_c4_query_sorted),
        cmocka_unit_test(test_c5_duplicate_parameters_keep_their_order),
        cmocka_unit_test(test_c5_semicolons_are_not_sorted),
        cmocka_unit_test(test_c5_forms_do_not_meet),
        cmocka_unit_test(test_bound_of_parameters),
        cmocka_unit_test(test_c4_query_ignored),
        cmocka_unit_test(test_c4_only_the_named),
        cmocka_unit_test(test_only_what_can_be_a_name),
        cmocka_unit_test(test_c5_scopes),
        cmocka_unit_test(test_9111_4_1_variants),
        cmocka_unit_test(test_3986_uris),
        cmocka_unit_test(test_3986_as_seen_from_a_base),
        cmocka_unit_test(test_3986_5_4_references),
        cmocka_unit_test(test_9111_4_4_same_origin),
        cmocka_unit_test(test_c7_prefix_ends_with_a_segment),
        cmocka_unit_test(test_c7_prefix_with_a_star_ends_anywhere),
        cmocka_unit_test(test_c7_prefix_of_a_host),
        cmocka_unit_test(test_c7_what_is_no_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
