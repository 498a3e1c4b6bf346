// SPDX-License-Identifier: MIT
/* Rules of one limit, and between limits that are counted together.
 *
 *   burst * window / quota <= 30 days     a group's TTL is 32 bits of ms (docs/wire.md, claim)
 *   one name, key and kind, "global"      one rate, burst and tiers: it is one bucket
 *   names in one policy                   differ, and so do their hashes: they name the cells of a group
 *   ipv4_prefix, ipv6_prefix              want "ip" in the key
 *   in a cluster                          what cannot be asked apart from the gate (in flight, windows) lies in its slot
 *
 * Increment and capacity are whole ticks of 100 ns, rounded up: never more than the rate (docs/wire.md). */
#include "domain/config_inner.h"

#include <string.h>

#include "domain/policy.h"
#include "domain/subject.h"
#include "domain/units.h"

enum { TICKS_PER_SECOND = 10000000 };
enum { LEASE_WORTH = 64, LEASE_SHARE = 16 }; /* of "auto", in tokens of the burst */

static void compile_terms(struct limit *l)
{
    const char *at = l->key;
    struct spop_slice word;
    l->nterms = 0;
    while (*l->key && l->nterms < CONFIG_TERMS_MAX && unit_next_word(&at, &word)) {
        struct text t;
        text_init(&t, l->terms[l->nterms++], sizeof l->terms[0]);
        text_put(&t, word.ptr, word.len);
    }
}

/* A window's unit is the request; burst has no meaning there. False: the rate is missing. */
static bool compile_pace(struct pace *p, enum algorithm algorithm)
{
    if (unit_rate(p->rate, &p->quota, &p->window_s))
        return false;
    uint64_t window = (uint64_t)p->window_s * TICKS_PER_SECOND;
    if (p->burst == 0)
        p->burst = p->quota;
    uint64_t increment = (window + p->quota - 1) / p->quota; /* whole ticks, rounded up */
    p->increment = algorithm == ALGORITHM_WINDOW ? 1 : (double)increment;
    p->capacity = p->burst * p->increment;
    return true;
}

/* Small limits are not worth a loan: the requests that they let pass may as well ask. What is asked apart is lent even where it says
 * LEASE_OFF: else each request would be two calls. */
static uint32_t tokens_of_a_loan(const struct limit *l, const struct pace *p)
{
    bool off = l->lease == LEASE_OFF && l->decided != DECIDED_APART;
    if (off || l->shadow || l->algorithm != ALGORITHM_BUCKET)
        return 0;
    if (l->lease == LEASE_AUTO || l->lease == LEASE_OFF)
        return p->burst >= LEASE_WORTH ? p->burst / LEASE_SHARE : 0;
    return l->lease < p->burst / 2 ? l->lease : p->burst / 2;
}

static void check_pace(struct check *k, struct limit *l, struct pace *p)
{
    bool windowed = l->algorithm == ALGORITHM_WINDOW;
    if (windowed && p->burst != 0)
        check_say(k, "burst",
                  "means nothing with algorithm = \"sliding-window\": the rate's number is all there is");
    if (!compile_pace(p, l->algorithm))
        return;
    p->lent = tokens_of_a_loan(l, p);
    if (p->capacity > l->most)
        l->most = p->capacity;
    if (windowed && p->window_s != l->pace.window_s && l->pace.window_s > 0)
        check_say(k, "rate",
                  "a sliding window has one time for all of its tiers, that of the limit's own rate");
    if (windowed || (uint64_t)p->burst * p->window_s <= (uint64_t)p->quota * RATE_WINDOW_MAX)
        return;
    text_dec(check_begin(k, "burst"), p->burst);
    text_str(&k->text, " is too large: at ");
    text_str(&k->text, p->rate);
    text_str(&k->text, " it takes more than 30 days to come back");
    check_report(k);
}

static void check_tiers(struct check *k, struct limit *l)
{
    if (*l->tier && l->ntiers == 0)
        check_say(k, "tier", "chooses one of `tiers`, and there are none");
    if (!*l->tier && l->ntiers > 0)
        check_say(k, "tiers", "`tier` is wanted too: the name of the message argument that chooses one");
    for (unsigned i = 0; i < l->ntiers; i++) {
        k->at.tier = (int)i;
        for (unsigned n = 0; n < i; n++)
            if (*l->tiers[i].name && strcmp(l->tiers[n].name, l->tiers[i].name) == 0)
                check_say(k, "name", "this limit has a tier of that name already");
        check_pace(k, l, &l->tiers[i].pace);
    }
    k->at.tier = -1;
}

