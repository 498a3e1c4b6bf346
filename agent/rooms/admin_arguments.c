// SPDX-License-Identifier: MIT
/* What a request may say. Whatever cannot be meant as it stands is refused, never passed over: a word without the argument
 * that was to narrow it down would be said of more than was meant (a purge without its principal: of everybody).
 *
 *   refused   a name that this route does not take, an argument that is empty or there twice, a flag that is not 1,
 *             an id beside what else names a record
 */
#include "rooms/admin_inner.h"

#include <string.h>

#include "domain/text.h"

/* The one list of arguments; flags are 1 or left out. */
static const struct {
    const char *name;
    unsigned bit;
    bool flag;
} arguments[] = {
    {"id",        SAYS_ID,        false},
    {"policy",    SAYS_POLICY,    false},
    {"principal", SAYS_PRINCIPAL, false},
    {"key",       SAYS_KEY,       false},
    {"host",      SAYS_HOST,      false},
    {"path",      SAYS_PATH,      false},
    {"state",     SAYS_STATE,     false},
    {"cursor",    SAYS_CURSOR,    false},
    {"body",      SAYS_BODY,      true },
    {"word",      SAYS_WORD,      false},
    {"force",     SAYS_FORCE,     true },
    {"status",    SAYS_STATUS,    false},
    {"all",       SAYS_ALL,       true },
    {"url",       SAYS_URL,       false},
    {"tag",       SAYS_TAG,       false},
    {"prefix",    SAYS_PREFIX,    false},
    {"header",    SAYS_HEADER,    false},
};
enum { ARGUMENTS = sizeof arguments / sizeof *arguments, SHOWN = 40 };

struct reading {
    unsigned takes, says;
    struct text why; /* empty: nothing is wrong yet */
};

/* Whatever was sent, as far as it is printable ASCII. */
static void put_name(struct text *t, struct spop_slice name)
{
    for (size_t i = 0; i < name.len && i < SHOWN; i++)
        text_put(t, name.ptr[i] > ' ' && name.ptr[i] <= '~' ? &name.ptr[i] : "?", 1);
}

static void put_taken(struct text *t, unsigned takes)
{
    const char *before = takes ? ": there are " : ": there is none";
    for (size_t i = 0; i < ARGUMENTS; i++) {
        if (!(takes & arguments[i].bit))
            continue;
        text_str(t, before);
        text_str(t, arguments[i].name);
        before = ", ";
    }
    text_str(t, takes ? "" : before);
}

static void say(struct reading *r, struct spop_slice name, const char *what)
{
    text_str(&r->why, "the argument '");
    put_name(&r->why, name);
    text_str(&r->why, what);
}

static bool read_one(void *arg, struct spop_slice name, struct spop_slice value)
{
    struct reading *r = arg;
    size_t i = 0;
    while (i < ARGUMENTS && !(slice_is(name, arguments[i].name) && r->takes & arguments[i].bit))
        i++;
    if (i == ARGUMENTS) {
        say(r, name, "' is not known here");
        put_taken(&r->why, r->takes);
    } else if (value.len == 0) {
        say(r, name, "' is empty: give it a value, or leave it out");
    } else if (memchr(value.ptr, '\0', value.len)) {
        say(r, name, "' has a NUL byte in it: nothing is called so");
    } else if (r->says & arguments[i].bit) {
        say(r, name, "' is there twice: say it once");
    } else if (arguments[i].flag && !slice_is(value, "1")) {
        say(r, name, "' is 1, or left out");
    } else {
        r->says |= arguments[i].bit;
    }
    return r->why.len == 0;
}

bool arguments_read(struct job *j, unsigned takes)
{
    char why[300];
    struct reading r = {.takes = takes};
    text_init(&r.why, why, sizeof why);
    httpd_each_argument(j->request, read_one, &r);
    j->says = r.says;
    if (r.why.len == 0 && r.says & SAYS_ID && r.says & SAYS_NAME)
        text_str(&r.why,
                 "an id names a record alone: leave out id, or policy, principal, key, host and path");
    if (r.why.len > 0)
        job_refuse(j, 400, "bad-argument", why);
    return r.why.len == 0;
}
