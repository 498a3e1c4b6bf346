// SPDX-License-Identifier: MIT
/* Which record an operator means who says what a client has said: the same name as a request with those words
 * would have (domain/subject). Pure. */
#ifndef NAMED_H
#define NAMED_H

#include "domain/config.h"
#include "domain/facts.h"
#include "domain/subject.h"

/* Texts, NULL: not said. address: the principal's, where it is one; SPOP_NULL: it is none. */
struct naming {
    const char *policy, *principal, *key, *host, *path;
    struct spop_value address;
};

struct named {
    const struct policy *policy; /* NULL: not said */
    bool has_who, has_id;
    uint8_t who[SUBJECT_WHO];
    struct record_id id;
};

/* false, and *why (static text) says what is wrong or missing. With a key everything that its name needs must
 * be there. */
bool named_find(const struct config *c, const struct naming *n, struct named *out, const char **why);

#endif
