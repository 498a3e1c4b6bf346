// SPDX-License-Identifier: MIT
/* Read as strictly as any other reply: a row that does not fit whole ends the walk. A key whose name is not written as
 * ours are is somebody else's: it is counted, and the walk goes on. */
#include "domain/look.h"

#include <string.h>

#include "domain/le.h"
#include "domain/text.h"

enum {
    TAG_HEX = 4,
    DIGEST_HEX = 32,
    ROW = TAG_HEX + DIGEST_HEX + 8 + 4 + 2,
    DIGEST_AT = TAG_HEX,
    TTL_AT = TAG_HEX + DIGEST_HEX,
    LENGTH_AT = TTL_AT + 8,
    BYTES_AT = LENGTH_AT + 4,
};

/* Lower-case digits only, as the keys are written. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex(const char *text, uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return -1;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

int look_open(struct spop_slice reply, struct look *l)
{
    const uint8_t *in = (const uint8_t *)reply.ptr;
    size_t n = reply.len > 8 ? in[8] : 0;
    if (n == 0 || n > LOOK_CURSOR || reply.len < 9 + n)
        return -1;
    l->now_us = le_get(in, 8);
    memcpy(l->cursor, reply.ptr + 9, n);
    l->cursor[n] = '\0';
    l->skipped = 0;
    l->rest = (struct spop_slice){reply.ptr + 9 + n, reply.len - 9 - n};
    return strspn(l->cursor, "0123456789") == n ? 0 : -1;
}

/* Takes a row off the front; its id is not read. */
static int take_row(struct look *l, struct look_row *row)
{
    const uint8_t *in = (const uint8_t *)l->rest.ptr;
    if (l->rest.len == 0)
        return 0;
    if (l->rest.len < ROW)
        return -1;
    size_t n = le_get(in + BYTES_AT, 2);
    row->ttl_ms = le_get(in + TTL_AT, 8);
    row->len = le_get(in + LENGTH_AT, 4);
    if (n > l->rest.len - ROW || n > row->len)
        return -1;
    row->bytes = (struct spop_slice){l->rest.ptr + ROW, n};
    slice_skip(&l->rest, ROW + n);
    return 1;
}

static int read_id(const char *text, struct record_id *id)
{
    return hex(text, id->tag, TAG_HEX / 2) < 0 || hex(text + DIGEST_AT, id->digest, DIGEST_HEX / 2) < 0 ? -1
                                                                                                        : 0;
}

int look_next(struct look *l, struct look_row *row)
{
    int found;
    for (const char *name = l->rest.ptr; (found = take_row(l, row)) == 1; name = l->rest.ptr) {
        if (read_id(name, &row->id) == 0)
            break;
        l->skipped++;
    }
    return found;
}

void look_name_write(const struct record_id *id, char out[LOOK_NAME + 1])
{
    struct text t;
    text_init(&t, out, LOOK_NAME + 1);
    text_hex(&t, id->tag, sizeof id->tag);
    text_str(&t, ":");
    text_hex(&t, id->digest, sizeof id->digest);
}

int look_name_read(const char *text, struct record_id *id)
{
    if (strlen(text) != LOOK_NAME || text[TAG_HEX] != ':')
        return -1;
    return hex(text, id->tag, sizeof id->tag) < 0 ||
                   hex(text + TAG_HEX + 1, id->digest, sizeof id->digest) < 0
               ? -1
               : 0;
}
