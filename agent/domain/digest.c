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

static void spill(struct digest *d)
{
    if (!d->spilled)
        crypto_generichash_init(&d->state, NULL, 0, d->size);
    crypto_generichash_update(&d->state, d->aside, d->len);
    d->spilled = true;
    d->len = 0;
}

static void put(struct digest *d, const void *bytes, size_t len)
{
    if (len > sizeof d->aside - d->len)
        spill(d);
    if (len > sizeof d->aside) {
        crypto_generichash_update(&d->state, bytes, len);
    } else if (len > 0) {
        memcpy(d->aside + d->len, bytes, len);
        d->len += len;
    }
}

static void put_len(struct digest *d, size_t len)
{
    uint8_t prefix[8];
    le_put_8(prefix, len);
    put(d, prefix, sizeof prefix);
}

void digest_begin(struct digest *d, size_t size, const char *domain)
{
    d->size = size;
    d->len = 0;
    d->spilled = false;
    digest_field(d, domain, strlen(domain));
}

void digest_more(struct digest *d, const void *bytes, size_t len)
{
    put(d, bytes, len);
}

void digest_field(struct digest *d, const void *bytes, size_t len)
{
    put_len(d, len);
    put(d, bytes, len);
}

void digest_field_lower(struct digest *d, const char *text, size_t len)
{
    char lower[64];
    put_len(d, len);
    for (size_t n; len > 0; text += n, len -= n) {
        n = len < sizeof lower ? len : sizeof lower;
        for (size_t i = 0; i < n; i++)
            lower[i] = text_lower(text[i]);
        put(d, lower, n);
    }
}

void digest_end(struct digest *d, uint8_t *out)
{
    if (!d->spilled) {
        crypto_generichash(out, d->size, d->aside, d->len, NULL, 0);
        return;
    }
    spill(d);
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
