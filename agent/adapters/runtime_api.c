// SPDX-License-Identifier: MIT
/* Questions stand in a queue and all are written at once; answers are cut off the stream at each prompt.
 *
 *   ask ──► queue (first, .., last) ──prompt found──► the first one is answered
 *                └── lost, late, too long, freed ──► all are answered with NULL
 *
 * Callbacks may free the connection: `depth` keeps the memory until the last of them has returned. */
#include "adapters/runtime_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/listener.h"
#include "adapters/stream.h"

/* Ends every answer in prompt mode, also an empty one. */
static const char prompt[] = "\n> ";
enum { PROMPT_LEN = 3 };

struct question {
    struct question *next;
    runtime_answer_fn *fn;
    void *arg;
};

struct runtime_api {
    struct stream stream; /* first: the stream's callback finds us by it */
    ev_timer timer;       /* the first question's answer is due */
    ev_tstamp timeout;
    size_t max_answer, searched; /* bytes of `in` that hold no prompt */
    struct question *first, **last;
    void (*lost)(void *arg, const char *reason);
    void *arg;
    const char *broken; /* why it is gone, told from the loop */
    unsigned depth;     /* callbacks on the stack */
    bool dead;          /* freed by its owner while depth > 0 */
};

static void destroy(struct runtime_api *r)
{
    ev_timer_stop(r->stream.loop, &r->timer);
    stream_clear(&r->stream);
    free(r);
}

static void leave(struct runtime_api *r)
{
    if (--r->depth == 0 && r->dead)
        destroy(r);
}

static void answer_first(struct runtime_api *r, struct spop_slice answer)
{
    struct question q = *r->first;
    free(r->first);
    r->first = q.next;
    if (!r->first)
        r->last = &r->first;
    if (q.fn)
        q.fn(q.arg, answer);
}

static void answer_all_null(struct runtime_api *r)
{
    while (r->first)
        answer_first(r, (struct spop_slice){0});
}

/* The caller is inside enter/leave. */
static void lose(struct runtime_api *r, const char *reason)
{
    ev_timer_stop(r->stream.loop, &r->timer);
    stream_deaf(&r->stream);
    answer_all_null(r);
    if (!r->dead)
        r->lost(r->arg, reason);
}

/* The clock runs for the first question only. */
static void wind(struct runtime_api *r)
{
    ev_timer_stop(r->stream.loop, &r->timer);
    if (!r->first && !r->broken)
        return;
    ev_timer_set(&r->timer, r->broken ? 0. : r->timeout, 0.);
    ev_timer_start(r->stream.loop, &r->timer);
}

/* Takes one whole answer out of `in`; false: there is none. */
static bool take_answer(struct runtime_api *r)
{
    struct buf *in = &r->stream.in;
    const uint8_t *from = in->data + r->searched;
    const uint8_t *end = memmem(from, in->len - r->searched, prompt, PROMPT_LEN);
    if (!end) {
        r->searched = in->len < PROMPT_LEN ? 0 : in->len - (PROMPT_LEN - 1);
        return false;
    }
    size_t len = (size_t)(end - in->data);
    if (r->first)
        answer_first(r, (struct spop_slice){(const char *)in->data, len});
    if (!r->dead)
        stream_take(&r->stream, len + PROMPT_LEN);
    r->searched = 0;
    return true;
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct runtime_api *r = (struct runtime_api *)s;
    r->depth++;
    if (event == STREAM_GONE) {
        lose(r, s->error ? strerror(s->error) : "closed by HAProxy");
    } else if (event == STREAM_WRITABLE) {
        if (stream_flush(s) < 0)
            lose(r, strerror(s->error));
    } else {
        bool moved = false;
        while (!r->dead && s->in.len > 0 && take_answer(r))
            moved = true;
        if (!r->dead && s->in.len >= r->max_answer + PROMPT_LEN)
            lose(r, "answer too long");
        else if (!r->dead && moved)
            wind(r);
    }
    leave(r);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct runtime_api *r = t->data;
    r->depth++;
    lose(r, r->broken ? r->broken : "no answer in time");
    leave(r);
}

struct runtime_api *runtime_api_new(struct ev_loop *loop, const char *path, size_t max_answer,
                                    ev_tstamp timeout, void (*lost)(void *arg, const char *reason), void *arg,
                                    char *err, size_t errlen)
{
    char address[300];
    snprintf(address, sizeof address, "unix@%s", path);
    struct runtime_api *r = calloc(1, sizeof *r);
    int fd = r ? listener_connect(address, err, errlen) : -1;
    if (fd < 0) {
        if (!r)
            snprintf(err, errlen, "out of memory");
        free(r);
        return NULL;
    }
    r->timeout = timeout;
    r->max_answer = max_answer;
    r->last = &r->first;
    r->lost = lost;
    r->arg = arg;
    stream_init(&r->stream, loop, fd, max_answer + PROMPT_LEN, on_stream);
    ev_timer_init(&r->timer, on_timer, 0., 0.);
    r->timer.data = r;
    runtime_api_ask(r, "prompt", NULL, NULL);
    return r;
}

void runtime_api_ask(struct runtime_api *r, const char *command, runtime_answer_fn *fn, void *arg)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q) {
        r->broken = "out of memory";
        wind(r);
        return;
    }
    *q = (struct question){.fn = fn, .arg = arg};
    *r->last = q;
    r->last = &q->next;
    stream_put(&r->stream, command, strlen(command));
    stream_put(&r->stream, "\n", 1);
    if (stream_flush(&r->stream) < 0)
        r->broken = strerror(r->stream.error);
    if (r->first == q || r->broken)
        wind(r);
}

void runtime_api_free(struct runtime_api *r)
{
    if (!r || r->dead)
        return;
    r->dead = true;
    r->depth++;
    stream_deaf(&r->stream);
    answer_all_null(r);
    stream_put(&r->stream, "quit\n", 5);
    stream_flush(&r->stream);
    leave(r);
}
