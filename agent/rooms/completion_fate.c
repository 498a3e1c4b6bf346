// SPDX-License-Identifier: MIT
/* One table for the scripts' letters, one for errors.
 *
 * An error that an operator or a failover can end is waited for as long as it takes: the outcome of an
 * execution is worth more than a little memory. One that says that the key holds something else never ends.
 * What is not known is tried a few times. An answer's SET is not waited for: where Redis takes scripts but no
 * data (OOM), a tombstone now is safer than the whole answer later. */
#include "rooms/completion_fate.h"

#include "domain/rights.h"

#define PAUSE_FIRST   0.1
#define PAUSE_LONGEST 2.0

static const struct {
    char letter;
    enum fate fate;
    const char *why;
} letters[] = {
    {'S', FATE_DONE,    ""                                                                  },
    {'N', FATE_ALREADY, ""                                                                  },
    {'T', FATE_BARE,    "Redis did not take the answer (OOM?): a tombstone keeps its status"},
    {'L', FATE_OTHER,   "another execution owns the key"                                    },
    {'X', FATE_REFUSED, "a record of an unknown version or shape, untouched"                },
    {0,   FATE_REFUSED, "a reply that no script of ours gives"                              },
};

/* How often a word is tried that gets this error; 0: for ever. The first row that fits counts. */
static const struct {
    const char *text;
    unsigned tries;
} errors[] = {
    {"OOM",         0},
    {"READONLY",    0},
    {"LOADING",     0},
    {"MISCONF",     0},
    {"NOREPLICAS",  0},
    {"BUSY",        0},
    {"MASTERDOWN",  0},
    {"CLUSTERDOWN", 0},
    {"TRYAGAIN",    0},
    {"MOVED",       0},
    {"ASK",         0},
    {"NOAUTH",      0},
    {"NOSCRIPT",    0},
    {"WRONGTYPE",   1},
    {"",            5},
};

static enum fate fate_of_letter(struct spop_slice reply, struct spop_slice *why)
{
    unsigned i = 0;
    while (letters[i].letter && !(reply.len == 1 && *reply.ptr == letters[i].letter))
        i++;
    *why = slice_of(letters[i].why);
    return letters[i].fate;
}

static enum fate fate_of_error(struct spop_slice text, unsigned tries)
{
    unsigned i = 0;
    if (rights_refused(text))
        return FATE_LATER;
    for (;; i++) {
        if (slice_starts(text, errors[i].text))
            break;
    }
    return errors[i].tries == 0 || tries + 1 < errors[i].tries ? FATE_LATER : FATE_REFUSED;
}

enum fate fate_of(const struct redis_reply *reply, unsigned tries, struct spop_slice *why)
{
    *why = reply->bytes;
    switch (reply->status) {
    case REDIS_BYTES: return fate_of_letter(reply->bytes, why);
    case REDIS_ERROR: return fate_of_error(reply->bytes, tries);
    case REDIS_LATE:
    case REDIS_LOST: return FATE_AGAIN;
    default: return fate_of_letter((struct spop_slice){NULL, 0}, why);
    }
}

const struct fate_lost *fate_lost(enum script_id word)
{
    static const struct fate_lost
        twice = {METRIC_LOST_LOCK, "another execution owns the key: the request may have run twice"},
        /* Resolved from HAProxy's table before this word came: a retry that ran since then was allowed to. */
        late = {METRIC_LOST_RELEASE, "another execution owns the key: there was nothing to release"};
    switch (word) {
    case SCRIPT_UNSTORABLE:
    case SCRIPT_RELEASE:
    case SCRIPT_RELEASE_RID: return &late;
    default: return &twice;
    }
}

double fate_pause(unsigned errors_so_far)
{
    double pause = PAUSE_FIRST;
    for (unsigned i = 1; i < errors_so_far && pause < PAUSE_LONGEST; i++)
        pause *= 2;
    return pause < PAUSE_LONGEST ? pause : PAUSE_LONGEST;
}
