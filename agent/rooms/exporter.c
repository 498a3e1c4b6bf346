// SPDX-License-Identifier: MIT
/* What the outside may ask the agent.
 *
 *   path               answer
 *   /metrics           200, Prometheus text: the agent's table, then the process' own numbers
 *   /health/liveness   200, always: whoever can ask is answered by a living loop
 *   /health/readiness  200, or 503 with the reason
 *   /version           200, the agent's version and those of its libraries
 *
 * The process' metrics have the names that every Prometheus client library gives them. */
#include "rooms/exporter.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/libraries.h"
#include "version.h"

/* No options: scrapers and health checkers are few, and one that is not served at once comes again. */
static const struct httpd_bounds bounds = {.connections = 64, .idle_s = 30, .head = 16384};

struct exporter {
    struct httpd *httpd;
    const struct metrics *metrics;
    struct exporter_sources sources;
    double started; /* wall clock, seconds */
    struct buf text;
};

static double clock_seconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Field 22 of /proc/self/stat: ticks between boot and our start (proc(5)). The name, field 2, may contain
 * anything but is followed by the last `)`. */
static double started_after_boot(void)
{
    char line[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f)
        return clock_seconds(CLOCK_BOOTTIME);
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK) : clock_seconds(CLOCK_BOOTTIME);
}

static double process_started(const struct exporter *e)
{
    return e->started;
}

static double process_memory(const struct exporter *e)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    (void)e;
    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double process_cpu(const struct exporter *e)
{
    (void)e;
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* The directory's own descriptor does not count. */
static double process_fds(const struct exporter *e)
{
    double n = -1;
    DIR *d = opendir("/proc/self/fd");
    (void)e;
    if (!d)
        return 0;
    for (const struct dirent *entry; (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            n++;
    closedir(d);
    return n;
}

static const struct process_metric {
    const char *name, *kind, *help;
    int decimals;
    double (*read)(const struct exporter *e);
} process_metrics[] = {
    {"process_start_time_seconds",    "gauge",   "Start of the process since the epoch.", 2, process_started},
    {"process_resident_memory_bytes", "gauge",   "Resident memory.",                      0, process_memory },
    {"process_cpu_seconds_total",     "counter", "User and system time spent.",           3, process_cpu    },
    {"process_open_fds",              "gauge",   "Open file descriptors.",                0, process_fds    },
};

static void write_process(struct exporter *e)
{
    char text[256];
    for (size_t i = 0; i < sizeof process_metrics / sizeof *process_metrics; i++) {
        const struct process_metric *p = &process_metrics[i];
        snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %.*f\n", p->name, p->help, p->name,
                 p->kind, p->name, p->decimals, p->read(e));
        buf_str(&e->text, text);
    }
}

static void begin(struct httpd_request *q, unsigned status, const char *type, const void *body, size_t len)
{
    httpd_begin(q, status, body, len);
    httpd_add_text(q, "Content-Type", type);
    httpd_add_text(q, "Cache-Control", "no-store");
}

/* json is dropped. NULL (no memory) becomes an empty body: the status still tells. */
static void begin_json(struct httpd_request *q, unsigned status, const char *type, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    begin(q, status, type, text, text ? strlen(text) : 0);
    free(text);
    json_decref(json);
}

static void refuse(struct httpd_request *q, unsigned status, const char *title)
{
    begin_json(q, status, "application/problem+json",
               json_pack("{s:s,s:s,s:i}", "type", "about:blank", "title", title, "status", (int)status));
}

static void answer_metrics(struct exporter *e, struct httpd_request *q)
{
    if (e->sources.before)
        e->sources.before(e->sources.arg);
    buf_reset(&e->text);
    metrics_write(e->metrics, &e->text);
    write_process(e);
    if (e->text.failed)
        refuse(q, 500, "Out of memory");
    else
        begin(q, 200, "text/plain; version=0.0.4; charset=utf-8", e->text.data, e->text.len);
}

static void answer_liveness(struct exporter *e, struct httpd_request *q)
{
    (void)e;
    begin_json(q, 200, "application/json", json_pack("{s:s}", "status", "alive"));
}

static void answer_readiness(struct exporter *e, struct httpd_request *q)
{
    const char *why = NULL;
    if (e->sources.ready(e->sources.arg, &why))
        begin_json(q, 200, "application/json", json_pack("{s:s,s:n}", "status", "ready", "reason"));
    else
        begin_json(q, 503, "application/json",
                   json_pack("{s:s,s:s}", "status", "unready", "reason", why ? why : "not ready"));
}

static void answer_version(struct exporter *e, struct httpd_request *q)
{
    json_t *linked = json_object();
    (void)e;
    for (const struct library *l = libraries; l->name; l++)
        json_object_set_new(linked, l->name, json_string(l->version()));
    begin_json(
        q, 200, "application/json",
        json_pack("{s:s,s:s,s:o}", "name", "spoa-once", "version", SPOA_ONCE_VERSION, "libraries", linked));
}

static const struct route {
    const char *path;
    void (*answer)(struct exporter *e, struct httpd_request *q);
} routes[] = {
    {"/metrics",          answer_metrics  },
    {"/health/liveness",  answer_liveness },
    {"/health/readiness", answer_readiness},
    {"/version",          answer_version  },
};

static void on_request(void *arg, struct httpd_request *q, const char *method, const char *path)
{
    const struct route *found = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(path, routes[i].path) == 0)
            found = &routes[i];
    if (!found) {
        refuse(q, 404, "Not found");
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        refuse(q, 405, "Method not allowed");
        httpd_add_text(q, "Allow", "GET, HEAD");
    } else {
        found->answer(arg, q);
    }
    httpd_send(q);
}

struct exporter *exporter_new(struct ev_loop *loop, int listen_fd, const struct metrics *metrics,
                              const struct exporter_sources *sources)
{
    struct exporter *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->metrics = metrics;
    e->sources = *sources;
    e->started = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) + started_after_boot();
    buf_init(&e->text);
    e->httpd = httpd_new(loop, listen_fd, &bounds, on_request, e);
    if (!e->httpd) {
        free(e);
        return NULL;
    }
    return e;
}

void exporter_free(struct exporter *e)
{
    httpd_free(e->httpd);
    buf_free(&e->text);
    free(e);
}
