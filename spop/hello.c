// SPDX-License-Identifier: MIT
/* The handshake and its end; the contract is in hello.h.
 *
 *   HAProxy                          agent
 *      ── HAPROXY-HELLO ──────────────►    supported-versions, max-frame-size, capabilities,
 *                                          [healthcheck], [engine-id]
 *      ◄────────────── AGENT-HELLO ────    version, max-frame-size, capabilities
 *      ◄─────── or AGENT-DISCONNECT ───    status-code, message
 *
 * Both payloads are lists of name and typed value. One table for each list says which names count, which
 * types they may have, and which status a missing one means. */
#include "spop/hello.h"

#include <string.h>

#define VERSION       "2.0"
#define VERSION_MAJOR "2."
#define PIPELINING    "pipelining"

#define TYPE(t)  (1u << (t))
#define INTEGERS (TYPE(SPOP_INT32) | TYPE(SPOP_UINT32) | TYPE(SPOP_INT64) | TYPE(SPOP_UINT64))

/* take() stores the value and says what is wrong with it. missing: the status if the item is not there, OK if
 * it may be left out. */
struct item {
    const char *name;
    unsigned types;
    enum spop_status missing;
    enum spop_status (*take)(void *into, const struct spop_value *v);
};

struct disconnect {
    unsigned status;
    struct spop_slice message;
};

/* Takes the next word of a comma-separated list; spaces around it do not count. */
static bool next_word(struct spop_slice *list, struct spop_slice *word)
{
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
    size_t taken = comma ? len + 1 : len;
    *word = slice_trim((struct spop_slice){.ptr = list->ptr, .len = len}, " ");
    slice_skip(list, taken);
    return true;
}

/* "2.N". HAProxy that announces 2.N speaks every 2.M up to N, 2.0 among them. */
static bool speaks_ours(struct spop_slice version)
{
    size_t major = strlen(VERSION_MAJOR);
    if (version.len <= major || !slice_starts(version, VERSION_MAJOR))
        return false;
    for (size_t i = major; i < version.len; i++)
        if (version.ptr[i] < '0' || version.ptr[i] > '9')
            return false;
    return true;
}

static enum spop_status take_versions(void *into, const struct spop_value *v)
{
    (void)into;
    struct spop_slice list = v->bytes, word;
    while (next_word(&list, &word))
        if (speaks_ours(word))
            return SPOP_OK;
    return SPOP_BAD_VERSION;
}

static enum spop_status take_frame_size(void *into, const struct spop_value *v)
{
    struct spop_hello *h = into;
    if (v->integer < SPOP_FRAME_LEAST || v->integer > UINT32_MAX)
        return SPOP_BAD_FRAME_SIZE;
    h->max_frame = (uint32_t)v->integer;
    return SPOP_OK;
}

static enum spop_status take_capabilities(void *into, const struct spop_value *v)
{
    struct spop_hello *h = into;
    struct spop_slice list = v->bytes, word;
    while (next_word(&list, &word))
        if (slice_is(word, PIPELINING))
            h->pipelining = true;
    return SPOP_OK;
}

static enum spop_status take_healthcheck(void *into, const struct spop_value *v)
{
    struct spop_hello *h = into;
    h->healthcheck = v->integer != 0;
    return SPOP_OK;
}

static enum spop_status take_engine_id(void *into, const struct spop_value *v)
{
    struct spop_hello *h = into;
    h->engine_id = v->bytes;
    return SPOP_OK;
}

static enum spop_status take_status_code(void *into, const struct spop_value *v)
{
    struct disconnect *d = into;
    if (v->integer < 0 || v->integer > UINT32_MAX)
        return SPOP_INVALID;
    d->status = (unsigned)v->integer;
    return SPOP_OK;
}

static enum spop_status take_message(void *into, const struct spop_value *v)
{
    struct disconnect *d = into;
    d->message = v->bytes;
    return SPOP_OK;
}

