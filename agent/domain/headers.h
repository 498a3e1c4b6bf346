// SPDX-License-Identifier: MIT
/* Header fields as HAProxy sends them (req.hdrs_bin, res.hdrs_bin), and the lists in their values. Pure: slices of what was given.
 *
 *   | varint len | name | varint len | value | .. | 00 00 |
 *
 * Names are compared without regard to ASCII case; `name` is always given in lower case. */
#ifndef HEADERS_H
#define HEADERS_H

#include "spop/cursor.h"

/* OWS of RFC 9110, section 5.6.3, for slice_trim(). */
#define HEADERS_BLANKS " \t"

static inline struct spop_cursor headers_walk(struct spop_slice hdrs_bin)
{
    const uint8_t *at = (const uint8_t *)hdrs_bin.ptr;
    return (struct spop_cursor){at, hdrs_bin.len ? at + hdrs_bin.len : at};
}

/* Next header: 1 found, 0 the two empty strings at the end, -1 malformed. */
int headers_next(struct spop_cursor *c, struct spop_slice *name, struct spop_slice *value);
/* Next header of that name, its value trimmed; false: no more, or malformed. */
bool headers_each(struct spop_cursor *c, const char *name, struct spop_slice *value);
/* Do they end as they must? */
bool headers_whole(struct spop_slice hdrs_bin);
/* Value of the first header of that name, as it came; ptr NULL if there is none. */
struct spop_slice headers_find(struct spop_slice hdrs_bin, const char *name);

/* text (any case) is `lower`? */
bool headers_same(struct spop_slice text, const char *lower);

/* Next element of a comma-separated list (RFC 9110, section 5.6.1), trimmed; empty ones are passed over. A comma in a quoted string
 * parts nothing; a quote that is never closed is a character like others, so that it hides nothing of what stands behind it.
 * *rest begins as the value; false: no more. */
bool headers_list(struct spop_slice *rest, struct spop_slice *element);

/* Decimal digits and nothing else (RFC 9111, section 1.2.2): false if there is none, or another character. More than
 * HEADERS_DELTA_MAX is HEADERS_DELTA_MAX. Seconds. */
enum { HEADERS_DELTA_BITS = 31 };
#define HEADERS_DELTA_MAX (UINT32_C(1) << HEADERS_DELTA_BITS)
bool headers_delta(struct spop_slice text, uint32_t *seconds);

#endif
