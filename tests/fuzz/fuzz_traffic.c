// SPDX-License-Identifier: MIT
/* A datagram read as a line of the access log, counted and written. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/traffic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct traffic_line l;
    if (traffic_read((const char *)data, size, &l) != 0)
        return 0;
    assert_inside(l.method, data, size);
    assert_inside(l.route, data, size);
    assert_inside(l.error, data, size);
    assert(l.status <= 999);
    struct traffic *t = traffic_new();
    struct buf out = {0};
    if (t) {
        assert(traffic_count(t, &l) && traffic_count(t, &l));
        traffic_write(t, &out);
        buf_u8(&out, 0);
        assert(strstr((const char *)out.data, "} 2\n"));
    }
    buf_free(&out);
    traffic_free(t);
    return 0;
}
