// SPDX-License-Identifier: MIT
/* A configuration file of any bytes: it is taken without a mistake, or refused with one at the least; what is
 * taken holds its own rules, and taken again it is the same.
 *
 * libconfig's scanner forgets a string, or its buffer, at a syntax error: some bytes for each bad file, and one is
 * read only at a start or a reload. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/conffile.h"
#include "domain/options.h"

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yy";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

static void count_mistake(void *arg, const char *file, unsigned line, const char *text)
{
    unsigned *mistakes = arg;
    assert(file && text[0] != '\0' && line < UINT32_MAX);
    ++*mistakes;
}

static struct config *read_once(const char *path)
{
    unsigned mistakes = 0;
    struct config *c = conffile_read(path, count_mistake, &mistakes);
    assert(!c == (mistakes > 0));
    return c;
}

static void check_same(const struct option *table, const void *a, const void *b)
{
    for (const struct option *o = table; o->path; o++)
        assert(option_same(o, a, b));
}

static void check_taken(struct config *c, struct config *again)
{
    assert(c->npolicies <= CONFIG_POLICIES_MAX && c->nhaproxy <= CONFIG_HAPROXY_MAX);
    assert(c->npolicies == again->npolicies && c->nhaproxy == again->nhaproxy);
    check_same(option_table_of(""), c, again);
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct policy *p = &c->policies[i], *q = &again->policies[i];
        assert(p->name[0] != '\0' && p->hash == q->hash && p->nlimits <= CONFIG_LIMITS_MAX);
        assert(p->nlimits == q->nlimits && (p->idempotency.enabled || p->nlimits > 0));
        check_same(option_table_of("policies"), p, q);
        if (p->idempotency.enabled)
            check_same(option_table_of("policies.idempotency"), &p->idempotency, &q->idempotency);
        for (unsigned k = 0; k < p->nlimits; k++) {
            assert(p->limits[k].pace.increment >= 1 &&
                   p->limits[k].pace.capacity >= p->limits[k].pace.increment);
            check_same(option_table_of("policies.limits"), &p->limits[k], &q->limits[k]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *c = read_once(path);
    if (c) {
        struct config *again = read_once(path);
        assert(again);
        check_taken(c, again);
        config_drop(again);
        config_drop(c);
    }
    close(fd);
    return 0;
}
