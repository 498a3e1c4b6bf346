// SPDX-License-Identifier: MIT
/* To store: first what the message is, then what Cache-Control says, then whether a lifetime is left.
 * To serve, the age against three ends, each moved by what the request says:
 *
 *   0 ───── fresh ───── lifetime ───── + stale_while_revalidate | stale_if_error
 *        max-age, min-fresh end it sooner      max-stale opens it, or ends it sooner */
#include "domain/freshness.h"

#include "domain/httpdate.h"
#include "domain/policy.h"

enum { US_PER_S = 1000000, US_PER_MS = 1000 };

const char *store_word(enum store_reason r)
{
    static const char *const words[STORE_REASONS] = {
#define X(symbol, word) word,
        STORE_TABLE(X)
#undef X
    };
    return words[r];
}

/* Statuses whose rules for caches are known here, and those with which a lifetime may be guessed (RFC 9110, section 15.1). */
static const struct {
    unsigned status;
    bool heuristic;
} statuses[] = {
    {200, true },
    {203, true },
    {204, true },
    {300, true },
    {301, true },
    {302, false},
    {303, false},
    {307, false},
    {308, true },
    {404, true },
    {405, true },
    {410, true },
    {414, true },
    {501, true },
};

static bool understood(unsigned status, bool *heuristic)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status) {
            *heuristic = statuses[i].heuristic;
            return true;
        }
    *heuristic = false;
    return false;
}

static uint64_t at_most(uint64_t v, uint64_t most)
{
    return v < most ? v : most;
}

/* Seconds of a window: what was said, else what the policy says. */
static uint32_t said_or(const struct cachecontrol *cc, enum cc_directive d, uint32_t otherwise)
{
    return (uint32_t)at_most(cc_said(cc, d) ? cc->seconds[d] : otherwise, HEADERS_DELTA_MAX);
}

static bool read_date(struct spop_slice hdrs_bin, const char *name, uint64_t now_us, int64_t *epoch_s)
{
    return httpdate_read(headers_find(hdrs_bin, name), (int64_t)(now_us / US_PER_S), epoch_s);
}

/* RFC 9111, 5.3: what is no date is in the past, and so are two Expires that differ (4.2.1). */
static bool expires_at(const struct freshness_answer *a, int64_t *epoch_s)
{
    struct spop_cursor c = headers_walk(a->headers);
    struct spop_slice first, other;
    if (!headers_each(&c, "expires", &first))
        return false;
    *epoch_s = INT64_MIN;
    while (headers_each(&c, "expires", &other))
        if (!slice_same(first, other))
            return true;
    httpdate_read(first, (int64_t)(a->received_us / US_PER_S), epoch_s);
    return true;
}

/* RFC 9111, 5.1: the first of a list; what is no number is passed over. */
static uint32_t age_value(struct spop_slice hdrs_bin)
{
    struct spop_slice list = headers_find(hdrs_bin, "age"), first;
    uint32_t age;
    return headers_list(&list, &first) && headers_delta(first, &age) ? age : 0;
}

/* RFC 9111, 4.2.3. Date has no finer unit than seconds, and so has the apparent age. */
static void initial_age(const struct freshness_answer *a, int64_t date_s, struct freshness *f)
{
    int64_t received_s = (int64_t)(a->received_us / US_PER_S);
    uint64_t delay = a->received_us > a->asked_us ? a->received_us - a->asked_us : 0;
    uint64_t apparent = received_s > date_s ? (uint64_t)(received_s - date_s) : 0;
    uint64_t corrected = (uint64_t)age_value(a->headers) * US_PER_S + delay;
    apparent = at_most(apparent, HEADERS_DELTA_MAX) * US_PER_S;
    f->initial_age_us = apparent > corrected ? apparent : corrected;
}

/* RFC 9111, 4.2.1 and 4.2.2. False: nothing allows one. */
static bool lifetime(const struct freshness_rules *r, const struct freshness_answer *a,
                     const struct cachecontrol *cc, int64_t date_s, uint32_t *out)
{
    int64_t expires_s;
    bool heuristic;
    understood(a->status, &heuristic);
    if (cc_said(cc, CC_S_MAXAGE))
        *out = cc->seconds[CC_S_MAXAGE];
    else if (cc_said(cc, CC_MAX_AGE))
        *out = cc->seconds[CC_MAX_AGE];
    else if (expires_at(a, &expires_s))
        *out = expires_s > date_s ? (uint32_t)at_most((uint64_t)(expires_s - date_s), HEADERS_DELTA_MAX) : 0;
    else if (heuristic || cc_said(cc, CC_PUBLIC))
        *out = (uint32_t)at_most(r->ttl_s, HEADERS_DELTA_MAX);
    else
        return false;
    return true;
}

