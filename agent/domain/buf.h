// SPDX-License-Identifier: MIT
/* A growable piece of memory, reused from call to call so that the hot path does not allocate.
 *
 * Once an allocation fails, `failed` stays set and further puts do nothing: look once, at the end. What is put many times for each
 * message stands here: a call would cost more than the copy. */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

void buf_init(struct buf *b);
void buf_free(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_reset(struct buf *b);
/* Makes room for `more` bytes behind len; false if there is none. */
bool buf_reserve(struct buf *b, size_t more);
static inline void buf_put(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0 || ((b->failed || len > b->cap - b->len) && !buf_reserve(b, len)))
        return;
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}
static inline void buf_str(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}
static inline void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}
/* Little-endian; bytes: 1 to 8. */
void buf_le(struct buf *b, uint64_t v, unsigned bytes);
void buf_f64(struct buf *b, double v);
/* Decimal digits. */
void buf_dec(struct buf *b, uint64_t v);
/* Lower-case hex digits. */
void buf_hex(struct buf *b, const uint8_t *bytes, size_t len);
/* Drops the first n bytes. */
void buf_shift(struct buf *b, size_t n);

#endif
