// SPDX-License-Identifier: MIT
/* One reader of digits and one table of unit words for each kind of value. */
#include "domain/units.h"

#include <stddef.h>
#include <string.h>

enum { DIGITS_MAX = 10 };

struct unit {
    const char *word;
    uint64_t factor;
};

static const struct unit no_units[] = {
    {"",   1},
    {NULL, 0}
};
static const struct unit size_units[] = {
    {"",   1      },
    {"k",  1 << 10},
    {"K",  1 << 10},
    {"m",  1 << 20},
    {"M",  1 << 20},
    {"g",  1 << 30},
    {"G",  1 << 30},
    {NULL, 0      },
};
static const struct unit time_units[] = {
    {"ms", 1       },
    {"s",  1000    },
    {"m",  60000   },
    {"h",  3600000 },
    {"d",  86400000},
    {NULL, 0       },
};
static const struct unit window_units[] = {
    {"s",    1    },
    {"sec",  1    },
    {"m",    60   },
    {"min",  60   },
    {"h",    3600 },
    {"hour", 3600 },
    {"d",    86400},
    {"day",  86400},
    {NULL,   0    },
};

/* Digits at the front of text; returns how many there were, 0 if none or too many. */
static size_t read_digits(const char *text, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] < (char)('0' + base); n++) {
        if (n == DIGITS_MAX)
            return 0;
        v = v * base + (uint64_t)(text[n] - '0');
    }
    *out = v;
    return n;
}

static int apply_unit(const char *word, const struct unit *units, uint64_t v, uint64_t *out)
{
    for (; units->word; units++) {
        if (strcmp(units->word, word) == 0) {
            *out = v * units->factor;
            return 0;
        }
    }
    return -1;
}

static int read_value(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t v;
    size_t n = read_digits(text, 10, &v);
    return n ? apply_unit(text + n, units, v, out) : -1;
}

int unit_count(const char *text, uint64_t *out)
{
    return read_value(text, no_units, out);
}

int unit_size(const char *text, uint64_t *out)
{
    return read_value(text, size_units, out);
}

int unit_mode(const char *text, uint64_t *out)
{
    uint64_t v;
    size_t n = read_digits(text, 8, &v);
    if (n == 0 || text[n])
        return -1;
    *out = v;
    return 0;
}

int unit_msec(const char *text, uint64_t *out)
{
    return read_value(text, time_units, out);
}

int unit_sec(const char *text, uint64_t *out)
{
    uint64_t ms;
    if (unit_msec(text, &ms) || ms % 1000)
        return -1;
    *out = ms / 1000;
    return 0;
}

int unit_rate(const char *text, uint32_t *quota, uint32_t *window_s)
{
    uint64_t q, times = 1, window;
    size_t n = read_digits(text, 10, &q);
    if (n == 0 || text[n] != '/' || q < 1 || q > RATE_QUOTA_MAX)
        return -1;
    const char *word = text + n + 1;
    if (*word >= '0' && *word <= '9') {
        n = read_digits(word, 10, &times);
        if (n == 0)
            return -1;
        word += n;
    }
    if (apply_unit(word, window_units, times, &window) || window < 1 || window > RATE_WINDOW_MAX)
        return -1;
    *quota = (uint32_t)q;
    *window_s = (uint32_t)window;
    return 0;
}

bool unit_next_word(const char **at, struct spop_slice *word)
{
    const char *p = *at;
    if (!p)
        return false;
    size_t len = strcspn(p, ",");
    *at = p[len] ? p + len + 1 : NULL;
    *word = slice_trim((struct spop_slice){p, len}, " ");
    return true;
}
