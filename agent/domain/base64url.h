// SPDX-License-Identifier: MIT
/* Bytes as text for variables and headers: base64url without padding (RFC 4648, section 5). Reading is strict: each value has
 * one text, so that texts can be compared. */
#ifndef BASE64URL_H
#define BASE64URL_H

#include <stddef.h>
#include <stdint.h>

/* Letters for so many bytes. */
#define BASE64URL_TEXT(bytes) (((bytes)*8 + 5) / 6)

/* Writes BASE64URL_TEXT(n) letters and a NUL. */
void base64url_write(const uint8_t *in, size_t n, char *out);
/* len letters to n bytes; -1: a foreign letter, another length, or bits set behind the last byte. */
int base64url_read(const char *text, size_t len, uint8_t *out, size_t n);

#endif
