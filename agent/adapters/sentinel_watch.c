// SPDX-License-Identifier: MIT
/* Every question is the same five commands in one write:
 *
 *   [AUTH]   UNSUBSCRIBE +switch-master   SENTINEL GET-MASTER-ADDR-BY-NAME name   SENTINEL MASTER name
 *   SUBSCRIBE +switch-master              a subscribed connection may ask nothing else (RESP2)
 *
 * Redis runs them without a pause between, so no change is missed. GET-MASTER-ADDR-BY-NAME knows the promoted
 * replica before +switch-master is said; MASTER knows the epoch. */
#include "adapters/sentinel_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/listener.h"
#include "adapters/log.h"
#include "adapters/resolve.h"
#include "adapters/stream.h"
#include "domain/resp.h"
#include "domain/units.h"

#define PAUSE    0.5
#define PATIENCE 1.0
#define CALM     1.0
#define HURRY    0.1
#define CHANNEL  "+switch-master"

enum { INPUT_MAX = 16384 };

struct sentinel_watch {
    struct stream stream; /* first: the stream's callback finds us by it */
    struct ev_loop *loop;
    const struct sentinel_site *site;
    void (*heard)(void *arg);
    void *arg;
    config_text address;
    enum { WATCH_DOWN, WATCH_NAMING, WATCH_ASKED, WATCH_LISTENING } state;
    ev_timer timer; /* down: the pause; naming, asked: the deadline; listening: the next question */
    struct resolve *lookup;
    unsigned step; /* whose reply is expected */
    bool fresh;    /* this connection has not asked yet */
    bool again;    /* ask once more when this is answered */
    bool up;
    struct sentinel_answer answer, coming;
    char said[200]; /* the last failure that was logged: the same is not logged again */
};

static void set_timer(struct sentinel_watch *w, double after)
{
    ev_timer_stop(w->loop, &w->timer);
    ev_timer_set(&w->timer, after, 0.);
    ev_timer_start(w->loop, &w->timer);
}

static void failed(struct sentinel_watch *w, const char *why)
{
    bool named = *w->answer.address != '\0', was_up = w->up;
    if (strncmp(w->said, why, sizeof w->said - 1) != 0)
        LOG(LOG_WARNING, "sentinel-down", log_text("address", w->address), log_text("why", why));
    snprintf(w->said, sizeof w->said, "%s", why);
    if (w->state == WATCH_ASKED || w->state == WATCH_LISTENING)
        stream_clear(&w->stream);
    resolve_free(w->lookup);
    w->lookup = NULL;
    w->state = WATCH_DOWN;
    w->up = w->again = false;
    w->answer = (struct sentinel_answer){0};
    set_timer(w, PAUSE);
    if (named || was_up)
        w->heard(w->arg);
}

static bool same_answer(const struct sentinel_answer *a, const struct sentinel_answer *b)
{
    return strcmp(a->address, b->address) == 0 && a->epoch == b->epoch;
}

/* "host", "port" to host:port, [v6]:port. What it says is not trusted: it must be an address of TCP. */
static bool take_address(struct spop_slice host, struct spop_slice port, config_text out)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    char digits[8] = "";
    uint64_t number;
    bool six = host.len && memchr(host.ptr, ':', host.len);
    if (host.len == 0 || host.len > 200 || port.len == 0 || port.len >= sizeof digits)
        return false;
    memcpy(digits, port.ptr, port.len);
    if (unit_count(digits, &number) || number < 1 || number > UINT16_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!memchr(fit, host.ptr[i], sizeof fit - 1))
            return false;
    snprintf(out, CONFIG_TEXT_MAX + 1, six ? "[%.*s]:%u" : "%.*s:%u", (int)host.len, host.ptr,
             (unsigned)number);
    return true;
}

static bool accept_auth(struct sentinel_watch *w, const struct resp *r)
{
    (void)w;
    return r->kind == RESP_STATUS;
}

static bool accept_channel(struct sentinel_watch *w, const struct resp *r)
{
    (void)w;
    return r->kind == RESP_ARRAY && r->n == 3 && slice_is(r->item[1], CHANNEL);
}

/* nil: it does not know the name, and then MASTER is an error. */
static bool accept_address(struct sentinel_watch *w, const struct resp *r)
{
    return r->kind == RESP_NIL ||
           (r->kind == RESP_ARRAY && r->n == 2 && take_address(r->item[0], r->item[1], w->coming.address));
}

