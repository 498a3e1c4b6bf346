// SPDX-License-Identifier: MIT
/* Tokens and replay ids: layout byte by byte, text both ways, every wrong letter and length refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/token.h"

static const struct token sample = {
    .flags = TOKEN_HOLD,
    .id = {{0xab, 0x01}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}},
    .fence = 0x0102030405060708,
    .rid = {    'r', 'r',                                                              'r', 'r', 'R', 'R', 'R', 'R'},
    .fingerprint = { 0xf0, 0xf1,                                                                 0xf2, 0xf3},
    .policy = 0x11223344,
    .ttl = 0x3e,
};

static const uint8_t sample_bytes[TOKEN_BYTES] = {
    0x11, 0xab, 0x01, 0,    1,   2,    3,    4,    5,    6,    7,    8,    9,    10,  11,
    12,   13,   14,   0xff, 8,   7,    6,    5,    4,    3,    2,    1,    'r',  'r', 'r',
    'r',  'R',  'R',  'R',  'R', 0xf0, 0xf1, 0xf2, 0xf3, 0x44, 0x33, 0x22, 0x11, 0x3e};

/* The same by coreutils' base64, `+/` replaced by `-_`, padding cut. */
static const char sample_text[] = "EasBAAECAwQFBgcICQoLDA0O_wgHBgUEAwIBcnJyclJSUlLw8fLzRDMiET4";

static void assert_same(const struct token *a, const struct token *b)
{
    uint8_t bytes[2][TOKEN_BYTES];
    token_pack(a, bytes[0]);
    token_pack(b, bytes[1]);
    assert_memory_equal(bytes[0], bytes[1], TOKEN_BYTES);
}

static void packs_as_documented(void **state)
{
    (void)state;
    uint8_t bytes[TOKEN_BYTES];
    struct token back;
    token_pack(&sample, bytes);
    assert_memory_equal(bytes, sample_bytes, TOKEN_BYTES);
    assert_int_equal(token_unpack(bytes, &back), 0);
    assert_int_equal(back.fence, sample.fence);
    assert_int_equal(back.policy, sample.policy);
    assert_int_equal(back.flags, TOKEN_HOLD);
    assert_int_equal(back.ttl, sample.ttl);
    assert_memory_equal(&back.id, &sample.id, sizeof back.id);
    assert_memory_equal(back.rid, sample.rid, sizeof back.rid);
    assert_memory_equal(back.fingerprint, sample.fingerprint, sizeof back.fingerprint);
}

static void writes_and_reads_text(void **state)
{
    (void)state;
    char text[TOKEN_TEXT + 1];
    struct token back;
    token_write(&sample, text);
    assert_string_equal(text, sample_text);
    assert_int_equal(token_read(text, TOKEN_TEXT, &back), 0);
    assert_same(&back, &sample);
}

static void reads_every_byte_value(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 256; v++) {
        struct token t = sample, back;
        char text[TOKEN_TEXT + 1];
        memset(t.id.digest, (int)v, sizeof t.id.digest);
        t.ttl = (uint8_t)v;
        token_write(&t, text);
        assert_int_equal(strlen(text), TOKEN_TEXT);
        assert_int_equal(token_read(text, TOKEN_TEXT, &back), 0);
        assert_same(&back, &t);
    }
}

static void refuses_other_texts(void **state)
{
    (void)state;
    struct token t;
    char text[TOKEN_TEXT + 2];
    memcpy(text, sample_text, sizeof sample_text);
    text[TOKEN_TEXT] = 'A';
    assert_int_equal(token_read(text, TOKEN_TEXT - 1, &t), -1);
    assert_int_equal(token_read(text, TOKEN_TEXT + 1, &t), -1);
    assert_int_equal(token_read(text, 0, &t), -1);
    for (unsigned i = 0; i < TOKEN_TEXT; i++) {
        static const char wrong[] = "+/= .\n@[`{";
        for (const char *w = wrong; *w; w++) {
            memcpy(text, sample_text, TOKEN_TEXT);
            text[i] = *w;
            assert_int_equal(token_read(text, TOKEN_TEXT, &t), -1);
        }
    }
    memcpy(text, sample_text, TOKEN_TEXT);
    text[TOKEN_TEXT - 1] = '5'; /* a bit set behind the last byte */
    assert_int_equal(token_read(text, TOKEN_TEXT, &t), -1);
}

static void refuses_other_versions(void **state)
{
    (void)state;
    uint8_t bytes[TOKEN_BYTES];
    struct token t;
    for (unsigned version = 0; version < 16; version++) {
        token_pack(&sample, bytes);
        bytes[0] = (uint8_t)(version << 4 | 1);
        assert_int_equal(token_unpack(bytes, &t), version == 1 ? 0 : -1);
    }
}

/* Every length of a lock: never shorter than asked, at most 1/16 longer. */
static void ttl_codes_round_up(void **state)
{
    (void)state;
    for (uint32_t s = 1; s <= 3968; s++) {
        uint32_t coded = token_ttl_seconds(token_ttl_code(s));
        assert_in_range(coded, s, s <= 31 ? s : s + s / 16 + 1);
    }
    assert_int_equal(token_ttl_code(31), 31);
    assert_int_equal(token_ttl_code(32), 1 << 5 | 16);
    assert_int_equal(token_ttl_code(33), 1 << 5 | 17);
    assert_int_equal(token_ttl_seconds(token_ttl_code(3969)), 3968);
    assert_int_equal(token_ttl_seconds(token_ttl_code(0)), 1);
    assert_int_equal(token_ttl_seconds(token_ttl_code(UINT32_MAX)), 3968);
    assert_int_equal(token_ttl_seconds(0), 1);
}

static void replay_ids(void **state)
{
    (void)state;
    char text[REPLAY_TEXT + 2] = {0};
    struct record_id id;
    uint64_t fence = 0;
    replay_id_write(&sample.id, sample.fence, text);
    assert_string_equal(text, "qwEAAQIDBAUGBwgJCgsMDQ7_CAcGBQQDAgE");
    assert_int_equal(replay_id_read(text, REPLAY_TEXT, &id, &fence), 0);
    assert_memory_equal(&id, &sample.id, sizeof id);
    assert_int_equal(fence, sample.fence);
    assert_int_equal(replay_id_read(text, REPLAY_TEXT - 1, &id, &fence), -1);
    text[REPLAY_TEXT] = 'A';
    assert_int_equal(replay_id_read(text, REPLAY_TEXT + 1, &id, &fence), -1);
    text[REPLAY_TEXT - 1] = 'F';
    assert_int_equal(replay_id_read(text, REPLAY_TEXT, &id, &fence), -1);
    text[0] = '/';
    assert_int_equal(replay_id_read(text, REPLAY_TEXT, &id, &fence), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_as_documented),
        cmocka_unit_test(writes_and_reads_text),
        cmocka_unit_test(reads_every_byte_value),
        cmocka_unit_test(refuses_other_texts),
        cmocka_unit_test(refuses_other_versions),
        cmocka_unit_test(ttl_codes_round_up),
        cmocka_unit_test(replay_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
