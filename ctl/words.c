// SPDX-License-Identifier: MIT
/* A word: question ──► agent ──► JSON ──► table, list, or JSON as it is. Destructive ones ask before, and show what they
 * ask about. */
#include "ctl/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/show.h"

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
    struct reply r = client_ask(c->socket, "GET", "/v1/status", &(struct query){NULL, NULL});
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    json_decref(r.json);
    return EXIT_DONE;
}

enum { SHOWN = 50, WALK_MOST = 1000000 };

/* How many were asked for; 0: that is no number. */
static size_t limit_of(const struct command *c)
{
    char *end;
    long n = c->limit ? strtol(c->limit, &end, 10) : SHOWN;
    return n > 0 && n <= WALK_MOST && (!c->limit || *end == '\0') ? (size_t)n : 0;
}

/* Walks until the end, or until there are `most`; NULL: *rc says why. */
static json_t *walk(const struct command *c, const char *path, const char *member, size_t most, int *rc)
{
    char cursor[32] = "0";
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

int say_list(const struct command *c)
{
    int rc = EXIT_USAGE;
    size_t most = limit_of(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = walk(c, "/v1/records", "records", most, &rc);
    return rows ? show_rows(c, "records", rows, record_table) : rc;
}

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
    size_t most = limit_of(c);
    if (most == 0)
        return wrong("not a number: --limit ", c->limit);
    json_t *rows = walk(c, "/v1/limits", "limits", WALK_MOST, &rc);
    json_t *slots = rows ? walk(c, "/v1/slots", "slots", WALK_MOST, &rc) : NULL;
    if (!slots) {
        json_decref(rows);
        return rc;
    }
    json_array_extend(rows, slots);
    json_decref(slots);
    return show_rows(c, "limits", top_of(rows, most), table);
}

int say_reset(const struct command *c)
{
    static const struct show list[] = {
        {"id",   "id",   SHOW_PLAIN},
        {"word", "word", SHOW_PLAIN},
        {NULL,   NULL,   SHOW_PLAIN},
    };
    struct query q[8];
    char text[300];
    name_query(c, q);
    snprintf(text, sizeof text, "reset: what limits have counted of %s is forgotten.", c->args[0]);
    if (!sure(c, text))
        return EXIT_REFUSED;
    struct reply r = client_ask(c->socket, "POST", "/v1/limits", q);
    int rc = refused(&r);
    if (rc != EXIT_DONE)
        return rc;
    c->json ? show_json(r.json) : show_list(r.json, list);
    json_decref(r.json);
    return EXIT_DONE;
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
    int rc = refused(&r);
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

int say_purge(const struct command *c)
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
            {"policy",    c->policy   },
            {"principal", c->principal},
            {"cursor",    cursor      },
            {NULL,        NULL        }
        };
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

int say_go(const struct command *c)
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
