// SPDX-License-Identifier: MIT
/* What the files of the configuration's reader share: conffile.c walks the tree, conffile_value.c reads one
 * value. Nobody else knows libconfig. */
#ifndef CONFFILE_INNER_H
#define CONFFILE_INNER_H

#include <libconfig.h>

#include "domain/buf.h"

/* The value as it is written, with a NUL, into `value`; returns its form (enum option_form), or -1 with the
 * reason in err. value->failed: no memory. */
int conffile_value(const config_setting_t *s, struct buf *value, char *err, size_t errlen);

#endif
