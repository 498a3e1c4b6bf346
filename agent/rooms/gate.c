// SPDX-License-Identifier: MIT
/* The one way back for a grant that HAProxy will not see: released as never sent, by its token. */
#include "rooms/gate.h"

void gate_take_back(struct gate *g, const struct grant *grant)
{
    const struct word w = {
        .script = SCRIPT_RELEASE,
        .token = grant->token,
        .letter = 'n',
        .ttl_s = grant->ttl_s,
    };
    completion_put(g->completion, &w, 0, NULL, NULL);
}
