// SPDX-License-Identifier: MIT
/* Sealed bytes: they open where they were sealed, with their key, whole; nowhere else and nothing less. Every
 * input lies in memory of exactly its size, so that AddressSanitizer sees one byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/record.h"
#include "domain/seal.h"

#define HEX_KEY    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const uint8_t nonce[SEAL_NONCE_BYTES] = "a nonce of 24 bytes ....";
static const char plain[] = "\x93\xcc\xc9 what was answered";
static const struct record_id ours = {
    {0xab, 0xcd},
    "digest, 16 bytes"
};
static const struct seal_place here = {SEAL_ANSWER, &ours, 0x0102030405060708};
static struct seal_key keys[2];
static struct buf sealed, opened;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(seal_key_read(HEX_KEY, &keys[0]), 0);
    assert_int_equal(
        seal_key_read("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", &keys[1]), 0);
    buf_reset(&sealed);
    buf_str(&sealed, "head");
    buf_put(&sealed, plain, sizeof plain - 1);
    seal_close(&sealed, 4, &keys[0], &here, nonce);
    assert_false(sealed.failed);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&sealed);
    buf_free(&opened);
    return 0;
}

static enum seal_result try_open(const void *bytes, size_t len, unsigned n, const struct seal_place *at)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    enum seal_result result = seal_open((struct spop_slice){copy, len}, keys, n, at, &opened);
    free(copy);
    if (result != SEAL_OPENED)
        assert_int_equal(opened.len, 0);
    return result;
}

static const uint8_t *payload(void)
{
    return sealed.data + 4;
}

static size_t payload_len(void)
{
    return sealed.len - 4;
}

static void opens_what_was_sealed(void **state)
{
    (void)state;
    assert_memory_equal(sealed.data, "head", 4);
    assert_int_equal(payload_len(), sizeof plain - 1 + SEAL_OVERHEAD);
    assert_null(memmem(sealed.data, sealed.len, "answered", 8));
    assert_int_equal(try_open(payload(), payload_len(), 2, &here), SEAL_OPENED);
    assert_int_equal(opened.len, sizeof plain - 1);
    assert_memory_equal(opened.data, plain, sizeof plain - 1);
}

/* docs/wire.md, Sealed: the layout, and what is bound, byte for byte. */
static void is_laid_out_as_documented(void **state)
{
    static const char bound[] = "A\x01\x01"
                                "kkkk"
                                "\xab\xcd"
                                "digest, 16 bytes"
                                "\x08\x07\x06\x05\x04\x03\x02\x01";
    uint8_t ad[sizeof bound - 1], want[sizeof plain - 1 + SEAL_TAG_BYTES];
    unsigned long long len;
    (void)state;
    memcpy(ad, bound, sizeof ad);
    memcpy(ad + 3, keys[0].id, SEAL_ID_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(want, &len, (const uint8_t *)plain, sizeof plain - 1, ad,
                                               sizeof ad, NULL, nonce, keys[0].bytes);
    assert_int_equal(len, sizeof want);
    assert_int_equal(payload()[0], 0);
    assert_int_equal(payload()[1], SEAL_VERSION);
    assert_memory_equal(payload() + 2, keys[0].id, SEAL_ID_BYTES);
    assert_memory_equal(payload() + 6, nonce, SEAL_NONCE_BYTES);
    assert_memory_equal(payload() + 30, want, sizeof want);
    assert_int_equal(payload_len(), 30 + sizeof want);
}

/* Each length, from nothing to a megabyte, seen as whole. */
static void every_length(void **state)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 209, 210, 211, 4096, 65536, 1 << 20};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf b = {0};
        char *text = malloc(lengths[i] + 1);
        memset(text, 'x', lengths[i]);
        buf_put(&b, text, lengths[i]);
        seal_close(&b, 0, &keys[1], &here, nonce);
        assert_int_equal(b.len, lengths[i] + SEAL_OVERHEAD);
        assert_int_equal(try_open(b.data, b.len, 2, &here), SEAL_OPENED);
        assert_int_equal(opened.len, lengths[i]);
        if (lengths[i] > 0)
            assert_memory_equal(opened.data, text, lengths[i]);
        free(text);
        buf_free(&b);
    }
}

