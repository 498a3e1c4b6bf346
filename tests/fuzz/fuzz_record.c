// SPDX-License-Identifier: MIT
/* A value of Redis read as a record, its payload as a stored response; and the other way: the same bytes
 * taken as headers and body of a response are stored, sealed and opened again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/record.h"
#include "domain/seal.h"

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

static const struct seal_key key = {"key", "which the seeds are sealed with"};
static const struct record_id id = {
    {1, 2},
    "0123456789abcdef"
};

static enum seal_result unseal(struct spop_slice payload, uint64_t fence, struct buf *plain)
{
    const struct seal_place at = {SEAL_ANSWER, &id, fence};
    return seal_open(payload, &key, 1, &at, plain);
}

/* What opens was sealed here: at the end of a seed, or by write_record(). */
static void read_sealed(const struct record *r)
{
    struct buf plain = {0};
    enum seal_result result = unseal(r->payload, r->fence, &plain);
    assert((result == SEAL_PLAIN) == !seal_is(r->payload));
    if (result == SEAL_OPENED)
        read_stored((struct spop_slice){(const char *)plain.data, plain.len}, plain.data, plain.len);
    else
        assert(plain.len == 0);
    buf_free(&plain);
}

static void read_record(const uint8_t *data, size_t size)
{
    struct record r;
    if (record_open(data, size, &r) < 0)
        return;
    assert_inside(r.process, data, size);
    assert_inside(r.payload, data, size);
    read_stored(r.payload, data, size);
    read_sealed(&r);
}

/* Seals the answer of a record, changes one byte, and opens it as it was. */
static void seal_and_open(struct buf *out)
{
    enum { HEAD = RECORD_HEAD + 1 };
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    const struct seal_place at = {SEAL_ANSWER, &id, 0};
    struct buf plain = {0};
    struct record r;
    size_t len = out->len - HEAD, changed = HEAD + 1 + len % (SEAL_OVERHEAD - 1);
    seal_close(out, HEAD, &key, &at, nonce);
    assert(!out->failed && out->len == HEAD + len + SEAL_OVERHEAD);
    out->data[changed] ^= 0x40;
    assert(record_open(out->data, out->len, &r) == 0 && unseal(r.payload, r.fence, &plain) != SEAL_OPENED);
    out->data[changed] ^= 0x40;
    assert(unseal(r.payload, r.fence, &plain) == SEAL_OPENED && plain.len == len);
    read_stored((struct spop_slice){(const char *)plain.data, plain.len}, plain.data, plain.len);
    buf_free(&plain);
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
    if (record_pack_done(&out, &r, drop, sizeof drop / sizeof *drop) == 0 && !out.failed) {
        check_stored(&out, r.body);
        seal_and_open(&out);
    }
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
