// SPDX-License-Identifier: MIT
/* A connection is a stream with places; a place holds one transaction. The stream-id on the wire has 32 bits, as HAProxy's: the
 * transaction's number, and in the last ten the place's.
 *
 *   free ──begin──► message on its way ──ACK──► the next message .. ──► over ──► free
 *
 * Bytes are put while frames are read and written once at the end of the loop's turn, as HAProxy does it. */
#include "tests/load/player.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/listener.h"
#include "adapters/stream.h"
#include "spop/frame.h"
#include "spop/writer.h"

enum { IN_BYTES = 65536, RUN_TEXT = 16, PLACE_BITS = 10 };
static const double again_after = 0.1, tick = 0.0005;

struct place {
    struct place *next; /* in the list of free ones */
    uint64_t number, due_ns, sent_ns;
    unsigned kind, message; /* the message on its way, counted in its kind */
    uint64_t frame_id;      /* that it waits for; 0: nothing is on its way */
    struct scenario_vars vars;
};

struct link {
    struct player *player;
    struct stream stream;
    bool up, open, dirty;
    struct link *next_dirty;
    ev_timer again;
    uint32_t max_frame;
    unsigned depth; /* 1 where the agent does not pipeline */
    struct place *free;
    unsigned busy;
    struct place place[];
};

