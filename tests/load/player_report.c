// SPDX-License-Identifier: MIT
/* What a player has seen: words that are counted, up to so many different ones; and forgetting all of it. */
#include "tests/load/player.h"

#include <stdio.h>
#include <string.h>

void player_count(struct player_report *r, struct spop_slice text)
{
    unsigned i = 0;
    while (i < r->nwords && !slice_is(text, r->word[i].text))
        i++;
    if (i == PLAYER_WORDS)
        i--;
    if (i == r->nwords) {
        size_t len = text.len < PLAYER_WORD - 1 ? text.len : PLAYER_WORD - 1;
        memcpy(r->word[i].text, text.ptr, len);
        r->word[i].text[len] = '\0';
        r->nwords++;
    }
    if (i == PLAYER_WORDS - 1)
        snprintf(r->word[i].text, PLAYER_WORD, "others");
    r->word[i].n++;
}

void player_forget(struct player_report *r, unsigned messages)
{
    struct histogram *latency = r->latency, *whole = r->whole;
    for (unsigned i = 0; i < messages; i++)
        histogram_clear(&latency[i]);
    histogram_clear(whole);
    *r = (struct player_report){.latency = latency, .whole = whole};
}
