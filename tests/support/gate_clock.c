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

static char sha[41];

void gate_clock_start(struct gate *g)
{
    static const char real[] = "call('TIME')", ours[] = "call('HMGET', 'test:clock', 's', 'us')";
    const char *at = scripts[SCRIPT_CLAIM].text, *found;
    struct buf text = {0};
    unsigned n = 0;
    for (; (found = strstr(at, real)); at = found + sizeof real - 1, n++) {
        buf_put(&text, at, (size_t)(found - at));
        buf_str(&text, ours);
    }
    buf_str(&text, at);
    assert_true(n > 0);
    redisReply *r = redisCommand(g->redis.c, "SCRIPT LOAD %b", text.data, text.len);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    snprintf(sha, sizeof sha, "%s", r->str);
    freeReplyObject(r);
    buf_free(&text);
}

char gate_claim_at(struct gate *g, uint64_t us)
{
    static const char head[] = "*N\r\n$7\r\nEVALSHA\r\n$40\r\n";
    redis_server_do(&g->redis, "HSET test:clock s %llu us %llu", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us % 1000000));
    redis_server_do(&g->redis, "EXPIRE test:clock 600");
    if (g->reply)
        freeReplyObject(g->reply);
    buf_reset(&g->out);
    script_claim(&g->out, &g->plan, 0, 0, false, NULL);
    assert_memory_equal(g->out.data + sizeof head - 1, scripts[SCRIPT_CLAIM].sha, 40);
    memcpy(g->out.data + sizeof head - 1, sha, 40);
    g->reply = redis_server_send(&g->redis, g->out.data, g->out.len, 1);
    if (g->reply->type != REDIS_REPLY_STRING)
        return 'E';
    if (outcome_read(g->reply->str, (size_t)g->reply->len, &g->plan, &g->outcome) < 0)
        return '?';
    return (char)g->outcome.kind;
}
