// SPDX-License-Identifier: MIT
/* The option tables: the one list of what can be configured. They drive the reader, `-c`'s messages, the
 * defaults, the reference in README.md (`spoa-once --options` prints it) and its check.
 *
 *   path            within its scope: "redis.deadline", and "lock" in scope "policies.idempotency"
 *   type            how the value is written in the file and kept in the struct
 *   offset          into struct config, haproxy[], struct policy, struct idempotency, struct limit, struct tier
 *   deflt, min, max in people's units; NULL: none
 *   flags           what may be done with it
 *   help            one line */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "domain/buf.h"
#include "domain/config.h"

enum option_type {
    OPT_TEXT,     /* config_text: anything printable */
    OPT_NAME,     /* config_name: letters, digits, - _ . */
    OPT_BOOL,     /* bool */
    OPT_COUNT,    /* uint32_t */
    OPT_MODE,     /* uint32_t, octal text "0660" */
    OPT_SIZE,     /* uint32_t bytes: "64m", "12k" */
    OPT_MSEC,     /* uint32_t ms: "250ms", "30s", "5m" */
    OPT_SEC,      /* uint32_t s: "30s", "24h", "7d" */
    OPT_ENUM,     /* enum; words in `words` */
    OPT_PATH,     /* config_text: absolute */
    OPT_URI,      /* config_text: no blank, quote, angle bracket or backslash */
    OPT_STREAM,   /* config_text: an address to listen on, "unix@/path", "127.0.0.1:9000", "[::1]:9000" */
    OPT_DATAGRAM, /* the same for datagrams: "unix@/path", "udp@127.0.0.1:9001" */
    OPT_SERVER,   /* an address to connect to: as OPT_STREAM, or "host:port" */
    OPT_RATE,     /* config_text: "100/min" */
    OPT_STATUSES, /* config_text: "default", "stripe", "2xx, 404" */
    OPT_METHODS,  /* config_text: "any", or "POST, PATCH" */
    OPT_LEASE,    /* uint32_t: "off" (LEASE_OFF), "auto" (LEASE_AUTO), or a number of tokens */
    OPT_TERMS,    /* config_text: what a limit counts by, "ip, user" */
    OPT_HEADERS,  /* struct text_list: names of headers, kept in lower case; `*` at the end: a prefix */
    OPT_QUERY,    /* struct text_list: "sorted", "ignore", or names of parameters */
    OPT_FIELDS,   /* struct text_list: paths of JSON fields, names parted by dots */
    OPT_LISTEN,   /* struct address_list: addresses as OPT_STREAM */
    OPT_SERVERS,  /* struct address_list: addresses as OPT_SERVER */
    OPT_PATHS,    /* struct address_list: absolute paths */
};

enum option_flag {
    OPTION_REQUIRED = 1, /* it has no default and must be written */
    OPTION_OPTIONAL = 2, /* may be written as the empty text or list, which means: none */
    OPTION_SECRET = 4,   /* its value is never shown */
    OPTION_RELOAD = 8,   /* taken over by SIGHUP; without it only at a start */
};

struct option {
    const char *path;
    enum option_type type;
    size_t offset;
    const char *deflt, *min, *max;
    const char *const *words; /* OPT_ENUM: NULL-terminated, in the order of the enum */
    unsigned flags;
    const char *help;
};

/* The tables: NULL-terminated by path. scope is the heading in the reference. */
struct option_table {
    const char *scope; /* "", "haproxy", "policies", "policies.idempotency", "policies.limits" .. */
    const char *about; /* how the section is written */
    const struct option *options;
};
extern const struct option_table option_tables[]; /* ends with scope NULL */

const struct option *option_table_of(const char *scope);
const struct option *option_find(const struct option *table, const char *path); /* NULL: none */

/* Puts one value, written as in the file, into base + o->offset; the words of a list are parted by commas. 0,
 * or -1 with a message in err: what is wanted. Then the field is as it was. */
int option_set(const struct option *o, void *base, const char *value, char *err, size_t errlen);
/* What is wanted: 'a time is wanted, such as "250ms", "30s", "5m"; at least 10ms, at most 10s'. */
void option_wanted(const struct option *o, char *out, size_t size);
/* Defaults of one table. */
void option_defaults(const struct option *table, void *base);
/* Have two structs the same value there? A reload names the options that it cannot take over. */
bool option_same(const struct option *o, const void *a, const void *b);

/* In which form a type is written in the file. A text is always possible, so that ${ENV} is. */
enum option_form { FORM_TEXT, FORM_NUMBER, FORM_BOOL, FORM_LIST };
bool option_takes(const struct option *o, enum option_form form);

/* For an unknown path of a scope: "did you mean 'redis.deadline'?", or the names that are known there. */
void option_hint(const char *scope, const char *path, char *out, size_t size);

/* The reference in Markdown: one table for each scope. */
void options_print(struct buf *out);

#endif
