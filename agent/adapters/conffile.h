// SPDX-License-Identifier: MIT
/* Reading a configuration file: the only file that knows libconfig. */
#ifndef CONFFILE_H
#define CONFFILE_H

#include "domain/config.h"

/* Called for each mistake: file, line (0: the whole file), what is wrong. The text names option, value and
 * what is allowed. */
typedef void conffile_error_fn(void *arg, const char *file, unsigned line, const char *text);

/* Reads the file, expands ${ENV}, reads secrets from their files, checks every value and the rules between
 * values (PROTOCOL, Timing rules). All mistakes are reported, not only the first. Returns a configuration
 * with one reference, or NULL if there was any mistake. */
struct config *conffile_read(const char *file, conffile_error_fn *report, void *arg);

#endif
