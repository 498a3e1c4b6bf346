// SPDX-License-Identifier: MIT
/* hiredis on our loop: what the library's own adapter does, with less of it for each turn.
 *
 *   submit ──► output ──► the end of the turn: one write     no watcher, no epoll_ctl, no wait for `writable`
 *                              └─ the socket refused some ──► writable ──► the rest
 *   reply  ──► one object that is used again                  a text at the top; parts of arrays are hiredis' own
 *
 * The attachment lives as long as hiredis' context, which may outlive `struct redis` by a callback. */
#include "adapters/redis_inner.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_KEPT = 65536 };

struct wire {
    redisAsyncContext *ac;
    struct ev_loop *loop;
    ev_io readable, writable;
    ev_prepare turn_end;
    bool dirty;
    unsigned
        flushed; /* the turn in which it was written last: what comes behind that must not wait for another */
};

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct wire *x = w->data;
    redisAsyncHandleRead(x->ac);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct wire *x = w->data;
    redisAsyncHandleWrite(x->ac);
}

/* hiredis says itself whether something is left, by add_write or del_write. x may be gone afterwards. */
static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)revents;
    struct wire *x = w->data;
    x->flushed = ev_iteration(loop);
    if (!x->dirty)
        return;
    x->dirty = false;
    redisAsyncHandleWrite(x->ac);
}

static void add_read(void *data)
{
    struct wire *x = data;
    ev_io_start(x->loop, &x->readable);
}

static void del_read(void *data)
{
    struct wire *x = data;
    ev_io_stop(x->loop, &x->readable);
}

static void add_write(void *data)
{
    struct wire *x = data;
    bool connected = x->ac->c.flags & REDIS_CONNECTED;
    if (connected && x->flushed != ev_iteration(x->loop))
        x->dirty = true;
    else
        ev_io_start(x->loop, &x->writable);
}

static void del_write(void *data)
{
    struct wire *x = data;
    x->dirty = false;
    ev_io_stop(x->loop, &x->writable);
}

static void cleanup(void *data)
{
    struct wire *x = data;
    ev_io_stop(x->loop, &x->readable);
    ev_io_stop(x->loop, &x->writable);
    ev_prepare_stop(x->loop, &x->turn_end);
    free(x);
}

static redisReplyObjectFunctions objects, *theirs;
static redisReply plain; /* one reply is looked at at a time, and is gone when its callback returns */
static struct buf text;

static void *create_string(const redisReadTask *task, char *bytes, size_t len)
{
    if (task->parent)
        return theirs->createString(task, bytes, len);
    buf_reset(&text);
    if (!buf_reserve(&text, len + 1))
        return NULL;
    memcpy(text.data, bytes, len);
    text.data[len] = '\0';
    plain = (redisReply){.type = task->type, .str = (char *)text.data, .len = len};
    return &plain;
}

static void free_object(void *object)
{
    if (object != &plain)
        theirs->freeObject(object);
    else if (text.cap > TEXT_KEPT)
        buf_free(&text);
}

static void reuse_replies(redisReader *reader)
{
    if (!theirs) {
        theirs = reader->fn;
        objects = *theirs;
        objects.createString = create_string;
        objects.freeObject = free_object;
    }
    reader->fn = &objects;
}

bool redis_wire_attach(struct ev_loop *loop, redisAsyncContext *ac)
{
    struct wire *x = calloc(1, sizeof *x);
    if (!x)
        return false;
    x->ac = ac;
    x->loop = loop;
    x->flushed = ev_iteration(loop);
    ev_io_init(&x->readable, on_readable, ac->c.fd, EV_READ);
    ev_io_init(&x->writable, on_writable, ac->c.fd, EV_WRITE);
    ev_prepare_init(&x->turn_end, on_turn_end);
    ev_set_priority(&x->turn_end, EV_MINPRI); /* behind whoever submits at the end of the turn */
    x->readable.data = x->writable.data = x->turn_end.data = x;
    ev_prepare_start(loop, &x->turn_end);
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    ac->ev.data = x;
    reuse_replies(ac->c.reader);
    return true;
}
