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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),      cmocka_unit_test(test_json_line), cmocka_unit_test(test_not_gated),
        cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_truncated), cmocka_unit_test(test_endings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
