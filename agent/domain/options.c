// SPDX-License-Identifier: MIT
/* From the text of a value to its field. One row for each type says what the type is called, what is wanted,
 * in which forms it may be written, and how it is read:
 *
 *   value ──► kinds[type].put ──► number in min..max, or a text in which every word is right ──► field
 *
 * A field is written only when the whole value is right. */
#include "domain/options.h"

#include <string.h>

#include "domain/cachequery.h"
#include "domain/policy.h"
#include "domain/text.h"
#include "domain/units.h"

/* 0, or -1; *bad then names the wrong word of a list (empty: the whole value). */
typedef int put_fn(const struct option *o, void *field, const char *value, struct spop_slice *bad);
typedef int number_fn(const char *text, uint64_t *out);

struct kind {
    const char *wanted;
    put_fn *put;
    number_fn *number; /* reads value, min and max */
    unsigned forms;    /* besides a text in quotes */
};

enum { LEASE_MOST = 1000000 };
enum { TAKES_NUMBER = 1 << FORM_NUMBER, TAKES_BOOL = 1 << FORM_BOOL, TAKES_LIST = 1 << FORM_LIST };

static const char digits[] = "0123456789";
static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char lower[] = "abcdefghijklmnopqrstuvwxyz";
/* RFC 9110, section 5.6.2: what a token has besides letters and digits. */
static const char token_marks[] = "!#$%&'*+-.^_`|~";

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool is_alnum(char c)
{
    return is_one_of(c, digits) || is_one_of(c, upper) || is_one_of(c, lower);
}

static bool is_printable(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < ' ' || *s == 127)
            return false;
    }
    return true;
}

static bool is_name(struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && !is_one_of(s.ptr[i], "-_."))
            return false;
    }
    return s.len > 0 && s.len <= CONFIG_NAME_MAX;
}

/* Keeps the text; the other text types come here when every word is right. */
static int put_text(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    size_t len = strlen(value);
    (void)bad;
    if (len > CONFIG_TEXT_MAX || !is_printable(value))
        return -1;
    if (len == 0 && !(o->flags & OPTION_OPTIONAL))
        return -1;
    memcpy(field, value, len + 1);
    return 0;
}

static int put_name(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    size_t len = strlen(value);
    (void)bad;
    if (!(len == 0 && o->flags & OPTION_OPTIONAL) && !is_name((struct spop_slice){value, len}))
        return -1;
    memcpy(field, value, len + 1);
    return 0;
}

static int put_bool(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    bool yes = strcmp(value, "true") == 0;
    (void)o;
    (void)bad;
    if (!yes && strcmp(value, "false") != 0)
        return -1;
    *(bool *)field = yes;
    return 0;
}

static number_fn *number_of(const struct option *o);

static int put_number(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    number_fn *read = number_of(o);
    uint64_t v, min = 0, max = UINT32_MAX;
    (void)bad;
    if (read(o->min, &min) || read(o->max, &max) || read(value, &v) || v < min || v > max)
        return -1;
    *(uint32_t *)field = (uint32_t)v;
    return 0;
}

static int put_enum(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    _Static_assert(sizeof(enum log_level) == sizeof(unsigned), "an enum is kept as an unsigned");
    (void)bad;
    for (unsigned i = 0; o->words[i]; i++) {
        if (strcmp(o->words[i], value) == 0) {
            memcpy(field, &i, sizeof i);
            return 0;
        }
    }
    return -1;
}

static int put_path(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    if (*value && *value != '/')
        return -1;
    return put_text(o, field, value, bad);
}

static int put_uri(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    for (const char *p = value; *p; p++) {
        if (*p <= ' ' || is_one_of(*p, "\"\\<>"))
            return -1;
    }
    return put_text(o, field, value, bad);
}

static int put_rate(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    uint32_t quota, window_s;
    return *value && unit_rate(value, &quota, &window_s) ? -1 : put_text(o, field, value, bad);
}

static int put_statuses(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    struct status_set set;
    return status_set_parse(value, &set, bad) ? -1 : put_text(o, field, value, bad);
}

static bool is_method(struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_one_of(s.ptr[i], upper) && s.ptr[i] != '-')
            return false;
    }
    return s.len > 0;
}

