// SPDX-License-Identifier: MIT
/* A string of Redis read as the reply of look.lua, and each of its rows as a record and as a limits group. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/look.h"
#include "domain/record.h"
#include "domain/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct look l;
    struct look_row row;
    struct record r;
    struct record_id id;
    char name[LOOK_NAME + 1];
    struct usage_window w;
    double seconds;
    unsigned loans;
    if (look_open((struct spop_slice){(const char *)data, size}, &l) < 0)
        return 0;
    assert(strlen(l.cursor) > 0 && strlen(l.cursor) <= LOOK_CURSOR);
    while (look_next(&l, &row) == 1) {
        assert_inside(row.bytes, data, size);
        assert(row.bytes.len <= row.len);
        look_name_write(&row.id, name);
        assert(look_name_read(name, &id) == 0 && memcmp(&id, &row.id, sizeof id) == 0);
        if (record_open(row.bytes.ptr, row.bytes.len, &r) == 0) {
            assert_inside(r.process, data, size);
            assert_inside(r.payload, data, size);
        }
        if (usage_window(row.bytes, l.now_us, row.ttl_ms, &w))
            assert(w.width_s > 0);
        size_t cells = usage_cells(row.bytes, &loans);
        assert(cells <= row.bytes.len);
        for (size_t at = 0; at + USAGE_CELL <= cells; at += USAGE_CELL)
            if (usage_bucket(row.bytes.ptr + at, l.now_us, &seconds))
                assert(seconds >= 0);
    }
    return 0;
}
