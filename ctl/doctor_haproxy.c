// SPDX-License-Identifier: MIT
/* Each HAProxy that the agent is told of, asked at its own socket: tables and their fill, the agents' servers, the socket's level. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"
#include "ctl/runtime.h"

enum { FULL_PERCENT = 80 };

static const char *const tables[] = {"once_inflight", "once_unsettled"};
static const char *const agents[] = {"once_agents", "once_replay", "once_wait_agents"};

struct haproxy {
    struct doctor *d;
    const char *path;
    unsigned long maxconn;
};

/* "# table: NAME, type: string, size:102400, used:3" of `show table`; false: there is no such table. */
static bool table_of(const char *text, const char *name, unsigned long *size, unsigned long *used)
{
    char head[64];
    snprintf(head, sizeof head, "# table: %s,", name);
    const char *line = strstr(text, head), *at_size = line ? strstr(line, "size:") : NULL,
               *at_used = line ? strstr(line, "used:") : NULL;
    *size = at_size ? strtoul(at_size + 5, NULL, 10) : 0;
    *used = at_used ? strtoul(at_used + 5, NULL, 10) : 0;
    return *size > 0;
}

static void look_at_tables(const struct haproxy *h, const char *text)
{
    unsigned long size, used,
        listed = (unsigned long)json_integer_value(json_object_get(h->d->site, "max_entries"));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!table_of(text, tables[i], &size, &used)) {
            doctor_say(h->d, FINDING_TABLE_MISSING, "%s: there is no table %s", h->path, tables[i]);
            continue;
        }
        if (used * 100 >= size * FULL_PERCENT)
            doctor_say(h->d, FINDING_TABLE_FULL, "%s: %s holds %lu of %lu", h->path, tables[i], used, size);
        if (size < h->maxconn)
            doctor_say(h->d, FINDING_TABLE_SMALL, "%s: %s has room for %lu, maxconn is %lu", h->path,
                       tables[i], size, h->maxconn);
        if (size > listed)
            doctor_say(h->d, FINDING_TABLE_LISTING, "%s: %s has room for %lu, inflight.max_entries is %lu",
                       h->path, tables[i], size, listed);
    }
}

static bool is_agents(const char *proxy)
{
    for (size_t i = 0; i < sizeof agents / sizeof *agents; i++)
        if (strcmp(proxy, agents[i]) == 0)
            return true;
    return false;
}

static void look_at_servers(const struct haproxy *h, const char *text)
{
    char proxy[RUNTIME_WORD], server[RUNTIME_WORD], status[RUNTIME_WORD], why[RUNTIME_WORD];
    for (struct runtime_rows r = {0}; runtime_next(&r, text);) {
        runtime_cell(&r, "pxname", proxy);
        runtime_cell(&r, "svname", server);
        runtime_cell(&r, "status", status);
        runtime_cell(&r, "check_status", why);
        if (!is_agents(proxy) || strcmp(server, "BACKEND") == 0)
            continue;
        if (strcmp(status, "no check") == 0)
            doctor_say(h->d, FINDING_NO_CHECK, "%s: server %s/%s has no check", h->path, proxy, server);
        else if (strncmp(status, "UP", 2) != 0)
            doctor_say(h->d, FINDING_AGENTS_DOWN, "%s: server %s/%s is %s (%s)", h->path, proxy, server,
                       status, why);
    }
}

static void look_at_level(const struct haproxy *h, const char *text)
{
    if (!strstr(text, "operator") && !strstr(text, "admin"))
        doctor_say(h->d, FINDING_LEVEL, "%s: the socket's level is %.*s", h->path, (int)strcspn(text, "\r\n"),
                   text);
}

static void look_at_info(struct haproxy *h, const char *text)
{
    char word[RUNTIME_WORD];
    runtime_field(text, "Maxconn", word);
    h->maxconn = strtoul(word, NULL, 10);
    runtime_field(text, "Pid", word);
    if (h->d->npids < DOCTOR_HAPROXY_MAX)
        h->d->pids[h->d->npids++] = strtol(word, NULL, 10);
}

/* In this order: the tables are held against maxconn. */
static const struct {
    const char *command;
    bool info;
    void (*look)(const struct haproxy *h, const char *text);
} questions[] = {
    {"show info",      true,  NULL           },
    {"show cli level", false, look_at_level  },
    {"show table",     false, look_at_tables },
    {"show stat",      false, look_at_servers},
};

static void look_at(struct haproxy *h)
{
    char why[RUNTIME_WHY];
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        char *text = runtime_ask(h->path, questions[i].command, why);
        if (!text) {
            doctor_say(h->d, FINDING_HAPROXY_AWAY, "%s: %s", h->path, why);
            return;
        }
        if (questions[i].info)
            look_at_info(h, text);
        else
            questions[i].look(h, text);
        free(text);
    }
}

void doctor_haproxy(struct doctor *d)
{
    json_t *list = json_object_get(d->site, "haproxy"), *path;
    json_int_t sockets = (json_int_t)json_array_size(list),
               workers = doctor_counter(d, "spoa_once_haproxy_workers");
    size_t i;
    json_array_foreach(list, i, path)
    {
        struct haproxy h = {.d = d, .path = json_string_value(path)};
        look_at(&h);
    }
    if (sockets > 0 && workers == 0)
        doctor_say(d, FINDING_NOT_CONNECTED, "the agent is connected to no HAProxy");
    else if (workers > sockets)
        doctor_say(d, FINDING_WORKERS,
                   "%" JSON_INTEGER_FORMAT " workers behind %" JSON_INTEGER_FORMAT " sockets", workers,
                   sockets);
}
