// SPDX-License-Identifier: MIT
/* The map, and what it leads to: links come and go with the primaries that it names.
 *
 *   link   free ──a primary, or a MOVED or ASK names its address──► in use ──no primary in two maps, nothing pending──► free
 *   map    asked for every second; every 100 ms while a slot is without a primary that serves, at another node each
 *          fifth time, and each time while a primary refuses to write: one that is cut off from the others takes itself
 *          for the primary still, and would tell the same for ever
 *
 * A number is a link's for as long as the router lives: rooms keep what they know of a primary under it. */
#include "adapters/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/log.h"
#include "adapters/redis_inner.h"
#include "adapters/slots_watch.h"
#include "domain/slotmap.h"
#include "domain/text.h"

#define CALM    1.0
#define HURRY   0.1
#define AT_ONCE 0.01
#define AGAIN   0.02 /* after TRYAGAIN */
#define PAUSE   0.1  /* between two nodes that could not be asked */

enum {
    HOPS_MAX = 8,
    ROTATE = 5,     /* hurried questions at one node */
    HURRIED = 50,   /* then it lasts, and is asked for calmly */
    UNSEEN_MAX = 2, /* maps that name it no more */
    MARK_SLOTS = SLOTS / REDIS_MARKS,
};

struct primary {
    struct redis *link; /* NULL: never used */
    unsigned nslots, unseen;
    uint64_t marks;       /* which of them lie in its slots */
    uint8_t tag[2];       /* that lies in one of them, if has_tag */
    bool has_tag, looked; /* looked: for one, since its slots have changed */
    bool listed;          /* as a primary by the present map */
};

struct slots {
    struct ev_loop *loop;
    struct redis *router;
    struct redis_settings settings;
    struct metrics *metrics;
    struct slots_watch *watch;
    unsigned candidate, refusals, hurried;
    bool known; /* there was a map */
    struct slotmap map;
    struct primary primary[REDIS_LINKS]; /* by number; [0] is the router's, and unused */
    uint8_t owner[SLOTS];                /* number; 0: nobody */
    uint64_t epoch[SLOTS];
    uint8_t mark_tag[REDIS_MARKS][2];
    struct redis_queue again; /* TRYAGAIN was said of them */
    ev_timer again_timer;
    struct log_gate crossed_gate;
    char said[300]; /* the last failure that was logged: the same is not logged again */
};

static bool is_used(const struct primary *p)
{
    return p->link && *p->link->address;
}

static void show(const struct slots *s)
{
    unsigned known = 0, up = 0;
    for (unsigned i = 1; i < REDIS_LINKS; i++) {
        const struct primary *p = &s->primary[i];
        known += is_used(p) && p->nslots > 0;
        up += is_used(p) && p->nslots > 0 && redis_ready(p->link);
    }
    metrics_set(s->metrics, METRIC_CLUSTER_PRIMARIES, known);
    metrics_set(s->metrics, METRIC_CLUSTER_PRIMARIES_UP, up);
    metrics_set(s->metrics, METRIC_REDIS_UP, slots_whole(s));
}

static void hurry(struct slots *s)
{
    s->hurried = s->hurried ? s->hurried : 1;
    slots_watch_ask(s->watch, AT_ONCE);
}

void slots_doubt(struct slots *s)
{
    hurry(s);
}

static void on_ready(void *arg, struct redis *link)
{
    struct slots *s = arg;
    show(s);
    s->router->events.ready(s->router->arg, link);
}

static void on_lost(void *arg)
{
    struct slots *s = arg;
    show(s);
    hurry(s);
    if (s->router->events.lost)
        s->router->events.lost(s->router->arg);
}

/* The link to this address, made if there is none; NULL: out of memory, or of numbers (logged). */
static struct redis *link_to(struct slots *s, const char *address)
{
    static const struct redis_events events = {on_ready, on_lost};
    struct primary *place = NULL;
    for (unsigned i = 1; i < REDIS_LINKS; i++) {
        struct primary *p = &s->primary[i];
        if (is_used(p) && strcmp(p->link->address, address) == 0) {
            p->unseen = 0;
            return p->link;
        }
        if (!place && !is_used(p))
            place = p;
    }
    if (place && !place->link)
        place->link =
            redis_link_new(s->loop, &s->settings, &events, s, s->metrics, s, (unsigned)(place - s->primary));
    if (!place || !place->link) {
        metrics_add(s->metrics, METRIC_CLUSTER_FULL);
        return NULL;
    }
    place->unseen = 0;
    redis_link_point(place->link, address);
    return place->link;
}

