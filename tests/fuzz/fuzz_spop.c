// SPDX-License-Identifier: MIT
/* The codec on a stream of bytes, as a session reads it: find a frame, open it, read it as what it says it
 * is. Every slice lies in the input; every value that was read is written back as the same bytes. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "spop/hello.h"
#include "spop/notify.h"

enum { MAX_FRAME = 16380 };

struct input {
    const uint8_t *data;
    size_t size;
};

/* The encoding has one way to write each number, so reading and writing are inverse. */
static void check_varint(struct spop_cursor c)
{
    const uint8_t *from = c.at;
    uint64_t v;
    if (spop_get_varint(&c, &v) < 0) {
        assert(c.at == from);
        return;
    }
    uint8_t out[16];
    struct spop_writer w;
    spop_writer_init(&w, out, sizeof out);
    spop_put_varint(&w, v);
    assert(w.len == (size_t)(c.at - from) && memcmp(out, from, w.len) == 0);
}

static void check_value(const struct input *in, const struct spop_value *v)
{
    assert(v->type <= SPOP_BIN);
    assert(v->type != SPOP_BOOL || v->integer == 0 || v->integer == 1);
    assert(v->type != SPOP_INT32 || (v->integer >= INT32_MIN && v->integer <= INT32_MAX));
    assert(v->type != SPOP_UINT32 || (v->integer >= 0 && v->integer <= UINT32_MAX));
    assert(v->type != SPOP_IPV4 || v->bytes.len == 4);
    assert(v->type != SPOP_IPV6 || v->bytes.len == 16);
    assert_inside(v->bytes, in->data, in->size);
}

static void read_notify(const struct input *in, struct spop_cursor payload)
{
    struct spop_message m;
    struct spop_arg arg;
    while (spop_next_message(&payload, &m) > 0) {
        unsigned args = m.args_left, seen = 0;
        int more;
        assert_inside(m.name, in->data, in->size);
        while ((more = spop_next_arg(&payload, &m, &arg)) > 0) {
            assert_inside(arg.name, in->data, in->size);
            check_value(in, &arg.value);
            seen++;
        }
        if (more < 0)
            return;
        assert(seen == args);
    }
}

static void read_hello(const struct input *in, struct spop_cursor payload)
{
    struct spop_hello h;
    if (spop_hello_read(payload, &h) != SPOP_OK)
        return;
    assert(h.max_frame >= SPOP_FRAME_LEAST);
    assert_inside(h.engine_id, in->data, in->size);
}

static void read_disconnect(const struct input *in, struct spop_cursor payload)
{
    unsigned status;
    struct spop_slice message;
    (void)spop_disconnect_read(payload, &status, &message);
    assert_inside(message, in->data, in->size);
    assert(spop_status_text(status) && spop_status_word(status));
}

static void read_frame(const struct input *in, const uint8_t *bytes, size_t len)
{
    struct spop_frame f;
    if (spop_frame_open(bytes, len, &f) != SPOP_OK)
        return;
    assert(f.payload.at >= bytes + SPOP_PREFIX + SPOP_FRAME_MIN && f.payload.at <= f.payload.end);
    assert(f.payload.end == bytes + len);
    /* As each of them, whatever the type says: the readers must not lean on each other's checks. */
    read_notify(in, f.payload);
    read_hello(in, f.payload);
    read_disconnect(in, f.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct input in = {data, size};
    size_t at = 0;
    long found;
    while ((found = spop_frame_find(data + at, size - at, MAX_FRAME)) > 0) {
        assert((size_t)found <= size - at && found >= SPOP_PREFIX + SPOP_FRAME_MIN);
        read_frame(&in, data + at, (size_t)found);
        at += (size_t)found;
    }
    assert(found == 0 || found == -SPOP_INVALID || found == -SPOP_TOO_BIG);
    struct spop_frame f;
    (void)spop_frame_open(data, size, &f);
    read_notify(&in, (struct spop_cursor){.at = data, .end = data + size});
    check_varint((struct spop_cursor){.at = data, .end = data + size});
    return 0;
}
