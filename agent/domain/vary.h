// SPDX-License-Identifier: MIT
/* What a response varies on: the names of its Vary (RFC 9110, section 12.5.5), and digests of a request's values (RFC 9111, 4.1).
 *
 *   Vary: Accept-Encoding, accept       names: accept, accept-encoding   lower case, sorted, each once
 *   Accept-Encoding: gzip
 *   accept-encoding:  br                value: "gzip, br"                lines trimmed and joined, nothing else
 *
 * A header that is missing differs from one that is empty. */
#ifndef VARY_H
#define VARY_H

#include "domain/headers.h"

enum { VARY_MAX = 8, VARY_NAME_MAX = 63, VARY_VALUE = 8 };

struct vary_names {
    uint8_t n;
    char name[VARY_MAX][VARY_NAME_MAX + 1];
};

enum vary_result {
    VARY_READ,
    VARY_ANY,   /* `*`, alone or among others */
    VARY_LARGE, /* more than VARY_MAX names, or a longer one */
    VARY_BAD,   /* not a name, or headers malformed */
};

/* All Vary lines of a response. Without one: VARY_READ and no names. */
enum vary_result vary_read(struct spop_slice hdrs_bin, struct vary_names *out);
/* Adds one name in its place; VARY_READ also if it was there. For lists of the configuration and of entries. */
enum vary_result vary_add(struct vary_names *v, struct spop_slice name);

bool vary_same(const struct vary_names *a, const struct vary_names *b);
/* Place of a name in the list, -1: not in it. */
int vary_find(const struct vary_names *v, const char *name);
/* Are all names of a in b? */
bool vary_within(const struct vary_names *a, const struct vary_names *b);

/* Of the request's headers of that name. */
void vary_value(struct spop_slice hdrs_bin, const char *name, uint8_t out[VARY_VALUE]);
/* Of all names, in their order. */
void vary_values(struct spop_slice hdrs_bin, const struct vary_names *v, uint8_t out[VARY_MAX][VARY_VALUE]);

#endif
