// SPDX-License-Identifier: MIT
/* A cell is made first, then measured, then written. Times are shown by their largest unit: who wants them exactly
 * asks for --json. */
#include "ctl/show.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CELL_MAX = 256, COLUMNS_MAX = 12 };

static void put_duration(char *out, double seconds)
{
    static const struct {
        double seconds;
        const char *unit;
    } units[] = {
        {86400, "d"},
        {3600,  "h"},
        {60,    "m"},
        {1,     "s"}
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (seconds >= 2 * units[i].seconds || (units[i].seconds == 1 && seconds >= 1)) {
            snprintf(out, CELL_MAX, "%.0f%s", seconds / units[i].seconds, units[i].unit);
            return;
        }
    snprintf(out, CELL_MAX, "%.0fms", seconds > 0 ? seconds * 1000 : 0);
}

static double wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void put_array(char *out, const json_t *array)
{
    size_t i, len = 0;
    json_t *e;
    out[0] = '\0';
    json_array_foreach(array, i, e)
    {
        if (json_is_string(e))
            len += (size_t)snprintf(out + len, CELL_MAX - len, "%s%s", i ? " " : "", json_string_value(e));
        else if (json_is_number(e))
            len += (size_t)snprintf(out + len, CELL_MAX - len, "%s%.1f", i ? " " : "", json_number_value(e));
        else
            len += (size_t)snprintf(out + len, CELL_MAX - len, "%s-", i ? " " : "");
        if (len >= CELL_MAX)
            return;
    }
}

/* Times are the server's, and so is the now that comes with them. */
static void put_cell(char *out, const json_t *object, const struct show *s)
{
    const json_t *v = json_object_get(object, s->member), *now = json_object_get(object, "now_us");
    double number = json_number_value(v);
    if (!v || json_is_null(v))
        snprintf(out, CELL_MAX, "-");
    else if (json_is_array(v))
        put_array(out, v);
    else if (json_is_string(v))
        snprintf(out, CELL_MAX, "%s", json_string_value(v));
    else if (json_is_boolean(v))
        snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
    else if (s->as == SHOW_AGO)
        put_duration(out, ((now ? json_number_value(now) : wall_us()) - number) / 1e6);
    else if (s->as == SHOW_LEFT_MS)
        put_duration(out, number / 1000);
    else if (s->as == SHOW_SECONDS)
        put_duration(out, number);
    else
        snprintf(out, CELL_MAX, "%.0f", number);
}

static void put_column(const char *text, size_t width, bool last)
{
    if (last)
        printf("%s\n", text);
    else
        printf("%-*s  ", (int)width, text);
}

void show_table(const json_t *rows, const struct show *shows)
{
    size_t width[COLUMNS_MAX], i;
    char cell[CELL_MAX];
    json_t *row;
    for (size_t c = 0; shows[c].member; c++) {
        width[c] = strlen(shows[c].title);
        json_array_foreach(rows, i, row)
        {
            put_cell(cell, row, &shows[c]);
            width[c] = strlen(cell) > width[c] ? strlen(cell) : width[c];
        }
    }
    for (size_t c = 0; shows[c].member; c++)
        put_column(shows[c].title, width[c], !shows[c + 1].member);
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; shows[c].member; c++) {
            put_cell(cell, row, &shows[c]);
            put_column(cell, width[c], !shows[c + 1].member);
        }
    }
}

void show_list(const json_t *object, const struct show *shows)
{
    char cell[CELL_MAX];
    size_t width = 0;
    for (const struct show *s = shows; s->member; s++)
        width = strlen(s->title) > width ? strlen(s->title) : width;
    for (const struct show *s = shows; s->member; s++) {
        const json_t *v = json_object_get(object, s->member);
        if (!v || json_is_null(v))
            continue;
        put_cell(cell, object, s);
        printf("%-*s  %s\n", (int)width, s->title, cell);
    }
}

void show_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
}

bool show_base64(const char *text)
{
    size_t len = strlen(text), n;
    unsigned char *bytes = malloc(len + 1);
    bool right = bytes && sodium_base642bin(bytes, len + 1, text, len, NULL, &n, NULL,
                                            sodium_base64_VARIANT_ORIGINAL) == 0;
    if (right)
        right = fwrite(bytes, 1, n, stdout) == n;
    free(bytes);
    return right;
}
