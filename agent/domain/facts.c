// SPDX-License-Identifier: MIT
/* The table of arguments and the one loop that it drives.
 *
 * HAProxy sends what a fetch returns: text as STR or BIN, numbers as any integer type, what it could not
 * compute as NULL (missing). An empty text is not a missing one: its pointer is not NULL. */
#include "domain/facts.h"

#include "domain/text.h"

#include <string.h>

enum {
    IN_REQUEST = 1 << MESSAGE_REQUEST,
    IN_RESPONSE = 1 << MESSAGE_RESPONSE,
    IN_REFUSED = 1 << MESSAGE_REFUSED,
    IN_CHARGE = 1 << MESSAGE_CHARGE,
    IN_CACHE = 1 << MESSAGE_CACHE,
    IN_FILL = 1 << MESSAGE_FILL,
    IN_UNSAFE = 1 << MESSAGE_UNSAFE,
    IN_CLAIMING = IN_REQUEST | IN_REFUSED | IN_CHARGE, /* all carry the request's arguments */
    IN_ASKING = IN_CLAIMING | IN_CACHE,                /* limits count them */
    IN_REQUESTS = IN_ASKING | IN_UNSAFE,
    IN_PLACE = IN_ASKING | IN_UNSAFE, /* where it went */
    IN_CACHED = IN_CACHE | IN_UNSAFE,
    IN_ANSWER = IN_RESPONSE | IN_FILL,
    IF_WANTED = 1 << MESSAGE_UNKNOWN, /* the shipped lines do not carry it */
    MAY_ASK = IN_ASKING | IF_WANTED,
    MAY_TELL = IN_ANSWER | IF_WANTED,
};

enum argument_type { ARG_STRING, ARG_BINARY, ARG_INTEGER, ARG_BOOLEAN, ARG_IP };

struct argument {
    const char *name;
    size_t name_len;
    enum argument_type type;
    unsigned in, required; /* messages */
    size_t offset;         /* into the facts of that message */
    int64_t missing;       /* ARG_INTEGER: what stands for it */
    size_t exact;          /* ARG_BINARY: bytes wanted, 0: any number */
};

#define NAME(text)  text, sizeof(text) - 1
#define ASK(field)  offsetof(struct request_facts, field)
#define TELL(field) offsetof(struct response_facts, field)

/* In the order of docs/wire.md, which `make check` holds against it; HAProxy sends them in the order of its
 * configuration, most likely the same: argument_find() begins where the last search ended. */
