// SPDX-License-Identifier: MIT
/* CLUSTER NODES has one line for each node:
 *
 *   id  ip:port@bus[,name]  flags  its primary's id  ping  pong  epoch  link  slot  from-to  [moving]
 *   0   1                   2      3                 4     5     6      7     8 ..
 *
 * Nothing in it is trusted: what cannot be an address, a number or a slot makes the whole of it unreadable. */
#include "domain/slotmap.h"

#include <stdio.h>
#include <string.h>

#include "domain/text.h"

/* CRC16/XMODEM (polynomial 0x1021), four bits at a time. */
static uint16_t crc16(const char *at, size_t len)
{
    static const uint16_t quarter[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                         0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = (unsigned char)at[i];
        crc = (uint16_t)(crc << 4) ^ quarter[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ quarter[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
}

unsigned slot_of_key(struct spop_slice key)
{
    const char *open = key.len ? memchr(key.ptr, '{', key.len) : NULL;
    size_t behind = open ? key.len - (size_t)(open + 1 - key.ptr) : 0;
    const char *close = behind ? memchr(open + 1, '}', behind) : NULL;
    if (close && close > open + 1)
        key = (struct spop_slice){open + 1, (size_t)(close - open - 1)};
    return crc16(key.ptr, key.len) % SLOTS;
}

unsigned slot_of_tag(const uint8_t tag[2])
{
    char hex[4];
    hex_write(tag, 2, hex);
    return crc16(hex, sizeof hex) % SLOTS;
}

/* Digits up to a limit; false: none, or too many. */
static bool number_of(struct spop_slice s, uint64_t most, uint64_t *out)
{
    *out = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (digit > 9 || *out > (most - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return true;
}

/* `*N` or `$N` and the end of its line. */
static bool take_count(struct spop_slice *rest, char type, uint64_t *out)
{
    const char *end = rest->len ? memchr(rest->ptr, '\r', rest->len) : NULL;
    if (!end || *rest->ptr != type || (size_t)(end - rest->ptr) + 2 > rest->len)
        return false;
    struct spop_slice digits = {rest->ptr + 1, (size_t)(end - rest->ptr) - 1};
    slice_skip(rest, digits.len + 3);
    return number_of(digits, UINT32_MAX, out);
}

static bool take_argument(struct spop_slice *rest, struct spop_slice *out)
{
    uint64_t len;
    if (!take_count(rest, '$', &len) || rest->len < len + 2)
        return false;
    *out = (struct spop_slice){rest->ptr, (size_t)len};
    slice_skip(rest, (size_t)len + 2);
    return true;
}

/* How many keys stand next; 0: none, or it cannot be read. */
static uint64_t keys_of(struct spop_slice *rest)
{
    static const char *const one_key[] = {"SET", "GET", "UNLINK"};
    struct spop_slice word;
    uint64_t n;
    if (!take_count(rest, '*', &n) || !take_argument(rest, &word))
        return 0;
    if (slice_is(word, "EVALSHA"))
        return take_argument(rest, &word) && take_argument(rest, &word) && number_of(word, n, &n) ? n : 0;
    for (size_t i = 0; i < sizeof one_key / sizeof *one_key; i++)
        if (slice_is(word, one_key[i]))
            return 1;
    return 0;
}

int slot_of_command(const void *resp, size_t len)
{
    struct spop_slice rest = {resp, len}, key;
    uint64_t n = keys_of(&rest);
    int slot = SLOT_NONE;
    for (; n > 0; n--) {
        if (!take_argument(&rest, &key))
            return SLOT_NONE;
        int of = (int)slot_of_key(key);
        if (slot != SLOT_NONE && of != slot)
            return SLOT_CROSSED;
        slot = of;
    }
    return slot;
}

/* The next word of a line. */
static struct spop_slice take_word(struct spop_slice *rest)
{
    const char *blank = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct spop_slice word = {rest->ptr, blank ? (size_t)(blank - rest->ptr) : rest->len};
    slice_skip(rest, blank ? word.len + 1 : rest->len);
    return word;
}

/* host:port as other files write it: with brackets around what has colons. False: it cannot be an address. */
static bool address_of(struct spop_slice s, config_text out)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    uint64_t port;
    size_t colon = s.len;
    while (colon > 0 && s.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || s.len > 200 ||
        !number_of((struct spop_slice){s.ptr + colon, s.len - colon}, UINT16_MAX, &port))
        return false;
    struct spop_slice host = {s.ptr, colon - 1};
    for (size_t i = 0; i < host.len; i++)
        if (!memchr(fit, host.ptr[i], sizeof fit - 1))
            return false;
    bool six = host.len && *host.ptr != '[' && memchr(host.ptr, ':', host.len);
    snprintf(out, CONFIG_TEXT_MAX + 1, six ? "[%.*s]:%u" : "%.*s:%u", (int)host.len, host.ptr,
             (unsigned)port);
    return true;
}

static const struct {
    const char *word;
    enum slot_error error;
} errors[] = {
    {"MOVED ",      SLOT_MOVED   },
    {"ASK ",        SLOT_ASK     },
    {"TRYAGAIN",    SLOT_TRYAGAIN},
    {"CLUSTERDOWN", SLOT_DOWN    },
};

void slot_said_read(struct spop_slice error, struct slot_said *out)
{
    uint64_t slot;
    out->error = SLOT_SERVED;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (slice_starts(error, errors[i].word))
            out->error = errors[i].error;
    if (out->error != SLOT_MOVED && out->error != SLOT_ASK)
        return;
    take_word(&error);
    if (number_of(take_word(&error), SLOTS - 1, &slot) && address_of(take_word(&error), out->address))
        out->slot = (unsigned)slot;
    else
        out->error = SLOT_SERVED;
}

static bool has_flag(struct spop_slice flags, const char *flag)
{
    while (flags.len > 0) {
        const char *comma = memchr(flags.ptr, ',', flags.len);
        struct spop_slice one = {flags.ptr, comma ? (size_t)(comma - flags.ptr) : flags.len};
        if (slice_is(one, flag))
            return true;
        slice_skip(&flags, comma ? one.len + 1 : flags.len);
    }
    return false;
}

/* "5", "0-5460"; what moves ("[93->-id]") is still its owner's. */
static bool take_slots(struct slotmap *m, unsigned node, struct spop_slice word)
{
    uint64_t from, to;
    const char *dash = word.len ? memchr(word.ptr, '-', word.len) : NULL;
    if (word.len == 0 || *word.ptr == '[')
        return true;
    struct spop_slice first = {word.ptr, dash ? (size_t)(dash - word.ptr) : word.len}, last = first;
    if (dash)
        last = (struct spop_slice){dash + 1, word.len - first.len - 1};
    if (!number_of(first, SLOTS - 1, &from) || !number_of(last, SLOTS - 1, &to) || from > to)
        return false;
    for (; from <= to; from++) {
        uint16_t *owner = &m->owner[from];
        m->covered += *owner == SLOTMAP_NODES;
        if (*owner == SLOTMAP_NODES || m->node[*owner].epoch < m->node[node].epoch)
            *owner = (uint16_t)node;
    }
    return true;
}

/* Of the node itself the host may be missing: it is the one that we have asked. */
static bool take_address(struct slotmap_node *n, struct spop_slice word, struct spop_slice flags,
                         const char *from)
{
    const char *at = word.len ? memchr(word.ptr, '@', word.len) : NULL;
    if (has_flag(flags, "noaddr"))
        return true;
    if (at)
        word.len = (size_t)(at - word.ptr);
    if (has_flag(flags, "myself") && slice_starts(word, ":")) {
        snprintf(n->address, sizeof n->address, "%s", from);
        return true;
    }
    return address_of(word, n->address);
}

static bool take_node(struct slotmap *m, struct spop_slice line, const char *from)
{
    enum { PRIMARY_PING_PONG = 3 };
    struct slotmap_node *n = &m->node[m->nnodes];
    take_word(&line);
    struct spop_slice address = take_word(&line), flags = take_word(&line);
    for (unsigned i = 0; i < PRIMARY_PING_PONG; i++)
        take_word(&line);
    *n = (struct slotmap_node){.primary = has_flag(flags, "master"), .failed = has_flag(flags, "fail")};
    if (!number_of(take_word(&line), UINT64_MAX / 2, &n->epoch) || !take_address(n, address, flags, from))
        return false;
    take_word(&line);
    while (n->primary && line.len > 0)
        if (!take_slots(m, m->nnodes, take_word(&line)))
            return false;
    m->nnodes++;
    return true;
}

const char *slotmap_read(struct slotmap *m, struct spop_slice text, const char *from)
{
    m->nnodes = m->covered = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        m->owner[i] = SLOTMAP_NODES;
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct spop_slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
        slice_skip(&text, end ? line.len + 1 : text.len);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            continue;
        if (m->nnodes == SLOTMAP_NODES)
            return "the cluster has more than 256 nodes";
        if (!take_node(m, line, from))
            return "a line of CLUSTER NODES cannot be read";
    }
    return m->nnodes > 0 ? NULL : "CLUSTER NODES names no node";
}