enum { ITEMS_MAX = 8 }; /* bits of the set of seen items */

static const struct item hello_items[] = {
    {"supported-versions", TYPE(SPOP_STR),  SPOP_NO_VERSION,      take_versions    },
    {"max-frame-size",     INTEGERS,        SPOP_NO_FRAME_SIZE,   take_frame_size  },
    {"capabilities",       TYPE(SPOP_STR),  SPOP_NO_CAPABILITIES, take_capabilities},
    {"healthcheck",        TYPE(SPOP_BOOL), SPOP_OK,              take_healthcheck },
    {"engine-id",          TYPE(SPOP_STR),  SPOP_OK,              take_engine_id   },
};

static const struct item disconnect_items[] = {
    {"status-code", INTEGERS,       SPOP_INVALID, take_status_code},
    {"message",     TYPE(SPOP_STR), SPOP_INVALID, take_message    },
};

#define COUNT(a) (sizeof(a) / sizeof *(a))
_Static_assert(COUNT(hello_items) <= ITEMS_MAX && COUNT(disconnect_items) <= ITEMS_MAX,
               "seen has a bit each");

/* The item's place in the table, n if the name is unknown. */
static size_t item_find(const struct item *items, size_t n, struct spop_slice name)
{
    size_t i = 0;
    while (i < n && !slice_is(name, items[i].name))
        i++;
    return i;
}

static enum spop_status item_take(const struct item *item, const struct spop_value *v, void *into)
{
    return TYPE(v->type) & item->types ? item->take(into, v) : SPOP_INVALID;
}

static enum spop_status items_read(struct spop_cursor at, const struct item *items, size_t n, void *into)
{
    unsigned seen = 0;
    while (at.at != at.end) {
        struct spop_slice name;
        struct spop_value value;
        if (spop_get_string(&at, &name) < 0 || spop_get_value(&at, &value) < 0)
            return SPOP_INVALID;
        size_t i = item_find(items, n, name);
        if (i == n)
            continue;
        enum spop_status status = item_take(&items[i], &value, into);
        if (status != SPOP_OK)
            return status;
        seen |= 1u << i;
    }
    for (size_t i = 0; i < n; i++)
        if (!(seen & 1u << i) && items[i].missing != SPOP_OK)
            return items[i].missing;
    return SPOP_OK;
}

enum spop_status spop_hello_read(struct spop_cursor payload, struct spop_hello *h)
{
    *h = (struct spop_hello){0};
    return items_read(payload, hello_items, COUNT(hello_items), h);
}

enum spop_status spop_disconnect_read(struct spop_cursor payload, unsigned *status,
                                      struct spop_slice *message)
{
    struct disconnect d = {.status = SPOP_UNKNOWN};
    enum spop_status result = items_read(payload, disconnect_items, COUNT(disconnect_items), &d);
    *status = d.status;
    *message = d.message;
    return result;
}

static void put_name(struct spop_writer *w, const char *name)
{
    spop_put_string(w, name, strlen(name));
}

static void put_text(struct spop_writer *w, const char *name, const char *text)
{
    put_name(w, name);
    spop_put_typed_str(w, text, strlen(text));
}

void spop_hello_write(struct spop_writer *w, uint32_t max_frame, bool pipelining)
{
    spop_frame_begin(w, SPOP_AGENT_HELLO, 0, 0);
    put_text(w, "version", VERSION);
    put_name(w, "max-frame-size");
    spop_put_typed_uint(w, max_frame);
    put_text(w, "capabilities", pipelining ? PIPELINING : "");
    spop_frame_end(w);
}

void spop_disconnect_write(struct spop_writer *w, enum spop_status status)
{
    spop_frame_begin(w, SPOP_AGENT_DISCONNECT, 0, 0);
    put_name(w, "status-code");
    spop_put_typed_uint(w, status);
    put_text(w, "message", spop_status_text(status));
    spop_frame_end(w);
}
