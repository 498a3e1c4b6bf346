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

/* Of 8 bytes, written out: compilers make one instruction of it. */
static inline void le_put_8(uint8_t *out, uint64_t v)
{
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
    out[2] = (uint8_t)(v >> 16);
    out[3] = (uint8_t)(v >> 24);
    out[4] = (uint8_t)(v >> 32);
    out[5] = (uint8_t)(v >> 40);
    out[6] = (uint8_t)(v >> 48);
    out[7] = (uint8_t)(v >> 56);
}

static inline uint64_t le_get(const uint8_t *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)in[i] << (8 * i);
    return v;
}

#endif
