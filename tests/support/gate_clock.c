// SPDX-License-Identifier: MIT
/* Redis' own clock cannot be set. So each `call('TIME')` of the script becomes a question for a hash that the
 * test writes; everything else is what the agent loads. */
#include "tests/support/gate_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char shas[SCRIPTS][41];

/* Appends text with each `from` replaced; returns how many there were. */
static unsigned replace(struct buf *out, const char *text, const char *from, const char *to)
{
    unsigned n = 0;
    for (const char *found; (found = strstr(text, from)); text = found + strlen(from), n++) {
        buf_put(out, text, (size_t)(found - text));
        buf_str(out, to);
    }
    buf_str(out, text);
    return n;
}

void gate_clock_plant(struct gate *g, enum script_id script, const char *from, const char *to)
{
    static const char real[] = "call('TIME')", ours[] = "call('HMGET', 'test:clock', 's', 'us')";
    struct buf timed = {0}, text = {0};
    assert_true(replace(&timed, scripts[script].text, real, ours) > 0);
    buf_u8(&timed, 0);
    assert_true(replace(&text, (const char *)timed.data, from, to) > 0);
    redisReply *r = redisCommand(g->redis.c, "SCRIPT LOAD %b", text.data, text.len);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    snprintf(shas[script], sizeof shas[script], "%s", r->str);
    freeReplyObject(r);
    buf_free(&timed);
    buf_free(&text);
}

void gate_clock_start(struct gate *g)
{
    gate_clock_plant(g, SCRIPT_CLAIM, "local ", "local ");
    gate_clock_plant(g, SCRIPT_LEND, "local ", "local ");
}

/* Sends the command in g->out, whose script is that one. */
static void send_at(struct gate *g, uint64_t us, enum script_id script)
{
    char *sha = strstr((char *)g->out.data, "EVALSHA\r\n$40\r\n") + sizeof "EVALSHA\r\n$40\r\n" - 1;
    assert_memory_equal(sha, scripts[script].sha, 40);
    memcpy(sha, shas[script], 40);
    redis_server_do(&g->redis, "HSET test:clock s %llu us %llu", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us % 1000000));
    redis_server_do(&g->redis, "EXPIRE test:clock 600");
    if (g->reply)
        freeReplyObject(g->reply);
    g->reply = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
}

char gate_claim_at(struct gate *g, uint64_t us)
{
    buf_reset(&g->out);
    script_claim(&g->out, &g->plan, 0, 0, false, NULL);
    send_at(g, us, SCRIPT_CLAIM);
    if (g->reply->type != REDIS_REPLY_STRING)
        return 'E';
    if (outcome_read(g->reply->str, (size_t)g->reply->len, &g->plan, &g->outcome) < 0)
        return '?';
    return (char)g->outcome.kind;
}

char gate_lend_at(struct gate *g, uint64_t us, const struct lend_ask *ask, struct lend_said *said)
{
    buf_reset(&g->out);
    lend_write(&g->out, ask);
    send_at(g, us, SCRIPT_LEND);
    if (g->reply->type != REDIS_REPLY_STRING)
        return 'E';
    if (lend_read((struct spop_slice){g->reply->str, (size_t)g->reply->len}, said) < 0)
        return '?';
    return (char)said->kind;
}
