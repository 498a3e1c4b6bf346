// SPDX-License-Identifier: MIT
/* oncectl: what an operator sees and says, through the admin socket of one agent (docs/oncectl.md).
 *
 *   argv ──tables of words and switches──► ctl/words ──ctl/client──► agent ──► JSON ──ctl/show──► table, list
 *
 * Exit status: 0 done, 1 not found or refused, 2 wrong arguments, 3 agent or Redis cannot be reached, 4 done, and the
 * output cannot be written. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/version.h"
#include "ctl/words.h"

static const char default_socket[] = "/run/spoa-once/admin.sock";

enum option_bit {
    TAKES_POLICY = 1,
    TAKES_PRINCIPAL = 2,
    TAKES_PLACE = 4, /* host and path */
    TAKES_STATE = 8,
    TAKES_LIMIT = 16,
    TAKES_STATUS = 32,
    TAKES_FORCE = 64,
    TAKES_YES = 128,
    TAKES_BODY = 256,
    TAKES_SITE = 512, /* what attach asks of a site */
    TAKES_RULES = 1024,
    TAKES_ALL = 2048,
    TAKES_CACHED = 4096, /* what is purged of the cache */
    TAKES_HEADER = 8192,
    TAKES_NAME = TAKES_POLICY | TAKES_PRINCIPAL | TAKES_PLACE,
    TAKES_ALWAYS = 0,
};

/* The one list of switches: drives getopt, --help and which word takes which. */
static const struct {
    char letter;
    const char *word, *argument, *help;
    unsigned bit;
} switches[] = {
    {'s', "socket",    "PATH",  "the agent's admin socket; else ONCE_ADMIN, else /run/spoa-once/admin.sock",
     TAKES_ALWAYS                                                                                                         },
    {'j', "json",      NULL,    "print the agent's answer as JSON",                                           TAKES_ALWAYS},
    {'p', "policy",    "NAME",  "the policy that the key belongs to",                                         TAKES_POLICY},
    {'w', "principal", "TEXT",  "whose key it is, where the policy has a principal (an address for \"ip\")",
     TAKES_PRINCIPAL                                                                                                      },
    {'H', "host",      "NAME",  "where the policy's scope is host or path",                                   TAKES_PLACE },
    {'P', "path",      "PATH",  "where the policy's scope is path",                                           TAKES_PLACE },
    {'t', "state",     "WORDS", "only these: free, running, answered, held, done, tomb; parted by commas",
     TAKES_STATE                                                                                                          },
    {'n', "limit",     "N",     "how many are shown (50)",                                                    TAKES_LIMIT },
    {'S', "status",    "N",     "with completed: the status that retries are told, where none was seen",
     TAKES_STATUS                                                                                                         },
    {'b', "body",      NULL,    "print the body of the stored answer, and nothing else",                      TAKES_BODY  },
    {'A', "all",       NULL,    "with purge, cache purge: the whole policy, whoever it belongs to",           TAKES_ALL   },
    {'u', "url",       "URL",   "cache purge: all that is cached of this URL, as clients say it",             TAKES_CACHED},
    {'T', "tag",       "TAG",   "cache purge: all answers with this tag (the policy's cache.tags)",           TAKES_CACHED},
    {'X', "prefix",    "PLACE", "cache purge: host/path and all below it; host/path* and all that begins so",
     TAKES_CACHED                                                                                                         },
    {'k', "header",    "LINE",  "cache show: a header of the request, 'name: value'; once for each",
     TAKES_HEADER                                                                                                         },
    {'f', "force",     NULL,    "also while it runs: it may run twice then",                                  TAKES_FORCE },
    {'y', "yes",       NULL,    "do not ask",                                                                 TAKES_YES   },
    {'r', "runtime",   "PATH",  "HAProxy's runtime socket; else /run/haproxy/admin.sock",                     TAKES_SITE  },
    {'d', "run",       "DIR",   "where the sockets shall lie; else /run/spoa-once",                           TAKES_SITE  },
    {'a', "agents",    "N",     "how many agents shall stand beside HAProxy (1)",                             TAKES_SITE  },
    {'m', "smallest",  NULL,    "without notices and without the hop",                                        TAKES_SITE  },
    {'c', "cache",     NULL,    "with the lines of the response cache",                                       TAKES_SITE  },
    {'e', "spoe",      NULL,    "print once.spoe.cfg, and nothing else",                                      TAKES_SITE  },
    {'R', "rules",     NULL,    "print what doctor looks for, as Markdown",                                   TAKES_RULES },
    {'v', "version",   NULL,    "print the version",                                                          TAKES_ALWAYS},
    {'h', "help",      NULL,    "print this",                                                                 TAKES_ALWAYS},
};
enum { SWITCHES = sizeof switches / sizeof *switches };

