// SPDX-License-Identifier: MIT
/* The files of an HAProxy configuration, found and read as HAProxy does.
 *
 *   FILE         haproxy.cfg
 *   DIRECTORY    its *.cfg that do not begin with a dot, by name
 *   SPOE files   named by `filter spoe .. config`: read by themselves, or given as FILE where the path is another
 *   maps         named by rules, read when they are asked for
 *
 * ${NAME} is looked for in setenv and presetenv, then in our own environment. */
#ifndef HAFILES_H
#define HAFILES_H

#include "domain/haconf.h"

enum { HAFILES_MAX = 1024, HAFILES_BYTES_MAX = 4 << 20 }; /* files of a directory; bytes of one */

struct hafiles_map;
struct hafiles {
    struct haconf site, spoe;
    struct hafiles_map *maps;
};

/* What cannot be read is told; the rest is there all the same. */
void hafiles_read(struct hafiles *f, const char *const *paths, unsigned n, haconf_wrong_fn *wrong, void *arg);
void hafiles_free(struct hafiles *f);
/* Text of a map file; NULL: it cannot be read. It lives until hafiles_free(). */
const char *hafiles_map(struct hafiles *f, const char *path);

#endif
