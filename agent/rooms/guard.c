// SPDX-License-Identifier: MIT
/* One question at a time at each primary, on a timer that is quicker while its breaker is open. A question that is older
 * than the deadline of a decision counts as one more failure at each tick: so a Redis that hangs is noticed even where
 * no request has waited for it yet.
 *
 *   link ready ──► all marks that lie there, one after the other ──► known ──► one of them every 250 ms, around
 *   promoted   ──► ready, and nothing is known of it until the marks have moved there and one of them was looked at
 *
 * One mark would tell of a loss as well as all, for what forgets is a primary, never a slot. There are many so that
 * each primary has some, and they move with their slots: so no resharding looks like a loss, nor hides one. */
#include "rooms/guard.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "domain/breaker.h"
#include "domain/script.h"
#include "rooms/monotonic.h"

#define TICK 0.25
#define SOON 0.05 /* while nothing is known of a connection */

/* What is known of one primary. */
struct watched {
    struct guard *guard;
    struct redis *link; /* NULL: it was never ready */
    struct breaker breaker;
    ev_timer timer;
    struct redis_call *call; /* the question on its way */
    double asked_at;
    unsigned asked;       /* which mark it is about */
    enum mark_state told; /* while marks are asked one after the other: what was told of one; else KEPT */
    bool known;           /* a mark was looked at on this connection */
};

struct guard {
    struct ev_loop *loop;
    struct redis *redis;
    struct metrics *metrics;
    const struct config *config;         /* borrowed until the next guard_reconfigure() */
    double deadline;                     /* of a decision */
    bool refuses;                        /* on_data_loss = "refuse" */
    struct watched watched[REDIS_LINKS]; /* by the link's number */
    struct mark seen[REDIS_MARKS];
    uint64_t verified; /* marks: as they should be, since the connection that has them was made */
    uint64_t lost;     /* marks: noticed, and nobody has said go */
    uint64_t epoch, losses;
    struct buf command;
    struct log_gate strange_gate;
};

static uint64_t bit(unsigned mark)
{
    return (uint64_t)1 << mark;
}

static void show(struct guard *g)
{
    metrics_set(g->metrics, METRIC_BREAKER_OPEN, !guard_admits_all(g));
    metrics_set(g->metrics, METRIC_DATA_LOST, guard_trusts_all(g) == GUARD_LOST);
}

static void tick_every(struct watched *w, double seconds)
{
    if (w->timer.repeat == seconds)
        return;
    w->timer.repeat = seconds;
    ev_timer_again(w->guard->loop, &w->timer);
}

static void heard(struct watched *w, bool in_time)
{
    struct guard *g = w->guard;
    if (in_time && breaker_good(&w->breaker)) {
        LOG(LOG_NOTICE, "breaker-closed", log_text("why", "Redis answers in time again"));
        tick_every(w, TICK);
    } else if (!in_time && breaker_bad(&w->breaker, monotonic_now())) {
        metrics_add(g->metrics, METRIC_BREAKER_OPENED);
        LOG(LOG_WARNING, "breaker-open", log_int("failures", w->breaker.failures),
            log_text("address", redis_site(w->link).address),
            log_text("why", "Redis does not answer within redis.deadline: requests are refused at once"));
        tick_every(w, w->breaker.pause);
    }
    show(g);
}

void guard_heard(struct guard *g, const struct redis *link, bool in_time)
{
    struct watched *w = &g->watched[redis_number(link)];
    if (w->link)
        heard(w, in_time);
}

/* Logged and counted once for each loss of each primary. */
static void on_loss(struct guard *g, bool again, const char *what, const char *then)
{
    g->epoch++;
    g->losses++;
    if (again)
        return;
    metrics_add(g->metrics, METRIC_DATA_LOSS);
    LOG(LOG_ERROR, "redis-data-lost", log_text("what", what),
        log_text("why", "keys that were used may be used again, and requests may run twice"),
        log_text("then", then));
}

/* What one mark has lost, or an operator has accepted of it, is to be known of all that lie there, at once: then they are asked
 * one after the other, and what they say again is not told again. */