struct player {
    struct ev_loop *loop;
    const struct player_settings *settings;
    const struct scenario *scenario;
    struct player_report report;
    struct link *link[PLAYER_CONNECTIONS];
    unsigned turn; /* the link that begins next in the open loop */
    struct link *dirty;
    ev_prepare turn_end;
    ev_timer tick;
    uint64_t begun, since_ns;
    bool stopped;
    char run[RUN_TEXT];
    uint64_t random[2];
    struct buf frame;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void mark(struct link *l)
{
    if (l->dirty)
        return;
    l->dirty = true;
    l->next_dirty = l->player->dirty;
    l->player->dirty = l;
}

static void send_frame(struct link *l, unsigned type, uint64_t stream_id, uint64_t frame_id,
                       const struct buf *payload)
{
    uint8_t head[SPOP_PREFIX + 32];
    struct spop_writer w;
    spop_writer_init(&w, head, sizeof head);
    spop_frame_begin(&w, type, stream_id, frame_id);
    size_t len = w.len - SPOP_PREFIX + payload->len;
    for (int i = 0; i < SPOP_PREFIX; i++)
        head[i] = (uint8_t)(len >> (24 - 8 * i));
    stream_put(&l->stream, head, w.len);
    stream_put(&l->stream, payload->data, payload->len);
    mark(l);
}

static void say_hello(struct link *l)
{
    uint8_t memory[PLAYER_HELLO];
    size_t len = player_hello(memory, l->player->settings->max_frame, l->player->run);
    send_frame(l, SPOP_HAPROXY_HELLO, 0, 0, &(struct buf){.data = memory, .len = len});
}

static void release(struct link *l, struct place *t)
{
    t->frame_id = 0;
    t->next = l->free;
    l->free = t;
    l->busy--;
}

static uint32_t stream_id(const struct link *l, const struct place *t)
{
    return (uint32_t)t->number << PLACE_BITS | (uint32_t)(t - l->place);
}

/* Says the place's message; false: there is none, it names what no ACK has set, or does not fit into a frame. */
static bool say(struct link *l, struct place *t, uint64_t at_ns)
{
    struct player *p = l->player;
    const struct kind *k = &p->scenario->kind[t->kind];
    if (t->message == k->nmessages)
        return false;
    const struct scenario_turn turn = {
        p->run, t->number, clock_ns(CLOCK_REALTIME) / 1000, {p->random[0], p->random[1]}
    };
    buf_reset(&p->frame);
    if (!scenario_write(p->scenario, k->first_message + t->message, &turn, &t->vars, &p->frame))
        return false;
    if (p->frame.len + SPOP_PREFIX + 16 > l->max_frame) {
        p->report.too_large++;
        return false;
    }
    t->frame_id = t->message + 1;
    t->sent_ns = at_ns;
    send_frame(l, SPOP_NOTIFY, stream_id(l, t), t->frame_id, &p->frame);
    p->report.sent++;
    return true;
}

static bool may_begin(const struct player *p)
{
    return !p->stopped && (p->settings->most == 0 || p->begun < p->settings->most);
}

/* due_ns: when it should begin. False: its message does not fit into a frame. */
static bool begin(struct link *l, uint64_t due_ns)
{
    struct player *p = l->player;
    struct place *t = l->free;
    l->free = t->next;
    l->busy++;
    t->number = ++p->begun;
    t->kind = scenario_kind(p->scenario, p->begun);
    t->message = 0;
    t->due_ns = due_ns;
    for (unsigned i = 0; i < p->scenario->nvars; i++)
        t->vars.value[i].len = 0;
    if (say(l, t, due_ns))
        return true;
    release(l, t);
    return false;
}

static bool has_room(const struct link *l)
{
    return l->open && l->free && l->busy < l->depth;
}

static void fill(struct link *l)
{
    while (has_room(l) && may_begin(l->player) && begin(l, now_ns()))
        ;
}

/* The link whose turn it is; NULL: none has room. */
static struct link *next_link(struct player *p)
{
    for (unsigned n = 0; n < p->settings->connections; n++) {
        struct link *l = p->link[p->turn++ % p->settings->connections];
        if (has_room(l))
            return l;
    }
    return NULL;
}

/* Transactions of the open loop that should have begun by now. */
static uint64_t due_by_now(const struct player *p)
{
    double passed = (double)(now_ns() - p->since_ns) / 1e9;
    uint64_t due = (uint64_t)(passed * p->settings->rate);
    return p->settings->most > 0 && due > p->settings->most ? p->settings->most : due;
}

static void begin_due(struct player *p)
{
    uint64_t due = due_by_now(p);
    struct link *l;
    while (p->begun < due && may_begin(p) && (l = next_link(p)))
        if (!begin(l, p->since_ns + (uint64_t)((double)(p->begun + 1) / p->settings->rate * 1e9)))
            return;
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    begin_due(t->data);
}

static void over(struct link *l, struct place *t, uint64_t at_ns)
{
    struct player *p = l->player;
    p->report.transactions++;
    histogram_add(p->report.whole, at_ns - t->due_ns);
    if (p->settings->count >= 0)
        player_count(&p->report, scenario_text(&t->vars, (unsigned)p->settings->count));
    release(l, t);
    if (p->settings->rate > 0)
        begin_due(p);
    else
        fill(l);
}

/* False: no ACK that was asked for. */
static bool take_ack(struct link *l, const struct spop_frame *f, uint64_t at_ns)
{
    struct player *p = l->player;
    size_t place = f->stream_id & (PLAYER_DEPTH - 1);
    struct place *t = place < l->depth ? &l->place[place] : NULL;
    if (!t || f->stream_id != stream_id(l, t) || t->frame_id == 0 || t->frame_id != f->frame_id ||
        scenario_take(p->scenario, f->payload, &t->vars) < 0)
        return false;
    const struct kind *k = &p->scenario->kind[t->kind];
    histogram_add(&p->report.latency[k->first_message + t->message],
                  at_ns > t->sent_ns ? at_ns - t->sent_ns : 0);
    p->report.answered++;
    t->message++;
    if (!say(l, t, at_ns))
        over(l, t, at_ns);
    return true;
}

static bool take_hello(struct link *l, const struct spop_frame *f)
{
    bool pipelines;
    l->max_frame = l->player->settings->max_frame;
    l->open = player_take_hello(f->payload, &l->max_frame, &pipelines);
    l->depth = pipelines ? l->player->settings->depth : 1;
    return l->open;
}

static void lose(struct link *l, const char *why)
{
    struct player *p = l->player;
    p->report.lost++;
    if (!p->report.lost_by)
        p->report.lost_by = why;
    stream_clear(&l->stream);
    l->up = l->open = false;
    for (unsigned i = 0; i < p->settings->depth; i++)
        if (l->place[i].frame_id > 0)
            release(l, &l->place[i]);
    ev_timer_stop(p->loop, &l->again);
    ev_timer_set(&l->again, again_after, 0.);
    ev_timer_start(p->loop, &l->again);
}

static bool take_frame(struct link *l, const struct spop_frame *f, uint64_t at_ns)
{
    if (f->type == SPOP_ACK && l->open)
        return take_ack(l, f, at_ns);
    if (f->type == SPOP_AGENT_HELLO && !l->open)
        return take_hello(l, f);
    if (f->type == SPOP_AGENT_DISCONNECT)
        player_refused(&l->player->report, f->payload);
    return false;
}

/* Room for the largest frame that was offered. */
static size_t in_bytes(const struct player *p)
{
    return p->settings->max_frame > IN_BYTES ? p->settings->max_frame : IN_BYTES;
}

/* All whole frames that have come. */
static void take_frames(struct link *l)
{
    struct buf *in = &l->stream.in;
    uint64_t at_ns = now_ns();
    size_t at = 0;
    for (;;) {
        long n = spop_frame_find(in->data + at, in->len - at, in_bytes(l->player));
        struct spop_frame f;
        if (n == 0)
            break;
        if (n < 0 || spop_frame_open(in->data + at, (size_t)n, &f) != SPOP_OK || !take_frame(l, &f, at_ns)) {
            lose(l, "an answer that is no SPOP, or that nothing waits for");
            return;
        }
        at += (size_t)n;
    }
    stream_take(&l->stream, at);
    if (l->player->settings->rate > 0)
        begin_due(l->player);
    else
        fill(l);
}

static void on_stream(struct stream *stream, enum stream_event event)
{
    struct link *l = (struct link *)((char *)stream - offsetof(struct link, stream));
    switch (event) {
    case STREAM_DATA: take_frames(l); return;
    case STREAM_WRITABLE: mark(l); return;
    case STREAM_GONE: lose(l, stream->error ? strerror(stream->error) : "closed by the agent");
    }
}

static bool connect_link(struct link *l, char *err, size_t errlen)
{
    int fd = listener_connect(l->player->settings->address, err, errlen);
    if (fd < 0)
        return false;
    stream_init(&l->stream, l->player->loop, fd, in_bytes(l->player) + SPOP_PREFIX, on_stream);
    l->up = true;
    say_hello(l);
    return true;
}

static void on_again(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct link *l = t->data;
    char err[256];
    if (l->player->stopped || connect_link(l, err, sizeof err))
        return;
    ev_timer_set(t, again_after, 0.);
    ev_timer_start(l->player->loop, t);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)loop;
    (void)revents;
    struct player *p = w->data;
    struct link *l;
    while ((l = p->dirty)) {
        p->dirty = l->next_dirty;
        l->dirty = false;
        if (l->up && stream_flush(&l->stream) < 0)
            lose(l, strerror(l->stream.error));
    }
}

