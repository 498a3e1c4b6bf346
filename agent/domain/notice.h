// SPDX-License-Identifier: MIT
/* A notice: HAProxy's log line about an execution that was not settled, or about a fetch for the cache whose end no agent has heard of
 * (docs/wire.md, Notices).
 *
 *   once/1 TOKEN TS TC STATUS PROCESS [anything]
 *   {"once":"once/1 TOKEN TS TC STATUS PROCESS"[anything]
 */
#ifndef NOTICE_H
#define NOTICE_H

#include "domain/cachefill.h"
#include "domain/token.h"
#include "spop/cursor.h"

struct notice {
    bool fetch;                /* TOKEN names one, and of the next three only this is set */
    struct cachefetch fetched; /* of a fetch */
    struct token token;        /* of an execution */
    char token_text[TOKEN_TEXT + 1];
    char ts[2];
    long tc;         /* ms; -1: never connected */
    unsigned status; /* 0: HAProxy had none */
    struct spop_slice process;
};

/* The words of a line: without what the transport puts at its end, and of a line of JSON those of its first field. */
struct spop_slice notice_words(const char *line, size_t len);
/* Takes the next of them off the front; words are separated by single blanks. Empty: none. */
struct spop_slice notice_word(struct spop_slice *words);

/* 0; -1 not a notice of ours; 1 a line of ours that is about neither (token `-`). Slices point into
 * the line. */
int notice_read(const char *line, size_t len, struct notice *n);

/* How a notice says it ended. */
enum ending { ENDING_UNSAID, ENDING_CLEAN, ENDING_CUT, ENDING_NEVER_SENT, ENDING_OTHER };
enum ending notice_ending(const struct notice *n);
/* The mark that a fetch leaves which ended so (domain/cachescript): 'e', the backend failed; 0, the next one may do better. */
char notice_fetch_mark(const struct notice *n);

#endif