static int put_methods(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    struct spop_slice word;
    const char *at = value;
    if (strcmp(value, "any") == 0)
        return put_text(o, field, value, bad);
    while (unit_next_word(&at, &word)) {
        if (!is_method(word)) {
            *bad = word;
            return -1;
        }
    }
    return put_text(o, field, value, bad);
}

static int put_lease(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    uint64_t v = LEASE_OFF;
    (void)o;
    (void)bad;
    if (strcmp(value, "auto") == 0)
        v = LEASE_AUTO;
    else if (strcmp(value, "off") != 0 && (unit_count(value, &v) || v < 1 || v > LEASE_MOST))
        return -1;
    *(uint32_t *)field = (uint32_t)v;
    return 0;
}

static bool is_scope(struct spop_slice s)
{
    return slice_is(s, "global") || slice_is(s, "policy");
}

/* A limit is either global or the policy's; a word that is there twice was meant to be another. */
static int put_terms(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    struct spop_slice word[CONFIG_TERMS_MAX];
    const char *at = value;
    unsigned n = 0, scopes = 0;
    while (unit_next_word(&at, bad)) {
        if (n == CONFIG_TERMS_MAX || !is_name(*bad))
            return -1;
        for (unsigned i = 0; i < n; i++) {
            if (slice_same(word[i], *bad))
                return -1;
        }
        scopes += is_scope(*bad);
        if (scopes > 1)
            return -1;
        word[n++] = *bad;
    }
    return put_text(o, field, value, bad);
}

/* A name of a header, or its beginning and a `*`. A bare `*` would drop everything. */
static bool is_header(struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '*' && i + 1 < s.len)
            return false;
        if (!is_alnum(s.ptr[i]) && !is_one_of(s.ptr[i], token_marks))
            return false;
    }
    return s.len > 0 && s.len <= CONFIG_TEXT_MAX && s.ptr[0] != '*';
}

/* Names parted by dots, none of them empty. */
static bool is_field_path(struct spop_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool edge = i == 0 || i + 1 == s.len || s.ptr[i - 1] == '.';
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 127 || (s.ptr[i] == '.' && edge))
            return false;
    }
    return s.len > 0 && s.len <= CONFIG_TEXT_MAX;
}

/* Takes a list in which every word is right. */
static int put_list(const struct option *o, struct text_list *list, const char *value, struct spop_slice *bad,
                    bool is_right(struct spop_slice))
{
    struct spop_slice word;
    const char *at = value;
    unsigned n = 0;
    if (!*value) {
        list->n = 0;
        return o->flags & OPTION_OPTIONAL ? 0 : -1;
    }
    for (; unit_next_word(&at, &word); n++) {
        *bad = word;
        if (n == CONFIG_DROP_MAX || !is_right(word))
            return -1;
    }
    at = value;
    for (list->n = 0; list->n < n && unit_next_word(&at, &word); list->n++) {
        memcpy(list->item[list->n], word.ptr, word.len);
        list->item[list->n][word.len] = '\0';
    }
    return 0;
}

static int put_headers(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    struct text_list *list = field;
    int rc = put_list(o, list, value, bad, is_header);
    for (unsigned i = 0; rc == 0 && i < list->n; i++)
        for (char *c = list->item[i]; *c; c++)
            *c = text_lower(*c);
    return rc;
}

static int put_fields(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    return put_list(o, field, value, bad, is_field_path);
}

/* One that a parameter can have in a query that is taken apart: another would count nowhere. */
static bool is_parameter(struct spop_slice s)
{
    return cachequery_is_name(s) && s.len <= CONFIG_TEXT_MAX;
}

static int put_query(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    return put_list(o, field, value, bad, is_parameter);
}

/* host:port or [v6]:port; names: a host name will do, else numbers only. Whether such an address exists is
 * seen when it is used. */