/* RFC 9111, section 3: what may never be stored whatever Cache-Control says. */
static enum store_reason of_message(const struct freshness_rules *r, const struct freshness_answer *a)
{
    if (!slice_is(a->method, "GET"))
        return STORE_METHOD;
    if (a->status == 206 || headers_find(a->headers, "content-range").ptr)
        return STORE_PARTIAL;
    if (a->status < 200 || a->status == 304 || !status_in(&r->store, a->status))
        return STORE_STATUS;
    return headers_find(a->headers, "set-cookie").ptr ? STORE_SET_COOKIE : STORE_YES;
}

/* RFC 9111, 5.2.2 and 3.5. must-understand takes no-store away where the status is understood (5.2.2.3). */
static enum store_reason of_directives(const struct freshness_rules *r, const struct freshness_answer *a,
                                       const struct cachecontrol *cc)
{
    bool heuristic, known = understood(a->status, &heuristic);
    if (cc_said(cc, CC_MUST_UNDERSTAND) && !known)
        return STORE_MUST_UNDERSTAND;
    if (cc_said(cc, CC_NO_STORE) && !cc_said(cc, CC_MUST_UNDERSTAND))
        return STORE_NO_STORE;
    if (cc_said(cc, CC_PRIVATE))
        return STORE_PRIVATE;
    if (cc_said(cc, CC_NO_CACHE))
        return STORE_NO_CACHE;
    bool shared = cc_said(cc, CC_PUBLIC) || cc_said(cc, CC_S_MAXAGE) || cc_said(cc, CC_MUST_REVALIDATE);
    return a->authorization && !shared && !r->per_principal ? STORE_AUTHORIZATION : STORE_YES;
}

static enum store_reason of_vary(const struct freshness_rules *r, const struct freshness_answer *a,
                                 struct vary_names *names)
{
    switch (vary_read(a->headers, names)) {
    case VARY_READ: return vary_within(names, &r->vary) ? STORE_YES : STORE_VARY;
    case VARY_ANY: return STORE_VARY_ANY;
    default: return STORE_VARY;
    }
}

static void stale_windows(const struct freshness_rules *r, const struct cachecontrol *cc, struct freshness *f)
{
    f->never_stale =
        cc_said(cc, CC_MUST_REVALIDATE) || cc_said(cc, CC_PROXY_REVALIDATE) || cc_said(cc, CC_S_MAXAGE);
    if (f->never_stale)
        return;
    f->stale_while_revalidate_s = said_or(cc, CC_STALE_WHILE_REVALIDATE, r->stale_while_revalidate_s);
    f->stale_if_error_s = said_or(cc, CC_STALE_IF_ERROR, r->stale_if_error_s);
}

/* Ages, lifetime and windows; STORE_YES, NO_LIFETIME or STALE. */
static enum store_reason of_times(const struct freshness_rules *r, const struct freshness_answer *a,
                                  const struct cachecontrol *cc, struct freshness *f)
{
    int64_t date_s = (int64_t)(a->received_us / US_PER_S);
    *f = (struct freshness){.received_us = a->received_us};
    f->dated = read_date(a->headers, "date", a->received_us, &date_s);
    if (!lifetime(r, a, cc, date_s, &f->lifetime_s))
        return STORE_NO_LIFETIME;
    stale_windows(r, cc, f);
    initial_age(a, date_s, f);
    return freshness_keep_ms(f, a->received_us) > 0 ? STORE_YES : STORE_STALE;
}

enum store_reason freshness_store(const struct freshness_rules *r, const struct freshness_answer *a,
                                  struct freshness *f, struct vary_names *vary)
{
    struct cachecontrol cc;
    struct vary_names names;
    struct freshness times;
    enum store_reason why = cachecontrol_read(a->headers, &cc) < 0 ? STORE_MALFORMED : of_message(r, a);
    if (why == STORE_YES)
        why = of_directives(r, a, &cc);
    if (why == STORE_YES)
        why = of_vary(r, a, &names);
    if (why == STORE_YES)
        why = of_times(r, a, &cc, &times);
    if (why == STORE_YES) {
        *f = times;
        *vary = names;
    }
    return why;
}

