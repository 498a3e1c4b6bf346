// SPDX-License-Identifier: MIT
/* Each piece is made aside and put once; the contract is in resp_put.h.
 *
 *   | $46 \r\n | once:{ | TAG | }:r: | DIGEST | \r\n |      one copy into the buffer */
#include "domain/resp_put.h"

#include <string.h>

#include "domain/text.h"

static char *dec_write(uint64_t v, char *end)
{
    do
        *--end = (char)('0' + v % 10);
    while (v /= 10);
    return end;
}

/* `$len` of an argument whose bytes follow. */
void resp_put_len(struct buf *out, size_t len)
{
    char memory[24], *end = memory + sizeof memory - 2, *at = dec_write(len, end);
    memcpy(end, "\r\n", 2);
    *--at = '$';
    buf_put(out, at, (size_t)(memory + sizeof memory - at));
}

void resp_put_arg(struct buf *out, const void *bytes, size_t len)
{
    resp_put_len(out, len);
    buf_put(out, bytes, len);
    buf_str(out, "\r\n");
}

size_t resp_digits(uint64_t v)
{
    size_t digits = 1;
    for (; v >= 10; v /= 10)
        digits++;
    return digits;
}

/* A time in ms inside of a packed argument: Redis' commands want digits, and printing them costs a script more than a command. */
void resp_put_digits(struct buf *out, uint64_t ms)
{
    buf_u8(out, (uint8_t)resp_digits(ms));
    buf_dec(out, ms);
}

void resp_put_number(struct buf *out, uint64_t v)
{
    resp_put_len(out, resp_digits(v));
    buf_dec(out, v);
    buf_str(out, "\r\n");
}

/* once:{TAG}:k:DIGEST, behind a head and before a tail of the template; returns what is behind the digest. */
static char *key_write(const struct record_id *id, const char *head, char kind, char *out)
{
    size_t len = strlen(head);
    memcpy(out, head, len);
    out += len;
    hex_write(id->tag, sizeof id->tag, out);
    out += 2 * sizeof id->tag;
    memcpy(out, (char[]){'}', ':', kind, ':'}, 4);
    hex_write(id->digest, sizeof id->digest, out + 4);
    return out + 4 + 2 * sizeof id->digest;
}

enum { KEY_BYTES = 53, PENDING_BYTES = 70 }; /* with the length before them and the end of the line */

/* kind: 'r' record, 'l' limit group, 'c' slots. All these keys are 46 bytes long. */
void resp_put_key(struct buf *out, const struct record_id *id, char kind)
{
    char key[KEY_BYTES], *end = key_write(id, "$46\r\nonce:{", kind, key);
    memcpy(end, "\r\n", 2);
    buf_put(out, key, sizeof key);
}

void resp_put_pending_key(struct buf *out, const struct record_id *id, uint64_t fence)
{
    char key[PENDING_BYTES], *end = key_write(id, "$63\r\nonce:{", 'p', key);
    uint8_t digits[8];
    for (unsigned i = 0; i < sizeof digits; i++)
        digits[i] = (uint8_t)(fence >> (56 - 8 * i));
    *end++ = ':';
    hex_write(digits, sizeof digits, end);
    memcpy(end + 2 * sizeof digits, "\r\n", 2);
    buf_put(out, key, sizeof key);
}
