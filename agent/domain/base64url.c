// SPDX-License-Identifier: MIT
/* Three bytes are four letters:   | 8 bits | 8 bits | 8 bits |   ->   | 6 | 6 | 6 | 6 |
 * A rest of one byte is two letters, of two bytes three; the bits behind them are zero. */
#include "domain/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What a letter of ASCII stands for; -1: it is none of the alphabet. */
static const int8_t letter_values[128] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63, -1, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
};

/* Three bytes are four letters; one or two bytes at the end are two or three. */
void base64url_write(const uint8_t *in, size_t n, char *out)
{
    for (; n >= 3; n -= 3, in += 3, out += 4) {
        unsigned bits = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63];
        out[3] = alphabet[bits & 63];
    }
    unsigned bits = n > 0 ? (unsigned)in[0] << 16 | (n > 1 ? (unsigned)in[1] << 8 : 0) : 0;
    for (size_t i = 0; n > 0 && i <= n; i++)
        *out++ = alphabet[bits >> (18 - 6 * i) & 63];
    *out = '\0';
}

/* Up to four letters as 24 bits, from the left; negative: a foreign letter. */
static int32_t letters_read(const char *text, size_t len)
{
    int32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = i < len ? (unsigned char)text[i] : 'A';
        int8_t v = c < sizeof letter_values ? letter_values[c] : -1;
        bits = v < 0 || bits < 0 ? -1 : bits << 6 | v;
    }
    return bits;
}

/* len letters to n bytes; -1: a foreign letter, another length, or bits set behind the last byte. */
int base64url_read(const char *text, size_t len, uint8_t *out, size_t n)
{
    if (len != (n * 8 + 5) / 6)
        return -1;
    for (size_t step; len > 0; text += step, len -= step) {
        int32_t bits = letters_read(text, len);
        size_t bytes = n < 3 ? n : 3;
        step = len < 4 ? len : 4;
        if (bits < 0 || (bits & ((1 << (24 - 8 * bytes)) - 1)) != 0)
            return -1;
        for (size_t i = 0; i < bytes; i++)
            *out++ = (uint8_t)(bits >> (16 - 8 * i));
        n -= bytes;
    }
    return 0;
}
