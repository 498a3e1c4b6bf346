// SPDX-License-Identifier: MIT
/* HAProxy's configuration as it reads it: words and quotes, sections, inheritance, .if, the environment,
 * files in directories, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/hafiles.h"

static char wrong_text[1024];
static unsigned wrong_line, wrongs;

static void on_wrong(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    (void)file;
    wrongs++;
    wrong_line = line;
    snprintf(wrong_text, sizeof wrong_text, "%s", text);
}

static const char *variable(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "A") == 0 ? "x y" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void read_text(struct haconf *c, const char *text, bool spoe)
{
    wrongs = 0;
    haconf_init(c, variable, NULL);
    haconf_read(c, "f", text, strlen(text), spoe, on_wrong, NULL);
}

/* HAProxy 2.6 reads them so too (seen by setenv and .notice "${NAME}"). */
static void lines_to_words(void **state)
{
    static const struct {
        const char *line;
        const char *words; /* joined by '|' */
    } cases[] = {
        {"",                             ""               },
        {"  \t ",                        ""               },
        {"# all of it",                  ""               },
        {"a  b\tc",                      "a|b|c"          },
        {"a b# c",                       "a|b"            },
        {"a \"b # c\" d",                "a|b # c|d"      },
        {"a 'b \" \\n $A' c",            "a|b \" \\n $A|c"},
        {"a b\\ c \\# \\\\ \\' \\\"",    "a|b c|#|\\|'|\""},
        {"str(\"a b\")c",                "str(a b)c"      },
        {"a \"\" ''",                    "a||"            },
        {"\"${A}\" ${A} '${A}'",         "x y|${A}|${A}"  },
        {"\"$A-$EMPTY-\"",               "x y--"          },
        {"\"${NONE}|${NONE-de fault}\"", "|de fault"      },
        {"\"\\$A \\x41\\x4\"",           "$A A\\x4"       },
        {"\"{\\\"a\\\":1}\"",            "{\"a\":1}"      },
        {"\"${A\"",                      "${A"            },
        {"a\r",                          "a"              },
        {"a\\",                          "a\\"            },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *words[HACONF_WORDS_MAX], *wrong;
        char memory[512], joined[512] = "";
        int n = haconf_words(cases[i].line, strlen(cases[i].line), variable, NULL, memory, sizeof memory,
                             words, &wrong);
        assert_true(n >= 0);
        for (int w = 0; w < n; w++)
            strcat(strcat(joined, w ? "|" : ""), words[w]);
        assert_string_equal(joined, cases[i].words);
    }
}

static void lines_that_cannot_be_read(void **state)
{
    const char *words[HACONF_WORDS_MAX], *wrong;
    char memory[4096], line[400] = "";
    (void)state;
    assert_int_equal(haconf_words("a \"b", 4, variable, NULL, memory, sizeof memory, words, &wrong), -1);
    assert_string_equal(wrong, "a quote is not closed");
    for (int i = 0; i < HACONF_WORDS_MAX; i++)
        strcat(line, "a ");
    assert_int_equal(haconf_words(line, strlen(line), variable, NULL, memory, sizeof memory, words, &wrong),
                     64);
    strcat(line, "a");
    assert_int_equal(haconf_words(line, strlen(line), variable, NULL, memory, sizeof memory, words, &wrong),
                     -1);
    /* Exactly full, and one over. */
    assert_int_equal(haconf_words("abc", 3, variable, NULL, memory, 4, words, &wrong), 1);
    assert_int_equal(haconf_words("abc", 3, variable, NULL, memory, 3, words, &wrong), -1);
}

static void one_wrong_line_does_not_hide_the_next(void **state)
{
    struct haconf c;
    (void)state;
    read_text(&c, "backend a\n  log \"x\n  retries 3\n", false);
    assert_int_equal(wrongs, 1);
    assert_int_equal(wrong_line, 2);
    assert_int_equal(haconf_last(&c, haconf_section(&c, "backend", "a"), "retries 3")->number, 3);
    haconf_free(&c);
}

