// SPDX-License-Identifier: MIT
/* What the files of the configuration's reader share; nobody else knows libconfig.
 *
 *   conffile.c           the tree, by the option tables      conffile_secrets.c    what lies in files of its own
 *   conffile_value.c     one value */
#ifndef CONFFILE_INNER_H
#define CONFFILE_INNER_H

#include <libconfig.h>

#include "adapters/conffile.h"
#include "domain/buf.h"
#include "domain/options.h"

enum { SHOWN_MAX = 80 };

struct reader {
    const char *file;
    conffile_error_fn *report;
    void *arg;
    unsigned mistakes;
    struct config *config;
    config_setting_t *root;
    char where[288]; /* "policy 'payments': limit 'client': tier 'gold': " */
    struct buf value;
};

/* Reports a mistake at the line of s (NULL: of the whole file). */
__attribute__((format(printf, 3, 4))) void conffile_mistake(struct reader *r, const config_setting_t *s,
                                                            const char *format, ...);
/* A value for a message: one line, not too long. */
const char *conffile_shown(const struct option *o, const char *value, char out[SHOWN_MAX]);
/* The deepest setting on the way to a path; a value that is not written has the line of its group. */
config_setting_t *conffile_deepest(config_setting_t *s, const char *path);

/* The value as it is written, with a NUL, into `value`; returns its form (enum option_form), or -1 with the
 * reason in err. value->failed: no memory. */
int conffile_value(const config_setting_t *s, struct buf *value, char *err, size_t errlen);
/* Passwords and keys, from the files that the values name. */
void conffile_secrets(struct reader *r);

#endif
