// SPDX-License-Identifier: MIT
/* The option tables and what reads by them. Every option of every table is set to its default, its least and
 * its most, and is offered one less and one more; so a row that is added is tested by being there. */
#include "domain/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "domain/units.h"

/* Room for the largest struct that a table speaks of. */
enum { BLANK = sizeof(struct config) + sizeof(struct policy) };

static void *blank(void)
{
    void *base = calloc(1, BLANK);
    assert_non_null(base);
    return base;
}

static int set(const struct option *o, void *base, const char *value)
{
    char err[512] = "";
    int rc = option_set(o, base, value, err, sizeof err);
    assert_int_equal(rc == 0, err[0] == '\0');
    return rc;
}

static void refused(const struct option *o, void *base, const char *value)
{
    char wanted[512];
    char err[512] = "";
    void *before = blank();
    memcpy(before, base, BLANK);
    option_wanted(o, wanted, sizeof wanted);
    if (option_set(o, base, value, err, sizeof err) == 0)
        fail_msg("option %s takes '%s'", o->path, value);
    assert_non_null(strstr(err, wanted));
    assert_memory_equal(before, base, BLANK);
    free(before);
}

typedef int reader(const char *, uint64_t *);

static reader *reader_of(enum option_type t, const char **format)
{
    *format = "%llu";
    switch (t) {
    case OPT_COUNT: return unit_count;
    case OPT_SIZE: return unit_size;
    case OPT_MODE: *format = "0%llo"; return unit_mode;
    case OPT_MSEC: *format = "%llums"; return unit_msec;
    case OPT_SEC: *format = "%llus"; return unit_sec;
    default: return NULL;
    }
}

static void try_number(const struct option *o, void *base, const char *format, uint64_t v, int want)
{
    char text[64];
    uint32_t got;
    snprintf(text, sizeof text, format, (unsigned long long)v);
    if (want != 0) {
        refused(o, base, text);
        return;
    }
    if (set(o, base, text) != 0)
        fail_msg("option %s refuses '%s'", o->path, text);
    memcpy(&got, (char *)base + o->offset, sizeof got);
    assert_int_equal(got, v);
}

static void try_range(const struct option *o, void *base)
{
    const char *format;
    uint64_t min, max;
    reader *read = reader_of(o->type, &format);
    if (!read)
        return;
    assert_int_equal(read(o->min, &min), 0);
    assert_int_equal(read(o->max, &max), 0);
    assert_true(min < max && max <= UINT32_MAX);
    try_number(o, base, format, min, 0);
    try_number(o, base, format, max, 0);
    try_number(o, base, format, max + 1, -1);
    if (min > 0)
        try_number(o, base, format, min - 1, -1);
    refused(o, base, "");
    refused(o, base, "-1");
    refused(o, base, "3 parsecs");
    refused(o, base, "99999999999");
}

/* prefix + `len - strlen(prefix)` times fill. */
static const char *filled(char *out, const char *prefix, char fill, size_t len)
{
    memset(out, fill, len);
    memcpy(out, prefix, strlen(prefix));
    out[len] = '\0';
    return out;
}

static void try_text(const struct option *o, void *base, const char *prefix, size_t max)
{
    char text[512];
    assert_int_equal(set(o, base, filled(text, prefix, 'a', max)), 0);
    assert_string_equal((char *)base + o->offset, text);
    refused(o, base, filled(text, prefix, 'a', max + 1));
    refused(o, base, filled(text, prefix, '\n', strlen(prefix) + 1));
}

/* `n` times the word, parted by commas; 51 words of three letters are 253 characters. */
static char *words(const char *word, unsigned n)
{
    char *out = calloc(n + 1, strlen(word) + 2);
    for (unsigned i = 0; i < n; i++)
        strcat(strcat(out, i ? ", " : ""), word);
    return out;
}

static void try_list(const struct option *o, void *base, const char *word, unsigned max)
{
    char *fits = words(word, max), *over = words(word, max + 1), *hole = words(word, 2);
    assert_int_equal(set(o, base, fits), 0);
    refused(o, base, over);
    strcat(strchr(hole, ','), ",");
    refused(o, base, hole);
    free(fits);
    free(over);
    free(hole);
}

static void try_words(const struct option *o, void *base)
{
    for (unsigned i = 0; o->words[i]; i++) {
        unsigned got;
        assert_int_equal(set(o, base, o->words[i]), 0);
        memcpy(&got, (char *)base + o->offset, sizeof got);
        assert_int_equal(got, i);
    }
    refused(o, base, "teal");
    refused(o, base, "");
}

