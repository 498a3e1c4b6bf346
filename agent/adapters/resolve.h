// SPDX-License-Identifier: MIT
/* The host name of an address is looked up beside the loop, which goes on meanwhile.
 *
 *   redis:6379 ──► getaddrinfo_a (glibc does it in a thread of its own) ──looked at each 5 ms──► 10.0.0.7:6379
 *
 * Numbers and paths need none of it. No deadline here: who asked has one, and frees the lookup. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include <ev.h>
#include <stdbool.h>

struct resolve;

/* address: numeric, valid until the callback returns; NULL: it has none, and why says the reason. */
typedef void resolve_fn(void *arg, const char *address, const char *why);

/* Is there a name in it ("redis:6379", not "unix@/path", "127.0.0.1:6379", "[::1]:6379")? */
bool resolve_wanted(const char *address);
/* fn is called once, from the loop; the lookup is freed before. NULL: out of memory. */
struct resolve *resolve_new(struct ev_loop *loop, const char *address, resolve_fn *fn, void *arg);
/* Nobody wants it any more; NULL is allowed. */
void resolve_free(struct resolve *r);

#endif