uint64_t freshness_age_us(const struct freshness *f, uint64_t now_us)
{
    return f->initial_age_us + (now_us > f->received_us ? now_us - f->received_us : 0);
}

uint32_t freshness_age_s(const struct freshness *f, uint64_t now_us)
{
    return (uint32_t)at_most(freshness_age_us(f, now_us) / US_PER_S, HEADERS_DELTA_MAX);
}

int64_t freshness_ttl_s(const struct freshness *f, uint64_t now_us)
{
    return (int64_t)f->lifetime_s - freshness_age_s(f, now_us);
}

static uint64_t us(uint64_t seconds)
{
    return seconds * US_PER_S;
}

uint64_t freshness_keep_ms(const struct freshness *f, uint64_t now_us)
{
    uint32_t revalidate = f->stale_while_revalidate_s, error = f->stale_if_error_s;
    uint64_t end = us(f->lifetime_s) + us(revalidate > error ? revalidate : error);
    uint64_t age = freshness_age_us(f, now_us);
    return end > age ? (end - age + US_PER_MS - 1) / US_PER_MS : 0;
}

bool freshness_may_fill(const struct cachecontrol *request)
{
    return !cc_said(request, CC_NO_STORE);
}

/* Does the request want the origin's own answer, whatever is here (RFC 9111, 5.2.1.4, 5.2.1.5, 5.4)? */
static bool wants_origin(const struct cachecontrol *request)
{
    return cc_said(request, CC_NO_CACHE) || cc_said(request, CC_NO_STORE) || request->pragma;
}

/* 5.2.1.1 and 5.2.1.3: no older than this, and fresh for so long yet. */
static bool young_enough(const struct freshness *f, const struct cachecontrol *request, uint64_t age_us)
{
    if (cc_said(request, CC_MAX_AGE) && age_us > us(request->seconds[CC_MAX_AGE]))
        return false;
    return !cc_said(request, CC_MIN_FRESH) ||
           age_us + us(request->seconds[CC_MIN_FRESH]) <= us(f->lifetime_s);
}

/* May it be given a stale one that is within `window_s` of its end? max-age alone wants no stale one (5.2.1.1); max-stale says how
 * stale it may be (5.2.1.2). */
static bool stale_within(const struct freshness *f, const struct cachecontrol *request, uint64_t age_us,
                         uint64_t window_s)
{
    bool max_stale = cc_said(request, CC_MAX_STALE);
    if (f->never_stale || !young_enough(f, request, age_us) || (cc_said(request, CC_MAX_AGE) && !max_stale))
        return false;
    if (max_stale && age_us - us(f->lifetime_s) > us(request->seconds[CC_MAX_STALE]))
        return false;
    return age_us - us(f->lifetime_s) < us(window_s);
}

static enum freshness_verdict of_stored(const struct freshness *f, const struct cachecontrol *request,
                                        uint64_t age_us)
{
    if (wants_origin(request))
        return FRESHNESS_FETCH;
    if (age_us < us(f->lifetime_s))
        return young_enough(f, request, age_us) ? FRESHNESS_FRESH : FRESHNESS_FETCH;
    if (cc_said(request, CC_MAX_STALE) && stale_within(f, request, age_us, UINT32_MAX))
        return FRESHNESS_STALE;
    return stale_within(f, request, age_us, f->stale_while_revalidate_s) ? FRESHNESS_REVALIDATE
                                                                         : FRESHNESS_FETCH;
}

enum freshness_verdict freshness_for(const struct freshness *f, const struct cachecontrol *request,
                                     uint64_t now_us)
{
    enum freshness_verdict v = f ? of_stored(f, request, freshness_age_us(f, now_us)) : FRESHNESS_FETCH;
    if (!cc_said(request, CC_ONLY_IF_CACHED))
        return v;
    return v == FRESHNESS_FETCH ? FRESHNESS_504 : v == FRESHNESS_REVALIDATE ? FRESHNESS_STALE : v;
}

bool freshness_on_error(const struct freshness *f, const struct cachecontrol *request, uint64_t now_us)
{
    uint64_t age_us = freshness_age_us(f, now_us), window_s = f->stale_if_error_s;
    if (wants_origin(request))
        return false;
    if (cc_said(request, CC_STALE_IF_ERROR))
        window_s = at_most(window_s, request->seconds[CC_STALE_IF_ERROR]);
    return age_us < us(f->lifetime_s) ? young_enough(f, request, age_us)
                                      : stale_within(f, request, age_us, window_s);
}