static struct link *link_new(struct player *p)
{
    unsigned depth = p->settings->depth;
    struct link *l = calloc(1, sizeof *l + depth * sizeof *l->place);
    if (!l)
        return NULL;
    l->player = p;
    for (unsigned i = depth; i-- > 0;) {
        l->place[i].next = l->free;
        l->free = &l->place[i];
    }
    ev_timer_init(&l->again, on_again, again_after, 0.);
    l->again.data = l;
    return l;
}

static bool connect_all(struct player *p, char *err, size_t errlen)
{
    for (unsigned i = 0; i < p->settings->connections; i++) {
        snprintf(err, errlen, "out of memory");
        p->link[i] = link_new(p);
        if (!p->link[i] || !connect_link(p->link[i], err, errlen))
            return false;
    }
    return true;
}

struct player *player_new(struct ev_loop *loop, const struct player_settings *settings,
                          const struct scenario *s, char *err, size_t errlen)
{
    struct player *p = calloc(1, sizeof *p);
    snprintf(err, errlen, "out of memory");
    if (!p)
        return NULL;
    p->loop = loop;
    p->settings = settings;
    p->scenario = s;
    p->report.latency = calloc(s->nmessages, sizeof *p->report.latency);
    p->report.whole = calloc(1, sizeof *p->report.whole);
    p->random[0] = clock_ns(CLOCK_REALTIME) * 0x9e3779b97f4a7c15;
    p->random[1] = p->random[0] ^ (uint64_t)getpid() << 32;
    snprintf(p->run, sizeof p->run, "%08x-", (unsigned)(p->random[0] >> 32));
    ev_prepare_init(&p->turn_end, on_turn_end);
    p->turn_end.data = p;
    ev_prepare_start(loop, &p->turn_end);
    ev_timer_init(&p->tick, on_tick, tick, tick);
    p->tick.data = p;
    if (settings->rate > 0)
        ev_timer_start(loop, &p->tick);
    p->since_ns = now_ns();
    if (p->report.latency && p->report.whole && connect_all(p, err, errlen))
        return p;
    player_free(p);
    return NULL;
}

void player_free(struct player *p)
{
    for (unsigned i = 0; i < p->settings->connections && p->link[i]; i++) {
        ev_timer_stop(p->loop, &p->link[i]->again);
        if (p->link[i]->up)
            stream_clear(&p->link[i]->stream);
        free(p->link[i]);
    }
    ev_prepare_stop(p->loop, &p->turn_end);
    ev_timer_stop(p->loop, &p->tick);
    free(p->report.latency);
    free(p->report.whole);
    buf_free(&p->frame);
    free(p);
}

void player_reset(struct player *p)
{
    player_forget(&p->report, p->scenario->nmessages);
    for (unsigned i = 0; i < p->settings->connections; i++)
        p->report.sent += p->link[i]->busy;
}

void player_stop(struct player *p)
{
    struct player_report *r = &p->report;
    if (p->settings->rate > 0 && due_by_now(p) > p->begun)
        r->not_begun = due_by_now(p) - p->begun;
    for (unsigned i = 0; i < p->settings->connections; i++) {
        r->shut += !p->link[i]->open && may_begin(p);
        r->single += p->link[i]->open && p->link[i]->depth < p->settings->depth;
    }
    p->stopped = true;
}

bool player_idle(const struct player *p)
{
    if (may_begin(p))
        return false;
    for (unsigned i = 0; i < p->settings->connections; i++)
        if (p->link[i]->busy > 0)
            return false;
    return true;
}

const struct player_report *player_report(const struct player *p)
{
    return &p->report;
}
