// SPDX-License-Identifier: MIT
/* SPOP status codes: why a connection ends. One table drives the numbers, the texts and the metric labels.
 * Source: HAProxy doc/SPOE.txt, section 3.5. */
#ifndef SPOP_STATUS_H
#define SPOP_STATUS_H

/* X(symbol, number, word for logs and labels, text on the wire) */
#define SPOP_STATUS_TABLE(X)                                                                                 \
    X(OK, 0, "normal", "normal")                                                                             \
    X(IO, 1, "io", "I/O error")                                                                              \
    X(TIMEOUT, 2, "timeout", "a timeout occurred")                                                           \
    X(TOO_BIG, 3, "too-big", "frame is too big")                                                             \
    X(INVALID, 4, "invalid", "invalid frame received")                                                       \
    X(NO_VERSION, 5, "no-version", "version value not found")                                                \
    X(NO_FRAME_SIZE, 6, "no-frame-size", "max-frame-size value not found")                                   \
    X(NO_CAPABILITIES, 7, "no-capabilities", "capabilities value not found")                                 \
    X(BAD_VERSION, 8, "bad-version", "unsupported version")                                                  \
    X(BAD_FRAME_SIZE, 9, "bad-frame-size", "max-frame-size too big or too small")                            \
    X(FRAGMENTED, 10, "fragmented", "payload fragmentation is not supported")                                \
    X(INTERLACED, 11, "interlaced", "invalid interlaced frames")                                             \
    X(NO_FRAME_ID, 12, "no-frame-id", "frame-id not found")                                                  \
    X(RESOURCE, 13, "resource", "resource allocation error")                                                 \
    X(UNKNOWN, 99, "unknown", "an unknown error occurred")

enum spop_status {
#define X(symbol, number, word, text) SPOP_##symbol = number,
    SPOP_STATUS_TABLE(X)
#undef X
};

/* The word and the text of a status; those of UNKNOWN for a number outside the table. */
const char *spop_status_word(unsigned status);
const char *spop_status_text(unsigned status);

#endif
