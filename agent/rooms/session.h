// SPDX-License-Identifier: MIT
/* One SPOP connection from HAProxy, and the room of all of them.
 *
 *   accept ──► HELLO? ──hello──► OPEN ──► notify .. ack .. ──► closed(reason)
 *                └─ health check: answered, then closed
 *
 * Frames come in any pieces; ACKs leave in any order, all those of one loop turn in one write. What is wrong
 * ends in one AGENT-DISCONNECT with its status and one log line. */
#ifndef SESSION_H
#define SESSION_H

#include "rooms/txn.h"

struct sessions;

/* Takes over listening sockets (fds are owned from now on). gate is borrowed. */
struct sessions *sessions_new(struct gate *gate, const int *listen_fds, unsigned n);
/* Health checks fail from now on; everything else goes on. */
void sessions_drain(struct sessions *s);
/* No transaction waits and every ACK has left. */
bool sessions_idle(const struct sessions *s);
void sessions_free(struct sessions *s);

#endif
