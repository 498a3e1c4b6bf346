// SPDX-License-Identifier: MIT
/* oncectl: what an operator sees and says, through the admin socket of one agent (docs/oncectl.md).
 *
 *   argv ──table of words──► question ──ctl/client──► agent ──► JSON ──ctl/show──► table, list, or JSON as it is
 *
 * Exit status: 0 done, 1 not found or refused, 2 wrong arguments, 3 agent or Redis cannot be reached. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/version.h"
#include "ctl/client.h"
#include "ctl/show.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

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
    TAKES_NAME = TAKES_POLICY | TAKES_PRINCIPAL | TAKES_PLACE,
    TAKES_ALWAYS = 0,
};

struct command {
    const char *socket, *policy, *principal, *host, *path, *state, *limit, *status;
    bool json, yes, force, body;
    int nargs;
    char **args;
    char key[512]; /* read from standard input */
};

/* The one list of switches: drives getopt, --help and which word takes which. */
static const struct {
    char letter;
    const char *word, *argument, *help;
    unsigned bit;
} switches[] = {
    {'s', "socket",    "PATH",   "the agent's admin socket; else ONCE_ADMIN, else /run/spoa-once/admin.sock",  TAKES_ALWAYS   },
    {'j', "json",      NULL,     "print the agent's answer as JSON",                                           TAKES_ALWAYS   },
    {'p', "policy",    "NAME",   "the policy that the key belongs to",                                         TAKES_POLICY   },
    {'w', "principal", "TEXT",   "whose key it is, where the policy has a principal (an address for \"ip\")",  TAKES_PRINCIPAL},
    {'H', "host",      "NAME",   "where the policy's scope is host or path",                                   TAKES_PLACE    },
    {'P', "path",      "PATH",   "where the policy's scope is path",                                           TAKES_PLACE    },
    {'t', "state",     "WORDS",  "only these: free, running, answered, held, done, tomb; parted by commas",    TAKES_STATE    },
    {'n', "limit",     "N",      "how many are shown (50)",                                                    TAKES_LIMIT    },
    {'S', "status",    "N",      "with completed: the status that retries are told, where none was seen",      TAKES_STATUS   },
    {'b', "body",      NULL,     "print the body of the stored answer, and nothing else",                      TAKES_BODY     },
    {'f', "force",     NULL,     "also while it runs: it may run twice then",                                  TAKES_FORCE    },
    {'y', "yes",       NULL,     "do not ask",                                                                 TAKES_YES      },
    {'v', "version",   NULL,     "print the version",                                                          TAKES_ALWAYS   },
    {'h', "help",      NULL,     "print this",                                                                 TAKES_ALWAYS   },
};
enum { SWITCHES = sizeof switches / sizeof *switches };

typedef int word_fn(const struct command *c);
static word_fn say_status, say_list, say_show, say_resolve, say_delete, say_purge, say_limits, say_inflight, say_go;

static const struct word {
    const char *name, *arguments, *help;
    int least, most; /* arguments */
    unsigned takes;
    word_fn *fn;
} words[] = {
    {"status",   "",                          "what the agent says of itself",                                0, 0, 0,                                              say_status  },
    {"list",     "",                          "records: keys that are known, by policy, principal, state",    0, 0, TAKES_POLICY | TAKES_PRINCIPAL | TAKES_STATE | TAKES_LIMIT, say_list},
    {"show",     "KEY|ID",                    "one record; with --body the stored answer's body",             1, 1, TAKES_NAME | TAKES_BODY,                        say_show    },
    {"resolve",  "KEY|ID completed|failed",   "say what became of a key: never run it again, or let it run",  2, 2, TAKES_NAME | TAKES_STATUS | TAKES_FORCE | TAKES_YES, say_resolve},
    {"delete",   "KEY|ID",                    "forget a key's outcome: the next request with it runs",        1, 1, TAKES_NAME | TAKES_FORCE | TAKES_YES,           say_delete  },
    {"purge",    "",                          "delete every finished record of a policy, or of a principal in it", 0, 0, TAKES_POLICY | TAKES_PRINCIPAL | TAKES_YES, say_purge   },
    {"limits",   "",                          "the subjects of limits with the most of their time used",      0, 0, TAKES_LIMIT,                                    say_limits  },
    {"inflight", "",                          "what HAProxy's tables held when this agent read them last",    0, 0, 0,                                              say_inflight},
    {"go",       "",                          "go on after Redis has lost data (redis.on_data_loss = \"refuse\")", 0, 0, TAKES_YES,                                 say_go      },
};
enum { WORDS = sizeof words / sizeof *words };

