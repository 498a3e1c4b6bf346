// SPDX-License-Identifier: MIT
/* Redis' user lacks a right: which errors say so, and what an operator can do about it. Pure. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include "domain/text.h"
#include "spop/slice.h"

/* Of a command, or of a script that was not let do one of its own (Redis 7.0 words that differently from
 * later ones). Unlike other errors of its kind it ends when somebody changes the user. */
bool rights_refused(struct spop_slice error);

/* Appends one sentence with the way out, and Redis' own words. command: what was refused; user: empty for the
 * default one; error: Redis' words, left out if they do not fit. */
void rights_advise(struct text *out, const char *user, struct spop_slice command, struct spop_slice error);

#endif
