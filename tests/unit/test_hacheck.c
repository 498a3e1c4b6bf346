// SPDX-License-Identifier: MIT
/* The shipped gateway, whole and with one thing spoiled: each rule of the table finds its line, and no other
 * rule says anything. Real files, read as the command reads them.
 *
 *   mutation   file, the text that is replaced (it stands there once, or the first counts), what comes instead,
 *              the rule, and at which text's line it is found */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/conffile.h"
#include "adapters/conftext.h"
#include "adapters/hafiles.h"
#include "domain/hacheck_inner.h"

enum where { SITE, SPOE, AGENT, FILES };
static const char *const sources[FILES] = {
    "haproxy-conf/demo/haproxy.cfg", "haproxy-conf/attach/once.spoe.cfg", "haproxy-conf/demo/spoa-once.conf"};
static const char *const names[FILES] = {"haproxy.cfg", "once.spoe.cfg", "agent.conf"};

static char dir[64];
static char paths[FILES][128];
static char map_path[128], open_path[128];

static struct said {
    char id[64];
    bool warning;
    char file[128];
    unsigned line;
    char text[1200];
} said[32];
static unsigned nsaid;

static void on_finding(void *arg, const struct hacheck_finding *f)
{
    (void)arg;
    assert_true(nsaid < sizeof said / sizeof *said);
    struct said *s = &said[nsaid++];
    s->warning = f->warning;
    s->line = f->line;
    snprintf(s->id, sizeof s->id, "%s", f->id);
    snprintf(s->file, sizeof s->file, "%s", f->file);
    snprintf(s->text, sizeof s->text, "%s", f->text);
}

static void on_wrong(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    on_finding(NULL, &(struct hacheck_finding){"unreadable", false, file, line, text});
}