static const struct argument arguments[] = {
    {NAME("policy"),           ARG_STRING,  IN_ASKING,   IN_ASKING, ASK(policy),           0,  0 },
    {NAME("rid"),              ARG_STRING,  IN_CLAIMING, 0,         ASK(rid),              0,  0 },
    {NAME("lost"),             ARG_STRING,  IN_CLAIMING, 0,         ASK(lost),             0,  0 },
    {NAME("process"),          ARG_STRING,  IN_CLAIMING, 0,         ASK(process),          0,  0 },
    {NAME("sent"),             ARG_INTEGER, IN_ASKING,   0,         ASK(sent),             0,  0 },
    {NAME("timeout"),          ARG_INTEGER, IN_ASKING,   0,         ASK(timeout),          0,  0 },
    {NAME("method"),           ARG_STRING,  IN_ASKING,   0,         ASK(method),           0,  0 },
    {NAME("host"),             ARG_STRING,  IN_PLACE,    0,         ASK(host),             0,  0 },
    {NAME("path"),             ARG_STRING,  IN_PLACE,    0,         ASK(path),             0,  0 },
    {NAME("query"),            ARG_STRING,  IN_PLACE,    0,         ASK(query),            0,  0 },
    {NAME("type"),             ARG_STRING,  IN_CLAIMING, 0,         ASK(type),             0,  0 },
    {NAME("key"),              ARG_STRING,  IN_CLAIMING, 0,         ASK(key),              0,  0 },
    {NAME("key2"),             ARG_STRING,  IN_CLAIMING, 0,         ASK(key2),             0,  0 },
    {NAME("keys"),             ARG_INTEGER, IN_CLAIMING, 0,         ASK(keys),             0,  0 },
    {NAME("keys2"),            ARG_INTEGER, IN_CLAIMING, 0,         ASK(keys2),            0,  0 },
    {NAME("sha"),              ARG_BINARY,  IN_CLAIMING, 0,         ASK(sha),              0,  32},
    {NAME("body"),             ARG_BINARY,  IN_CLAIMING, 0,         ASK(body),             0,  0 },
    {NAME("body_len"),         ARG_INTEGER, IN_ASKING,   0,         ASK(body_len),         -1, 0 },
    {NAME("content_length"),   ARG_INTEGER, IN_ASKING,   0,         ASK(content_length),   -1, 0 },
    {NAME("head_len"),         ARG_INTEGER, IN_CLAIMING, 0,         ASK(head_len),         -1, 0 },
    {NAME("src"),              ARG_IP,      IN_ASKING,   0,         ASK(src),              0,  0 },
    {NAME("correlation"),      ARG_STRING,  MAY_ASK,     0,         ASK(correlation),      0,  0 },
    {NAME("err"),              ARG_INTEGER, IN_REFUSED,  0,         ASK(err),              0,  0 },
    {NAME("scheme"),           ARG_STRING,  IN_CACHED,   IN_CACHED, ASK(scheme),           0,  0 },
    {NAME("headers"),          ARG_BINARY,  IN_CACHE,    0,         ASK(headers),          0,  0 },
    {NAME("wait"),             ARG_BOOLEAN, IN_CACHE,    0,         ASK(wait),             0,  0 },
    {NAME("body_follows"),     ARG_BOOLEAN, IN_CACHE,    0,         ASK(body_follows),     0,  0 },
    {NAME("status"),           ARG_INTEGER, IN_UNSAFE,   IN_UNSAFE, ASK(status),           0,  0 },
    {NAME("location"),         ARG_STRING,  IN_UNSAFE,   0,         ASK(location),         0,  0 },
    {NAME("content_location"), ARG_STRING,  IN_UNSAFE,   0,         ASK(content_location), 0,  0 },
    {NAME("token"),            ARG_STRING,  IN_ANSWER,   IN_ANSWER, TELL(token),           0,  0 },
    {NAME("status"),           ARG_INTEGER, IN_ANSWER,   IN_ANSWER, TELL(status),          0,  0 },
    {NAME("method"),           ARG_STRING,  IN_ANSWER,   0,         TELL(method),          0,  0 },
    {NAME("headers"),          ARG_BINARY,  IN_ANSWER,   0,         TELL(headers),         0,  0 },
    {NAME("body"),             ARG_BINARY,  IN_ANSWER,   0,         TELL(body),            0,  0 },
    {NAME("body_len"),         ARG_INTEGER, IN_ANSWER,   0,         TELL(body_len),        -1, 0 },
    {NAME("content_length"),   ARG_INTEGER, IN_ANSWER,   0,         TELL(content_length),  -1, 0 },
    {NAME("waited"),           ARG_BOOLEAN, IN_ANSWER,   0,         TELL(waited),          0,  0 },
    {NAME("whole"),            ARG_BOOLEAN, IN_FILL,     0,         TELL(whole),           0,  0 },
    {NAME("correlation"),      ARG_STRING,  MAY_TELL,    0,         TELL(correlation),     0,  0 },
};

enum { ARGUMENTS = sizeof arguments / sizeof *arguments };
enum { RESPONSE_ROWS = 30 }; /* where they begin; only a hint where to look first */

static const char *const wanted[] = {"string", "binary", "integer", "boolean", "ip"};
static const char *const came[] = {"nothing", "boolean", "integer", "integer", "integer",
                                   "integer", "ip",      "ip",      "string",  "binary"};

static const struct {
    const char *name;
    enum message_kind kind;
} messages[] = {
    [MESSAGE_REQUEST] = {"once-request",  MESSAGE_REQUEST },
    [MESSAGE_RESPONSE] = {"once-response", MESSAGE_RESPONSE},
    [MESSAGE_REFUSED] = {"once-refused",  MESSAGE_REFUSED },
    [MESSAGE_CHARGE] = {"once-charge",   MESSAGE_CHARGE  },
    [MESSAGE_CACHE] = {"once-cache",    MESSAGE_CACHE   },
    [MESSAGE_FILL] = {"once-fill",     MESSAGE_FILL    },
    [MESSAGE_UNSAFE] = {"once-unsafe",   MESSAGE_UNSAFE  },
};

enum message_kind message_kind(struct spop_slice name)
{
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        if (slice_is(name, messages[i].name))
            return messages[i].kind;
    return MESSAGE_UNKNOWN;
}

const char *message_name(enum message_kind kind)
{
    return messages[kind].name;
}

const char *facts_argument(enum message_kind kind, unsigned i)
{
    for (size_t row = 0; row < ARGUMENTS; row++) {
        if (arguments[row].in & 1u << kind && !(arguments[row].in & IF_WANTED) && i-- == 0)
            return arguments[row].name;
    }
    return NULL;
}

