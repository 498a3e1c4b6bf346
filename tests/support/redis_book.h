// SPDX-License-Identifier: MIT
/* What the agent says to Redis, taken down from MONITOR: each word about each execution, in order.
 *
 *   agent ──EVALSHA──► redis-server ──MONITOR──► book ──► book_count(), book_last()
 *
 * Redis still does what it is told; the book only listens. Each look first brings it up to date. */
#ifndef REDIS_BOOK_H
#define REDIS_BOOK_H

#include "domain/script.h"
#include "tests/support/redis_server.h"

enum { BOOK_MAX = 1024 };

/* One word about one execution. status, letter: of a resolve, complete or release. */
struct heard {
    enum script_id script;
    struct token token;
    unsigned status;
    char letter;
};

struct redis_book {
    struct redis_server *server;
    redisContext *c;
    unsigned n;
    struct heard heard[BOOK_MAX];
};

void book_open(struct redis_book *b, struct redis_server *s);
void book_close(struct redis_book *b);
/* How many words were said so far, claims and lookups left out. */
unsigned book_size(struct redis_book *b);
/* How often a word was said about a token; token NULL: about any. */
unsigned book_count(struct redis_book *b, enum script_id script, const struct token *t);
/* The last time that it was said; NULL: never. */
const struct heard *book_last(struct redis_book *b, enum script_id script, const struct token *t);

#endif
