// SPDX-License-Identifier: MIT
/* What people read: tables and lists made of the agent's JSON. */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>

/* A column, or a line of a list: which member, under which title, written how. */
enum show_as { SHOW_PLAIN, SHOW_AGO, SHOW_LEFT_MS, SHOW_BYTES, SHOW_SECONDS };
struct show {
    const char *member, *title;
    enum show_as as;
};

/* rows: an array of objects; shows ends with member NULL. */
void show_table(const json_t *rows, const struct show *shows);
/* One line for each member that is there and not null. */
void show_list(const json_t *object, const struct show *shows);
void show_json(const json_t *json);
/* Writes the bytes of a base64 text; false: it is none. */
bool show_base64(const char *text);

#endif
