// SPDX-License-Identifier: MIT
/* The process behind a unix socket, as the kernel knows it (unix(7), SO_PEERCRED: who has called listen()). A pid that a
 * process tells of itself may be that of a program of root's which it has started (setuid) with an environment of its choice. */
#ifndef CTL_PEER_H
#define CTL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* False: nobody listens there; errno. */
bool peer_of(const char *socket, struct peer *p);

/* Is its pid still a process that is that user's alone? Not one that began with its environment and has got more rights since (setuid),
 * nor somebody else's. Only root is told no; others cannot read a foreign environment anyway. */
bool peer_stands(const struct peer *p);

/* For a child of root that is about to run a program: the peer's user and groups, without root's terminal and descriptors but 1 and 2.
 * Who is not root, or the peer's like, stays what it is. NULL, or the call that failed; errno. There is no way back. */
const char *peer_become(const struct peer *p);

#endif
