// SPDX-License-Identifier: MIT
/* The lines for one site, each with its reason: those of haproxy-conf/attach (built in), in the order in which they are pasted, for what
 * the running HAProxy says of itself.
 *
 *   show info   version: is it new enough, who needs the hop     maxconn ─┐
 *   show stat   are there these proxies, mode http               peak ────┴► size of the tables
 *
 * Nothing is written and nothing is changed. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach_parts.h"
#include "ctl/runtime.h"
#include "ctl/words.h"

enum { AGENTS_MOST = 9, OLDEST = 206, RESETS_CUT = 301, SHIPPED_SIZE = 100, LINE_MAX_BYTES = 4096 };

static const char default_runtime[] = "/run/haproxy/admin.sock", default_run[] = "/run/spoa-once",
                  shipped_size[] = " size 100k ", shipped_run[] = "presetenv ONCE_RUN ";

struct site {
    const struct command *c;
    const char *runtime, *run, *frontend;
    char version[RUNTIME_WORD], pid[RUNTIME_WORD];
    unsigned number; /* 206: 2.6 */
    unsigned long maxconn, peak, size_k;
    unsigned agents;
};

static const char *part(const char *name)
{
    for (size_t i = 0; i < sizeof attach_parts / sizeof *attach_parts; i++)
        if (strcmp(attach_parts[i].name, name) == 0)
            return attach_parts[i].text;
    return "";
}

/* A line of the first agent, for each agent that there shall be: `agent1` counts, and so do the sockets. */
static void put_agents(const struct site *s, const char *line)
{
    const char *name = strstr(line, "agent1 "), *socket = strstr(line, ".sock\"");
    for (unsigned i = 1; i <= s->agents; i++) {
        for (const char *at = line; *at; at++) {
            if (at == socket && s->agents > 1)
                printf("-%u", i);
            if (name && at == name + 5)
                printf("%u", i);
            else
                putchar(*at);
        }
        putchar('\n');
    }
}

/* Writes a line; what comes from the site takes the place of what is shipped. */
static void put_line(const struct site *s, const char *line)
{
    const char *size = strstr(line, shipped_size), *word = line + strspn(line, " ");
    if (strncmp(word, shipped_run, sizeof shipped_run - 1) == 0)
        printf("    %s %s\n", shipped_run, s->run);
    else if (size && *word != '#')
        printf("%.*s size %luk %s\n", (int)(size - line), line, s->size_k, size + sizeof shipped_size - 1);
    else if (strncmp(word, "server agent1 ", 14) == 0 || strncmp(word, "log \"${ONCE_RUN}/notices", 24) == 0)
        put_agents(s, line);
    else
        printf("%s\n", line);
}

static void put_part(const struct site *s, const char *name)
{
    char line[LINE_MAX_BYTES];
    putchar('\n');
    for (const char *at = part(name); *at;) {
        size_t len = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, at);
        if (strncmp(line, "# SPDX", 6) != 0)
            put_line(s, line);
        at += len + (at[len] == '\n');
    }
}

/* Which requests: what --policy, --path and --host say, or a line to be filled in. */
static void put_route(const struct site *s)
{
    const struct command *c = s->c;
    const char *what = c->cache ? "cache" : "policy";
    printf("\n    # Which requests are %s, and by which policy of the agent.\n",
           c->cache ? "cached" : "protected");
    if (!c->policy || !c->path) {
        printf("    #    http-request set-var(txn.once_%s) str(NAME) if { path /PATH }\n", what);
        return;
    }
    const char *host = c->host ? c->host : "", *open = c->host ? " { req.hdr(host),field(1,:) -i " : "",
               *close = c->host ? " }" : "";
    printf("    http-request set-var(txn.once_%s) str(%s) if { path %s }%s%s%s || { path_beg %s/ }%s%s%s\n",
           what, c->policy, c->path, open, host, close, c->path, open, host, close);
}

static void put_place(const char *what, const char *name, const char *where)
{
    printf("\n#=== %s%s%s: %s\n", what, *name ? " " : "", name, where);
}

