// SPDX-License-Identifier: MIT
/* A word: question ──► agent ──► JSON ──► table, list, or JSON as it is. Destructive ones ask before, and show what they
 * ask about. (limits, reset: words_limits.c; purge: words_purge.c) */
#include "ctl/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/show.h"

/* How a record is named: by its id, or by what the client said. */
static void name_query(const struct command *c, struct query out[8])
{
    const char *name = c->key[0] ? c->key : c->args[0];
    const struct query q[8] = {
        {c->policy ? "key" : "id", name        },
        {"policy",                 c->policy   },
        {"principal",              c->principal},
        {"host",                   c->host     },
        {"path",                   c->path     },
        {NULL,                     NULL        },
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

int say_status(const struct command *c)
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
    return ask_list(c, "GET", "/v1/status", &(struct query){NULL, NULL}, list);
}

int say_list(const struct command *c)
{
    int rc = EXIT_USAGE;
    json_int_t skipped = 0;
    size_t most = ask_limit(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = ask_walk(c, "/v1/records", "records", most, &skipped, &rc);
    return rows ? ask_show_rows(c, "records", rows, skipped, record_table) : rc;
}

int say_inflight(const struct command *c)
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
    int rc = ask_refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_table(json_object_get(r.json, "inflight"), table);
    if (json_integer_value(json_object_get(r.json, "left_out")) > 0)
        fprintf(stderr, "oncectl: there are more\n");
    json_decref(r.json);
    return EXIT_DONE;
}

int say_show(const struct command *c)
{
    struct query q[10];
    name_query(c, q);
    if (c->body)
        add(q, "body", "1");
    struct reply r = client_ask(c->socket, "GET", "/v1/record", q);
    int rc = ask_refused(&r);
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
    int rc = ask_refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    const char *id = json_string_value(json_object_get(r.json, "id")),
               *state = json_string_value(json_object_get(r.json, "state")),
               *policy = json_string_value(json_object_get(r.json, "policy"));
    snprintf(text, sizeof text, "%s: %s of policy %s is %s.", word, id ? id : "-", policy ? policy : "-",
             state ? state : "-");
    json_decref(r.json);
    return ask_sure(c, text) ? EXIT_DONE : EXIT_REFUSED;
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
    if ((rc = ask_refused(&r)) != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    if (!json_is_true(json_object_get(r.json, "replicated")))
        fprintf(stderr,
                "oncectl: done, but Redis' replicas have not confirmed it: a failover could lose it\n");
    json_decref(r.json);
    return EXIT_DONE;
}

int say_resolve(const struct command *c)
{
    const char *word = c->args[1];
    if (strcmp(word, "completed") != 0 && strcmp(word, "failed") != 0)
        return wrong("a key is resolved as completed or failed, not as ", word);
    if (c->status && strcmp(word, "failed") == 0)
        return wrong("--status goes with completed", "");
    return say_word(c, word);
}

int say_delete(const struct command *c)
{
    return say_word(c, "delete");
}

int say_go(const struct command *c)
{
    if (!ask_sure(c, "go: what Redis has forgotten may run again."))
        return EXIT_REFUSED;
    struct reply r = client_ask(c->socket, "POST", "/v1/go", &(struct query){NULL, NULL});
    int rc = ask_refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    if (c->json)
        show_json(r.json);
    json_decref(r.json);
    return EXIT_DONE;
}
