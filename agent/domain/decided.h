// SPDX-License-Identifier: MIT
/* How each limit of a configuration is decided, for who checks it (`spoa-once -c`). Pure.
 *
 *   policy payments, limit client: in the gate's call
 *   policy payments, limit all: leased, up to 62 tokens at a time; else by a call of its own before the gate's */
#ifndef DECIDED_H
#define DECIDED_H

#include "domain/buf.h"
#include "domain/config.h"

/* Appends a line for each limit. Behind config_check(). */
void decided_print(struct buf *out, const struct config *c);

#endif
