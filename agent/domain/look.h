// SPDX-License-Identifier: MIT
/* What an operator sees of Redis: the reply of redis-lua/look.lua, opened, and the name by which a record is
 * shown and meant (docs/wire.md, Operator).
 *
 *   | now 8 | n 1 | cursor n |   then for each key   | TAG 4 | digest 32 | pttl 8 | length 4 | n 2 | bytes n |
 */
#ifndef LOOK_H
#define LOOK_H

#include "domain/token.h"
#include "spop/cursor.h"

enum { LOOK_CURSOR = 20, LOOK_NAME = 37 };

struct look {
    uint64_t now_us;              /* Redis' time */
    char cursor[LOOK_CURSOR + 1]; /* for the next step; "0": that was the last one */
    unsigned skipped;             /* keys passed over: their names are no record's */
    struct spop_slice rest;
};
struct look_row {
    struct record_id id;
    uint64_t ttl_ms;
    size_t len;              /* of the whole value */
    struct spop_slice bytes; /* its beginning */
};

/* 0, or -1: it is no such reply. */
int look_open(struct spop_slice reply, struct look *l);
/* Next key that a record may have: 1 found, 0 no more, -1 the reply is broken. */
int look_next(struct look *l, struct look_row *row);

/* `TAG:DIGEST` in hex, as in the key; writes LOOK_NAME characters and a NUL. */
void look_name_write(const struct record_id *id, char out[LOOK_NAME + 1]);
/* 0, or -1: no such name. */
int look_name_read(const char *text, struct record_id *id);

#endif
