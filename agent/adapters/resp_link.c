// SPDX-License-Identifier: MIT
/* One timer, as each state waits for one thing. */
#include "adapters/resp_link.h"

#include <stdio.h>
#include <string.h>

#include "adapters/listener.h"
#include "adapters/resolve.h"

static void set_timer(struct resp_link *l, double after)
{
    ev_timer_stop(l->loop, &l->timer);
    ev_timer_set(&l->timer, after, 0.);
    ev_timer_start(l->loop, &l->timer);
}

void resp_link_close(struct resp_link *l)
{
    if (l->state == RESP_LINK_ASKED || l->state == RESP_LINK_OPEN)
        stream_clear(&l->stream);
    resolve_free(l->lookup);
    l->lookup = NULL;
    ev_timer_stop(l->loop, &l->timer);
    l->state = RESP_LINK_DOWN;
}

void resp_link_fail(struct resp_link *l, const char *why)
{
    char text[300];
    snprintf(text, sizeof text, "%s", why);
    resp_link_close(l);
    l->kind->failed(l, text);
}

void resp_link_refused(struct resp_link *l, const char *step, const struct resp *r)
{
    char why[200];
    struct spop_slice text = r->kind == RESP_ERROR ? r->item[0] : slice_of("an unexpected reply");
    bool secret = strcmp(step, "AUTH") == 0;
    size_t len = 0;
    while (len < text.len && len < 150 && !(secret && strchr("`'\"", text.ptr[len])))
        len++;
    snprintf(why, sizeof why, "%s: %.*s", step, (int)len, text.ptr);
    resp_link_fail(l, why);
}

bool resp_link_flush(struct resp_link *l)
{
    const char *why = l->stream.out.failed           ? "out of memory"
                      : stream_flush(&l->stream) < 0 ? strerror(l->stream.error)
                                                     : NULL;
    if (why)
        resp_link_fail(l, why);
    return !why;
}

bool resp_link_auth(struct resp_link *l, const char *username, const char *password)
{
    if (!*password)
        return false;
    if (*username)
        resp_command(&l->stream.out, (const char *const[]){"AUTH", username, password}, 3);
    else
        resp_command(&l->stream.out, (const char *const[]){"AUTH", password}, 2);
    return true;
}

void resp_link_asked(struct resp_link *l)
{
    l->state = RESP_LINK_ASKED;
    set_timer(l, l->kind->patience);
    resp_link_flush(l);
}

void resp_link_answered(struct resp_link *l)
{
    l->state = RESP_LINK_OPEN;
    ev_timer_stop(l->loop, &l->timer);
}

void resp_link_again(struct resp_link *l, double after)
{
    set_timer(l, after);
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct resp_link *l = (struct resp_link *)s;
    char closed[60];
    if (event == STREAM_DATA) {
        l->kind->data(l);
    } else if (event == STREAM_WRITABLE) {
        resp_link_flush(l);
    } else {
        snprintf(closed, sizeof closed, "closed by %s", l->kind->peer);
        resp_link_fail(l, s->error ? strerror(s->error) : closed);
    }
}

static void open_stream(struct resp_link *l, const char *address)
{
    char err[300];
    int fd = listener_connect(address, err, sizeof err);
    if (fd < 0) {
        resp_link_fail(l, err);
        return;
    }
    stream_init(&l->stream, l->loop, fd, l->kind->max_in, on_stream);
    l->state = RESP_LINK_OPEN;
    l->kind->ask(l, true);
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct resp_link *l = arg;
    l->lookup = NULL;
    if (address)
        open_stream(l, address);
    else
        resp_link_fail(l, why);
}

void resp_link_begin(struct resp_link *l)
{
    resp_link_close(l);
    const char *address = l->kind->where(l);
    if (!address)
        return;
    if (!resolve_wanted(address)) {
        open_stream(l, address);
        return;
    }
    l->state = RESP_LINK_NAMING;
    set_timer(l, l->kind->patience);
    l->lookup = resolve_new(l->loop, address, on_resolved, l);
    if (!l->lookup)
        resp_link_fail(l, "out of memory");
}

void resp_link_to(struct resp_link *l, double after)
{
    resp_link_close(l);
    l->state = RESP_LINK_PAUSE;
    set_timer(l, after);
}

static void late(struct resp_link *l, const char *what)
{
    char why[60];
    snprintf(why, sizeof why, "%s %g s", what, l->kind->patience);
    resp_link_fail(l, why);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct resp_link *l = t->data;
    (void)loop;
    (void)revents;
    switch (l->state) {
    case RESP_LINK_DOWN: return;
    case RESP_LINK_PAUSE: resp_link_begin(l); return;
    case RESP_LINK_NAMING: late(l, "its name was not found within"); return;
    case RESP_LINK_ASKED: late(l, "no answer for"); return;
    case RESP_LINK_OPEN: l->kind->ask(l, false); return;
    }
}

void resp_link_init(struct resp_link *l, struct ev_loop *loop, const struct resp_link_kind *kind)
{
    *l = (struct resp_link){.kind = kind, .loop = loop};
    ev_timer_init(&l->timer, on_timer, 0., 0.);
    l->timer.data = l;
    ev_set_priority(&l->timer, EV_MINPRI); /* what has come is read before it is missed */
}
