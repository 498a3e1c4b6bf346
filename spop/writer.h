// SPDX-License-Identifier: MIT
/* Writing frames into memory that the caller owns.
 *
 *   spop_ack_begin(&w, stream, frame);
 *   spop_set_str(&w, SPOP_TXN, "verdict", "go", 2); ...
 *   spop_frame_end(&w);
 *
 * What does not fit sets `overflow` and writes nothing more; spop_frame_end() then takes the whole frame
 * back. Several frames may follow each other in one buffer. Format: HAProxy doc/SPOE.txt, sections 3.1, 3.2
 * and 3.4. */
#ifndef SPOP_WRITER_H
#define SPOP_WRITER_H

#include "spop/cursor.h"

enum spop_scope { SPOP_PROC = 0, SPOP_SESS = 1, SPOP_TXN = 2, SPOP_REQ = 3, SPOP_RES = 4 };

struct spop_writer {
    uint8_t *buf;
    size_t cap, len;
    size_t frame_at; /* where the open frame began */
    bool overflow;
};

void spop_writer_init(struct spop_writer *w, uint8_t *buf, size_t cap);

void spop_put_varint(struct spop_writer *w, uint64_t v);
void spop_put_string(struct spop_writer *w, const char *ptr, size_t len);
void spop_put_typed_str(struct spop_writer *w, const char *ptr, size_t len);
void spop_put_typed_uint(struct spop_writer *w, uint32_t v);

/* Opens a frame with FIN set; type is an enum spop_frame_type. */
void spop_frame_begin(struct spop_writer *w, unsigned type, uint64_t stream_id, uint64_t frame_id);
/* Closes it: fills in the length. Returns the frame's bytes with its length field, 0 on overflow (w->len is
 * back at the frame's beginning and overflow is cleared). What was negotiated is the caller's to check. */
size_t spop_frame_end(struct spop_writer *w);

void spop_ack_begin(struct spop_writer *w, uint64_t stream_id, uint64_t frame_id);
/* Actions set-var of an open ACK. name is NUL-terminated, without the prefix. */
void spop_set_str(struct spop_writer *w, enum spop_scope scope, const char *name, const char *ptr,
                  size_t len);
void spop_set_int(struct spop_writer *w, enum spop_scope scope, const char *name, int64_t v);
void spop_set_bool(struct spop_writer *w, enum spop_scope scope, const char *name, bool v);

#endif
