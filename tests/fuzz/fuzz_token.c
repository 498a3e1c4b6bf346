// SPDX-License-Identifier: MIT
/* Tokens and replay ids as text: what is read is written as the same text, so a token can be compared as
 * text. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/token.h"

static void check_token(const char *text, size_t len)
{
    struct token t;
    char again[TOKEN_TEXT + 1];
    if (token_read(text, len, &t) < 0)
        return;
    assert(len == TOKEN_TEXT);
    token_write(&t, again);
    assert(memcmp(text, again, TOKEN_TEXT) == 0 && again[TOKEN_TEXT] == '\0');
}

static void check_replay_id(const char *text, size_t len)
{
    struct record_id id;
    uint64_t fence;
    char again[REPLAY_TEXT + 1];
    if (replay_id_read(text, len, &id, &fence) < 0)
        return;
    assert(len == REPLAY_TEXT);
    replay_id_write(&id, fence, again);
    assert(memcmp(text, again, REPLAY_TEXT) == 0 && again[REPLAY_TEXT] == '\0');
}

static void check_bytes(const uint8_t *bytes, size_t len)
{
    struct token t, u;
    uint8_t again[TOKEN_BYTES];
    if (len < TOKEN_BYTES || token_unpack(bytes, &t) < 0)
        return;
    token_pack(&t, again);
    assert(token_unpack(again, &u) == 0);
    assert(u.fence == t.fence && u.policy == t.policy && u.ttl == t.ttl && u.flags == t.flags);
    assert(memcmp(again, bytes, TOKEN_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_token((const char *)data, size);
    check_replay_id((const char *)data, size);
    check_bytes(data, size);
    return 0;
}
