// SPDX-License-Identifier: MIT
/* One line for each event: when, level, event, key=value ..; or the same as a JSON object. To stderr.
 * Wire text is escaped: no line can be forged, no control character gets out. */
#ifndef LOG_H
#define LOG_H

#include "domain/config.h"
#include "spop/cursor.h"

struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_BYTES } kind;
    const char *text;
    long long integer;
    struct spop_slice bytes;
};

static inline struct log_field log_text(const char *name, const char *value)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_TEXT, .text = value};
}
static inline struct log_field log_int(const char *name, long long value)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_INT, .integer = value};
}
static inline struct log_field log_bytes(const char *name, struct spop_slice value)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_BYTES, .bytes = value};
}

/* LOG(LOG_NOTICE, "redis-ready", log_text("address", a), log_int("ms", 3)); at least one field. */
#define LOG(level, event, ...)                                                                               \
    do {                                                                                                     \
        if (log_wants(level)) {                                                                              \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                            \
            log_write(level, event, log_fields_, sizeof log_fields_ / sizeof *log_fields_);                  \
        }                                                                                                    \
    } while (0)

void log_setup(enum log_format format, enum log_level level);
bool log_wants(enum log_level level);
/* Async-signal-safe, so that a dying process can say why. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n);

/* For events that the wire can cause at any rate: true at most `burst` times a second for this place; what
 * was left out is told in the next line's field `left_out`. */
struct log_gate {
    double second;
    unsigned count, left_out;
};
bool log_gate_open(struct log_gate *g, unsigned burst, double now);

#endif