static void put_frontend(const struct site *s)
{
    bool whole = !s->c->smallest;
    put_place("frontend", s->frontend,
              "behind your own http-request rules, before its first use_backend or default_backend");
    put_route(s);
    if (s->c->cache)
        put_part(s, "cache-frontend");
    if (whole) {
        printf("\n    # HAProxy %s cuts a request to the backend when %s: those go through the hop.\n",
               s->version,
               s->number < RESETS_CUT ? "an HTTP/2 client cancels it or resets its connection"
                                      : "a client resets its connection or cancels a stream");
        put_part(s, "hop-frontend");
    }
    put_part(s, "frontend");
    if (whole)
        put_part(s, "notices-frontend");
    if (s->c->cache)
        put_part(s, "cache-routing");
    if (whole)
        put_part(s, "hop-routing");
    put_part(s, "routing");
}

static void put_tables(const struct site *s)
{
    put_place("end", "", "sections of their own, behind everything else");
    printf("\n# %luk entries: twice what can be in flight (maxconn %lu) and end within a second (at most %lu "
           "requests a second so far), at\n"
           "# least %dk. An entry takes memory only while it is used.\n",
           s->size_k, s->maxconn, s->peak, SHIPPED_SIZE);
    if (s->size_k > SHIPPED_SIZE)
        printf("# The agent's file wants: inflight = { max_entries = %lu; };\n", s->size_k * 1024);
    put_part(s, "tables");
    if (!s->c->smallest)
        put_part(s, "hop-backend");
    if (s->c->cache)
        put_part(s, "cache-tables");
}

static void put_site(const struct site *s)
{
    const struct command *c = s->c;
    printf("# Lines of spoa-once for HAProxy %s (pid %s, %s), each with its reason. Four kinds of places, "
           "each begins with #===.\n",
           s->version, s->pid, s->runtime);
    printf("# Then: oncectl attach --spoe >/etc/haproxy/once.spoe.cfg\n"
           "#       haproxy -c -f /etc/haproxy/haproxy.cfg\n"
           "#       %sspoa-once -c -f /etc/spoa-once/%s.conf --haproxy /etc/haproxy/haproxy.cfg\n",
           s->agents > 1 ? "ONCE_INSTANCE=1 " : "", s->agents > 1 ? "instances" : "spoa-once");
    put_place("global", "", "into this section");
    put_part(s, "global");
    if (!c->smallest)
        put_part(s, "notices-global");
    put_frontend(s);
    for (int i = 1; i < c->nargs; i++) {
        put_place("backend", c->args[i], "before its own http-response rules");
        put_part(s, "backend");
    }
    put_tables(s);
}

static int no_haproxy(const char *path, const char *why)
{
    fprintf(stderr,
            "oncectl: %s: %s: HAProxy's runtime socket is wanted (`stats socket PATH` in its global "
            "section); --runtime PATH names another\n",
            path, why);
    return EXIT_UNREACHABLE;
}

/* EXIT_DONE: version, maxconn and pid are known. */
static int read_info(struct site *s)
{
    char why[RUNTIME_WHY], word[RUNTIME_WORD];
    unsigned major = 0, minor = 0;
    char *info = runtime_ask(s->runtime, "show info", why);
    if (!info)
        return no_haproxy(s->runtime, why);
    runtime_field(info, "Version", s->version);
    runtime_field(info, "Pid", s->pid);
    runtime_field(info, "Maxconn", word);
    free(info);
    s->maxconn = strtoul(word, NULL, 10);
    if (sscanf(s->version, "%u.%u", &major, &minor) != 2 || s->maxconn == 0)
        return no_haproxy(s->runtime, "that is no HAProxy");
    s->number = major * 100 + minor;
    if (s->number >= OLDEST)
        return EXIT_DONE;
    fprintf(stderr, "oncectl: HAProxy %s is too old: these lines want 2.6 or later\n", s->version);
    return EXIT_REFUSED;
}

