// SPDX-License-Identifier: MIT
/* Walking the messages of a NOTIFY; the contract is in notify.h. */
#include "spop/notify.h"

int spop_next_message(struct spop_cursor *payload, struct spop_message *m)
{
    struct spop_cursor at = *payload;
    if (at.at == at.end)
        return 0;
    if (spop_get_string(&at, &m->name) < 0 || at.at == at.end)
        return -1;
    m->args_left = *at.at++;
    *payload = at;
    return 1;
}
