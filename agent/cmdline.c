// SPDX-License-Identifier: MIT
/* argv by one table: short and long switch, its argument, what --help says of it. What cannot go together is
 * refused here, before anything is read or opened. */
#include "cmdline.h"

#include <getopt.h>
#include <stdio.h>

/* The one list of switches: drives getopt, --help and README's check. */
static const struct {
    char letter;
    const char *word, *argument, *help;
} switches[] = {
    {'f', "file",    "FILE",   "read the configuration from FILE"                               },
    {'c', "check",   NULL,     "check the configuration, say every mistake, and end"            },
    {'H', "haproxy", "FILE..",
     "with -c: check HAProxy's configuration too: its files in its order; -f may be left out"   },
    {'r', "ready",   NULL,     "ask the agent that runs with FILE: exit status 0 if it is ready"},
    {'D', "daemon",  NULL,     "go to the background once started"                              },
    {'p', "pidfile", "FILE",   "write the process id to FILE"                                   },
    {'q', "quiet",   NULL,     "print nothing that is not an error"                             },
    {'v', "version", NULL,     "print the version; twice (-vv): and what it was built with"     },
    {'O', "options", NULL,     "print every option with its default and its bounds, as Markdown"},
    {'R', "rules",   NULL,     "print what -c --haproxy looks for, as Markdown"                 },
    {'h', "help",    NULL,     "print this"                                                     },
};
enum { SWITCHES = sizeof switches / sizeof *switches };

static void print_help(FILE *out)
{
    fprintf(out, "usage: spoa-once [switches] -f FILE\n");
    for (size_t i = 0; i < SWITCHES; i++)
        fprintf(out, "  -%c, --%-8s %-5s %s\n", switches[i].letter, switches[i].word,
                switches[i].argument ? switches[i].argument : "", switches[i].help);
}

static int wrong(const char *text, const char *what)
{
    fprintf(stderr, "spoa-once: %s%s\n", text, what);
    return 2;
}

/* What stands behind the switches belongs to --haproxy. -1, or the exit status. */
static int take_rest(struct command_line *line, int argc, char **argv)
{
    if (optind < argc && line->nhaproxy == 0)
        return wrong("not a switch (the file is given as -f FILE): ", argv[optind]);
    for (; optind < argc; optind++) {
        if (line->nhaproxy == COMMAND_FILES_MAX)
            return wrong("too many files behind --haproxy (put them into a directory): ", argv[optind]);
        line->haproxy[line->nhaproxy++] = argv[optind];
    }
    if (line->nhaproxy > 0 && !line->check)
        return wrong("--haproxy only checks: give -c too", "");
    if (line->ready && (line->check || line->daemon))
        return wrong("--ready asks an agent that runs: give neither -c nor -D", "");
    if (!line->file && line->nhaproxy == 0)
        return wrong("no configuration: give one with -f FILE", "");
    return -1;
}

/* The table in getopt's two forms. */
static void switches_for_getopt(struct option words[SWITCHES + 1], char letters[2 * SWITCHES + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < SWITCHES; i++) {
        letters[n++] = switches[i].letter;
        if (switches[i].argument)
            letters[n++] = ':';
        words[i] = (struct option){switches[i].word, switches[i].argument != NULL, NULL, switches[i].letter};
    }
    letters[n] = '\0';
    words[SWITCHES] = (struct option){0};
}

int cmdline_read(int argc, char **argv, struct command_line *line)
{
    struct option words[SWITCHES + 1];
    char letters[2 * SWITCHES + 1];
    int c;
    *line = (struct command_line){0};
    switches_for_getopt(words, letters);
    while ((c = getopt_long(argc, argv, letters, words, NULL)) != -1) {
        switch (c) {
        case 'f': line->file = optarg; break;
        case 'p': line->pidfile = optarg; break;
        case 'c': line->check = true; break;
        case 'r': line->ready = true; break;
        case 'D': line->daemon = true; break;
        case 'q': line->quiet = true; break;
        case 'v': line->verbose++, line->print = c; break;
        case 'O':
        case 'R': line->print = c; break;
        case 'H': line->haproxy[0] = optarg, line->nhaproxy = 1; break;
        case 'h': print_help(stdout); return 0;
        default: print_help(stderr); return 2;
        }
    }
    if (line->print)
        return -1;
    return take_rest(line, argc, argv);
}