static void give(struct slots *s, unsigned slot, unsigned number)
{
    struct primary *from = &s->primary[s->owner[slot]], *to = &s->primary[number];
    from->nslots--;
    to->nslots++;
    from->looked = to->looked = false;
    s->owner[slot] = (uint8_t)number;
}

static void set_marks(struct slots *s)
{
    for (unsigned i = 0; i < REDIS_LINKS; i++)
        s->primary[i].marks = 0;
    for (unsigned i = 0; i < REDIS_MARKS; i++)
        s->primary[s->owner[slot_of_tag(s->mark_tag[i])]].marks |= (uint64_t)1 << i;
}

/* Is another one to have this slot? */
static bool is_newer(const struct slots *s, unsigned slot, unsigned number, uint64_t epoch)
{
    unsigned now = s->owner[slot];
    if (number == 0)
        return now != 0 && !redis_ready(s->primary[now].link);
    return now == 0 || epoch > s->epoch[slot] || !redis_ready(s->primary[now].link);
}

static void take_owners(struct slots *s, const uint8_t number[SLOTMAP_NODES + 1])
{
    unsigned changed = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned node = s->map.owner[i], to = number[node];
        uint64_t epoch = node < SLOTMAP_NODES ? s->map.node[node].epoch : 0;
        if (to != s->owner[i]) {
            if (!is_newer(s, i, to, epoch))
                continue;
            give(s, i, to);
            changed++;
        }
        s->epoch[i] = epoch;
    }
    if (changed == 0)
        return;
    set_marks(s);
    LOG(LOG_NOTICE, "cluster-map", log_int("slots_changed", changed),
        log_int("slots_without", s->primary[0].nslots));
}

/* Who is no primary any more, and has nothing left to answer. */
static void retire(struct slots *s)
{
    for (unsigned i = 1; i < REDIS_LINKS; i++) {
        struct primary *p = &s->primary[i];
        if (!is_used(p))
            continue;
        p->unseen = p->listed || p->nslots > 0 ? 0 : p->unseen + 1;
        if (p->unseen > UNSEEN_MAX && p->link->pending == 0)
            redis_link_point(p->link, "");
    }
}

static void apply(struct slots *s)
{
    uint8_t number[SLOTMAP_NODES + 1] = {0};
    bool owns[SLOTMAP_NODES + 1] = {false};
    for (unsigned i = 0; i < SLOTS; i++)
        owns[s->map.owner[i]] = true;
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        s->primary[i].listed = false;
    for (unsigned i = 0; i < s->map.nnodes; i++) {
        const struct slotmap_node *n = &s->map.node[i];
        bool wanted = n->primary && *n->address && (owns[i] || !n->failed);
        struct redis *link = wanted ? link_to(s, n->address) : NULL;
        number[i] = link ? (uint8_t)link->number : 0;
        s->primary[number[i]].listed = true;
    }
    take_owners(s, number);
    retire(s);
    show(s);
}

/* Seeds, then the nodes of the last map, around and around. */
static const char *next_candidate(struct slots *s)
{
    unsigned seeds = s->settings.seeds.n, all = seeds + (s->known ? s->map.nnodes : 0);
    for (unsigned tried = 0; tried < all; tried++) {
        unsigned i = s->candidate++ % all;
        if (i < seeds)
            return s->settings.seeds.item[i];
        if (*s->map.node[i - seeds].address && !s->map.node[i - seeds].failed)
            return s->map.node[i - seeds].address;
    }
    return s->settings.seeds.item[0];
}

/* Once for each reason: an outage of an hour is not 36,000 lines. */
static void say(struct slots *s, const char *address, const char *why)
{
    if (strncmp(s->said, why, sizeof s->said - 1) == 0)
        return;
    snprintf(s->said, sizeof s->said, "%s", why);
    LOG(LOG_WARNING, "cluster-map-unknown", log_text("address", address), log_text("why", why));
}

static void ask_elsewhere(struct slots *s, double after)
{
    slots_watch_to(s->watch, next_candidate(s), after);
}

static void on_failed(void *arg, const char *address, const char *why)
{
    struct slots *s = arg;
    say(s, address, why);
    ask_elsewhere(s, PAUSE);
}

static bool any_refuses(const struct slots *s)
{
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (s->primary[i].nslots > 0 && s->primary[i].link->clock.refused)
            return true;
    return false;
}

static void ask_again(struct slots *s)
{
    bool whole = slots_whole(s);
    double after = whole || s->hurried >= HURRIED ? CALM : HURRY;
    s->hurried = whole ? 0 : s->hurried + 1;
    if (any_refuses(s) || (s->hurried > 0 && s->hurried % ROTATE == 0))
        ask_elsewhere(s, after);
    else
        slots_watch_ask(s->watch, after);
}