static void defaults_are_inherited(void **state)
{
    struct haconf c;
    bool on = false;
    (void)state;
    read_text(&c,
              "defaults one\n option abortonclose\n timeout server 1s\n"
              "defaults two from one\n timeout server 2s\n"
              "defaults\n mode http\n"
              "backend plain\n"
              "backend named from two\n no option abortonclose\n"
              "backend both from two\n timeout server 3s\n"
              "backend unknown from nobody\n",
              false);
    const struct haconf_section *plain = haconf_section(&c, "backend", "plain");
    const struct haconf_section *named = haconf_section(&c, "backend", "named");
    const struct haconf_section *both = haconf_section(&c, "backend", "both");
    assert_null(haconf_option(&c, plain, "abortonclose", false, &on));
    assert_int_equal(haconf_option(&c, named, "abortonclose", false, &on)->number, 10);
    assert_false(on);
    assert_int_equal(haconf_option(&c, both, "abortonclose", false, &on)->number, 2);
    assert_true(on);
    assert_string_equal(haconf_last(&c, named, "timeout server")->word[2], "2s");
    assert_string_equal(haconf_last(&c, both, "timeout server")->word[2], "3s");
    assert_null(haconf_last(&c, haconf_section(&c, "backend", "unknown"), "timeout server"));
    haconf_free(&c);
}

static void what_stands_in_if_is_perhaps_there(void **state)
{
    struct haconf c;
    bool on = false;
    (void)state;
    read_text(&c,
              "backend a\n option x\n.if feature(A)\n.if 1\n no option x\n.endif\n option y\n.else\n retries "
              "1\n.endif\n"
              " retries 2\n.endif\n log global\n",
              false);
    const struct haconf_section *a = haconf_section(&c, "backend", "a");
    assert_int_equal(haconf_option(&c, a, "x", false, &on)->number, 2); /* the safe one is not certain */
    assert_true(on);
    assert_int_equal(haconf_option(&c, a, "x", true, &on)->number, 5); /* the unsafe one may be there */
    assert_false(on);
    assert_true(haconf_last(&c, a, "retries 1")->perhaps);
    assert_false(haconf_last(&c, a, "retries")->perhaps);
    assert_false(haconf_last(&c, a, "log")->perhaps);
    haconf_free(&c);
}

static void the_environment_of_global(void **state)
{
    struct haconf c;
    (void)state;
    read_text(
        &c,
        "global\n presetenv A other\n presetenv B b\n setenv C \"${B}c\"\n setenv C \"${C}d\"\n unsetenv B\n"
        "backend a\n server \"${A}\" \"${B}\" \"${C}\"\n setenv A no\n",
        false);
    const struct haconf_line *l = haconf_last(&c, haconf_section(&c, "backend", "a"), "server");
    assert_string_equal(l->word[1], "x y");
    assert_string_equal(l->word[2], "");
    assert_string_equal(l->word[3], "bcd");
    assert_true(l->unset);
    assert_false(c.lines[0].unset);
    assert_false(c.lines[4].unset);
    assert_string_equal(haconf_variable(&c, "A"), "x y");
    haconf_free(&c);
}

static void spoe_has_scopes(void **state)
{
    struct haconf c;
    (void)state;
    read_text(&c, "[a]\nspoe-agent x\n option y\n[b]\n log global\nspoe-agent z\n", true);
    assert_int_equal(c.nsections, 2);
    assert_string_equal(c.sections[0].scope, "a");
    assert_string_equal(c.sections[1].scope, "b");
    assert_string_equal(c.sections[1].name, "z");
    haconf_free(&c);
}

static void patterns(void **state)
{
    const char *const words[] = {"http-request", "set-var(txn.a)", "str(b)", "if", "x"};
    const struct haconf_line l = {"f", 1, false, 5, words, false};
    (void)state;
    assert_true(haconf_matches(&l, "http-request"));
    assert_true(haconf_matches(&l, "http-request set-var(txn.* if x"));
    assert_true(haconf_matches(&l, "http-request str(b) x"));
    assert_false(haconf_matches(&l, "set-var(txn.a)"));
    assert_false(haconf_matches(&l, "http-request x if"));
    assert_false(haconf_matches(&l, "http-request str"));
    assert_false(haconf_matches(&l, "http-request x *"));
    assert_int_equal(haconf_condition(&l), 3);
    assert_string_equal(haconf_after(&l, "if"), "x");
    assert_null(haconf_after(&l, "x"));
}