/* What is in flight has no rate, and each request is one. */
static void check_concurrent(struct check *k, const struct limit *l)
{
    static const char not_here[] = "belongs to a rate; a limit that is \"concurrent\" has none";
    if (l->pace.burst > 0)
        check_say(k, "burst", not_here);
    if (l->algorithm != ALGORITHM_BUCKET)
        check_say(k, "algorithm", not_here);
    if (*l->tier || l->ntiers > 0)
        check_say(k, "tier", not_here);
    if (*l->cost)
        check_say(k, "cost", not_here);
    if (l->charge == CHARGE_ALL)
        check_say(k, "charge", not_here);
    if (l->lease != LEASE_OFF)
        check_say(k, "lease", not_here);
}

static bool has_term(const struct limit *l, const char *term)
{
    bool has = false;
    for (unsigned i = 0; i < l->nterms; i++)
        has = has || strcmp(l->terms[i], term) == 0;
    return has;
}

/* Bits of an address that nobody counts by. */
static void check_prefixes(struct check *k, const struct limit *l)
{
    static const char no_address[] = "says how many bits of an address count, and `key` has no \"ip\"";
    if (l->nterms == 0 || has_term(l, "ip"))
        return;
    if (l->ipv4_prefix != SUBJECT_IPV4_PREFIX)
        check_say(k, "ipv4_prefix", no_address);
    if (l->ipv6_prefix != SUBJECT_IPV6_PREFIX)
        check_say(k, "ipv6_prefix", no_address);
}

static void check_kind(struct check *k, struct limit *l)
{
    check_prefixes(k, l);
    if (l->concurrent > 0) {
        check_concurrent(k, l);
        return;
    }
    if (l->algorithm == ALGORITHM_WINDOW && l->lease != LEASE_OFF && l->lease != LEASE_AUTO)
        check_say(k, "lease", "a sliding window cannot be lent: only a token bucket can");
    check_pace(k, l, &l->pace);
    check_tiers(k, l);
}

static void check_limit_name(struct check *k, const struct policy *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!*p->limits[n].name || p->limits[i].hash != p->limits[n].hash)
            continue;
        if (strcmp(p->limits[i].name, p->limits[n].name) == 0) {
            check_say(k, "name", "this policy has a limit of that name already");
        } else {
            text_str(check_begin(k, "name"), "has the same hash as '");
            text_str(&k->text, p->limits[i].name);
            text_str(&k->text, "': one of them must be called otherwise");
            check_report(k);
        }
        return;
    }
}

/* A burst that was left out is the rate's number by now. */
static bool same_pace(const struct pace *a, const struct pace *b)
{
    return a->quota == b->quota && a->window_s == b->window_s && a->burst == b->burst;
}

static bool same_tiers(const struct limit *a, const struct limit *b)
{
    bool same = a->ntiers == b->ntiers;
    for (unsigned i = 0; same && i < a->ntiers; i++)
        same = strcmp(a->tiers[i].name, b->tiers[i].name) == 0 &&
               same_pace(&a->tiers[i].pace, &b->tiers[i].pace);
    return same;
}

/* Do both count in one place (domain/subject)? Only a global one is counted in more than one policy. */
static bool counted_together(const struct limit *a, const struct limit *b)
{
    bool same = a->nterms == b->nterms && strcmp(a->name, b->name) == 0 && a->algorithm == b->algorithm &&
                (a->concurrent > 0) == (b->concurrent > 0);
    for (unsigned i = 0; same && i < a->nterms; i++)
        same = strcmp(a->terms[i], b->terms[i]) == 0;
    return same && has_term(a, "global");
}

/* The limit that it is counted together with in one of the first n policies; NULL: there is none. */
static const struct limit *find_shared(const struct config *c, unsigned n, const struct limit *l,
                                       const struct policy **owner)
{
    for (const struct policy *p = c->policies; p < c->policies + n; p++)
        for (unsigned i = 0; i < p->nlimits; i++)
            if (counted_together(&p->limits[i], l)) {
                *owner = p;
                return &p->limits[i];
            }
    return NULL;
}