/* Looks for a proxy of that kind ("FRONTEND", "BACKEND"); what there is instead is said. */
static bool find_proxy(struct site *s, const char *stat, const char *kind, const char *name)
{
    char row_name[RUNTIME_WORD], row_kind[RUNTIME_WORD], mode[RUNTIME_WORD], peak[RUNTIME_WORD];
    for (struct runtime_rows r = {0}; runtime_next(&r, stat);) {
        runtime_cell(&r, "pxname", row_name);
        runtime_cell(&r, "svname", row_kind);
        if (strcmp(row_name, name) != 0 || strcmp(row_kind, kind) != 0)
            continue;
        runtime_cell(&r, "mode", mode);
        runtime_cell(&r, "req_rate_max", peak);
        s->peak = strtoul(peak, NULL, 10) > s->peak ? strtoul(peak, NULL, 10) : s->peak;
        if (strcmp(mode, "http") == 0)
            return true;
        fprintf(stderr, "oncectl: %s is of mode %s: only HTTP can be protected\n", name, mode);
        return false;
    }
    fprintf(stderr, "oncectl: HAProxy has no %s '%s'; it has:", *kind == 'F' ? "frontend" : "backend", name);
    for (struct runtime_rows r = {0}; runtime_next(&r, stat);) {
        runtime_cell(&r, "pxname", row_name);
        runtime_cell(&r, "svname", row_kind);
        if (strcmp(row_kind, kind) == 0)
            fprintf(stderr, " %s", row_name);
    }
    fputc('\n', stderr);
    return false;
}

static int read_proxies(struct site *s)
{
    char why[RUNTIME_WHY];
    char *stat = runtime_ask(s->runtime, "show stat", why);
    if (!stat)
        return no_haproxy(s->runtime, why);
    bool found = find_proxy(s, stat, "FRONTEND", s->frontend);
    for (int i = 1; found && i < s->c->nargs; i++)
        found = find_proxy(s, stat, "BACKEND", s->c->args[i]);
    free(stat);
    return found ? EXIT_DONE : EXIT_REFUSED;
}

/* May this stand in haproxy.cfg as one word, and be no flag there (-f FILE)? */
static bool is_word(const char *text)
{
    if (!text)
        return true;
    for (const char *at = text; *at; at++)
        if (!isgraph((unsigned char)*at) || strchr("\"'\\#${}(),", *at))
            return false;
    return *text && *text != '-';
}

/* Of a request, without its query; PATH and all PATH/.. are protected. */
static bool is_path(const char *text)
{
    return !text || (*text == '/' && text[strlen(text) - 1] != '/' && !strchr(text, '?'));
}

static int wrong_arguments(const struct command *c)
{
    if (c->nargs < 2)
        return wrong("attach wants a frontend and its backends, or --spoe", "");
    if (!is_word(c->policy) || !is_word(c->path) || !is_word(c->host) || !is_word(c->run))
        return wrong("--policy, --path, --host and --run are single words without quotes, braces or commas",
                     "");
    if (!is_path(c->path))
        return wrong(
            "--path begins with / and does not end with it, without a query (/payments: that and all "
            "below it), not ",
            c->path);
    if (c->agents && (strlen(c->agents) != 1 || c->agents[0] < '1' || c->agents[0] > '0' + AGENTS_MOST))
        return wrong("--agents is a number from 1 to 9, not ", c->agents);
    return EXIT_DONE;
}

int say_attach(const struct command *c)
{
    struct site s = {
        .c = c,
        .runtime = c->runtime ? c->runtime : default_runtime,
        .run = c->run ? c->run : default_run,
        .agents = c->agents ? (unsigned)strtoul(c->agents, NULL, 10) : 1,
    };
    if (c->spoe) {
        fputs(part("once.spoe"), stdout);
        return EXIT_DONE;
    }
    int rc = wrong_arguments(c);
    if (rc != EXIT_DONE)
        return rc;
    s.frontend = c->args[0];
    if ((rc = read_info(&s)) != EXIT_DONE || (rc = read_proxies(&s)) != EXIT_DONE)
        return rc;
    s.size_k = 2 * (s.maxconn + s.peak) / 1024 + 1;
    s.size_k = s.size_k > SHIPPED_SIZE ? s.size_k : SHIPPED_SIZE;
    put_site(&s);
    return EXIT_DONE;
}
