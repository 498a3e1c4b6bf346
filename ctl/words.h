// SPDX-License-Identifier: MIT
/* What the files of oncectl share: the command line as it was understood, and a function for each word. */
#ifndef CTL_WORDS_H
#define CTL_WORDS_H

#include <stdbool.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_UNWRITTEN = 4 };

struct command {
    const char *socket, *policy, *principal, *host, *path, *state, *limit, *status;
    const char *runtime, *run, *agents; /* of attach */
    const char *url, *tag, *prefix;     /* of cache purge */
    bool json, yes, force, body, all, smallest, cache, spoe, rules;
    int nargs;
    char **args;
    char key[512];      /* read from standard input */
    char headers[4096]; /* of cache show: lines */
};

/* Does what was asked; the exit status. */
typedef int word_fn(const struct command *c);
word_fn say_status, say_list, say_show, say_resolve, say_delete, say_purge, say_limits, say_reset,
    say_inflight, say_go, say_attach, say_doctor, say_cache_purge, say_cache_show;

/* Says what is wrong with the command line; EXIT_USAGE. */
int wrong(const char *text, const char *what);

#endif
