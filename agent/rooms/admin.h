// SPDX-License-Identifier: MIT
/* The operator's socket: HTTP and JSON on a unix socket, for oncectl and for curl (docs/oncectl.md).
 *
 *   GET  /v1/status                       what this agent says of itself
 *   GET  /v1/inflight                     what HAProxy's tables held when they were last read
 *   GET  /v1/records, /v1/limits          one step of a walk through Redis; `cursor` leads to the next
 *   GET  /v1/record                       one record; body=1: and the stored answer
 *   POST /v1/record?word=..               failed, completed, delete
 *   POST /v1/purge                        delete, for all finished records of one step
 *   POST /v1/go                           what Redis has forgotten may be forgotten
 *
 * A step looks at some 500 keys; nothing goes on when the client has gone. Who may connect is said by the
 * socket's permissions; each word is logged with the peer's user id, the record's name and its state before and
 * after. 16 connections at one time; a silent one is closed after 30 s. */
#ifndef ADMIN_H
#define ADMIN_H

#include "rooms/gate.h"

struct admin;

/* gate is borrowed. listen_fd is owned from now on. NULL: out of memory. */
struct admin *admin_new(struct gate *gate, int listen_fd);
/* Before redis_free(). */
void admin_free(struct admin *a);

#endif