static bool is_named(const struct argument *row, struct spop_slice name, unsigned in)
{
    return row->name_len == name.len && (row->in & in) && memcmp(row->name, name.ptr, name.len) == 0;
}

/* *from: where to begin; left behind the row that was found. */
static const struct argument *argument_search(struct spop_slice name, unsigned in, size_t *from)
{
    size_t i = *from;
    for (size_t n = 0; n < ARGUMENTS; n++, i++) {
        i = i < ARGUMENTS ? i : 0;
        if (is_named(&arguments[i], name, in)) {
            *from = i + 1;
            return &arguments[i];
        }
    }
    return NULL;
}

/* Nearly always it is the very next one. */
static inline const struct argument *argument_find(struct spop_slice name, unsigned in, size_t *from)
{
    const struct argument *row = *from < ARGUMENTS ? &arguments[*from] : NULL;
    if (!row || !is_named(row, name, in))
        return argument_search(name, in, from);
    ++*from;
    return row;
}

static bool is_integer(enum spop_type t)
{
    return t == SPOP_INT32 || t == SPOP_UINT32 || t == SPOP_INT64 || t == SPOP_UINT64;
}

static bool argument_accepts(const struct argument *row, const struct spop_value *v)
{
    switch (row->type) {
    case ARG_STRING:
    case ARG_BINARY:
        return (v->type == SPOP_STR || v->type == SPOP_BIN) &&
               (row->exact == 0 || v->bytes.len == row->exact);
    case ARG_INTEGER: return is_integer(v->type);
    case ARG_BOOLEAN: return v->type == SPOP_BOOL || is_integer(v->type);
    case ARG_IP: return v->type == SPOP_IPV4 || v->type == SPOP_IPV6;
    }
    return false;
}

static void argument_store(const struct argument *row, const struct spop_value *v, char *facts)
{
    char *field = facts + row->offset;
    bool yes = v->integer != 0;
    struct spop_slice *slice = (struct spop_slice *)(void *)field;
    switch (row->type) {
    case ARG_STRING:
    case ARG_BINARY: /* by members: a copy of the whole would wait for what has just been written */
        slice->ptr = v->bytes.ptr;
        slice->len = v->bytes.len;
        break;
    case ARG_INTEGER: memcpy(field, &v->integer, sizeof v->integer); break;
    case ARG_BOOLEAN: memcpy(field, &yes, sizeof yes); break;
    case ARG_IP: memcpy(field, v, sizeof *v); break;
    }
}

static void blame_value(struct facts_error *bad, const struct argument *row, const struct spop_value *v)
{
    bool size = row->exact > 0 && (v->type == SPOP_STR || v->type == SPOP_BIN);
    struct text t;
    text_init(&t, bad->text, sizeof bad->text);
    text_str(&t, "argument ");
    text_str(&t, row->name);
    text_str(&t, ": ");
    if (size) {
        text_dec(&t, (int64_t)row->exact);
        text_str(&t, " bytes wanted, ");
        text_dec(&t, (int64_t)v->bytes.len);
    } else {
        text_str(&t, wanted[row->type]);
        text_str(&t, " wanted, ");
        text_str(&t, came[v->type]);
    }
    text_str(&t, " came");
}

static enum facts_result blame_missing(struct facts_error *bad, const struct argument *row)
{
    struct text t;
    text_init(&t, bad->text, sizeof bad->text);
    text_str(&t, "argument ");
    text_str(&t, row->name);
    text_str(&t, ": missing");
    return FACTS_WRONG;
}

/* What has not been seen: a required one is an error, of others there is a value that says so. */
static enum facts_result set_missing(char *facts, unsigned in, uint64_t seen, struct facts_error *bad)
{
    for (size_t i = 0; i < ARGUMENTS; i++) {
        const struct argument *row = &arguments[i];
        if ((seen & (uint64_t)1 << i) || !(row->in & in))
            continue;
        if (row->required & in)
            return blame_missing(bad, row);
        if (row->missing != 0)
            memcpy(facts + row->offset, &row->missing, sizeof row->missing);
    }
    return FACTS_READ;
}

/* Over the bound: ignored. A policy that names such an argument finds it missing, and says so. */
static void keep_extra(struct request_facts *f, const struct spop_arg *arg)
{
    if (f && f->nextra < FACTS_EXTRA_MAX)
        f->extra[f->nextra++] = *arg;
}

