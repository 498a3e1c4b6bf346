// SPDX-License-Identifier: MIT
/* Digests of fields: BLAKE2b (libsodium's crypto_generichash) over length-prefixed fields, so that no text of
 * one field can be taken for another's, and no tenant can craft a key that lands on another's record. */
#ifndef DIGEST_H
#define DIGEST_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_ASIDE = 256 }; /* bytes of a usual digest's fields: they are hashed in one piece */

struct digest {
    size_t size, len;
    bool spilled; /* there are more: what came before is in the state */
    uint8_t aside[DIGEST_ASIDE];
    crypto_generichash_state state;
};

/* size: 16 to 64 bytes come out. domain names the use ("record", "fingerprint", ..) and is part of the
 * digest. */
void digest_begin(struct digest *d, size_t size, const char *domain);
void digest_field(struct digest *d, const void *bytes, size_t len);
/* Bytes without a length before them: what comes last may come in pieces, and nothing may follow it. */
void digest_more(struct digest *d, const void *bytes, size_t len);
/* ASCII letters count as lower case: host names (RFC 9110, section 4.2.3). */
void digest_field_lower(struct digest *d, const char *text, size_t len);
void digest_end(struct digest *d, uint8_t *out);

/* One field, done at once; out gets the first `want` bytes (want <= 64). */
void digest_short(const char *domain, const void *bytes, size_t len, uint8_t *out, size_t want);

#endif
