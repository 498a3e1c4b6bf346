// SPDX-License-Identifier: MIT
/* What spop-bench says: kinds of transactions, each a few messages in turn, read from a file.
 *
 *   # a claim, and the answer that goes with it; nine of ten transactions
 *   transaction 9
 *   message once-request   policy=str(payments) rid=uuid sent=now key=unique(k-) body_len=int(0)
 *   message once-response  token=var(token) status=int(201) headers=headers(content-type: text/plain) body=bin(1024)
 *   transaction 1
 *   message once-request   ..
 *
 * A message is sent when the one before it has been answered. Its arguments are NAME=FORM, FORM one of
 *
 *   str(TEXT)  int(N)  bool(true)  ip(ADDRESS)  null   what it says
 *   bin(N), hex(DIGITS)              bytes: N of them, or these
 *   headers(NAME: VALUE; ..)         bytes as HAProxy's fetch hdrs_bin has them
 *   now                              microseconds since 1970, an integer
 *   uuid                             a text as from HAProxy's uuid()
 *   unique(TEXT)                     TEXT and a number that no other transaction has
 *   among(TEXT,N)                    TEXT and one of N numbers, in turn
 *   var(NAME)                        what an ACK of this transaction has set NAME to; where none has, the transaction ends
 *                                    before this message
 *
 * Compiled: a message is a list of parts, constant bytes (all that stands still, in one piece) and what changes. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "domain/buf.h"
#include "spop/cursor.h"

enum {
    SCENARIO_KINDS = 16,    /* of transactions */
    SCENARIO_MESSAGES = 16, /* of all of them together */
    SCENARIO_ARGS = 255,    /* of one message: its count is one byte */
    SCENARIO_VARS = 8,      /* different NAMEs of var() */
    SCENARIO_NAME = 64,
    SCENARIO_VALUE = 512, /* bytes of a variable's value that are kept */
};

enum part_kind { PART_BYTES, PART_NOW, PART_UUID, PART_UNIQUE, PART_AMONG, PART_VAR };

struct part {
    enum part_kind kind;
    size_t at, len; /* in the scenario's bytes: what it says, or the TEXT in front of a number */
    uint64_t n;     /* AMONG: how many; VAR: which */
};

struct message {
    char name[SCENARIO_NAME];
    unsigned first_part, nparts;
};

struct kind {
    unsigned weight, first_message, nmessages;
};

struct scenario {
    unsigned nkinds, nmessages, nvars, nparts, weights;
    struct kind kind[SCENARIO_KINDS];
    struct message message[SCENARIO_MESSAGES];
    char var[SCENARIO_VARS][SCENARIO_NAME];
    struct part *part;
    unsigned cap; /* of part */
    struct buf bytes;
};

/* The values that ACKs have set, as they came: type and data. len 0: not set. */
struct scenario_vars {
    struct {
        uint16_t len;
        uint8_t bytes[SCENARIO_VALUE];
    } value[SCENARIO_VARS];
};

/* What differs from one transaction to the next. */
struct scenario_turn {
    const char *run; /* of this run, so that two runs do not meet */
    uint64_t number; /* of the transaction, from 1 */
    uint64_t now_us; /* wall clock */
    uint64_t random[2];
};

/* scenario_read.c. Reads a scenario; -1 with the place and the reason in err ("FILE:3: ..."). Owns memory from then on. */
int scenario_read(struct scenario *s, const char *path, char *err, size_t errlen);
void scenario_free(struct scenario *s);
/* Which kind the number-th transaction is: in turn, by weight. */
unsigned scenario_kind(const struct scenario *s, uint64_t number);
/* Appends a NOTIFY's payload. False: it names a variable that is not set; nothing was appended. */
bool scenario_write(const struct scenario *s, unsigned message, const struct scenario_turn *t,
                    const struct scenario_vars *vars, struct buf *out);
/* Keeps what an ACK's payload sets. -1: malformed. */
int scenario_take(const struct scenario *s, struct spop_cursor ack, struct scenario_vars *vars);
/* The text of a value as it came, "-" if it is not set or no text. */
struct spop_slice scenario_text(const struct scenario_vars *vars, unsigned var);
/* Adds a variable that is to be kept although no message names it; its number, or -1: there are SCENARIO_VARS already. */
int scenario_var(struct scenario *s, const char *name);

#endif
