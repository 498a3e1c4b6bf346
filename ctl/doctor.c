// SPDX-License-Identifier: MIT
/* A look at a live system; nothing is changed.
 *
 *   agent ──/v1/site──► what it is told, what it counts, Redis' INFO ─┬─► findings, each with why and the way out
 *   HAProxy ──show info, table, stat──────────────────────────────────┤
 *   haproxy.cfg ──spoa-once -c --haproxy──────────────────────────────┘ */
#include "ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/client.h"
#include "ctl/show.h"

enum { ERROR, WARNING, TEXT_MAX = 1024 };

static const struct {
    const char *id;
    int level;
    const char *why, *way_out;
} findings[FINDINGS] = {
#define X(symbol, id, level, why, way_out) {id, level, why, way_out},
    FINDING_TABLE(X)
#undef X
};

static void put(struct doctor *d, enum finding f, bool warning, const char *what)
{
    const char *level = warning ? "warning" : "error";
    *(warning ? &d->warnings : &d->errors) += 1;
    if (d->c->json)
        json_array_append_new(d->said,
                              json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", findings[f].id, "level", level, "what",
                                        what, "why", findings[f].why, "way_out", findings[f].way_out));
    else
        printf("%s [%s] %s: %s. %s\n", level, findings[f].id, what, findings[f].why, findings[f].way_out);
}

void doctor_say(struct doctor *d, enum finding f, const char *format, ...)
{
    char what[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    put(d, f, findings[f].level == WARNING, what);
}

void doctor_pass_on(struct doctor *d, enum finding f, bool warning, const char *text)
{
    put(d, f, warning, text);
}

json_int_t doctor_counter(const struct doctor *d, const char *prefix)
{
    json_int_t sum = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(d->site, "counters"), name, value)
    {
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            sum += json_integer_value(value);
    }
    return sum;
}

/* Counters that should stand at 0. They tell of the past: what was mended since is said until the agent starts anew. */
static const struct {
    const char *prefix;
    enum finding finding;
    const char *what;
} counted[] = {
    {"spoa_once_lost_locks_total",            FINDING_LOST_LOCKS,   "outcomes refused"           },
    {"spoa_once_unpolled_total",              FINDING_UNPOLLED,     "requests"                   },
    {"spoa_once_resolved_total{as=\"held\"}", FINDING_HELD,         "outcomes unknown"           },
    {"spoa_once_completions_dropped_total",   FINDING_NOT_STORED,   "dropped, the queue was full"},
    {"spoa_once_completions_bare_total",      FINDING_NOT_STORED,   "not taken by Redis"         },
    {"spoa_once_spop_rejected_total",         FINDING_CONNECTIONS,  "connections of HAProxy"     },
    {"spoa_once_spop_bad_messages_total",     FINDING_MESSAGES_BAD, "messages"                   },
    {"spoa_once_notices_bad_total",           FINDING_NOTICES_BAD,  "lines"                      },
    {"spoa_once_failed_open_total",           FINDING_FAILED_OPEN,  "requests"                   },
    {"spoa_once_seals_failed_total",          FINDING_SEALS,        "answers"                    },
    {"spoa_once_crashes_total",               FINDING_CRASHED,      "crashes"                    },
};

static void look_at_counters(struct doctor *d)
{
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        json_int_t n = doctor_counter(d, counted[i].prefix);
        if (n > 0)
            doctor_say(d, counted[i].finding, "%" JSON_INTEGER_FORMAT " %s since the agent began to count", n,
                       counted[i].what);
    }
}

/* Its paths must still lead to it. */
static void look_at_sockets(struct doctor *d)
{
    size_t i;
    json_t *s;
    bool notices = false;
    json_array_foreach(json_object_get(d->site, "sockets"), i, s)
    {
        const char *option = json_string_value(json_object_get(s, "option")),
                   *address = json_string_value(json_object_get(s, "address"));
        struct stat st;
        notices = notices || strcmp(option, "notices.listen") == 0;
        if (strncmp(address, "unix@", 5) == 0 && (stat(address + 5, &st) != 0 || !S_ISSOCK(st.st_mode)))
            doctor_say(d, FINDING_SOCKET_GONE, "%s: there is no socket %s any more", option, address + 5);
    }
    if (!notices && json_is_true(json_object_get(d->site, "holds")))
        doctor_say(d, FINDING_NOTICES_OFF, "notices.listen is empty, and a policy says hold");
}

static void look_at_agent(struct doctor *d)
{
    if (doctor_counter(d, "spoa_once_breaker_open") > 0)
        doctor_say(d, FINDING_BREAKER, "the breaker is open");
    if (doctor_counter(d, "spoa_once_data_lost") > 0)
        doctor_say(d, FINDING_DATA_LOST, "protected requests are refused");
    if (doctor_counter(d, "spoa_once_reload_refused") > 0)
        doctor_say(d, FINDING_RELOAD_BAD, "the last reload was refused");
    look_at_sockets(d);
    look_at_counters(d);
}

static int print_findings(void)
{
    printf("| finding | | why | way out |\n|---|---|---|---|\n");
    for (int i = 0; i < FINDINGS; i++)
        printf("| `%s` | %s | %s | %s |\n", findings[i].id,
               findings[i].level == WARNING ? "warning" : "error", findings[i].why, findings[i].way_out);
    return EXIT_DONE;
}

static void sum_up(const struct doctor *d)
{
    if (d->c->json) {
        json_t *all = json_pack("{s:i,s:i,s:O}", "errors", (int)d->errors, "warnings", (int)d->warnings,
                                "findings", d->said);
        show_json(all);
        json_decref(all);
    } else {
        printf("%u errors, %u warnings\n", d->errors, d->warnings);
    }
}

int say_doctor(const struct command *c)
{
    if (c->rules)
        return print_findings();
    struct reply r = client_ask(c->socket, "GET", "/v1/site", &(struct query){NULL, NULL});
    if (r.status != 200) {
        fprintf(stderr, "oncectl: without the agent nothing can be looked at: is it up, and of this version? "
                        "systemctl status spoa-once\n");
        json_decref(r.json);
        return EXIT_UNREACHABLE;
    }
    struct doctor d = {.c = c, .site = r.json, .said = json_array()};
    look_at_agent(&d);
    doctor_haproxy(&d);
    doctor_redis(&d);
    doctor_files(&d);
    sum_up(&d);
    json_decref(d.said);
    json_decref(r.json);
    return d.errors > 0 ? EXIT_REFUSED : EXIT_DONE;
}
