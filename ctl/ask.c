// SPDX-License-Identifier: MIT
/* Errors go to stderr, the answer alone to standard output. */
#include "ctl/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int ask_refused(struct reply *r)
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

int ask_list(const struct command *c, const char *method, const char *path, const struct query *q,
             const struct show *list)
{
    struct reply r = client_ask(c->socket, method, path, q);
    int rc = ask_refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    json_decref(r.json);
    return EXIT_DONE;
}

bool ask_possible(const struct command *c)
{
    return isatty(STDIN_FILENO) && !c->key[0];
}

bool ask_sure(const struct command *c, const char *what)
{
    char line[16] = "";
    if (c->yes)
        return true;
    if (!ask_possible(c)) {
        fprintf(stderr, "oncectl: nobody can be asked here: say --yes\n");
        return false;
    }
    fprintf(stderr, "%s Sure? [y/N] ", what);
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

void ask_tell_skipped(json_int_t n)
{
    if (n > 0)
        fprintf(stderr, "oncectl: %" JSON_INTEGER_FORMAT "%s\n", n,
                n == 1 ? " key is no record: skipped" : " keys are no records: skipped");
}

enum { SHOWN = 50 };

size_t ask_limit(const struct command *c)
{
    char *end;
    long n = c->limit ? strtol(c->limit, &end, 10) : SHOWN;
    return n > 0 && n <= ASK_MOST && (!c->limit || *end == '\0') ? (size_t)n : 0;
}

void ask_next(char cursor[ASK_CURSOR], const json_t *step)
{
    const char *next = json_string_value(json_object_get(step, "cursor"));
    snprintf(cursor, ASK_CURSOR, "%s", next ? next : "0");
}

json_t *ask_walk(const struct command *c, const char *path, const char *member, size_t most,
                 json_int_t *skipped, int *rc)
{
    char cursor[ASK_CURSOR] = "0";
    json_t *all = json_array(), *e;
    size_t i;
    do {
        const struct query q[] = {
            {"policy",    c->policy   },
            {"principal", c->principal},
            {"state",     c->state    },
            {"cursor",    cursor      },
            {NULL,        NULL        },
        };
        struct reply r = client_ask(c->socket, "GET", path, q);
        if ((*rc = ask_refused(&r)) != EXIT_DONE) {
            json_decref(all);
            return NULL;
        }
        json_array_foreach(json_object_get(r.json, member), i, e)
        {
            if (json_array_size(all) < most)
                json_array_append(all, e);
        }
        *skipped += json_integer_value(json_object_get(r.json, "skipped"));
        ask_next(cursor, r.json);
        json_decref(r.json);
    } while (strcmp(cursor, "0") != 0 && json_array_size(all) < most);
    return all;
}

int ask_show_rows(const struct command *c, const char *member, json_t *rows, json_int_t skipped,
                  const struct show *table)
{
    json_t *whole = json_pack("{s:o,s:I}", member, rows, "skipped", skipped);
    c->json ? show_json(whole) : show_table(rows, table);
    json_decref(whole);
    ask_tell_skipped(skipped);
    return EXIT_DONE;
}
