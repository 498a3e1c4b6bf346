// SPDX-License-Identifier: MIT
/* A private HAProxy in a directory of its own, for tests that need the real thing.
 *
 *   <dir>/haproxy.cfg    the configuration, `@D@` in it replaced by the directory
 *   <dir>/sock           its runtime socket (the configuration says so)
 *
 * It dies with the test program, also if that crashes. */
#ifndef HAPROXY_SERVER_H
#define HAPROXY_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct haproxy_server {
    char dir[64];
    char socket[96];
    bool master; /* -W: reload works */
    pid_t pid;   /* of the master, where there is one */
};

/* The global and defaults sections and both tables of PROTOCOL; a test adds its proxies. */
extern const char haproxy_server_tables[];

/* Makes the directory; nothing runs yet. 0, or -1. */
int haproxy_server_init(struct haproxy_server *h);
/* Starts it and waits until it answers at its runtime socket. 0, or -1 (its own words are on stderr). */
int haproxy_server_start(struct haproxy_server *h, bool master, const char *const *config, unsigned parts);
/* SIGUSR2 to the master: a new worker, the old one stops softly. A master that has just started ignores it, although its worker
 * answers already: waits until it does not. */
void haproxy_server_reload(const struct haproxy_server *h);
/* Ends it (SIGTERM, then SIGKILL); the directory stays. */
void haproxy_server_stop(struct haproxy_server *h);
/* Ends it and removes the directory with what lies in it. */
void haproxy_server_clear(struct haproxy_server *h);

/* Is there a process of that number? */
bool process_lives(pid_t pid);

#endif
