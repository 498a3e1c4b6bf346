// SPDX-License-Identifier: MIT
/* Layout as in token.h; text as in base64url.h: one text for each value, so that a token can be compared as text. */
#include "domain/token.h"

#include <string.h>

#include "domain/base64url.h"
#include "domain/le.h"
#include "version.h"

enum { REPLAY_BYTES = 26, MANTISSA_BITS = 5, MANTISSA_MAX = 31, EXPONENT_MAX = 7 };

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
    base64url_write(bytes, sizeof bytes, out);
}

int token_read(const char *text, size_t len, struct token *t)
{
    uint8_t bytes[TOKEN_BYTES];
    if (len != TOKEN_TEXT || base64url_read(text, len, bytes, sizeof bytes) < 0)
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
    base64url_write(bytes, sizeof bytes, out);
}

int replay_id_read(const char *text, size_t len, struct record_id *id, uint64_t *fence)
{
    uint8_t bytes[REPLAY_BYTES];
    if (len != REPLAY_TEXT || base64url_read(text, len, bytes, sizeof bytes) < 0)
        return -1;
    memcpy(id->tag, bytes, 2);
    memcpy(id->digest, bytes + 2, 16);
    *fence = le_get(bytes + 18, 8);
    return 0;
}
