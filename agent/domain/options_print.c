// SPDX-License-Identifier: MIT
/* The reference of all options as Markdown: one table for each scope, one line for each option. README.md
 * holds a copy of it; tools/check-options sees that they agree. */
#include "domain/options.h"

/* What a type is called in the reference, and whether its values stand in quotes. */
static const struct {
    const char *name;
    bool quoted;
} types[] = {
    [OPT_TEXT] = {"text",       true },
      [OPT_NAME] = {"name",       true },
    [OPT_BOOL] = {"boolean",    false},
      [OPT_COUNT] = {"number",     false},
    [OPT_MODE] = {"mode",       true },
      [OPT_SIZE] = {"size",       true },
    [OPT_MSEC] = {"time",       true },
      [OPT_SEC] = {"time",       true },
    [OPT_ENUM] = {"word",       true },
      [OPT_PATH] = {"path",       true },
    [OPT_URI] = {"URI",        true },
      [OPT_STREAM] = {"address",    true },
    [OPT_DATAGRAM] = {"address",    true },
      [OPT_SERVER] = {"address",    true },
    [OPT_RATE] = {"rate",       true },
      [OPT_STATUSES] = {"statuses",   true },
    [OPT_METHODS] = {"methods",    true },
      [OPT_LEASE] = {"lease",      true },
    [OPT_TERMS] = {"terms",      true },
      [OPT_HEADERS] = {"headers",    true },
    [OPT_QUERY] = {"parameters", true },
      [OPT_FIELDS] = {"fields",     true },
    [OPT_LISTEN] = {"addresses",  true },
      [OPT_SERVERS] = {"addresses",  true },
    [OPT_PATHS] = {"paths",      true },
};

static void put_value(struct buf *out, const struct option *o, const char *value)
{
    const char *quote = types[o->type].quoted ? "\"" : "";
    buf_str(out, "`");
    buf_str(out, quote);
    buf_str(out, value);
    buf_str(out, quote);
    buf_str(out, "`");
}

static void put_allowed(struct buf *out, const struct option *o)
{
    for (unsigned i = 0; o->words && o->words[i]; i++) {
        buf_str(out, i ? ", " : "");
        put_value(out, o, o->words[i]);
    }
    if (!o->min)
        return;
    put_value(out, o, o->min);
    buf_str(out, " to ");
    put_value(out, o, o->max);
}

static void put_default(struct buf *out, const struct option *o)
{
    if (o->flags & OPTION_REQUIRED)
        buf_str(out, "required");
    else
        put_value(out, o, o->deflt);
}

static void put_row(struct buf *out, const struct option *o)
{
    buf_str(out, "| `");
    buf_str(out, o->path);
    buf_str(out, "` | ");
    buf_str(out, types[o->type].name);
    buf_str(out, " | ");
    put_default(out, o);
    buf_str(out, " | ");
    put_allowed(out, o);
    buf_str(out, o->flags & OPTION_RELOAD ? " | reload | " : " | restart | ");
    buf_str(out, o->help);
    buf_str(out, " |\n");
}

void options_print(struct buf *out)
{
    for (const struct option_table *t = option_tables; t->scope; t++) {
        buf_str(out, t == option_tables ? "### " : "\n### ");
        buf_str(out, *t->scope ? t->scope : "Sections");
        buf_str(out, "\n\n");
        buf_str(out, t->about);
        buf_str(out, "\n\n| option | type | default | allowed | taken over by | says |\n"
                     "|---|---|---|---|---|---|\n");
        for (const struct option *o = t->options; o->path; o++)
            put_row(out, o);
    }
}