static const char *on_map(void *arg, const char *path)
{
    return hafiles_map(arg, path);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The texts of the three files; freed by the caller. */
static void load(struct buf texts[FILES])
{
    char err[256];
    for (int i = 0; i < FILES; i++) {
        buf_init(&texts[i]);
        if (conftext_load(sources[i], 1 << 20, &texts[i], NULL, err, sizeof err) != 0)
            fail_msg("%s %s", sources[i], err);
    }
}

/* Replaces the first `old` in the text; what it was. */
static void replace(struct buf *text, const char *old, const char *new)
{
    struct buf out;
    char *at = strstr((char *)text->data, old);
    if (!at)
        fail_msg("the files do not say: %s", old);
    buf_init(&out);
    buf_put(&out, text->data, (size_t)(at - (char *)text->data));
    buf_str(&out, new);
    buf_str(&out, at + strlen(old));
    buf_u8(&out, 0);
    out.len--;
    buf_free(text);
    *text = out;
}

static void check(struct buf texts[FILES])
{
    struct hafiles files;
    nsaid = 0;
    for (int i = 0; i < FILES; i++)
        write_file(paths[i], (const char *)texts[i].data);
    struct config *c = conffile_read(paths[AGENT], on_wrong, NULL);
    assert_non_null(c);
    hafiles_read(&files, (const char *const[]){paths[SITE]}, 1, on_wrong, NULL);
    assert_int_equal(hacheck_run(&(struct hacheck_input){.site = &files.site,
                                                         .spoe = &files.spoe,
                                                         .agent = c,
                                                         .policies_known = true,
                                                         .map = on_map,
                                                         .report = on_finding,
                                                         .arg = &files}),
                     0);
    hafiles_free(&files);
    config_drop(c);
}

static unsigned line_of(const struct buf *text, const char *what)
{
    unsigned line = 1;
    const char *at = strstr((const char *)text->data, what);
    if (!at)
        fail_msg("the files do not say: %s", what);
    for (const char *c = (const char *)text->data; c < at; c++)
        line += *c == '\n';
    return line;
}

static const struct hacheck_rule *rule_of(const char *id)
{
    const struct hacheck_rule *r = hacheck_rules;
    while (r->id && strcmp(r->id, id) != 0)
        r++;
    return r->id ? r : NULL;
}

#define OPEN   "     http-request set-var(txn.once_open) bool(true) "
#define QUOTES "key = \"ip\";"

static const struct mutation {
    enum where where;
    const char *old, *new;
    const char *rule;
    enum where said_in;
    const char *said_at;
    bool perhaps;            /* said as a warning whatever the rule is */
    const char *old2, *new2; /* a second one, of the site; NULL: none */
} mutations[] = {
  /* clang-format off */
    {SITE, "    set-var proc.once_start date(0,us)\n", "", "once-start", SITE, "global\n", 0, NULL, NULL},
    {SITE, "    set-var proc.once_start date(0,us)", ".if feature(X)\n    set-var proc.once_start date(0,us)\n.endif", "once-start", SITE, "set-var proc.once_start", 1, NULL, NULL},
    {SITE, "level operator", "level user", "stats-socket", SITE, "stats socket", 0, NULL, NULL},
    {SITE, "haproxy.sock\" mode 660", "other.sock\" mode 660", "stats-socket", SITE, "global\n", 0, NULL, NULL},
    {SITE, "mode 660 level operator", "mode 666 level operator", "stats-mode", SITE, "stats socket", 0, NULL, NULL},
    {SITE, "    stats maxconn 100\n", "", "stats-maxconn", SITE, "stats socket", 0, NULL, NULL},
    {AGENT, "maxrewrite = 1024", "maxrewrite = 1024; max_frame = \"15k\"", "bufsize", SITE, "tune.bufsize", 0, "    stats maxconn 100\n", "    stats maxconn 100\n    tune.bufsize 16384\n"},
    {SITE, "    stats maxconn 100\n", "    stats maxconn 100\n    tune.bufsize 32768\n", "replay-head", SITE, "tune.bufsize", 0, NULL, NULL},
    {AGENT, "replay.sock\";", "replay.sock\"; max_head = \"15k\";", "replay-head", SITE, "global", 0, NULL, NULL},
    {SITE, "tune.maxrewrite 1024", "tune.maxrewrite 4096", "maxrewrite", SITE, "tune.maxrewrite", 0, NULL, NULL},
    {AGENT, "maxrewrite = 1024", "maxrewrite = 0", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "maxrewrite = 1024", "maxrewrite = 512", "maxrewrite", SITE, "tune.maxrewrite", 0, NULL, NULL},

    {SITE, "    http-request set-var(txn.once_policy) str(payments)", "    #", "no-policy", SITE, "frontend gateway", 0, "    http-request set-var(txn.once_policy) str(quotes) if { path /quotes } METH_GET\n    http-request set-var(txn.once_cache) str(catalog) if { path_beg /catalog/ }\n", ""},
    {SITE, "\nbackend application\n", "\nfrontend second\n    bind :8099\n    default_backend application\nbackend application\n", "way-round", SITE, "    default_backend application\nbackend", 0, NULL, NULL},
    {SITE, "\nbackend application\n", "\nfrontend second\n    bind :8099\n    use_backend application if METH_GET\n    default_backend other\nbackend application\n", "way-round", SITE, "use_backend application", 0, NULL, NULL},
    {SITE, "\nbackend application\n", "\nfrontend second\n    bind :8099\n    default_backend other\nbackend application\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "acl once_gated   var(txn.once_policy) -m found", "acl once_gated   var(txn.once_rid) -m found", "acl", SITE, "acl once_gated", 0, NULL, NULL},
    {SITE, "    acl once_go ", "    acl once_go always_true\n    acl once_go ", "acl", SITE, "acl once_go always_true", 0, NULL, NULL},
    {SITE, "    acl once_tracked var(txn.once.token),table_conn_cur(once_inflight) gt 0\n", "", "acl", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "acl once_nobody  var(txn.once.err),lower,add(0) -m int 1 2", "acl once_nobody  var(txn.once.err),lower,add(0) -m int 1 2 3", "acl", SITE, "acl once_nobody", 0, NULL, NULL},
    {SITE, "    acl once_open    var(txn.once_open) -m bool\n", "", "acl", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-request del-header once- -m beg\n", "", "clean-headers", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-request del-header once_ -m beg\n", "", "clean-headers-low", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-request del-header once- -m beg\n    http-request del-header once_ -m beg\n", "    http-request del-header ^once[-_] -m reg\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_rid) uuid() if once_gated\n", "", "rid", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "%[var(proc.once_start)].%H", "%H", "process", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "    http-request wait-for-body time 10s if once_gated\n", "", "request-wait", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "wait-for-body time 10s if once_gated", "wait-for-body time 10s at-least 10 if once_gated", "request-part", SITE, "at-least 10", 0, NULL, NULL},
    {SITE, "wait-for-body time 10s if once_gated", "wait-for-body time 10s at-least 10 if once_gated\n    http-request wait-for-body time 10s if once_gated", "", SITE, "global", 0, NULL, NULL},
    {SITE, "send-spoe-group once once-request if once_gated !once_waits", "send-spoe-group once once-request if once_gated !once_waits METH_POST", "ask", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-request track-sc2 var(txn.once.token) table once_inflight if once_go\n", "", "track", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_refused) bool(true) if once_gated !once_verdict\n", "", "no-verdict", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_refused) bool(true) if once_go !once_tracked\n", "", "tracked-check", SITE, "table once_inflight if once_go", 0, NULL, NULL},
    {SITE, "once_go !once_tracked\n", "once_go !once_tracked METH_POST\n", "tracked-check", SITE, "table once_inflight if once_go", 0, NULL, NULL},
    {SITE, "    http-request send-spoe-group once-response once-refused if once_refused\n", "", "refused-message", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "now\\\",\\\"status\\\":503}\" if once_refused", "now\\\",\\\"status\\\":503}\" if once_refused METH_POST", "refused-stop", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated\n", "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated METH_POST\n", "deny", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "{ var(txn.once.status) -m int eq 429 } once_deny", "{ var(txn.once.status) -m int eq 430 } once_deny", "deny-status", SITE, "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated\n", 0, NULL, NULL},
    {SITE, "    http-request return status 400", "    #", "deny-status", SITE, "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated\n", 0, "    http-request return status 409", "    #"},
    {SITE, "-m int eq 413 }", "-m int eq 422 }", "deny-status", SITE, "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated\n", 0, NULL, NULL},
    {SITE, "    http-request return status 422", "    #", "deny-status", SITE, "lf-string \"%[var(txn.once.problem)]\" if once_deny once_gated\n", 0, "if once_deny once_gated\n", "if once_deny once_gated\n    http-request return status 422 if { var(txn.once.status) -m int eq 422 } once_deny once_gated\n"},
    {SITE, "    http-request return status 422", ".if feature(X)\n    http-request deny status 422 if { var(txn.once.status) -m int eq 422 } once_deny\n.endif\n    #", "deny-status", SITE, "deny status 422", 1, NULL, NULL},
    {SITE, "http-request return status 422", "http-request deny status 422", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    http-request set-header Once-Fence", "    #", "backend-headers", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "%[var(txn.once.execution)]", "%[var(txn.once.rid)]", "backend-headers", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-after-response set-header Retry-After", "    #", "answer-fields", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-after-response set-header X-RateLimit-Reset", "    #", "answer-fields", SITE, "frontend gateway", 0, "    http-after-response set-header RateLimit-Policy", "    #"},
    {SITE, "    http-request set-header Once-Replay \"%[var(txn.once.replay)]\" if once_replay\n", "", "replay-id", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "    acl once_gated ", "    http-response sc-set-gpt0(1) status\n    acl once_gated ", "gate-order", SITE, "sc-set-gpt0(1) status", 0, NULL, NULL},
    {SITE, "    http-request set-header Once-Key", "    http-request set-var(txn.once_principal) src\n    http-request set-header Once-Key", "late-facts", SITE, "set-var(txn.once_principal)", 0, NULL, NULL},
    {SITE, "    http-request set-header Once-Key", "    http-request deny if { path /secret }\n    http-request set-header Once-Key", "late-refusal", SITE, "http-request deny if { path /secret }", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_rid)", "    http-request allow if { src 10.0.0.0/8 }\n    http-request set-var(txn.once_rid)", "allow", SITE, "http-request allow if { src", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_rid)", "    http-request allow if { src 10.0.0.0/8 } !{ var(txn.once_policy) -m found }\n    http-request set-var(txn.once_rid)", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once_rid)", "    http-request allow if { src 10.0.0.0/8 } !{ var(txn.once_policy) -m len 3 }\n    http-request set-var(txn.once_rid)", "allow", SITE, "http-request allow if { src", 0, NULL, NULL},
    {SITE, "    acl once_gated ", "    tcp-request connection track-sc2 src table other\n    acl once_gated ", "slot-sc2", SITE, "track-sc2 src", 0, NULL, NULL},
    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    no option abortonclose\n    http-response sc-set-gpt0(2) 7\n    .if defined(ONCE_RESOLVE)", "slot-sc2", SITE, "sc-set-gpt0(2) 7", 0, NULL, NULL},
    {SITE, "    acl once_gated ", "    http-request track-sc1 src table other\n    acl once_gated ", "slot-sc1", SITE, "track-sc1 src", 0, NULL, NULL},
    {SITE, "    use_backend once_replay if once_replay\n", "", "replay-route", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    # attach/hop-routing.cfg\n", "    use_backend application if { path /x }\n", "replay-route", SITE, "use_backend application", 0, NULL, NULL},

    {SITE, "    http-response wait-for-body time 1h if { var(txn.once_waited) -m bool }\n", "", "answer-wait", SITE, "send-spoe-group once-response once-response", 0, NULL, NULL},
    {SITE, "wait-for-body time 1h if { var", "wait-for-body time 1h at-least 10 if { var", "answer-part", SITE, "at-least 10", 0, NULL, NULL},
    {SITE, "    http-response send-spoe-group once-response once-response if once_go\n", "", "answer-message", SITE, "frontend gateway", 0, NULL, NULL},
    {SITE, "    http-response sc-set-gpt0(2) 1000 if once_settled\n", "", "settled", SITE, "send-spoe-group once-response once-response", 0, NULL, NULL},
    {SITE, "    http-response track-sc1 var(txn.once.token) table once_unsettled if once_go !{ var(txn.once.recorded) -m bool }\n", "", "unsettled", SITE, "send-spoe-group once-response once-response", 0, NULL, NULL},
    {SITE, "    http-response sc-set-gpt0(1) status if", "    #", "unsettled-status", SITE, "track-sc1", 0, NULL, NULL},
    {SITE, "wait-for-body time 1h if { var", "wait-for-body time 60s if { var", "answer-timeout", SITE, "wait-for-body time 60s", 0, NULL, NULL},
    {SITE, "    http-response send-spoe-group", "    http-response allow if { status 204 }\n    http-response send-spoe-group", "answer-skipped", SITE, "http-response allow", 0, NULL, NULL},

    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    no option abortonclose\n    http-response deny status 502 if { status 500 }\n    .if defined(ONCE_RESOLVE)", "answer-skipped", SITE, "http-response deny status 502", 0, NULL, NULL},
    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    no option abortonclose\n    tcp-response content reject if { res.len gt 0 }\n    .if defined(ONCE_RESOLVE)", "answer-skipped", SITE, "tcp-response content reject", 0, NULL, NULL},
    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    no option abortonclose\n    http-response deny status 502 if !{ var(txn.once.token) -m found }\n    .if defined(ONCE_RESOLVE)", "", SITE, "global", 0, NULL, NULL},

    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    option abortonclose\n    .if defined(ONCE_RESOLVE)", "abortonclose", SITE, "option abortonclose\n    .if defined(ONCE_RESOLVE)", 0, NULL, NULL},
    {SITE, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    no option abortonclose\n.if defined(X)\n    option abortonclose\n.endif\n    .if defined(ONCE_RESOLVE)", "abortonclose", SITE, "option abortonclose\n.endif", 0, NULL, NULL},
    {SITE, "    no option abortonclose\n    timeout server 1h", "    timeout server 1h", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    log global\n", "    log global\n    option abortonclose\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    log global\n", "    log global\n    option abortonclose\n", "abortonclose", SITE, "option abortonclose", 0, "    no option abortonclose\n    timeout server 1h", "    timeout server 1h"},
    {SITE, "\nbackend application\n", "\ndefaults early\n    option abortonclose\n    mode http\n    timeout connect 1s\n    timeout server 120s\ndefaults base2\n    timeout connect 1s\nbackend application from early\n", "abortonclose", SITE, "option abortonclose", 0, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    .if defined(ONCE_RESOLVE)"},
    {SITE, "\nbackend application\n", "\ndefaults early\n    option abortonclose\ndefaults late from early\n    mode http\n    timeout server 120s\ndefaults base2\n    timeout connect 1s\nbackend application from late\n", "abortonclose", SITE, "option abortonclose", 0, "    no option abortonclose\n    .if defined(ONCE_RESOLVE)", "    .if defined(ONCE_RESOLVE)"},
    {SITE, "send-proxy-v2\n", "send-proxy-v2 check on-marked-down shutdown-sessions\n", "shutdown-sessions", SITE, "server hop", 0, NULL, NULL},
    {SITE, "    server application \"${ONCE_BACKEND}\"\n", "    server application \"${ONCE_BACKEND}\" check on-marked-down shutdown-sessions\n", "shutdown-sessions", SITE, "server application \"", 0, NULL, NULL},
    {SITE, "    server application \"${ONCE_BACKEND}\"\n", "    default-server check on-marked-up shutdown-backup-sessions\n    server application \"${ONCE_BACKEND}\"\n", "shutdown-sessions", SITE, "default-server check on-marked-up", 0, NULL, NULL},
    {SITE, "    log global\n", "    log global\n    retry-on all-retryable-errors\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    http-request send-spoe-group once once-request if once_again\n", "", "ask-again", SITE, "send-spoe-group once once-request", 0, NULL, NULL},
    {SITE, "    http-response send-spoe-group once-response once-response if once_untold\n", "", "answer-again", SITE, "send-spoe-group once-response once-response", 0, NULL, NULL},
    {SITE, "    log global\n", "    log global\n    retry-on conn-failure\n", "", SITE, "global", 0, "    http-request disable-l7-retry if once_gated !once_replay\n", ""},
    {SITE, "    log global\n", "    log global\n    retry-on conn-failure 503\n", "retry-on", SITE, "retry-on conn-failure 503", 0, "    http-request disable-l7-retry if once_gated !once_replay\n", ""},
    {SITE, "    log global\n", "    log global\n    retry-on 503\n", "retry-on", SITE, "retry-on 503", 0, "    http-request disable-l7-retry if once_gated !once_replay\n", "    http-request disable-l7-retry if once_gated !once_replay METH_PUT\n"},
    {SITE, "    retry-on none\n", "    retry-on 503\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    retry-on none\n", "    retry-on 503\n", "hop-retry", SITE, "retry-on 503", 0, "    http-request disable-l7-retry if { var(txn.once_hop) -m bool }\n", ""},
    {SITE, "server hop \"unix@${ONCE_RUN}/hop.sock\"", "server hop 127.0.0.1:8085", "hop-socket", SITE, "server hop", 0, NULL, NULL},
    {SITE, "server hop \"unix@${ONCE_RUN}/hop.sock\"", "server hop abns@hop", "", SITE, "global", 0, "bind \"unix@${ONCE_RUN}/hop.sock\"", "bind abns@hop"},
    {SITE, "\nfrontend gateway\n", "\nfrontend first\n    bind \"unix@${ONCE_RUN}/hop.sock\" accept-proxy\n    default_backend other\nfrontend gateway\n", "hop-path", SITE, "bind \"unix@${ONCE_RUN}/hop.sock\" mode 660", 0, NULL, NULL},
    {SITE, "\nbackend application\n", "\nfrontend last\n    bind \"unix@${ONCE_RUN}/hop.sock\"\n    default_backend other\nbackend application\n", "hop-path", SITE, "bind \"unix@${ONCE_RUN}/hop.sock\"\n    default_backend", 0, NULL, NULL},
    {SITE, "bind \"unix@${ONCE_RUN}/hop.sock\"", "bind \"unix@${ONCE_RUN}/hop2.sock\"", "hop-path", SITE, "use_backend once_hop", 0, NULL, NULL},
    {SITE, "bind \"unix@${ONCE_RUN}/hop.sock\"", "bind \"unix@${ONCE_RUN}//hop.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "bind \"unix@${ONCE_RUN}/hop.sock\"", "bind \"unix@${NOWHERE}/hop.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" proto h2\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" proto h2\n", "hop", SITE, "str(payments)", 0, "    use_backend once_hop", "    #"},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" ssl crt x alpn h2,http/1.1\n", "hop", SITE, "str(payments)", 0, "    use_backend once_hop", "    #"},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" ssl crt x\n", "hop", SITE, "str(payments)", 0, "    use_backend once_hop", "    #"},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" proto h2\n", "hop", SITE, "str(payments)", 0, "    http-request set-var(txn.once_hop) bool(true) if { var(txn.once_policy) -m found } { fc_http_major", "    #"},
    {SITE, "str(payments)", "path,field(2,/)", "hop", SITE, "path,field(2,/)", 0, "    use_backend once_hop", "    bind :8099 proto h2\n    #"},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind quic4@:443 ssl crt x alpn h3\n", "hop", SITE, "str(payments)", 0, "    use_backend once_hop", "    #"},
    {SITE, "    bind \"${ONCE_BIND}\"\n", "    bind \"${ONCE_BIND}\" ssl crt x alpn http/1.1\n", "", SITE, "global", 0, "    use_backend once_hop", "    #"},
    {SITE, "    http-response sc-set-gpt0(2) status if { var(txn.once.token) -m found }\n", "", "mark", SITE, "\nbackend application", 0, NULL, NULL},
    {SITE, "    http-response sc-set-gpt0(2) status if", "    http-response set-header X-A b\n    http-response sc-set-gpt0(2) status if", "mark-first", SITE, "http-response set-header X-A", 0, NULL, NULL},
    {SITE, "    default_backend application", "    use_backend %[path,map(/x)] if METH_GET\n    default_backend application", "dynamic-backend", SITE, "use_backend %[path", 0, NULL, NULL},
    {SITE, "    timeout server 1h\n", "    timeout server 10s\n", "hop-timeout", SITE, "timeout server 10s", 0, NULL, NULL},

    {SITE, "    mode http\n    log global\n", "    mode http\n    log global\n    option logasap\n", "logasap", SITE, "option logasap", 0, NULL, NULL},
    {SITE, "    mode http\n    log global\n", "    mode http\n    log global\n    option dontlog-normal\n", "dontlog-normal", SITE, "option dontlog-normal", 0, NULL, NULL},
    {SITE, "    mode http\n    log global\n", "    mode http\n    log global\n    option log-separate-errors\n", "log-separate-errors", SITE, "option log-separate-errors", 0, NULL, NULL},

    {SITE, "    stick-table type string len 64 size 100k expire 1s nopurge store conn_cur,gpt0\n", "", "table", SITE, "global", 0, NULL, NULL},
    {SITE, "len 64 size 100k expire 1s", "len 32 size 100k expire 1s", "table-key", SITE, "expire 1s", 0, NULL, NULL},
    {SITE, "len 64 size 100k expire 1s", "size 100k expire 1s", "table-key", SITE, "expire 1s", 0, NULL, NULL},
    {SITE, "expire 1s nopurge", "expire 1s", "table-nopurge", SITE, "expire 1s", 0, NULL, NULL},
    {SITE, "expire 10m nopurge", "expire 10m peers all nopurge", "table-peers", SITE, "peers all", 0, NULL, NULL},
    {SITE, "expire 1s nopurge store conn_cur,gpt0", "expire 1s nopurge store conn_cur", "table-store", SITE, "expire 1s", 0, NULL, NULL},
    {SITE, "expire 1s", "expire 500ms", "table-expire", SITE, "expire 500ms", 0, NULL, NULL},
    {SITE, "expire 1s", "expire 60s", "table-expire", SITE, "expire 60s", 0, NULL, NULL},
    {SITE, "expire 10m", "expire 30s", "table-expire", SITE, "expire 30s", 0, NULL, NULL},
    {AGENT, "policies = (", "inflight = { poll = \"333ms\"; };\npolicies = (", "", SITE, "global", 0, NULL, NULL},
    {SITE, "size 100k expire 1s", "size 200k expire 1s", "table-size", SITE, "size 200k", 0, NULL, NULL},

    {SITE, "    filter spoe engine once-response config \"${ONCE_SPOE}\"\n", "", "engine", SITE, "frontend gateway", 0, NULL, NULL},
    {SPOE, "    groups once-response once-refused ", "    groups once-response ", "groups", SPOE, "spoe-agent once-response-agent", 0, NULL, NULL},
    {SPOE, "spoe-group once-refused\n    messages once-refused", "spoe-group once-refused\n    messages other", "groups", SPOE, "spoe-group once-refused", 0, NULL, NULL},
    {SPOE, " rid=var(txn.once_rid)", "", "arguments", SPOE, "args policy=var", 0, NULL, NULL},
    {SPOE, " err=var(txn.once.err),lower,add(0)", " # none", "arguments", SPOE, "# none", 0, NULL, NULL},
    {SPOE, "register-var-names verdict token", "register-var-names verdict", "variables", SPOE, "register-var-names verdict", 0, NULL, NULL},
    {SPOE, "option var-prefix once", "option var-prefix gate", "var-prefix", SPOE, "option var-prefix gate", 0, NULL, NULL},
    {SPOE, "    no option send-frag-payload\n", "", "send-frag-payload", SPOE, "spoe-agent once-agent", 0, NULL, NULL},
    {SPOE, "    option continue-on-error\n", "", "continue-on-error", SPOE, "spoe-agent once-agent", 0, NULL, NULL},
    {SPOE, "    option set-on-error response_err\n", "", "set-on-error", SPOE, "spoe-agent once-response-agent", 0, NULL, NULL},
    {AGENT, "redis = {", "redis = { deadline = \"1s\";", "processing", SPOE, "timeout processing 1s", 0, NULL, NULL},
    {SPOE, "    timeout processing 1s\n", "", "processing", SPOE, "spoe-agent once-agent", 0, NULL, NULL},
    {SPOE, "timeout processing 500ms", "timeout processing 400", "response-processing", SPOE, "timeout processing 400", 0, NULL, NULL},
    {SPOE, "timeout=int(1000)", "timeout=int(2000)", "timeout-argument", SPOE, "timeout=int(2000)", 0, NULL, NULL},

    {SPOE, "    use-backend once_agents\n\nspoe-message once-response", "    use-backend nobody\n\nspoe-message once-response", "agents", SPOE, "use-backend nobody", 0, NULL, NULL},
    {SITE, "    server agent1 \"unix@${ONCE_RUN}/spop.sock\"\n", "", "agents", SITE, "backend once_agents", 0, NULL, NULL},
    {SITE, "timeout server  2s", "timeout server  900ms", "agents-timeout", SITE, "timeout server  900ms", 0, NULL, NULL},
    {SITE, "timeout server  2s", "timeout server  29300ms", "agents-lock", SITE, "timeout server  29300ms", 0, NULL, NULL},
    {AGENT, "limits = ( { name = \"per-address\"; rate = \"6/min\"", "lease = \"3s\"; limits = ( { name = \"in-flight\"; concurrent = 6", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "limits = ( { name = \"per-address\"; rate = \"6/min\"", "lease = \"3s\"; limits = ( { name = \"in-flight\"; concurrent = 6", "agents-lock", SITE, "timeout server  2300ms", 0, "timeout server  2s", "timeout server  2300ms"},
    {SITE, "    option spop-check\n", "", "spop-check", SITE, "backend once_agents", 0, NULL, NULL},
    {SITE, "default-server check inter 300ms", "default-server inter 300ms", "server-check", SITE, "server agent1", 0, NULL, NULL},
    {SITE, "spop.sock\"\n\n", "spop.sock\" no-check\n\n", "server-check", SITE, "server agent1", 0, NULL, NULL},
    {SITE, "on-marked-down shutdown-sessions ", "", "reconnect-storm", SITE, "backend once_agents", 0, NULL, NULL},
    {SITE, "    retries 2\n", "    retries 0\n", "reconnect-storm", SITE, "retries 0", 0, NULL, NULL},

    {SITE, "    option httpchk GET /health\n", "", "replay-check", SITE, "\nbackend once_replay", 0, NULL, NULL},
    {SITE, " response-timeout 503\n", " response-timeout\n", "replay-check", SITE, "retry-on conn-failure empty", 0, NULL, NULL},
    {SITE, "replay.sock\"\n", "replay.sock\" no-check\n", "replay-check", SITE, "/replay.sock", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 \"unix@${ONCE_RUN}/other.sock\"", "agent-socket", SITE, "server agent1 \"unix@${ONCE_RUN}/other.sock\"", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "agent-socket", SITE, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "server agent1 \"unix@${ONCE_RUN}/spop.sock\" # stored", "agent-socket", SITE, "# stored", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 \"unix@${ONCE_RUN}/other.sock\"\n    server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 \"unix@${NOWHERE}/spop.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 127.0.0.1:9000", "", SITE, "global", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 \"unix@${ONCE_RUN}/spop.sock\"\n    server agent2 \"unix@${ONCE_RUN}/replay.sock\" # second", "agent-socket", SITE, "# second", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/spop.sock\"", "server agent1 /other.sock\n    server agent2 \"unix@${NOWHERE}/spop.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "server agent1 \"unix@${ONCE_RUN}//replay.sock\"", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "unix@${ONCE_RUN}/replay.sock", "unix@/run/once/replay.sock", "", SITE, "global", 0, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "server agent1 /var/run/once/replay.sock"},
    {AGENT, "unix@${ONCE_RUN}/replay.sock", "unix@/var/run/once/replay.sock", "", SITE, "global", 0, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "server agent1 unix@/run/once/replay.sock"},
    {AGENT, "unix@${ONCE_RUN}/replay.sock", "127.0.0.1:9181", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "unix@${ONCE_RUN}/replay.sock", "unix@/jail/other.sock", "", SITE, "global", 0, "server agent1 \"unix@${ONCE_RUN}/replay.sock\"", "server agent1 /other.sock\nglobal\n    chroot /jail"},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"10s\"", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"10s\"", "wait-engine", SITE, "frontend gateway", 0, "    http-request send-spoe-group once-wait once-request if once_gated once_waits\n", ""},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"10s\"", "wait-engine", SITE, "frontend gateway", 0, "    http-request set-var(txn.once_wait) bool(true)", "    #"},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"10s\"", "agents-lock", SITE, "timeout server  29300ms", 0, "timeout server  13s", "timeout server  29300ms"},
    {SITE, "timeout server  13s", "timeout server  29300ms", "", SITE, "global", 0, NULL, NULL},
    {SITE, "timeout server  13s", "timeout server  11s", "agents-timeout", SITE, "timeout server  11s", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"11600ms\"", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; wait = \"11601ms\"", "wait-processing", SPOE, "timeout processing 12s", 0, NULL, NULL},
    {SPOE, "timeout idle       13s", "timeout idle       11999ms", "wait-idle", SPOE, "timeout idle       11999ms", 0, NULL, NULL},
    {SPOE, "timeout idle       13s", "timeout idle       11999ms", "", SITE, "global", 0, "    filter spoe engine once-wait config \"${ONCE_SPOE}\"\n", ""},
    {SPOE, "    maxconnrate 10\n", "", "wait-connections", SPOE, "spoe-agent once-wait-agent", 0, NULL, NULL},
    {SPOE, "max-waiting-frames 1000", "max-waiting-frames 1025", "wait-connections", SPOE, "max-waiting-frames 1025", 0, NULL, NULL},
    {SPOE, "timeout=int(12000)", "timeout=int(12001)", "timeout-argument", SPOE, "timeout=int(12001)", 0, NULL, NULL},
    {SPOE, "[once-wait]", "[other]", "engine", SPOE, "spoe-agent once-agent", 0, NULL, NULL},
    {SPOE, "    use-backend once_wait_agents", "    use-backend nobody", "agents", SPOE, "use-backend nobody", 0, NULL, NULL},
    {SITE, "    .if defined(ONCE_WAIT)\n    filter", "    .if defined(ONCE_WAIT)\n    http-request track-sc0 src\n    filter", "", SITE, "global", 0, NULL, NULL},

    {SITE, "    http-request set-var(txn.once.fill) req.hdr(once-fill) if once_filling\n", "", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request unset-var(txn.once_cache) if once_filling\n", "", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "send-spoe-group once once-cache if once_cached\n", "send-spoe-group once once-cache if once_cached METH_GET\n", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "if once_cached !once_told !{ var(txn.once_cache_open) -m bool } ||", "if", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-response send-spoe-group once-response once-unsafe if once_unsafe { status 200:399 } !{ var(txn.once_hop) -m bool }\n", "", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request set-header Once-Fill \"%[var(txn.once.fill)]\" if once_refills\n", "", "cache-gate", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request del-header If-None-Match if once_fills\n", "", "cache-lines", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-response send-spoe-group once-response once-fill if once_fills !once_refills ||", "    http-response send-spoe-group once-response once-fill if", "cache-lines", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request set-var(txn.once.token) var(txn.once.fill),word(1,.) if once_fills !once_refills\n", "", "cache-lines", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request track-sc2 var(txn.once.token) table once_inflight if once_fills !once_refills\n", "", "cache-lines", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    use_backend once_stale if", "    use_backend once_stale if METH_GET", "cache-lines", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request set-header Once-Fill \"%[var(txn.once.fill)]\" if once_refills\n", "", "cache-order", SITE, "set-header Once-Fill", 0, "    http-request del-header once-", "    http-request set-header Once-Fill \"%[var(txn.once.fill)]\" if once_refills\n    http-request del-header once-"},
    {SITE, "    balance first\n", "", "cache-stale", SITE, "\nbackend once_stale", 0, NULL, NULL},
    {SITE, "    retries 1\n", "    retries 3\n", "cache-stale", SITE, "\nbackend once_stale", 0, NULL, NULL},
    {SITE, "str(catalog)", "str(quotes)", "cache-policy", SITE, "set-var(txn.once_cache)", 0, "    http-request set-var(txn.once_cache_open) bool(true) if { var(txn.once_cache) -m str catalog }\n", ""},
    {SITE, "    http-request set-var(txn.once_cache_open) bool(true) if { var(txn.once_cache) -m str catalog }\n", "", "fail-closed", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    http-request send-spoe-group once-wait once-cache", "    #", "cache-wait", SITE, "set-var(txn.once_cache)", 0, NULL, NULL},
    {SITE, "    # attach/cache-frontend.cfg\n", "    http-request set-var(txn.once_local) bool(true) if { var(txn.once_cache) -m str catalog }\n", "cache-local", SITE, "set-var(txn.once_local)", 0, NULL, NULL},
    {AGENT, "ttl = \"30s\"", "ttl = \"30s\"; local_ttl = \"1s\"", "", SITE, "global", 0, "    # attach/cache-frontend.cfg\n", "    http-request set-var(txn.once_local) bool(true) if { var(txn.once_cache) -m str catalog }\n"},
    {AGENT, "ttl = \"30s\"", "ttl = \"30s\"; local_ttl = \"1s\"; per = \"principal\"; principal = \"principal\"", "cache-local", SITE, "set-var(txn.once_local)", 0, "    # attach/cache-frontend.cfg\n", "    http-request set-var(txn.once_principal) src\n    http-request set-var(txn.once_local) bool(true) if { var(txn.once_cache) -m str catalog }\n"},
    {AGENT, "ttl = \"30s\"", "ttl = \"30s\"; local_ttl = \"999ms\"", "cache-local", SITE, "set-var(txn.once_local)", 0, "    # attach/cache-frontend.cfg\n", "    http-request set-var(txn.once_local) bool(true) if { var(txn.once_cache) -m str other catalog }\n"},
    {SITE, "    # attach/cache-frontend.cfg\n", "    http-request set-var(txn.once_local) bool(true) if { var(txn.once_cache) -m str other }\n", "", SITE, "global", 0, NULL, NULL},

    {SITE, "str(quotes)", "str(qoutes)", "unknown-policy", SITE, "str(qoutes)", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; on_unknown = \"hold\"", "", SITE, "global", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; on_unknown = \"hold\"", "hold-notices", SITE, "str(payments)", 0, "    log-format", "    #"},
    {SITE, "    log \"${ONCE_RUN}/notices.sock\" len 1024 format raw local0 notice\n", "", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "    log global\n", "", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "    log global\n", "", "", SITE, "global", 0, "    # attach/notices-frontend.cfg\n", "    log \"${ONCE_RUN}/notices.sock\" len 1024 format raw local0 notice\n"},
    {SITE, "    log global\n", "    log global\n    no log\n", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "/notices.sock", "/other.sock", "notices", SITE, "log-format", 0, NULL, NULL},
    {AGENT, "record = \"24h\"", "record = \"24h\"; on_unknown = \"hold\"", "", SITE, "global", 0, "log-format \"once/1 ", "log-format \"{\\\"once\\\":\\\"once/1 "},
    {SITE, "format raw local0 notice", "format raw local0 err", "notices", SITE, "/notices.sock", 0, NULL, NULL},
    {SITE, "    log \"${ONCE_RUN}/notices.sock\"", "    log \"${NOWHERE}/notices.sock\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    http-request set-log-level notice if once_go\n", "", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "    http-request set-log-level notice if { var(txn.once.fill) -m found } !{ var(txn.once_refills) -m bool }\n", "", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "    http-request set-log-level notice if once_go\n", "", "", SITE, "global", 0, "format raw local0 notice", "format raw local0"},
    {AGENT, "notices = { listen = \"unix@${ONCE_RUN}/notices.sock\"; }", "notices = { }", "notices", SITE, "log-format", 0, NULL, NULL},
    {SITE, "str(quotes)", "\"path,map_beg(${MAP},payments)\"", "", SITE, "global", 0, NULL, NULL},
    {SITE, "str(quotes)", "\"path,map_beg(${MAP},other)\"", "unknown-policy", SITE, "${MAP}", 0, NULL, NULL},
    {SITE, "str(quotes)", "path,map_beg(/nowhere/x.map)", "unknown-policy", SITE, "/nowhere/x.map", 0, NULL, NULL},
    {SITE, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str quotes }\n", "fail-open", SITE, OPEN, 0, NULL, NULL},
    {SITE, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str other }\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "    # attach/frontend.cfg\n", "    http-request set-var(txn.once_open) bool(false)\n", "", SITE, "global", 0, NULL, NULL},
    {SITE, "if once_open !once_verdict once_nobody", "if once_open !once_verdict", "fail-open", SITE, "unset-var(txn.once_refused)", 0, NULL, NULL},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-closed", SITE, "str(quotes)", 0, NULL, NULL},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "", SITE, "global", 0, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str quotes }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str payments quotes }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "if { path /quotes }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "unless { var(txn.once_policy) -m str payments }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str quotes } || METH_GET\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "", SITE, "global", 0, "    # attach/frontend.cfg\n", OPEN "if { \"var(txn.once_policy),map(${OPEN_MAP})\" -m found }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "if { \"var(txn.once_policy),map(${OPEN_MAP})\" -m str 1 }\n"},
    {AGENT, QUOTES, QUOTES " fail_open = true;", "fail-open", SITE, OPEN, 0, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy),map(/nowhere/x.map) -m found }\n"},
    {AGENT, "record = \"24h\"", "record = \"24h\"; fail_open = true", "", SITE, "global", 0, "    # attach/frontend.cfg\n", OPEN "if { var(txn.once_policy) -m str payments }\n"},
    {AGENT, "principal = \"none\"", "principal = \"principal\"", "principal", SITE, "str(payments)", 0, NULL, NULL},
    {AGENT, "principal = \"none\"", "principal = \"none\"; fingerprint = \"json\"", "json-body", SITE, "str(payments)", 0, NULL, NULL},
    {AGENT, "principal = \"none\"", "principal = \"none\"; fingerprint = \"json\"", "json-body", SITE, "str(payments)", 0, "    http-request set-var(txn.once_body) req.body", "    http-request set-var(txn.once_json) bool(true) if { path / }\n    #"},
    {SITE, "    http-request set-header Once-Key", "    http-request set-var(txn.once_json) bool(true)\n    http-request set-header Once-Key", "late-facts", SITE, "set-var(txn.once_json)", 0, NULL, NULL},
    {AGENT, "key = \"ip\"", "key = \"ip\"; cost = \"weight\"", "limit-cost", SITE, "str(quotes)", 0, NULL, NULL},
    {AGENT, "key = \"ip\"", "key = \"ip\"; tier = \"plan\"; tiers = ( { name = \"gold\"; rate = \"10/s\" } )", "limit-tier", SITE, "str(quotes)", 0, NULL, NULL},
    {AGENT, "key = \"ip\"", "key = \"tenant\"", "principal", SITE, "str(quotes)", 0, NULL, NULL},
    {0},
  /* clang-format on */
};

static unsigned failures;

static void expect(bool right, const struct mutation *m)
{
    if (right)
        return;
    failures++;
    print_error("'%s' instead of '%s': %u findings, wanted [%s]\n", m->new, m->old, nsaid, m->rule);
    for (unsigned i = 0; i < nsaid; i++)
        print_error("  %s:%u [%s] %s\n", said[i].file, said[i].line, said[i].id, said[i].text);
}

static bool said_as(const struct mutation *m, const struct buf *text)
{
    const struct hacheck_rule *r = rule_of(m->rule);
    unsigned line = line_of(text, m->said_at) + (*m->said_at == '\n');
    return nsaid == 1 && r && strcmp(said[0].id, m->rule) == 0 &&
           strcmp(said[0].file, paths[m->said_in]) == 0 && said[0].line == line &&
           said[0].warning == (r->warning || m->perhaps) && strstr(said[0].text, r->why) &&
           (m->perhaps || strstr(said[0].text, r->way_out));
}

static void try(const struct mutation *m)
{
    struct buf texts[FILES];
    load(texts);
    if (m->old)
        replace(&texts[m->where], m->old, m->new);
    if (m->old2)
        replace(&texts[SITE], m->old2, m->new2);
    check(texts);
    expect(*m->rule ? said_as(m, &texts[m->said_in]) : nsaid == 0, m);
    for (int i = 0; i < FILES; i++)
        buf_free(&texts[i]);
}

static void the_shipped_files_are_right(void **state)
{
    (void)state;
    failures = 0;
    try(&(struct mutation){.rule = ""});
    assert_int_equal(failures, 0);
}

static void each_mistake_is_found_at_its_line(void **state)
{
    (void)state;
    failures = 0;
    for (const struct mutation *m = mutations; m->old; m++)
        try(m);
    assert_int_equal(failures, 0);
}

/* A map's own line is named. */
static void an_unknown_policy_in_a_map(void **state)
{
    (void)state;
    struct buf texts[FILES];
    load(texts);
    write_file(map_path, "# policies\n/a payments\n\n/b  nobody # here\n");
    replace(&texts[SITE], "str(quotes)", "\"path,map_beg(${MAP})\"");
    check(texts);
    assert_int_equal(nsaid, 1);
    assert_string_equal(said[0].id, "unknown-policy");
    assert_string_equal(said[0].file, map_path);
    assert_int_equal(said[0].line, 4);
    assert_non_null(strstr(said[0].text, "'nobody'"));
    for (int i = 0; i < FILES; i++)
        buf_free(&texts[i]);
}

/* A policy whose name is made while HAProxy runs may be the one that holds. */
static void a_policy_that_may_be_any(void **state)
{
    (void)state;
    struct buf texts[FILES];
    load(texts);
    replace(&texts[AGENT], "record = \"24h\"", "record = \"24h\"; on_unknown = \"hold\"");
    replace(&texts[SITE], "str(payments)", "path,field(2,/)");
    check(texts);
    assert_int_equal(nsaid, 0);
    replace(&texts[SITE], "    log-format", "    #");
    check(texts);
    assert_int_equal(nsaid, 1);
    assert_string_equal(said[0].id, "hold-notices");
    assert_int_equal(said[0].line, line_of(&texts[SITE], "path,field(2,/)"));
    for (int i = 0; i < FILES; i++)
        buf_free(&texts[i]);
}

/* A site without any of our lines, and no site at all. */
static void nothing_is_there(void **state)
{
    static const char *const sites[] = {"global\nfrontend fe\n    default_backend be\nbackend be\n", "",
                                        "\n# x\n"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct buf texts[FILES];
        bool found = false;
        load(texts);
        buf_reset(&texts[SITE]);
        buf_str(&texts[SITE], sites[i]);
        buf_u8(&texts[SITE], 0);
        check(texts);
        for (unsigned n = 0; n < nsaid; n++)
            found |= strcmp(said[n].id, "gate") == 0;
        assert_true(found);
        for (int f = 0; f < FILES; f++)
            buf_free(&texts[f]);
    }
}

/* `gate` is tested above; every other rule by a mutation. */
static void every_rule_is_tested(void **state)
{
    (void)state;
    for (const struct hacheck_rule *r = hacheck_rules; r->id; r++) {
        const struct mutation *m = mutations;
        while (m->old && strcmp(m->rule, r->id) != 0)
            m++;
        if (!m->old && strcmp(r->id, "gate") != 0)
            fail_msg("no mutation breaks the rule %s", r->id);
    }
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/once-hacheck.XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < FILES; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", dir, names[i]);
    snprintf(map_path, sizeof map_path, "%s/policies.map", dir);
    setenv("ONCE_RUN", dir, 1);
    setenv("ONCE_SPOE", paths[SPOE], 1);
    setenv("ONCE_HTTP", "127.0.0.1:9180", 1);
    setenv("ONCE_REDIS", "127.0.0.1:6379", 1);
    snprintf(open_path, sizeof open_path, "%s/open.map", dir);
    setenv("MAP", map_path, 1);
    setenv("OPEN_MAP", open_path, 1);
    write_file(open_path, "# policies that may pass\nquotes 1\n");
    write_file(map_path, "# policies\n/a payments\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < FILES; i++)
        unlink(paths[i]);
    unlink(map_path);
    unlink(open_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_files_are_right),
        cmocka_unit_test(each_mistake_is_found_at_its_line),
        cmocka_unit_test(an_unknown_policy_in_a_map),
        cmocka_unit_test(a_policy_that_may_be_any),
        cmocka_unit_test(nothing_is_there),
        cmocka_unit_test(every_rule_is_tested),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
