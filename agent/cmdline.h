// SPDX-License-Identifier: MIT
/* The command line: one table of switches drives the reading and the help. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stdbool.h>

enum { COMMAND_FILES_MAX = 64 };

struct command_line {
    const char *file, *pidfile;
    const char *haproxy[COMMAND_FILES_MAX]; /* files and directories of --haproxy */
    unsigned nhaproxy;
    bool check, daemon, quiet, ready;
    int print;        /* letter of a switch that only prints: 'v', 'O' or 'R'; 0: none */
    unsigned verbose; /* how often -v was given */
};

/* -1: go on; else the exit status: help was asked for, or the line is wrong (said on stderr). */
int cmdline_read(int argc, char **argv, struct command_line *line);

#endif
