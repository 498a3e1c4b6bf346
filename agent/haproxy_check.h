// SPDX-License-Identifier: MIT
/* `spoa-once -c --haproxy FILE..`: reads a site's HAProxy configuration and says what breaks the promise. */
#ifndef HAPROXY_CHECK_H
#define HAPROXY_CHECK_H

#include "cmdline.h"
#include "domain/config.h"

/* c: of -f, or the defaults. Findings go to stderr, the sum to stdout. Exit status: 1 if there was an error
 * or a file could not be read; warnings alone leave it 0. */
int haproxy_check(const struct command_line *line, const struct config *c);

#endif
