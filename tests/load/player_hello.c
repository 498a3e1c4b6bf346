// SPDX-License-Identifier: MIT
/* HAProxy's side of the handshake (doc/SPOE.txt, sections 3.2.4 and 3.2.5). */
#include "tests/load/player.h"

#include <string.h>

#include "spop/writer.h"

static void put_named_text(struct spop_writer *w, const char *name, const char *text)
{
    spop_put_string(w, name, strlen(name));
    spop_put_typed_str(w, text, strlen(text));
}

size_t player_hello(uint8_t memory[PLAYER_HELLO], uint32_t max_frame, const char *engine)
{
    struct spop_writer w;
    spop_writer_init(&w, memory, PLAYER_HELLO);
    put_named_text(&w, "supported-versions", "2.0");
    spop_put_string(&w, "max-frame-size", strlen("max-frame-size"));
    spop_put_typed_uint(&w, max_frame);
    put_named_text(&w, "capabilities", "pipelining");
    put_named_text(&w, "engine-id", engine);
    return w.len;
}

static bool says_pipelining(struct spop_slice list)
{
    return list.len > 0 && memmem(list.ptr, list.len, "pipelining", strlen("pipelining")) != NULL;
}

bool player_take_hello(struct spop_cursor at, uint32_t *max_frame, bool *pipelines)
{
    struct spop_slice name;
    struct spop_value v;
    *pipelines = false;
    while (at.at != at.end) {
        if (spop_get_string(&at, &name) < 0 || spop_get_value(&at, &v) < 0)
            return false;
        if (slice_is(name, "max-frame-size") && v.integer > 0 && v.integer < *max_frame)
            *max_frame = (uint32_t)v.integer;
        if (slice_is(name, "capabilities"))
            *pipelines = says_pipelining(v.bytes);
    }
    return true;
}