/* extra: takes what the table does not name; NULL: it is passed over. */
static enum facts_result read_arguments(struct spop_cursor *payload, struct spop_message *m, unsigned in,
                                        char *facts, struct request_facts *extra, struct facts_error *bad)
{
    struct spop_arg arg;
    uint64_t seen = 0;
    size_t from = in & IN_ANSWER ? RESPONSE_ROWS : 0;
    int more;
    _Static_assert(ARGUMENTS <= 64, "one bit of seen for each row");
    bad->text[0] = '\0';
    while ((more = spop_next_arg(payload, m, &arg)) > 0) {
        const struct argument *row = argument_find(arg.name, in, &from);
        if (!row) {
            keep_extra(extra, &arg);
        } else if (arg.value.type == SPOP_NULL) {
            continue;
        } else if (argument_accepts(row, &arg.value)) {
            argument_store(row, &arg.value, facts);
            seen |= (uint64_t)1 << (from - 1);
        } else if (bad->text[0] == '\0') {
            blame_value(bad, row, &arg.value);
        }
    }
    if (more < 0)
        return FACTS_MALFORMED;
    return bad->text[0] != '\0' ? FACTS_WRONG : set_missing(facts, in, seen, bad);
}

enum facts_result facts_read_request(struct spop_cursor *payload, struct spop_message *m,
                                     struct request_facts *f, struct facts_error *bad)
{
    unsigned in = 1u << message_kind(m->name) & IN_REQUESTS;
    memset(f, 0, offsetof(struct request_facts, extra)); /* nextra says how many of those there are */
    return read_arguments(payload, m, in ? in : (unsigned)IN_REQUEST, (char *)f, f, bad);
}

enum facts_result facts_read_response(struct spop_cursor *payload, struct spop_message *m,
                                      struct response_facts *f, struct facts_error *bad)
{
    *f = (struct response_facts){0};
    unsigned in = 1u << message_kind(m->name) & IN_ANSWER;
    return read_arguments(payload, m, in ? in : (unsigned)IN_RESPONSE, (char *)f, NULL, bad);
}

int facts_skip(struct spop_cursor *payload, struct spop_message *m)
{
    struct spop_arg arg;
    int more;
    while ((more = spop_next_arg(payload, m, &arg)) > 0)
        ;
    return more;
}

static struct spop_slice decimal(int64_t v, char scratch[24])
{
    struct text t;
    text_init(&t, scratch, 24);
    text_dec(&t, v);
    return (struct spop_slice){scratch, t.len};
}

static struct spop_slice value_text(const struct spop_value *v, char scratch[24])
{
    if (v->type == SPOP_NULL)
        return (struct spop_slice){0};
    if (v->type == SPOP_BOOL || is_integer(v->type))
        return decimal(v->integer, scratch);
    return v->bytes;
}

static struct spop_slice field_text(const struct argument *row, const struct request_facts *f,
                                    char scratch[24])
{
    const char *field = (const char *)f + row->offset;
    struct spop_slice bytes;
    int64_t integer;
    switch (row->type) {
    case ARG_INTEGER:
        memcpy(&integer, field, sizeof integer);
        return integer == row->missing ? (struct spop_slice){0} : decimal(integer, scratch);
    case ARG_IP: return value_text(&f->src, scratch);
    default: memcpy(&bytes, field, sizeof bytes); return bytes;
    }
}

static const struct spop_arg *extra_find(const struct request_facts *f, struct spop_slice name)
{
    for (unsigned i = 0; i < f->nextra; i++)
        if (slice_same(f->extra[i].name, name))
            return &f->extra[i];
    return NULL;
}

bool facts_carried(const struct request_facts *f, const char *name)
{
    size_t from = 0;
    return argument_find(slice_of(name), IN_ASKING, &from) || extra_find(f, slice_of(name));
}

struct spop_slice facts_text(const struct request_facts *f, const char *name, char scratch[24])
{
    struct spop_slice wants = slice_of(name);
    size_t from = 0;
    const struct argument *row = argument_find(wants, IN_ASKING, &from);
    if (row)
        return field_text(row, f, scratch);
    const struct spop_arg *extra = extra_find(f, wants);
    return extra ? value_text(&extra->value, scratch) : (struct spop_slice){0};
}

bool facts_say(struct request_facts *f, const char *name, struct spop_slice text)
{
    size_t from = 0;
    const struct argument *row = argument_find(slice_of(name), IN_ASKING, &from);
    struct spop_arg arg = {
        slice_of(name), {.type = SPOP_STR, .bytes = text}
    };
    if (row && row->type != ARG_STRING && row->type != ARG_BINARY)
        return false;
    if (row)
        argument_store(row, &arg.value, (char *)f);
    else if (f->nextra < FACTS_EXTRA_MAX)
        f->extra[f->nextra++] = arg;
    else
        return false;
    return true;
}
