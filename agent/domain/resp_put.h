// SPDX-License-Identifier: MIT
/* The pieces of a command in RESP that change from one to the next: lengths, numbers, keys (docs/wire.md, Keys). */
#ifndef RESP_PUT_H
#define RESP_PUT_H

#include "domain/buf.h"
#include "domain/token.h"

/* `$len` of an argument whose bytes follow. */
void resp_put_len(struct buf *out, size_t len);
/* A whole argument. */
void resp_put_arg(struct buf *out, const void *bytes, size_t len);
/* An argument of decimal digits. */
void resp_put_number(struct buf *out, uint64_t v);
/* How many digits a number has. */
size_t resp_digits(uint64_t v);
/* Inside of a packed argument: how many digits, and the digits. */
void resp_put_digits(struct buf *out, uint64_t ms);
/* A record's key ('r'), a limit group's ('l'), a slot's ('c'): 46 bytes each. */
void resp_put_key(struct buf *out, const struct record_id *id, char kind);
void resp_put_pending_key(struct buf *out, const struct record_id *id, uint64_t fence);

#endif
