// SPDX-License-Identifier: MIT
/* One persistent connection to a HAProxy worker's runtime socket, in `prompt` mode.
 *
 *   command\n ──►     an answer ends with a newline and the prompt:     ◄── text .. \n> text .. \n>
 *
 * Commands are answered in order. Through a reload the connection stays with the old worker and keeps it
 * alive until it is closed (facts: finding 15). Source: HAProxy doc/management.txt, section 9.3. */
#ifndef RUNTIME_API_H
#define RUNTIME_API_H

#include <ev.h>
#include "spop/cursor.h"

struct runtime_api;

/* answer: whole, without the prompt, valid until the callback returns; ptr NULL when the connection is gone
 * or the answer took longer than the limit (then nothing more may be asked). */
typedef void runtime_answer_fn(void *arg, struct spop_slice answer);

/* path: of the unix socket. max_answer: bytes; a longer answer closes the connection. timeout: seconds for
 * each answer. lost is called once, when the connection has gone; every question has been answered with NULL
 * before. NULL with the reason in err if it cannot be opened. */
struct runtime_api *runtime_api_new(struct ev_loop *loop, const char *path, size_t max_answer,
                                    ev_tstamp timeout, void (*lost)(void *arg, const char *reason), void *arg,
                                    char *err, size_t errlen);
/* Asks one command (without the newline). fn is called exactly once, never before this returns; NULL: nobody
 * wants the answer. Without memory for the question the connection is lost instead. */
void runtime_api_ask(struct runtime_api *r, const char *command, runtime_answer_fn *fn, void *arg);
/* Sends `quit` and closes; outstanding questions are answered with NULL; lost is not called. May be called
 * from any of the callbacks. */
void runtime_api_free(struct runtime_api *r);

#endif