/* The one list of words: drives the command line, --help and the check of docs/oncectl.md. */
/* clang-format off */
static const struct word {
    const char *name, *arguments, *help;
    int least, most; /* arguments */
    unsigned takes;
    word_fn *fn;
} words[] = {
    {"status", "", "what the agent says of itself",
     0, 0, 0, say_status},
    {"list", "", "records: keys that are known, by policy, principal, state",
     0, 0, TAKES_POLICY | TAKES_PRINCIPAL | TAKES_STATE | TAKES_LIMIT, say_list},
    {"show", "KEY|ID", "one record; with --body the stored answer's body",
     1, 1, TAKES_NAME | TAKES_BODY, say_show},
    {"resolve", "KEY|ID completed|failed", "say what became of a key: never run it again, or let it run",
     2, 2, TAKES_NAME | TAKES_STATUS | TAKES_FORCE | TAKES_YES, say_resolve},
    {"delete", "KEY|ID", "forget a key's outcome: the next request with it runs",
     1, 1, TAKES_NAME | TAKES_FORCE | TAKES_YES, say_delete},
    {"purge", "", "delete every finished record of one principal; with --all of the policy",
     0, 0, TAKES_POLICY | TAKES_PRINCIPAL | TAKES_ALL | TAKES_YES, say_purge},
    {"limits", "", "the subjects of limits with the most used, of each kind of limit",
     0, 0, TAKES_LIMIT, say_limits},
    {"reset", "ID", "forget what limits have counted of a subject, which limits shows",
     1, 1, TAKES_YES, say_reset},
    {"inflight", "", "what HAProxy's tables held when this agent read them last",
     0, 0, 0, say_inflight},
    {"go", "", "go on after Redis has lost data (redis.on_data_loss = \"refuse\")",
     0, 0, TAKES_YES, say_go},
    {"cache purge", "", "what is cached of a --url, --tag or --prefix counts no more; or of a --policy, with --all",
     0, 0, TAKES_POLICY | TAKES_CACHED | TAKES_ALL | TAKES_YES, say_cache_purge},
    {"cache show", "URL", "explain what is cached of a URL: age, freshness, tags, Vary; why it is served, or not",
     1, 1, TAKES_POLICY | TAKES_PRINCIPAL | TAKES_HEADER, say_cache_show},
    {"attach", "FRONTEND BACKEND..", "the lines for the haproxy.cfg of a running HAProxy, each with its reason",
     0, 64, TAKES_POLICY | TAKES_PLACE | TAKES_SITE, say_attach},
    {"doctor", "[FILE..]", "look at agent, HAProxy (its files too) and Redis, say what is wrong and the way out",
     0, 64, TAKES_RULES, say_doctor},
};
/* clang-format on */
enum { WORDS = sizeof words / sizeof *words };

int wrong(const char *text, const char *what)
{
    fprintf(stderr, "oncectl: %s%s (oncectl --help)\n", text, what);
    return EXIT_USAGE;
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: oncectl [switches] WORD [arguments]\n\n");
    for (size_t i = 0; i < WORDS; i++)
        fprintf(out, "  %-11s %-24s %s\n", words[i].name, words[i].arguments, words[i].help);
    fprintf(
        out,
        "\nA KEY is what the client sent, with --policy (and what else its name needs); `-` reads it from "
        "standard input:\n"
        "arguments can be seen by others of this machine. An ID is what list shows, without --policy.\n\n");
    for (size_t i = 0; i < SWITCHES; i++)
        fprintf(out, "  -%c, --%-9s %-5s  %s\n", switches[i].letter, switches[i].word,
                switches[i].argument ? switches[i].argument : "", switches[i].help);
    fprintf(out, "\nexit status: 0 done, 1 not found or refused, 2 wrong arguments, 3 agent or Redis cannot "
                 "be reached,\n             4 done, and the output cannot be written\n");
}

/* One line is one key; NULL, or what is wrong with it. (On a terminal nothing behind the line is waited for.) */
static const char *read_key(struct command *c)
{
    size_t n = 0;
    int letter = EOF;
    while (n < sizeof c->key && (letter = getchar()) != EOF && letter != '\n')
        c->key[n++] = (char)letter;
    if (n == 0)
        return "no key came from standard input";
    if (n == sizeof c->key || memchr(c->key, '\0', n))
        return "what came from standard input is no key: it is too long, or has a NUL byte in it";
    if (letter == '\n' && !isatty(STDIN_FILENO) && getchar() != EOF)
        return "more than one line came from standard input: one key is said at a time";
    return NULL;
}

static unsigned bit_of(int letter)
{
    for (size_t i = 0; i < SWITCHES; i++)
        if (switches[i].letter == letter)
            return switches[i].bit;
    return 0;
}

/* Lines, as the agent reads them; false: they are too many, or one has a line break in it. */
static bool take_header(struct command *c, const char *line)
{
    size_t n = strlen(c->headers);
    if (!strpbrk(line, "\r\n") &&
        snprintf(c->headers + n, sizeof c->headers - n, "%s\n", line) < (int)(sizeof c->headers - n))
        return true;
    wrong("a header is one line, and all together have some 4000 bytes at most: --header", "");
    return false;
}

