// SPDX-License-Identifier: MIT
/* Each field goes in behind its length in 8 bytes, little-endian; the first field is the name of the use:
 *
 *   | 8: length | domain | 8: length | field | 8: length | field | ..  ──BLAKE2b──► size bytes
 *
 * A short digest is the beginning of one of 64 bytes: libsodium makes none under 16. */
#include "domain/digest.h"

#include <string.h>

#include "domain/le.h"
#include "domain/text.h"

void digest_begin(struct digest *d, size_t size, const char *domain)
{
    d->size = size;
    crypto_generichash_init(&d->state, NULL, 0, size);
    digest_field(d, domain, strlen(domain));
}

void digest_field(struct digest *d, const void *bytes, size_t len)
{
    uint8_t prefix[8];
    le_put(prefix, len, sizeof prefix);
    crypto_generichash_update(&d->state, prefix, sizeof prefix);
    if (len > 0)
        crypto_generichash_update(&d->state, bytes, len);
}

void digest_field_lower(struct digest *d, const char *text, size_t len)
{
    uint8_t prefix[8];
    char lower[64];
    le_put(prefix, len, sizeof prefix);
    crypto_generichash_update(&d->state, prefix, sizeof prefix);
    for (size_t n; len > 0; text += n, len -= n) {
        n = len < sizeof lower ? len : sizeof lower;
        for (size_t i = 0; i < n; i++)
            lower[i] = text_lower(text[i]);
        crypto_generichash_update(&d->state, (const uint8_t *)lower, n);
    }
}

void digest_end(struct digest *d, uint8_t *out)
{
    crypto_generichash_final(&d->state, out, d->size);
}

void digest_short(const char *domain, const void *bytes, size_t len, uint8_t *out, size_t want)
{
    struct digest d;
    uint8_t full[64];
    digest_begin(&d, sizeof full, domain);
    digest_field(&d, bytes, len);
    digest_end(&d, full);
    memcpy(out, full, want);
}
