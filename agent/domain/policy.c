// SPDX-License-Identifier: MIT
/* Sets of statuses as a bit map, and what a status means:
 *
 *   in `store`                                         STORABLE
 *   `hold`, 5xx but 501 and 505, not in `definite`     UNKNOWN: a gateway or a crash may have said it
 *   anything else                                      RETRYABLE
 */
#include "domain/policy.h"

#include <string.h>

#include "domain/digest.h"
#include "domain/le.h"
#include "domain/units.h"

enum { STATUS_FIRST = 100, STATUS_LAST = 599 };

static uint32_t hash_of(const char *use, const char *name)
{
    uint8_t b[4];
    digest_short(use, name, strlen(name), b, sizeof b);
    return (uint32_t)le_get(b, sizeof b);
}

uint32_t policy_hash(const char *name)
{
    return hash_of("policy", name);
}

uint32_t limit_hash(const char *name)
{
    return hash_of("limit-name", name);
}

const struct policy *policy_find(const struct config *c, struct spop_slice name)
{
    for (unsigned i = 0; i < c->npolicies; i++) {
        if (name.len > 0 && slice_is(name, c->policies[i].name))
            return &c->policies[i];
    }
    return NULL;
}

const struct policy *policy_by_hash(const struct config *c, uint32_t hash)
{
    for (unsigned i = 0; i < c->npolicies; i++) {
        if (c->policies[i].hash == hash)
            return &c->policies[i];
    }
    return NULL;
}

uint32_t policy_lock_s(const struct policy *p)
{
    return p->idempotency.enabled ? p->idempotency.lock_s : p->lease_s;
}

uint32_t policy_record_s(const struct policy *p, bool bare)
{
    if (bare)
        return CONFIG_SLOTS_RECORD_S;
    return p && p->idempotency.enabled ? p->idempotency.record_s : CONFIG_RECORD_DEFAULT_S;
}

bool policy_polls(const struct policy *p)
{
    return !p->idempotency.enabled || p->idempotency.inflight == INFLIGHT_POLL;
}

bool policy_has_slots(const struct policy *p)
{
    for (unsigned i = 0; i < p->nlimits; i++)
        if (p->limits[i].concurrent > 0)
            return true;
    return false;
}

static void status_put(struct status_set *s, unsigned first, unsigned last, bool in)
{
    for (unsigned i = first - STATUS_FIRST; i <= last - STATUS_FIRST; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);
        s->bits[i / 64] = in ? s->bits[i / 64] | bit : s->bits[i / 64] & ~bit;
    }
}

bool status_in(const struct status_set *s, unsigned status)
{
    if (status < STATUS_FIRST || status > STATUS_LAST)
        return false;
    unsigned i = status - STATUS_FIRST;
    return s->bits[i / 64] >> (i % 64) & 1;
}

/* ACCEPTANCE I19: what speaks of the client's credentials, timing or of a race is not an outcome. */
static void put_default(struct status_set *s)
{
    static const unsigned not_definite[] = {401, 403, 408, 409, 425, 429};
    struct status_set d = {0};
    status_put(&d, 200, 499, true);
    for (size_t i = 0; i < sizeof not_definite / sizeof *not_definite; i++)
        status_put(&d, not_definite[i], not_definite[i], false);
    for (size_t i = 0; i < sizeof d.bits / sizeof *d.bits; i++)
        s->bits[i] |= d.bits[i];
}

/* "4xx" or "404"; interim answers (1xx) are no outcome. */
static int put_number(struct spop_slice word, struct status_set *s)
{
    if (word.len != 3 || word.ptr[0] < '2' || word.ptr[0] > '5')
        return -1;
    unsigned hundred = (unsigned)(word.ptr[0] - '0') * 100;
    if (word.ptr[1] == 'x' && word.ptr[2] == 'x') {
        status_put(s, hundred, hundred + 99, true);
        return 0;
    }
    for (int i = 1; i < 3; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return -1;
    }
    unsigned status = hundred + (unsigned)(word.ptr[1] - '0') * 10 + (unsigned)(word.ptr[2] - '0');
    status_put(s, status, status, true);
    return 0;
}

static int put_word(struct spop_slice word, struct status_set *s)
{
    if (slice_is(word, "default") || slice_is(word, "stripe")) {
        put_default(s);
        if (slice_is(word, "stripe"))
            status_put(s, 500, 500, true);
        return 0;
    }
    return put_number(word, s);
}

int status_set_parse(const char *text, struct status_set *s, struct spop_slice *bad)
{
    struct spop_slice word;
    *s = (struct status_set){{0}};
    if (!*text)
        return 0;
    while (unit_next_word(&text, &word)) {
        if (put_word(word, s)) {
            *bad = word;
            return -1;
        }
    }
    return 0;
}

bool policy_protects(const struct idempotency *i, struct spop_slice method)
{
    const char *at = i->methods;
    struct spop_slice word;
    while (unit_next_word(&at, &word)) {
        if (slice_is(word, "any"))
            return true;
        if (word.len > 0 && slice_same(word, method))
            return true;
    }
    return false;
}

bool status_may_be_unknown(unsigned status)
{
    return status >= 500 && status <= 599 && status != 501 && status != 505;
}

enum status_class policy_class(const struct idempotency *i, unsigned status)
{
    if (status_in(&i->stored, status))
        return STATUS_STORABLE;
    if (i->on_unknown == ON_UNKNOWN_HOLD && status_may_be_unknown(status) && !status_in(&i->known, status))
        return STATUS_UNKNOWN;
    return STATUS_RETRYABLE;
}
