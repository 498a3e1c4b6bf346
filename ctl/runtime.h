// SPDX-License-Identifier: MIT
/* One question to HAProxy's runtime socket, and its answer (HAProxy, doc/management.txt, section 9.3). */
#ifndef CTL_RUNTIME_H
#define CTL_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

enum { RUNTIME_WHY = 200, RUNTIME_WORD = 256 };

/* The whole answer, to be freed; NULL, with the reason in why: nobody listens there, or nobody answers within 5 s. */
char *runtime_ask(const char *path, const char *command, char why[RUNTIME_WHY]);
/* Value of a line "Name: value" of `show info`; "" if it is not there. */
void runtime_field(const char *text, const char *name, char out[RUNTIME_WORD]);

/* The rows of a CSV answer (`show stat`), one after another; the first call reads the titles. */
struct runtime_rows {
    const char *titles, *at;
};
bool runtime_next(struct runtime_rows *r, const char *text);
/* Cell of the present row under that title; "" if there is none. */
void runtime_cell(const struct runtime_rows *r, const char *title, char out[RUNTIME_WORD]);

#endif
