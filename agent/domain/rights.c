// SPDX-License-Identifier: MIT
/* Two tables of Redis' own texts: src/acl.c (getAclErrorMessage) and src/script.c (scriptVerifyACL) of Redis
 * 7.0, 7.2 and 8, and of Valkey, which kept those of 7.2. */
#include "domain/rights.h"

#include <string.h>

static const char *const refusals[] = {
    "NOPERM", "ERR ACL failure in script",      /* 7.2 */
    "ERR The user executing the script can't ", /* 7.0 */
};

/* A pattern that is subscribed to must be there as it is spelled: &once:* would not do. */
#define CHANNELS "&once:w:* &once:ack"

/* The first row whose text the error contains. `+`: the command stands behind it, as Redis' rules spell it. */
static const struct {
    const char *text, *problem, *rule;
} advices[] = {
    {"nknown ", "Redis does not know ",                                   NULL     },
    {" run ",   "Redis' user may not run ",                               "+"      },
    {"channel", "Redis' user may not use the channels once:*, tried by ", CHANNELS },
    {" key",    "Redis' user may not use the keys once:*, tried by ",     "~once:*"},
    {"",        "Redis refuses ",                                         NULL     },
};

bool rights_refused(struct spop_slice error)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (slice_starts(error, refusals[i]))
            return true;
    return false;
}

/* SCRIPT LOAD is script|load. */
static void put_rule(struct text *out, struct spop_slice command)
{
    for (size_t i = 0; i < command.len; i++) {
        char c = command.ptr[i] == ' ' ? '|' : text_lower(command.ptr[i]);
        text_put(out, &c, 1);
    }
}

void rights_advise(struct text *out, const char *user, struct spop_slice command, struct spop_slice error)
{
    size_t i = 0;
    while (*advices[i].text && !memmem(error.ptr, error.len, advices[i].text, strlen(advices[i].text)))
        i++;
    text_str(out, advices[i].problem);
    text_put(out, command.ptr, command.len);
    if (advices[i].rule) {
        text_str(out, ": ACL SETUSER ");
        text_str(out, *user ? user : "default");
        text_str(out, " ");
        text_str(out, advices[i].rule);
        if (*advices[i].rule == '+')
            put_rule(out, command);
    }
    text_str(out, ", see docs/redis.md (");
    text_put(out, error.ptr, error.len);
    text_str(out, ")");
}
