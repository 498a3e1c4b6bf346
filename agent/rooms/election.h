// SPDX-License-Identifier: MIT
/* Which agent polls a HAProxy: the one whose name stands in the lock file beside the runtime socket.
 *
 *   <socket>.once-poller.VERSION:   line 1     id of the agent
 *                                   the rest   `pid.start` of each process that it polls
 *                                   mtime      its last poll
 *
 *   none, or two polls old ──► ours (written as a new file, then touched each poll)
 *   ours, but Redis does not confirm ──► not touched any more; two polls later another takes it
 *
 * A poller understands only tokens of its own version, and what it does not understand it does not extend. So each
 * version of agents, in the middle of an upgrade, has a poller of its own.
 *
 * Two pollers at once do no harm, so races are left to the next poll. A directory that cannot be written is
 * no reason not to poll. */
#ifndef ELECTION_H
#define ELECTION_H

#include "domain/listing.h"

enum { ELECTION_PROCESSES = 32 };

struct election;

/* version: of the tokens that this agent understands. NULL: out of memory. */
struct election *election_new(const char *socket_path, unsigned version);
/* Gives the file up, if it is ours: the next agent need not wait. */
void election_free(struct election *e);

/* Looks at the file and, if it is ours or free, and we are willing, says in it that we poll these n (at most
 * ELECTION_PROCESSES) processes. now: monotonic seconds; poll: seconds. */
void election_poll(struct election *e, const struct process *polled, unsigned n, bool willing, double now,
                   double poll);
/* The poller is us, or nobody: as of the last election_poll(). */
bool election_won(const struct election *e);
/* Another agent polls that process: it says so in its file, and not longer than two polls ago. */
bool election_names(const struct election *e, const struct process *p, double now, double poll);

#endif
