// SPDX-License-Identifier: MIT
/* Text written into memory that the caller owns: bounded, always NUL-terminated, no allocation, no printf.
 *
 * A put that does not fit whole writes nothing and sets `full`; so a writer can note `len`, write a member,
 * and take it back with text_cut() if it turned out too long. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *at;
    size_t cap, len; /* cap counts the NUL */
    bool full;
};

/* cap: at least 1. */
void text_init(struct text *t, char *memory, size_t cap);
void text_put(struct text *t, const char *bytes, size_t len);
void text_str(struct text *t, const char *s);
/* Decimal digits. */
void text_dec(struct text *t, int64_t v);
/* Lower-case hex digits, two for each byte. */
void text_hex(struct text *t, const uint8_t *bytes, size_t len);
/* "00" to "ff", behind each other. */
extern const char text_hex_pairs[];
/* The digit of the lowest four bits. */
static inline char text_hex_digit(unsigned v)
{
    return "0123456789abcdef"[v & 15];
}
/* 2 * len of them, without a NUL. */
static inline void hex_write(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        memcpy(out + 2 * i, text_hex_pairs + 2 * bytes[i], 2);
}
/* ASCII only, whatever the locale: what the wire calls case-insensitive. */
static inline char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
/* Back to `len` characters; no longer full. */
void text_cut(struct text *t, size_t len);

#endif
