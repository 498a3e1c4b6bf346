// SPDX-License-Identifier: MIT
/* What is said: the parts of a message one after another; and what an ACK has set, taken as it came. */
#include "tests/load/scenario.h"

#include <stdio.h>
#include <string.h>

#include "spop/writer.h"

enum { HEAD_BYTES = 16 };

int scenario_var(struct scenario *s, const char *name)
{
    for (unsigned i = 0; i < s->nvars; i++)
        if (strcmp(s->var[i], name) == 0)
            return (int)i;
    if (s->nvars == SCENARIO_VARS)
        return -1;
    snprintf(s->var[s->nvars], sizeof s->var[0], "%s", name);
    return (int)s->nvars++;
}

unsigned scenario_kind(const struct scenario *s, uint64_t number)
{
    unsigned at = (unsigned)(number % s->weights), i = 0;
    while (at >= s->kind[i].weight)
        at -= s->kind[i++].weight;
    return i;
}

static void put_text(struct buf *out, struct spop_slice front, const char *run, uint64_t n)
{
    char digits[48];
    int len = snprintf(digits, sizeof digits, "%s%llu", run, (unsigned long long)n);
    uint8_t memory[HEAD_BYTES] = {SPOP_STR};
    struct spop_writer w;
    spop_writer_init(&w, memory, sizeof memory);
    w.len = 1;
    spop_put_varint(&w, front.len + (size_t)len);
    buf_put(out, memory, w.len);
    buf_put(out, front.ptr, front.len);
    buf_put(out, digits, (size_t)len);
}

/* Not random beyond this run's start: a load generator must not spend its time on that. */
static void put_uuid(struct buf *out, const struct scenario_turn *t)
{
    static const char shape[] = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
    uint8_t text[sizeof shape + 1] = {SPOP_STR, sizeof shape - 1};
    uint64_t from[2] = {t->random[0] ^ t->number, t->random[1]};
    for (unsigned i = 0, n = 0; i < sizeof shape - 1; i++) {
        bool fixed = shape[i] != 'x';
        text[2 + i] = (uint8_t)(fixed ? shape[i] : "0123456789abcdef"[from[n / 16] >> 4 * (n % 16) & 15]);
        n += !fixed;
    }
    buf_put(out, text, sizeof text);
}

static void put_now(struct buf *out, uint64_t us)
{
    uint8_t memory[HEAD_BYTES] = {SPOP_INT64};
    struct spop_writer w;
    spop_writer_init(&w, memory, sizeof memory);
    w.len = 1;
    spop_put_varint(&w, us);
    buf_put(out, memory, w.len);
}

bool scenario_write(const struct scenario *s, unsigned message, const struct scenario_turn *t,
                    const struct scenario_vars *vars, struct buf *out)
{
    const struct message *m = &s->message[message];
    for (unsigned i = 0; i < m->nparts; i++) {
        const struct part *p = &s->part[m->first_part + i];
        if (p->kind == PART_VAR && vars->value[p->n].len == 0)
            return false;
    }
    for (unsigned i = 0; i < m->nparts; i++) {
        const struct part *p = &s->part[m->first_part + i];
        struct spop_slice text = {(const char *)s->bytes.data + p->at, p->len};
        switch (p->kind) {
        case PART_BYTES: buf_put(out, text.ptr, text.len); break;
        case PART_NOW: put_now(out, t->now_us); break;
        case PART_UUID: put_uuid(out, t); break;
        case PART_UNIQUE: put_text(out, text, t->run, t->number); break;
        case PART_AMONG: put_text(out, text, "", t->number % p->n); break;
        case PART_VAR: buf_put(out, vars->value[p->n].bytes, vars->value[p->n].len); break;
        }
    }
    return !out->failed;
}

enum { ACTION_SET_VAR = 1, ACTION_UNSET_VAR = 2, ACTION_HEAD = 3 };

static void keep(const struct scenario *s, struct spop_slice name, const uint8_t *from, size_t len,
                 struct scenario_vars *vars)
{
    for (unsigned i = 0; i < s->nvars; i++)
        if (slice_is(name, s->var[i]) && len <= SCENARIO_VALUE) {
            vars->value[i].len = (uint16_t)len;
            memcpy(vars->value[i].bytes, from, len);
        }
}

/* An action: type, number of arguments, scope, name and, of set-var, the value (doc/SPOE.txt, section 3.4). */
int scenario_take(const struct scenario *s, struct spop_cursor ack, struct scenario_vars *vars)
{
    while (ack.at != ack.end) {
        if (ack.end - ack.at < ACTION_HEAD)
            return -1;
        unsigned action = ack.at[0];
        ack.at += ACTION_HEAD;
        struct spop_slice name;
        struct spop_value value;
        if (spop_get_string(&ack, &name) < 0 || (action != ACTION_SET_VAR && action != ACTION_UNSET_VAR))
            return -1;
        const uint8_t *from = ack.at;
        if (action == ACTION_SET_VAR && spop_get_value(&ack, &value) < 0)
            return -1;
        keep(s, name, from, (size_t)(ack.at - from), vars);
    }
    return 0;
}

struct spop_slice scenario_text(const struct scenario_vars *vars, unsigned var)
{
    const uint8_t *bytes = vars->value[var].bytes;
    struct spop_cursor at = {bytes, bytes + vars->value[var].len};
    struct spop_value v;
    if (spop_get_value(&at, &v) == 0 && (v.type == SPOP_STR || v.type == SPOP_BIN))
        return v.bytes;
    return slice_of("-");
}
