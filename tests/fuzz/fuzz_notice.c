// SPDX-License-Identifier: MIT
/* A datagram read as a notice. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/listing.h"
#include "domain/notice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notice n;
    int rc = notice_read((const char *)data, size, &n);
    assert(rc == 0 || rc == -1 || rc == 1);
    if (rc != 0)
        return 0;
    struct process p;
    char again[TOKEN_TEXT + 1];
    assert_inside(n.process, data, size);
    assert(n.process.len > 0 && n.status <= 999);
    if (n.fetch) {
        assert(notice_fetch_mark(&n) == 'e' || notice_fetch_mark(&n) == 0);
    } else {
        token_write(&n.token, again);
        assert(strcmp(again, n.token_text) == 0);
    }
    assert(notice_ending(&n) <= ENDING_OTHER);
    (void)process_read(n.process.ptr, n.process.len, &p);
    return 0;
}
