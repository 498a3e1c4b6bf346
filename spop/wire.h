// SPDX-License-Identifier: MIT
/* Numbers of the encoding that the reader (cursor.c) and the writer (writer.c) share; not for users.
 *
 *   varint   x < 240: one byte. Else the first byte is 240..255 and each further byte counts whole, its
 *            continuation bit too: x = b0 + (b1 << 4) + (b2 << 11) + .., up to a byte under 128.
 *   typed    | flags:4 | type:4 | data ...     flags stand in the upper half; BOOL keeps its value there
 *
 * Format: HAProxy doc/SPOE.txt, section 3.1. */
#ifndef SPOP_WIRE_H
#define SPOP_WIRE_H

enum {
    SPOP_VARINT_ONE_BYTE = 240,  /* values under this are one byte */
    SPOP_VARINT_MORE = 128,      /* bytes from this on are followed by another one */
    SPOP_VARINT_FIRST_SHIFT = 4, /* the first byte has 4 bits of the value, the others 7 */
    SPOP_VARINT_SHIFT = 7,
    SPOP_VARINT_MAX = 10, /* bytes of 2^64 - 1 */
    SPOP_TYPE_MASK = 0x0f,
    SPOP_BOOL_TRUE = 0x10,
};

#endif
