// SPDX-License-Identifier: MIT
/* A text as a date: what is one is written as IMF-fixdate, and that is the same second again. First eight bytes: the clock, and a second
 * to be written and read. */
#include "tests/fuzz/fuzz.h"

#include "domain/httpdate.h"
#include "domain/le.h"

static int64_t check_written(int64_t epoch_s)
{
    char text[HTTPDATE_TEXT], again[HTTPDATE_TEXT];
    int64_t read;
    httpdate_write(epoch_s, text);
    assert(httpdate_read(slice_of(text), 0, &read));
    httpdate_write(read, again);
    assert(slice_is(slice_of(text), again));
    return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t epoch_s = 77;
    if (size < 8)
        return 0;
    int64_t now_s = (int64_t)le_get(data, 8);
    int64_t read = check_written(now_s);
    assert(read == now_s || now_s < -62167219200 || now_s > 253402300799);
    if (httpdate_read((struct spop_slice){(const char *)data + 8, size - 8}, now_s, &epoch_s))
        assert(check_written(epoch_s) == epoch_s);
    else
        assert(epoch_s == 77);
    return 0;
}
