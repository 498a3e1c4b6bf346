// SPDX-License-Identifier: MIT
/* The script has compared and decided: here is only its letter, and the mark behind it.
 *
 *   letter epoch(8) number(8)      letter: K F L W X; integers little-endian */
#include "domain/mark.h"

enum { REPLY_BYTES = 17 };

static uint64_t read_le(const char *at)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return v;
}

static const struct {
    char letter;
    enum mark_state state;
} letters[] = {
    {'K', MARK_KEPT   },
    {'F', MARK_FIRST  },
    {'L', MARK_LOST   },
    {'W', MARK_WAITS  },
    {'X', MARK_FOREIGN},
};

int mark_read(struct spop_slice reply, struct mark *seen, enum mark_state *state)
{
    const unsigned n = sizeof letters / sizeof *letters;
    unsigned i = 0;
    while (reply.len == REPLY_BYTES && i < n && letters[i].letter != *reply.ptr)
        i++;
    if (reply.len != REPLY_BYTES || i == n)
        return -1;
    *state = letters[i].state;
    if (*state == MARK_WAITS || *state == MARK_FOREIGN)
        return 0;
    struct mark now = {read_le(reply.ptr + 1), read_le(reply.ptr + 9)};
    if (*state == MARK_KEPT && seen->epoch != 0 && now.epoch != seen->epoch)
        *state = MARK_PASSED;
    *seen = now;
    return 0;
}
