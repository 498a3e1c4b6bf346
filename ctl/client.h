// SPDX-License-Identifier: MIT
/* One question to the agent's admin socket, and its answer (docs/oncectl.md). */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <jansson.h>

/* Arguments of a question; those without a value are left out. */
struct query {
    const char *name, *value;
};

/* status 0: the agent was not reached, or what it said is no answer; then it has been said on stderr, and json is
 * NULL. json belongs to the caller. */
struct reply {
    int status;
    json_t *json;
};

/* query ends with name NULL. */
struct reply client_ask(const char *socket_path, const char *method, const char *path,
                        const struct query *query);

#endif
