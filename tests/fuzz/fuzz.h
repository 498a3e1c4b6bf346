// SPDX-License-Identifier: MIT
/* What the fuzz targets share. A target is a file fuzz_NAME.c with this one function; whatever bytes it gets
 * it must return 0, and it asserts what must hold for all bytes. Corpus: tests/fuzz/corpus/NAME.
 *
 *   gcc:   fuzz_NAME.c + replay.c             replays the corpus (make test)
 *   clang: fuzz_NAME.c, -fsanitize=fuzzer     make fuzz SECONDS=600 (tools/fuzz) */
#ifndef FUZZ_H
#define FUZZ_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spop/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A slice that was given out lies inside the input. */
static inline void assert_inside(struct spop_slice s, const uint8_t *data, size_t size)
{
    if (s.len == 0)
        return;
    uintptr_t begin = (uintptr_t)data, at = (uintptr_t)s.ptr;
    assert(at >= begin && at - begin <= size && s.len <= size - (at - begin));
}

#endif