static bool is_host_port(struct spop_slice s, bool names)
{
    const char *end = s.ptr + s.len, *colon = end;
    char port[8] = "";
    uint64_t number;
    while (colon > s.ptr && *colon != ':')
        colon--;
    if (colon == s.ptr || end - colon < 2 || (size_t)(end - colon) > sizeof port)
        return false;
    memcpy(port, colon + 1, (size_t)(end - colon) - 1);
    if (unit_count(port, &number) || number < 1 || number > 65535)
        return false;
    bool v6 = *s.ptr == '[' && colon[-1] == ']' && colon - s.ptr > 2;
    for (const char *p = v6 ? s.ptr + 1 : s.ptr; p < (v6 ? colon - 1 : colon); p++) {
        bool fits = v6 ? is_one_of(*p, "0123456789abcdefABCDEF:.") : is_one_of(*p, "0123456789.");
        if (!fits && !(names && !v6 && (is_alnum(*p) || is_one_of(*p, "-_"))))
            return false;
    }
    return true;
}

/* sun_path has 108 bytes with its NUL. */
static bool is_unix(struct spop_slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len > n + 1 && slice_starts(s, prefix) && s.ptr[n] == '/' && s.len - n <= 107;
}

static bool is_address(enum option_type type, struct spop_slice s)
{
    if (type == OPT_PATHS)
        return slice_starts(s, "/");
    if (is_unix(s, "unix@"))
        return true;
    if (type != OPT_DATAGRAM)
        return s.len > 0 && is_host_port(s, type == OPT_SERVER || type == OPT_SERVERS);
    if (is_unix(s, "unixdgram@"))
        return true;
    return s.len > 4 && slice_starts(s, "udp@") &&
           is_host_port((struct spop_slice){s.ptr + 4, s.len - 4}, false);
}

static int put_address(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    if (*value && !is_address(o->type, slice_of(value)))
        return -1;
    return put_text(o, field, value, bad);
}

static int put_addresses(const struct option *o, void *field, const char *value, struct spop_slice *bad)
{
    struct address_list *list = field;
    const char *at = value;
    unsigned n = 0;
    if (!*value && o->flags & OPTION_OPTIONAL) {
        list->n = 0;
        return 0;
    }
    if (!is_printable(value))
        return -1;
    while (unit_next_word(&at, bad)) {
        if (n++ == CONFIG_LISTEN_MAX || !is_address(o->type, *bad) || bad->len > CONFIG_TEXT_MAX)
            return -1;
    }
    at = value;
    for (list->n = 0; list->n < n && unit_next_word(&at, bad); list->n++) {
        memcpy(list->item[list->n], bad->ptr, bad->len);
        list->item[list->n][bad->len] = '\0';
    }
    return 0;
}

