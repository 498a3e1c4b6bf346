// SPDX-License-Identifier: MIT
/* The command is rare beside claims: it is written from the script's row, not from a template.
 *
 *   deadline 8 | agent 8 | limit 4 | increment 8 | capacity 8 | most 8 | stays 4 | lasts 4 | number 4 | wanted 4 | needed 4 | n 1 | n * 8
 *   S | now 8 | lent 4 | ends 8 | level 8 | on loan 8 | closed 1          P, X | now 8 */
#include "domain/lend.h"

#include <string.h>

#include "domain/le.h"
#include "domain/resp_put.h"
#include "domain/script.h"

enum { ASK_FIXED = 65, BACK_FIXED = 8, SAID = 38, REFUSED = 9, TICKS_PER_MS = 10000 };

static const double EXACT_MAX = 9007199254740992.0;

/* As of a claim: the largest capacity and a minute. */
static uint32_t stays_ms(double most)
{
    double ms = most / TICKS_PER_MS + SCRIPT_GROUP_SLACK_MS;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void put_ask(struct buf *out, const struct lend_ask *a)
{
    resp_put_len(out, ASK_FIXED + (size_t)a->nbacks * BACK_FIXED);
    buf_f64(out, (double)a->deadline_us);
    buf_put(out, a->agent, sizeof a->agent);
    buf_le(out, a->limit, 4);
    buf_f64(out, a->increment);
    buf_f64(out, a->capacity);
    buf_f64(out, a->most);
    buf_le(out, stays_ms(a->most), 4);
    buf_le(out, a->lasts_ms, 4);
    buf_le(out, a->number, 4);
    buf_le(out, a->wanted, 4);
    buf_le(out, a->needed, 4);
    buf_u8(out, (uint8_t)a->nbacks);
    for (unsigned i = 0; i < a->nbacks; i++) {
        buf_le(out, a->backs[i].number, 4);
        buf_le(out, a->backs[i].tokens, 4);
    }
    buf_str(out, "\r\n");
}

void lend_write(struct buf *out, const struct lend_ask *a)
{
    buf_str(out, "*5\r\n$7\r\nEVALSHA\r\n$40\r\n");
    buf_str(out, scripts[SCRIPT_LEND].sha);
    buf_str(out, "\r\n$1\r\n1\r\n");
    resp_put_key(out, &a->subject, 'l');
    put_ask(out, a);
}

/* False: negative, infinite or no number. */
static bool read_f64(const uint8_t *at, double *out)
{
    uint64_t bits = le_get(at, sizeof bits);
    memcpy(out, &bits, sizeof *out);
    return *out >= 0 && *out <= EXACT_MAX;
}

static bool read_us(const uint8_t *at, uint64_t *out)
{
    double us;
    if (!read_f64(at, &us))
        return false;
    *out = (uint64_t)us;
    return true;
}

int lend_read(struct spop_slice reply, struct lend_said *out)
{
    const uint8_t *at = (const uint8_t *)reply.ptr;
    *out = (struct lend_said){0};
    if (reply.len < REFUSED || !read_us(at + 1, &out->now_us))
        return -1;
    out->kind = (enum lend_kind)at[0];
    if (out->kind == LEND_LATE || out->kind == LEND_FOREIGN)
        return reply.len == REFUSED ? 0 : -1;
    if (out->kind != LEND_SAID || reply.len != SAID || !read_us(at + 13, &out->ends_us) ||
        !read_f64(at + 21, &out->level) || !read_f64(at + 29, &out->on_loan))
        return -1;
    out->tokens = (uint32_t)le_get(at + 9, 4);
    out->closed = at[37];
    return 0;
}