static int wrong(const char *text, const char *what)
{
    fprintf(stderr, "oncectl: %s%s (oncectl --help)\n", text, what);
    return EXIT_USAGE;
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: oncectl [switches] WORD [arguments]\n\n");
    for (size_t i = 0; i < WORDS; i++)
        fprintf(out, "  %-8s %-24s %s\n", words[i].name, words[i].arguments, words[i].help);
    fprintf(out, "\nA KEY is what the client sent, with --policy (and what else its name needs); `-` reads it from standard input:\n"
                 "arguments can be seen by others of this machine. An ID is what list shows, without --policy.\n\n");
    for (size_t i = 0; i < SWITCHES; i++)
        fprintf(out, "  -%c, --%-9s %-5s  %s\n", switches[i].letter, switches[i].word,
                switches[i].argument ? switches[i].argument : "", switches[i].help);
    fprintf(out, "\nexit status: 0 done, 1 not found or refused, 2 wrong arguments, 3 agent or Redis cannot be reached\n");
}

/* Says why, and what it means for the caller; the reply's JSON is dropped. EXIT_DONE: it is a good answer. */
static int refused(struct reply *r)
{
    if (r->status == 200)
        return EXIT_DONE;
    const char *detail = json_string_value(json_object_get(r->json, "detail"));
    if (r->status != 0)
        fprintf(stderr, "oncectl: %s\n", detail ? detail : "refused");
    json_decref(r->json);
    if (r->status == 0 || r->status >= 500)
        return EXIT_UNREACHABLE;
    return r->status == 400 ? EXIT_USAGE : EXIT_REFUSED;
}

/* How a record is named: by its id, or by what the client said. */
static void name_query(const struct command *c, struct query out[8])
{
    const char *name = c->key[0] ? c->key : c->args[0];
    const struct query q[8] = {
        {c->policy ? "key" : "id", name},
        {"policy", c->policy},
        {"principal", c->principal},
        {"host", c->host},
        {"path", c->path},
        {NULL, NULL},
    };
    memcpy(out, q, sizeof q);
}

static void add(struct query *q, const char *name, const char *value)
{
    while (q->name)
        q++;
    q[0] = (struct query){name, value};
    q[1] = (struct query){NULL, NULL};
}

