// SPDX-License-Identifier: MIT
/* What the words share: whether the agent did it, whoever is asked before, and a walk through many steps. */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/words.h"

enum { ASK_CURSOR = 32, ASK_MOST = 1000000 };

/* EXIT_DONE: it is a good answer. Else it was said why not, and the reply's JSON is dropped. */
int ask_refused(struct reply *r);
/* Asks, and prints the answer as a list (or its JSON); the exit status. */
int ask_list(const struct command *c, const char *method, const char *path, const struct query *q,
             const struct show *list);
/* Is there somebody at a terminal? */
bool ask_possible(const struct command *c);
/* Asks whether what is said is meant, unless --yes was; false: no, or there is nobody to ask. */
bool ask_sure(const struct command *c, const char *what);
/* How many rows were asked for; 0: that is no number. */
size_t ask_limit(const struct command *c);
/* Where the step after this one begins; "0": there is none. */
void ask_next(char cursor[ASK_CURSOR], const json_t *step);
/* Rows of a walk until the end, or until there are `most`, an array; NULL: *rc says why. *skipped grows by the keys that
 * are no record. */
json_t *ask_walk(const struct command *c, const char *path, const char *member, size_t most,
                 json_int_t *skipped, int *rc);
/* Prints {member: rows, "skipped": n}; rows are dropped. EXIT_DONE. */
int ask_show_rows(const struct command *c, const char *member, json_t *rows, json_int_t skipped,
                  const struct show *table);
/* One line on stderr where there are some. */
void ask_tell_skipped(json_int_t n);

#endif
