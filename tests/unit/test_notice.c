// SPDX-License-Identifier: MIT
/* domain/notice: lines as HAProxy writes them, every truncation, and what each ending means. */
#include "tests/unit/heart.h"
#include "domain/notice.h"

/* Version 1, hold, all other bytes zero. */
#define TOKEN "EQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static int read_text(const char *line, struct notice *n)
{
    return notice_read(line, strlen(line), n);
}

static void test_line(void **state)
{
    struct notice n;
    assert_int_equal(read_text("once/1 " TOKEN " SD 12 201 77.1700.gw", &n), 0);
    assert_string_equal(n.token_text, TOKEN);
    assert_int_equal(n.token.flags, TOKEN_HOLD);
    assert_memory_equal(n.ts, "SD", 2);
    assert_int_equal(n.tc, 12);
    assert_int_equal(n.status, 201);
    assert_text(n.process, "77.1700.gw");
    assert_int_equal(read_text("once/1 " TOKEN " -- -1 -1 77.1700.gw and more\n", &n), 0);
    assert_int_equal(n.tc, -1);
    assert_int_equal(n.status, 0);
    assert_text(n.process, "77.1700.gw");
    static const char ended[] = "once/1 " TOKEN " -- 0 0 p\r\n"; /* with its NUL */
    assert_int_equal(notice_read(ended, sizeof ended, &n), 0);
    assert_text(n.process, "p");
    (void)state;
}

static void test_json_line(void **state)
{
    struct notice n;
    assert_int_equal(read_text("{\"once\":\"once/1 " TOKEN " SD 12 201 77.1700.gw\",\"path\":\"/\"}\n", &n),
                     0);
    assert_string_equal(n.token_text, TOKEN);
    assert_int_equal(n.tc, 12);
    assert_text(n.process, "77.1700.gw");
    assert_int_equal(read_text("{\"once\":\"once/1 - -- 0 200 77.1700.gw\"}", &n), 1);
    /* Only whole: no quotation mark behind it, nothing in it, another field first. */
    assert_int_equal(read_text("{\"once\":\"once/1 " TOKEN " SD 12 201 77.1700.gw", &n), -1);
    assert_int_equal(read_text("{\"once\":\"\"}", &n), -1);
    assert_int_equal(read_text("{\"once\":\"", &n), -1);
    assert_int_equal(read_text("{\"once\":\"once/1 " TOKEN "\" SD 12 201 p\"", &n), -1);
    assert_int_equal(read_text("{\"path\":\"/\",\"once\":\"once/1 " TOKEN " SD 12 201 p\"}", &n), -1);
    (void)state;
}

static void test_not_gated(void **state)
{
    struct notice n;
    assert_int_equal(read_text("once/1 - -- 0 200 77.1700.gw", &n), 1);
    assert_int_equal(read_text("once/1 -", &n), 1);
    (void)state;
}

static void test_bad_lines(void **state)
{
    static const char *const lines[] = {
        "",
        "once/1",
        "once/1 ",
        "once/2 " TOKEN " -- 0 200 p",
        "Server once/1 is DOWN",
        " once/1 " TOKEN " -- 0 200 p",
        "once/1  " TOKEN " -- 0 200 p",
        "once/1 " TOKEN "A -- 0 200 p",
        "once/1 IQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA -- 0 200 p",
        "once/1 " TOKEN " - 0 200 p",
        "once/1 " TOKEN " --- 0 200 p",
        "once/1 " TOKEN " -- x 200 p",
        "once/1 " TOKEN " -- - 200 p",
        "once/1 " TOKEN " --  200 p",
        "once/1 " TOKEN " -- +1 200 p",
        "once/1 " TOKEN " -- 1234567890 200 p",
        "once/1 " TOKEN " -- 0 1000 p",
        "once/1 " TOKEN " -- 0 2a0 p",
        "once/1 " TOKEN " -- 0 200 ",
        "once/1 " TOKEN " -- 0 200  p",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct notice n;
        assert_int_equal(read_text(lines[i], &n), -1);
    }
    (void)state;
}