static bool accept_epoch(struct sentinel_watch *w, const struct resp *r)
{
    for (unsigned i = 0; r->kind == RESP_ARRAY && i + 1 < r->n; i += 2) {
        char digits[12] = "";
        size_t len = r->item[i + 1].len;
        if (!slice_is(r->item[i], "config-epoch") || len == 0 || len >= sizeof digits)
            continue;
        memcpy(digits, r->item[i + 1].ptr, len);
        return unit_count(digits, &w->coming.epoch) == 0;
    }
    return r->kind == RESP_ARRAY || (r->kind == RESP_ERROR && !*w->coming.address);
}

enum { STEP_AUTH, STEP_UNSUBSCRIBE, STEP_ADDRESS, STEP_EPOCH, STEP_SUBSCRIBE, STEPS };

static const struct sentinel_step {
    const char *name;
    const char *words[2];
    bool (*accept)(struct sentinel_watch *w, const struct resp *r);
} steps[STEPS] = {
    [STEP_AUTH] = {"AUTH",                             {"AUTH"},               accept_auth   },
    [STEP_UNSUBSCRIBE] = {"UNSUBSCRIBE",                      {"UNSUBSCRIBE"},        accept_channel},
    [STEP_ADDRESS] = {"SENTINEL GET-MASTER-ADDR-BY-NAME",
                   {"SENTINEL", "GET-MASTER-ADDR-BY-NAME"},
                   accept_address                                                            },
    [STEP_EPOCH] = {"SENTINEL MASTER",                  {"SENTINEL", "MASTER"}, accept_epoch  },
    [STEP_SUBSCRIBE] = {"SUBSCRIBE",                        {"SUBSCRIBE"},          accept_channel},
};

static void put_step(struct sentinel_watch *w, unsigned step)
{
    const char *words[4];
    unsigned n = 0;
    for (unsigned i = 0; i < 2 && steps[step].words[i]; i++)
        words[n++] = steps[step].words[i];
    if (step == STEP_AUTH && *w->site->username)
        words[n++] = w->site->username;
    words[n++] = step == STEP_AUTH                            ? w->site->password
                 : step == STEP_ADDRESS || step == STEP_EPOCH ? w->site->name
                                                              : CHANNEL;
    resp_command(&w->stream.out, words, n);
}

static void ask(struct sentinel_watch *w)
{
    w->step = w->fresh && *w->site->password ? STEP_AUTH : STEP_UNSUBSCRIBE;
    for (unsigned step = w->step; step < STEPS; step++)
        put_step(w, step);
    w->fresh = w->again = false;
    w->coming = (struct sentinel_answer){0};
    w->state = WATCH_ASKED;
    set_timer(w, PATIENCE);
    if (w->stream.out.failed)
        failed(w, "out of memory");
    else if (stream_flush(&w->stream) < 0)
        failed(w, strerror(w->stream.error));
}

static void answered(struct sentinel_watch *w)
{
    bool changed = !w->up || !same_answer(&w->answer, &w->coming);
    if (!w->up)
        LOG(LOG_INFO, "sentinel-ready", log_text("address", w->address),
            log_text("primary", *w->coming.address ? w->coming.address : "none"));
    if (changed && !*w->coming.address)
        LOG(LOG_ERROR, "sentinel-name-unknown", log_text("address", w->address),
            log_text("name", w->site->name), log_text("way_out", "see redis.sentinel_name"));
    w->answer = w->coming;
    w->up = true;
    w->said[0] = '\0';
    w->state = WATCH_LISTENING;
    set_timer(w, w->again ? 0. : w->site->hurry ? HURRY : CALM);
    if (changed)
        w->heard(w->arg);
}

/* An error may repeat what it was given: after AUTH only its first words are shown. */
static void refused(struct sentinel_watch *w, const struct resp *r)
{
    char why[200];
    struct spop_slice text = r->kind == RESP_ERROR ? r->item[0] : slice_of("an unexpected reply");
    size_t len = 0;
    while (len < text.len && len < 150 && !(w->step == STEP_AUTH && strchr("`'\"", text.ptr[len])))
        len++;
    snprintf(why, sizeof why, "%s: %.*s", steps[w->step].name, (int)len, text.ptr);
    failed(w, why);
}

