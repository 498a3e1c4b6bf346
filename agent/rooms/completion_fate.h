// SPDX-License-Identifier: MIT
/* What Redis' reply to a word means for the word. Pure: one table. */
#ifndef COMPLETION_FATE_H
#define COMPLETION_FATE_H

#include "adapters/redis.h"
#include "domain/metrics.h"
#include "domain/script.h"

enum fate {
    FATE_DONE,    /* confirmed */
    FATE_ALREADY, /* confirmed: it was so before */
    FATE_BARE,    /* confirmed, but without the answer that was to be stored: a tombstone */
    FATE_OTHER,   /* another execution owns the key */
    FATE_REFUSED, /* it will never be taken */
    FATE_AGAIN,   /* the connection is gone: with the next one */
    FATE_LATER,   /* an error that may pass: after a pause */
};

/* tries: how often the word got an error before. why: text for the log, as long as the reply lives. */
enum fate fate_of(const struct redis_reply *reply, unsigned tries, struct spop_slice *why);
/* What it means that another execution owns the key of such a word (PROTOCOL, Words: "lost"). */
struct fate_lost {
    enum metric metric;
    const char *why; /* for the log */
};
const struct fate_lost *fate_lost(enum script_id word);
/* Seconds until the next try after so many errors. */
double fate_pause(unsigned errors);

#endif
