// SPDX-License-Identifier: MIT
/* Which slot a key has, and who has the slot: what a Redis Cluster says, opened. Pure.
 *
 *   once:{51a0}:r:..  ──hash tag──► "51a0" ──CRC16 mod 16384──► slot ──map──► primary
 *
 * Source: Redis Cluster specification, "Key distribution model", "Hash tags", "MOVED Redirection", "ASK redirection";
 * the manual page of CLUSTER NODES. */
#ifndef SLOTMAP_H
#define SLOTMAP_H

#include <stdbool.h>
#include <stdint.h>
#include "domain/config.h"
#include "spop/slice.h"

enum { SLOTS = 16384, SLOT_NONE = -1, SLOT_CROSSED = -2 };

/* 0 to SLOTS - 1. */
unsigned slot_of_key(struct spop_slice key);
/* Of all keys once:{TAG}:.. of this TAG. */
unsigned slot_of_tag(const uint8_t tag[2]);
/* Of the keys that one command of ours in RESP names (EVALSHA, SET, GET, UNLINK); SLOT_NONE: it names none, or cannot be
 * read; SLOT_CROSSED: they lie in different slots. */
int slot_of_command(const void *resp, size_t len);

/* Why a node did not carry a command out. Nothing has run. */
enum slot_error {
    SLOT_SERVED,   /* another error, or none of the cluster's */
    SLOT_MOVED,    /* another node has the slot */
    SLOT_ASK,      /* this one key, this once, is asked for at another node: the slot is on its way there */
    SLOT_TRYAGAIN, /* some of its keys are here and some there */
    SLOT_DOWN,     /* nobody has the slot, or the node is cut off from the others */
};
struct slot_said {
    enum slot_error error;
    unsigned slot;       /* MOVED, ASK */
    config_text address; /* MOVED, ASK: "10.0.0.7:6379"; "[::1]:6379"; ":6379": of the host that said so */
};
void slot_said_read(struct spop_slice error, struct slot_said *out);

enum { SLOTMAP_NODES = 256 };
struct slotmap_node {
    config_text address; /* empty: not known */
    uint64_t epoch;      /* of its slots: of two that claim one, the higher is right */
    bool primary, failed;
};
struct slotmap {
    unsigned nnodes, covered; /* covered: slots that somebody has */
    struct slotmap_node node[SLOTMAP_NODES];
    uint16_t owner[SLOTS]; /* index into node; SLOTMAP_NODES: nobody */
};
/* The reply of CLUSTER NODES; from: the address of the node that gave it. NULL, or why it cannot be read. */
const char *slotmap_read(struct slotmap *m, struct spop_slice text, const char *from);

#endif
