// SPDX-License-Identifier: MIT
/* What a node of a cluster says: the map, an error; and the commands that are to find their slot. */
#include "domain/slotmap.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slotmap map;
    struct slot_said said;
    struct spop_slice text = {(const char *)data, size};
    if (!slotmap_read(&map, text, "127.0.0.1:1"))
        for (unsigned i = 0; i < SLOTS; i++)
            assert(map.owner[i] <= SLOTMAP_NODES &&
                   (map.owner[i] == SLOTMAP_NODES || map.owner[i] < map.nnodes));
    slot_said_read(text, &said);
    assert((said.error != SLOT_MOVED && said.error != SLOT_ASK) || said.slot < SLOTS);
    assert(slot_of_command(data, size) < SLOTS && slot_of_key(text) < SLOTS);
    return 0;
}
