// SPDX-License-Identifier: MIT
/* spop-bench: plays HAProxy towards an SPOE agent, as fast as it answers or at a fixed rate, and says how long answers took.
 *
 *   arguments ──► settings, scenario ──► warm-up ──► player_reset ──► duration ──► player_stop ──► what waits ──► report
 *
 * Exit status: 0; 1 if nothing was answered, a connection was lost or never opened, or an answer never came; 2 for wrong arguments. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/load/player.h"
#include "tests/load/process_cpu.h"

static const double last_answers = 2; /* seconds in which what is on its way may still come */

struct arguments {
    struct player_settings player;
    const char *scenario, *count;
    double warm, duration;
    double pid;
    bool json;
};

struct bench {
    struct arguments a;
    struct scenario scenario;
    struct player *player;
    struct ev_loop *loop;
    struct process_cpu before, after; /* of --pid */
    bool knows_cpu;
    uint64_t transactions, answered; /* in time: what comes behind the end is no part of rates and costs */
    ev_tstamp began, ended;
};

#define AT(field) offsetof(struct arguments, field)

/* The one list of switches: drives getopt, --help and the bounds. Numbers are doubles or, of `player`, what their type says. */
enum type { TYPE_TEXT, TYPE_UNSIGNED, TYPE_U64, TYPE_U32, TYPE_DOUBLE, TYPE_FLAG };
static const struct {
    char letter;
    const char *word, *argument;
    enum type type;
    size_t offset;
    double least, most;
    const char *help;
} switches[] = {
    {'s', "scenario",    "FILE", TYPE_TEXT,     AT(scenario),           0,   0,
     "what is said (tests/load/scenario.h; examples in tests/load/scenarios)"                                                                 },
    {'c', "connections", "N",    TYPE_UNSIGNED, AT(player.connections), 1,   PLAYER_CONNECTIONS,
     "connections (8)"                                                                                                                        },
    {'p', "depth",       "N",    TYPE_UNSIGNED, AT(player.depth),       1,   PLAYER_DEPTH,
     "transactions at one time on each (8)"                                                                                                   },
    {'r', "rate",        "N",    TYPE_DOUBLE,   AT(player.rate),        0,   1e7,
     "transactions a second, begun at fixed times; 0: as fast as they end (0)"                                                                },
    {'n', "number",      "N",    TYPE_U64,      AT(player.most),        0,   1e15,
     "transactions in all; 0: until the time is over (0)"                                                                                     },
    {'d', "duration",    "S",    TYPE_DOUBLE,   AT(duration),           0.1, 86400,              "seconds that are measured (10)"             },
    {'w', "warm",        "S",    TYPE_DOUBLE,   AT(warm),               0,   3600,               "seconds before, that are not (1)"           },
    {'f', "max-frame",   "N",    TYPE_U32,      AT(player.max_frame),   256, 1048576,
     "largest frame that is offered (16380: HAProxy's tune.bufsize less 4)"                                                                   },
    {'C', "count",       "NAME", TYPE_TEXT,     AT(count),              0,   0,                  "count the values of this variable (verdict)"},
    {'P', "pid",         "PID",  TYPE_DOUBLE,   AT(pid),                0,   4194304,
     "the agent's process: also say what it cost, from /proc"                                                                                 },
    {'j', "json",        NULL,   TYPE_FLAG,     AT(json),               0,   0,                  "print one JSON object"                      },
    {'h', "help",        NULL,   TYPE_FLAG,     0,                      0,   0,                  "print this"                                 },
};
enum { SWITCHES = sizeof switches / sizeof *switches };

static void print_help(FILE *out)
{
    fprintf(out,
            "usage: spop-bench [switches] -s FILE ADDRESS\n"
            "Plays HAProxy towards the SPOE agent at ADDRESS: unix@/path, 127.0.0.1:9000 or [::1]:9000.\n");
    for (size_t i = 0; i < SWITCHES; i++)
        fprintf(out, "  -%c, --%-11s %-4s  %s\n", switches[i].letter, switches[i].word,
                switches[i].argument ? switches[i].argument : "", switches[i].help);
}

static int wrong(const char *what, const char *value, const char *why)
{
    fprintf(stderr, "spop-bench: %s%s%s: %s\n", what, value ? " " : "", value ? value : "", why);
    return 2;
}

static int store(struct arguments *a, size_t row, const char *text)
{
    char *end, bounds[80];
    void *to = (char *)a + switches[row].offset;
    double v = text ? strtod(text, &end) : 1;
    if (switches[row].type == TYPE_TEXT) {
        memcpy(to, &text, sizeof text);
        return 0;
    }
    if (switches[row].type == TYPE_FLAG) {
        *(bool *)to = true;
        return 0;
    }
    snprintf(bounds, sizeof bounds, "not a number from %.9g to %.9g", switches[row].least,
             switches[row].most);
    if (*end || end == text || !(v >= switches[row].least && v <= switches[row].most) ||
        (switches[row].type != TYPE_DOUBLE && v != (double)(uint64_t)v))
        return wrong(switches[row].word, text, bounds);
    switch (switches[row].type) {
    case TYPE_UNSIGNED: *(unsigned *)to = (unsigned)v; break;
    case TYPE_U64: *(uint64_t *)to = (uint64_t)v; break;
    case TYPE_U32: *(uint32_t *)to = (uint32_t)v; break;
    default: *(double *)to = v;
    }
    return 0;
}

