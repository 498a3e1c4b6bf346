// SPDX-License-Identifier: MIT
/* What becomes of a word, for every reply. */
#include "rooms/completion_fate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static enum fate fate_for(enum redis_status status, const char *text, unsigned tries)
{
    struct redis_reply r = {
        .status = status, .bytes = {text, text ? strlen(text) : 0}
    };
    struct spop_slice why;
    return fate_of(&r, tries, &why);
}

static void fates(void **state)
{
    (void)state;
    static const struct {
        enum redis_status status;
        const char *text;
        unsigned tries;
        enum fate fate;
    } cases[] = {
        {REDIS_BYTES, "S",                                                       0,     FATE_DONE   },
        {REDIS_BYTES, "N",                                                       0,     FATE_ALREADY},
        {REDIS_BYTES, "T",                                                       0,     FATE_BARE   },
        {REDIS_BYTES, "L",                                                       0,     FATE_OTHER  },
        {REDIS_BYTES, "X",                                                       0,     FATE_REFUSED},
        {REDIS_BYTES, "SS",                                                      0,     FATE_REFUSED},
        {REDIS_BYTES, "",                                                        0,     FATE_REFUSED},
        {REDIS_INT,   NULL,                                                      0,     FATE_REFUSED},
        {REDIS_NIL,   NULL,                                                      0,     FATE_REFUSED},
        {REDIS_LOST,  NULL,                                                      99,    FATE_AGAIN  },
        {REDIS_LATE,  NULL,                                                      99,    FATE_AGAIN  },
        {REDIS_ERROR, "OOM command not allowed when used memory > 'maxmemory'.", 10000, FATE_LATER  },
        {REDIS_ERROR, "READONLY You can't write against a read only replica.",   10000, FATE_LATER  },
        {REDIS_ERROR, "LOADING",                                                 10000, FATE_LATER  },
        {REDIS_ERROR, "LOADIN",                                                  4,     FATE_REFUSED},
        {REDIS_ERROR, "NOSCRIPT the scripts could not be loaded",                10000, FATE_LATER  },
        {REDIS_ERROR, "NOPERM this user has no permissions",                     10000, FATE_LATER  },
        {REDIS_ERROR, "ERR ACL failure in script: User x has no ..",             10000, FATE_LATER  },
        {REDIS_ERROR, "ERR The user executing the script can't run ..",          10000, FATE_LATER  },
        {REDIS_ERROR, "WRONGTYPE Operation against a key",                       0,     FATE_REFUSED},
        {REDIS_ERROR, "ERR something new",                                       3,     FATE_LATER  },
        {REDIS_ERROR, "ERR something new",                                       4,     FATE_REFUSED},
        {REDIS_ERROR, "",                                                        0,     FATE_LATER  },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(fate_for(cases[i].status, cases[i].text, cases[i].tries), cases[i].fate);
}

static void pauses(void **state)
{
    (void)state;
    assert_true(fate_pause(1) == 0.1 && fate_pause(2) == 0.2 && fate_pause(5) == 1.6);
    assert_true(fate_pause(6) == 2.0 && fate_pause(4000000000) == 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fates), cmocka_unit_test(pauses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