static void every_changed_byte_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[sizeof plain - 1 + SEAL_OVERHEAD];
    assert_int_equal(payload_len(), sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(bytes, payload(), sizeof bytes);
            bytes[i] ^= (uint8_t)(1u << bit);
            enum seal_result want = SEAL_BROKEN;
            if (i == 0)
                want = SEAL_PLAIN; /* and then it is no stored response: msgpack does not begin so */
            else if (i == 1)
                want = SEAL_UNKNOWN;
            else if (i < 6)
                want = SEAL_NO_KEY;
            assert_int_equal(try_open(bytes, sizeof bytes, 2, &here), want);
        }
    }
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    assert_int_equal(try_open("", 0, 2, &here), SEAL_PLAIN);
    for (size_t len = 1; len < payload_len(); len++)
        assert_int_equal(try_open(payload(), len, 2, &here), SEAL_BROKEN);
    buf_u8(&sealed, 0);
    assert_int_equal(try_open(payload(), payload_len(), 2, &here), SEAL_BROKEN);
}

static void opens_at_its_own_place_only(void **state)
{
    (void)state;
    struct record_id tag = ours, digest = ours;
    tag.tag[1] ^= 1;
    digest.digest[15] ^= 1;
    const struct seal_place others[] = {
        {SEAL_LOCATION, &ours,   here.fence             },
        {SEAL_ANSWER,   &tag,    here.fence             },
        {SEAL_ANSWER,   &digest, here.fence             },
        {SEAL_ANSWER,   &ours,   here.fence + 1         },
        {SEAL_ANSWER,   &ours,   here.fence ^ 1ULL << 63},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(try_open(payload(), payload_len(), 2, &others[i]), SEAL_BROKEN);
}

/* Its own key is found wherever it stands; without it nobody guesses. Another key under the same id fails. */
static void opens_with_its_own_key_only(void **state)
{
    (void)state;
    assert_int_equal(try_open(payload(), payload_len(), 0, &here), SEAL_NO_KEY);
    struct seal_key first = keys[0];
    keys[0] = keys[1];
    assert_int_equal(try_open(payload(), payload_len(), 2, &here), SEAL_NO_KEY);
    keys[1] = first;
    assert_int_equal(try_open(payload(), payload_len(), 2, &here), SEAL_OPENED);
    assert_int_equal(try_open(payload(), payload_len(), 1, &here), SEAL_NO_KEY);
    keys[1].bytes[0] ^= 1;
    assert_int_equal(try_open(payload(), payload_len(), 2, &here), SEAL_BROKEN);
}

static void names_its_key(void **state)
{
    char text[SEAL_ID_TEXT + 1];
    (void)state;
    struct spop_slice s = {(const char *)payload(), payload_len()};
    assert_ptr_equal(seal_id_of(s), payload() + 2);
    seal_id_text(keys[0].id, text);
    assert_int_equal(strlen(text), 8);
    assert_memory_not_equal(keys[0].id, keys[0].bytes, SEAL_ID_BYTES);
    s.len = SEAL_OVERHEAD - 1;
    assert_null(seal_id_of(s));
}

/* What is stored without keys is never taken for sealed. */
static void plain_answers_are_plain(void **state)
{
    const struct response r = {
        200, {"\0\0", 2},
         {"body", 4}
    };
    struct record head;
    struct buf b = {0};
    (void)state;
    assert_int_equal(record_pack_done(&b, &r, NULL, 0), 0);
    assert_int_equal(record_open(b.data, b.len, &head), 0);
    assert_false(seal_is(head.payload));
    assert_int_equal(try_open(head.payload.ptr, head.payload.len, 2, &here), SEAL_PLAIN);
    buf_free(&b);
}

static void keys_are_base64_or_hex(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
        " " BASE64_KEY,
        BASE64_KEY " ",
    };
    struct seal_key k;
    (void)state;
    assert_int_equal(seal_key_read(BASE64_KEY, &k), 0);
    assert_memory_equal(&k, &keys[0], sizeof k);
    assert_int_equal(seal_key_read("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", &k),
                     0);
    assert_memory_equal(&k, &keys[0], sizeof k);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(seal_key_read(bad[i], &k), -1);
        assert_true(sodium_is_zero((const uint8_t *)&k, sizeof k));
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(opens_what_was_sealed),
        T(is_laid_out_as_documented),
        T(every_length),
        T(every_changed_byte_is_seen),
        T(every_cut_is_seen),
        T(opens_at_its_own_place_only),
        T(opens_with_its_own_key_only),
        T(names_its_key),
        T(plain_answers_are_plain),
        T(keys_are_base64_or_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
