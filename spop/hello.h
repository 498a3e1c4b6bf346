// SPDX-License-Identifier: MIT
/* The handshake: what HAProxy says in HAPROXY-HELLO and what the agent answers.
 * Format: HAProxy doc/SPOE.txt, sections 3.2.4, 3.2.5, 3.2.8 and 3.2.9. */
#ifndef SPOP_HELLO_H
#define SPOP_HELLO_H

#include "spop/frame.h"
#include "spop/writer.h"

struct spop_hello {
    uint32_t max_frame; /* bytes, as HAProxy offers it */
    bool healthcheck;   /* option spop-check: no engine-id, empty capabilities, closed after the answer */
    bool pipelining;    /* HAProxy offers it */
    struct spop_slice engine_id; /* empty on a health check */
};

/* Reads the payload of HAPROXY-HELLO. SPOP_OK or the status to disconnect with: NO_VERSION, BAD_VERSION (2.x
 * is what we speak), NO_FRAME_SIZE, BAD_FRAME_SIZE (under SPOP_FRAME_LEAST), NO_CAPABILITIES, INVALID.
 * Unknown items are skipped. */
enum spop_status spop_hello_read(struct spop_cursor payload, struct spop_hello *h);

/* Writes AGENT-HELLO: version 2.0, max_frame bytes, capabilities "pipelining" if asked for, else "". The
 * whole frame, or nothing if there is no room. */
void spop_hello_write(struct spop_writer *w, uint32_t max_frame, bool pipelining);

/* Reads HAPROXY-DISCONNECT; SPOP_OK if it is well formed and whole, else INVALID. What could be read is given
 * out in both cases; status is UNKNOWN and message empty where it could not. */
enum spop_status spop_disconnect_read(struct spop_cursor payload, unsigned *status,
                                      struct spop_slice *message);

/* Writes AGENT-DISCONNECT with the status and its text: the whole frame, or nothing if there is no room. */
void spop_disconnect_write(struct spop_writer *w, enum spop_status status);

#endif
