// SPDX-License-Identifier: MIT
/* From what was seen of an execution to the word that follows (PROTOCOL, "Evidence and what follows"). Pure.
 *
 *   response message                                     word
 *     101 (a tunnel begins)                              answered
 *     status not storable under the policy               unstorable
 *     storable, whole by Content-Length or bodiless      complete; too large: answered
 *     storable, else                                     answered, kept if waited for and the buffer had room
 *     of a bare token (it only holds slots)              unstorable if whole, else answered
 *
 *   ended                 release                        hold
 *     never sent          release n                      release n
 *     cut                 release c                      resolve
 *     clean, status `T`   complete (commit)              complete (commit)
 *     else                resolve with status and class  the same
 */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include "domain/policy.h"
#include "domain/facts.h"
#include "domain/notice.h"
#include "domain/script.h"

/* What a response message proves. */
enum response_word {
    RESPONSE_COMPLETE,   /* whole, storable, fits: complete, then settled */
    RESPONSE_UNSTORABLE, /* whole or ended, a status that the policy does not store: unstorable, then settled
                          */
    RESPONSE_ANSWERED, /* the body is not proved: answered; *keep says whether what was seen may be committed
                          later */
};
/* policy NULL: unknown here; then ANSWERED without a body. buffer_limit as in plan_request(). */
enum response_word evidence_of_response(const struct policy *p, const struct token *t,
                                        const struct response_facts *f, size_t buffer_limit, bool *keep);

/* Is the whole body in the message, by proof: its Content-Length, or an answer that has none by rule? */
bool evidence_is_whole(const struct response_facts *f);
/* The same of chunks, which have an end of their own, if HAProxy says that it has seen it and all of them are in the message. */
bool evidence_chunks_are_whole(const struct response_facts *f);

/* What a status means for a key, as the letter of `unstorable` and `resolve`: 'T', 'F' or 'H'. hold: the
 * token's flag, for the policy at the time of the claim decides. Status 0 (none seen): 'F', 'H' under hold.
 * policy NULL: 'T' for any status. */
char evidence_letter(const struct policy *p, bool hold, unsigned status);

/* Fills the word for an execution that has ended: gpt0 of its entry (0 or the status), what a notice said. */
void evidence_of_end(const struct policy *p, const struct token *t, unsigned gpt0, enum ending e,
                     struct word *w);

#endif
