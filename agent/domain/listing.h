// SPDX-License-Identifier: MIT
/* What HAProxy's runtime socket says, read strictly: who a process is, and what its tables hold. Pure.
 *
 *   # table: once_inflight, type: string, size:1000, used:2
 *   0x7f23e8042698: key=TOKEN use=0 exp=701 gpt0=200 conn_cur=0
 *
 * A listing that is broken anywhere is no listing: it is checked as a whole before any line of it counts.
 * Source: HAProxy doc/management.txt, section 9.3 (show table, show info, get var). */
#ifndef LISTING_H
#define LISTING_H

#include <stdbool.h>
#include "spop/cursor.h"

/* Names a HAProxy process for good: a pid alone comes again. */
struct process {
    uint64_t pid;
    uint64_t start_us; /* proc.once_start */
};

/* `%pid.START` or `%pid.START.HOST`, as messages and notices say it; START tells hosts apart well enough. 0,
 * or -1. */
int process_read(const char *text, size_t len, struct process *p);
bool process_same(const struct process *a, const struct process *b);

/* Of `show info`: 0, or -1 if one of them is missing. */
struct process_info {
    uint64_t pid;
    uint64_t connections; /* CurrConns; the runtime socket's own do not count */
    bool stopping;        /* a reload has replaced it */
};
int process_info_read(struct spop_slice answer, struct process_info *info);
/* Of `get var proc.once_start`: 0, or -1 (also if it is not set). */
int process_start_read(struct spop_slice answer, uint64_t *start_us);

/* gpt0 of an execution whose outcome Redis has confirmed; below it is an answer's status, 0: none began (PROTOCOL,
 * The tables). */
enum { LISTING_SETTLED = 1000 };

/* key: HAProxy escapes blanks, `=`, `\` and control characters in it; a token has none of them. */
struct listing_entry {
    struct spop_slice key;
    uint64_t use, gpt0, conn_cur;
};

struct listing {
    struct spop_slice lines; /* not yet walked */
    uint64_t used;           /* entries in the whole table, listed or not */
    unsigned n;              /* entries listed */
};

enum listing_status {
    LISTING_OK,
    LISTING_NO_TABLE,
    LISTING_BROKEN, /* cut, another table's, or not understood: nothing of it counts */
    LISTING_TOO_LONG,
};
/* Checks the whole answer to `show table NAME ..`; at most max entries. */
enum listing_status listing_open(struct spop_slice answer, const char *table, unsigned max,
                                 struct listing *l);
/* Next entry of a listing that was opened; false: no more. */
bool listing_next(struct listing *l, struct listing_entry *e);

/* One of the two alone may be read in the middle of an insert (PROTOCOL, The tables). */
static inline bool listing_ended(const struct listing_entry *e)
{
    return e->conn_cur == 0 && e->use == 0;
}

#endif
