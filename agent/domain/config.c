// SPDX-License-Identifier: MIT
/* Birth and end of a configuration: born with the defaults of the tables, ended by its last holder. */
#include "domain/config.h"

#include <stdlib.h>

#include "domain/options.h"
#include "domain/seal.h"

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->refs = 1;
    c->redis.holds = REDIS_HOLDS_RECORDS;
    c->cache.redis.holds = REDIS_HOLDS_ANSWERS;
    option_defaults(option_table_of(""), c);
    return c;
}

struct config *config_hold(struct config *c)
{
    c->refs++;
    return c;
}

void config_drop(struct config *c)
{
    if (!c || --c->refs > 0)
        return;
    free(c->policies);
    sodium_free(c->seals);
    free(c);
}
