// SPDX-License-Identifier: MIT
/* An HAProxy configuration read, its lines given out, and every rule held against it. What stands behind a
 * line
 * `====` is a file of SPOE engines. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/hacheck.h"

static const char *env(void *arg, const char *name)
{
    (void)arg;
    return *name == 'A' ? "value" : NULL;
}

static void on_wrong(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    (void)line;
    assert(*file && *text);
}

static void on_finding(void *arg, const struct hacheck_finding *f)
{
    (void)arg;
    assert(f->id && *f->file && strlen(f->text) < 2048);
}

static const char *on_map(void *arg, const char *path)
{
    (void)arg;
    return strlen(path) % 2 ? "# x\n/a payments\n/b\n\n   /c  nobody" : NULL;
}

static void look_at(const struct haconf *c)
{
    for (unsigned i = 0; i < c->nsections; i++) {
        const struct haconf_section *s = &c->sections[i];
        struct haconf_walk w = haconf_walk(c, s);
        assert(s->head < s->end && s->end <= c->nlines && s->base < (int)i);
        for (const struct haconf_line *l; (l = haconf_next(&w));) {
            assert(l->n > 0 && l->n <= HACONF_WORDS_MAX && haconf_condition(l) <= l->n);
            assert(haconf_matches(l, "*"));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *agent;
    struct haconf site, spoe;
    const uint8_t *mark = size > 5 ? memmem(data, size, "\n====\n", 6) : NULL;
    size_t first = mark ? (size_t)(mark - data) : size;
    agent = agent ? agent : config_new();
    if (memchr(data ? data : (const uint8_t *)"", 0, size)) /* the files' reader refuses such a text */
        return 0;
    haconf_init(&site, env, NULL);
    haconf_init(&spoe, env, NULL);
    haconf_read(&site, "site", (const char *)data, first, false, on_wrong, NULL);
    if (mark)
        haconf_read(&spoe, "spoe", (const char *)mark + 6, size - first - 6, true, on_wrong, NULL);
    look_at(&site);
    look_at(&spoe);
    struct hacheck_input in = {.site = &site,
                               .spoe = &spoe,
                               .agent = agent,
                               .policies_known = size % 2,
                               .map = on_map,
                               .report = on_finding};
    assert(hacheck_run(&in) == 0);
    haconf_free(&site);
    haconf_free(&spoe);
    return 0;
}