static const struct kind kinds[] = {
    [OPT_TEXT] = {"a text in quotes is wanted, at most 255 characters, none of them a control character",
                  put_text,                                                                                                           NULL,       0           },
    [OPT_NAME] = {"a name in quotes is wanted: letters, digits, '-', '_' and '.', at most 63",                         put_name,      NULL,
                  0                                                                                                                                           },
    [OPT_BOOL] = {"true or false is wanted",                                                                           put_bool,      NULL,       TAKES_BOOL  },
    [OPT_COUNT] = {"a whole number is wanted",                                                                          put_number,    unit_count, TAKES_NUMBER},
    [OPT_MODE] = {"permissions in octal digits are wanted, in quotes: \"0660\"",                                       put_number,    unit_mode,  0           },
    [OPT_SIZE] = {"a size is wanted, such as 4096, \"12k\", \"64m\"",                                                  put_number,    unit_size,  TAKES_NUMBER},
    [OPT_MSEC] = {"a time is wanted, such as \"250ms\", \"30s\", \"5m\"",                                              put_number,    unit_msec,  0           },
    [OPT_SEC] = {"a time in whole seconds is wanted, such as \"30s\", \"24h\", \"7d\"",                               put_number,    unit_sec,
                  0                                                                                                                                           },
    [OPT_ENUM] = {"one of these words is wanted:",                                                                     put_enum,      NULL,       0           },
    [OPT_PATH] = {"an absolute path is wanted",                                                                        put_path,      NULL,       0           },
    [OPT_URI] = {"a URI reference is wanted, such as \"/docs/problems#\"",                                            put_uri,       NULL,       0           },
    [OPT_STREAM] = {"an address is wanted, such as \"unix@/run/NAME.sock\", \"127.0.0.1:9000\", "
                    "\"[::1]:9000\"",                                                                put_address,   NULL,       0           },
    [OPT_DATAGRAM] = {"an address for datagrams is wanted, such as \"unix@/run/NAME.sock\", "
                      "\"udp@127.0.0.1:9001\"",                                                      put_address,   NULL,       0           },
    [OPT_SERVER] = {"an address is wanted, such as \"127.0.0.1:6379\", \"unix@/run/redis/redis.sock\", "
                    "\"redis:6379\"",                                                                put_address,   NULL,       0           },
    [OPT_RATE] = {"a rate is wanted, such as \"100/min\", \"5/s\", \"10/30s\": at most 1000000 in at most 30 "
                  "days",                                                                            put_rate,      NULL,       0           },
    [OPT_STATUSES] = {"statuses are wanted: \"default\", \"stripe\", or a list such as \"2xx, 3xx, 404\"",
                  put_statuses,                                                                                                       NULL,       0           },
    [OPT_METHODS] = {"\"any\" is wanted, or methods in capitals, such as \"POST, PATCH\"",                                put_methods,   NULL,
                  0                                                                                                                                           },
    [OPT_TERMS] = {"what is counted apart is wanted: \"global\" or \"policy\", \"ip\", names of message "
                   "arguments; at most four, each once, such as \"ip, user\"",                       put_terms,     NULL,       0           },
    [OPT_LEASE] = {"\"off\" or \"auto\" is wanted, or how many tokens one loan has at most: a whole number "
                   "up to 1000000",                                                                  put_lease,     NULL,       TAKES_NUMBER},
    [OPT_HEADERS] = {"names of headers are wanted, at most 64, such as [\"set-cookie\", \"x-b3-*\"]",
                  put_headers,                                                                                                        NULL,       TAKES_LIST  },
    [OPT_QUERY] =
        {"\"sorted\", \"ignore\" or up to 64 names of parameters are wanted, of letters, digits, $, - and _",
                  put_query,                                                                                                          NULL,       TAKES_LIST  },
    [OPT_FIELDS] = {"paths of fields are wanted, at most 64, such as [\"timestamp\", \"meta.sent_at\"]",
                  put_fields,                                                                                                         NULL,       TAKES_LIST  },
    [OPT_LISTEN] = {"addresses are wanted, at most eight, such as [\"unix@/run/NAME.sock\", "
                    "\"127.0.0.1:9000\"]",                                                           put_addresses, NULL,       TAKES_LIST  },
    [OPT_SERVERS] = {"addresses are wanted, at most eight, such as [\"10.0.0.1:26379\", \"10.0.0.2:26379\"]",
                  put_addresses,                                                                                                      NULL,       TAKES_LIST  },
    [OPT_PATHS] = {"absolute paths are wanted, at most eight, such as [\"/etc/NAME.key\", \"/etc/OLD.key\"]",
                  put_addresses,                                                                                                      NULL,       TAKES_LIST  },
};

static number_fn *number_of(const struct option *o)
{
    return kinds[o->type].number;
}

void option_wanted(const struct option *o, char *out, size_t size)
{
    struct text t;
    text_init(&t, out, size);
    text_str(&t, kinds[o->type].wanted);
    for (unsigned i = 0; o->words && o->words[i]; i++) {
        text_str(&t, i ? ", \"" : " \"");
        text_str(&t, o->words[i]);
        text_str(&t, "\"");
    }
    if (o->min) {
        text_str(&t, "; at least ");
        text_str(&t, o->min);
        text_str(&t, ", at most ");
        text_str(&t, o->max);
    }
}

int option_set(const struct option *o, void *base, const char *value, char *err, size_t errlen)
{
    struct spop_slice bad = {0};
    struct text t;
    if (kinds[o->type].put(o, (char *)base + o->offset, value, &bad) == 0)
        return 0;
    text_init(&t, err, errlen);
    if (bad.len > 0 && bad.len < strlen(value)) {
        text_str(&t, "'");
        text_put(&t, bad.ptr, bad.len);
        text_str(&t, "': ");
    }
    if (t.len + 1 < errlen)
        option_wanted(o, err + t.len, errlen - t.len);
    return -1;
}

bool option_takes(const struct option *o, enum option_form form)
{
    return form == FORM_TEXT || kinds[o->type].forms >> form & 1;
}