static void try_lease(const struct option *o, void *base)
{
    static const struct {
        const char *value;
        uint32_t tokens;
    } good[] = {
        {"off",     LEASE_OFF },
        {"auto",    LEASE_AUTO},
        {"1",       1         },
        {"1000000", 1000000   }
    };
    static const char *const bad[] = {"", "0", "1000001", "on", "1k", "-1", "auto "};
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        uint32_t got;
        assert_int_equal(set(o, base, good[i].value), 0);
        memcpy(&got, (char *)base + o->offset, sizeof got);
        assert_int_equal(got, good[i].tokens);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(o, base, bad[i]);
}

static void try_option(const struct option *o, void *base)
{
    try_range(o, base);
    switch (o->type) {
    case OPT_TEXT: try_text(o, base, "", 255); break;
    case OPT_URI: try_text(o, base, "", 255); break;
    case OPT_PATH: try_text(o, base, "/", 255); break;
    case OPT_NAME: try_text(o, base, "", 63); break;
    case OPT_STREAM:
    case OPT_SERVER:
    case OPT_DATAGRAM: try_text(o, base, "unix@/", 5 + 107); break;
    case OPT_ENUM: try_words(o, base); break;
    case OPT_LEASE: try_lease(o, base); break;
    case OPT_HEADERS: try_list(o, base, "x-a", CONFIG_DROP_MAX); break;
    case OPT_FIELDS: try_list(o, base, "a.b", CONFIG_DROP_MAX); break;
    case OPT_LISTEN: try_list(o, base, "127.0.0.1:1", CONFIG_LISTEN_MAX); break;
    case OPT_PATHS: try_list(o, base, "/a", CONFIG_LISTEN_MAX); break;
    case OPT_METHODS: try_list(o, base, "GET", 51); break;
    case OPT_STATUSES: try_list(o, base, "2xx", 51); break;
    default: break;
    }
}

static void test_every_option_at_its_edges(void **state)
{
    (void)state;
    for (const struct option_table *t = option_tables; t->scope; t++) {
        for (const struct option *o = t->options; o->path; o++) {
            void *base = blank();
            try_option(o, base);
            free(base);
        }
    }
}

static void test_every_row_is_whole(void **state)
{
    char err[512];
    (void)state;
    for (const struct option_table *t = option_tables; t->scope; t++) {
        assert_ptr_equal(option_table_of(t->scope), t->options);
        for (const struct option *o = t->options; o->path; o++) {
            assert_ptr_equal(option_find(t->options, o->path), o);
            assert_true(strlen(o->help) > 10 && o->help[strlen(o->help) - 1] == '.');
            assert_null(strpbrk(o->help, "|\n"));
            assert_int_equal(o->type == OPT_ENUM, o->words != NULL);
            assert_int_equal(!!(o->flags & OPTION_REQUIRED), o->deflt == NULL);
            assert_int_equal(o->min != NULL, o->max != NULL);
        }
    }
    assert_null(option_table_of("policies.wishes"));
    option_wanted(&option_tables[0].options[0], err, sizeof err);
    assert_string_equal(err, "one of these words is wanted: \"text\", \"json\"");
}

static void test_defaults_are_values(void **state)
{
    (void)state;
    for (const struct option_table *t = option_tables; t->scope; t++) {
        void *base = blank(), *again = blank();
        option_defaults(t->options, base);
        for (const struct option *o = t->options; o->path; o++) {
            if (!o->deflt)
                continue;
            if (set(o, again, o->deflt) != 0)
                fail_msg("default of %s is refused", o->path);
            assert_true(option_same(o, base, again));
        }
        free(base);
        free(again);
    }
}

static void test_defaults_of_the_agent(void **state)
{
    struct config *c = config_new();
    (void)state;
    assert_int_equal(c->log.format, LOG_TEXT);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->spop.listen.n, 1);
    assert_string_equal(c->spop.listen.item[0], "unix@/run/spoa-once/spop.sock");
    assert_int_equal(c->spop.mode, 0660);
    assert_int_equal(c->spop.max_frame, 65536);
    assert_int_equal(c->spop.maxrewrite, 0);
    assert_int_equal(c->replay.memory, 64 << 20);
    assert_int_equal(c->replay.keep_ms, 5000);
    assert_string_equal(c->http.listen, "127.0.0.1:9180");
    assert_string_equal(c->notices.listen, "");
    assert_string_equal(c->redis.address, "127.0.0.1:6379");
    assert_int_equal(c->redis.deadline_ms, 300);
    assert_int_equal(c->inflight.poll_ms, 250);
    assert_int_equal(c->completion.response_ms, 400);
    assert_int_equal(c->stop.drain_ms, 30000);
    assert_string_equal(c->problems.base, "/docs/problems#");
    config_drop(c);
}

