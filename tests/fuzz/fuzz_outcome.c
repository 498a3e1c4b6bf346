// SPDX-License-Identifier: MIT
/* A string of Redis read as the reply to a claim, for plans of every shape: with and without a record, with
 * no limit up to as many as there may be. */
#include "tests/fuzz/fuzz.h"

#include "domain/outcome.h"
#include "domain/verdict.h"

static void check(const struct outcome *o, const struct plan *p, const uint8_t *data, size_t size)
{
    assert(outcome_word(o->kind));
    assert_inside(o->process, data, size);
    assert_inside(o->location, data, size);
    assert_inside(o->record, data, size);
    assert(o->kind != OUTCOME_GO || !p->has_record || o->fence != 0);
    assert(!o->has_levels || p->nlimits > 0 || o->kind == OUTCOME_LIMITED);
    for (unsigned i = 0; i < CONFIG_LIMITS_MAX; i++)
        assert(o->level[i] >= 0 && o->wait_us[i] >= 0 && o->back[i] >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct limit kinds[4];
    static struct plan p;
    struct outcome o;
    p.kind = PLAN_CLAIM;
    p.counts_all = size % 2 > 0;
    for (unsigned i = 0; i < 4; i++) {
        kinds[i].algorithm = i % 2 ? ALGORITHM_WINDOW : ALGORITHM_BUCKET;
        kinds[i].shadow = i / 2;
    }
    for (unsigned i = 0; i < CONFIG_LIMITS_MAX; i++)
        p.limits[i].limit = &kinds[(i + size / 2) % 4];
    for (unsigned record = 0; record < 2; record++)
        for (p.nlimits = 0; p.nlimits <= CONFIG_LIMITS_MAX; p.nlimits++) {
            p.has_record = record;
            if (outcome_read((const char *)data, size, &p, &o) == 0)
                check(&o, &p, data, size);
        }
    return 0;
}
