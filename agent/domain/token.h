// SPDX-License-Identifier: MIT
/* The token of an execution: all that a word about it needs, so that any agent can say it (docs/wire.md,
 * Token).
 *
 *    0        1    3               19      27     35   39      43   44
 *    ver|flags TAG  record digest   fence   rid    fp   policy  ttl
 */
#ifndef TOKEN_H
#define TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKEN_BYTES = 44, TOKEN_TEXT = 59, REPLAY_TEXT = 35, TOKEN_HOLD = 1, TOKEN_BARE = 2 };

/* Names a record: TAG (slot) and digest. */
struct record_id {
    uint8_t tag[2];
    uint8_t digest[16];
};

struct token {
    uint8_t flags; /* TOKEN_HOLD; TOKEN_BARE: no key, its record only holds slots */
    struct record_id id;
    uint64_t fence;
    uint8_t rid[8];
    uint8_t fingerprint[4];
    uint32_t policy; /* policy_hash() of the policy's name */
    uint8_t ttl;     /* lock TTL, coded */
};

void token_pack(const struct token *t, uint8_t out[TOKEN_BYTES]);
/* 0, or -1 if the version is unknown. */
int token_unpack(const uint8_t in[TOKEN_BYTES], struct token *t);
/* Writes TOKEN_TEXT characters and a NUL. */
void token_write(const struct token *t, char out[TOKEN_TEXT + 1]);
/* 0, or -1: not a token, or of a version that we do not know. */
int token_read(const char *text, size_t len, struct token *t);

/* Lock TTL in whole seconds (1..3968) to its code, rounded up to what a code can say; and back. */
uint8_t token_ttl_code(uint32_t seconds);
uint32_t token_ttl_seconds(uint8_t code);

/* The replay id: which stored answer is meant. Writes REPLAY_TEXT characters and a NUL. */
void replay_id_write(const struct record_id *id, uint64_t fence, char out[REPLAY_TEXT + 1]);
int replay_id_read(const char *text, size_t len, struct record_id *id, uint64_t *fence);

#endif
