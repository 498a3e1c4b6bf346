// SPDX-License-Identifier: MIT
/* The query of a URI as part of a cache key: two queries have one digest only if every server reads them alike.
 *
 *   sorted   b=2&a=1          a=1&b=2             one key
 *            a=1&a=2          a=2&a=1             two: servers differ in which one counts
 *            x[]=1&X=2        X=2&x[]=1           two: some take these for one name
 *   only     page=2&utm=x     utm=y&page=2        one key, with names = [ "page" ]
 *
 * Names count without regard to case, escapes (%61), `-` or `_`, and what stands in brackets; parameters that are then equal keep their
 * order. All others are sorted. A query with `;`, with a name that has a bad or double escape, or other characters than letters, digits
 * and `_ - $`, or with more than CACHEQUERY_MAX parameters, counts as it came, whole, whatever the rule but `ignore`. */
#ifndef CACHEQUERY_H
#define CACHEQUERY_H

#include "domain/config.h"
#include "domain/digest.h"
#include "spop/slice.h"

enum { CACHEQUERY_MAX = 128 };

enum cachequery_rule {
    CACHEQUERY_SORTED,
    CACHEQUERY_IGNORE, /* it does not count */
    CACHEQUERY_ONLY    /* only parameters of these names count, sorted */
};

/* Puts the query into a digest, as its last fields. ptr NULL: the URI has none. names: of CACHEQUERY_ONLY. */
void cachequery_digest(struct digest *d, struct spop_slice query, enum cachequery_rule rule,
                       const struct text_list *names);

/* Can it be one of names? */
bool cachequery_is_name(struct spop_slice name);

#endif
