// SPDX-License-Identifier: MIT
/* One reply of RESP2, as far as a Sentinel has any: a scalar, or a flat array of scalars. Pure: no memory is
 * taken, slices point into the bytes that were given, and nothing that a peer says costs more than them.
 *
 *   +OK\r\n   -ERR no\r\n   :7\r\n   $4\r\nonce\r\n   $-1\r\n   *2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n
 *
 * Source: the Redis serialization protocol specification, version 2. */
#ifndef RESP_H
#define RESP_H

#include "domain/buf.h"
#include "spop/slice.h"

enum { RESP_ITEMS_MAX = 128, RESP_BULK_MAX = 4096 };

enum resp_kind { RESP_STATUS, RESP_ERROR, RESP_INT, RESP_BULK, RESP_NIL, RESP_ARRAY };

struct resp {
    enum resp_kind kind;
    unsigned n;                             /* an array's items; a scalar's own text is item 0 */
    struct spop_slice item[RESP_ITEMS_MAX]; /* an integer as its digits; nil: ptr NULL */
};

/* How many bytes the first reply of `in` has; 0: it is not whole yet; -1: it is no RESP, nested, or larger
 * than the bounds above. */
long resp_read(struct spop_slice in, struct resp *out);

/* Appends a command of n words. */
void resp_command(struct buf *out, const char *const *words, unsigned n);

#endif