static void on_heard(void *arg, struct spop_slice nodes, const char *from)
{
    struct slots *s = arg;
    const char *why = slotmap_read(&s->map, nodes, from);
    if (why) {
        s->known = false;
        on_failed(s, from, why);
        return;
    }
    s->known = true;
    s->said[0] = '\0';
    metrics_add(s->metrics, METRIC_CLUSTER_MAPS);
    apply(s);
    ask_again(s);
}

struct redis *slots_home(const struct slots *s, const uint8_t tag[2])
{
    return s->primary[s->owner[slot_of_tag(tag)]].link;
}

struct redis_call *slots_submit(struct slots *s, const void *resp, size_t len, ev_tstamp within,
                                redis_reply_fn *fn, void *arg)
{
    int slot = slot_of_command(resp, len);
    if (slot < 0) {
        metrics_add(s->metrics, METRIC_CLUSTER_CROSSED);
        if (log_gate_open(&s->crossed_gate, 1, ev_now(s->loop)))
            LOG(LOG_ERROR, "cluster-crossed",
                log_text("why", slot == SLOT_CROSSED
                                    ? "a command's keys lie in different slots: it was not sent"
                                    : "a command without a key has no slot: it was not sent"));
        return NULL;
    }
    struct redis *link = s->primary[s->owner[slot]].link;
    struct redis_call *call = link ? redis_submit(link, resp, len, within, fn, arg) : NULL;
    if (call)
        call->routed = true;
    return call;
}

/* Without a host it is the one of who said so. */
static struct redis *said_link(struct slots *s, const struct redis *at, struct slot_said *said)
{
    const char *colon = strrchr(at->address, ':');
    config_text address;
    struct text t;
    if (*said->address != ':')
        return link_to(s, said->address);
    text_init(&t, address, sizeof address);
    text_put(&t, at->address, colon ? (size_t)(colon - at->address) : 0);
    text_str(&t, said->address);
    return t.full ? NULL : link_to(s, address);
}

static bool send_to(struct slots *s, struct redis *to, struct redis_call *call, bool asking)
{
    if (!to || call->over || call->hops >= HOPS_MAX || call->copy.len == 0 || call->copy.failed ||
        !redis_room(to, REDIS_HEARTBEATS)) {
        metrics_add(s->metrics, METRIC_CLUSTER_LOST_WAY);
        return false;
    }
    redis_calls_move(call, to, asking);
    return true;
}

/* One with a deadline ends by that, one without by its hops. */
static bool try_again(struct slots *s, struct redis_call *call)
{
    if (call->over || call->copy.len == 0 || call->copy.failed ||
        (call->due_us == 0 && call->hops >= HOPS_MAX))
        return false;
    if (call->due_us)
        call->hops = 0;
    call->again = true;
    redis_queue_add(&s->again, call);
    if (!ev_is_active(&s->again_timer)) {
        ev_timer_set(&s->again_timer, AGAIN, 0.);
        ev_timer_start(s->loop, &s->again_timer);
    }
    return true;
}

bool slots_redirect(struct slots *s, struct redis *at, struct redis_call *call, struct spop_slice error)
{
    struct slot_said said;
    struct redis *to;
    slot_said_read(error, &said);
    switch (said.error) {
    case SLOT_SERVED: return false;
    case SLOT_DOWN:
        metrics_add(s->metrics, METRIC_CLUSTER_DOWN);
        hurry(s);
        return false;
    case SLOT_TRYAGAIN: metrics_add(s->metrics, METRIC_CLUSTER_TRYAGAIN); return try_again(s, call);
    case SLOT_ASK:
        metrics_add(s->metrics, METRIC_CLUSTER_ASK);
        return send_to(s, said_link(s, at, &said), call, true);
    case SLOT_MOVED: break;
    }
    metrics_add(s->metrics, METRIC_CLUSTER_MOVED);
    to = said_link(s, at, &said);
    if (to && s->owner[said.slot] != to->number) {
        give(s, said.slot, to->number);
        set_marks(s);
    }
    hurry(s);
    return send_to(s, to, call, false);
}

static void on_again(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct slots *s = t->data;
    struct redis_queue now = s->again;
    struct redis_call *call;
    redis_queue_init(&s->again);
    if (now.first == NULL)
        return;
    while ((call = redis_queue_take(&now))) {
        int slot = slot_of_command(call->copy.data, call->copy.len);
        struct redis *home = slot < 0 ? NULL : s->primary[s->owner[slot]].link;
        redis_calls_move(call, home ? home : call->owner, false);
    }
}

