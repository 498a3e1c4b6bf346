// SPDX-License-Identifier: MIT
/* Texts around a configuration file: the file itself, ${ENV} in its values, secrets in files of their own.
 *
 *   "${REDIS_HOST}:6379"   the environment's value; unset is a mistake, empty is not
 *   "cost: $$5"            a dollar
 *
 * Every function returns 0, or -1 with the reason in err. */
#ifndef CONFTEXT_H
#define CONFTEXT_H

#include "domain/buf.h"
#include "domain/config.h"

/* A regular file of at most `max` bytes, with a NUL behind it that out->len does not count. A NUL inside is
 * refused. If `mode` is not NULL it gets the file's permissions. */
int conftext_load(const char *path, size_t max, struct buf *out, uint32_t *mode, char *err, size_t errlen);
/* Replaces what is in out by the expanded text and a NUL. */
int conftext_expand(const char *text, struct buf *out, char *err, size_t errlen);
/* One line; a newline at its end does not count. A file that everybody may read is refused: what it holds is
 * no secret. */
int conftext_secret(const char *path, config_text out, char *err, size_t errlen);

#endif