static void times(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"0",      0       },
        {"250",    250     },
        {"250ms",  250     },
        {"1s",     1000    },
        {"2m",     120000  },
        {"1h",     3600000 },
        {"1d",     86400000},
        {"1500us", 1       },
    };
    static const char *const bad[] = {"", "s", "1x", "-1", "1 s", "12345678901"};
    uint64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(haconf_ms(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(haconf_ms(bad[i], &ms), -1);
}

static void too_many_lines(void **state)
{
    struct haconf c;
    size_t len = (HACONF_LINES_MAX + 200) * 2;
    char *text = malloc(len + 1);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < len; i += 2)
        memcpy(text + i, "a\n", 2);
    memcpy(text, "ring\n\n\n\n", 8);
    text[len] = '\0';
    read_text(&c, text, false);
    assert_true(c.failed);
    assert_int_equal(wrongs, 1);
    haconf_free(&c);
    free(text);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A directory's files by name; a section does not go on in the next file; an SPOE file that the filter names
 * by another path was given. */
static void files_and_directories(void **state)
{
    static const char *const names[] = {"20-b.cfg", "10-a.cfg", ".hidden.cfg", "note.txt", "once.spoe.cfg"};
    char dir[] = "/tmp/once-haconf.XXXXXX", spoe[64], path[256];
    struct hafiles f;
    (void)state;
    assert_non_null(mkdtemp(dir));
    write_file(dir, "20-b.cfg",
               " retries 7\nbackend b\n filter spoe engine once config /elsewhere/once.spoe\n");
    write_file(dir, "10-a.cfg", "defaults\n retries 3\nbackend a\n");
    write_file(dir, ".hidden.cfg", "backend hidden\n");
    write_file(dir, "note.txt", "backend note\n");
    write_file(dir, "once.spoe.cfg", "# of SPOE\n[once]\nspoe-agent x\n");
    snprintf(spoe, sizeof spoe, "%s/once.spoe", dir);
    wrongs = 0;
    hafiles_read(&f, (const char *const[]){dir}, 1, on_wrong, NULL);
    assert_int_equal(f.site.nsections, 3);
    assert_string_equal(f.site.sections[1].name, "a");
    assert_string_equal(haconf_last(&f.site, &f.site.sections[2], "retries")->word[1], "3");
    assert_int_equal(f.spoe.nsections, 1);
    assert_int_equal(wrongs, 1); /* /elsewhere/once.spoe */
    assert_int_equal(wrong_line, 3);
    assert_non_null(strstr(wrong_text, "/elsewhere/once.spoe"));
    hafiles_free(&f);
    snprintf(path, sizeof path, "%s/once.spoe.cfg", dir);
    assert_int_equal(rename(path, spoe), 0);
    wrongs = 0;
    hafiles_read(&f, (const char *const[]){dir, spoe}, 2, on_wrong, NULL);
    assert_int_equal(f.spoe.nsections, 1);
    assert_int_equal(wrongs, 0);
    hafiles_free(&f);
    wrongs = 0;
    hafiles_read(&f, (const char *const[]){"/nowhere", dir}, 2, on_wrong, NULL);
    assert_int_equal(wrongs, 2);
    hafiles_free(&f);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    unlink(spoe);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_to_words),
        cmocka_unit_test(lines_that_cannot_be_read),
        cmocka_unit_test(one_wrong_line_does_not_hide_the_next),
        cmocka_unit_test(defaults_are_inherited),
        cmocka_unit_test(what_stands_in_if_is_perhaps_there),
        cmocka_unit_test(the_environment_of_global),
        cmocka_unit_test(spoe_has_scopes),
        cmocka_unit_test(patterns),
        cmocka_unit_test(times),
        cmocka_unit_test(too_many_lines),
        cmocka_unit_test(files_and_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
