// SPDX-License-Identifier: MIT
/* Serves a cached answer to the request that HAProxy hands to the replay listener: whole, or 304 (RFC 9110, section 13; RFC 9111,
 * section 4.3.2), with Age (5.1) and Cache-Status (RFC 9211), all other headers as they were stored. */
#ifndef REPLAY_CACHE_H
#define REPLAY_CACHE_H

#include "adapters/httpd.h"
#include "rooms/cache.h"
#include "rooms/sealer.h"

enum answered {
    ANSWERED,
    NOT_MEANT,  /* these bytes are not what is asked for, or too old for it; nothing was sent */
    NOT_OPENED, /* they are sealed, and cannot be opened; nothing was sent */
    ANOTHER     /* replay_cache_counts() */
};

/* bytes: an entry, of that id or one that was asked for later. */
enum answered replay_cache_answer(struct cache *cache, struct sealer *sealer, struct metrics *metrics,
                                  struct httpd_request *q, struct spop_slice bytes, const struct cacheid *id);

/* What stands in for a failure was chosen before the backend was asked: it may have been purged since. What Redis is asked about an entry
 * before it is served then; *l is good until the next call. False: they are none. */
bool replay_cache_question(struct spop_slice bytes, const struct cacheid *id, struct cachelook *l,
                           uint64_t *asked_us);
/* The reply, to the question about the entry of asked_us. NOT_MEANT: it is gone, or was purged (the URL is not known here: by whatever
 * prefix of the policy); ANOTHER: a later one lies there, to be asked about. */
enum answered replay_cache_counts(const struct cache *cache, const struct redis_reply *reply,
                                  uint64_t asked_us);

#endif
