// SPDX-License-Identifier: MIT
/* A circuit breaker: is it worth asking somebody who has just failed several times in a row? Pure: time comes
 * in (seconds, any clock that only grows), a decision goes out.
 *
 *               `failures` bad in a row                 admits() after `pause`: one probe
 *   CLOSED ──────────────────────────────► OPEN ◄───────────────────────────────────────┐
 *      ▲                                     └──── good ──► CLOSED      bad ──► OPEN, pause again
 *      └──────────── good ───────────────────────┘
 */
#ifndef BREAKER_H
#define BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    unsigned failures; /* bad in a row that open it; at least 1 */
    double pause;      /* seconds between two probes */
    unsigned bad;      /* in a row, so far */
    bool open;
    double probed_at; /* opened, or probed last */
};

/* Closed. Also takes new bounds over, without a change of state, where keep is true. */
void breaker_set(struct breaker *b, unsigned failures, double pause, bool keep);
/* May it be asked? Closed: yes. Open: once in each pause, and that is the probe. */
bool breaker_admits(struct breaker *b, double now);
/* It has answered in time. True: this closed it. */
bool breaker_good(struct breaker *b);
/* It has not. True: this opened it. */
bool breaker_bad(struct breaker *b, double now);

#endif
