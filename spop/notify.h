// SPDX-License-Identifier: MIT
/* Walking a HAPROXY-NOTIFY frame: messages, and the arguments of each.
 *
 *   NOTIFY payload = { message name, number of args (1 byte), { arg name, typed value } * nargs } *
 *
 * Format: HAProxy doc/SPOE.txt, section 3.2.6. All slices point into the frame. */
#ifndef SPOP_NOTIFY_H
#define SPOP_NOTIFY_H

#include "spop/cursor.h"

struct spop_message {
    struct spop_slice name;
    unsigned args_left;
};

struct spop_arg {
    struct spop_slice name;
    struct spop_value value;
};

/* Next message of the payload: 1 found, 0 no more, -1 malformed. All arguments of the message before it must
 * have been taken with spop_next_arg() first. */
int spop_next_message(struct spop_cursor *payload, struct spop_message *m);

/* Next argument of a message: 1 found, 0 no more, -1 malformed. Stands here as what it calls does (cursor.h). */
static inline int spop_next_arg(struct spop_cursor *payload, struct spop_message *m, struct spop_arg *arg)
{
    const uint8_t *from = payload->at;
    if (m->args_left == 0)
        return 0;
    if (spop_get_string(payload, &arg->name) < 0 || spop_get_value(payload, &arg->value) < 0) {
        payload->at = from;
        return -1;
    }
    m->args_left--;
    return 1;
}

#endif
