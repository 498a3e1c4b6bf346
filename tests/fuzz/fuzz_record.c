// SPDX-License-Identifier: MIT
/* A value of Redis read as a record, its payload as a stored response; and the other way: the same bytes
 * taken as headers and body of a response are stored and opened again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/record.h"

static void read_stored(struct spop_slice payload, const uint8_t *data, size_t size)
{
    struct stored s;
    struct spop_slice name, value;
    if (stored_open(payload, &s) < 0)
        return;
    assert(s.status >= 100 && s.status <= 599);
    assert_inside(s.body, data, size);
    unsigned headers = 0;
    struct spop_slice at = s.headers;
    int more;
    while ((more = stored_header(&at, &name, &value)) > 0) {
        assert_inside(name, data, size);
        assert_inside(value, data, size);
        headers++;
    }
    assert(more == 0 && headers == s.nheaders);
}

static void read_record(const uint8_t *data, size_t size)
{
    struct record r;
    if (record_open(data, size, &r) < 0)
        return;
    assert_inside(r.process, data, size);
    assert_inside(r.payload, data, size);
    read_stored(r.payload, data, size);
}

static void check_stored(const struct buf *out, struct spop_slice body)
{
    struct record r;
    struct stored s;
    assert(record_open(out->data, out->len, &r) == 0 && r.state == RECORD_DONE);
    assert(stored_open(r.payload, &s) == 0 && s.status == 201 && s.body.len == body.len);
    if (body.len > 0)
        assert(memcmp(s.body.ptr, body.ptr, body.len) == 0);
    read_stored(r.payload, out->data, out->len);
}

/* First byte: how much of the rest is headers. */
static void write_record(const uint8_t *data, size_t size)
{
    static const char *const drop[] = {"date", "set-cookie", "x-request-*"};
    size_t headers = size - 1 < data[0] ? size - 1 : data[0];
    const char *from = (const char *)data + 1;
    struct response r = {
        201, {from,           headers           },
         {from + headers, size - 1 - headers}
    };
    struct buf out;
    buf_init(&out);
    assert_inside(headers_find(r.headers, "location"), data, size);
    if (record_pack_done(&out, &r, drop, sizeof drop / sizeof *drop) == 0 && !out.failed)
        check_stored(&out, r.body);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_record(data, size);
    read_stored((struct spop_slice){(const char *)data, size}, data, size);
    if (size > 0)
        write_record(data, size);
    return 0;
}
