// SPDX-License-Identifier: MIT
/* Holds a site's HAProxy configuration against what the gate rests on (PROTOCOL; haproxy-conf/attach says why
 * line by line). One table of rules, hacheck_rules[], drives the check and docs/haproxy-check.md.
 *
 *   site (haproxy.cfg) ─┐
 *   spoe (its engines) ─┼──► each rule of the table ──► findings: rule, file, line, what is wrong and the way out
 *   the agent's config ─┘
 *
 * It says what is certainly wrong, or certainly missing. What it cannot see (another place that does the same
 * work in other words) it takes for missing: the shipped lines are to be pasted as they are. */
#ifndef HACHECK_H
#define HACHECK_H

#include "domain/buf.h"
#include "domain/config.h"
#include "domain/haconf.h"

struct hacheck_finding {
    const char *id;
    bool warning; /* else an error: the promise would not hold, or nothing would work */
    const char *file;
    unsigned line;
    const char *text; /* what, why and the way out; lives until the callback returns */
};
typedef void hacheck_report_fn(void *arg, const struct hacheck_finding *f);

/* The text of a map file that a line names, NUL-terminated, alive until the check ends; NULL: cannot be read.
 */
typedef const char *hacheck_map_fn(void *arg, const char *path);

struct hacheck_input {
    const struct haconf *site, *spoe;
    const struct config *agent; /* the agent's configuration, or its defaults */
    bool policies_known;        /* it is the agent's own: its policies and sockets count too */
    hacheck_map_fn *map;
    hacheck_report_fn *report;
    void *arg; /* of both */
};

/* 0, or -1: no memory. */
int hacheck_run(const struct hacheck_input *in);
/* The table of rules in Markdown. */
void hacheck_print(struct buf *out);

#endif
