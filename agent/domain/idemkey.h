// SPDX-License-Identifier: MIT
/* The idempotency key as it is understood (ACCEPTANCE I15 to I17, M2.1).
 *
 *   field value      key         A structured-field string (RFC 8941, 3.3.3) and the bare text in it are the
 *   abc              abc         same key. White space around the field is no part of it. There may be two
 *   "abc"            abc         header names; sent both, they must mean the same key.
 *   "a\"b\\c"        a"b\c
 *   "abc   a"b  ""   refused     */
#ifndef IDEMKEY_H
#define IDEMKEY_H

#include "domain/facts.h"
#include "domain/problem.h"

enum { IDEMKEY_MAX = 255 };

/* One field value. 0, or -1: not a key. out is NUL-terminated. */
int idemkey_parse(struct spop_slice field, char out[IDEMKEY_MAX + 1], size_t *len);

/* Both headers of a request. PROBLEM_NONE, KEY_MISSING, KEY_INVALID or KEY_CONFLICT. */
enum problem idemkey_read(const struct request_facts *f, char out[IDEMKEY_MAX + 1], size_t *len);

#endif
