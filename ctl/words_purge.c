// SPDX-License-Identifier: MIT
/* purge: counted and asked about on a terminal, then step by step. A whole policy goes only where that was said. */
#include <stdio.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/words.h"

/* How many records are to go, without keeping them; -1: *rc says why. */
static json_int_t count_finished(const struct command *c, int *rc)
{
    char cursor[ASK_CURSOR] = "0";
    json_int_t n = 0;
    do {
        const struct query q[] = {
            {"policy",    c->policy   },
            {"principal", c->principal},
            {"state",     "done,tomb" },
            {"cursor",    cursor      },
            {NULL,        NULL        },
        };
        struct reply r = client_ask(c->socket, "GET", "/v1/records", q);
        if ((*rc = ask_refused(&r)) != EXIT_DONE)
            return -1;
        n += (json_int_t)json_array_size(json_object_get(r.json, "records"));
        ask_next(cursor, r.json);
        json_decref(r.json);
    } while (strcmp(cursor, "0") != 0);
    return n;
}

/* Says how many records of whom are to go. */
static int ask_purge(const struct command *c)
{
    char text[300];
    int rc = EXIT_DONE;
    json_int_t n = !c->yes && ask_possible(c) ? count_finished(c, &rc) : 0;
    if (n < 0)
        return rc;
    snprintf(text, sizeof text,
             "purge: %" JSON_INTEGER_FORMAT " finished record%s of policy %s to be deleted, of %s%s.", n,
             n == 1 ? "" : "s", c->policy, c->all ? "everybody: the whole policy" : "the principal ",
             c->all ? "" : c->principal);
    return ask_sure(c, text) ? EXIT_DONE : EXIT_REFUSED;
}

struct purged {
    json_int_t deleted, left, skipped;
};

/* One step after the other, until the last. */
static int purge(const struct command *c, struct purged *sum)
{
    char cursor[ASK_CURSOR] = "0";
    do {
        const struct query q[] = {
            {"policy",    c->policy          },
            {"principal", c->principal       },
            {"all",       c->all ? "1" : NULL},
            {"cursor",    cursor             },
            {NULL,        NULL               },
        };
        struct reply r = client_ask(c->socket, "POST", "/v1/purge", q);
        int rc = ask_refused(&r);
        if (rc != EXIT_DONE) {
            fprintf(stderr, "oncectl: %" JSON_INTEGER_FORMAT " were deleted until then\n", sum->deleted);
            return rc;
        }
        sum->deleted += json_integer_value(json_object_get(r.json, "deleted"));
        sum->left += json_integer_value(json_object_get(r.json, "left"));
        sum->skipped += json_integer_value(json_object_get(r.json, "skipped"));
        ask_next(cursor, r.json);
        json_decref(r.json);
    } while (strcmp(cursor, "0") != 0);
    return EXIT_DONE;
}

int say_purge(const struct command *c)
{
    static const struct show list[] = {
        {"deleted", "deleted", SHOW_PLAIN},
        {"left",    "left",    SHOW_PLAIN},
        {NULL,      NULL,      SHOW_PLAIN},
    };
    struct purged sum = {0};
    int rc;
    if (!c->policy)
        return wrong("purge wants --policy", "");
    if (!c->principal == !c->all)
        return wrong("purge wants --principal, or --all: every record of the policy, whoever it belongs to",
                     "");
    if ((rc = ask_purge(c)) != EXIT_DONE || (rc = purge(c, &sum)) != EXIT_DONE)
        return rc;
    json_t *said =
        json_pack("{s:I,s:I,s:I}", "deleted", sum.deleted, "left", sum.left, "skipped", sum.skipped);
    c->json ? show_json(said) : show_list(said, list);
    json_decref(said);
    ask_tell_skipped(sum.skipped);
    return sum.left > 0 ? EXIT_REFUSED : EXIT_DONE;
}