/* "once 10.0.0.1 6379 10.0.0.2 6379", or another Redis' name. */
static bool is_ours(const struct sentinel_watch *w, struct spop_slice text)
{
    size_t len = strlen(w->site->name);
    return slice_starts(text, w->site->name) && text.len > len && text.ptr[len] == ' ';
}

/* False: the connection is gone. */
static bool heard_reply(struct sentinel_watch *w, const struct resp *r)
{
    if (r->kind == RESP_ARRAY && r->n == 3 && slice_is(r->item[0], "message")) {
        if (is_ours(w, r->item[2]))
            sentinel_watch_ask(w);
        return w->state != WATCH_DOWN;
    }
    if (w->state != WATCH_ASKED) {
        failed(w, r->kind == RESP_ERROR ? "an error that nothing had asked for" : "a reply too many");
        return false;
    }
    if (!steps[w->step].accept(w, r)) {
        refused(w, r);
        return false;
    }
    if (++w->step == STEPS)
        answered(w);
    return true;
}

static void on_data(struct sentinel_watch *w)
{
    struct resp reply;
    for (;;) {
        struct buf *in = &w->stream.in;
        long n = resp_read((struct spop_slice){(const char *)in->data, in->len}, &reply);
        if (n < 0 || (n == 0 && in->len >= INPUT_MAX)) {
            failed(w, "what it says is no reply of a Sentinel");
            return;
        }
        if (n == 0 || !heard_reply(w, &reply))
            return;
        stream_take(&w->stream, (size_t)n);
    }
}

static void on_stream(struct stream *s, enum stream_event event)
{
    struct sentinel_watch *w = (struct sentinel_watch *)s;
    if (event == STREAM_DATA)
        on_data(w);
    else if (event == STREAM_GONE)
        failed(w, s->error ? strerror(s->error) : "closed by the Sentinel");
    else if (stream_flush(s) < 0)
        failed(w, strerror(s->error));
}

static void open_stream(struct sentinel_watch *w, const char *address)
{
    char err[300];
    int fd = listener_connect(address, err, sizeof err);
    if (fd < 0) {
        failed(w, err);
        return;
    }
    stream_init(&w->stream, w->loop, fd, INPUT_MAX, on_stream);
    w->fresh = true;
    ask(w);
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct sentinel_watch *w = arg;
    w->lookup = NULL;
    if (address)
        open_stream(w, address);
    else
        failed(w, why);
}

static void begin(struct sentinel_watch *w)
{
    if (!resolve_wanted(w->address)) {
        open_stream(w, w->address);
        return;
    }
    w->state = WATCH_NAMING;
    set_timer(w, PATIENCE);
    w->lookup = resolve_new(w->loop, w->address, on_resolved, w);
    if (!w->lookup)
        failed(w, "out of memory");
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct sentinel_watch *w = t->data;
    (void)loop;
    (void)revents;
    switch (w->state) {
    case WATCH_DOWN: begin(w); return;
    case WATCH_NAMING: failed(w, "its name was not found within 1 s"); return;
    case WATCH_ASKED: failed(w, "no answer for 1 s"); return;
    case WATCH_LISTENING: ask(w); return;
    }
}

struct sentinel_watch *sentinel_watch_new(struct ev_loop *loop, const char *address,
                                          const struct sentinel_site *site, void (*heard)(void *arg),
                                          void *arg)
{
    struct sentinel_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct sentinel_watch){.loop = loop, .site = site, .heard = heard, .arg = arg};
    snprintf(w->address, sizeof w->address, "%s", address);
    ev_timer_init(&w->timer, on_timer, 0., 0.);
    w->timer.data = w;
    ev_set_priority(&w->timer, EV_MINPRI); /* what has come is read before it is missed */
    set_timer(w, 0.);
    return w;
}

void sentinel_watch_free(struct sentinel_watch *w)
{
    if (!w)
        return;
    ev_timer_stop(w->loop, &w->timer);
    resolve_free(w->lookup);
    if (w->state == WATCH_ASKED || w->state == WATCH_LISTENING)
        stream_clear(&w->stream);
    free(w);
}

void sentinel_watch_ask(struct sentinel_watch *w)
{
    if (w->state == WATCH_LISTENING)
        set_timer(w, 0.);
    else if (w->state == WATCH_ASKED)
        w->again = true;
}

bool sentinel_watch_up(const struct sentinel_watch *w)
{
    return w->up;
}

const struct sentinel_answer *sentinel_watch_answer(const struct sentinel_watch *w)
{
    return &w->answer;
}
