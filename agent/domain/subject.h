// SPDX-License-Identifier: MIT
/* Whose request it is: names the record of a key and the groups of limits (docs/wire.md, Keys).
 *
 *   record   digest = policy, principal, its text, key; by `scope` the host too, or host and path
 *            TAG    = of the principal's text (of the key where the principal is `none`)
 *   limits   digest = `policy` and its name, or `global` and the limit's; then each term and its text; behind an
 *                     address how many of its bits count, so that a net is not taken for its first address
 *            TAG    = of the text of one term: the policy's principal (not where the limit is global), else
 *                     the first about the client; none is about the client: of that name
 *
 *   window   the same as limits, and the limit's name: a sliding window has its own group
 *   slots    as limits; an execution that only holds slots is named by its rid, in the TAG of the first of them
 *
 * So limits with equal terms in one policy share a group, a limit with the term `global` is shared by all
 * policies that have one of that name, and a client's limits lie in the slot of its records. An argument
 * without a text (no user, no source address) counts as the empty text: the anonymous share one bucket.
 *
 * Addresses: IPv6 counts by /64, the part that a client cannot choose, or by a limit's own prefix; an IPv4
 * address mapped into IPv6 (a listener on `::`) is that IPv4 address. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include "domain/config.h"
#include "domain/facts.h"
#include "domain/token.h"

/* false: the principal is missing. */
bool subject_record(const struct policy *p, const struct request_facts *f, struct spop_slice key,
                    struct record_id *id);
/* What a record keeps of its principal, so that all that one has can be found and erased: the beginning of the
 * digest of the principal's name and text, the same for all policies that have it. Zeros: `none`. Only if
 * subject_record() has said yes. */
enum { SUBJECT_WHO = 8 };
void subject_who(const struct policy *p, const struct request_facts *f, uint8_t out[SUBJECT_WHO]);
/* The term of a limit that the message carries no argument of that name for, a mistake of the site; NULL: none
 * is missing. */
const char *subject_lacks(const struct limit *l, const struct request_facts *f);
/* Only if nothing is lacking. */
void subject_limit(const struct policy *p, const struct limit *l, const struct request_facts *f,
                   struct record_id *id);

/* Works out now what depends on no request: a digest less for each. */
void subject_compile(const struct policy *p, struct limit *l);

/* Whatever the request says: do the keys of both limits have one TAG? Do those of that limit have the record's? (If the policy has
 * idempotency.) Limits must be compiled as far as their terms. */
bool subject_together(const struct policy *p, const struct limit *a, const struct limit *b);
bool subject_with_record(const struct policy *p, const struct limit *l);
/* Is it about a client: has it a TAG of a term's text? */
bool subject_of_client(const struct policy *p, const struct limit *l);

/* The record of an execution without a key. */
void subject_execution(const struct record_id *slot, const uint8_t rid[8], struct record_id *id);

/* The first bits of an address, the rest of their last byte zero; in scratch. Empty: no address. */
enum { SUBJECT_IPV4_PREFIX = 32, SUBJECT_IPV6_PREFIX = 64, SUBJECT_SCRATCH = 24 };
struct spop_slice subject_address(const struct spop_value *src, unsigned ipv4_prefix, unsigned ipv6_prefix,
                                  char scratch[SUBJECT_SCRATCH]);

#endif
