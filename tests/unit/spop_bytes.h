// SPDX-License-Identifier: MIT
/* What the codec's tests share: memory that ends at an unmapped page, and slices compared with text.
 *
 *   | readable page ......[item]| no access |      reading one byte past the item ends the test
 */
#ifndef SPOP_BYTES_H
#define SPOP_BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spop/cursor.h"

struct guard {
    uint8_t *page;
    size_t size;
};

static inline struct guard guard_new(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *page = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    assert_int_equal(mprotect(page + size, size, PROT_NONE), 0);
    return (struct guard){.page = page, .size = size};
}

static inline void guard_free(struct guard g)
{
    munmap(g.page, 2 * g.size);
}

/* The last len bytes before the boundary. */
static inline uint8_t *guard_end(struct guard g, size_t len)
{
    assert_true(len <= g.size);
    return g.page + g.size - len;
}

/* A copy of the bytes that ends at the boundary. */
static inline uint8_t *guard_put(struct guard g, const void *bytes, size_t len)
{
    return memcpy(guard_end(g, len), bytes, len);
}

static inline struct spop_cursor cursor_of(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    return (struct spop_cursor){.at = at, .end = at + len};
}

static inline void assert_slice(struct spop_slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    if (s.len > 0)
        assert_memory_equal(s.ptr, text, s.len);
}

#endif
