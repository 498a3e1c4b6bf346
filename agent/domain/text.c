// SPDX-License-Identifier: MIT
/* Every put ends here or in text_hex(): what fits with its NUL is written, what does not sets `full`.
 *
 *   at ──► | len bytes | NUL | .. free .. |        cap counts all three
 */
#include "domain/text.h"

#include <string.h>

#define HEX_ROW(h)                                                                                           \
    h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
const char text_hex_pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5")
    HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d")
        HEX_ROW("e") HEX_ROW("f");
#undef HEX_ROW

void text_init(struct text *t, char *memory, size_t cap)
{
    *t = (struct text){.at = memory, .cap = cap};
    memory[0] = '\0';
}

void text_put(struct text *t, const char *bytes, size_t len)
{
    if (t->full || len >= t->cap - t->len) {
        t->full = true;
        return;
    }
    if (len > 0)
        memcpy(t->at + t->len, bytes, len);
    t->len += len;
    t->at[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
    text_put(t, s, strlen(s));
}

void text_dec(struct text *t, int64_t v)
{
    char digits[20]; /* sign and 19 digits */
    size_t at = sizeof digits;
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v; /* INT64_MIN has no positive twin */
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0)
        digits[--at] = '-';
    text_put(t, digits + at, sizeof digits - at);
}

void text_hex(struct text *t, const uint8_t *bytes, size_t len)
{
    if (t->full || len > (t->cap - t->len - 1) / 2) {
        t->full = true;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        t->at[t->len++] = text_hex_digit(bytes[i] >> 4);
        t->at[t->len++] = text_hex_digit(bytes[i]);
    }
    t->at[t->len] = '\0';
}

void text_cut(struct text *t, size_t len)
{
    t->len = len;
    t->at[len] = '\0';
    t->full = false;
}
