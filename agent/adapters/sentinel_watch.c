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

#include "adapters/log.h"
#include "adapters/resp_link.h"
#include "domain/units.h"

#define PAUSE    0.5
#define PATIENCE 1.0
#define CALM     1.0
#define HURRY    0.1
#define CHANNEL  "+switch-master"

enum { INPUT_MAX = 16384 };

struct sentinel_watch {
    struct resp_link link; /* first: its callbacks find us by it */
    const struct sentinel_site *site;
    void (*heard)(void *arg);
    void *arg;
    config_text address;
    unsigned step; /* whose reply is expected */
    bool again;    /* ask once more when this is answered */
    bool up;
    struct sentinel_answer answer, coming;
    char said[200]; /* the last failure that was logged: the same is not logged again */
};

static const char *where(struct resp_link *l)
{
    return ((struct sentinel_watch *)l)->address;
}

static void failed(struct resp_link *l, const char *why)
{
    struct sentinel_watch *w = (struct sentinel_watch *)l;
    bool named = *w->answer.address != '\0', was_up = w->up;
    if (strncmp(w->said, why, sizeof w->said - 1) != 0)
        LOG(LOG_WARNING, "sentinel-down", log_text("address", w->address), log_text("why", why));
    snprintf(w->said, sizeof w->said, "%s", why);
    w->up = w->again = false;
    w->answer = (struct sentinel_answer){0};
    resp_link_to(l, PAUSE);
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
    const char *words[3];
    unsigned n = 0;
    for (unsigned i = 0; i < 2 && steps[step].words[i]; i++)
        words[n++] = steps[step].words[i];
    words[n++] = step == STEP_ADDRESS || step == STEP_EPOCH ? w->site->name : CHANNEL;
    resp_command(&w->link.stream.out, words, n);
}

static void ask(struct resp_link *l, bool fresh)
{
    struct sentinel_watch *w = (struct sentinel_watch *)l;
    bool auth = fresh && resp_link_auth(l, w->site->username, w->site->password);
    w->step = auth ? STEP_AUTH : STEP_UNSUBSCRIBE;
    for (unsigned step = STEP_UNSUBSCRIBE; step < STEPS; step++)
        put_step(w, step);
    w->again = false;
    w->coming = (struct sentinel_answer){0};
    resp_link_asked(l);
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
    resp_link_answered(&w->link);
    resp_link_again(&w->link, w->again ? 0. : w->site->hurry ? HURRY : CALM);
    if (changed)
        w->heard(w->arg);
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
        return true;
    }
    if (w->link.state != RESP_LINK_ASKED) {
        resp_link_fail(&w->link,
                       r->kind == RESP_ERROR ? "an error that nothing had asked for" : "a reply too many");
        return false;
    }
    if (!steps[w->step].accept(w, r)) {
        resp_link_refused(&w->link, steps[w->step].name, r);
        return false;
    }
    if (++w->step == STEPS)
        answered(w);
    return true;
}

static void on_data(struct resp_link *l)
{
    struct resp reply;
    for (;;) {
        struct buf *in = &l->stream.in;
        long n = resp_read((struct spop_slice){(const char *)in->data, in->len}, &reply);
        if (n < 0 || (n == 0 && in->len >= INPUT_MAX)) {
            resp_link_fail(l, "what it says is no reply of a Sentinel");
            return;
        }
        if (n == 0 || !heard_reply((struct sentinel_watch *)l, &reply))
            return;
        stream_take(&l->stream, (size_t)n);
    }
}

static const struct resp_link_kind kind = {
    .peer = "the Sentinel",
    .patience = PATIENCE,
    .max_in = INPUT_MAX,
    .where = where,
    .ask = ask,
    .data = on_data,
    .failed = failed,
};

struct sentinel_watch *sentinel_watch_new(struct ev_loop *loop, const char *address,
                                          const struct sentinel_site *site, void (*heard)(void *arg),
                                          void *arg)
{
    struct sentinel_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct sentinel_watch){.site = site, .heard = heard, .arg = arg};
    snprintf(w->address, sizeof w->address, "%s", address);
    resp_link_init(&w->link, loop, &kind);
    resp_link_to(&w->link, 0.);
    return w;
}

void sentinel_watch_free(struct sentinel_watch *w)
{
    if (!w)
        return;
    resp_link_close(&w->link);
    free(w);
}

void sentinel_watch_ask(struct sentinel_watch *w)
{
    if (w->link.state == RESP_LINK_OPEN)
        resp_link_again(&w->link, 0.);
    else if (w->link.state == RESP_LINK_ASKED)
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
