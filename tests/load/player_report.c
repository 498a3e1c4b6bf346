// SPDX-License-Identifier: MIT
/* What a player has seen: words that are counted, up to so many different ones, why an agent has disconnected; and forgetting it. */
#include "tests/load/player.h"

#include <stdio.h>
#include <string.h>

#include "spop/hello.h"

/* What fits of a text, its quotes and what is not printable as question marks. */
static void keep(char *out, size_t size, struct spop_slice text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        out[i] = (char)(c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c);
    }
    out[len] = '\0';
}

void player_refused(struct player_report *r, struct spop_cursor disconnect)
{
    struct spop_slice message;
    unsigned status;
    (void)spop_disconnect_read(disconnect, &status, &message); /* gives out what could be read */
    if (r->refused++ > 0)
        return;
    if (!r->lost_by)
        r->lost_by = "AGENT-DISCONNECT";
    r->status = status;
    keep(r->reason, sizeof r->reason, message);
}

void player_count(struct player_report *r, struct spop_slice text)
{
    char word[PLAYER_WORD];
    unsigned i = 0;
    keep(word, sizeof word, text);
    while (i < r->nwords && strcmp(word, r->word[i].text) != 0)
        i++;
    if (i == PLAYER_WORDS)
        i--;
    if (i == r->nwords)
        memcpy(r->word[r->nwords++].text, word, sizeof word);
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
