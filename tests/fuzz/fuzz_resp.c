// SPDX-License-Identifier: MIT
/* Replies of a Sentinel, one behind the other. What was taken stays the same when it is cut out exactly, and
 * is "later" when its last byte is missing. */
#include "tests/fuzz/fuzz.h"

#include "domain/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resp r, again;
    struct spop_slice rest = {(const char *)data, size};
    long n;
    while ((n = resp_read(rest, &r)) > 0) {
        assert((size_t)n <= rest.len && r.n <= RESP_ITEMS_MAX);
        for (unsigned i = 0; i < r.n; i++)
            assert_inside(r.item[i], data, size);
        assert(resp_read((struct spop_slice){rest.ptr, (size_t)n}, &again) == n && again.n == r.n);
        assert(resp_read((struct spop_slice){rest.ptr, (size_t)n - 1}, &again) == 0);
        slice_skip(&rest, (size_t)n);
    }
    return 0;
}
