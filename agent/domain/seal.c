// SPDX-License-Identifier: MIT
/* Associated data, 33 bytes, integers little-endian; it is not stored, who opens makes it anew:
 *
 *    use  record version  seal version  key id  TAG  digest  fence
 *    1    1               1             4       2    16      8
 *
 * No status: a stored response has its own inside, and the one in the record's head is HAProxy's last word,
 * which a site's `http-response set-status` makes another one. */
#include "domain/seal.h"

#include <string.h>

#include "domain/digest.h"
#include "domain/le.h"
#include "domain/record.h"
#include "domain/text.h"

enum { AT_VERSION = 1, AT_ID = 2, AT_NONCE = AT_ID + SEAL_ID_BYTES, BOUND = 33, HEX_TEXT = 64 };

static void bind(const struct seal_place *at, const uint8_t id[SEAL_ID_BYTES], uint8_t out[BOUND])
{
    const uint8_t head[] = {(uint8_t)at->use, RECORD_VERSION, SEAL_VERSION};
    memcpy(out, head, sizeof head);
    memcpy(out + 3, id, SEAL_ID_BYTES);
    memcpy(out + 7, at->record->tag, sizeof at->record->tag);
    memcpy(out + 9, at->record->digest, sizeof at->record->digest);
    le_put(out + 25, at->fence, 8);
}

int seal_key_read(const char *text, struct seal_key *k)
{
    size_t len = strlen(text), got = 0;
    const char *end = text;
    int rc = len == HEX_TEXT ? sodium_hex2bin(k->bytes, sizeof k->bytes, text, len, NULL, &got, &end)
                             : sodium_base642bin(k->bytes, sizeof k->bytes, text, len, NULL, &got, &end,
                                                 sodium_base64_VARIANT_ORIGINAL);
    if (rc != 0 || got != sizeof k->bytes || end != text + len) {
        sodium_memzero(k, sizeof *k);
        return -1;
    }
    digest_short("seal-key", k->bytes, sizeof k->bytes, k->id, sizeof k->id);
    return 0;
}

void seal_id_text(const uint8_t id[SEAL_ID_BYTES], char out[SEAL_ID_TEXT + 1])
{
    struct text t;
    text_init(&t, out, SEAL_ID_TEXT + 1);
    text_hex(&t, id, SEAL_ID_BYTES);
}

void seal_close(struct buf *b, size_t from, const struct seal_key *k, const struct seal_place *at,
                const uint8_t nonce[SEAL_NONCE_BYTES])
{
    uint8_t bound[BOUND];
    if (!buf_reserve(b, SEAL_OVERHEAD))
        return;
    uint8_t *head = b->data + from, *text = head + SEAL_HEAD;
    size_t len = b->len - from;
    memmove(text, head, len);
    head[0] = 0;
    head[AT_VERSION] = SEAL_VERSION;
    memcpy(head + AT_ID, k->id, sizeof k->id);
    memcpy(head + AT_NONCE, nonce, SEAL_NONCE_BYTES);
    bind(at, k->id, bound);
    crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, len, bound, sizeof bound, NULL, nonce,
                                               k->bytes);
    b->len += SEAL_OVERHEAD;
}

bool seal_is(struct spop_slice bytes)
{
    return bytes.len > 0 && bytes.ptr[0] == '\0';
}

const uint8_t *seal_id_of(struct spop_slice bytes)
{
    bool known = seal_is(bytes) && bytes.len >= SEAL_OVERHEAD && bytes.ptr[AT_VERSION] == SEAL_VERSION;
    return known ? (const uint8_t *)bytes.ptr + AT_ID : NULL;
}

static const struct seal_key *key_of(const uint8_t *id, const struct seal_key *keys, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (memcmp(keys[i].id, id, SEAL_ID_BYTES) == 0)
            return &keys[i];
    return NULL;
}

enum seal_result seal_open(struct spop_slice bytes, const struct seal_key *keys, unsigned n,
                           const struct seal_place *at, struct buf *out)
{
    uint8_t bound[BOUND];
    const uint8_t *head = (const uint8_t *)bytes.ptr, *id = seal_id_of(bytes);
    buf_reset(out);
    if (!seal_is(bytes))
        return SEAL_PLAIN;
    if (bytes.len > AT_VERSION && head[AT_VERSION] != SEAL_VERSION)
        return SEAL_UNKNOWN;
    if (!id)
        return SEAL_BROKEN;
    const struct seal_key *k = key_of(id, keys, n);
    if (!k)
        return SEAL_NO_KEY;
    if (!buf_reserve(out, bytes.len - SEAL_OVERHEAD))
        return SEAL_NO_ROOM;
    bind(at, id, bound);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out->data, NULL, NULL, head + SEAL_HEAD,
                                                   bytes.len - SEAL_HEAD, bound, sizeof bound,
                                                   head + AT_NONCE, k->bytes) != 0)
        return SEAL_BROKEN;
    out->len = bytes.len - SEAL_OVERHEAD;
    return SEAL_OPENED;
}