/* Two sizes of one bucket: each would lower what the other has counted. */
static void check_shared(struct check *k, unsigned policy, const struct limit *l)
{
    const struct policy *owner;
    const struct limit *other = find_shared(k->config, policy, l, &owner);
    if (!other ||
        (other->concurrent == l->concurrent && same_pace(&other->pace, &l->pace) && same_tiers(other, l)))
        return;
    text_str(check_begin(k, "name"), "policy '");
    text_str(&k->text, owner->name);
    text_str(&k->text,
             "' has a global limit of that name and key, counted together with this one, of another "
             "rate, burst or tiers: give both the same, or one of them another name");
    check_report(k);
}

enum { ANCHOR_NONE, ANCHOR_CLIENT, ANCHOR_PRINCIPAL, ANCHOR_WINDOW, ANCHOR_IN_FLIGHT };

static unsigned anchor_of(const struct policy *p, const struct limit *l)
{
    if (l->concurrent > 0)
        return ANCHOR_IN_FLIGHT;
    if (l->algorithm == ALGORITHM_WINDOW)
        return ANCHOR_WINDOW;
    if (p->idempotency.enabled && subject_with_record(p, l))
        return ANCHOR_PRINCIPAL;
    return subject_of_client(p, l) ? ANCHOR_CLIENT : ANCHOR_NONE;
}

/* Where there is no record: the limit in whose slot the gate decides (plan_home() finds the same). */
static const struct limit *home_of(const struct policy *p)
{
    const struct limit *best = p->limits;
    for (unsigned i = 1; i < p->nlimits; i++)
        if (p->limits[i].anchor > best->anchor)
            best = &p->limits[i];
    return best;
}

static bool lies_apart(const struct policy *p, const struct limit *l)
{
    return p->idempotency.enabled ? !subject_with_record(p, l) : !subject_together(p, l, home_of(p));
}

static void lacks_slot(struct check *k, const struct policy *p, const struct limit *l)
{
    text_str(check_begin(k, "key"), l->concurrent > 0 ? "what is in flight" : "a sliding window");
    text_str(&k->text, " is decided where the request's ");
    text_str(&k->text, p->idempotency.enabled ? "record" : "other limits");
    text_str(&k->text,
             p->idempotency.enabled
                 ? " lies: in a cluster its key must have the policy's principal, with the usual prefixes"
                 : " lie: in a cluster all such limits of a policy must have one key");
    text_str(&k->text, l->concurrent > 0 ? "" : "; or use a token bucket");
    check_report(k);
}

void check_split(struct check *k, struct policy *p)
{
    for (unsigned i = 0; i < p->nlimits; i++) {
        compile_terms(&p->limits[i]);
        p->limits[i].anchor = anchor_of(p, &p->limits[i]);
    }
    for (unsigned i = 0; i < p->nlimits && config_is_cluster(k->config); i++) {
        struct limit *l = &p->limits[i];
        k->at.limit = (int)i;
        if (!lies_apart(p, l))
            continue;
        l->decided = DECIDED_APART;
        if (l->anchor >= ANCHOR_WINDOW)
            lacks_slot(k, p, l);
    }
    k->at.limit = -1;
}

/* Some of its tiers may lend and others not. */
static bool lends_any(const struct limit *l)
{
    bool any = l->pace.lent > 0;
    for (unsigned i = 0; i < l->ntiers; i++)
        any = any || l->tiers[i].pace.lent > 0;
    return any;
}

void check_limit(struct check *k, unsigned policy, unsigned limit)
{
    struct policy *p = &k->config->policies[policy];
    p->limits[limit].hash = limit_hash(p->limits[limit].name);
    check_limit_name(k, p, limit);
    check_kind(k, &p->limits[limit]);
    subject_compile(p, &p->limits[limit]);
    check_shared(k, policy, &p->limits[limit]);
    if (lends_any(&p->limits[limit]))
        p->limits[limit].decided =
            p->limits[limit].decided == DECIDED_APART ? DECIDED_LEASED_APART : DECIDED_LEASED;
}
