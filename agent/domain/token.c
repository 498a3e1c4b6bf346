// SPDX-License-Identifier: MIT
/* Layout as in token.h; text is base64url without padding (RFC 4648, section 5). Reading is strict: one text
 * for each value, so that a token can be compared as text. */
#include "domain/token.h"

#include <string.h>

#include "domain/le.h"
#include "version.h"

enum { REPLAY_BYTES = 26, MANTISSA_BITS = 5, MANTISSA_MAX = 31, EXPONENT_MAX = 7 };

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
static void text_write(const uint8_t *in, size_t n, char *out)
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
static int text_read(const char *text, size_t len, uint8_t *out, size_t n)
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

void token_pack(const struct token *t, uint8_t out[TOKEN_BYTES])
{
    out[0] = (uint8_t)(PROTOCOL_VERSION << 4 | (t->flags & 15));
    memcpy(out + 1, t->id.tag, 2);
    memcpy(out + 3, t->id.digest, 16);
    le_put(out + 19, t->fence, 8);
    memcpy(out + 27, t->rid, 8);
    memcpy(out + 35, t->fingerprint, 4);
    le_put(out + 39, t->policy, 4);
    out[43] = t->ttl;
}

int token_unpack(const uint8_t in[TOKEN_BYTES], struct token *t)
{
    if (in[0] >> 4 != PROTOCOL_VERSION)
        return -1;
    t->flags = in[0] & 15;
    memcpy(t->id.tag, in + 1, 2);
    memcpy(t->id.digest, in + 3, 16);
    t->fence = le_get(in + 19, 8);
    memcpy(t->rid, in + 27, 8);
    memcpy(t->fingerprint, in + 35, 4);
    t->policy = (uint32_t)le_get(in + 39, 4);
    t->ttl = in[43];
    return 0;
}

void token_write(const struct token *t, char out[TOKEN_TEXT + 1])
{
    uint8_t bytes[TOKEN_BYTES];
    token_pack(t, bytes);
    text_write(bytes, sizeof bytes, out);
}

int token_read(const char *text, size_t len, struct token *t)
{
    uint8_t bytes[TOKEN_BYTES];
    if (len != TOKEN_TEXT || text_read(text, len, bytes, sizeof bytes) < 0)
        return -1;
    return token_unpack(bytes, t);
}

uint8_t token_ttl_code(uint32_t seconds)
{
    if (seconds == 0)
        seconds = 1;
    for (unsigned exponent = 0; exponent <= EXPONENT_MAX; exponent++) {
        uint64_t mantissa = ((uint64_t)seconds + (1U << exponent) - 1) >> exponent;
        if (mantissa <= MANTISSA_MAX)
            return (uint8_t)(exponent << MANTISSA_BITS | mantissa);
    }
    return EXPONENT_MAX << MANTISSA_BITS | MANTISSA_MAX;
}

uint32_t token_ttl_seconds(uint8_t code)
{
    uint32_t seconds = (uint32_t)(code & MANTISSA_MAX) << (code >> MANTISSA_BITS);
    return seconds ? seconds : 1;
}

void replay_id_write(const struct record_id *id, uint64_t fence, char out[REPLAY_TEXT + 1])
{
    uint8_t bytes[REPLAY_BYTES];
    memcpy(bytes, id->tag, 2);
    memcpy(bytes + 2, id->digest, 16);
    le_put(bytes + 18, fence, 8);
    text_write(bytes, sizeof bytes, out);
}

int replay_id_read(const char *text, size_t len, struct record_id *id, uint64_t *fence)
{
    uint8_t bytes[REPLAY_BYTES];
    if (len != REPLAY_TEXT || text_read(text, len, bytes, sizeof bytes) < 0)
        return -1;
    memcpy(id->tag, bytes, 2);
    memcpy(id->digest, bytes + 2, 16);
    *fence = le_get(bytes + 18, 8);
    return 0;
}
