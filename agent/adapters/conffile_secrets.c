// SPDX-License-Identifier: MIT
/* What a configuration names by its file: passwords, the keys that seal stored answers, and where a crash is counted.
 *
 *   redis.password_file ──one line──► redis.password      replay.seal_keys ──one line each──► seals[] */
#include "adapters/conffile_inner.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/conftext.h"
#include "domain/seal.h"

static const char keys_path[] = "replay.seal_keys";

/* section, name: of the secret; the option of its file is called NAME_file. */
static void read_password(struct reader *r, const char *section, const char *name, config_text secret,
                          const char *file)
{
    char err[256], word[SHOWN_MAX], path[64];
    snprintf(path, sizeof path, "%s.%s_file", section, name);
    config_setting_t *s = conffile_deepest(r->root, path);
    if (!*file)
        return;
    if (*secret)
        conffile_mistake(r, s, "option '%s': only one of %s and %s_file is possible", path, name, name);
    else if (conftext_secret(file, secret, err, sizeof err))
        conffile_mistake(r, s, "option '%s': value '%s': the file %s", path, conffile_shown(NULL, file, word),
                         err);
}

static void read_passwords(struct reader *r, const char *section, struct redis_settings *s)
{
    read_password(r, section, "password", s->password, s->password_file);
    read_password(r, section, "sentinel_password", s->sentinel_password, s->sentinel_password_file);
}

/* The line of the i-th file; a list may have a line for each. */
static config_setting_t *key_line(const struct reader *r, unsigned i)
{
    config_setting_t *s = conffile_deepest(r->root, keys_path), *e = NULL;
    if (config_setting_is_list(s) || config_setting_is_array(s))
        e = config_setting_get_elem(s, i);
    return e ? e : s;
}

static int read_key(const char *file, struct seal_key *k, char *err, size_t errlen)
{
    config_text text;
    int rc = conftext_secret(file, text, err, errlen);
    if (rc == 0 && (rc = seal_key_read(text, k)) != 0)
        snprintf(err, errlen,
                 "holds no key: 32 bytes are wanted, as base64 or 64 hex digits on one line; "
                 "`openssl rand -base64 32` makes one");
    sodium_memzero(text, sizeof text);
    return rc;
}

/* Is it one of the n before it? Keys of the same id could not be told apart. */
static bool known_before(const struct config *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (memcmp(c->seals[i].id, c->seals[n].id, SEAL_ID_BYTES) == 0)
            return true;
    return false;
}

static void read_keys(struct reader *r)
{
    struct config *c = r->config;
    const struct address_list *files = &c->replay.seal_keys;
    char err[256], word[SHOWN_MAX];
    if (files->n == 0)
        return;
    /* Memory that is neither swapped out (where the limit of locked memory allows) nor in a core. The library
     * refuses it to who has not started it. */
    c->seals = sodium_init() < 0 ? NULL : sodium_allocarray(files->n, sizeof *c->seals);
    if (!c->seals) {
        conffile_mistake(r, key_line(r, 0), "option '%s': no memory for keys", keys_path);
        return;
    }
    for (unsigned i = 0; i < files->n; i++) {
        const char *file = files->item[i];
        int rc = read_key(file, &c->seals[c->nseals], err, sizeof err);
        if (rc == 0 && known_before(c, c->nseals)) {
            snprintf(err, sizeof err, "holds the key of a file before it: each key stands once");
            rc = -1;
        }
        if (rc == 0)
            c->nseals++;
        else
            conffile_mistake(r, key_line(r, i), "option '%s': value '%s': the file %s", keys_path,
                             conffile_shown(NULL, file, word), err);
    }
}

/* The start makes the file, but no directory. */
static void check_crash_file(struct reader *r)
{
    const char *file = r->config->crash.file, *slash = strrchr(file, '/');
    char word[SHOWN_MAX];
    config_text directory;
    struct stat st;
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    if (*file && (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode)))
        conffile_mistake(r, conffile_deepest(r->root, "crash.file"),
                         "option 'crash.file': value '%s': there is no directory %s: make it (systemd: "
                         "StateDirectory), or name another file",
                         conffile_shown(NULL, file, word), directory);
}

void conffile_secrets(struct reader *r)
{
    struct config *c = r->config;
    read_passwords(r, "redis", &c->redis);
    read_passwords(r, "cache.redis", &c->cache.redis);
    read_keys(r);
    check_crash_file(r);
}
