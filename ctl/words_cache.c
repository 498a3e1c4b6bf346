// SPDX-License-Identifier: MIT
/* cache purge: what was cached counts no more, for all agents. cache show: what there is of a URL, and why it is served or not. */
#include <stdio.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/words.h"

/* A whole policy is fetched anew, by everybody: that is asked about. */
static bool sure(const struct command *c)
{
    char text[200];
    snprintf(text, sizeof text,
             "cache purge: all that is cached by policy %s is fetched anew from the backend.", c->policy);
    return !c->all || ask_sure(c, text);
}

int say_cache_purge(const struct command *c)
{
    static const struct show list[] = {
        {"by",       "by",       SHOW_PLAIN},
        {"policies", "policies", SHOW_PLAIN},
        {NULL,       NULL,       SHOW_PLAIN},
    };
    const struct query q[] = {
        {"url",    c->url             },
        {"tag",    c->tag             },
        {"prefix", c->prefix          },
        {"policy", c->policy          },
        {"all",    c->all ? "1" : NULL},
        {NULL,     NULL               },
    };
    if (!!c->url + !!c->tag + !!c->prefix + c->all != 1)
        return wrong(
            "cache purge wants one of --url, --tag and --prefix; or --policy and --all: everything of it",
            "");
    if (c->all && !c->policy)
        return wrong("--all wants --policy: which one's", "");
    if (!sure(c))
        return EXIT_REFUSED;
    return ask_list(c, "POST", "/v1/cache", q, list);
}

/* Is there anything, as far as it could be looked at? */
static bool is_there(const json_t *row)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    return state && strcmp(state, "none") != 0 && strcmp(state, "unknown") != 0;
}

static bool show_entries(const json_t *rows)
{
    static const struct show list[] = {
        {"policy",                   "policy",                 SHOW_PLAIN},
        {"state",                    "state",                  SHOW_PLAIN},
        {"why",                      "why",                    SHOW_PLAIN},
        {"status",                   "status",                 SHOW_PLAIN},
        {"age_s",                    "age in seconds",         SHOW_PLAIN},
        {"fresh_s",                  "fresh for seconds",      SHOW_PLAIN},
        {"stale_while_revalidate_s", "stale while revalidate", SHOW_PLAIN},
        {"stale_if_error_s",         "stale if error",         SHOW_PLAIN},
        {"asked_us",                 "fetched",                SHOW_AGO  },
        {"vary",                     "varies on",              SHOW_PLAIN},
        {"tags",                     "tags",                   SHOW_PLAIN},
        {"purged_by",                "last purge by",          SHOW_PLAIN},
        {"purged_us",                "last purge",             SHOW_AGO  },
        {"stored_bytes",             "stored bytes",           SHOW_PLAIN},
        {"id",                       "id",                     SHOW_PLAIN},
        {NULL,                       NULL,                     SHOW_PLAIN},
    };
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (i > 0)
            printf("\n");
        show_list(row, list);
    }
    return json_array_size(rows) > 0;
}

int say_cache_show(const struct command *c)
{
    const struct query q[] = {
        {"url",       c->key[0] ? c->key : c->args[0]  },
        {"policy",    c->policy                        },
        {"principal", c->principal                     },
        {"header",    c->headers[0] ? c->headers : NULL},
        {NULL,        NULL                             },
    };
    struct reply r = client_ask(c->socket, "GET", "/v1/cache", q);
    int rc = ask_refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    const json_t *rows = json_object_get(r.json, "entries");
    size_t i;
    const json_t *row;
    bool there = false;
    json_array_foreach(rows, i, row)
    {
        there = there || is_there(row);
    }
    c->json ? show_json(r.json) : (void)show_entries(rows);
    json_decref(r.json);
    return there ? EXIT_DONE : EXIT_REFUSED;
}
