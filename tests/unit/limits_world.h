// SPDX-License-Identifier: MIT
/* What the tests of limits in the rooms have in common: a room, one connection p of a HAProxy that is played by hand, and requests that
 * are counted through.
 *
 *   ask ──once-request──► decision ──► f      shown: what is left      redis_has_loans: what is lent */
#ifndef LIMITS_WORLD_H
#define LIMITS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/room_fixture.h"

static struct room w;
static struct peer p;
static struct peer_frame f;
static uint64_t stream; /* of the last request */

static inline int setup_with(const char *more)
{
    room_start(&w, more);
    room_dial(&w, &p);
    stream = 0;
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    room_stop(&w);
    return 0;
}

/* The next request with a rid of its own; made and not yet sent. */
static inline void make_request(const char *message, const char *policy, const char *key,
                                int64_t content_length)
{
    char rid[24];
    snprintf(rid, sizeof rid, "rid-%u", (unsigned)++stream);
    room_request_of(&p, stream, message, policy, key, rid, content_length);
}

static inline void send_request(const char *policy, const char *key, int64_t content_length)
{
    make_request("once-request", policy, key, content_length);
    peer_send(&p);
}

/* Its ACK is taken into f. */
static inline void ask_by(const char *message, const char *policy, const char *key)
{
    make_request(message, policy, key, 10);
    peer_send(&p);
    peer_ack(&p, stream, &f);
}

static inline void ask(const char *policy, const char *key)
{
    ask_by("once-request", policy, key);
}

/* How many requests are left, by the field RateLimit of f. */
static inline unsigned shown(void)
{
    struct spop_value v;
    assert_true(ack_value(&f, "ratelimit", &v));
    const char *r = memmem(v.bytes.ptr, v.bytes.len, ";r=", 3);
    assert_non_null(r);
    return (unsigned)strtoul(r + 3, NULL, 10);
}

/* Is something on loan, by what Redis has of it? */
static inline bool redis_has_loans(void)
{
    redisReply *keys = redisCommand(w.redis.server.c, "KEYS once:*:l:*");
    bool any = false;
    for (size_t i = 0; i < keys->elements; i++)
        any = any || redis_server_int(&w.redis.server, "STRLEN %s", keys->element[i]->str) % 12 == 1;
    freeReplyObject(keys);
    return any;
}

#endif
