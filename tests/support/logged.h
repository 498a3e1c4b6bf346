// SPDX-License-Identifier: MIT
/* What is logged between two moments, as text.
 *
 *   logged_begin() .. logged_end() .. logged_count("redis-down") */
#ifndef LOGGED_H
#define LOGGED_H

/* From now on, level info and above; not to the terminal. */
void logged_begin(void);
/* As before; only errors are logged. */
void logged_end(void);
/* How often a text stands in its first 16 KB. */
unsigned logged_count(const char *text);

#endif