static void switches_for_getopt(struct option words[SWITCHES + 1], char letters[2 * SWITCHES + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < SWITCHES; i++) {
        letters[n++] = switches[i].letter;
        if (switches[i].argument)
            letters[n++] = ':';
        words[i] = (struct option){switches[i].word, switches[i].argument != NULL, NULL, switches[i].letter};
    }
    letters[n] = '\0';
    words[SWITCHES] = (struct option){0};
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *a)
{
    struct option words[SWITCHES + 1];
    char letters[2 * SWITCHES + 1];
    int c;
    *a = (struct arguments){
        .player = {.connections = 8, .depth = 8, .max_frame = 16380},
        .count = "verdict",
        .warm = 1,
        .duration = 10
    };
    switches_for_getopt(words, letters);
    while ((c = getopt_long(argc, argv, letters, words, NULL)) != -1) {
        size_t row = 0;
        while (row < SWITCHES && switches[row].letter != c)
            row++;
        if (c == 'h')
            print_help(stdout);
        if (c == 'h')
            return 0;
        if (row == SWITCHES)
            print_help(stderr);
        if (row == SWITCHES || store(a, row, optarg) != 0)
            return 2;
    }
    if (optind + 1 != argc)
        return wrong("ADDRESS", NULL, "give one behind the switches (--help says more)");
    if (a->player.connections * a->player.depth > PLAYER_PLACES)
        return wrong("--connections and --depth", NULL, "more than 65536 transactions at one time");
    a->player.address = argv[optind];
    return a->scenario ? -1 : wrong("--scenario", NULL, "give a file (examples in tests/load/scenarios)");
}

static bool watch_cpu(const struct bench *b, struct process_cpu *c)
{
    if (b->a.pid == 0)
        return false;
    if (process_cpu_read((long)b->a.pid, c) == 0)
        return true;
    fprintf(stderr, "spop-bench: --pid %ld: no such process, or not ours to look at\n", (long)b->a.pid);
    return false;
}

