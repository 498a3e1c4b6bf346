// SPDX-License-Identifier: MIT
/* Little-endian numbers of 1 to 8 bytes, as tokens, records, digests and script arguments have them
 * (docs/wire.md).
 *
 *   0x0102 in 4 bytes:  | 02 | 01 | 00 | 00 |
 */
#ifndef LE_H
#define LE_H

#include <stdint.h>

static inline void le_put(uint8_t *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t le_get(const uint8_t *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)in[i] << (8 * i);
    return v;
}

#endif
