// SPDX-License-Identifier: MIT
/* spoa-once --ready: what a container's or a supervisor's health check runs, where there is no HTTP client. */
#ifndef READY_H
#define READY_H

/* Asks the agent that listens on `address` (http.listen) for /health/readiness, and waits for at most 2 s. 0: it is ready;
 * 1: it is not, or nobody answers: the reason is on stderr. */
int ready_ask(const char *address);

#endif