/* False: no, or there is nobody to ask. */
static bool sure(const struct command *c, const char *what)
{
    char line[16] = "";
    if (c->yes)
        return true;
    if (!isatty(STDIN_FILENO) || c->key[0]) {
        fprintf(stderr, "oncectl: nobody can be asked here: say --yes\n");
        return false;
    }
    printf("%s Sure? [y/N] ", what);
    fflush(stdout);
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static const struct show record_list[] = {
    {"id",           "id",           SHOW_PLAIN  },
    {"policy",       "policy",       SHOW_PLAIN  },
    {"state",        "state",        SHOW_PLAIN  },
    {"why",          "why",          SHOW_PLAIN  },
    {"status",       "status",       SHOW_PLAIN  },
    {"since_us",     "since",        SHOW_AGO    },
    {"ttl_ms",       "expires in",   SHOW_LEFT_MS},
    {"lease_ms",     "lease",        SHOW_LEFT_MS},
    {"fence",        "fence",        SHOW_PLAIN  },
    {"process",      "process",      SHOW_PLAIN  },
    {"hold",         "hold",         SHOW_PLAIN  },
    {"who",          "principal",    SHOW_PLAIN  },
    {"location",     "location",     SHOW_PLAIN  },
    {"stored_bytes", "stored bytes", SHOW_PLAIN  },
    {NULL,           NULL,           SHOW_PLAIN  },
};

static const struct show record_table[] = {
    {"id",       "ID",      SHOW_PLAIN  },
    {"policy",   "POLICY",  SHOW_PLAIN  },
    {"state",    "STATE",   SHOW_PLAIN  },
    {"why",      "WHY",     SHOW_PLAIN  },
    {"status",   "STATUS",  SHOW_PLAIN  },
    {"since_us", "SINCE",   SHOW_AGO    },
    {"ttl_ms",   "EXPIRES", SHOW_LEFT_MS},
    {"process",  "PROCESS", SHOW_PLAIN  },
    {NULL,       NULL,      SHOW_PLAIN  },
};

static int say_status(const struct command *c)
{
    static const struct show list[] = {
        {"version",         "version",         SHOW_PLAIN},
        {"pid",             "pid",             SHOW_PLAIN},
        {"file",            "configuration",   SHOW_PLAIN},
        {"redis_ready",     "redis ready",     SHOW_PLAIN},
        {"breaker_open",    "breaker open",    SHOW_PLAIN},
        {"data",            "data",            SHOW_PLAIN},
        {"haproxy_workers", "haproxy workers", SHOW_PLAIN},
        {"polled_sockets",  "polled sockets",  SHOW_PLAIN},
        {"inflight",        "in flight",       SHOW_PLAIN},
        {"deciding",        "deciding",        SHOW_PLAIN},
        {"unconfirmed",     "unconfirmed",     SHOW_PLAIN},
        {"policies",        "policies",        SHOW_PLAIN},
        {NULL,              NULL,              SHOW_PLAIN},
    };
    struct reply r = client_ask(c->socket, "GET", "/v1/status", &(struct query){NULL, NULL});
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    json_decref(r.json);
    return EXIT_DONE;
}

/* How many were asked for; 0: that is no number. */
static size_t limit_of(const struct command *c)
{
    char *end;
    long n = c->limit ? strtol(c->limit, &end, 10) : 50;
    return n > 0 && n <= 1000000 && (!c->limit || *end == '\0') ? (size_t)n : 0;
}

/* Walks until the end, or until there are `most`; NULL: *rc says why. */
static json_t *walk(const struct command *c, const char *path, const char *member, size_t most, int *rc)
{
    char cursor[32] = "0";
    json_t *all = json_array(), *e;
    size_t i;
    do {
        const struct query q[] = {
            {"policy", c->policy},
            {"principal", c->principal},
            {"state", c->state},
            {"cursor", cursor},
            {NULL, NULL},
        };
        struct reply r = client_ask(c->socket, "GET", path, q);
        if ((*rc = refused(&r)) != EXIT_DONE) {
            json_decref(all);
            return NULL;
        }
        json_array_foreach(json_object_get(r.json, member), i, e)
        {
            if (json_array_size(all) < most)
                json_array_append(all, e);
        }
        const char *next = json_string_value(json_object_get(r.json, "cursor"));
        snprintf(cursor, sizeof cursor, "%s", next ? next : "0");
        json_decref(r.json);
    } while (strcmp(cursor, "0") != 0 && json_array_size(all) < most);
    return all;
}

static int show_rows(const struct command *c, const char *member, json_t *rows, const struct show *table)
{
    json_t *whole = json_pack("{s:o}", member, rows);
    c->json ? show_json(whole) : show_table(rows, table);
    json_decref(whole);
    return EXIT_DONE;
}

static int say_list(const struct command *c)
{
    int rc = EXIT_USAGE;
    size_t most = limit_of(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = walk(c, "/v1/records", "records", most, &rc);
    return rows ? show_rows(c, "records", rows, record_table) : rc;
}

static double most_used(const json_t *row)
{
    double most = 0;
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(row, "used_s"), i, e)
    {
        most = json_number_value(e) > most ? json_number_value(e) : most;
    }
    return most;
}

static int by_use(const void *a, const void *b)
{
    double x = most_used(*(json_t *const *)a), y = most_used(*(json_t *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

static int say_limits(const struct command *c)
{
    static const struct show table[] = {
        {"id",     "SUBJECT",      SHOW_PLAIN  },
        {"used_s", "SECONDS USED", SHOW_PLAIN  },
        {"ttl_ms", "EXPIRES",      SHOW_LEFT_MS},
        {NULL,     NULL,           SHOW_PLAIN  },
    };
    int rc = EXIT_USAGE;
    size_t most = limit_of(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = walk(c, "/v1/limits", "limits", 1000000, &rc), *top = json_array();
    if (!rows)
        return rc;
    size_t n = json_array_size(rows);
    json_t **sorted = calloc(n ? n : 1, sizeof *sorted);
    for (size_t i = 0; sorted && i < n; i++)
        sorted[i] = json_array_get(rows, i);
    if (sorted)
        qsort(sorted, n, sizeof(json_t *), by_use);
    for (size_t i = 0; sorted && i < n && i < most; i++)
        json_array_append(top, sorted[i]);
    free(sorted);
    json_decref(rows);
    return show_rows(c, "limits", top, table);
}

static int say_inflight(const struct command *c)
{
    static const struct show table[] = {
        {"id",          "ID",     SHOW_PLAIN  },
        {"policy",      "POLICY", SHOW_PLAIN  },
        {"state",       "STATE",  SHOW_PLAIN  },
        {"status",      "STATUS", SHOW_PLAIN  },
        {"pid",         "PID",    SHOW_PLAIN  },
        {"read_ms_ago", "READ",   SHOW_LEFT_MS},
        {NULL,          NULL,     SHOW_PLAIN  },
    };
    struct reply r = client_ask(c->socket, "GET", "/v1/inflight", &(struct query){NULL, NULL});
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_table(json_object_get(r.json, "inflight"), table);
    if (json_integer_value(json_object_get(r.json, "left_out")) > 0)
        fprintf(stderr, "oncectl: there are more\n");
    json_decref(r.json);
    return EXIT_DONE;
}

static int say_show(const struct command *c)
{
    struct query q[10];
    name_query(c, q);
    if (c->body)
        add(q, "body", "1");
    struct reply r = client_ask(c->socket, "GET", "/v1/record", q);
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    const char *body = json_string_value(json_object_get(r.json, "body_base64"));
    if (c->body && !c->json && !body) {
        fprintf(stderr, "oncectl: there is no stored answer\n");
        rc = EXIT_REFUSED;
    } else if (c->body && !c->json) {
        rc = show_base64(body) ? EXIT_DONE : EXIT_UNREACHABLE;
    } else {
        c->json ? show_json(r.json) : show_list(r.json, record_list);
    }
    json_decref(r.json);
    return rc;
}

/* Shows the record to whoever is asked, so that it is the one that was meant. */
static int ask_about(const struct command *c, const struct query *q, const char *word)
{
    char text[300];
    if (c->yes)
        return EXIT_DONE;
    struct reply r = client_ask(c->socket, "GET", "/v1/record", q);
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    const char *id = json_string_value(json_object_get(r.json, "id")),
               *state = json_string_value(json_object_get(r.json, "state")),
               *policy = json_string_value(json_object_get(r.json, "policy"));
    snprintf(text, sizeof text, "%s: %s of policy %s is %s.", word, id ? id : "-", policy ? policy : "-",
             state ? state : "-");
    json_decref(r.json);
    return sure(c, text) ? EXIT_DONE : EXIT_REFUSED;
}

static int say_word(const struct command *c, const char *word)
{
    static const struct show list[] = {
        {"id",     "id",     SHOW_PLAIN},
        {"before", "before", SHOW_PLAIN},
        {"state",  "now",    SHOW_PLAIN},
        {"fence",  "fence",  SHOW_PLAIN},
        {NULL,     NULL,     SHOW_PLAIN},
    };
    struct query q[12];
    name_query(c, q);
    int rc = ask_about(c, q, word);
    if (rc != EXIT_DONE)
        return rc;
    add(q, "word", word);
    add(q, "force", c->force ? "1" : NULL);
    if (c->status)
        add(q, "status", c->status);
    struct reply r = client_ask(c->socket, "POST", "/v1/record", q);
    if ((rc = refused(&r)) != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    if (!json_is_true(json_object_get(r.json, "replicated")))
        fprintf(stderr, "oncectl: done, but Redis' replicas have not confirmed it: a failover could lose it\n");
    json_decref(r.json);
    return EXIT_DONE;
}

static int say_resolve(const struct command *c)
{
    const char *word = c->args[1];
    if (strcmp(word, "completed") != 0 && strcmp(word, "failed") != 0)
        return wrong("a key is resolved as completed or failed, not as ", word);
    if (c->status && strcmp(word, "failed") == 0)
        return wrong("--status goes with completed", "");
    return say_word(c, word);
}

static int say_delete(const struct command *c)
{
    return say_word(c, "delete");
}

static int say_purge(const struct command *c)
{
    char text[300], cursor[32] = "0";
    json_int_t deleted = 0, left = 0;
    if (!c->policy)
        return wrong("purge wants --policy", "");
    snprintf(text, sizeof text, "purge: every finished record of policy %s%s is deleted.", c->policy,
             c->principal ? ", of that principal," : "");
    if (!sure(c, text))
        return EXIT_REFUSED;
    do {
        const struct query q[] = {
            {"policy", c->policy}, {"principal", c->principal}, {"cursor", cursor}, {NULL, NULL}};
        struct reply r = client_ask(c->socket, "POST", "/v1/purge", q);
        int rc = refused(&r);
        if (rc != EXIT_DONE) {
            fprintf(stderr, "oncectl: %" JSON_INTEGER_FORMAT " were deleted until then\n", deleted);
            return rc;
        }
        deleted += json_integer_value(json_object_get(r.json, "deleted"));
        left += json_integer_value(json_object_get(r.json, "left"));
        const char *next = json_string_value(json_object_get(r.json, "cursor"));
        snprintf(cursor, sizeof cursor, "%s", next ? next : "0");
        json_decref(r.json);
    } while (strcmp(cursor, "0") != 0);
    json_t *said = json_pack("{s:I,s:I}", "deleted", deleted, "left", left);
    static const struct show list[] = {
        {"deleted", "deleted", SHOW_PLAIN},
        {"left",    "left",    SHOW_PLAIN},
        {NULL,      NULL,      SHOW_PLAIN},
    };
    c->json ? show_json(said) : show_list(said, list);
    json_decref(said);
    return left > 0 ? EXIT_REFUSED : EXIT_DONE;
}

static int say_go(const struct command *c)
{
    if (!sure(c, "go: what Redis has forgotten may run again."))
        return EXIT_REFUSED;
    struct reply r = client_ask(c->socket, "POST", "/v1/go", &(struct query){NULL, NULL});
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    if (c->json)
        show_json(r.json);
    json_decref(r.json);
    return EXIT_DONE;
}

static bool read_key(struct command *c)
{
    if (!fgets(c->key, sizeof c->key, stdin))
        return false;
    c->key[strcspn(c->key, "\n")] = '\0';
    return c->key[0] != '\0';
}

static unsigned bit_of(int letter)
{
    for (size_t i = 0; i < SWITCHES; i++)
        if (switches[i].letter == letter)
            return switches[i].bit;
    return 0;
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
    case 'f': return c->force = true;
    case 'y': return c->yes = true;
    default: return false;
    }
}

static int run(struct command *c, unsigned given)
{
    const struct word *w = words;
    const char *name = c->args[0];
    while (w < words + WORDS && strcmp(w->name, name) != 0)
        w++;
    if (w == words + WORDS)
        return wrong("no such word: ", name);
    c->args++;
    c->nargs--;
    if (c->nargs < w->least || c->nargs > w->most)
        return wrong("arguments of this word are ", *w->arguments ? w->arguments : "none");
    for (size_t i = 0; i < SWITCHES; i++)
        if (given & switches[i].bit & ~w->takes)
            return wrong("this word does not take --", switches[i].word);
    if (c->nargs > 0 && strcmp(c->args[0], "-") == 0 && !read_key(c))
        return wrong("no key came from standard input", "");
    return w->fn(c);
}

int main(int argc, char **argv)
{
    struct command c = {.socket = getenv("ONCE_ADMIN")};
    struct option long_words[SWITCHES + 1] = {0};
    char letters[2 * SWITCHES + 1] = "";
    unsigned given = 0;
    int letter;
    for (size_t i = 0; i < SWITCHES; i++) {
        strncat(letters, &switches[i].letter, 1);
        if (switches[i].argument)
            strcat(letters, ":");
        long_words[i] = (struct option){switches[i].word, switches[i].argument != NULL, NULL, switches[i].letter};
    }
    if (!c.socket || !*c.socket)
        c.socket = default_socket;
    while ((letter = getopt_long(argc, argv, letters, long_words, NULL)) != -1) {
        if (letter == 'h') {
            print_help(stdout);
            return EXIT_DONE;
        }
        if (letter == 'v') {
            printf("oncectl " SPOA_ONCE_VERSION "\n");
            return EXIT_DONE;
        }
        if (!take_switch(&c, letter))
            return EXIT_USAGE;
        given |= bit_of(letter);
    }
    c.args = argv + optind;
    c.nargs = argc - optind;
    if (c.nargs == 0) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    return run(&c, given);
}
