// SPDX-License-Identifier: MIT
/* An answer of HAProxy's runtime socket: a table, `show info`, `get var`. What listing_open() took is walked
 * to its end, entry by entry, as many as it said. */
#include "tests/fuzz/fuzz.h"

#include "domain/listing.h"

enum { ENTRIES_MAX = 64 };

static void read_listing(struct spop_slice answer, const uint8_t *data, size_t size)
{
    struct listing l;
    struct listing_entry e;
    unsigned n = 0;
    if (listing_open(answer, "once_inflight", ENTRIES_MAX, &l) != LISTING_OK)
        return;
    assert(l.n <= ENTRIES_MAX);
    while (listing_next(&l, &e)) {
        assert(e.key.len > 0);
        assert_inside(e.key, data, size);
        (void)listing_ended(&e);
        n++;
    }
    assert(n == l.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spop_slice answer = {(const char *)data, size};
    struct process_info info;
    struct process p;
    uint64_t start;
    read_listing(answer, data, size);
    (void)process_info_read(answer, &info);
    if (process_start_read(answer, &start) == 0)
        assert(start != 0);
    if (process_read(answer.ptr, size, &p) == 0)
        assert(process_same(&p, &p) && p.pid != 0);
    return 0;
}
