// SPDX-License-Identifier: MIT
/* limits: the subjects with the most used, of each kind; reset: what was counted of one is forgotten. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/words.h"

/* The kinds of limits, as they are shown: what is in flight first. */
static const char *const kinds[] = {"slots", "window", "buckets"};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct use {
    size_t kind;
    double most; /* of its limits */
    json_t *row;
};

static struct use use_of(json_t *row)
{
    const char *kind = json_string_value(json_object_get(row, "kind"));
    struct use u = {0,
                    json_number_value(json_object_get(row, "in_flight")) +
                        json_number_value(json_object_get(row, "requests")),
                    row};
    size_t i;
    json_t *e;
    while (u.kind + 1 < KINDS && (!kind || strcmp(kind, kinds[u.kind]) != 0))
        u.kind++;
    json_array_foreach(json_object_get(row, "used_s"), i, e)
    {
        u.most = json_number_value(e) > u.most ? json_number_value(e) : u.most;
    }
    return u;
}

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->most < y->most ? 1 : x->most > y->most ? -1 : 0;
}

/* The first `most` rows of each kind by their use; the rows are dropped. */
static json_t *top_of(json_t *rows, size_t most)
{
    size_t n = json_array_size(rows), shown[KINDS] = {0};
    struct use *uses = calloc(n + 1, sizeof *uses);
    json_t *top = json_array();
    for (size_t i = 0; uses && i < n; i++)
        uses[i] = use_of(json_array_get(rows, i));
    if (uses)
        qsort(uses, n, sizeof *uses, by_use);
    for (size_t i = 0; uses && i < n; i++)
        if (shown[uses[i].kind]++ < most)
            json_array_append(top, uses[i].row);
    free(uses);
    json_decref(rows);
    return top;
}

int say_limits(const struct command *c)
{
    static const struct show table[] = {
        {"id",        "SUBJECT",      SHOW_PLAIN  },
        {"kind",      "KIND",         SHOW_PLAIN  },
        {"in_flight", "IN FLIGHT",    SHOW_PLAIN  },
        {"requests",  "REQUESTS",     SHOW_PLAIN  },
        {"window_s",  "IN",           SHOW_SECONDS},
        {"used_s",    "SECONDS USED", SHOW_PLAIN  },
        {"ttl_ms",    "EXPIRES",      SHOW_LEFT_MS},
        {NULL,        NULL,           SHOW_PLAIN  },
    };
    int rc = EXIT_USAGE;
    json_int_t skipped = 0;
    size_t most = ask_limit(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = ask_walk(c, "/v1/limits", "limits", ASK_MOST, &skipped, &rc);
    json_t *slots = rows ? ask_walk(c, "/v1/slots", "slots", ASK_MOST, &skipped, &rc) : NULL;
    if (!slots) {
        json_decref(rows);
        return rc;
    }
    json_array_extend(rows, slots);
    json_decref(slots);
    return ask_show_rows(c, "limits", top_of(rows, most), skipped, table);
}

int say_reset(const struct command *c)
{
    static const struct show list[] = {
        {"id",   "id",   SHOW_PLAIN},
        {"word", "word", SHOW_PLAIN},
        {NULL,   NULL,   SHOW_PLAIN},
    };
    const struct query q[] = {
        {"id", c->key[0] ? c->key : c->args[0]},
        {NULL, NULL                           }
    };
    char text[640];
    snprintf(text, sizeof text, "reset: what limits have counted of %s is forgotten.", q->value);
    if (!ask_sure(c, text))
        return EXIT_REFUSED;
    return ask_list(c, "POST", "/v1/limits", q, list);
}
