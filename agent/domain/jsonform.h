// SPDX-License-Identifier: MIT
/* What a JSON text says, whatever its key order and white space: one form for all texts that say the same
 * (RFC 8259). Two texts have one form only if they have the same members, in any order, the same elements, in
 * this order, the same strings, and numbers that are written alike:
 *
 *   {"b": [1, "1"], "a\u0062": null}    {"ab":null,"b":[1,"1"]}    one form
 *   1, 1.0, 1e0, "1", null, missing                                 six
 *
 * A number counts as it is written: no rounding, and no limit of its size, can make two amounts one. */
#ifndef JSONFORM_H
#define JSONFORM_H

#include "domain/buf.h"
#include "domain/config.h"
#include "spop/slice.h"

/* Appends the form of a text, without the members that `ignore` names ("timestamp", "meta.sent_at": a path
 * leads through objects, not through arrays). False: it is no JSON, or cannot be compared as such: a name
 * twice in one object (servers differ in which one counts), the character U+0000, nesting beyond 2048 (jansson's
 * bound), out of memory; then out is as long as before. Takes time in proportion to the text (sorting names:
 * n log n), and memory of at most some 300 times its length, while it works. */
bool json_form(struct spop_slice text, const struct text_list *ignore, struct buf *out);

#endif
