// SPDX-License-Identifier: MIT
/* Rules about the stick tables, in which HAProxy keeps what runs, what has ended and what passed unconfirmed.
 */
#include "domain/hacheck_inner.h"

#include <string.h>

#include "domain/token.h"
#include "domain/units.h"

enum { POLLS = 3, UNSETTLED_MS = 60000, INFLIGHT_LONG_MS = 10000 };

static const char *const tables[] = {"once_inflight", "once_unsettled"};
enum { TABLES = sizeof tables / sizeof *tables };

/* The stick-table line of the proxy of that name; NULL. */
static const struct haconf_line *table_line(const struct hacheck *k, const char *name)
{
    static const char *const types[] = {"backend", "frontend", "listen"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct haconf_section *s = haconf_section(k->site, types[i], name);
        if (s)
            return haconf_last(k->site, s, "stick-table");
    }
    return NULL;
}

void hacheck_table_there(struct hacheck *k)
{
    for (int i = 0; i < TABLES; i++)
        if (!table_line(k, tables[i]))
            hacheck_say(k, hacheck_top(k), "there is no backend '%s' with a stick-table", tables[i]);
}

void hacheck_table_key(struct hacheck *k)
{
    for (int i = 0; i < TABLES; i++) {
        const struct haconf_line *l = table_line(k, tables[i]);
        const char *len = l ? haconf_after(l, "len") : NULL;
        uint64_t bytes = 0;
        if (!l)
            continue;
        if (len)
            unit_size(len, &bytes);
        if (!haconf_matches(l, "stick-table type string") || bytes < TOKEN_TEXT)
            hacheck_say(k, l, "the key of table '%s' is not 'type string len %d' or longer", tables[i],
                        TOKEN_TEXT);
    }
}

/* `nopurge` must be there, `peers` must not. */
void hacheck_table_word(struct hacheck *k)
{
    bool wanted = k->rule->which;
    for (int i = 0; i < TABLES; i++) {
        const struct haconf_line *l = table_line(k, tables[i]);
        const char *word = wanted ? "nopurge" : "peers";
        if (l && haconf_matches(l, wanted ? "stick-table nopurge" : "stick-table peers") != wanted)
            hacheck_say(k, l, "table '%s' %s '%s'", tables[i], wanted ? "lacks" : "has", word);
    }
}

static bool stores(const struct haconf_line *l, const char *data)
{
    const char *at = haconf_after(l, "store");
    struct spop_slice word;
    while (at && unit_next_word(&at, &word))
        if (word.len == strlen(data) && memcmp(word.ptr, data, word.len) == 0)
            return true;
    return false;
}

void hacheck_table_store(struct hacheck *k)
{
    static const char *const data[] = {"conn_cur", "gpt0"};
    for (int i = 0; i < TABLES; i++) {
        const struct haconf_line *l = table_line(k, tables[i]);
        for (unsigned d = 0; l && d < 2; d++)
            if (!stores(l, data[d]))
                hacheck_say(k, l, "table '%s' does not store %s", tables[i], data[d]);
    }
}

void hacheck_table_expire(struct hacheck *k)
{
    uint64_t polls = POLLS * (uint64_t)k->agent->inflight.poll_ms;
    const uint64_t least[TABLES] = {polls, polls > UNSETTLED_MS ? polls : UNSETTLED_MS};
    const uint64_t most[TABLES] = {INFLIGHT_LONG_MS, UINT64_MAX};
    for (int i = 0; i < TABLES; i++) {
        const struct haconf_line *l = table_line(k, tables[i]);
        const char *expire = l ? haconf_after(l, "expire") : NULL;
        uint64_t ms = UINT64_MAX;
        if (!l || (expire && haconf_ms(expire, &ms) != 0))
            continue;
        if (!expire || ms < least[i] || ms > most[i])
            hacheck_say(k, l, "table '%s' has the expire '%s'; wanted: at least %llums%s", tables[i],
                        expire ? expire : "none", (unsigned long long)least[i],
                        i == 0 ? ", at most 10s (each second of it is read again with every poll)" : "");
    }
}

void hacheck_table_size(struct hacheck *k)
{
    for (int i = 0; i < TABLES; i++) {
        const struct haconf_line *l = table_line(k, tables[i]);
        const char *size = l ? haconf_after(l, "size") : NULL;
        uint64_t entries;
        if (size && unit_size(size, &entries) == 0 && entries > k->agent->inflight.max_entries)
            hacheck_say(k, l, "table '%s' has room for %llu entries, inflight.max_entries is %u", tables[i],
                        (unsigned long long)entries, (unsigned)k->agent->inflight.max_entries);
    }
}