static bool take_switch(struct command *c, int letter)
{
    switch (letter) {
    case 's': c->socket = optarg; return true;
    case 'j': return c->json = true;
    case 'p': c->policy = optarg; return true;
    case 'w': c->principal = optarg; return true;
    case 'H': c->host = optarg; return true;
    case 'P': c->path = optarg; return true;
    case 't': c->state = optarg; return true;
    case 'n': c->limit = optarg; return true;
    case 'S': c->status = optarg; return true;
    case 'b': return c->body = true;
    case 'A': return c->all = true;
    case 'f': return c->force = true;
    case 'y': return c->yes = true;
    case 'r': c->runtime = optarg; return true;
    case 'd': c->run = optarg; return true;
    case 'a': c->agents = optarg; return true;
    case 'm': return c->smallest = true;
    case 'c': return c->cache = true;
    case 'e': return c->spoe = true;
    case 'R': return c->rules = true;
    case 'u': c->url = optarg; return true;
    case 'T': c->tag = optarg; return true;
    case 'X': c->prefix = optarg; return true;
    case 'k': return take_header(c, optarg);
    default: return false;
    }
}

/* An empty value means nothing, least of all "any": in a script it is a variable that was not set. The word of a switch, or
 * NULL. */
static const char *empty_switch(int letter)
{
    for (size_t i = 0; i < SWITCHES; i++)
        if (switches[i].letter == letter && switches[i].argument && *optarg == '\0')
            return switches[i].word;
    return NULL;
}

/* How many arguments are a word's name, one or two; 0: they are not. */
static int is_word(const struct word *w, const struct command *c)
{
    size_t first = strcspn(w->name, " ");
    if (strncmp(w->name, c->args[0], first) != 0 || c->args[0][first] != '\0')
        return 0;
    if (w->name[first] == '\0')
        return 1;
    return c->nargs > 1 && strcmp(w->name + first + 1, c->args[1]) == 0 ? 2 : 0;
}

static int run(struct command *c, unsigned given)
{
    const struct word *w = words;
    const char *why;
    while (w < words + WORDS && !is_word(w, c))
        w++;
    if (w == words + WORDS)
        return wrong("no such word: ", c->args[0]);
    int named = is_word(w, c);
    c->args += named;
    c->nargs -= named;
    if (c->nargs < w->least || c->nargs > w->most)
        return wrong("arguments of this word are ", *w->arguments ? w->arguments : "none");
    for (size_t i = 0; i < SWITCHES; i++)
        if (given & switches[i].bit & ~w->takes)
            return wrong("this word does not take --", switches[i].word);
    for (int i = 0; i < c->nargs; i++)
        if (c->args[i][0] == '\0')
            return wrong("an argument is empty ('') where this word wants ", w->arguments);
    if (c->nargs > 0 && strcmp(c->args[0], "-") == 0 && (why = read_key(c)))
        return wrong(why, "");
    return w->fn(c);
}

/* The table in getopt's two forms. */
static void switches_for_getopt(struct option long_words[SWITCHES + 1], char letters[2 * SWITCHES + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < SWITCHES; i++) {
        letters[n++] = switches[i].letter;
        if (switches[i].argument)
            letters[n++] = ':';
        long_words[i] =
            (struct option){switches[i].word, switches[i].argument != NULL, NULL, switches[i].letter};
    }
    letters[n] = '\0';
    long_words[SWITCHES] = (struct option){0};
}

/* What was printed must have come out: a script that reads half a list must not take it for the whole. */
static int written(int rc)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    fprintf(stderr, "oncectl: standard output: %s\n", errno ? strerror(errno) : "cannot be written");
    return rc == EXIT_DONE ? EXIT_UNWRITTEN : rc;
}

int main(int argc, char **argv)
{
    const char *socket = getenv("ONCE_ADMIN");
    struct command c = {.socket = socket && *socket ? socket : default_socket};
    struct option long_words[SWITCHES + 1];
    char letters[2 * SWITCHES + 1];
    const char *empty;
    unsigned given = 0;
    int letter;
    switches_for_getopt(long_words, letters);
    while ((letter = getopt_long(argc, argv, letters, long_words, NULL)) != -1) {
        if (letter == 'h') {
            print_help(stdout);
            return written(EXIT_DONE);
        }
        if (letter == 'v') {
            printf("oncectl " SPOA_ONCE_VERSION "\n");
            return written(EXIT_DONE);
        }
        if (!take_switch(&c, letter))
            return EXIT_USAGE;
        if ((empty = empty_switch(letter)))
            return wrong("an empty value ('') means nothing: give it one, or leave out --", empty);
        given |= bit_of(letter);
    }
    c.args = argv + optind;
    c.nargs = argc - optind;
    if (c.nargs > 0)
        return written(run(&c, given));
    print_help(stderr);
    return EXIT_USAGE;
}