static void on_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)t;
    (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

/* Turns the loop for so long, or until nothing is to come. */
static void run_for(struct bench *b, double seconds)
{
    ev_timer over;
    ev_now_update(b->loop);
    ev_timer_init(&over, on_over, seconds, 0.);
    ev_timer_start(b->loop, &over);
    while (ev_is_active(&over) && !player_idle(b->player))
        ev_run(b->loop, EVRUN_ONCE);
    ev_timer_stop(b->loop, &over);
}

static void run(struct bench *b)
{
    if (b->a.warm > 0)
        run_for(b, b->a.warm);
    player_reset(b->player);
    b->knows_cpu = watch_cpu(b, &b->before);
    b->began = ev_time();
    run_for(b, b->a.duration);
    b->ended = ev_time();
    b->transactions = player_report(b->player)->transactions;
    b->answered = player_report(b->player)->answered;
    b->knows_cpu = b->knows_cpu && watch_cpu(b, &b->after);
    player_stop(b->player);
    run_for(b, last_answers);
}

struct row {
    const char *name;
    const struct histogram *h;
};

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static const double shares[] = {0.5, 0.9, 0.95, 0.99, 0.999};
static const char *const share_names[] = {"p50", "p90", "p95", "p99", "p99.9"};
enum { SHARES = sizeof shares / sizeof *shares };

static void row_text(const struct row *r)
{
    printf("%-22s %10llu", r->name, (unsigned long long)r->h->n);
    for (unsigned i = 0; i < SHARES; i++)
        printf(" %8.3f", ms(histogram_at(r->h, shares[i])));
    printf(" %8.3f\n", ms(r->h->most));
}

static void row_json(const struct row *r)
{
    printf("{\"name\": \"%s\", \"n\": %llu, \"mean_ms\": %.4f", r->name, (unsigned long long)r->h->n,
           histogram_mean(r->h) / 1e6);
    for (unsigned i = 0; i < SHARES; i++)
        printf(", \"%s_ms\": %.4f", share_names[i], ms(histogram_at(r->h, shares[i])));
    printf(", \"max_ms\": %.4f}", ms(r->h->most));
}

static uint64_t unanswered(const struct player_report *r)
{
    return r->sent > r->answered ? r->sent - r->answered : 0;
}

/* What a run that went well does not have. */
static void say_odd(const struct player_report *r)
{
    if (r->not_begun > 0)
        printf("due and not begun %llu: the rate was not kept, and the wait of these is in no line above\n",
               (unsigned long long)r->not_begun);
    if (r->single > 0)
        printf("%u connections without pipelining: one transaction at one time on each\n", r->single);
    if (r->shut > 0)
        printf("%u connections are not open: no AGENT-HELLO, or lost\n", r->shut);
    if (r->lost > 0)
        printf("the first one lost: %s\n", r->lost_by);
    if (r->refused > 0)
        printf("the agent's reason: status %u, %s\n", r->status, r->reason);
}

static void say_text(const struct bench *b, const struct player_report *r, double seconds)
{
    const struct player_settings *p = &b->a.player;
    printf("%s: %u connections, depth %u, ", p->address, p->connections, p->depth);
    printf(p->rate > 0 ? "%.0f transactions a second" : "closed loop", p->rate);
    printf(", %.1f s\n%.0f transactions/s, %.0f messages/s\n", seconds, (double)b->transactions / seconds,
           (double)b->answered / seconds);
    printf("%-22s %10s", "ms", "n");
    for (unsigned i = 0; i < SHARES; i++)
        printf(" %8s", share_names[i]);
    printf(" %8s\n", "max");
    for (unsigned i = 0; i < b->scenario.nmessages; i++)
        row_text(&(struct row){b->scenario.message[i].name, &r->latency[i]});
    row_text(&(struct row){"transaction", r->whole});
    for (unsigned i = 0; i < r->nwords; i++)
        printf("%s %s: %llu\n", b->a.count, r->word[i].text, (unsigned long long)r->word[i].n);
    if (b->knows_cpu && b->transactions > 0)
        printf("agent: %.2f us of CPU a message, %.2f a transaction; %.1f MB\n",
               (b->after.seconds - b->before.seconds) * 1e6 / (double)b->answered,
               (b->after.seconds - b->before.seconds) * 1e6 / (double)b->transactions,
               (double)b->after.resident / 1e6);
    printf("unanswered %llu, connections lost %llu (by AGENT-DISCONNECT %llu), too large %llu\n",
           (unsigned long long)unanswered(r), (unsigned long long)r->lost, (unsigned long long)r->refused,
           (unsigned long long)r->too_large);
    say_odd(r);
}

static void say_json(const struct bench *b, const struct player_report *r, double seconds)
{
    printf("{\"seconds\": %.3f, \"transactions\": %llu, \"messages\": %llu, \"in_time\": %llu, "
           "\"unanswered\": %llu, \"lost\": "
           "%llu, "
           "\"refused\": %llu, \"too_large\": %llu, \"not_begun\": %llu, \"shut\": %u, \"single\": %u, "
           "\"lost_by\": \"%s\", \"status\": %u, \"reason\": \"%s\", \"latency\": [",
           seconds, (unsigned long long)r->transactions, (unsigned long long)r->answered,
           (unsigned long long)b->answered, (unsigned long long)unanswered(r), (unsigned long long)r->lost,
           (unsigned long long)r->refused, (unsigned long long)r->too_large, (unsigned long long)r->not_begun,
           r->shut, r->single, r->lost_by ? r->lost_by : "", r->status, r->reason);
    for (unsigned i = 0; i < b->scenario.nmessages; i++) {
        row_json(&(struct row){b->scenario.message[i].name, &r->latency[i]});
        printf(", ");
    }
    row_json(&(struct row){"transaction", r->whole});
    printf("], \"values\": {");
    for (unsigned i = 0; i < r->nwords; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", r->word[i].text, (unsigned long long)r->word[i].n);
    if (b->knows_cpu)
        printf("}, \"agent_cpu_s\": %.6f, \"agent_bytes\": %llu}\n", b->after.seconds - b->before.seconds,
               (unsigned long long)b->after.resident);
    else
        printf("}, \"agent_cpu_s\": null, \"agent_bytes\": null}\n");
}

static int report(const struct bench *b)
{
    const struct player_report *r = player_report(b->player);
    double seconds = b->ended - b->began;
    (b->a.json ? say_json : say_text)(b, r, seconds);
    return r->answered == 0 || r->lost > 0 || r->too_large > 0 || r->shut > 0 || !player_idle(b->player);
}

int main(int argc, char **argv)
{
    static struct bench b;
    char err[256];
    int status = read_arguments(argc, argv, &b.a);
    if (status >= 0)
        return status;
    if (scenario_read(&b.scenario, b.a.scenario, err, sizeof err) < 0)
        return wrong("--scenario", NULL, err);
    b.a.player.count = scenario_var(&b.scenario, b.a.count);
    if (b.a.player.count < 0)
        return wrong("--count", b.a.count, "the scenario names 8 variables already");
    if (b.a.pid > 0 && !watch_cpu(&b, &b.before)) {
        scenario_free(&b.scenario);
        return 2;
    }
    b.loop = ev_default_loop(EVFLAG_AUTO);
    b.player = player_new(b.loop, &b.a.player, &b.scenario, err, sizeof err);
    if (!b.player) {
        fprintf(stderr, "spop-bench: %s\n", err);
        scenario_free(&b.scenario);
        return 1;
    }
    run(&b);
    status = report(&b);
    player_free(b.player);
    scenario_free(&b.scenario);
    return status;
}