static bool dropped(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->replay.drop.n; i++)
        if (strcmp(c->replay.drop.item[i], name) == 0)
            return true;
    return false;
}

static void test_headers_never_stored(void **state)
{
    static const char *const never[] = {"set-cookie",  "date",         "age",          "www-authenticate",
                                        "ratelimit*",  "x-ratelimit*", "x-request-id", "request-id",
                                        "traceparent", "tracestate",   "x-b3-*",       "x-correlation-id"};
    struct config *c = blank();
    const struct option *o = option_find(option_table_of(""), "replay.drop");
    (void)state;
    option_defaults(option_table_of(""), c);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_true(dropped(c, never[i]));
    assert_false(dropped(c, "location"));
    assert_false(dropped(c, "retry-after"));
    assert_int_equal(set(o, c, "Set-Cookie,X-Mine-*"), 0);
    assert_int_equal(c->replay.drop.n, 2);
    assert_string_equal(c->replay.drop.item[0], "set-cookie");
    assert_string_equal(c->replay.drop.item[1], "x-mine-*");
    refused(o, c, "*");
    refused(o, c, "x-*-y");
    refused(o, c, "set cookie");
    assert_int_equal(set(o, c, ""), 0);
    assert_int_equal(c->replay.drop.n, 0);
    free(c);
}

static void test_bool(void **state)
{
    const struct option *o = option_find(option_table_of("policies.idempotency"), "required");
    void *base = blank();
    (void)state;
    assert_int_equal(set(o, base, "true"), 0);
    assert_true(((struct idempotency *)base)->required);
    refused(o, base, "yes");
    refused(o, base, "");
    assert_int_equal(set(o, base, "false"), 0);
    assert_false(((struct idempotency *)base)->required);
    free(base);
}

struct
try {
    const char *value;
    int want;
};

static void try_all(const char *scope, const char *path, const struct try *t)
{
    const struct option *o = option_find(option_table_of(scope), path);
    void *base = blank();
    for (; t->value; t++) {
        if (t->want != 0)
            refused(o, base, t->value);
        else if (set(o, base, t->value) != 0)
            fail_msg("%s refuses '%s'", path, t->value);
    }
    free(base);
}

static void test_addresses(void **state)
{
    (void)state;
    try_all("", "http.listen",
            (struct try[]){
                {"",                0 },
                {"127.0.0.1:1",     0 },
                {"127.0.0.1:65535", 0 },
                {"[::1]:9000",      0 },
                {"unix@/x",         0 },
                {"127.0.0.1:0",     -1},
                {"127.0.0.1:65536", -1},
                {"::1:9000",        -1},
                {"[]:9000",         -1},
                {"127.0.0.1",       -1},
                {"127.0.0.1:",      -1},
                {":9000",           -1},
                {"unix@x",          -1},
                {"unix@/",          -1},
                {"localhost:9000",  -1},
                {"/x",              -1},
                {"[::1:9000",       -1},
                {"[::g]:9000",      -1},
                {"udp@127.0.0.1:1", -1},
                {NULL,              0 }
    });
    try_all("", "redis.address",
            (struct try[]){
                {"redis:6379",  0 },
                {"a-b.c_d:1",   0 },
                {"unix@/x",     0 },
                {"",            -1},
                {"redis",       -1},
                {"a b:1",       -1},
                {"redis:6379x", -1},
                {NULL,          0 }
    });
    try_all("", "notices.listen",
            (struct try[]){
                {"",                   0 },
                {"udp@127.0.0.1:9001", 0 },
                {"unix@/x",            0 },
                {"unixdgram@/x",       0 },
                {"127.0.0.1:9001",     -1},
                {"udp@",               -1},
                {"udp@x:1",            -1},
                {NULL,                 0 }
    });
    try_all("", "spop.listen",
            (struct try[]){
                {"unix@/x, 127.0.0.1:1", 0 },
                {"",                     -1},
                {"unix@/x,y",            -1},
                {NULL,                   0 }
    });
}

