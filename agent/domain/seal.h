// SPDX-License-Identifier: MIT
/* Sealed bytes: what of an answer is kept in Redis, so that only who has a key can read it or change it
 * unseen (docs/wire.md, Sealed). XChaCha20-Poly1305, RFC 8439 with the nonce of draft-irtf-cfrg-xchacha-03,
 * as libsodium's crypto_aead_xchacha20poly1305_ietf has it. Pure: randomness comes from the caller.
 *
 *    0    1        2       6      30                n - 16   n
 *    NUL  version  key id  nonce  ciphertext        tag
 *    1    1        4       24     as long as it was 16
 *
 * Neither a stored response (msgpack, an array) nor a header's value begins with NUL: what does is sealed. */
#ifndef SEAL_H
#define SEAL_H

#include <sodium.h>

#include "domain/buf.h"
#include "domain/token.h"
#include "spop/cursor.h"

enum {
    SEAL_VERSION = 1,
    SEAL_KEY_BYTES = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    SEAL_NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    SEAL_TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    SEAL_ID_BYTES = 4,
    SEAL_ID_TEXT = 2 * SEAL_ID_BYTES,
    SEAL_HEAD = 2 + SEAL_ID_BYTES + SEAL_NONCE_BYTES,
    SEAL_OVERHEAD = SEAL_HEAD + SEAL_TAG_BYTES,
};

struct seal_key {
    uint8_t id[SEAL_ID_BYTES]; /* names it in sealed bytes and in logs; says nothing of it */
    uint8_t bytes[SEAL_KEY_BYTES];
};

/* What the bytes are, and of which execution: sealed at one place they open at no other one. */
struct seal_place {
    enum seal_use { SEAL_ANSWER = 'A', SEAL_LOCATION = 'L' } use;
    const struct record_id *record;
    uint64_t fence;
};

enum seal_result {
    SEAL_OPENED,
    SEAL_PLAIN,   /* not sealed */
    SEAL_UNKNOWN, /* sealed in a version that we do not know */
    SEAL_NO_KEY,  /* by a key that is not there */
    SEAL_BROKEN,  /* changed, cut, or of another place */
    SEAL_NO_ROOM, /* out of memory */
};

/* A key's text, 64 hex digits or base64 of 32 bytes, into k. 0, or -1 if it is none. */
int seal_key_read(const char *text, struct seal_key *k);
void seal_id_text(const uint8_t id[SEAL_ID_BYTES], char out[SEAL_ID_TEXT + 1]);

/* Seals what stands in b behind `from`, where it stands. No nonce may be used twice with a key. b->failed:
 * there was no room, and b must not be used. */
void seal_close(struct buf *b, size_t from, const struct seal_key *k, const struct seal_place *at,
                const uint8_t nonce[SEAL_NONCE_BYTES]);

bool seal_is(struct spop_slice bytes);
/* Id of the key that sealed bytes name; NULL: they are too short to name one, or of another version. */
const uint8_t *seal_id_of(struct spop_slice bytes);
/* Opens with whichever of n keys it names, into out (what was there is forgotten; nothing is left there unless
 * OPENED). */
enum seal_result seal_open(struct spop_slice bytes, const struct seal_key *keys, unsigned n,
                           const struct seal_place *at, struct buf *out);

#endif