static void judge(struct guard *g, struct watched *w, unsigned mark, enum mark_state state)
{
    static const char goes_on[] = "goes on (on_data_loss = \"continue\")",
                      waits[] = "protected requests are refused until an operator says: oncectl go";
    uint64_t here = redis_marks(w->link);
    bool told = w->told != MARK_KEPT && (w->told != MARK_FIRST || state == MARK_FIRST);
    bool again = told || (here & g->lost && state != MARK_FIRST);
    w->told = told || state == MARK_KEPT ? w->told : state;
    switch (state) {
    case MARK_FIRST:
        if (!again)
            LOG(LOG_NOTICE, "redis-new", log_text("why", "no agent has used this database before"));
        break;
    case MARK_PASSED:
        on_loss(g, again, "the mark was begun anew", "goes on: another agent, or an operator, has said so");
        break;
    case MARK_LOST: on_loss(g, again, "the mark is missing or smaller than it was", goes_on); break;
    case MARK_WAITS:
        on_loss(g, again,
                g->seen[mark].epoch ? "the mark is missing or smaller than it was" : "there is no mark yet",
                waits);
        break;
    case MARK_FOREIGN:
        if (log_gate_open(&g->strange_gate, 1, monotonic_now()))
            LOG(LOG_ERROR, "redis-mark-foreign",
                log_text("why", "the key of a mark (once:mark, once:{..}:mark) holds something else: delete "
                                "it, or choose another database"));
        break;
    case MARK_KEPT: break;
    }
    bool good = state != MARK_WAITS && state != MARK_FOREIGN, was_lost = g->lost != 0;
    if (!told && (state == MARK_LOST || state == MARK_WAITS || state == MARK_PASSED))
        g->verified &= ~here;
    if (good && g->lost & bit(mark))
        g->lost &= ~here;
    w->known = w->known || state != MARK_FOREIGN;
    g->verified = good ? g->verified | bit(mark) : g->verified & ~bit(mark);
    g->lost = state == MARK_WAITS ? g->lost | bit(mark) : g->lost & ~bit(mark);
    if (was_lost && g->lost == 0 && good)
        LOG(LOG_NOTICE, "redis-data-accepted", log_text("why", "an operator has said go"));
}

/* Those that are not known on this connection come first, then those that wait for an operator; else the next one after the
 * last. Marks that have moved elsewhere are none of this primary's. */
static unsigned next_mark(const struct watched *w)
{
    uint64_t here = redis_marks(w->link), lost = here & w->guard->lost;
    uint64_t unknown = here & ~w->guard->verified & ~lost;
    unsigned i = w->asked;
    here = unknown ? unknown : lost ? lost : here;
    for (unsigned n = 0; n < REDIS_MARKS; n++) {
        i = (i + 1) % REDIS_MARKS;
        if (here & bit(i))
            break;
    }
    return i;
}

static void on_mark(void *arg, const struct redis_reply *reply);

static void ask(struct watched *w)
{
    struct guard *g = w->guard;
    char name[REDIS_MARK_NAME];
    w->asked = next_mark(w);
    buf_reset(&g->command);
    redis_mark_name(w->link, w->asked, name);
    script_mark(&g->command, name, &g->seen[w->asked], !g->refuses);
    if (g->command.failed)
        return;
    w->asked_at = monotonic_now();
    w->call = redis_submit(w->link, g->command.data, g->command.len, 0, on_mark, w);
}

/* An error (LOADING, READONLY ..) is an answer in time, and says nothing about the mark. */
static void on_mark(void *arg, const struct redis_reply *reply)
{
    struct watched *w = arg;
    struct guard *g = w->guard;
    enum mark_state state;
    bool read;
    w->call = NULL;
    if (reply->status == REDIS_LOST)
        return;
    read = reply->status == REDIS_BYTES && mark_read(reply->bytes, &g->seen[w->asked], &state) == 0;
    if (read && redis_marks(w->link) & bit(w->asked))
        judge(g, w, w->asked, state);
    heard(w, monotonic_now() - w->asked_at <= g->deadline);
    if (read && state != MARK_FOREIGN && redis_marks(w->link) & ~g->verified & ~g->lost)
        ask(w);
    else
        w->told = MARK_KEPT;
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    struct watched *w = t->data;
    bool none = redis_marks(w->link) == 0;
    w->known = w->known && !none;
    if (!w->breaker.open)
        tick_every(w, w->known || w->call ? TICK : SOON);
    if (none && !w->call && monotonic_now() - w->asked_at < TICK)
        return; /* there is none to be looked at */
    if (!w->call)
        ask(w);
    else if (monotonic_now() - w->asked_at > w->guard->deadline)
        heard(w, false);
}

static void set_breaker(struct watched *w, bool keep)
{
    const struct config *c = w->guard->config;
    breaker_set(&w->breaker, c->breaker.failures, c->breaker.probe_ms / 1000.0, keep);
    tick_every(w, w->breaker.open ? w->breaker.pause : TICK);
}