static void test_words_of_policies(void **state)
{
    (void)state;
    try_all("policies.limits", "key",
            (struct try[]){
                {"ip",             0 },
                {"ip, user",       0 },
                {"a,b,c,d",        0 },
                {"global",         0 },
                {"policy, ip",     0 },
                {"a,b,c,d,e",      -1},
                {"",               -1},
                {"ip,",            -1},
                {"ip, ip",         -1},
                {"global, policy", -1},
                {"a b",            -1},
                {NULL,             0 }
    });
    try_all("policies.idempotency", "methods",
            (struct try[]){
                {"any",           0 },
                {"POST",          0 },
                {"POST,M-SEARCH", 0 },
                {"post",          -1},
                {"any, POST",     -1},
                {"",              -1},
                {NULL,            0 }
    });
    try_all("policies.idempotency", "store",
            (struct try[]){
                {"default",  0 },
                {"stripe",   0 },
                {"2xx, 404", 0 },
                {"",         -1},
                {"2xx, 4x",  -1},
                {"101",      -1},
                {"1xx",      -1},
                {"600",      -1},
                {NULL,       0 }
    });
    try_all("policies.idempotency", "definite",
            (struct try[]){
                {"",    0 },
                {"503", 0 },
                {"ok",  -1},
                {NULL,  0 }
    });
    try_all("policies.idempotency", "principal",
            (struct try[]){
                {"none",         0 },
                {"x-tenant_1.a", 0 },
                {"a b",          -1},
                {"",             -1},
                {NULL,           0 }
    });
    try_all("policies.idempotency", "record",
            (struct try[]){
                {"2000ms", -1},
                {"4000ms", 0 },
                {"3500ms", -1},
                {NULL,     0 }
    });
    try_all("", "problems.base",
            (struct try[]){
                {"https://a.b/c#", 0 },
                {"",               -1},
                {"a b",            -1},
                {"a\"b",           -1},
                {"a\\b",           -1},
                {NULL,             0 }
    });
}

static void test_message_names_the_word(void **state)
{
    const struct option *o = option_find(option_table_of("policies.idempotency"), "store");
    char err[512], small[8];
    void *base = blank();
    (void)state;
    assert_int_equal(option_set(o, base, "2xx, 4xy, 404", err, sizeof err), -1);
    assert_string_equal(
        err, "'4xy': statuses are wanted: \"default\", \"stripe\", or a list such as \"2xx, 3xx, 404\"");
    o = option_find(option_table_of(""), "redis.deadline");
    assert_int_equal(option_set(o, base, "3 parsecs", err, sizeof err), -1);
    assert_string_equal(err,
                        "a time is wanted, such as \"250ms\", \"30s\", \"5m\"; at least 10ms, at most 10s");
    assert_int_equal(option_set(o, base, "3 parsecs", small, sizeof small), -1);
    assert_true(strlen(small) < sizeof small);
    free(base);
}

static void test_rates(void **state)
{
    static const struct {
        const char *text;
        uint32_t quota, window_s; /* 0: refused */
    } rates[] = {
        {"100/min",        100,     60     },
        {"5/s",            5,       1      },
        {"1/sec",          1,       1      },
        {"2/m",            2,       60     },
        {"3/hour",         3,       3600   },
        {"3/h",            3,       3600   },
        {"4/day",          4,       86400  },
        {"4/d",            4,       86400  },
        {"10/30s",         10,      30     },
        {"1/30d",          1,       2592000},
        {"1/31d",          0,       0      },
        {"1000000/s",      1000000, 1      },
        {"1000001/s",      0,       0      },
        {"0/s",            0,       0      },
        {"1/0s",           0,       0      },
        {"1",              0,       0      },
        {"1/",             0,       0      },
        {"/s",             0,       0      },
        {"1/30",           0,       0      },
        {"1/week",         0,       0      },
        {"1/99999999999s", 0,       0      },
        {"-1/s",           0,       0      },
        {"1/s ",           0,       0      },
        {"",               0,       0      },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        uint32_t quota = 0, window_s = 0;
        int rc = unit_rate(rates[i].text, &quota, &window_s);
        if ((rc == 0) != (rates[i].quota > 0) || quota != rates[i].quota || window_s != rates[i].window_s)
            fail_msg("rate '%s': %d, %u in %us", rates[i].text, rc, quota, window_s);
    }
}

static void test_units(void **state)
{
    uint64_t v = 7;
    (void)state;
    assert_int_equal(unit_size("12k", &v), 0);
    assert_int_equal(v, 12288);
    assert_int_equal(unit_size("1G", &v), 0);
    assert_int_equal(v, 1 << 30);
    assert_int_equal(unit_msec("7d", &v), 0);
    assert_int_equal(v, 604800000);
    assert_int_equal(unit_sec("5m", &v), 0);
    assert_int_equal(v, 300);
    assert_int_equal(unit_mode("0660", &v), 0);
    assert_int_equal(v, 0660);
    assert_int_equal(unit_count("9999999999", &v), 0);
    assert_int_equal(unit_count("10000000000", &v), -1);
    assert_int_equal(unit_mode("0680", &v), -1);
    assert_int_equal(unit_msec("30", &v), -1);
    assert_int_equal(unit_msec("30 s", &v), -1);
    assert_int_equal(unit_size("1kb", &v), -1);
    assert_int_equal(v, 9999999999);
}