/* Every truncation, in memory that ends there. */
static void test_truncated(void **state)
{
    static const char line[] = "once/1 " TOKEN " SD 123456789 999 p";
    struct notice n;
    for (size_t len = 0; len < sizeof line - 1; len++) {
        char *copy = test_malloc(len + 1);
        memcpy(copy + 1, line, len);
        assert_int_equal(notice_read(copy + 1, len, &n), -1);
        test_free(copy);
    }
    assert_int_equal(notice_read(line, sizeof line - 1, &n), 0);
    assert_int_equal(n.tc, 123456789);
    assert_int_equal(n.status, 999);
    (void)state;
}

static void test_endings(void **state)
{
    static const struct {
        char ts[3];
        long tc;
        enum ending ending;
    } cases[] = {
        {"--", 3,  ENDING_CLEAN     },
        {"--", 0,  ENDING_CLEAN     },
        {"SD", 3,  ENDING_CUT       },
        {"sD", 3,  ENDING_CUT       },
        {"sH", 3,  ENDING_CUT       },
        {"sR", 3,  ENDING_CUT       },
        {"PH", 3,  ENDING_CUT       },
        {"SH", 3,  ENDING_OTHER     }, /* nothing came: what the table says of it
  decides */
        {"CD", 3,  ENDING_OTHER     },
        {"CH", 3,  ENDING_OTHER     },
        {"PD", 3,  ENDING_OTHER     },
        {"KD", 3,  ENDING_OTHER     },
        {"-D", 3,  ENDING_OTHER     },
        {"S-", 3,  ENDING_OTHER     },
        {"SC", -1, ENDING_NEVER_SENT},
        {"sQ", -1, ENDING_NEVER_SENT},
        {"PR", -1, ENDING_NEVER_SENT},
        {"CC", -1, ENDING_NEVER_SENT},
        {"--", -1, ENDING_NEVER_SENT},
        {"SD", -2, ENDING_CUT       },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct notice n = {.tc = cases[i].tc};
        memcpy(n.ts, cases[i].ts, 2);
        assert_int_equal(notice_ending(&n), cases[i].ending);
    }
    (void)state;
}

static void test_fetch(void **state)
{
    struct cachefill fill = {.fetch = {.policy = 7}, .n = VARY_MAX};
    char token[CACHEFILL_TEXT_MAX + 1], line[320];
    struct notice n;
    (void)state;
    memset(fill.fetch.lease, 5, sizeof fill.fetch.lease);
    cachefill_write(&fill, token);
    snprintf(line, sizeof line, "once/1 %.*s sH 12 504 77.1700.gw more", CACHEFETCH_TEXT, token);
    assert_int_equal(read_text(line, &n), 0);
    assert_true(n.fetch);
    assert_int_equal(n.fetched.policy, 7);
    assert_memory_equal(n.fetched.lease, fill.fetch.lease, sizeof n.fetched.lease);
    assert_int_equal(n.status, 504);
    assert_text(n.process, "77.1700.gw");
    static const int lengths[] = {CACHEFETCH_TEXT - 1, CACHEFETCH_TEXT + 1, CACHEFILL_TEXT_MAX};
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(line, sizeof line, "once/1 %.*s sH 12 504 p", lengths[i], token);
        assert_int_equal(read_text(line, &n), -1);
    }
    assert_int_equal(read_text("once/1 " TOKEN " SD 12 201 p", &n), 0);
    assert_false(n.fetch);
}

static void test_what_a_fetch_leaves(void **state)
{
    static const struct {
        char ts[3];
        unsigned status;
        char mark;
    } cases[] = {
        {"SC", 503, 'e'},
        {"SH", 502, 'e'},
        {"sH", 504, 'e'},
        {"sQ", 503, 'e'},
        {"PH", 502, 'e'},
        {"SD", 200, 'e'},
        {"sD", 200, 'e'},
        {"--", 500, 'e'},
        {"--", 499, 0  },
        {"--", 200, 0  }, /* only the agent has missed it */
        {"CD", 200, 0  },
        {"CC", 0,   0  },
        {"PR", 403, 0  },
        {"LR", 200, 0  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct notice n = {.fetch = true, .tc = 3, .status = cases[i].status};
        memcpy(n.ts, cases[i].ts, 2);
        if (notice_fetch_mark(&n) != cases[i].mark)
            fail_msg("%s %u", cases[i].ts, cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),      cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_not_gated), cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_endings),
        cmocka_unit_test(test_fetch),     cmocka_unit_test(test_what_a_fetch_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
