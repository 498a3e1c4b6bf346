// SPDX-License-Identifier: MIT
/* given paths ──► site files ──► those that their filters name ──► spoe
 *            └──► spoe files (they begin with [scope] or spoe-..) ──► spoe */
#include "adapters/hafiles.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/conftext.h"

struct hafiles_map {
    struct hafiles_map *next;
    struct buf text;
    char path[];
};

struct reading {
    struct hafiles *files;
    haconf_wrong_fn *wrong;
    void *arg;
};

static const char *from_environment(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

/* SPOE files see what the site's setenv has set. */
static const char *from_site(void *arg, const char *name)
{
    return haconf_variable(arg, name);
}

/* Does the first line that says something belong to SPOE? */
static bool is_spoe(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (*text != '#')
            return *text == '[' || strncmp(text, "spoe-", 5) == 0;
        text += strcspn(text, "\n");
    }
}

static bool read_file(struct reading *r, const char *path, const char *file, unsigned line)
{
    struct buf text;
    char err[256], said[PATH_MAX + 300];
    buf_init(&text);
    bool ok = conftext_load(path, HAFILES_BYTES_MAX, &text, NULL, err, sizeof err) == 0;
    if (ok) {
        bool spoe = is_spoe((const char *)text.data);
        haconf_read(spoe ? &r->files->spoe : &r->files->site, path, (const char *)text.data, text.len, spoe,
                    r->wrong, r->arg);
    } else {
        snprintf(said, sizeof said, "the file %s%s%s", line ? path : "", line ? " " : "", err);
        r->wrong(r->arg, file, line, said);
    }
    buf_free(&text);
    return ok;
}

static int wanted(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return e->d_name[0] != '.' && len > 4 && strcmp(e->d_name + len - 4, ".cfg") == 0;
}

static void read_directory(struct reading *r, const char *path)
{
    struct dirent **entries;
    char file[PATH_MAX];
    int n = scandir(path, &entries, wanted, alphasort);
    if (n < 0) {
        r->wrong(r->arg, path, 0, "the directory cannot be read");
        return;
    }
    if (n > HAFILES_MAX)
        r->wrong(r->arg, path, 0, "the directory has more than 1024 files");
    for (int i = 0; i < n; i++) {
        int len = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (i < HAFILES_MAX && len < (int)sizeof file)
            read_file(r, file, file, 0);
        free(entries[i]);
    }
    free(entries);
}

static void read_path(struct reading *r, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        read_directory(r, path);
    else
        read_file(r, path, path, 0);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Has a file of that name been read already? */
static bool have_spoe(const struct hafiles *f, const char *path)
{
    for (unsigned i = 0; i < f->spoe.nlines; i++)
        if (strcmp(base_name(f->spoe.lines[i].file), base_name(path)) == 0)
            return true;
    return false;
}

static void read_named(struct reading *r)
{
    const struct haconf *site = &r->files->site;
    const char *failed = NULL;
    for (unsigned i = 0; i < site->nlines; i++) {
        const struct haconf_line *l = &site->lines[i];
        const char *path = haconf_matches(l, "filter spoe") ? haconf_after(l, "config") : NULL;
        if (!path || have_spoe(r->files, path) || (failed && strcmp(failed, path) == 0))
            continue;
        if (!read_file(r, path, l->file, l->number))
            failed = path;
    }
}

void hafiles_read(struct hafiles *f, const char *const *paths, unsigned n, haconf_wrong_fn *wrong, void *arg)
{
    struct reading r = {f, wrong, arg};
    f->maps = NULL;
    haconf_init(&f->site, from_environment, NULL);
    haconf_init(&f->spoe, from_site, &f->site);
    for (unsigned i = 0; i < n; i++)
        read_path(&r, paths[i]);
    read_named(&r);
}

void hafiles_free(struct hafiles *f)
{
    while (f->maps) {
        struct hafiles_map *next = f->maps->next;
        buf_free(&f->maps->text);
        free(f->maps);
        f->maps = next;
    }
    haconf_free(&f->site);
    haconf_free(&f->spoe);
}

const char *hafiles_map(struct hafiles *f, const char *path)
{
    char err[256];
    for (struct hafiles_map *m = f->maps; m; m = m->next)
        if (strcmp(m->path, path) == 0)
            return (const char *)m->text.data;
    struct hafiles_map *m = calloc(1, sizeof *m + strlen(path) + 1);
    if (!m)
        return NULL;
    strcpy(m->path, path);
    buf_init(&m->text);
    if (conftext_load(path, HAFILES_BYTES_MAX, &m->text, NULL, err, sizeof err) != 0) {
        buf_free(&m->text);
        free(m);
        return NULL;
    }
    m->next = f->maps;
    f->maps = m;
    return (const char *)m->text.data;
}