static void watch(struct guard *g, struct redis *link)
{
    struct watched *w = &g->watched[redis_number(link)];
    if (w->link)
        return;
    w->link = link;
    set_breaker(w, false);
}

static void configure(struct guard *g, const struct config *c)
{
    g->config = c;
    g->deadline = c->redis.deadline_ms / 1000.0;
    g->refuses = c->redis.on_data_loss == ON_DATA_LOSS_REFUSE;
    for (unsigned i = 0; i < REDIS_LINKS; i++)
        if (g->watched[i].link)
            set_breaker(&g->watched[i], true);
}

struct guard *guard_new(struct ev_loop *loop, struct redis *redis, const struct config *c,
                        struct metrics *metrics)
{
    struct guard *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->loop = loop;
    g->redis = redis;
    g->metrics = metrics;
    buf_init(&g->command);
    for (unsigned i = 0; i < REDIS_LINKS; i++) {
        struct watched *w = &g->watched[i];
        w->guard = g;
        w->asked = REDIS_MARKS - 1;
        ev_timer_init(&w->timer, on_tick, 0., 0.);
        w->timer.data = w;
        ev_set_priority(&w->timer, EV_MINPRI); /* what has come is read before it is missed */
    }
    configure(g, c);
    if (!redis_is_cluster(redis))
        watch(g, redis);
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    for (unsigned i = 0; i < REDIS_LINKS; i++) {
        if (g->watched[i].call)
            redis_detach(g->watched[i].call);
        ev_timer_stop(g->loop, &g->watched[i].timer);
    }
    buf_free(&g->command);
    free(g);
}

void guard_reconfigure(struct guard *g, const struct config *c)
{
    configure(g, c);
    show(g);
}

void guard_ready(struct guard *g, struct redis *link)
{
    struct watched *w = &g->watched[redis_number(link)];
    watch(g, link);
    g->verified &= ~redis_marks(link);
    g->epoch++;
    w->known = false;
    if (!w->breaker.open)
        tick_every(w, SOON);
    ask(w);
}

uint64_t guard_epoch(const struct guard *g)
{
    return g->epoch;
}

uint64_t guard_losses(const struct guard *g)
{
    return g->losses;
}

bool guard_admits(const struct guard *g, const struct redis *link)
{
    return !g->watched[redis_number(link)].breaker.open;
}

bool guard_admits_all(const struct guard *g)
{
    for (unsigned i = 0; i < REDIS_LINKS; i++)
        if (g->watched[i].breaker.open)
            return false;
    return true;
}

const struct mark *guard_mark(const struct guard *g)
{
    return g->refuses && !redis_is_cluster(g->redis) ? &g->seen[0] : NULL;
}

/* Asked at once: an operator may have said go meanwhile. A question that is on its way was sent behind the claim. */
void guard_lost(struct guard *g)
{
    if (!g->refuses)
        return; /* since a reload */
    judge(g, &g->watched[0], 0, MARK_WAITS);
    show(g);
    if (!g->watched[0].call)
        ask(&g->watched[0]);
}

enum guard_trust guard_trusts(const struct guard *g, const struct redis *link)
{
    if (!g->refuses)
        return GUARD_TRUSTED;
    uint64_t here = redis_marks(link);
    if (here & g->lost)
        return GUARD_LOST;
    const struct watched *w = &g->watched[redis_number(link)];
    bool known = here ? w->known : redis_settled(link);
    return (w->link && !known) || here & ~g->verified ? GUARD_UNKNOWN : GUARD_TRUSTED;
}

enum guard_trust guard_trusts_all(const struct guard *g)
{
    struct redis *links[REDIS_LINKS];
    enum guard_trust worst = GUARD_TRUSTED;
    unsigned n = redis_links(g->redis, links);
    for (unsigned i = 0; i < n; i++) {
        enum guard_trust trust = guard_trusts(g, links[i]);
        worst = trust > worst ? trust : worst;
    }
    return n > 0 || !g->refuses ? worst : GUARD_UNKNOWN;
}

uint64_t guard_lost_marks(const struct guard *g)
{
    struct redis *links[REDIS_LINKS];
    uint64_t marks = g->lost;
    for (unsigned n = redis_links(g->redis, links); n > 0; n--) {
        uint64_t here = redis_marks(links[n - 1]);
        marks |= here & g->lost ? here : 0;
    }
    return marks;
}
