// SPDX-License-Identifier: MIT
/* files ──adapters/hafiles──► haconf ──domain/hacheck──► findings ──► lines on stderr */
#include "haproxy_check.h"

#include <stdio.h>

#include "adapters/hafiles.h"
#include "domain/hacheck.h"

struct sum {
    struct hafiles files;
    unsigned errors, warnings;
};

static void say_wrong(void *arg, const char *file, unsigned line, const char *text)
{
    struct sum *s = arg;
    s->errors++;
    if (line)
        fprintf(stderr, "%s:%u: error: %s\n", file, line, text);
    else
        fprintf(stderr, "%s: error: %s\n", file, text);
}

static void say_finding(void *arg, const struct hacheck_finding *f)
{
    struct sum *s = arg;
    *(f->warning ? &s->warnings : &s->errors) += 1;
    fprintf(stderr, "%s:%u: %s [%s] %s\n", f->file, f->line, f->warning ? "warning" : "error", f->id,
            f->text);
}

static const char *map_text(void *arg, const char *path)
{
    struct sum *s = arg;
    return hafiles_map(&s->files, path);
}

int haproxy_check(const struct command_line *line, const struct config *c)
{
    struct sum s = {0};
    hafiles_read(&s.files, line->haproxy, line->nhaproxy, say_wrong, &s);
    struct hacheck_input in = {
        .site = &s.files.site,
        .spoe = &s.files.spoe,
        .agent = c,
        .policies_known = line->file != NULL,
        .map = map_text,
        .report = say_finding,
        .arg = &s,
    };
    /* Of files that could not be read every line would be missing: that is one mistake, not thirty. */
    bool nothing = s.errors > 0 && s.files.site.nsections == 0;
    if (!nothing && hacheck_run(&in) != 0)
        say_wrong(&s, line->haproxy[0], 0, "out of memory");
    if (!line->quiet)
        printf("HAProxy's configuration: %u errors, %u warnings\n", s.errors, s.warnings);
    hafiles_free(&s.files);
    return s.errors > 0;
}