static void test_forms(void **state)
{
    const struct option *root = option_table_of("");
    (void)state;
    assert_false(option_takes(option_find(root, "redis.deadline"), FORM_NUMBER));
    assert_true(option_takes(option_find(root, "redis.deadline"), FORM_TEXT));
    assert_false(option_takes(option_find(root, "spop.mode"), FORM_NUMBER));
    assert_true(option_takes(option_find(root, "redis.db"), FORM_NUMBER));
    assert_true(option_takes(option_find(root, "redis.db"), FORM_TEXT));
    assert_false(option_takes(option_find(root, "redis.db"), FORM_BOOL));
    assert_true(option_takes(option_find(root, "spop.listen"), FORM_LIST));
    assert_false(option_takes(option_find(root, "redis.address"), FORM_LIST));
}

static void hint_is(const char *scope, const char *path, const char *want)
{
    char hint[512];
    option_hint(scope, path, hint, sizeof hint);
    assert_string_equal(hint, want);
}

static void test_hints(void **state)
{
    (void)state;
    hint_is("", "redis.dedline", "did you mean 'redis.deadline'?");
    hint_is("", "redis.bd", "did you mean 'redis.db'?");
    hint_is("", "reids", "did you mean 'redis'?");
    hint_is("", "polices", "did you mean 'policies'?");
    hint_is("", "haporxy", "did you mean 'haproxy'?");
    hint_is("policies", "limit", "did you mean 'limits'?");
    hint_is("policies", "idempotence", "did you mean 'idempotency'?");
    hint_is("policies", "x", "known here: name, lease, idempotency, cache, limits");
    hint_is("policies.limits", "bursts", "did you mean 'burst'?");
    hint_is("", "log.colour", "known here: format, level");
    hint_is("haproxy", "", "known here: socket");
}

static void test_same(void **state)
{
    const struct option *root = option_table_of("");
    (void)state;
    for (const struct option *o = root; o->path; o++) {
        struct config *a = config_new(), *b = config_new();
        assert_true(option_same(o, a, b));
        ((unsigned char *)b)[o->offset] ^= 1;
        assert_false(option_same(o, a, b));
        config_drop(a);
        config_drop(b);
    }
    struct config *a = config_new(), *b = config_new();
    const struct option *o = option_find(root, "spop.listen");
    assert_int_equal(set(o, b, "unix@/run/spoa-once/spop.sock, 127.0.0.1:1"), 0);
    assert_false(option_same(o, a, b));
    config_drop(a);
    config_drop(b);
}

static void test_references(void **state)
{
    struct config *c = config_new();
    (void)state;
    assert_int_equal(c->refs, 1);
    assert_ptr_equal(config_hold(c), c);
    config_drop(c);
    assert_int_equal(c->refs, 1);
    config_drop(c);
    config_drop(NULL);
}

static unsigned lines_with(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void test_reference(void **state)
{
    struct buf out;
    unsigned rows = 0, tables = 0;
    (void)state;
    buf_init(&out);
    options_print(&out);
    buf_u8(&out, 0);
    for (const struct option_table *t = option_tables; t->scope; t++, tables++)
        for (const struct option *o = t->options; o->path; o++)
            rows++;
    const char *text = (const char *)out.data;
    assert_int_equal(lines_with(text, "\n| `"), rows);
    assert_int_equal(lines_with(text, "### "), tables);
    assert_non_null(
        strstr(text, "| `redis.deadline` | time | `\"300ms\"` | `\"10ms\"` to `\"10s\"` | reload | "));
    assert_non_null(strstr(text, "| `redis.db` | number | `0` | `0` to `65535` | reload | "));
    assert_non_null(strstr(text, "| `log.format` | word | `\"text\"` | `\"text\"`, `\"json\"` | reload | "));
    assert_non_null(strstr(text, "| `principal` | name | required |  | reload | "));
    assert_non_null(
        strstr(text, "| `spop.mode` | mode | `\"0660\"` | `\"0600\"` to `\"0777\"` | restart | "));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_at_its_edges),
        cmocka_unit_test(test_every_row_is_whole),
        cmocka_unit_test(test_defaults_are_values),
        cmocka_unit_test(test_defaults_of_the_agent),
        cmocka_unit_test(test_headers_never_stored),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_words_of_policies),
        cmocka_unit_test(test_message_names_the_word),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