unsigned slots_links(const struct slots *s, struct redis *out[REDIS_LINKS])
{
    unsigned n = 0;
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (is_used(&s->primary[i]) && s->primary[i].nslots > 0)
            out[n++] = s->primary[i].link;
    return n;
}

bool slots_any_ready(const struct slots *s)
{
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (s->primary[i].nslots > 0 && redis_ready(s->primary[i].link))
            return true;
    return false;
}

bool slots_whole(const struct slots *s)
{
    unsigned served = 0;
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (s->primary[i].nslots > 0 && redis_ready(s->primary[i].link))
            served += s->primary[i].nslots;
    return served == SLOTS;
}

bool slots_settled(const struct slots *s)
{
    return s->hurried == 0 && slots_whole(s);
}

const struct redis *slots_some(const struct slots *s)
{
    const struct redis *any = NULL;
    for (unsigned i = 1; i < REDIS_LINKS; i++) {
        if (!is_used(&s->primary[i]))
            continue;
        any = s->primary[i].link;
        if (redis_ready(any))
            return any;
    }
    return any;
}

uint64_t slots_marks(const struct slots *s, unsigned number)
{
    return s->primary[number].marks;
}

void slots_mark_tag(const struct slots *s, unsigned mark, uint8_t tag[2])
{
    memcpy(tag, s->mark_tag[mark], 2);
}

static void look_for_tag(struct slots *s, unsigned number)
{
    struct primary *p = &s->primary[number];
    p->looked = true;
    p->has_tag = false;
    for (unsigned i = 0; !p->has_tag && p->nslots > 0 && i <= UINT16_MAX; i++) {
        p->tag[0] = (uint8_t)(i >> 8);
        p->tag[1] = (uint8_t)i;
        p->has_tag = s->owner[slot_of_tag(p->tag)] == number;
    }
}

bool slots_own_tag(struct slots *s, unsigned number, uint8_t tag[2])
{
    struct primary *p = &s->primary[number];
    if (!p->looked)
        look_for_tag(s, number);
    if (p->has_tag)
        memcpy(tag, p->tag, sizeof p->tag);
    return p->has_tag;
}

/* The first TAG in each of so many equal parts of the slots: they are the same for every agent, and move with their
 * slots. */
static void choose_marks(struct slots *s)
{
    bool chosen[REDIS_MARKS] = {false};
    unsigned left = REDIS_MARKS;
    for (unsigned i = 0; left > 0 && i <= UINT16_MAX; i++) {
        uint8_t tag[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        unsigned mark = slot_of_tag(tag) / MARK_SLOTS;
        if (chosen[mark])
            continue;
        memcpy(s->mark_tag[mark], tag, sizeof tag);
        chosen[mark] = true;
        left--;
    }
}

void slots_reconfigure(struct slots *s, const struct redis_settings *settings)
{
    s->settings = *settings;
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (s->primary[i].link)
            redis_reconfigure(s->primary[i].link, settings);
    s->candidate = 0;
    ask_elsewhere(s, 0.);
}

struct slots *slots_new(struct ev_loop *loop, struct redis *router, const struct redis_settings *settings,
                        struct metrics *metrics)
{
    static const struct slots_watch_events events = {on_heard, on_failed};
    struct slots *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->loop = loop;
    s->router = router;
    s->settings = *settings;
    s->metrics = metrics;
    s->primary[0].nslots = SLOTS;
    s->hurried = 1;
    redis_queue_init(&s->again);
    ev_timer_init(&s->again_timer, on_again, 0., 0.);
    s->again_timer.data = s;
    choose_marks(s);
    set_marks(s);
    s->watch = slots_watch_new(loop, &s->settings, &events, s);
    if (!s->watch) {
        free(s);
        return NULL;
    }
    ask_elsewhere(s, 0.);
    return s;
}

void slots_free(struct slots *s)
{
    struct redis_call *call;
    if (!s)
        return;
    memset(s->owner, 0, sizeof s->owner); /* who is told LOST and asks again is refused */
    for (unsigned i = 0; i < REDIS_LINKS; i++)
        s->primary[i].nslots = 0;
    slots_watch_free(s->watch);
    ev_timer_stop(s->loop, &s->again_timer);
    while ((call = redis_queue_take(&s->again)))
        redis_calls_end(call);
    for (unsigned i = 1; i < REDIS_LINKS; i++)
        if (s->primary[i].link)
            redis_free(s->primary[i].link);
    free(s);
}
