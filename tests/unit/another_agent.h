// SPDX-License-Identifier: MIT
/* A room with two connections p and q of a HAProxy that is played by hand, and the words of another agent about what was granted
 * there.
 *
 *   p, q ──► sessions ──► claim ──► redis-server ◄── word ── say, complete, it_fails */
#ifndef ANOTHER_AGENT_H
#define ANOTHER_AGENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/room_fixture.h"

static struct room w;
static struct peer p, q;
static struct peer_frame f;

static inline int setup_room(void)
{
    room_start(&w, "");
    room_dial(&w, &p);
    room_dial(&w, &q);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    peer_close(&p);
    peer_close(&q);
    room_stop(&w);
    return 0;
}

static inline bool is_go(void)
{
    return ack_says(&f, "verdict", "go");
}

static inline bool is_replay(void)
{
    return ack_says(&f, "verdict", "replay");
}

static inline bool is_refused(unsigned status, const char *reason)
{
    return ack_says(&f, "verdict", "deny") && ack_integer(&f, "status") == status &&
           ack_says(&f, "reason", reason);
}

static inline bool is_busy(void)
{
    return is_refused(409, "busy");
}

static inline struct token token_of_ack(void)
{
    struct spop_value v;
    struct token t;
    assert_true(ack_value(&f, "token", &v));
    assert_int_equal(token_read(v.bytes.ptr, v.bytes.len, &t), 0);
    return t;
}

static inline struct token granted(struct peer *peer, uint64_t stream)
{
    peer_ack(peer, stream, &f);
    assert_true(is_go());
    return token_of_ack();
}

/* A word of another agent; one that comes too late does nothing. */
static inline void say(const struct word *word)
{
    struct buf resp = {0};
    unsigned n = script_word(&resp, word);
    freeReplyObject(redis_server_send(&w.redis.server, resp.data, resp.len, n));
    buf_free(&resp);
}

static inline void complete(const struct token *t, size_t body)
{
    char *bytes = calloc(1, body + 1);
    memset(bytes, 'b', body);
    struct response r = {
        201, {"\0\0", 2   },
         {bytes,  body}
    };
    struct buf packed = {0};
    assert_int_equal(record_pack_done(&packed, &r, NULL, 0), 0);
    say(&(struct word){
        .script = SCRIPT_COMPLETE,
        .token = *t,
        .status = 201,
        .ttl_s = ROOM_RECORD_S,
        .pending = {(const char *)packed.data, packed.len}
    });
    buf_free(&packed);
    free(bytes);
}

static inline void it_fails(const struct token *t)
{
    say(&(struct word){
        .script = SCRIPT_UNSTORABLE, .token = *t, .status = 500, .letter = 'F', .ttl_s = ROOM_RECORD_S});
}

#endif
