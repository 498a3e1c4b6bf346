// SPDX-License-Identifier: MIT
/* What HAProxy told us in one message: the arguments, typed and named. One table of arguments drives the
 * reading (docs/wire.md, SPOE messages). Slices point into the frame: use them before the callback returns.
 */
#ifndef FACTS_H
#define FACTS_H

#include "spop/notify.h"

enum { FACTS_EXTRA_MAX = 16 };

enum message_kind {
    MESSAGE_REQUEST,
    MESSAGE_RESPONSE,
    MESSAGE_REFUSED,
    MESSAGE_CHARGE,
    MESSAGE_CACHE,  /* request_facts */
    MESSAGE_FILL,   /* response_facts */
    MESSAGE_UNSAFE, /* request_facts */
    MESSAGE_UNKNOWN
};
enum message_kind message_kind(struct spop_slice name);
const char *message_name(enum message_kind kind); /* not of MESSAGE_UNKNOWN */

struct request_facts {
    struct spop_slice policy, rid, lost, process, method, host, path, query, type;
    struct spop_slice key, key2, sha, body;
    struct spop_slice correlation;              /* for the log */
    int64_t keys, keys2;                        /* missing: 0 */
    int64_t sent, timeout;                      /* missing: 0 */
    int64_t body_len, content_length, head_len; /* missing: -1 */
    int64_t err;                                /* missing: 0 */
    struct spop_slice scheme, headers;          /* of the cache's messages */
    struct spop_slice location, content_location;
    int64_t status; /* missing: 0 */
    bool wait;
    bool body_follows;     /* once-cache: HAProxy has not seen the end of the request */
    struct spop_value src; /* SPOP_IPV4, SPOP_IPV6 or SPOP_NULL */
    unsigned nextra;       /* arguments that the table does not name */
    struct spop_arg extra[FACTS_EXTRA_MAX];
};

struct response_facts {
    struct spop_slice token, method, headers, body, correlation;
    int64_t status;
    int64_t body_len, content_length; /* missing: -1 */
    bool waited;
    bool whole; /* once-fill: HAProxy has seen the end of the message */
};

enum facts_result {
    FACTS_READ = 0,
    FACTS_MALFORMED = -1, /* the frame */
    FACTS_WRONG = -2,     /* an argument, or a required one is missing; the payload is past the message */
};
/* Which argument is wrong, and why: "argument sha: binary wanted, string came". */
struct facts_error {
    char text[160];
};
/* Take all arguments of the message from the payload; *bad is written where one is wrong. */
enum facts_result facts_read_request(struct spop_cursor *payload, struct spop_message *m,
                                     struct request_facts *f, struct facts_error *bad);
enum facts_result facts_read_response(struct spop_cursor *payload, struct spop_message *m,
                                      struct response_facts *f, struct facts_error *bad);
/* Name of the i-th argument that such a message has to have as shipped; NULL: no more. */
const char *facts_argument(enum message_kind kind, unsigned i);
/* Passes over a message. 0, or -1 malformed. */
int facts_skip(struct spop_cursor *payload, struct spop_message *m);

/* Did the message carry it, with whatever value? true for those of the table. */
bool facts_carried(const struct request_facts *f, const char *name);
/* Text of a named argument, for principals and limit keys: a named field of the table, or an extra. Integers
 * are written as decimal, addresses as their bytes, into scratch (at least 24 bytes). Empty slice: missing or
 * empty. */
struct spop_slice facts_text(const struct request_facts *f, const char *name, char scratch[24]);

/* Puts a text where facts_text() finds it, for facts that no message has brought; it is borrowed. False: that
 * argument has no text, or there is no room. */
bool facts_say(struct request_facts *f, const char *name, struct spop_slice text);

#endif
