// SPDX-License-Identifier: MIT
/* Addresses as people write them, and listening sockets made from them.
 *
 *   unix@/path    127.0.0.1:9000    [::1]:9000       streams
 *   unix@/path    udp@127.0.0.1:9001    udp@[::1]:9001    unixdgram@/path       datagrams
 *
 * A unix socket whose path is taken by a living listener is an error, and so is anything there that is no
 * socket; a dead one's leftover is replaced. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTENER_PEER_TEXT = 64 };

/* Non-blocking, close-on-exec listening socket; -1 with the reason in err ("unix@/x: Permission denied"). No
 * names are resolved. */
int listener_stream(const char *address, uint32_t mode, char *err, size_t errlen);
/* Datagram socket, receive buffer as large as the system gives. */
int listener_datagram(const char *address, uint32_t mode, char *err, size_t errlen);
/* Connects without blocking; -1 with the reason in err. The connection may still be in progress. */
int listener_connect(const char *address, char *err, size_t errlen);
/* Who is at the other end of a connected stream: "pid 4711" (unix sockets, of who connected) or
 * "127.0.0.1:40000"; "-" if it cannot be told. At most LISTENER_PEER_TEXT bytes with the NUL. */
void listener_peer(int fd, char *out);
/* User id of who connected to a unix socket; -1: cannot be told. */
long listener_peer_uid(int fd);
/* Removes the path of a unix socket that we made. */
void listener_remove(const char *address);

#endif
