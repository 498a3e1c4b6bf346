// SPDX-License-Identifier: MIT
/* One line of an HAProxy configuration, to words (HAProxy's configuration manual, 2.2 to 2.4).
 *
 *   a "b c" d\ e 'f' # g     a | b c | d e | f        blanks part words; quotes and backslashes keep them
 *   "${NAME}" "${NAME-x}"    the environment, only between double quotes; unset is empty, or x
 *   \# \" \' \\ \$ \xHH \n   what they name; in single quotes nothing is special
 */
#ifndef HACONF_WORDS_H
#define HACONF_WORDS_H

#include <stddef.h>

enum { HACONF_WORDS_MAX = 64 }; /* HAProxy's MAX_LINE_ARGS */

/* NULL: not set. */
typedef const char *haconf_env_fn(void *arg, const char *name);

/* Splits `len` bytes (no newline, no NUL) into words, each with a NUL behind it, in memory of `cap` bytes.
 * Returns their number, or -1 with *wrong saying why: too many, too long, a quote that is not closed. */
int haconf_words(const char *line, size_t len, haconf_env_fn *env, void *env_arg, char *memory, size_t cap,
                 const char *words[HACONF_WORDS_MAX], const char **wrong);

#endif
